// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Prints the tables of docs/explanation/numbers.md: what rounding twice costs, and which library's 16-bit types do it. It counts
/// wrong results against intervals of doubles, which hold all values and midpoints of these formats exactly. double_rounding.py
/// prints the rows of Python's libraries.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tessera/numeric.hpp"
#if __has_include(<Eigen/Core>)
#include <Eigen/Core>
#define WITH_EIGEN 1
#else
#define WITH_EIGEN 0
#endif
#if __has_include(<cuda_fp16.h>) && __has_include(<cuda_bf16.h>)
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define WITH_CUDA 1
#else
#define WITH_CUDA 0
#endif

namespace {

using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;

/// A format as a list of the midpoints above its magnitudes.
struct midpoints {
  midpoints(int exponent_bits, int mantissa_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int past = ((1 << exponent_bits) - 1) << mantissa_bits;
    const int hidden = 1 << mantissa_bits;
    for (int code = 0; code < past; ++code) {
      const int exponent = code >> mantissa_bits;
      const int significand = exponent == 0 ? code : code % hidden + hidden;
      above.push_back(std::ldexp(significand + 0.5, (exponent == 0 ? 1 : exponent) - bias - mantissa_bits));
    }
  }

  /// Whether a code is x + rest to nearest, ties to even; x is that sum rounded to double. Any zero is right for 0.
  bool right(std::uint32_t code, double x, double rest = 0) const {
    const std::uint32_t magnitude = code & 0x7fff;
    const auto order = [&](double middle) {  // the sign of |x + rest| - middle
      const double past = std::fabs(x) - middle;
      return past != 0 ? past : x < 0 ? -rest : rest;
    };
    if (magnitude > above.size() || (x != 0 && (code >> 15 != 0) != (x < 0))) return false;
    const double low = magnitude == 0 ? 1 : order(above[magnitude - 1]);
    const double high = magnitude == above.size() ? -1 : order(above[magnitude]);
    return code % 2 == 0 ? low >= 0 && high <= 0 : low > 0 && high < 0;
  }

  std::vector<double> above;
};

const midpoints half_format(5, 10);
const midpoints brain_format(8, 7);

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
  return x ^ (x >> 33);
}

template <class To, class From>
To bits(From x) {
  return __builtin_bit_cast(To, x);
}

struct count {
  std::uint64_t wrong = 0;
  std::uint64_t of = 0;
  void add(bool good) {
    wrong += good ? 0 : 1;
    ++of;
  }
};

