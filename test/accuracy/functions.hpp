// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The functions whose accuracy is measured: what Tessera calls them, what they are in double, and what they are in MPFR.
#pragma once

#include <mpfr.h>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <tuple>

#include "tessera/numeric/function_objects.hpp"
#include "tessera/simd/math.hpp"

namespace accuracy {

/// Each has `of` (ours, of a lane type), `truth` in double (for float32: 29 bits to spare) and in MPFR (for float64), and the interval in which
/// random doubles are drawn. One float in `stride` is tried.
struct exp : tessera::function::exp {
  static constexpr const char* name = "exp";
  static constexpr double low = -746, high = 710;
  static constexpr int stride = 1;
  static double truth(double x) { return std::exp(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_exp(y, x, MPFR_RNDN); }
};

struct exp2 : tessera::function::exp2 {
  static constexpr const char* name = "exp2";
  static constexpr double low = -1076, high = 1024;
  static constexpr int stride = 1;
  static double truth(double x) { return std::exp2(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_exp2(y, x, MPFR_RNDN); }
};

struct exp10 : tessera::function::exp10 {
  static constexpr const char* name = "exp10";
  static constexpr double low = -324, high = 309;
  static constexpr int stride = 7;
  static double truth(double x) { return std::pow(10.0, x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_exp10(y, x, MPFR_RNDN); }
};

struct expm1 : tessera::function::expm1 {
  static constexpr const char* name = "expm1";
  static constexpr double low = -40, high = 710;
  static constexpr int stride = 1;
  static double truth(double x) { return std::expm1(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_expm1(y, x, MPFR_RNDN); }
};

struct log : tessera::function::log {
  static constexpr const char* name = "log";
  static constexpr double low = 0, high = 4;
  static constexpr int stride = 1;
  static double truth(double x) { return std::log(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_log(y, x, MPFR_RNDN); }
};

struct log2 : tessera::function::log2 {
  static constexpr const char* name = "log2";
  static constexpr double low = 0, high = 4;
  static constexpr int stride = 1;
  static double truth(double x) { return std::log2(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_log2(y, x, MPFR_RNDN); }
};

struct log10 : tessera::function::log10 {
  static constexpr const char* name = "log10";
  static constexpr double low = 0, high = 4;
  static constexpr int stride = 7;
  static double truth(double x) { return std::log10(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_log10(y, x, MPFR_RNDN); }
};

struct log1p : tessera::function::log1p {
  static constexpr const char* name = "log1p";
  static constexpr double low = -1, high = 4;
  static constexpr int stride = 1;
  static double truth(double x) { return std::log1p(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_log1p(y, x, MPFR_RNDN); }
};

struct sin : tessera::function::sin {
  static constexpr const char* name = "sin";
  static constexpr double low = -1e+06, high = 1e+06;
  static constexpr int stride = 1;
  static double truth(double x) { return std::sin(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_sin(y, x, MPFR_RNDN); }
};

struct cos : tessera::function::cos {
  static constexpr const char* name = "cos";
  static constexpr double low = -1e+06, high = 1e+06;
  static constexpr int stride = 1;
  static double truth(double x) { return std::cos(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_cos(y, x, MPFR_RNDN); }
};

struct tan : tessera::function::tan {
  static constexpr const char* name = "tan";
  static constexpr double low = -1e+06, high = 1e+06;
  static constexpr int stride = 7;
  static double truth(double x) { return std::tan(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_tan(y, x, MPFR_RNDN); }
};

struct asin : tessera::function::asin {
  static constexpr const char* name = "asin";
  static constexpr double low = -1, high = 1;
  static constexpr int stride = 7;
  static double truth(double x) { return std::asin(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_asin(y, x, MPFR_RNDN); }
};

struct acos : tessera::function::acos {
  static constexpr const char* name = "acos";
  static constexpr double low = -1, high = 1;
  static constexpr int stride = 7;
  static double truth(double x) { return std::acos(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_acos(y, x, MPFR_RNDN); }
};

struct atan : tessera::function::atan {
  static constexpr const char* name = "atan";
  static constexpr double low = -10, high = 10;
  static constexpr int stride = 7;
  static double truth(double x) { return std::atan(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_atan(y, x, MPFR_RNDN); }
};

struct sinh : tessera::function::sinh {
  static constexpr const char* name = "sinh";
  static constexpr double low = -711, high = 711;
  static constexpr int stride = 7;
  static double truth(double x) { return std::sinh(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_sinh(y, x, MPFR_RNDN); }
};

struct cosh : tessera::function::cosh {
  static constexpr const char* name = "cosh";
  static constexpr double low = -711, high = 711;
  static constexpr int stride = 7;
  static double truth(double x) { return std::cosh(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_cosh(y, x, MPFR_RNDN); }
};

struct tanh : tessera::function::tanh {
  static constexpr const char* name = "tanh";
  static constexpr double low = -20, high = 20;
  static constexpr int stride = 1;
  static double truth(double x) { return std::tanh(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_tanh(y, x, MPFR_RNDN); }
};

struct asinh : tessera::function::asinh {
  static constexpr const char* name = "asinh";
  static constexpr double low = -10, high = 10;
  static constexpr int stride = 7;
  static double truth(double x) { return std::asinh(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_asinh(y, x, MPFR_RNDN); }
};

struct acosh : tessera::function::acosh {
  static constexpr const char* name = "acosh";
  static constexpr double low = 1, high = 10;
  static constexpr int stride = 7;
  static double truth(double x) { return std::acosh(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_acosh(y, x, MPFR_RNDN); }
};

struct atanh : tessera::function::atanh {
  static constexpr const char* name = "atanh";
  static constexpr double low = -1, high = 1;
  static constexpr int stride = 7;
  static double truth(double x) { return std::atanh(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_atanh(y, x, MPFR_RNDN); }
};

struct erf : tessera::function::erf {
  static constexpr const char* name = "erf";
  static constexpr double low = -6, high = 6;
  static constexpr int stride = 1;
  static double truth(double x) { return std::erf(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_erf(y, x, MPFR_RNDN); }
};

struct erfc : tessera::function::erfc {
  static constexpr const char* name = "erfc";
  static constexpr double low = -6, high = 27.3;
  static constexpr int stride = 1;
  static double truth(double x) { return std::erfc(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_erfc(y, x, MPFR_RNDN); }
};

struct cbrt : tessera::function::cbrt {
  static constexpr const char* name = "cbrt";
  static constexpr double low = -10, high = 10;
  static constexpr int stride = 7;
  static double truth(double x) { return std::cbrt(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_cbrt(y, x, MPFR_RNDN); }
};

struct rsqrt : tessera::function::rsqrt {
  static constexpr const char* name = "rsqrt";
  static constexpr double low = 0, high = 4;
  static constexpr int stride = 1;
  static double truth(double x) { return x == 0 ? std::copysign(HUGE_VAL, x) : 1 / std::sqrt(x); }
  static void truth(mpfr_t y, mpfr_t x) { mpfr_rec_sqrt(y, x, MPFR_RNDN); }
};

struct sigmoid : tessera::function::sigmoid {
  static constexpr const char* name = "sigmoid";
  static constexpr double low = -746, high = 40;
  static constexpr int stride = 1;
  static double truth(double x) { return 1 / (1 + std::exp(-x)); }
  static void truth(mpfr_t y, mpfr_t x) {
    mpfr_neg(y, x, MPFR_RNDN);
    mpfr_exp(y, y, MPFR_RNDN);
    mpfr_add_ui(y, y, 1, MPFR_RNDN);
    mpfr_ui_div(y, 1, y, MPFR_RNDN);
  }
};

struct silu : tessera::function::silu {
  static constexpr const char* name = "silu";
  static constexpr double low = -760, high = 40;
  static constexpr int stride = 1;
  static double truth(double x) { return x == -HUGE_VAL ? -0.0 : x / (1 + std::exp(-x)); }
  static void truth(mpfr_t y, mpfr_t x) {
    sigmoid::truth(y, x);
    if (mpfr_zero_p(y))
      mpfr_set_zero(y, -1);
    else
      mpfr_mul(y, y, x, MPFR_RNDN);
  }
};

struct softplus : tessera::function::softplus {
  static constexpr const char* name = "softplus";
  static constexpr double low = -746, high = 40;
  static constexpr int stride = 1;
  static double truth(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
  static void truth(mpfr_t y, mpfr_t x) {
    // Where e^x leaves MPFR's numbers, it is the larger of x and 0.
    mpfr_exp(y, x, MPFR_RNDN);
    if (mpfr_inf_p(y))
      mpfr_set(y, x, MPFR_RNDN);
    else
      mpfr_log1p(y, y, MPFR_RNDN);
  }
};

struct gelu : tessera::function::gelu {
  static constexpr const char* name = "gelu";
  static constexpr double low = -39, high = 10;
  static constexpr int stride = 1;
  static double truth(double x) { return x == -HUGE_VAL ? -0.0 : x / 2 * std::erfc(-x / std::numbers::sqrt2); }
  static void truth(mpfr_t y, mpfr_t x) {
    mpfr_sqrt_ui(y, 2, MPFR_RNDN);
    mpfr_div(y, x, y, MPFR_RNDN);
    mpfr_neg(y, y, MPFR_RNDN);
    mpfr_erfc(y, y, MPFR_RNDN);
    if (mpfr_zero_p(y)) return mpfr_set_zero(y, -1);
    mpfr_mul(y, y, x, MPFR_RNDN);
    mpfr_div_2ui(y, y, 1, MPFR_RNDN);
  }
};

using functions = std::tuple<exp, exp2, exp10, expm1, log, log2, log10, log1p, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh,
                             asinh, acosh, atanh, erf, erfc, cbrt, rsqrt, sigmoid, silu, softplus, gelu>;

/// Calls body(F{}) with function number i.
template <class Body, std::size_t I = 0>
void with_function(int i, const Body& body) {
  if constexpr (I < std::tuple_size_v<functions>) {
    if (static_cast<int>(I) == i) return body(std::tuple_element_t<I, functions>{});
    with_function<Body, I + 1>(i, body);
  }
}

/// The functions of arrays, compiled for one instruction set. Arrays are aligned to 64 bytes and hold a multiple of 16 numbers.
template <class Arch>
struct on_arrays {
  static void apply(int function, const float* x, float* out, std::int64_t n);
  static void apply(int function, const double* x, double* out, std::int64_t n);
};

}  // namespace accuracy
