// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Functions of arrays in C and C++: SLEEF's of 1.0 ulp, xsimd's own, both on the widest registers, and glibc's vector functions.
#include <string_view>

#include "peers/passes.hpp"
#include "peers/peers.hpp"
#include "tessera/simd/compat.hpp"

#if BENCH_SLEEF
#include <sleef.h>
#endif

namespace peers {
namespace {

/// f on every register of an array whose length is a multiple of a register's.
template <class T, class F>
side mapped(const flat& x, const flat& out, const F& f) {
  using batch = xsimd::batch<T>;
  return timed([from = static_cast<const T*>(x.data), to = static_cast<T*>(out.data), n = x.length, f] {
    constexpr auto lanes = static_cast<std::int64_t>(batch::size);
    for (std::int64_t i = 0; i + lanes <= n; i += lanes) batch(f(batch::load_aligned(from + i))).store_aligned(to + i);
  });
}

bool is_float(const flat& x) { return std::string_view(x.type) == "float32"; }

}  // namespace

#if BENCH_SLEEF && (defined(__AVX512F__) || defined(__AVX2__))

std::string sleef_version() {
  return "SLEEF " + std::to_string(SLEEF_VERSION_MAJOR) + "." + std::to_string(SLEEF_VERSION_MINOR) + "." +
         std::to_string(SLEEF_VERSION_PATCHLEVEL);
}

#if defined(__AVX512F__)
#define SLEEF_OF(name, ulp) Sleef_##name##f16_##ulp, Sleef_##name##d8_##ulp
using float_register = __m512;
using double_register = __m512d;
#else
#define SLEEF_OF(name, ulp) Sleef_##name##f8_##ulp, Sleef_##name##d4_##ulp
using float_register = __m256;
using double_register = __m256d;
#endif

side sleef_map(const std::string& f, flat x, flat out) {
  const auto with = [&](auto of_float, auto of_double) {
    return is_float(x) ? mapped<float>(x, out, [of_float](float_register a) { return of_float(a); })
                       : mapped<double>(x, out, [of_double](double_register a) { return of_double(a); });
  };
  if (f == "exp") return with(SLEEF_OF(exp, u10));
  if (f == "exp2") return with(SLEEF_OF(exp2, u10));
  if (f == "exp10") return with(SLEEF_OF(exp10, u10));
  if (f == "expm1") return with(SLEEF_OF(expm1, u10));
  if (f == "log") return with(SLEEF_OF(log, u10));
  if (f == "log2") return with(SLEEF_OF(log2, u10));
  if (f == "log10") return with(SLEEF_OF(log10, u10));
  if (f == "log1p") return with(SLEEF_OF(log1p, u10));
  if (f == "sin") return with(SLEEF_OF(sin, u10));
  if (f == "cos") return with(SLEEF_OF(cos, u10));
  if (f == "tan") return with(SLEEF_OF(tan, u10));
  if (f == "asin") return with(SLEEF_OF(asin, u10));
  if (f == "acos") return with(SLEEF_OF(acos, u10));
  if (f == "atan") return with(SLEEF_OF(atan, u10));
  if (f == "sinh") return with(SLEEF_OF(sinh, u10));
  if (f == "cosh") return with(SLEEF_OF(cosh, u10));
  if (f == "tanh") return with(SLEEF_OF(tanh, u10));
  if (f == "asinh") return with(SLEEF_OF(asinh, u10));
  if (f == "acosh") return with(SLEEF_OF(acosh, u10));
  if (f == "atanh") return with(SLEEF_OF(atanh, u10));
  if (f == "erf") return with(SLEEF_OF(erf, u10));
  if (f == "cbrt") return with(SLEEF_OF(cbrt, u10));
  if (f == "erfc") return with(SLEEF_OF(erfc, u15));  // there is none of 1.0 ulp
  return {};
}

#else

std::string sleef_version() { return "SLEEF: missing"; }
side sleef_map(const std::string&, flat, flat) { return {}; }

#endif

side xsimd_map(const std::string& f, flat x, flat out) {
  const auto with = [&](auto g) { return is_float(x) ? mapped<float>(x, out, g) : mapped<double>(x, out, g); };
  if (f == "exp") return with([](auto a) { return xsimd::exp(a); });
  if (f == "exp2") return with([](auto a) { return xsimd::exp2(a); });
  if (f == "exp10") return with([](auto a) { return xsimd::exp10(a); });
  if (f == "expm1") return with([](auto a) { return xsimd::expm1(a); });
  if (f == "log") return with([](auto a) { return xsimd::log(a); });
  if (f == "log2") return with([](auto a) { return xsimd::log2(a); });
  if (f == "log10") return with([](auto a) { return xsimd::log10(a); });
  if (f == "log1p") return with([](auto a) { return xsimd::log1p(a); });
  if (f == "sin") return with([](auto a) { return xsimd::sin(a); });
  if (f == "cos") return with([](auto a) { return xsimd::cos(a); });
  if (f == "tan") return with([](auto a) { return xsimd::tan(a); });
  if (f == "asin") return with([](auto a) { return xsimd::asin(a); });
  if (f == "acos") return with([](auto a) { return xsimd::acos(a); });
  if (f == "atan") return with([](auto a) { return xsimd::atan(a); });
  if (f == "sinh") return with([](auto a) { return xsimd::sinh(a); });
  if (f == "cosh") return with([](auto a) { return xsimd::cosh(a); });
  if (f == "tanh") return with([](auto a) { return xsimd::tanh(a); });
  if (f == "asinh") return with([](auto a) { return xsimd::asinh(a); });
  if (f == "acosh") return with([](auto a) { return xsimd::acosh(a); });
  if (f == "atanh") return with([](auto a) { return xsimd::atanh(a); });
  if (f == "erf") return with([](auto a) { return xsimd::erf(a); });
  if (f == "erfc") return with([](auto a) { return xsimd::erfc(a); });
  if (f == "cbrt") return with([](auto a) { return xsimd::cbrt(a); });
  return {};
}

side libmvec_map(const std::string& f, flat x, flat out) {
  const auto with = [&]<class T>(loop<T> g) -> side {
    if (g == nullptr) return {};
    return timed([g, from = static_cast<const T*>(x.data), to = static_cast<T*>(out.data), n = x.length] { g(from, to, n); });
  };
  return is_float(x) ? with(loop_of_floats(f.c_str())) : with(loop_of_doubles(f.c_str()));
}

}  // namespace peers
