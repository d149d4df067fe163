// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/exec/par.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <memory_resource>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "tessera/exec/exec.hpp"

namespace {

using tessera::par;

/// Whether every item was run once, by a worker that the executor has, and no worker ran two items at the same time.
template <class Exec>
bool each_once(const Exec& exec, std::int64_t items) {
  std::vector<std::atomic<int>> runs(static_cast<std::size_t>(items));
  std::vector<std::atomic<int>> busy(static_cast<std::size_t>(exec.workers()));
  std::atomic<bool> right = true;
  exec.for_each(items, [&](int worker, std::int64_t item) {
    if (worker < 0 || worker >= exec.workers() || item < 0 || item >= items) {
      right = false;
      return;
    }
    if (busy[static_cast<std::size_t>(worker)].fetch_add(1) != 0) right = false;
    runs[static_cast<std::size_t>(item)].fetch_add(1);
    std::this_thread::yield();
    busy[static_cast<std::size_t>(worker)].fetch_sub(1);
  });
  for (const auto& count : runs) right = right && count == 1;
  return right;
}

/// Says that it has no thread to spare; the caller's is used.
struct pool_without_threads {
  [[nodiscard]] int threads() const { return 0; }
  template <class F>
  void run(int n, const F& f) const {
    for (int i = 0; i < n; ++i) f(i);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(exec_par)

BOOST_AUTO_TEST_CASE(every_item_is_run_once) {
  for (const std::int64_t items : {0, 1, 2, 3, 7, 100, 1000}) {
    BOOST_TEST_INFO(items << " items");
    BOOST_TEST(each_once(par, items));
    for (const int threads : {1, 2, 3, 16}) {
      BOOST_TEST(each_once(par.threads(threads), items));
      BOOST_TEST(each_once(par.on(support::thread_per_call{}).threads(threads), items));
      BOOST_TEST(each_once(par.on(support::one_by_one{}).threads(threads), items));
    }
    BOOST_TEST(each_once(par.on(pool_without_threads{}), items));
  }
}

BOOST_AUTO_TEST_CASE(workers_are_those_asked_for_or_the_pools) {
  BOOST_TEST(par.workers() >= 1);
  BOOST_TEST(par.threads(5).workers() == 5);
  BOOST_TEST(par.threads(5).threads(0).workers() == par.workers());
  BOOST_TEST(par.on(support::thread_per_call{7}).workers() == 7);
  BOOST_TEST(par.threads(2).on(support::thread_per_call{7}).workers() == 7);
  BOOST_TEST(par.on(support::thread_per_call{7}).threads(3).workers() == 3);
  BOOST_TEST(par.on(pool_without_threads{}).workers() == 1);
  CHECK_REFUSED("par.threads: n: -1", static_cast<void>(par.threads(-1)));
}

BOOST_AUTO_TEST_CASE(two_workers_run_at_the_same_time) {
  // Each waits for the other: one thread alone would never get past.
  std::atomic<int> arrived = 0;
  par.on(support::thread_per_call{2}).for_each(2, [&](int, std::int64_t) {
    arrived.fetch_add(1);
    while (arrived < 2) std::this_thread::yield();
  });
  BOOST_TEST(arrived == 2);
}

BOOST_AUTO_TEST_CASE(an_exception_stops_the_others_and_reaches_the_caller) {
  const auto check = [](const auto& exec) {
    std::atomic<int> after = 0;
    std::atomic<bool> thrown = false;
    BOOST_CHECK_EXCEPTION(exec.for_each(100000,
                                        [&](int, std::int64_t item) {
                                          after += thrown;
                                          if (item == 10) {
                                            thrown = true;
                                            throw std::runtime_error("item 10");
                                          }
                                        }),
                          std::runtime_error, [](const std::runtime_error& e) { return std::string(e.what()) == "item 10"; });
    BOOST_TEST(after < 99000);
  };
  check(par.threads(1));
  check(par.threads(2));
  check(par.on(support::thread_per_call{}));
  check(par.on(support::one_by_one{}));
}

BOOST_AUTO_TEST_CASE(many_exceptions_give_one) {
  BOOST_CHECK_THROW(par.on(support::thread_per_call{8}).for_each(1000, [](int, std::int64_t) { throw std::logic_error("each"); }),
                    std::logic_error);
  BOOST_CHECK_THROW(par.threads(3).for_each(1000, [](int, std::int64_t) { throw std::logic_error("each"); }), std::logic_error);
}

BOOST_AUTO_TEST_CASE(calls_inside_calls) {
  std::atomic<int> runs = 0;
  par.threads(2).for_each(4, [&](int, std::int64_t) { par.threads(2).for_each(5, [&](int, std::int64_t) { ++runs; }); });
  BOOST_TEST(runs == 20);
}

BOOST_AUTO_TEST_CASE(memory_is_the_default_resource_or_the_one_given) {
  support::counting_resource memory;
  BOOST_TEST((par.memory() == std::pmr::get_default_resource()));
  BOOST_TEST((par.scratch(&memory).memory() == &memory));
  BOOST_TEST((par.scratch(&memory).threads(3).memory() == &memory));
  BOOST_TEST((par.scratch(&memory).on(support::one_by_one{}).memory() == &memory));
  BOOST_TEST((par.threads(3).scratch(&memory).workers() == 3));
  // The default is asked for at the call, not when the executor was made.
  std::pmr::memory_resource* const before = std::pmr::set_default_resource(&memory);
  BOOST_TEST((par.memory() == &memory));
  std::pmr::set_default_resource(before);
}

static_assert(tessera::thread_pool<support::thread_per_call> && tessera::thread_pool<support::one_by_one> &&
              tessera::thread_pool<tessera::openmp_pool>);
static_assert(!tessera::thread_pool<int>);
static_assert(tessera::executor<tessera::basic_par<tessera::default_arch, support::thread_per_call>>);

BOOST_AUTO_TEST_SUITE_END()
