// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention's forward on the device: bfloat16, and 16-bit queries with keys and values of 8 bits, on both generations of devices.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../attention/rotary_tables.hpp"
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
    {1, 4, 2, 8, 70, 16, 16},   {1, 2, 1, 30, 65, 128, 72}, {1, 2, 1, 140, 130, 64, 32},
    {1, 2, 2, 70, 64, 72, 128}, {1, 1, 1, 66, 40, 136, 8},  {1, 2, 1, 3, 95, 5, 7},
    {1, 2, 1, 70, 65, 31, 33},  {1, 1, 1, 66, 20, 17, 129}, {1, 2, 1, 7, 31, 200, 72},
};

/// Shares of the bound that calls of all shapes reach, values of many sizes; keys and values with factors where they have 8 bits.
template <class O, class Q, class K = Q, class V = K>
void check(const support::forward_on_device& device, double size = 2) {
  support::worst out;
  support::worst lse;
  const float factors[] = {0.5F, 2};
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s < 5 ? 8 * (s % 2) : s % 4), s % 2 == 0};
    oracle::inputs<Q, K, V> in(shapes[s], where);
    in.q.fill(support::normals(s, size));
    in.k.fill(support::normals(s + 50));
    in.v.fill([=](std::uint64_t n) { return support::spread(s + 70, n, -6, 6); });
    attention::options<> options{.mask = s % 2 == 0 ? attention::everything : attention::causal};
    if constexpr (sizeof(K) == 1) options.key_scales = view<const float, 1>(factors, shapes[s].kv_heads);
    if constexpr (sizeof(V) == 1) options.value_scales = view<const float, 1>(factors, shapes[s].kv_heads);
    on_device::check<O>(out, lse, device, in, options, where);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_narrow)

BOOST_AUTO_TEST_CASE(bfloat16_on_both_generations) {
  for (const int generation : {8, 9}) {
    check<bfloat16, bfloat16>({.generation = generation});
    check<bfloat16, bfloat16>({.generation = generation}, 40);
  }
}

BOOST_AUTO_TEST_CASE(bfloat16_weights_that_round_to_one_side) {
  support::worst out;
  support::worst lse;
  for (const int generation : {8, 9}) {
    for (const std::int64_t len_q : {8, 66}) {
      oracle::inputs<bfloat16> in(1, 1, 1, len_q, 130, 8, 8);
      in.q.fill([](std::uint64_t n) { return n % 8 == 0 ? 1 : 0; });
      for (const double behind : {0.0019, 0.0020, 0.69, 0.6953125, 0.34, 2.0, 3.0, 20.0, 60.0}) {
        for (const double of_best : {0.0, 1.0, -1.0}) {
          in.k.fill([=](std::uint64_t n) { return n / 8 == 100 ? 0 : -behind; });
          in.v.fill([=](std::uint64_t n) { return n / 8 == 100 ? of_best : n % 2 == 0 ? -1.0 : 300.0; });
          on_device::check<bfloat16>(out, lse, {.generation = generation}, in, attention::options<>{.scale = 1});
        }
      }
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(keys_and_values_of_8_bits) {
  check<float, float16, tessera::float8_e4m3>({});
  check<bfloat16, bfloat16, tessera::float8_e5m2>({.generation = 9});
  check<float, float, tessera::float8_e4m3, bfloat16>({});
}

// Keys of 8 bits are not rotated, as they would be rounded once more; queries beside them are.
BOOST_AUTO_TEST_CASE(rotated_queries_beside_keys_of_8_bits) {
  const rotary_test::tables of(100, 8);
  oracle::inputs<float, tessera::float8_e4m3, bfloat16> in(1, 2, 1, 30, 50, 8, 8);
  in.q.fill(support::normals(1));
  in.k.fill(support::normals(2));
  in.v.fill(support::normals(3));
  attention::options<> options{.rotary = of.with(rotary_test::layouts[1])};
  support::worst out;
  support::worst lse;
  CHECK_REFUSED("attention::forward: options.rotary.keys: ", on_device::check<float>(out, lse, {}, in, options));
  options.rotary.keys = false;
  on_device::check<float>(out, lse, {}, in, options);
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_SUITE_END()
