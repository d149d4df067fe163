// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What correct rounding means, written apart from the code under test, and the sweeps that it is asked about.
///
/// The oracle holds, for every code of a format, the interval of real numbers that round to it: from the midpoint below to the
/// midpoint above, ends included where the code is even. All ends are exact doubles. It shares no constant with the library.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "tessera/numeric.hpp"

namespace numeric_test {

class oracle {
 public:
  oracle(int exponent_bits, int mantissa_bits)
      : mantissa_bits_(mantissa_bits),
        infinity_(((1u << exponent_bits) - 1) << mantissa_bits),
        sign_(1u << (exponent_bits + mantissa_bits)),
        ends_(infinity_ + 1) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    std::vector<double> value(infinity_ + 1);
    for (std::uint32_t code = 0; code <= infinity_; ++code) {  // the code of infinity gets the value that would come next
      const int exponent = static_cast<int>(code >> mantissa_bits);
      const double mantissa = code & ((1u << mantissa_bits) - 1);
      value[code] = exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                  : std::ldexp(mantissa + std::ldexp(1.0, mantissa_bits), exponent - bias - mantissa_bits);
    }
    for (std::uint32_t code = 0; code <= infinity_; ++code) {
      ends_[code].low = code == 0 ? 0.0 : (value[code - 1] + value[code]) / 2;
      ends_[code].high = code == infinity_ ? std::numeric_limits<double>::infinity() : (value[code] + value[code + 1]) / 2;
    }
    value_ = value;
    value_[infinity_] = std::numeric_limits<double>::infinity();
  }

  std::uint32_t infinity() const { return infinity_; }
  std::uint32_t sign() const { return sign_; }
  int mantissa_bits() const { return mantissa_bits_; }

  /// The value of a code that is not NaN.
  double value(std::uint32_t code) const { return (code & sign_) != 0 ? -value_[code & (sign_ - 1)] : value_[code]; }

  /// The midpoint above a magnitude that is finite.
  double midpoint(std::uint32_t code) const { return ends_[code].high; }

  /// Whether `code` is x, an exact number, correctly rounded (ties to even, the sign kept by zeros; any NaN for NaN).
  bool rounds_to(std::uint32_t code, double x) const {
    const std::uint32_t magnitude = code & (sign_ - 1);
    if (magnitude > infinity_ || std::isnan(x)) {
      return magnitude > infinity_ && std::isnan(x);
    }
    const double size = std::fabs(x);
    const interval ends = ends_[magnitude];
    const bool inside = magnitude % 2 == 0 ? size >= ends.low && size <= ends.high : size > ends.low && size < ends.high;
    return inside && std::signbit(x) == ((code & sign_) != 0);
  }

  /// The same for an integer magnitude, of which double cannot hold each.
  bool rounds_to(std::uint32_t code, bool negative, std::uint64_t size) const {
    const std::uint32_t magnitude = code & (sign_ - 1);
    if (magnitude > infinity_ || negative != ((code & sign_) != 0)) {
      return false;
    }
    const int below = compare(size, ends_[magnitude].low);
    const int above = compare(size, ends_[magnitude].high);
    return magnitude % 2 == 0 ? below >= 0 && above <= 0 : below > 0 && above < 0;
  }

 private:
  struct interval {
    double low;
    double high;
  };

  /// The sign of n - x, exactly.
  static int compare(std::uint64_t n, double x) {
    if (x >= 18446744073709551616.0) {
      return -1;
    }
    const auto whole = static_cast<std::uint64_t>(x);
    if (n != whole) {
      return n < whole ? -1 : 1;
    }
    return x > std::floor(x) ? -1 : 0;
  }

  int mantissa_bits_;
  std::uint32_t infinity_;
  std::uint32_t sign_;
  std::vector<interval> ends_;
  std::vector<double> value_;
};

/// The oracle of a type under test; the field widths are written down here a second time on purpose.
template <class T>
const oracle& oracle_of();

template <>
inline const oracle& oracle_of<tessera::float16>() {
  static const oracle instance(5, 10);
  return instance;
}

template <>
inline const oracle& oracle_of<tessera::bfloat16>() {
  static const oracle instance(8, 7);
  return instance;
}

