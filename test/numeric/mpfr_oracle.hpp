// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The correctly rounded value of every one-argument function on a 16-bit format, by MPFR.
///
/// A function that MPFR has is computed there with the precision and the exponents of the format, which is one rounding. The others are
/// computed with 320 bits and rounded after; none of them can be within 2^-280 of a midpoint but where it is 0 or infinite.
#pragma once

#include <mpfr.h>

#include <cmath>
#include <cstdint>

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace numeric_test {

class mpfr_oracle {
 public:
  mpfr_oracle(int exponent_bits, int mantissa_bits)
      : mantissa_bits_(mantissa_bits), bias_((1 << (exponent_bits - 1)) - 1), sign_(1u << (exponent_bits + mantissa_bits)) {
    mpfr_inits2(320, x_, y_, z_, static_cast<mpfr_ptr>(nullptr));
    mpfr_init2(result_, mantissa_bits + 1);
  }
  mpfr_oracle(const mpfr_oracle&) = delete;
  mpfr_oracle& operator=(const mpfr_oracle&) = delete;
  ~mpfr_oracle() { mpfr_clears(x_, y_, z_, result_, static_cast<mpfr_ptr>(nullptr)); }

  /// The positive quiet NaN without payload; every NaN is returned as this.
  std::uint32_t nan() const { return sign_ - (1u << (mantissa_bits_ - 1)); }

  /// A function of MPFR: f(result, x, rounding).
  using mpfr_function = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);
  std::uint32_t operator()(mpfr_function f, std::uint32_t code) {
    set(code);
    return rounded([&] { return f(result_, x_, MPFR_RNDN); });
  }

  /// A function that MPFR lacks: f(*this) makes y() of x() by the 320-bit functions.
  using composed_function = void (*)(mpfr_oracle&);
  std::uint32_t operator()(composed_function f, std::uint32_t code) {
    set(code);
    f(*this);
    return rounded([&] { return mpfr_set(result_, y_, MPFR_RNDN); });
  }

  /// x itself, rounded.
  std::uint32_t narrowed(float x) {
    mpfr_set_flt(x_, x, MPFR_RNDN);
    return rounded([&] { return mpfr_set(result_, x_, MPFR_RNDN); });
  }

  /// The value of a code, exactly.
  double value(std::uint32_t code) {
    set(code);
    return mpfr_get_d(x_, MPFR_RNDN);
  }

  mpfr_ptr x() { return x_; }
  mpfr_ptr y() { return y_; }
  mpfr_ptr z() { return z_; }

 private:
  void set(std::uint32_t code) {
    const std::uint32_t exponent = (code & (sign_ - 1)) >> mantissa_bits_;
    const std::uint32_t mantissa = code & ((1u << mantissa_bits_) - 1);
    if (exponent == (sign_ - 1) >> mantissa_bits_) {
      mantissa == 0 ? mpfr_set_inf(x_, 1) : mpfr_set_nan(x_);
    } else if (exponent == 0) {
      mpfr_set_ui_2exp(x_, mantissa, 1 - bias_ - mantissa_bits_, MPFR_RNDN);
    } else {
      mpfr_set_ui_2exp(x_, mantissa + (1u << mantissa_bits_), static_cast<int>(exponent) - bias_ - mantissa_bits_, MPFR_RNDN);
    }
    mpfr_setsign(x_, x_, (code & sign_) != 0, MPFR_RNDN);
  }

  template <class F>
  std::uint32_t rounded(F f) {
    const mpfr_exp_t emin = mpfr_get_emin();
    const mpfr_exp_t emax = mpfr_get_emax();
    mpfr_set_emin(2 - bias_ - mantissa_bits_);  // MPFR's significands are below 1
    mpfr_set_emax(bias_ + 1);
    int ternary = f();
    ternary = mpfr_check_range(result_, ternary, MPFR_RNDN);
    mpfr_subnormalize(result_, ternary, MPFR_RNDN);
    const std::uint32_t code = code_of_result();
    mpfr_set_emin(emin);
    mpfr_set_emax(emax);
    return code;
  }

  std::uint32_t code_of_result() const {
    if (mpfr_nan_p(result_)) return nan();
    const std::uint32_t sign = mpfr_signbit(result_) ? sign_ : 0;
    if (mpfr_inf_p(result_)) return sign | ((sign_ - 1) >> mantissa_bits_ << mantissa_bits_);
    if (mpfr_zero_p(result_)) return sign;
    int exponent = 0;
    const double significand = std::frexp(std::fabs(mpfr_get_d(result_, MPFR_RNDN)), &exponent);
    const int biased = exponent - 1 + bias_;
    if (biased <= 0) {
      return sign | static_cast<std::uint32_t>(std::ldexp(significand, exponent - 1 + bias_ + mantissa_bits_));
    }
    const auto mantissa = static_cast<std::uint32_t>(std::ldexp(significand, mantissa_bits_ + 1)) - (1u << mantissa_bits_);
    return sign | (static_cast<std::uint32_t>(biased) << mantissa_bits_ | mantissa);
  }

  int mantissa_bits_;
  int bias_;
  std::uint32_t sign_;
  mpfr_t x_;
  mpfr_t y_;
  mpfr_t z_;
  mpfr_t result_;
};

