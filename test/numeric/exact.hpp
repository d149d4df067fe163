// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Truths of special functions that libm does not have, in double for floats and in long double for doubles, with arguments carried in
/// two parts where a function would multiply the error of one.
#pragma once

#include <cmath>

namespace exact {

/// pi / 4 times k, for k up to 2.
template <class W>
constexpr W quarter_pi = W(0.785398163397448309615660845819875721L);

/// x mod 2 = k / 2 + rest, |rest| <= 1/4, x > 0; all exact.
template <class W>
W half_turns(W x, int& k) {
  const W turn = std::fmod(x, W(2));
  k = static_cast<int>(turn * 2 + W(0.5));
  return turn - static_cast<W>(k) / 2;
}
template <class W>
W sinpi(W x) {
  int k = 0;
  const W r = half_turns(std::fabs(x), k) * (4 * quarter_pi<W>);
  const W s = k % 2 != 0 ? std::cos(r) : std::sin(r);
  return std::copysign(W(1), x) * (k / 2 % 2 != 0 ? -s : s);
}
template <class W>
W cospi(W x) {
  int k = 0;
  const W r = half_turns(std::fabs(x), k) * (4 * quarter_pi<W>);
  const W c = k % 2 != 0 ? -std::sin(r) : std::cos(r);
  return k / 2 % 2 != 0 ? -c : c;
}

/// sqrt(1/2) in two parts; 2 / sqrt(pi).
template <class W>
constexpr W root_half = W(0.707106781186547524400844362104849039L);
template <class W>
constexpr W root_half_low = sizeof(W) == 8 ? W(-4.8336466567264565e-17L) : W(1.8950325588932571e-20L);

/// x / 2 erfc(-x / sqrt(2)), the argument's low part by the derivative of erfc.
template <class W>
W gelu(W x) {
  if (x > 50) return x;
  if (x < -50) return W(-0.0);
  const W y = -x * root_half<W>;
  const W low = std::fma(-x, root_half<W>, -y) - x * root_half_low<W>;
  return x / 2 * (std::erfc(y) - W(1.12837916709551257389615890312154517L) * std::exp(-y * y) * low);
}

/// x / (1 + e^-z), z = 2 sqrt(2/pi) (x + 0.044715 x^3) in two parts.
template <class W>
W gelu_tanh(W x) {
  if (x > 50) return x;
  if (x < -50) return W(-0.0);
  constexpr W c1 = W(1.59576912160573071175978423973752748L);
  constexpr W c1_low = sizeof(W) == 8 ? W(-9.9693088091109203e-17L) : W(5.3511777557204783e-20L);
  constexpr W c3 = W(0.0713548162726002487763387522798635413L);
  constexpr W c3_low = sizeof(W) == 8 ? W(-6.1751499181553155e-19L) : W(-8.750062144008985e-22L);
  const W a = std::fabs(x);
  const W square = a * a;
  const W square_low = std::fma(a, a, -square);
  const W cube = c3 * square;
  const W cube_low = std::fma(c3, square, -cube) + c3 * square_low + c3_low * square;
  const W sum = c1 + cube;
  const W bigger = c1 > cube ? c1 : cube;
  const W smaller = c1 > cube ? cube : c1;
  const W sum_low = smaller - (sum - bigger) + cube_low + c1_low;
  const W z = a * sum;
  const W z_low = std::fma(a, sum, -z) + a * sum_low;
  const W e = std::exp(-z) * (1 - z_low);
  return x < 0 ? x * (e / (1 + e)) : x / (1 + e);
}

}  // namespace exact