/// 16,256
std::string grouped(std::uint64_t n) {
  std::string text;
  const std::string digits = std::to_string(n);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string show(count c) { return grouped(c.wrong) + " of " + grouped(c.of); }

/// code(x) for doubles just beside every midpoint between finite values.
template <class Code>
count doubles(const midpoints& format, Code code) {
  count result;
  for (std::size_t i = 0; i + 1 < format.above.size(); ++i) {
    for (const double x : {format.above[i] * (1 - 0x1p-40), format.above[i] * (1 + 0x1p-40)})
      result.add(format.right(code(x), x));
  }
  return result;
}

/// code(n) for the integers below 2^16, and for those within 200 of every midpoint from 2^24 to 2^31.
template <class Code>
count integers(const midpoints& format, Code code) {
  count result;
  for (std::int32_t n = 0; n < 1 << 16; ++n) result.add(format.right(code(n), n));
  for (const double middle : format.above) {
    if (middle < 0x1p24 || middle >= 0x1p31) continue;
    for (int d = -200; d <= 200; ++d) {
      const double x = middle + d;
      if (x < 0x1p31) result.add(format.right(code(static_cast<std::int32_t>(x)), x));
    }
  }
  return result;
}

/// code(n) for the integers within 3 of every midpoint from 2^54 to 2^63, most of which are no doubles.
template <class Code>
count long_integers(const midpoints& format, Code code) {
  count result;
  for (const double middle : format.above) {
    if (middle < 0x1p54 || middle >= 0x1p63) continue;
    for (int d = -3; d <= 3; ++d) result.add(format.right(code(static_cast<std::int64_t>(middle) + d), middle, d));
  }
  return result;
}

/// code(a, b, c) for triples of random finite codes.
template <class T, class Code>
count products(const midpoints& format, Code code) {
  count result;
  const auto finite = [&](std::uint64_t random) {
    const auto raw = static_cast<std::uint16_t>(random);
    return static_cast<std::uint16_t>((raw & 0x7fffu) % format.above.size() | (raw & 0x8000u));
  };
  for (std::uint64_t i = 0; i < 1u << 26; ++i) {
    const std::uint64_t random = mix(i + 1);
    const T a = T::from_bits(finite(random));
    const T b = T::from_bits(finite(random >> 16));
    const T c = T::from_bits(finite(random >> 32));
    const double product = static_cast<double>(a) * static_cast<double>(b);  // exact
    const double addend = static_cast<double>(c);
    const double sum = product + addend;
    const double part = sum - product;
    const double rest = (product - (sum - part)) + (addend - part);
    result.add(format.right(code(a, b, c), sum, rest));
  }
  return result;
}

/// NaN floats: how many are none afterwards, and how many lose their sign.
template <class Code>
std::string nans(const midpoints& format, Code code) {
  count lost;
  count turned;
  for (std::uint32_t payload = 1; payload < 0x800000; ++payload) {
    for (const std::uint32_t sign : {0u, 0x80000000u}) {
      const std::uint32_t got = code(bits<float>(sign | 0x7f800000u | payload));
      const bool nan = (got & 0x7fff) > format.above.size();
      lost.add(nan);
      turned.add(!nan || got >> 15 == sign >> 31);
    }
  }
  return "lost " + grouped(lost.wrong) + ", sign of " + grouped(turned.wrong);
}

/// Which members of std::numeric_limits contradict the values of the type.
template <class T>
std::string limits([[maybe_unused]] int digits, [[maybe_unused]] int min_exponent) {
  using limit = std::numeric_limits<T>;
  if constexpr (!limit::is_specialized) {
    return "none";
  } else {
    std::string wrong;
    const auto expect = [&](bool good, const char* name) { wrong += good ? "" : std::string(wrong.empty() ? "" : ", ") + name; };
    const auto value = [](T x) { return static_cast<double>(static_cast<float>(x)); };
    expect(limit::digits == digits, "digits");
    expect(value((limit::min)()) == std::ldexp(1.0, min_exponent), "min");
    expect(value(limit::epsilon()) == std::ldexp(1.0, 1 - digits), "epsilon");
    expect(value(limit::round_error()) == 0.5, "round_error");
    expect(std::isinf(value(limit::infinity())), "infinity");
    expect(std::isnan(value(limit::quiet_NaN())), "quiet_NaN");
    expect(std::isnan(value(limit::signaling_NaN())), "signaling_NaN");
    return wrong.empty() ? "right" : "wrong: " + wrong;
  }
}

template <class T>
std::string zeros() {
  if constexpr (requires(T x) { std::hash<T>()(x); }) {
    const T plus = bits<T>(std::uint16_t{0});
    const T minus = bits<T>(std::uint16_t{0x8000});
    return std::hash<T>()(plus) == std::hash<T>()(minus) ? "alike" : "apart";
  } else {
    return "none";
  }
}

/// A row of the table of types: T made from a number by static_cast.
template <class T>
void row(const char* name, const midpoints& format, const char* format_name, int digits, int min_exponent) {
  const auto code = [](auto x) -> std::uint32_t { return bits<std::uint16_t>(static_cast<T>(x)); };
  std::printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", name, format_name, grouped(doubles(format, code).wrong).c_str(),
              grouped(integers(format, code).wrong).c_str(), grouped(long_integers(format, code).wrong).c_str(),
              nans(format, code).c_str(), zeros<T>().c_str(), limits<T>(digits, min_exponent).c_str());
  std::fflush(stdout);
}

void fact(const char* operation, const char* way, count c) {
  std::printf("| %s | %s | %s |\n", operation, way, show(c).c_str());
  std::fflush(stdout);
}

