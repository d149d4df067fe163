// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Converting loads and stores: the bits of the scalar conversions, and nothing beyond the last element.
#include "tessera/simd/load.hpp"

#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "tessera/numeric/float4.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/numeric/round_to.hpp"

namespace {

using tessera::bfloat16;
using tessera::float16;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

template <class T>
using bits_of = std::conditional_t<
    sizeof(T) == 1, std::uint8_t,
    std::conditional_t<sizeof(T) == 2, std::uint16_t, std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>>;

template <class T>
bits_of<T> bits(T x) {
  return __builtin_bit_cast(bits_of<T>, x);
}
template <class T, class Bits>
T from(Bits b) {
  return __builtin_bit_cast(T, static_cast<bits_of<T>>(b));
}

/// The same bits. A compiler may fold the scalar float(double(x)) to x and so leave a NaN signalling: between float and double the quiet
/// bit of a NaN is not compared.
template <class S, class T>
bool same(T got, T want) {
  constexpr bool native = std::is_floating_point_v<S> && std::is_floating_point_v<T>;
  constexpr auto quiet = static_cast<bits_of<T>>(sizeof(T) == 4 ? 0x00400000 : 0x0008000000000000);
  return bits(got) == bits(want) || (native && want != want && (bits(got) | quiet) == (bits(want) | quiet));
}

/// Whether all n codes produced by `code(i)`, loaded as P, have the bits of the scalar conversion.
template <class P, class S, class Code>
std::int64_t wrong_loads(std::int64_t n, Code code) {
  using V = typename P::value_type;
  S in[P::lanes];
  V out[P::lanes];
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < n; i += P::lanes) {
    for (int j = 0; j < P::lanes; ++j) in[j] = from<S>(code(i + j));
    tessera::simd::load_as<P>(in).store_unaligned(out);
    for (int j = 0; j < P::lanes; ++j) wrong += !same<S>(out[j], static_cast<V>(in[j]));
  }
  return wrong;
}

template <class P, class S, class Code>
std::int64_t wrong_stores(std::int64_t n, Code code, int rounding = FE_TONEAREST) {
  using V = typename P::value_type;
  constexpr int both = 2 * P::lanes;
  V in[both];
  S out[both];
  S single[P::lanes];
  S want[both];
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < n; i += both) {
    for (int j = 0; j < both; ++j) in[j] = from<V>(code(i + j));
    for (int j = 0; j < both; ++j) want[j] = static_cast<S>(in[j]);
    std::fesetround(rounding);
    tessera::simd::store_as(out, P::load_unaligned(in), P::load_unaligned(in + P::lanes));
    tessera::simd::store_as(single, P::load_unaligned(in));
    std::fesetround(FE_TONEAREST);
    for (int j = 0; j < both; ++j) wrong += !same<V>(out[j], want[j]);
    for (int j = 0; j < P::lanes; ++j) wrong += !same<V>(single[j], want[j]);
  }
  return wrong;
}

std::uint64_t identity(std::int64_t i) { return static_cast<std::uint64_t>(i); }
/// Every 67th float, sign and NaNs included: 67 is odd, so that over the sweep the low bits take every value.
std::uint64_t shard(std::int64_t i) { return static_cast<std::uint64_t>(i) * 67; }
constexpr std::int64_t shard_size = (std::int64_t(1) << 32) / 67;
/// Doubles: a float's neighbourhood, where double rounding would show, or any bits.
std::uint64_t near_float(std::int64_t i) {
  const auto f = from<float>(static_cast<std::uint32_t>(i) * 2654435761U);
  const std::uint64_t b = bits(static_cast<double>(f));
  switch (i % 4) {
    case 0:
      return b;
    case 1:
      return b + 1;
    case 2:
      return b - 1;
    default:
      return static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15U;
  }
}
/// Floats at, just above and just below the midpoints of the 16-bit formats.
std::uint64_t near_midpoint(std::int64_t i) {
  const auto code = static_cast<std::uint16_t>(i / 8);
  const float base = i % 2 == 0 ? static_cast<float>(from<float16>(code)) : static_cast<float>(from<bfloat16>(code));
  const std::uint32_t half = i % 2 == 0 ? 0x1000U : 0x8000U;
  return bits(base) + half + static_cast<std::uint32_t>(i / 2 % 4) - 1U;
}

