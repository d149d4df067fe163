// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Eigen: conversions and functions of arrays.
#include "peers/peers.hpp"

#if BENCH_EIGEN

#include <Eigen/Core>
#include <string_view>
#include <unsupported/Eigen/SpecialFunctions>

namespace peers {
namespace {

template <class T>
using array = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>, Eigen::Aligned64>;

template <class T>
array<T> of(const flat& x) {
  return {static_cast<T*>(x.data), x.length};
}

/// Calls body(T{}) with the type of that name that Eigen has; {} where it has none.
template <class Body>
side with_type(std::string_view name, const Body& body) {
  if (name == "float32") return body(0.0f);
  if (name == "float64") return body(0.0);
  if (name == "float16") return body(Eigen::half{});
  if (name == "bfloat16") return body(Eigen::bfloat16{});
  return {};
}

/// Of arrays of 16-bit types too, if Eigen has f of them.
template <bool Narrow = true, class F>
side mapped(const flat& x, const flat& out, const F& f) {
  return with_type(x.type, [&](auto zero) -> side {
    using T = decltype(zero);
    if constexpr (sizeof(T) < 4 && !Narrow) {
      return {};
    } else {
      return timed([x = of<T>(x), out = of<T>(out), f]() mutable { out = f(x); });
    }
  });
}

}  // namespace

std::string eigen_version() {
  return "Eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
         std::to_string(EIGEN_MINOR_VERSION);
}

side eigen_cast(flat in, flat out) {
  return with_type(in.type, [&](auto from) {
    return with_type(out.type, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      return timed([x = of<From>(in), y = of<To>(out)]() mutable { y = x.template cast<To>(); });
    });
  });
}

side eigen_map(const std::string& f, flat x, flat out) {
  if (f == "exp") return mapped(x, out, [](const auto& a) { return a.exp(); });
  if (f == "log") return mapped(x, out, [](const auto& a) { return a.log(); });
  if (f == "sin") return mapped(x, out, [](const auto& a) { return a.sin(); });
  if (f == "cos") return mapped(x, out, [](const auto& a) { return a.cos(); });
  if (f == "tanh") return mapped(x, out, [](const auto& a) { return a.tanh(); });
  if (f == "sqrt") return mapped(x, out, [](const auto& a) { return a.sqrt(); });
  if (f == "log2") return mapped<false>(x, out, [](const auto& a) { return a.log2(); });
  if (f == "log10") return mapped<false>(x, out, [](const auto& a) { return a.log10(); });
  if (f == "log1p") return mapped<false>(x, out, [](const auto& a) { return a.log1p(); });
  if (f == "expm1") return mapped<false>(x, out, [](const auto& a) { return a.expm1(); });
  if (f == "tan") return mapped<false>(x, out, [](const auto& a) { return a.tan(); });
  if (f == "asin") return mapped<false>(x, out, [](const auto& a) { return a.asin(); });
  if (f == "acos") return mapped<false>(x, out, [](const auto& a) { return a.acos(); });
  if (f == "atan") return mapped<false>(x, out, [](const auto& a) { return a.atan(); });
  if (f == "sinh") return mapped<false>(x, out, [](const auto& a) { return a.sinh(); });
  if (f == "cosh") return mapped<false>(x, out, [](const auto& a) { return a.cosh(); });
  if (f == "asinh") return mapped<false>(x, out, [](const auto& a) { return a.asinh(); });
  if (f == "acosh") return mapped<false>(x, out, [](const auto& a) { return a.acosh(); });
  if (f == "atanh") return mapped<false>(x, out, [](const auto& a) { return a.atanh(); });
  if (f == "erf") return mapped<false>(x, out, [](const auto& a) { return a.erf(); });
  if (f == "erfc") return mapped<false>(x, out, [](const auto& a) { return a.erfc(); });
  if (f == "rsqrt") return mapped<false>(x, out, [](const auto& a) { return a.rsqrt(); });
  if (f == "sigmoid") return mapped<false>(x, out, [](const auto& a) { return a.logistic(); });
  return {};
}

side eigen_fma(flat a, flat b, flat c, flat out) {
  return with_type(a.type, [&](auto zero) {
    using T = decltype(zero);
    return timed([a = of<T>(a), b = of<T>(b), c = of<T>(c), y = of<T>(out)]() mutable { y = a * b + c; });
  });
}

}  // namespace peers

#else

namespace peers {

std::string eigen_version() { return "Eigen: missing"; }
side eigen_cast(flat, flat) { return {}; }
side eigen_map(const std::string&, flat, flat) { return {}; }
side eigen_fma(flat, flat, flat, flat) { return {}; }

}  // namespace peers

#endif