template <class T>
void facts_of(const char* name, const midpoints& format) {
  const auto label = [&](const char* text) { return std::string(text) + name; };
  const auto code = [](auto x) -> std::uint32_t { return T(x).bits; };
  fact(label("float64 to ").c_str(), "float32", doubles(format, [&](double x) { return code(static_cast<float>(x)); }));
  fact(label("float64 to ").c_str(), "once", doubles(format, code));
  fact(label("int32 to ").c_str(), "float32", integers(format, [&](std::int32_t n) { return code(static_cast<float>(n)); }));
  fact(label("int32 to ").c_str(), "once", integers(format, code));
  if (format.above.back() > 0x1p63) {  // in float16 they all overflow
    fact(label("int64 to ").c_str(), "float64",
         long_integers(format, [&](std::int64_t n) { return code(static_cast<double>(n)); }));
    fact(label("int64 to ").c_str(), "once", long_integers(format, code));
  }
  const auto fma_in = [&](auto zero) {
    using real = decltype(zero);
    return products<T>(format, [&](T a, T b, T c) {
      return code(std::fma(static_cast<real>(static_cast<float>(a)), static_cast<real>(static_cast<float>(b)),
                           static_cast<real>(static_cast<float>(c))));
    });
  };
  fact(label("fma in ").c_str(), "float32", fma_in(0.0f));
  fact(label("fma in ").c_str(), "float64", fma_in(0.0));
  fact(label("fma in ").c_str(), "tessera::fma",
       products<T>(format, [](T a, T b, T c) -> std::uint32_t { return fma(a, b, c).bits; }));
}

/// float32 to e4m3 by way of float16: beside the midpoints of e4m3 the first rounding makes a tie.
count through_half() {
  count result;
  for (std::uint32_t code = 0; code < float8_e4m3::format::max_finite; ++code) {
    const auto value = [](std::uint32_t c) { return static_cast<float>(float8_e4m3::from_bits(static_cast<std::uint8_t>(c))); };
    const float middle = (value(code) + value(code + 1)) / 2;
    const auto middle_code = bits<std::uint32_t>(middle);
    result.add(static_cast<float8_e4m3>(float16(bits<float>(middle_code - 1))).bits == code);
    result.add(static_cast<float8_e4m3>(float16(bits<float>(middle_code + 1))).bits == code + 1);
  }
  return result;
}

}  // namespace

int main() {
  std::printf("| operation | rounded before, or how | wrong |\n| --- | --- | --- |\n");
  facts_of<float16>("float16", half_format);
  facts_of<bfloat16>("bfloat16", brain_format);
  fact("float32 to e4m3", "float16", through_half());

  std::string missing;
  std::printf(
      "\n| type | format | from float64 | from int32 | from int64 | NaN from float32 | hash of the zeros | numeric_limits |\n");
  std::printf("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
  row<float16>("`tessera::float16`", half_format, "float16", 11, -14);
#if WITH_EIGEN
  const std::string eigen = " " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                            std::to_string(EIGEN_MINOR_VERSION);
  row<Eigen::half>(("`Eigen::half`" + eigen).c_str(), half_format, "float16", 11, -14);
#else
  missing += " Eigen";
#endif
#if WITH_CUDA
  const std::string cuda = " " + std::to_string(CUDA_VERSION / 1000) + "." + std::to_string(CUDA_VERSION % 1000 / 10) + ", host";
  row<__half>(("`__half`" + cuda).c_str(), half_format, "float16", 11, -14);
#else
  missing += " CUDA";
#endif
#if defined(__clang__)
  const std::string compiler = " clang " + std::to_string(__clang_major__);
#else
  const std::string compiler = " gcc " + std::to_string(__GNUC__);
#endif
#if defined(__FLT16_MANT_DIG__) && (!defined(__clang__) || __clang_major__ >= 15)
  row<_Float16>(("`_Float16`" + compiler).c_str(), half_format, "float16", 11, -14);
#else
  missing += " _Float16";
#endif
  row<bfloat16>("`tessera::bfloat16`", brain_format, "bfloat16", 8, -126);
#if WITH_EIGEN
  row<Eigen::bfloat16>(("`Eigen::bfloat16`" + eigen).c_str(), brain_format, "bfloat16", 8, -126);
#endif
#if WITH_CUDA
  row<__nv_bfloat16>(("`__nv_bfloat16`" + cuda).c_str(), brain_format, "bfloat16", 8, -126);
#endif
#if defined(__STDCPP_BFLOAT16_T__)
  row<decltype(0.0bf16)>(("`std::bfloat16_t`" + compiler).c_str(), brain_format, "bfloat16", 8, -126);
#else
  missing += " std::bfloat16_t";
#endif
  std::printf("\nMissing here:%s\n", missing.empty() ? " nothing" : missing.c_str());
}