/// One step of double beside, or at, the midpoints of the 16-bit formats and beside their values, of both signs.
std::uint64_t double_near_midpoint(std::int64_t i) {
  return bits(static_cast<double>(from<float>(near_midpoint(i / 4)))) + static_cast<std::uint64_t>(i % 4) - 1U;
}
/// Doubles between 2^-160 and 2^-120, where bfloat16, and float on the way to it, becomes subnormal.
std::uint64_t tiny_double(std::int64_t i) {
  const std::uint64_t random = static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15U;
  const std::uint64_t exponent = 1023U - 160U + random % 40U;
  const std::uint64_t mantissa = i % 3 == 0 ? (random >> 12) & 0xffffe00000000U : random >> 12;  // a third of them short: ties
  return (static_cast<std::uint64_t>(i) & 1U) << 63 | exponent << 52 | mantissa;
}

/// Random halves of every size; of each four numbers one meets its own discarded part, where up turns to down.
template <class S, class Code>
std::int64_t wrong_stochastic_stores(std::int64_t n, Code code) {
  using P = tessera::simd::pack<float>;
  constexpr int both = 2 * P::lanes;
  float in[both];
  std::uint16_t halves[both];
  S out[both];
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < n; i += both) {
    for (int j = 0; j < both; ++j) {
      in[j] = from<float>(code(i + j));
      const auto random = static_cast<std::uint32_t>(static_cast<std::uint64_t>(i + j) * 0x9e3779b97f4a7c15U >> 40);
      halves[j] = static_cast<std::uint16_t>(j % 4 == 0 ? 0x10000U - (bits(in[j]) & 0xffffU) - (random & 1U) : random);
    }
    tessera::simd::store_stochastic(out, P::load_unaligned(in), P::load_unaligned(in + P::lanes), halves);
    for (int j = 0; j < both; ++j) {
      wrong += bits(out[j]) != bits(tessera::round_stochastic<S>(in[j], static_cast<std::uint32_t>(halves[j]) << 16));
    }
  }
  return wrong;
}

template <class P, class S>
void check_partial() {
  using V = typename P::value_type;
  // On the heap and exactly as long as allowed, so that the address sanitizer sees a read or write beyond.
  for (int n = 0; n <= P::lanes; ++n) {
    const auto size = static_cast<std::size_t>(n);
    const std::unique_ptr<S[]> in(new S[size]);
    const std::unique_ptr<S[]> out(new S[size]);
    for (int i = 0; i < n; ++i) in[static_cast<std::size_t>(i)] = static_cast<S>(static_cast<float>(3 * i) - 4.5F);
    const P x = tessera::simd::load_partial<P>(in.get(), n);
    V lanes[P::lanes];
    x.store_unaligned(lanes);
    for (int i = 0; i < P::lanes; ++i) {
      BOOST_TEST(bits(lanes[i]) == bits(i < n ? static_cast<V>(in[static_cast<std::size_t>(i)]) : V(0)));
    }
    tessera::simd::store_partial(out.get(), n, x);
    for (std::size_t i = 0; i < size; ++i) BOOST_TEST(bits(out[i]) == bits(in[i]));
    // Without a sanitizer: what stands behind stays.
    S guarded[P::lanes + 1];
    for (S& s : guarded) s = static_cast<S>(80.0F);
    tessera::simd::store_partial(guarded, n, P(V(5)));
    for (int i = 0; i <= P::lanes; ++i) BOOST_TEST(static_cast<V>(guarded[i]) == (i < n ? V(5) : V(80)));
  }
  BOOST_TEST(tessera::simd::all(tessera::simd::load_partial<P>(static_cast<const S*>(nullptr), 0) == P(V(0))));
}

