// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The path of few queries over every storage type: keys and values are widened as they are read, or once for many rows.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "exact_results.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "two_paths.hpp"

namespace {

using oracle::inputs;
using support::array;
using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::par;
using tessera::seq;
using tessera::view;
using two_paths::differences;
using two_paths::fill;
namespace attention = tessera::attention;

struct shape {
  std::int64_t heads, kv_heads, len_q, len_k, head_dim, value_dim;
};
// Head sizes of whole squares of lanes, of some and a half, and odd ones.
constexpr shape shapes[] = {{4, 1, 1, 500, 64, 128}, {1, 1, 1, 193, 48, 48},   {3, 1, 1, 77, 32, 80},
                            {8, 1, 1, 210, 33, 31},  {2, 2, 3, 16, 7, 5},      {6, 2, 5, 400, 80, 96},
                            {2, 1, 40, 97, 20, 17},  {5, 1, 1, 385, 160, 144}, {2, 2, 140, 97, 33, 20}};

template <class Q, class K, class V>
void check_type() {
  using T = std::common_type_t<tessera::compute_t<Q>, tessera::compute_t<K>, tessera::compute_t<V>>;
  support::worst out;
  support::worst lse;
  std::uint64_t n = 0;
  for (const shape& s : shapes) {
    const support::placement where{static_cast<std::int64_t>(n % 3), n % 2 == 1};
    inputs<Q, K, V> in(2, s.heads, s.kv_heads, s.len_q, s.len_k, s.head_dim, s.value_dim, where);
    fill(in, 3 * ++n);
    const float key_scales[] = {0.5F, 3.0F};
    const float value_scales[] = {7.0F, 0.3F};
    attention::options<> options{.mask = attention::causal};
    if (n % 2 == 0) options.key_scales = view<const float, 1>(key_scales, s.kv_heads);
    if (n % 4 < 2) options.value_scales = view<const float, 1>(value_scales, s.kv_heads);
    BOOST_TEST_INFO("shape " << n);
    BOOST_TEST(differences<T>(par.threads(static_cast<int>(n % 3) + 1), in, 0.2, options) == 0);
    if (s.len_k > 100 && n % 2 == 0) continue;  // some shapes suffice the oracle
    oracle::check<Q>(out, lse, seq, in, options);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
  exact::check<Q, K, V, Q>();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_decode_types)

BOOST_AUTO_TEST_CASE(float64) { check_type<double, double, double>(); }
BOOST_AUTO_TEST_CASE(all_bfloat16) { check_type<bfloat16, bfloat16, bfloat16>(); }
BOOST_AUTO_TEST_CASE(bfloat16_queries_over_float16) { check_type<bfloat16, float16, float16>(); }
BOOST_AUTO_TEST_CASE(float32_queries_over_float8) { check_type<float, float8_e4m3, float8_e5m2>(); }

// The codes of bfloat16 are taken apart two at a time: every one must come out, at every place of a register.
BOOST_AUTO_TEST_CASE(every_bfloat16_passes_through_as_it_is) {
  constexpr std::int64_t dim = 64;
  constexpr std::int64_t keys = 65536 / dim;
  array<bfloat16, 4> k({1, 1, keys, dim});
  for (std::int64_t n = 0; n < 65536; ++n) k(0, 0, n / dim, n % dim) = bfloat16::from_bits(static_cast<std::uint16_t>(n));
  int wrong = 0;
  const auto same = [](float got, float want) { return got == want || (got != got && want != want); };
  // A single key: its weight is 1, and out its value.
  for (std::int64_t j = 0; j < keys; ++j) {
    const auto rows = k.view();
    const view<const bfloat16, 4> value(&rows(0, 0, j, 0), 1, 1, 1, dim);
    const float zeros[dim] = {};
    const view<const float, 4> q(zeros, 1, 1, 1, dim);
    const view<const float, 4> key(zeros, 1, 1, 1, dim);
    float result[dim];
    attention::forward(seq, q, key, value, view<float, 4>(result, 1, 1, 1, dim));
    for (std::int64_t c = 0; c < dim; ++c) wrong += !same(result[c], static_cast<float>(rows(0, 0, j, c)));
  }
  // A query of one 1: the log-sum-exp of a single key is half the element that it meets (whole, its units overflow).
  for (std::int64_t j = 0; j + 16 <= keys; j += 16) {
    for (const std::int64_t d : {0, 1, 30, 63}) {
      for (std::int64_t r = 0; r < 16; ++r) {
        const float element = static_cast<float>(k(0, 0, j + r, d));
        if (!(element - element == 0)) continue;
        float one[dim] = {};
        one[d] = 1;
        // Sixteen keys, whole registers, all but one hidden.
        const auto only = [=](std::int64_t, std::int64_t, std::int64_t, std::int64_t key) { return key == r; };
        array<bfloat16, 4> tame({1, 1, 16, dim});
        for (std::int64_t n = 0; n < 16 * dim; ++n) {
          const bfloat16 x = k(0, 0, j + n / dim, n % dim);
          const bool finite = static_cast<float>(x) - static_cast<float>(x) == 0;
          tame(0, 0, n / dim, n % dim) = finite ? x : bfloat16(0.0F);
        }
        float result[dim];
        float lse = 0;
        attention::forward(seq, view<const float, 4>(one, 1, 1, 1, dim), tame.view(), tame.view(),
                           view<float, 4>(result, 1, 1, 1, dim), view<float, 3>(&lse, 1, 1, 1),
                           attention::options{.scale = 0.5, .mask = only});
        const float error = 2 * lse - element;
        wrong += !(std::fabs(error) <= 3e-7F * std::fabs(element) + 1e-37F);
      }
    }
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
