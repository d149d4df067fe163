// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Exponents counted against ilogb, and what they say of a scale against what storing does.
#include "tessera/training/exponent_histogram.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/e8m0.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/numeric/float8.hpp"

namespace {

namespace training = tessera::training;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
using training::exponent_counts;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class T>
exponent_counts counted(const std::vector<T>& x) {
  exponent_counts want;
  for (const T element : x) {
    const auto v = static_cast<double>(element);
    if (v == 0) {
      want.zeros += 1;
    } else if (std::isnan(v)) {
      want.nans += 1;
    } else if (std::isinf(v)) {
      want.infinities += 1;
    } else {
      const int e = std::ilogb(v);
      if (e < exponent_counts::lowest) {
        want.below += 1;
      } else if (e > exponent_counts::highest) {
        want.above += 1;
      } else {
        want.counts[e - exponent_counts::lowest] += 1;
      }
    }
  }
  return want;
}

bool same(const exponent_counts& a, const exponent_counts& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

/// Every code where there are at most 2^16, else numbers of all exponents.
template <class T>
std::vector<T> numbers_of_type() {
  std::vector<T> x;
  if constexpr (sizeof(T) <= 2) {
    using bits = typename tessera::format_of_t<T>::bits_type;
    for (int code = 0; code < 1 << tessera::format_of_t<T>::width; ++code)
      x.push_back(tessera::from_bits<T>(static_cast<bits>(code)));
  } else {
    const int low = sizeof(T) == 4 ? -160 : -1100;
    const int high = sizeof(T) == 4 ? 128 : 1024;
    for (std::uint64_t i = 0; i < 30011; ++i) x.push_back(static_cast<T>(support::spread(1, i, low, high)));
    for (const double v : {inf, -inf, nan, 0.0, -0.0, 5e-324, -5e-324, 1.0, -1.0}) x.push_back(static_cast<T>(v));
  }
  return x;
}

template <class T>
void check_type() {
  const std::vector<T> x = numbers_of_type<T>();
  std::vector<view<const T, 1>> list{view<const T, 1>(x.data(), static_cast<std::int64_t>(x.size()))};
  BOOST_TEST(same(training::exponent_histogram(par.threads(2), list), counted(x)));
  // Short ones, from odd places on: each alone, and all in one list.
  exponent_counts sum;
  std::vector<view<const T, 1>> many;
  std::size_t at = 0;
  for (std::int64_t n = 0; at + static_cast<std::size_t>(n) < x.size() && n < 70; ++n) {
    many.emplace_back(x.data() + at, n);
    const std::vector<view<const T, 1>> one{many.back()};
    const auto got = training::exponent_histogram(seq, one);
    const auto last = x.begin() + static_cast<std::ptrdiff_t>(at) + n;
    BOOST_TEST(same(got, counted(std::vector<T>(x.begin() + static_cast<std::ptrdiff_t>(at), last))));
    BOOST_TEST(got.elements() == n);
    sum.add(got);
    at += static_cast<std::size_t>(n);
  }
  BOOST_TEST(same(training::exponent_histogram(seq, many), sum));
}

BOOST_AUTO_TEST_CASE(exponents_of_every_type) {
  check_type<float16>();
  check_type<bfloat16>();
  check_type<float>();
  check_type<double>();
  check_type<tessera::float8_e4m3>();
  check_type<tessera::float8_e5m2>();
  check_type<tessera::float4_e2m1>();
  check_type<tessera::e8m0>();
}

BOOST_AUTO_TEST_CASE(same_counts_for_any_threads) {
  std::vector<bfloat16> x(3000001);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = bfloat16(support::below(2, i, 3) == 0 ? 0.0 : support::normal(1, i) * 1e-3);
  }
  x[1234567] = bfloat16(nan);
  x[2345678] = tessera::from_bits<bfloat16>(3);
  const auto want = counted(x);
  const std::vector<view<bfloat16, 1>> list{view<bfloat16, 1>(x.data(), 1000000), view<bfloat16, 1>(x.data() + 1000000, 0),
                                            view<bfloat16, 1>(x.data() + 1000000, 2000001)};
  for (const int threads : {1, 2, 3, 7}) {
    support::counting_resource memory;
    BOOST_TEST(same(training::exponent_histogram(par.threads(threads).scratch(&memory), list), want));
    BOOST_TEST(memory.all_returned());
  }
  BOOST_TEST(want.elements() == 3000001);
}

/// What storing x * scale in S does, one after the other, against the outlook.
template <class S>
void check_outlook(const std::vector<float>& x, float scale) {
  const std::vector<view<const float, 1>> list{view<const float, 1>(x.data(), static_cast<std::int64_t>(x.size()))};
  const auto numbers = training::exponent_histogram(seq, list);
  const auto got = training::outlook<S>(numbers, scale);
  std::int64_t lost = 0;
  std::int64_t below = 0;
  std::int64_t certain = 0;
  std::int64_t beyond = 0;
  std::int64_t nonzero = 0;
  const auto normal = static_cast<double>(tessera::min_normal<S>());
  const auto least = static_cast<double>(tessera::from_bits<S>(1));
  for (const float v : x) {
    if (v == 0) continue;
    const double y = std::fabs(static_cast<double>(v) * static_cast<double>(scale));
    nonzero += 1;
    lost += y < least / 2 ? 1 : 0;
    below += y < normal ? 1 : 0;
    const double end = std::ldexp(1.0, tessera::format_of_t<S>::max_exponent + 1);
    certain += y >= end ? 1 : 0;
    beyond += y > static_cast<double>(tessera::max_finite<S>()) ? 1 : 0;
    BOOST_TEST((y >= least / 2 || static_cast<double>(S(static_cast<float>(y))) == 0));
  }
  BOOST_TEST_CONTEXT("scale " << scale) {
    BOOST_TEST(got.nonzero == nonzero);
    BOOST_TEST(got.lost == lost);
    BOOST_TEST(got.lost + got.subnormal == below);
    BOOST_TEST(got.overflow == certain);
    BOOST_TEST(beyond >= got.overflow);
    BOOST_TEST(beyond <= got.overflow + got.last);
    BOOST_TEST(got.share_below() == (nonzero == 0 ? 0 : static_cast<double>(below) / static_cast<double>(nonzero)));
  }
}

std::vector<float> gradients(int low, int high) {
  std::vector<float> x;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    x.push_back(support::below(8, i, 4) == 0 ? 0.0F : static_cast<float>(support::spread(3, i, low, high)));
  }
  return x;
}