using F = tessera::simd::pack<float>;
using D = tessera::simd::pack<double>;

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_load)

BOOST_AUTO_TEST_CASE(all_codes_of_16_bits_load_with_the_bits_of_the_scalar_conversion) {
  BOOST_TEST((wrong_loads<F, float16>(65536, identity)) == 0);
  BOOST_TEST((wrong_loads<F, bfloat16>(65536, identity)) == 0);
  BOOST_TEST((wrong_loads<D, float16>(65536, identity)) == 0);
  BOOST_TEST((wrong_loads<D, bfloat16>(65536, identity)) == 0);
}

BOOST_AUTO_TEST_CASE(all_codes_of_8_and_4_bits_load_with_the_bits_of_the_scalar_conversion) {
  BOOST_TEST((wrong_loads<F, float8_e4m3>(256, identity)) == 0);
  BOOST_TEST((wrong_loads<F, float8_e5m2>(256, identity)) == 0);
  BOOST_TEST((wrong_loads<F, float4_e2m1>(16, identity)) == 0);
  BOOST_TEST((wrong_loads<D, float8_e4m3>(256, identity)) == 0);
  BOOST_TEST((wrong_loads<D, float8_e5m2>(256, identity)) == 0);
  BOOST_TEST((wrong_loads<D, float4_e2m1>(16, identity)) == 0);
}

BOOST_AUTO_TEST_CASE(a_shard_of_all_floats_narrows_with_the_bits_of_the_scalar_conversion) {
  BOOST_TEST((wrong_stores<F, float16>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stores<F, bfloat16>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stores<F, float8_e4m3>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stores<F, float8_e5m2>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stores<F, float4_e2m1>(shard_size, shard)) == 0);
}

BOOST_AUTO_TEST_CASE(stores_by_chance_have_the_bits_of_the_scalar_function) {
  BOOST_TEST((wrong_stochastic_stores<float16>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stochastic_stores<bfloat16>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stochastic_stores<float8_e4m3>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stochastic_stores<float8_e5m2>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stochastic_stores<float4_e2m1>(shard_size, shard)) == 0);
  BOOST_TEST((wrong_stochastic_stores<float16>(8 * 65536, near_midpoint)) == 0);
  BOOST_TEST((wrong_stochastic_stores<bfloat16>(8 * 65536, near_midpoint)) == 0);
}

BOOST_AUTO_TEST_CASE(ties_and_their_neighbours) {
  BOOST_TEST((wrong_stores<F, float16>(8 * 65536, near_midpoint)) == 0);
  BOOST_TEST((wrong_stores<F, bfloat16>(8 * 65536, near_midpoint)) == 0);
  // One bit of a double beside a midpoint of the 16-bit format: rounding to float first would make a tie of it.
  BOOST_TEST((wrong_stores<D, float16>(32 * 65536, double_near_midpoint)) == 0);
  BOOST_TEST((wrong_stores<D, bfloat16>(32 * 65536, double_near_midpoint)) == 0);
}

BOOST_AUTO_TEST_CASE(the_rounding_mode_of_the_processor_changes_nothing) {
  for (const int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
    BOOST_TEST((wrong_stores<F, float16>(8 * 65536, near_midpoint, mode)) == 0);
    BOOST_TEST((wrong_stores<F, bfloat16>(8 * 65536, near_midpoint, mode)) == 0);
    BOOST_TEST((wrong_stores<D, float16>(32 * 65536, double_near_midpoint, mode)) == 0);
    BOOST_TEST((wrong_stores<D, bfloat16>(32 * 65536, double_near_midpoint, mode)) == 0);
    BOOST_TEST((wrong_stores<D, bfloat16>(1 << 20, tiny_double, mode)) == 0);
  }
}

