// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention's forward on the device in other types than float32 and float16: float64, tf32, sums in float64, mixed types, 8-bit keys and values.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../support/random.hpp"
#include "attention_on_device.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"

namespace {

using oracle::shape;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace attention = tessera::attention;

constexpr shape shapes[] = {
    {1, 2, 1, 1, 1, 1, 1},      {1, 2, 1, 3, 95, 5, 7},    {1, 2, 1, 17, 70, 8, 16},   {1, 2, 1, 66, 130, 16, 8},
    {1, 2, 1, 70, 65, 31, 33},  {1, 2, 1, 65, 64, 72, 64}, {1, 2, 1, 30, 66, 64, 128}, {1, 1, 1, 80, 30, 65, 3},
    {1, 1, 1, 66, 40, 17, 129}, {1, 2, 1, 7, 31, 200, 72},
};

/// Shares of the bound that calls of all shapes reach, values of many sizes; keys and values with factors where they have 8 bits.
template <class O, class Q, class K = Q, class V = K, class Accumulation = attention::plain_sums>
void check(const support::forward_on_device& device, double scale = 1) {
  support::worst out;
  support::worst lse;
  const float factors[] = {0.5F};
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s % 4), s % 2 == 0};
    oracle::inputs<Q, K, V> in(shapes[s], s % 3 == 0 ? where : support::placement{});
    in.q.fill(support::normals(s, 2 * scale));
    in.k.fill(support::normals(s + 50));
    in.v.fill([=](std::uint64_t n) { return support::spread(s + 70, n, -6, 6); });
    attention::options<attention::band, attention::plain_score, Accumulation> options{.mask = s % 2 == 0 ? attention::everything
                                                                                                         : attention::causal};
    if constexpr (sizeof(K) == 1) options.key_scales = view<const float, 1>(factors, 1);
    if constexpr (sizeof(V) == 1) options.value_scales = view<const float, 1>(factors, 1);
    on_device::check<O>(out, lse, device, in, options, where);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_types)

BOOST_AUTO_TEST_CASE(float64) {
  check<double, double>({});
  check<double, double>({}, 100);
}

BOOST_AUTO_TEST_CASE(tf32) {
  check<float, float>({.tf32 = true});
  check<float, float>({.tf32 = true}, 10);
}

// Weights just above a half and values whose last bits tf32 does not have: all roundings to one side.
BOOST_AUTO_TEST_CASE(tf32_roundings_of_one_side) {
  support::worst out;
  support::worst lse;
  for (const std::int64_t len_q : {5, 66}) {
    for (const double behind : {0.6927, 0.6930, 0.3, 0.01, 0.00024, 0.00049, 1.386, 2.0, 5.0}) {
      for (const double of_best : {0.0, -1.0, 1.0}) {
        oracle::inputs<float> in(1, 1, 1, len_q, 64, 1, 8);
        in.q.fill([](std::uint64_t) { return 1; });
        in.k.fill([=](std::uint64_t n) { return n == 20 ? 0 : -behind; });
        in.v.fill([=](std::uint64_t n) { return n / 8 == 20 ? of_best : n % 2 == 0 ? 1 + 0.999 * 0x1p-11 : 1.0; });
        on_device::check<float>(out, lse, {.tf32 = true}, in, attention::options<>{.scale = 1});
        in.q.fill([](std::uint64_t) { return 1 + 0.999 * 0x1p-11; });
        in.k.fill([=](std::uint64_t n) { return n == 20 ? 8 * (1 + 0.999 * 0x1p-11) : -8 * (1 + 0.999 * 0x1p-11); });
        on_device::check<float>(out, lse, {.tf32 = true}, in, attention::options<>{.scale = 1});
      }
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(float16_in_float64) { check<double, float16, float16, float16, attention::float64_sums>({}); }

BOOST_AUTO_TEST_CASE(float32_beside_float64) { check<float, float, double, float>({}); }

BOOST_AUTO_TEST_CASE(float32_queries_with_16_bit_keys) { check<bfloat16, float, bfloat16, float16>({}); }

BOOST_AUTO_TEST_SUITE_END()
