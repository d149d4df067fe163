// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Scores, sinks, factors of keys and values, and dropout of attention's forward on the device.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "attention_on_device.hpp"

namespace {

using support::array;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t batch = 2;
constexpr std::int64_t heads = 4;
constexpr float inf = std::numeric_limits<float>::infinity();

struct lengths {
  std::int64_t q;
  std::int64_t k;
};
constexpr lengths cases[] = {{1, 1}, {5, 7}, {70, 70}, {20, 150}, {90, 61}};
const support::forward_on_device device;

// Keys of another type than queries: one kernel of each kind, rather than one for each way in which arrays can lie.
oracle::inputs<float, tessera::float16> data(lengths n) {
  oracle::inputs<float, tessera::float16> in(batch, heads, 2, n.q, n.k, 12, 9);
  in.q.fill([](std::uint64_t e) { return 2 * support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  return in;
}

struct by_pairs {
  template <class T>
  TESSERA_HD T operator()(T s, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    return s * static_cast<T>(1 + (b + h + i * j) % 3) / 2;
  }
};
struct by_numbers {
  template <class T, class B, class I>
  TESSERA_HD T operator()(T s, B, B, I, I) const {
    return s * T(0.5F);
  }
};

template <class Score>
void check(support::worst& out, support::worst& lse, const Score& score, lengths n) {
  on_device::check<float>(out, lse, device, data(n),
                          attention::options<attention::band, Score>{.mask = attention::causal, .score = score});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_scores)

BOOST_AUTO_TEST_CASE(formulas) {
  support::worst out;
  support::worst lse;
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0};
  for (const lengths n : cases) {
    const attention::alibi biases{view<const float, 1>(slopes.data(), heads)};
    check(out, lse, biases, n);
    check(out, lse, attention::alibi{view<const float, 1>(slopes.data(), heads), attention::alignment::top_left}, n);
    check(out, lse, attention::softcap{5}, n);
    check(out, lse, attention::softcap{5} >> biases, n);
    std::vector<float> added(static_cast<std::size_t>(heads * n.k));
    for (std::size_t e = 0; e < added.size(); ++e) added[e] = static_cast<float>(support::normal(9, e));
    check(out, lse, attention::additive_bias<float>{view<const float, 4>(added.data(), {batch, heads, n.q, n.k}, {0, n.k, 0, 1})},
          n);
    check(out, lse, by_pairs{}, n);
    check(out, lse, by_numbers{}, n);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// A bias of -inf hides, a row of them is empty, and one of +inf makes a NaN.
BOOST_AUTO_TEST_CASE(infinite_biases) {
  for (const std::int64_t len_q : {6, 70}) {
    const auto in = data({len_q, 150});
    std::vector<float> added(static_cast<std::size_t>(len_q * 150), 0);
    for (std::size_t j = 0; j < 150; ++j) {
      added[j] = -inf;
      if (j >= 10) added[150 + j] = -inf;
    }
    const attention::additive_bias<float> bias{view<const float, 4>(added.data(), {batch, heads, len_q, 150}, {0, 0, 150, 1})};
    support::worst out_errors;
    support::worst lse_errors;
    on_device::check<float>(out_errors, lse_errors, device, in,
                            attention::options<attention::band, attention::additive_bias<float>>{.score = bias});
    CHECK_WITHIN_BOUND(out_errors);
    CHECK_WITHIN_BOUND(lse_errors);
    added[2 * 150 + 77] = inf;
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(),
                       attention::options<attention::band, attention::additive_bias<float>>{.score = bias});
    for (std::int64_t c = 0; c < 9; ++c)
      BOOST_TEST((out(1, 2, 0, c) == 0 && std::isnan(out(1, 2, 2, c)) && std::isfinite(out(1, 2, 3, c))));
    BOOST_TEST((lse(1, 2, 0) == -inf && std::isnan(lse(1, 2, 2))));
  }
}

BOOST_AUTO_TEST_CASE(sinks_and_factors_of_keys_and_values) {
  support::worst out;
  support::worst lse;
  const std::vector<float> sinks = {1, -2, 40, -inf};
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0};
  const std::vector<float> key_scales = {0.5F, -2};
  const std::vector<float> value_scales = {3, -0.25F};
  const view<const float, 1> sink_view(sinks.data(), heads);
  const view<const float, 1> key_view(key_scales.data(), 2);
  const view<const float, 1> value_view(value_scales.data(), 2);
  for (const lengths n : {lengths{1, 1}, lengths{5, 7}, lengths{90, 61}, lengths{20, 150}, lengths{5, 0}, lengths{70, 0}}) {
    for (const attention::band& mask : {attention::everything, attention::causal}) {
      const auto in = data(n);
      on_device::check<float>(out, lse, device, in, attention::options<>{.mask = mask, .sinks = sink_view});
      on_device::check<float>(out, lse, device, in,
                              attention::options<>{.mask = mask, .key_scales = key_view, .value_scales = value_view});
      on_device::check<float>(
          out, lse, device, in,
          attention::options<>{
              .scale = -0.7, .mask = mask, .sinks = sink_view, .key_scales = key_view, .value_scales = value_view});
      on_device::check<float>(
          out, lse, device, in,
          attention::options<attention::band, attention::alibi>{.mask = mask,
                                                                .score = {view<const float, 1>(slopes.data(), heads)},
                                                                .sinks = sink_view,
                                                                .key_scales = key_view,
                                                                .value_scales = value_view});
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// All keys alike and values that are unit vectors: an element is not 0 where its weight was kept.
BOOST_AUTO_TEST_CASE(dropout_keeps_the_pairs_that_it_names) {
  const std::int64_t len_k = 70;
  for (const std::int64_t len_q : {7, 70}) {
    oracle::inputs<float, tessera::float16> in(batch, heads, 2, len_q, len_k, 4, len_k);
    in.q.fill([](std::uint64_t) { return 0; });
    in.k.fill([](std::uint64_t) { return 1; });
    in.v.fill([](std::uint64_t n) { return n % 70 == n / 70 % 70 ? 1 : 0; });
    for (const double rate : {1e-3, 0.1, 0.5, 0.97}) {
      const attention::dropout dropout{.rate = rate, .seed = 0x123456789ABCDEF0U, .stream = 77};
      array<float, 4> out(in.out_extents());
      array<float, 3> lse(in.lse_extents());
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(),
                         attention::options<>{.mask = attention::causal, .dropout = dropout});
      int wrong = 0;
      for (std::int64_t b = 0; b < batch; ++b) {
        for (std::int64_t h = 0; h < heads; ++h) {
          for (std::int64_t i = 0; i < len_q; ++i) {
            for (std::int64_t j = 0; j < len_k; ++j) {
              const bool kept = j <= i + len_k - len_q && dropout.keeps(b, h, i, j, heads, len_q);
              wrong += (out(b, h, i, j) != 0) != kept;
            }
          }
        }
      }
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(dropout_is_within_the_bound) {
  support::worst out;
  support::worst lse;
  const std::vector<float> sinks = {1, -2, 3, -inf};
  for (const lengths n : cases) {
    for (const double rate : {1e-12, 0.2, 0.9}) {
      on_device::check<float>(out, lse, device, data(n),
                              attention::options<>{.mask = attention::causal,
                                                   .sinks = view<const float, 1>(sinks.data(), heads),
                                                   .dropout = {.rate = rate, .seed = 5, .stream = 1}});
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_SUITE_END()
