// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/tile/convert.cuh"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "support/error.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/random/bits.hpp"
#include "tessera/random/stochastic_rounding.hpp"

using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace gpu = tessera::cuda;

namespace {

/// Codes of every kind: all of a narrow type; of a wider one random bits, numbers next to what a 16-bit type can hold, and special ones.
template <class T>
std::vector<T> codes() {
  std::vector<T> x;
  if constexpr (sizeof(T) <= 2) {
    for (unsigned i = 0; i < 1u << (8 * sizeof(T)); ++i) x.push_back(T::from_bits(static_cast<typename T::bits_type>(i)));
  } else {
    for (std::uint64_t i = 0; i < 4000; ++i) {
      if constexpr (sizeof(T) == 4) {
        x.push_back(__builtin_bit_cast(float, tessera::random::bits<std::uint32_t>(1, 2, i)));
      } else {
        x.push_back(__builtin_bit_cast(double, tessera::random::bits<std::uint64_t>(1, 2, i)));
      }
      const auto narrow = static_cast<float>(float16::from_bits(static_cast<std::uint16_t>(i * 16 + 5)));
      x.push_back(static_cast<T>(narrow) * T(1.0004883));  // next to a midpoint
    }
    for (const double v : {65504.0, 65519.9, 65520.0, 448.0, 464.0, 465.0, 57344.0, 61440.0, 3.4e38, 1e-8, 6e-8, 0.0, -0.0}) {
      x.push_back(static_cast<T>(v));
      x.push_back(static_cast<T>(-v));
    }
    x.push_back(std::numeric_limits<T>::infinity());
    x.push_back(-std::numeric_limits<T>::infinity());
    x.push_back(std::numeric_limits<T>::denorm_min());
    x.push_back((std::numeric_limits<T>::max)());
  }
  return x;
}

/// What the CPU makes of one number.
template <class To, tessera::overflow Overflow, class From>
To converted(From x) {
  if constexpr (tessera::detail::is_small_float<To>) {
    if constexpr (std::is_same_v<From, To> && Overflow == tessera::overflow::ieee) return x;
    if constexpr (std::is_same_v<From, double>) {
      return tessera::round_to<To, tessera::rounding::nearest_even, Overflow>(x);
    } else {
      return tessera::round_to<To, tessera::rounding::nearest_even, Overflow>(static_cast<float>(x));
    }
  } else {
    const To y = static_cast<To>(x);
    constexpr To largest = std::numeric_limits<To>::max();
    if constexpr (Overflow == tessera::overflow::ieee) return y;
    return y > largest ? largest : y < -largest ? -largest : y;
  }
}
template <class To, tessera::overflow Overflow, class From>
To rounded_by_chance(From x, std::uint64_t index) {
  if constexpr (std::is_same_v<From, double>) {
    return tessera::random::round_stochastic<To, Overflow>(x, 1, 2, index);
  } else {
    return tessera::random::round_stochastic<To, Overflow>(static_cast<float>(x), 1, 2, index);
  }
}

/// The payload of a NaN is kept between float and the narrower types; on the way from and to double it is the processor's.
template <class From, class To>
std::vector<To> settled(std::vector<To> x) {
  if constexpr (std::is_same_v<From, double> || std::is_same_v<To, double>) {
    for (To& value : x) {
      if (tessera::isnan(value)) value = std::numeric_limits<To>::quiet_NaN();
    }
  }
  return x;
}

template <class From, class To, tessera::overflow Overflow>
void compare_at(const std::vector<From>& values, std::int64_t offset) {
  const support::device_array<From> in(values, offset);
  const support::device_array<To> out(static_cast<std::int64_t>(values.size()), 5 - offset);
  std::vector<To> want(values.size());
  for (std::size_t i = 0; i < want.size(); ++i) want[i] = converted<To, Overflow>(values[i]);
  tessera::convert(gpu::on(), in.constant(), out.view(), {.overflow = Overflow});
  BOOST_TEST(support::same_bits(settled<From>(out.get()), settled<From>(want)));
  if constexpr (tessera::detail::is_small_float<To>) {
    for (std::size_t i = 0; i < want.size(); ++i) want[i] = rounded_by_chance<To, Overflow>(values[i], 3 + i);
    tessera::convert_stochastic(gpu::on(), in.constant(), out.view(), 1, 2, 3, {.overflow = Overflow});
    BOOST_TEST(support::same_bits(settled<From>(out.get()), settled<From>(want)));
  }
  BOOST_TEST(out.borders_intact());
}

template <class From, class To>
void compare(const std::string& name) {
  const auto values = codes<From>();
  for (const std::int64_t offset : {0, 1, 3}) {
    BOOST_TEST_CONTEXT(name << ", misaligned by " << offset) {
      compare_at<From, To, tessera::overflow::ieee>(values, offset);
      compare_at<From, To, tessera::overflow::saturate>(values, offset);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_convert)

BOOST_AUTO_TEST_CASE(conversions_have_the_bits_of_the_cpu) {
  compare<float, float16>("float to float16");
  compare<float, bfloat16>("float to bfloat16");
  compare<float, tessera::float8_e4m3>("float to float8_e4m3");
  compare<float, tessera::float8_e5m2>("float to float8_e5m2");
  compare<double, float16>("double to float16");
  compare<double, float>("double to float");
  compare<float, double>("float to double");
  compare<float16, float>("float16 to float");
  compare<float16, bfloat16>("float16 to bfloat16");
  compare<float16, double>("float16 to double");
  compare<bfloat16, float>("bfloat16 to float");
  compare<tessera::float8_e4m3, float>("float8_e4m3 to float");
  compare<tessera::float8_e5m2, float16>("float8_e5m2 to float16");
}

BOOST_AUTO_TEST_CASE(strides_and_in_place, *boost::unit_test::label("small")) {
  const auto values = codes<float>();
  const support::device_array<float> in(values, 1);
  const support::device_array<float16> out(9 * 40, 1);
  auto want = out.get();
  const std::int64_t from[] = {1, 9};
  const std::int64_t to[] = {40, 1};
  tessera::convert(gpu::on(), view<const float, 2>(in.data(), {9, 31}, {1, 9}), view<float16, 2>(out.data(), {9, 31}, {40, 1}));
  for (std::int64_t i = 0; i < 9; ++i) {
    for (std::int64_t j = 0; j < 31; ++j) {
      want[static_cast<std::size_t>(i * to[0] + j * to[1])] =
          float16(values[static_cast<std::size_t>(i * from[0] + j * from[1])]);
    }
  }
  BOOST_TEST(support::same_bits(out.get(), want));
  auto* const same = reinterpret_cast<float16*>(out.data());
  tessera::convert(gpu::on(), out.constant(), view<float16, 1>(same, out.size()));
  BOOST_TEST(support::same_bits(out.get(), want));
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  const support::device_array<float> in(8);
  const support::device_array<float16> out(8);
  const auto before = out.get();
  std::vector<float> host(8);
  CHECK_REFUSED("convert: in: host memory", tessera::convert(gpu::on(), view<float, 1>(host.data(), 8), out.view()));
  CHECK_REFUSED("convert: out: shape [8] for in of shape [7]",
                tessera::convert(gpu::on(), view<float, 1>(in.data(), 7), out.view()));
  CHECK_REFUSED("convert: out: overlaps in",
                tessera::convert(gpu::on(), in.view(), view<float16, 1>(reinterpret_cast<float16*>(in.data()), 8)));
  CHECK_REFUSED("convert_stochastic: in: host memory",
                tessera::convert_stochastic(gpu::on(), view<float, 1>(host.data(), 8), out.view(), 1, 2));
  BOOST_TEST(support::same_bits(out.get(), before));
}

BOOST_AUTO_TEST_SUITE_END()
