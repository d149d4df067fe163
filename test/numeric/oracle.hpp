// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What correct rounding means, written apart from the code under test, and the sweeps that it is asked about.
///
/// The oracle holds, for every code of a format, its value and the midpoint above it, and says from them which interval of real
/// numbers rounds to the code in each mode. All of them are exact doubles. It shares no constant with the library.
#pragma once

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "tessera/numeric.hpp"

namespace numeric_test {

/// What stands at the end of a format: infinity and NaNs, one NaN, or nothing.
enum class top { ieee, one_nan, none };

class oracle {
 public:
  oracle(int exponent_bits, int mantissa_bits, top specials = top::ieee)
      : specials_(specials), mantissa_bits_(mantissa_bits), sign_(1u << (exponent_bits + mantissa_bits)) {
    past_ = specials == top::ieee ? ((1u << exponent_bits) - 1) << mantissa_bits : specials == top::one_nan ? sign_ - 1 : sign_;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    for (std::uint32_t code = 0; code <= past_ + 1; ++code) {  // the code past the largest gets the value that would come next
      const int exponent = static_cast<int>(code >> mantissa_bits);
      const double mantissa = code & ((1u << mantissa_bits) - 1);
      value_.push_back(exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                     : std::ldexp(mantissa + std::ldexp(1.0, mantissa_bits), exponent - bias - mantissa_bits));
    }
    for (std::uint32_t code = 0; code <= past_; ++code) {
      middle_.push_back((value_[code] + value_[code + 1]) / 2);
    }
    value_[past_] = std::numeric_limits<double>::infinity();
  }

  /// The code after the largest finite one: infinity, or the NaN of a format without.
  std::uint32_t past() const { return past_; }
  std::uint32_t infinity() const { return past_; }
  std::uint32_t sign() const { return sign_; }
  std::uint32_t codes() const { return 2 * sign_; }
  int mantissa_bits() const { return mantissa_bits_; }
  top specials() const { return specials_; }

  bool is_nan(std::uint32_t code) const {
    const std::uint32_t magnitude = code & (sign_ - 1);
    return specials_ == top::ieee ? magnitude > past_ : magnitude == past_;
  }

  /// The value of a code.
  double value(std::uint32_t code) const {
    if (is_nan(code)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    return (code & sign_) != 0 ? -value_[code & (sign_ - 1)] : value_[code];
  }
  double largest() const { return value_[past_ - 1]; }

  /// The midpoint above a magnitude that is finite.
  double midpoint(std::uint32_t code) const { return middle_[code]; }

  /// Whether `code` is x, an exact number, correctly rounded (the sign kept by zeros; any NaN for NaN).
  bool rounds_to(std::uint32_t code, double x, tessera::rounding mode = tessera::rounding::nearest_even,
                 tessera::overflow over = tessera::overflow::ieee) const {
    if (std::isnan(x)) {
      return specials_ == top::none ? code == past_ - 1 : is_nan(code);
    }
    const double size = std::fabs(x);
    return follows(code, std::signbit(x), mode, over, [size](double y) { return size < y ? -1 : size > y ? 1 : 0; });
  }

  /// The same for an integer magnitude, of which double cannot hold each.
  bool rounds_to(std::uint32_t code, bool negative, std::uint64_t size, tessera::rounding mode = tessera::rounding::nearest_even,
                 tessera::overflow over = tessera::overflow::ieee) const {
    return follows(code, negative, mode, over, [size](double y) { return compare(size, y); });
  }

  /// The same for any number that is told by the sign of the difference of its magnitude and a double.
  template <class Compare>
  bool follows(std::uint32_t code, bool negative, tessera::rounding mode, tessera::overflow over, Compare size_minus) const {
    using tessera::rounding;
    const std::uint32_t m = code & (sign_ - 1);
    if (m > past_ || (code & ~(2 * sign_ - 1)) != 0 || negative != ((code & sign_) != 0)) {
      return false;
    }
    if (over == tessera::overflow::saturate || specials_ == top::none) {
      const bool large = size_minus(largest()) >= 0;
      if (large || m >= past_) {
        return large && m == past_ - 1;
      }
    }
    // The numbers that become m, by the values of m and its neighbours and the midpoints between.
    const auto above = [&](double y) { return size_minus(y) > 0; };
    const auto below = [&](double y) { return size_minus(y) < 0; };
    const double lower = m == 0 ? -1 : value_[m - 1];
    const double upper = m == past_ ? std::numeric_limits<double>::quiet_NaN() : value_[m + 1];
    const bool is_value = size_minus(value_[m]) == 0;
    if ((mode == rounding::upward && negative) || (mode == rounding::downward && !negative)) {
      mode = rounding::toward_zero;
    }
    switch (mode) {
      case rounding::nearest_even: {
        const bool even = m % 2 == 0;
        const bool low = m == 0 || above(middle_[m - 1]) || (even && !below(middle_[m - 1]));
        return low && (m == past_ || below(middle_[m]) || (even && !above(middle_[m])));
      }
      case rounding::nearest_away:
        return (m == 0 || !below(middle_[m - 1])) && (m == past_ || below(middle_[m]));
      case rounding::toward_zero:
        return is_value || (m != past_ && above(value_[m]) && below(upper));
      case rounding::to_odd:
        if (m % 2 == 0) {
          return is_value;
        }
        return m == past_ ? above(lower) : above(lower) && below(upper);
      default:  // away from zero
        return is_value || (above(lower) && below(value_[m]));
    }
  }

 private:
  /// The sign of n - x, exactly.
  static int compare(std::uint64_t n, double x) {
    if (x < 0 || x >= 18446744073709551616.0) {
      return x < 0 ? 1 : -1;
    }
    const auto whole = static_cast<std::uint64_t>(x);
    if (n != whole) {
      return n < whole ? -1 : 1;
    }
    return x > std::floor(x) ? -1 : 0;
  }

  top specials_;
  int mantissa_bits_;
  std::uint32_t past_;
  std::uint32_t sign_;
  std::vector<double> value_;
  std::vector<double> middle_;
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

template <>
inline const oracle& oracle_of<tessera::float8_e4m3>() {
  static const oracle instance(4, 3, top::one_nan);
  return instance;
}

template <>
inline const oracle& oracle_of<tessera::float8_e5m2>() {
  static const oracle instance(5, 2);
  return instance;
}

template <>
inline const oracle& oracle_of<tessera::float4_e2m1>() {
  static const oracle instance(2, 1, top::none);
  return instance;
}

/// An odd 16-bit format, which shows that the template depends on nothing but the format.
struct middle_format : tessera::ieee_format<std::uint16_t, 6, 9> {};
using middle = tessera::small_float<middle_format>;

template <>
inline const oracle& oracle_of<middle>() {
  static const oracle instance(6, 9);
  return instance;
}

using sixteen_bits = boost::mpl::list<tessera::float16, tessera::bfloat16>;
using eight_bits = boost::mpl::list<tessera::float8_e4m3, tessera::float8_e5m2>;
using four_types = boost::mpl::list<tessera::float16, tessera::bfloat16, tessera::float8_e4m3, tessera::float8_e5m2>;
using all_formats = boost::mpl::list<tessera::float16, tessera::bfloat16, tessera::float8_e4m3, tessera::float8_e5m2,
                                     tessera::float4_e2m1, middle>;

/// The value of a code, of any unsigned type that holds it.
template <class T>
T of_code(std::uint64_t code) {
  return T::from_bits(static_cast<typename T::bits_type>(code));
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
