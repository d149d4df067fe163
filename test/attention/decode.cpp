// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The path of few queries in float32: its bits are those of blocks of queries, for any number of rows, keys and threads.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "two_paths.hpp"

namespace {

using oracle::inputs;
using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
using two_paths::differences;
using two_paths::fill;
namespace attention = tessera::attention;

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_decode)

// Rows a key head from 1 to 8 * 70: every height of a block, several blocks, several units; keys around packs, tiles and chunks.
BOOST_AUTO_TEST_CASE(bits_are_those_of_blocks_of_queries) {
  constexpr std::int64_t keys[] = {0,   1,   2,   15,  16,  17,  33,  47,  48,  49,  95,
                                   100, 175, 176, 177, 191, 192, 193, 383, 385, 577, 999};
  std::uint64_t n = 0;
  for (std::int64_t group = 1; group <= 8; ++group) {
    for (const std::int64_t len_q : {1, 2, 3, 4, 5, 6, 7, 9, 16, 25, 33, 70}) {
      for (int repeat = 0; repeat < 2; ++repeat, ++n) {
        const std::int64_t len_k = keys[n % std::size(keys)];
        const std::int64_t kv_heads = static_cast<std::int64_t>(n % 3) + 1;
        const support::placement where{static_cast<std::int64_t>(n % 4), n % 2 == 1};
        inputs<float> in(1 + static_cast<std::int64_t>(n % 2), group * kv_heads, kv_heads, len_q, len_k,
                         static_cast<std::int64_t>(5 + n * 7 % 40), static_cast<std::int64_t>(n * 11 % 70), where);
        fill(in, n);
        const int threads = static_cast<int>(n % 4) + 1;
        BOOST_TEST_INFO("group " << group << " len_q " << len_q << " len_k " << len_k << " threads " << threads);
        BOOST_TEST(differences<float>(par.threads(threads), in, 0.3, attention::options{.mask = attention::everything}) == 0);
        BOOST_TEST(differences<float>(par.threads(threads), in, 0.3, attention::options{.mask = attention::causal}) == 0);
        BOOST_TEST(in.untouched());
      }
    }
  }
}

// Columns of values: 8, 4, 2 and 1 registers at a time and what is left, for each height of a block.
BOOST_AUTO_TEST_CASE(bits_for_every_size_of_a_head) {
  for (const std::int64_t value_dim : {0, 1, 15, 16, 17, 31, 32, 47, 48, 64, 79, 80, 96, 128, 130, 200, 256, 400}) {
    for (const std::int64_t rows : {1, 2, 3, 4, 6, 8, 11, 24}) {
      const std::int64_t head_dim = (value_dim * 5 + rows) % 150;
      inputs<float> in(1, rows, 1, 1, 210, head_dim, value_dim, {value_dim % 3, false});
      fill(in, static_cast<std::uint64_t>(value_dim));
      BOOST_TEST_INFO("rows " << rows << " head_dim " << head_dim << " value_dim " << value_dim);
      BOOST_TEST(differences<float>(seq, in, 0.2, attention::options{}) == 0);
    }
  }
}