/// An 8-bit and an odd 16-bit format, which show that the template depends on nothing but the format.
struct quarter_format : tessera::ieee_format<std::uint8_t, 5, 2> {};
struct middle_format : tessera::ieee_format<std::uint16_t, 6, 9> {};
using quarter = tessera::small_float<quarter_format>;
using middle = tessera::small_float<middle_format>;

template <>
inline const oracle& oracle_of<quarter>() {
  static const oracle instance(5, 2);
  return instance;
}

template <>
inline const oracle& oracle_of<middle>() {
  static const oracle instance(6, 9);
  return instance;
}

/// How much of a sweep is visited: one case in 64, as in every test run, or all (the test cases labelled `full`).
enum class extent { sample, whole };

/// A hash with all bits of the argument in all bits of the result (the finaliser of MurmurHash3).
inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

/// Counts the cases that fail and keeps the first, so that a sweep costs no assertion a case.
class tally {
 public:
  void add(bool good, std::uint64_t which) {
    if (!good && failures_++ == 0) {
      first_ = which;
    }
  }
  void add(const tally& other) {
    first_ = failures_ == 0 ? other.first_ : first_;
    failures_ += other.failures_;
  }
  std::uint64_t failures() const { return failures_; }
  std::uint64_t first() const { return first_; }

 private:
  std::uint64_t failures_ = 0;
  std::uint64_t first_ = 0;
};

/// body(first, last) over [0, n) in as many parts as there are processors, their tallies added.
template <class Body>
tally in_parallel(std::uint64_t n, Body body) {
  const std::uint64_t parts = std::thread::hardware_concurrency() > 0 ? std::thread::hardware_concurrency() : 1;
  std::vector<tally> results(parts);
  std::vector<std::thread> threads;
  for (std::uint64_t part = 0; part < parts; ++part) {
    threads.emplace_back([&, part] { results[part] = body(n * part / parts, n * (part + 1) / parts); });
  }
  tally sum;
  for (std::uint64_t part = 0; part < parts; ++part) {
    threads[part].join();
    sum.add(results[part]);
  }
  return sum;
}

/// good(code) for 32-bit codes.
template <class Good>
tally sweep_32(extent visited, Good good) {
  if (visited == extent::whole) {
    return in_parallel(std::uint64_t{1} << 32, [&](std::uint64_t first, std::uint64_t last) {
      tally result;
      for (std::uint64_t code = first; code < last; ++code) {
        result.add(good(static_cast<std::uint32_t>(code)), code);
      }
      return result;
    });
  }
  tally result;
  for (std::uint64_t block = 0; block < (std::uint64_t{1} << 26); ++block) {
    // Another offset in every block of 64: a constant one would visit only midpoints, or none.
    const std::uint64_t code = block * 64 + (block * 0x9e3779b97f4a7c15u >> 58);
    result.add(good(static_cast<std::uint32_t>(code)), code);
  }
  return result;
}

/// good(a, b) for pairs of 16-bit codes; the sample can be made smaller by a factor.
template <class Good>
tally sweep_pairs(extent visited, std::uint32_t thinner, Good good) {
  const std::uint32_t step = visited == extent::whole ? 1 : 64 * thinner;
  const auto rows = [&](std::uint64_t first, std::uint64_t last) {
    tally result;
    for (std::uint64_t a = first; a < last; ++a) {
      for (std::uint64_t b = mix(a) % step; b < 0x10000; b += step) {
        result.add(good(static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b)), a << 16 | b);
      }
    }
    return result;
  };
  return visited == extent::whole ? in_parallel(0x10000, rows) : rows(0, 0x10000);
}

}  // namespace numeric_test

/// Makes the next test case one that runs only when asked for by its label (`./dev test --full`).
#define NUMERIC_FULL BOOST_TEST_DECORATOR(*boost::unit_test::disabled() * boost::unit_test::label("full"))

/// Fails with the number of bad cases and the first of them.
#define NUMERIC_CHECK_TALLY(...)                                                                                        \
  do {                                                                                                                  \
    const numeric_test::tally counted = __VA_ARGS__;                                                                    \
    BOOST_CHECK_MESSAGE(counted.failures() == 0, counted.failures()                                                     \
                                                     << " cases fail, the first is 0x" << std::hex << counted.first()); \
  } while (false)
