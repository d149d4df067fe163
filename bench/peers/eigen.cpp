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

template <class F>
side mapped(const flat& x, const flat& out, const F& f) {
  return with_type(x.type, [&](auto zero) -> side {
    using T = decltype(zero);
    if constexpr (sizeof(T) < 4) {
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
  if (f == "log2") return mapped(x, out, [](const auto& a) { return a.log2(); });
  if (f == "tanh") return mapped(x, out, [](const auto& a) { return a.tanh(); });
  if (f == "sigmoid") return mapped(x, out, [](const auto& a) { return a.logistic(); });
  if (f == "erf") return mapped(x, out, [](const auto& a) { return a.erf(); });
  if (f == "sin") return mapped(x, out, [](const auto& a) { return a.sin(); });
  if (f == "cos") return mapped(x, out, [](const auto& a) { return a.cos(); });
  if (f == "rsqrt") return mapped(x, out, [](const auto& a) { return a.rsqrt(); });
  return {};
}

}  // namespace peers

#else

namespace peers {

std::string eigen_version() { return "Eigen: missing"; }
side eigen_cast(flat, flat) { return {}; }
side eigen_map(const std::string&, flat, flat) { return {}; }

}  // namespace peers

#endif