BOOST_AUTO_TEST_CASE(doubles_below_the_normal_floats_are_rounded_once) {
  BOOST_TEST((wrong_stores<D, bfloat16>(1 << 22, tiny_double)) == 0);
  BOOST_TEST((wrong_stores<D, float16>(1 << 22, near_float)) == 0);
  BOOST_TEST((wrong_stores<D, bfloat16>(1 << 22, near_float)) == 0);
}

BOOST_AUTO_TEST_CASE(float_and_double) {
  BOOST_TEST((wrong_loads<D, float>(1 << 22, shard)) == 0);
  BOOST_TEST((wrong_stores<F, double>(1 << 22, shard)) == 0);
  BOOST_TEST((wrong_loads<F, double>(1 << 22, near_float)) == 0);
  BOOST_TEST((wrong_stores<D, float>(1 << 22, near_float)) == 0);
  BOOST_TEST((wrong_loads<F, float>(1 << 12, shard)) == 0);
  BOOST_TEST((wrong_stores<D, double>(1 << 12, near_float)) == 0);
}

BOOST_AUTO_TEST_CASE(golden_values) {
  float in[F::lanes] = {};
  float16 half[F::lanes];
  bfloat16 brain[F::lanes];
  const struct {
    float x;
    std::uint16_t half, brain;
  } rows[] = {{1.0F, 0x3c00, 0x3f80},
              {-0.0F, 0x8000, 0x8000},
              {65519.996F, 0x7bff, 0x4780},
              {65520.0F, 0x7c00, 0x4780},
              {0x1p-24F, 0x0001, 0x3380},
              {0x1p-25F, 0x0000, 0x3300},
              {0x1.000002p-25F, 0x0001, 0x3300},
              {0x1.01p0F, 0x3c04, 0x3f80},
              {0x1.03p0F, 0x3c0c, 0x3f82},
              {0x1.fffffep127F, 0x7c00, 0x7f80},
              {0x1p-133F, 0x0000, 0x0001},
              {0x1p-134F, 0x0000, 0x0000},
              {0x1.8p-134F, 0x0000, 0x0001},
              {-__builtin_inff(), 0xfc00, 0xff80}};
  for (const auto& row : rows) {
    in[0] = row.x;
    tessera::simd::store_as(half, F::load_unaligned(in));
    tessera::simd::store_as(brain, F::load_unaligned(in));
    BOOST_TEST(half[0].bits == row.half);
    BOOST_TEST(brain[0].bits == row.brain);
  }
  // A signalling NaN becomes quiet and keeps sign and upper payload, also where only lower payload bits are set.
  in[0] = from<float>(0xffa04001U);
  tessera::simd::store_as(half, F::load_unaligned(in));
  tessera::simd::store_as(brain, F::load_unaligned(in));
  BOOST_TEST(half[0].bits == 0xff02);
  BOOST_TEST(brain[0].bits == 0xffe0);
  in[0] = from<float>(0x7f800001U);
  tessera::simd::store_as(brain, F::load_unaligned(in));
  BOOST_TEST(brain[0].bits == 0x7fc0);
}

BOOST_AUTO_TEST_CASE(partial_loads_and_stores_touch_n_elements) {
  check_partial<F, float>();
  check_partial<F, double>();
  check_partial<F, float16>();
  check_partial<F, bfloat16>();
  check_partial<F, float8_e4m3>();
  check_partial<F, float8_e5m2>();
  check_partial<D, float>();
  check_partial<D, double>();
  check_partial<D, float16>();
  check_partial<D, bfloat16>();
  check_partial<D, float8_e4m3>();
}

BOOST_AUTO_TEST_CASE(any_address_of_the_element_type_will_do) {
  std::vector<float16> memory(3 * F::lanes);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float16>(static_cast<float>(i));
  for (std::size_t offset = 0; offset < 2 * static_cast<std::size_t>(F::lanes); ++offset) {
    BOOST_TEST(tessera::simd::all(tessera::simd::load_as<F>(memory.data() + offset) == F::iota(static_cast<float>(offset))));
  }
}

BOOST_AUTO_TEST_SUITE_END()