BOOST_AUTO_TEST_CASE(outlooks_are_what_storing_does) {
  for (const float scale : {1.0F, 0x1p-20F, 0x1p10F, 0x1p16F, 0x1p40F, 0x1p100F, 0x1p-100F}) {
    check_outlook<float16>(gradients(-40, 4), scale);
    check_outlook<bfloat16>(gradients(-140, 100), scale);
    check_outlook<tessera::float8_e5m2>(gradients(-40, 4), scale);
    check_outlook<tessera::float8_e4m3>(gradients(-40, 4), scale);
    check_outlook<tessera::float4_e2m1>(gradients(-10, 4), scale);
  }
  check_outlook<float16>({0, 0}, 1);
}

/// The proposed scale against all powers of two, tried in turn.
template <class S>
void check_proposal(const exponent_counts& numbers, double share) {
  const auto fits = [&](float scale) {
    const auto o = training::outlook<S>(numbers, scale);
    return o.last + o.overflow == 0;
  };
  float want = 1;
  while (want < 0x1p127F && training::outlook<S>(numbers, want).share_below() > share && fits(want * 2)) want *= 2;
  while (want > 0x1p-126F && !fits(want)) want /= 2;
  const float got = training::proposed_scale<S>(numbers, share);
  BOOST_TEST_CONTEXT("share " << share) { BOOST_TEST(got == want); }
}

BOOST_AUTO_TEST_CASE(proposed_scales) {
  for (const int low : {-60, -40, -30, -14, -3, 10, 30}) {
    const std::vector<float> x = gradients(low, low + 25);
    const std::vector<view<const float, 1>> list{view<const float, 1>(x.data(), 5000)};
    const auto numbers = training::exponent_histogram(seq, list);
    for (const double share : {0.0, 0.001, 0.01, 0.3, 1.0}) {
      check_proposal<float16>(numbers, share);
      check_proposal<bfloat16>(numbers, share);
      check_proposal<tessera::float8_e5m2>(numbers, share);
      check_proposal<tessera::float8_e4m3>(numbers, share);
    }
  }
  exponent_counts numbers;
  BOOST_TEST(training::proposed_scale(numbers) == 1);
  numbers.counts[-30 - exponent_counts::lowest] = 5;
  numbers.infinities = 3;
  numbers.nans = 3;
  BOOST_TEST(training::proposed_scale(numbers) == 0x1p16F);
  numbers.counts[5 - exponent_counts::lowest] = 1;
  BOOST_TEST(training::proposed_scale(numbers) == 0x1p9F);  // 2^15 would overflow from 65504 on
  BOOST_TEST(training::proposed_scale(numbers, 1.0) == 1);
  numbers.above = 1;
  BOOST_TEST(training::proposed_scale(numbers) < 0x1p-110F);
}

BOOST_AUTO_TEST_CASE(misuse_is_named) {
  std::vector<float> x(10);
  const std::vector<view<float, 1>> none;
  const auto call = [&](const auto& list) { static_cast<void>(training::exponent_histogram(seq, list)); };
  CHECK_REFUSED("training::exponent_histogram: tensors: an empty list; ", call(none));
  CHECK_REFUSED("training::exponent_histogram: tensors[1]: null data",
                call(std::vector<view<float, 1>>{view<float, 1>(x.data(), 3), view<float, 1>(nullptr, 3)}));
  CHECK_REFUSED("training::exponent_histogram: tensors[0]: innermost stride 2; ",
                call(std::vector<view<float, 1>>{view<float, 1>(x.data(), {3}, {2})}));
  const exponent_counts numbers;
  for (const float scale : {0.0F, -2.0F, 3.0F, static_cast<float>(inf), static_cast<float>(nan), 1e-40F}) {
    CHECK_REFUSED("training::outlook: scale: ", static_cast<void>(training::outlook(numbers, scale)));
  }
  for (const double share : {-0.1, 1.1, nan}) {
    CHECK_REFUSED("training::proposed_scale: share: ", static_cast<void>(training::proposed_scale(numbers, share)));
  }
}

}  // namespace
