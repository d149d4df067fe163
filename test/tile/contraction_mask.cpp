// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Masks in a contraction: what is hidden takes part in nothing, whatever it holds.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#endif

namespace {

using oracle::matrix;
using tessera::causal_mask;
using tessera::contract;
using tessera::key_range;
using tessera::no_emit;
using tessera::tile_class;
namespace reference = tessera::reference;

const auto exec = TESSERA_TESTED_EXECUTOR;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// A user's mask: query i sees the keys of (i - width, i], but none that is a multiple of 7.
struct window_mask {
  std::int64_t width;
  key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    const std::int64_t first = i0 - width + 1;
    return {first > 0 ? first : 0, i1 < n_keys ? i1 : n_keys};
  }
  tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    return j0 >= i1 || j1 <= i0 - width + 1 ? tile_class::none : tile_class::some;
  }
  template <class I>
  auto visible(I i, I j) const {
    if constexpr (std::is_integral_v<I>) {
      return sees(i, j);
    } else {
      using V = tessera::lane_value<I>;
      // j is a multiple of 7 when 7 * round(j / 7) == j; j is the same in every lane.
      alignas(64) V lanes[tessera::lane<I>::width];
      j.store(lanes);
      const bool multiple = lanes[0] % 7 == 0;
      return (j <= i) & (i - I(static_cast<V>(width)) < j) & (I(static_cast<V>(multiple)) == I(V(0)));
    }
  }
  bool sees(std::int64_t i, std::int64_t j) const { return j <= i && j > i - width && j % 7 != 0; }
};

struct causal_rule {
  std::int64_t offset;
  bool operator()(std::int64_t i, std::int64_t j) const { return j <= i + offset; }
};

struct data {
  matrix<float> queries;
  matrix<float> keys;
  matrix<float> values;
  data(std::int64_t n, std::int64_t m, std::int64_t depth, double offset = 0)
      : queries({n, depth}), keys({m, depth}), values({m, 5}) {
    queries.fill([=](std::uint64_t e) { return offset + support::normal(1, e); });
    keys.fill([=](std::uint64_t e) { return offset + support::normal(2, e); });
    values.fill([=](std::uint64_t e) { return support::normal(3, e); });
  }
};

/// Every reducer under a mask against the oracle's shorter rows.
template <class Mask, class Visible>
void check(support::worst& errors, const data& d, const Mask& mask, const Visible& visible) {
  const auto depth = static_cast<double>(d.queries.view().extent(1));
  const auto products = oracle::expect<float>(d.queries, d.keys, reference::dot{}, oracle::product_size{}, depth + 3, visible);
  const auto distances =
      oracle::expect<float>(d.queries, d.keys, reference::squared_distance{}, reference::squared_distance{}, depth + 2, visible);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::dot{}, tessera::argmax{},
      [&](std::int64_t i, const auto& got) { oracle::check_extremum<false>(errors, products, i, got); }, mask);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::squared_distance{}, tessera::argmin{},
      [&](std::int64_t i, const auto& got) { oracle::check_extremum<true>(errors, distances, i, got); }, mask);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::squared_distance{}, tessera::top_k<3>{},
      [&](std::int64_t i, const auto& got) {
        const auto want = reference::top_k<>{3}(distances.rows[static_cast<std::size_t>(i)]);
        for (std::size_t k = 0; k < 3; ++k) {
          errors(static_cast<double>(got.score[k]), want[k].score, (depth + 2) * 0x1p-24 * static_cast<double>(want[k].score),
                 "entry", k, "of row", i);
          errors(static_cast<double>(got.where[k] < 0), want[k].key < 0, 0, "entry", k, "of row", i);
          if (got.where[k] >= 0) errors(visible(i, got.where[k]), 1, 0, "entry", k, "of row", i, "is hidden");
        }
      },
      mask);
  matrix<float> out({d.queries.view().extent(0), 5});
  const auto wide_values = reference::rows(d.values.view());
  contract(
      exec, d.queries.view(), d.keys.view(), d.values.view(), tessera::dot{}, tessera::softmax{}, out.view(),
      [&](std::int64_t i, float lse) { oracle::check_lse(errors, products, i, lse); }, mask);
  for (std::int64_t i = 0; i < out.view().extent(0); ++i)
    oracle::check_mean<float>(errors, products, wide_values, i, &out(i, 0), 5);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::dot{}, tessera::moments{},
      [&](std::int64_t i, const auto& got) {
        oracle::check_lse(errors, products, i, got.lse);
        errors(std::isnan(got.entropy), std::isinf(got.lse), 0, "entropy of row", i);
      },
      mask);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_contraction_mask)

