// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The cosines and sines of rotary position embedding, right to float32 at any position.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/trigonometric.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

struct rotary_frequencies {
  double base = 10000;              ///< theta_m = base^(-2 m / dims)
  double factor = 1;                ///< positions are divided by it: linear interpolation
  std::int64_t first_position = 0;  ///< of row 0
};

namespace detail {

/// high + low, of twice the digits.
struct two_doubles {
  double high;
  double low;
};

TESSERA_ALWAYS_INLINE two_doubles renormalized(double high, double low) {
  const double sum = high + low;
  return {sum, low - (sum - high)};
}

TESSERA_ALWAYS_INLINE two_doubles product(two_doubles a, two_doubles b) {
  double high;
  double low;
  tessera::detail::exact_product(a.high, b.high, high, low);
  return renormalized(high, low + (a.high * b.low + a.low * b.high));
}

TESSERA_ALWAYS_INLINE two_doubles quotient(two_doubles a, double b) {
  const double high = a.high / b;
  double whole;
  double lost;
  tessera::detail::exact_product(high, b, whole, lost);
  return renormalized(high, ((a.high - whole) - lost + a.low) / b);
}

/// base^(-1 / n), by one step of Newton from what doubles give.
TESSERA_ALWAYS_INLINE two_doubles inverse_root(double base, std::int64_t n) {
  const double root = std::pow(base, -1.0 / static_cast<double>(n));
  two_doubles power{base, 0};  // base root^n, to be 1
  two_doubles square{root, 0};
  for (std::int64_t rest = n; rest > 0; rest /= 2) {
    if (rest % 2 != 0) power = product(power, square);
    square = product(square, square);
  }
  const double beyond = (power.high - 1) + power.low;
  return renormalized(root, -root * beyond / static_cast<double>(n));
}

/// Frequencies theta = coarse + fine + finer; products of coarse with positions below 2^31 are exact.
struct split_frequencies {
  double* coarse;  ///< [pairs]
  double* fine;    ///< [pairs]
  double* finer;   ///< [pairs]

  split_frequencies(tessera::detail::bump& memory, std::int64_t pairs)
      : coarse(memory.take<double>(pairs)), fine(memory.take<double>(pairs)), finer(memory.take<double>(pairs)) {}
};

TESSERA_ALWAYS_INLINE void fill_frequencies(const split_frequencies& to, std::int64_t pairs, const rotary_frequencies& of) {
  if (pairs == 0) return;
  const two_doubles step = inverse_root(of.base, pairs);
  two_doubles power{1, 0};
  for (std::int64_t m = 0; m < pairs; ++m) {
    const two_doubles theta = quotient(power, of.factor);
    constexpr std::uint64_t leading = ~((std::uint64_t{1} << 31) - 1);  // 22 bits
    to.coarse[m] = __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, theta.high) & leading);
    to.fine[m] = theta.high - to.coarse[m];
    to.finer[m] = theta.low;
    power = product(power, step);
  }
}

/// One position's row of both tables.
template <class P>
TESSERA_NOINLINE void fill_position(float* cos_row, float* sin_row, const split_frequencies& theta, std::int64_t pairs,
                                    double position) {
  const P place(position);
  for (std::int64_t m = 0; m < pairs; m += P::lanes) {
    const int n = static_cast<int>(pairs - m < P::lanes ? pairs - m : P::lanes);
    const P whole = place * simd::load_partial<P>(theta.coarse + m, n);
    const P part = place * simd::load_partial<P>(theta.fine + m, n);
    const P angle = whole + part;
    const P rest = fma(place, simd::load_partial<P>(theta.finer + m, n), part - (angle - whole));
    P sine;
    P cosine;
    sincos(angle, sine, cosine);
    // cos(angle + rest), sin(angle + rest): the rest is below 2^-22.
    simd::store_partial(cos_row + m, n, fma(-rest, sine, cosine));
    simd::store_partial(sin_row + m, n, fma(rest, cosine, sine));
  }
}

}  // namespace detail

/// cos[p, m] = cos((first_position + p) theta_m / factor), sin likewise, theta_m = base^(-2 m / dims).
///
/// Shapes          cos, sin [positions, dims / 2], rows contiguous
/// Range           base and factor from 1e-30 to 1e30; positions from 0 to 2^31 - 1
/// Accuracy        |error| <= (1 + 2^-20) u |exact| + 2^-43 (2^-60 below position 2^20) with u = 2^-24: angles are computed with twice the
///                 digits of float64 and reduced with as many as it takes. Programs that multiply positions and frequencies in float32
///                 are wrong by up to 0.07 at position 2^20, and their tables differ from these. test/attention/rotary_tables.cpp
/// Cost            2 ns a position and pair with AVX-512, 25 without FMA; scratch: 3 doubles a column
/// Determinism     the same bits for any executor and number of threads
/// Errors          argument_error before anything is written: shapes, null data, strides, overlap, what is out of range
template <executor Exec>
void fill_rotary_tables(const Exec& exec, const view<float, 2>& cos, const view<float, 2>& sin,
                        const rotary_frequencies& of = {}) {
  using P = simd::pack<double, typename Exec::arch>;
  using tessera::detail::expects;
  const char* const function = "attention::fill_rotary_tables";
  tessera::detail::check_output(cos, function, "cos");
  tessera::detail::check_output(sin, function, "sin");
  expects(
      sin.extent(0) == cos.extent(0) && sin.extent(1) == cos.extent(1), function, "sin",
      [&] { return "shape " + tessera::detail::shape(sin); }, "needs the shape of cos");
  tessera::detail::check_disjoint(sin, cos, function, "sin", "cos");
  const auto in_range = [](double x) { return x >= 1e-30 && x <= 1e30; };
  expects(
      in_range(of.base), function, "base", [&] { return tessera::detail::number(of.base); }, "needs a number from 1e-30 to 1e30");
  expects(
      in_range(of.factor), function, "factor", [&] { return tessera::detail::number(of.factor); },
      "needs a number from 1e-30 to 1e30");
  constexpr std::int64_t end = std::int64_t{1} << 31;
  expects(
      of.first_position >= 0 && of.first_position <= end && cos.extent(0) <= end - of.first_position, function, "first_position",
      [&] { return std::to_string(cos.extent(0)) + " rows from position " + std::to_string(of.first_position); },
      "needs positions from 0 to 2^31 - 1");

  const std::int64_t pairs = cos.extent(1);
  tessera::detail::bump size;
  detail::split_frequencies(size, pairs);
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  tessera::detail::bump cut(memory.data());
  const detail::split_frequencies theta(cut, pairs);
  detail::fill_frequencies(theta, pairs, of);
  constexpr std::int64_t most = 16;  // rows that are one piece of work
  tessera::detail::for_each_worth(
      exec, 50 * static_cast<double>(cos.size()), (cos.extent(0) + most - 1) / most, [&](int, std::int64_t item) {
        for (std::int64_t p = item * most; p < cos.extent(0) && p < (item + 1) * most; ++p) {
          detail::fill_position<P>(cos.data_handle() + p * cos.stride(0), sin.data_handle() + p * sin.stride(0), theta, pairs,
                                   static_cast<double>(of.first_position + p));
        }
      });
}

}  // namespace tessera::attention