/// The oracle of a type; the field widths are written down here, too, so that nothing is taken from the library but the type's name.
template <class T>
mpfr_oracle& mpfr_oracle_of();

template <>
inline mpfr_oracle& mpfr_oracle_of<tessera::float16>() {
  static mpfr_oracle instance(5, 10);
  return instance;
}

template <>
inline mpfr_oracle& mpfr_oracle_of<tessera::bfloat16>() {
  static mpfr_oracle instance(8, 7);
  return instance;
}

/// The functions that MPFR lacks, or defines otherwise at a zero or an infinity.
struct composed {
  /// 1 / (1 + e^-x)
  static void sigmoid(mpfr_oracle& o) {
    mpfr_neg(o.z(), o.x(), MPFR_RNDN);
    mpfr_exp(o.z(), o.z(), MPFR_RNDN);
    mpfr_add_ui(o.z(), o.z(), 1, MPFR_RNDN);
    mpfr_ui_div(o.y(), 1, o.z(), MPFR_RNDN);
  }
  /// x sigmoid(x); -0, its limit, at -inf
  static void silu(mpfr_oracle& o) {
    if (mpfr_inf_p(o.x()) && mpfr_sgn(o.x()) < 0) return mpfr_set_zero(o.y(), -1);
    sigmoid(o);
    mpfr_mul(o.y(), o.y(), o.x(), MPFR_RNDN);
  }
  /// x (1 + erf(x / sqrt 2)) / 2; -0, its limit, at -inf
  static void gelu(mpfr_oracle& o) {
    if (mpfr_inf_p(o.x()) && mpfr_sgn(o.x()) < 0) return mpfr_set_zero(o.y(), -1);
    mpfr_sqrt_ui(o.z(), 2, MPFR_RNDN);
    mpfr_div(o.z(), o.x(), o.z(), MPFR_RNDN);
    mpfr_neg(o.z(), o.z(), MPFR_RNDN);
    mpfr_erfc(o.y(), o.z(), MPFR_RNDN);
    mpfr_mul(o.y(), o.y(), o.x(), MPFR_RNDN);
    mpfr_div_2ui(o.y(), o.y(), 1, MPFR_RNDN);
  }
  /// log(1 + e^x)
  static void softplus(mpfr_oracle& o) {
    mpfr_abs(o.z(), o.x(), MPFR_RNDN);
    mpfr_neg(o.z(), o.z(), MPFR_RNDN);
    mpfr_exp(o.z(), o.z(), MPFR_RNDN);
    mpfr_log1p(o.y(), o.z(), MPFR_RNDN);
    if (!mpfr_nan_p(o.x()) && mpfr_sgn(o.x()) > 0) mpfr_add(o.y(), o.y(), o.x(), MPFR_RNDN);
  }
  /// 1 / sqrt(x); -inf at -0, as IEEE 754 has it
  static void rsqrt(mpfr_oracle& o) {
    mpfr_rec_sqrt(o.y(), o.x(), MPFR_RNDN);
    if (mpfr_zero_p(o.x()) && mpfr_signbit(o.x())) mpfr_set_inf(o.y(), -1);
  }
};

}  // namespace numeric_test