BOOST_AUTO_TEST_CASE(causal_masks_hide_the_keys_after_the_diagonal) {
  support::worst errors;
  for (const std::int64_t offset : {-500, -97, -96, -1, 0, 1, 47, 96, 500}) {
    check(errors, data(130, 210, 6), causal_mask(offset), causal_rule{offset});
    check(errors, data(17, 300, 6, 100), causal_mask(offset), causal_rule{offset});
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(a_mask_of_ones_own) {
  support::worst errors;
  for (const std::int64_t width : {1, 5, 100, 1000}) {
    const window_mask mask{width};
    check(errors, data(230, 250, 9), mask, [&](std::int64_t i, std::int64_t j) { return mask.sees(i, j); });
    check(errors, data(50, 20, 3, 1e3), mask, [&](std::int64_t i, std::int64_t j) { return mask.sees(i, j); });
  }
  CHECK_WITHIN_BOUND(errors);
}

// The rows that do not see a NaN or inf have the bits that they have without it.
BOOST_AUTO_TEST_CASE(hidden_nan_and_inf_change_no_bit) {
  const std::int64_t n = 240;
  for (const float bad : {not_a_number, inf, -inf}) {
    for (const std::int64_t at : {0, 95, 96, 150, 191, 192, 239}) {
      for (const bool in_values : {false, true}) {
        const auto mask = causal_mask(0);
        const data clean(n, n, 8, 10);
        data d = clean;
        (in_values ? d.values(at, 4) : d.keys(at, 7)) = bad;
        const auto same_rows = [&](const auto& run) {
          using result = decltype(run(d));
          const result want = run(clean);
          const result got = run(d);
          for (std::int64_t i = 0; i < at; ++i) {
            const auto row = static_cast<std::size_t>(i);
            if (std::memcmp(&got[row], &want[row], sizeof(got[row])) != 0) return false;
          }
          return true;
        };
        BOOST_TEST_CONTEXT("at " << at << ", in values " << in_values << ", " << bad) {
          BOOST_TEST(same_rows([&](const data& x) {
            struct row {
              float mean[5];
            };
            std::vector<row> rows(static_cast<std::size_t>(n));
            const tessera::view<float, 2> out(rows[0].mean, n, 5);
            contract(exec, x.queries.view(), x.keys.view(), x.values.view(), tessera::scaled_dot{0.1}, tessera::softmax{}, out,
                     no_emit{}, mask);
            return rows;
          }));
          BOOST_TEST(same_rows([&](const data& x) {
            struct row {
              float mean[5];
            };
            std::vector<row> rows(static_cast<std::size_t>(n));
            const tessera::view<float, 2> out(rows[0].mean, n, 5);
            contract(exec, x.queries.view(), x.keys.view(), x.values.view(), tessera::gaussian{0.01}, tessera::softmax{}, out,
                     no_emit{}, mask);
            return rows;
          }));
          if (in_values) continue;
          BOOST_TEST(same_rows([&](const data& x) {
            std::vector<tessera::extremum<float>> rows(static_cast<std::size_t>(n));
            contract(
                exec, x.queries.view(), x.keys.view(), tessera::squared_distance{}, tessera::argmin{},
                [&](std::int64_t i, const auto& got) { rows[static_cast<std::size_t>(i)] = got; }, mask);
            return rows;
          }));
          BOOST_TEST(same_rows([&](const data& x) {
            std::vector<tessera::top_k<3>::state<float>> rows(static_cast<std::size_t>(n));
            contract(
                exec, x.queries.view(), x.keys.view(), tessera::squared_distance{}, tessera::top_k<3>{},
                [&](std::int64_t i, const auto& got) { rows[static_cast<std::size_t>(i)] = got; }, mask);
            return rows;
          }));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_that_see_nothing_have_the_state_of_no_scores) {
  const data d(50, 120, 4);
  const auto nothing = causal_mask(-1000);
  matrix<float> out({50, 5});
  int wrong = 0;
  contract(
      exec, d.queries.view(), d.keys.view(), d.values.view(), tessera::dot{}, tessera::softmax{}, out.view(),
      [&](std::int64_t, float lse) { wrong += lse != -inf; }, nothing);
  for (const float x : out.elements()) wrong += x != 0 || std::signbit(x);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::squared_distance{}, tessera::argmin{},
      [&](std::int64_t, const auto& got) { wrong += got.where != -1 || got.score != inf; }, nothing);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::dot{}, tessera::top_k<2, false>{},
      [&](std::int64_t, const auto& got) { wrong += got.where[0] != -1 || got.score[1] != -inf; }, nothing);
  contract(
      exec, d.queries.view(), d.keys.view(), tessera::dot{}, tessera::moments{},
      [&](std::int64_t, const auto& got) { wrong += got.lse != -inf || !std::isnan(got.mean) || !std::isnan(got.entropy); },
      nothing);
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
