// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/exec/seq.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <memory_resource>
#include <thread>
#include <type_traits>
#include <vector>

#include "../support/memory.hpp"
#include "tessera/exec/exec.hpp"

BOOST_AUTO_TEST_SUITE(exec_seq)

BOOST_AUTO_TEST_CASE(items_are_run_in_order_on_the_calling_thread) {
  std::vector<std::int64_t> items;
  const std::thread::id caller = std::this_thread::get_id();
  tessera::seq.for_each(100, [&](int worker, std::int64_t item) {
    BOOST_TEST((worker == 0 && item == static_cast<std::int64_t>(items.size()) && std::this_thread::get_id() == caller));
    items.push_back(item);
  });
  BOOST_TEST(items.size() == 100);
  tessera::seq.for_each(0, [](int, std::int64_t) { BOOST_ERROR("there is no item"); });
  BOOST_TEST(tessera::seq.workers() == 1);
}

BOOST_AUTO_TEST_CASE(memory_is_the_default_resource_or_the_one_given) {
  support::counting_resource memory;
  BOOST_TEST((tessera::seq.memory() == std::pmr::get_default_resource()));
  BOOST_TEST((tessera::seq.scratch(&memory).memory() == &memory));
}

static_assert(tessera::executor<tessera::basic_seq<>>);
static_assert(std::is_same_v<tessera::basic_seq<>::arch, tessera::default_arch>);
static_assert(!tessera::executor<int>);

BOOST_AUTO_TEST_SUITE_END()
