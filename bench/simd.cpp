// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// simd/: elementary functions of arrays, in the first-level cache beside what is called from C++, outside it beside what is called from
/// Python.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <numbers>
#include <string>
#include <type_traits>
#include <vector>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "support/oracle.hpp"
#include "tessera/numeric/function_objects.hpp"
#include "tessera/numeric/next.hpp"
#include "tessera/random.hpp"
#include "tessera/simd/map.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/simd/transform_rounded.hpp"

namespace {

using bench::array;
using bench::contest;
using tessera::bfloat16;
using tessera::float16;
using real = long double;
namespace function = tessera::function;

template <class T>
constexpr bool is_narrow = sizeof(T) < sizeof(float);

/// A row of the tables below.
template <class T>
struct row {
  std::string name;
  double low;  ///< arguments are uniform in [low, high]
  double high;
  void (*ours)(const T* x, T* out, std::int64_t n);
  real (*truth)(real x);
  std::string peers_name = name;  ///< the function that peers have in its place
};

template <class T, class F>
void ours(const T* x, T* out, std::int64_t n) {
  if constexpr (is_narrow<T>) {
    tessera::simd::transform_rounded<tessera::default_arch>(x, out, n, F{});
  } else {
    tessera::simd::transform<tessera::default_arch>(x, out, n, F{});
  }
}

/// The largest error in ulp.
template <class T>
double largest_ulp(const array<T, 1>& x, const array<T, 1>& out, real (*truth)(real)) {
  double worst = 0;
  const std::int64_t step = std::max<std::int64_t>(1, x.size() / 16384);
  for (std::int64_t i = 0; i < x.size(); i += step) {
    const real want = truth(static_cast<real>(static_cast<double>(x(i))));
    // The nearest T is within half an ulp of the truth; what is left is measured in its spacing.
    const T nearest = static_cast<T>(static_cast<std::conditional_t<is_narrow<T>, double, real>>(want));
    const double size = std::abs(static_cast<double>(nearest));
    const double spacing = static_cast<double>(tessera::next_up(static_cast<T>(size))) - size;
    worst = bench::worse(worst, static_cast<double>(std::abs(static_cast<real>(static_cast<double>(out(i))) - want)) / spacing);
  }
  return worst;
}

template <class T>
void add(bench::family& simd, const row<T>& what, std::int64_t n) {
  const bool in_cache = n <= 4096;
  const std::string name = what.name + " " + peers::flat::name<T>() + " " + std::to_string(n) + (in_cache ? " L1" : "");
  const double bytes = 2.0 * static_cast<double>(n) * sizeof(T);
  simd.add({name, bytes, machine::resource::copy, static_cast<double>(n)},
           [=](contest& c) {
             constexpr double infinity = std::numeric_limits<double>::infinity();
             array<T, 1> x(n);
             array<T, 1> out(n);
             tessera::random::fill_uniform(c.par, x, 1, 0);
             for (std::int64_t i = 0; i < n; ++i) {
               x(i) = static_cast<T>(what.low + (what.high - what.low) * static_cast<double>(x(i)));
             }
             c.result(out, [&] { return largest_ulp(x, out, what.truth); }, infinity);  // told, not judged, but for NaN
             c.tessera([&] { what.ours(x.data_handle(), out.data_handle(), n); });
             if (in_cache && !is_narrow<T>) {
               c.peer("SLEEF 1.0 ulp", peers::sleef_map(what.peers_name, x, out));
               c.peer("xsimd", peers::xsimd_map(what.peers_name, x, out));
               c.peer("libmvec loop, -ffast-math", peers::libmvec_map(what.peers_name, x, out));
             }
             if (in_cache) {
               c.peer("Eigen", peers::eigen_map(what.peers_name, x, out));
             } else {
               c.peer("numpy", peers::python_map("numpy", 1, what.peers_name, x, out));
               c.peer("torch", peers::python_map("torch", 1, what.peers_name, x, out));
             }
             c.run();
           },
           {1});
}

real sigmoid(real x) { return 1 / (1 + std::exp(-x)); }
real softplus(real x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
real gelu_tanh(real x) { return x * sigmoid(std::sqrt(8 / std::numbers::pi_v<real>) * (x + 0.044715L * x * x * x)); }
real gelu(real x) { return x / 2 * std::erfc(-x / std::numbers::sqrt2_v<real>); }

/// What all four types have; `widest` is an argument whose exponential each holds.
template <class T>
std::vector<row<T>> common(double widest) {
  return {
      {"exp", -widest, widest, ours<T, function::exp>, expl}, {"log", 1e-3, 1e3, ours<T, function::log>, logl},
      {"tanh", -4, 4, ours<T, function::tanh>, tanhl},        {"gelu", -6, 6, ours<T, function::gelu>, gelu},
      {"sin", -30, 30, ours<T, function::sin>, sinl},
  };
}

template <class T>
std::vector<row<T>> wide(double widest) {
  return {
      {"exp2", -widest, widest, ours<T, function::exp2>, exp2l},
      {"exp10", -widest / 3, widest / 3, ours<T, function::exp10>, [](real x) { return std::pow(real(10), x); }},
      {"expm1", -4, 4, ours<T, function::expm1>, expm1l},
      {"log2", 1e-3, 1e3, ours<T, function::log2>, log2l},
      {"log10", 1e-3, 1e3, ours<T, function::log10>, log10l},
      {"log1p", -0.9, 10, ours<T, function::log1p>, log1pl},
      {"sigmoid", -20, 20, ours<T, function::sigmoid>, sigmoid},
      {"silu", -20, 20, ours<T, function::silu>, [](real x) { return x * sigmoid(x); }},
      {"softplus", -20, 20, ours<T, function::softplus>, softplus},
      {"log_sigmoid", -20, 20, ours<T, decltype([](auto x) { return tessera::log_sigmoid(x); })>,
       [](real x) { return -softplus(-x); }},
      {"erf", -4, 4, ours<T, function::erf>, erfl},
      {"erfc", -4, 4, ours<T, function::erfc>, erfcl},
      {"cos", -30, 30, ours<T, function::cos>, cosl},
      {"tan", -30, 30, ours<T, function::tan>, tanl},
      {"asin", -1, 1, ours<T, function::asin>, asinl},
      {"acos", -1, 1, ours<T, function::acos>, acosl},
      {"atan", -10, 10, ours<T, function::atan>, atanl},
      {"sinh", -10, 10, ours<T, function::sinh>, sinhl},
      {"cosh", -10, 10, ours<T, function::cosh>, coshl},
      {"asinh", -100, 100, ours<T, function::asinh>, asinhl},
      {"acosh", 1, 100, ours<T, function::acosh>, acoshl},
      {"atanh", -0.999, 0.999, ours<T, function::atanh>, atanhl},
      {"cbrt", -1e3, 1e3, ours<T, function::cbrt>, cbrtl},
      {"rsqrt", 1e-3, 1e3, ours<T, function::rsqrt>, [](real x) { return 1 / std::sqrt(x); }},
      {"gelu_tanh", -6, 6, ours<T, decltype([](auto x) { return tessera::gelu_tanh(x); })>, gelu_tanh},
      {"tanh_approximate", -4, 4, ours<T, decltype([](auto x) { return tessera::tanh_approximate(x); })>, tanhl, "tanh"},
      {"exp2_nonpositive", -60, 0, ours<T, decltype([](auto x) { return tessera::exp2_nonpositive(x); })>, exp2l, "exp2"},
      {"exp2_nonpositive_approximate", -60, 0, ours<T, decltype([](auto x) { return tessera::exp2_nonpositive_approximate(x); })>,
       exp2l, "exp2"},
  };
}

template <class T>
void add_all(bench::family& simd, const std::vector<row<T>>& table) {
  for (const row<T>& what : table) {
    add(simd, what, 4096);
    if constexpr (sizeof(T) <= sizeof(float)) add(simd, what, std::int64_t{1} << 18);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family simd("simd", 9);
  add_all(simd, common<float>(80));
  add_all(simd, wide<float>(80));
  add_all(simd, common<double>(700));
  add_all(simd, wide<double>(700));
  add_all(simd, common<float16>(10));
  add_all(simd, common<bfloat16>(10));
  return simd.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_simd: %s\n", error.what());
  return 1;
}
