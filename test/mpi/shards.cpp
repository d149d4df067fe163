// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/mpi/shards.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../support/error.hpp"

using tessera::mpi::shard_rows;
using tessera::mpi::zigzag;

BOOST_AUTO_TEST_SUITE(mpi_shards)

BOOST_AUTO_TEST_CASE(each_row_has_one_place_and_pieces_are_whole_chunks) {
  for (const int ranks : {1, 2, 3, 4, 7, 64}) {
    for (const std::int64_t length : {0, 1, 191, 192, 193, 1000, 1536, 1537, 100000}) {
      const zigzag plan(length, ranks);
      std::vector<int> times(static_cast<std::size_t>(length));
      std::int64_t total = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        total += plan.rows(rank);
        for (std::int64_t i = 0; i < plan.rows(rank); ++i) ++times[static_cast<std::size_t>(plan.row(rank, i))];
      }
      int wrong = total != length;
      for (const int n : times) wrong += n != 1;
      std::int64_t end = 0;
      for (int t = 0; t < plan.pieces(); ++t) {
        const auto [first, last] = plan.piece(t);
        wrong += first != end || last < first || last - first != plan.piece_rows(t);
        wrong += last != length && last % shard_rows != 0;
        end = last;
        const int owner = plan.owner(t);
        wrong += plan.piece_of(owner, 0) != t && plan.piece_of(owner, 1) != t;
        for (std::int64_t i = first; i < last; i += 100) wrong += plan.row(owner, plan.offset(t) + i - first) != i;
      }
      wrong += end != length;
      BOOST_TEST_INFO("length " << length << " on " << ranks << " ranks");
      BOOST_TEST(wrong == 0);
    }
  }
}

// Pairs of a causal mask: no rank has more than two chunks of rows over the mean.
BOOST_AUTO_TEST_CASE(causal_work_is_even) {
  for (const int ranks : {2, 4, 16}) {
    const std::int64_t length = 200000;
    const zigzag plan(length, ranks);
    const double mean = 0.5 * static_cast<double>(length) * static_cast<double>(length) / ranks;
    for (int rank = 0; rank < ranks; ++rank) {
      double pairs = 0;
      for (std::int64_t i = 0; i < plan.rows(rank); ++i) pairs += static_cast<double>(plan.row(rank, i) + 1);
      BOOST_TEST(std::abs(pairs - mean) < 2.0 * shard_rows * static_cast<double>(length));
    }
  }
}

BOOST_AUTO_TEST_CASE(impossible_shards_are_refused) {
  CHECK_REFUSED("mpi::zigzag: length: -1; ", zigzag(-1, 2));
  CHECK_REFUSED("mpi::zigzag: ranks: 0; ", zigzag(5, 0));
}

BOOST_AUTO_TEST_SUITE_END()