// More chunks than are folded before they are joined, in units that begin and end within such waves.
BOOST_AUTO_TEST_CASE(bits_for_every_split_of_the_keys) {
  const auto check = [](const inputs<float>& in, const auto& options) {
    BOOST_TEST(differences<float>(seq, in, 0.3, options) == 0);
    BOOST_TEST(differences<float>(par.threads(2), in, 0.3, options) == 0);
    BOOST_TEST(differences<float>(par.threads(3), in, 0.3, options) == 0);
    BOOST_TEST(differences<float>(par.on(support::thread_per_call{4}), in, 0.3, options) == 0);
    BOOST_TEST(differences<float>(par.on(support::one_by_one{7}), in, 0.3, options) == 0);
  };
  for (const std::int64_t kv_heads : {1, 3}) {
    inputs<float> in(1, 2 * kv_heads, kv_heads, 1, 30000, 3, 2);
    fill(in, 1);
    check(in, attention::options{});
    check(in, attention::options{.mask = attention::sliding_window(5000, 0)});
  }
  inputs<float> wide(1, 60, 1, 2, 2500, 4, 600);  // few states fit a wave
  fill(wide, 2);
  check(wide, attention::options{.mask = attention::causal});
  inputs<float> short_rows(1, 5, 5, 40, 300, 4, 8);  // chunks that no row of a unit sees, and units without any
  fill(short_rows, 3);
  check(short_rows, attention::options{.mask = attention::sliding_window(3, 0)});
  inputs<float> unseen(1, 3, 3, 60, 20, 4, 8);
  fill(unseen, 4);
  check(unseen, attention::options{.mask = attention::causal});
}

BOOST_AUTO_TEST_CASE(results_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  for (const std::int64_t rows : {1, 4, 7, 30}) {
    for (const std::int64_t len_k : {1, 63, 500}) {
      inputs<float> in(2, rows, 1, 1, len_k, 40, 20);
      fill(in, 5);
      oracle::check<float>(out, lse, par.threads(3), in, attention::options{.mask = attention::causal});
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Scores of inf and NaN, sums that overflow, values that underflow.
BOOST_AUTO_TEST_CASE(bits_where_numbers_end) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::int64_t rows : {1, 3, 8, 20}) {
    for (const std::int64_t at : {0, 100, 191, 192, 410}) {
      for (const float odd : {inf, -inf, nan, 3e38F, 1e-44F}) {
        inputs<float> in(1, rows, 1, 1, 411, 20, 24);
        fill(in, 6);
        in.k(0, 0, at, 7) = odd;
        BOOST_TEST(differences<float>(seq, in, 1, attention::options{}) == 0);
        fill(in, 6);
        in.v(0, 0, at, 23) = odd;
        BOOST_TEST(differences<float>(seq, in, 1, attention::options{}) == 0);
        in.q(0, rows / 2, 0, 0) = odd;
        BOOST_TEST(differences<float>(par.threads(2), in, 1, attention::options{}) == 0);
      }
    }
    inputs<float> in(1, rows, 1, 1, 411, 20, 24);
    fill(in, 7);
    in.k.fill([&](std::uint64_t) { return -std::numeric_limits<double>::infinity(); });
    in.q.fill([](std::uint64_t) { return 1; });
    BOOST_TEST(differences<float>(seq, in, 1, attention::options{}) == 0);
    fill(in, 8);
    in.v.fill([](std::uint64_t n) { return support::spread(9, n, -150, -120); });
    BOOST_TEST(differences<float>(seq, in, 1, attention::options{}) == 0);
  }
}

BOOST_AUTO_TEST_CASE(scratch_is_taken_once_and_does_not_grow_with_the_keys) {
  const float numbers[64] = {};
  float result[8 * 4];
  for (const std::int64_t heads : {1, 8}) {
    std::size_t bytes[2];
    int at = 0;
    for (const std::int64_t len_k : {20000, 2000000}) {
      const view<const float, 4> q(numbers, {1, heads, 1, 4}, {0, 0, 0, 1});
      const view<const float, 4> k(numbers, {1, heads, len_k, 4}, {0, 0, 0, 1});
      const view<float, 4> out(result, 1, heads, 1, 4);
      support::counting_resource memory;
      attention::forward(par.threads(2).scratch(&memory), q, k, k, out);
      BOOST_TEST(memory.allocations() == 1);
      BOOST_TEST(memory.all_returned());
      bytes[at++] = memory.bytes();
      BOOST_TEST(out(0, 0, 0, 0) == 0);
    }
    BOOST_TEST(bytes[0] == bytes[1]);
    BOOST_TEST(bytes[0] < std::size_t{400000});
  }
}

BOOST_AUTO_TEST_SUITE_END()
