// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/detail/stripes.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using tessera::tile::detail::stripe_queue;

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_stripes)

BOOST_AUTO_TEST_CASE(one_worker_goes_stripe_by_stripe) {
  std::vector<stripe_queue::counter> taken(3);
  stripe_queue queue(taken.data(), 3, 2);
  std::vector<std::int64_t> seen;
  for (auto item = queue.take(-1); item.stripe >= 0; item = queue.take(item.stripe)) seen.push_back(10 * item.stripe + item.part);
  BOOST_TEST(seen == (std::vector<std::int64_t>{0, 1, 10, 11, 20, 21}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_worker_stays_then_begins_another_then_helps) {
  std::vector<stripe_queue::counter> taken(2);
  stripe_queue queue(taken.data(), 2, 3);
  const auto first = queue.take(-1);
  const auto second = queue.take(-1);  // another worker
  BOOST_TEST((first.stripe == 0 && second.stripe == 1));
  BOOST_TEST(queue.take(0).stripe == 0);
  BOOST_TEST(queue.take(0).stripe == 0);
  const auto help = queue.take(0);
  BOOST_TEST((help.stripe == 1 && help.part == 1));
  BOOST_TEST(queue.take(1).part == 2);
  BOOST_TEST(queue.take(1).stripe == -1);
  BOOST_TEST(queue.take(-1).stripe == -1);
}

BOOST_AUTO_TEST_CASE(no_stripes_no_work) {
  stripe_queue queue(nullptr, 0, 5);
  BOOST_TEST(queue.take(-1).stripe == -1);
}

BOOST_AUTO_TEST_CASE(many_workers_take_every_item_once) {
  constexpr std::int64_t stripes = 37;
  constexpr std::int64_t parts = 101;
  std::vector<stripe_queue::counter> taken(stripes);
  stripe_queue queue(taken.data(), stripes, parts);
  std::vector<std::atomic<int>> times(stripes * parts);
  const auto work = [&] {
    for (auto item = queue.take(-1); item.stripe >= 0; item = queue.take(item.stripe)) {
      ++times[static_cast<std::size_t>(item.stripe * parts + item.part)];
    }
  };
  std::vector<std::thread> workers;
  for (int w = 0; w < 5; ++w) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  BOOST_TEST(std::all_of(times.begin(), times.end(), [](const std::atomic<int>& n) { return n == 1; }));
}

BOOST_AUTO_TEST_SUITE_END()
