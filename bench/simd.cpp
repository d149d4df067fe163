// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// simd/: elementary functions of arrays, in the first-level cache and, beside PyTorch, outside it.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <numbers>
#include <string>
#include <type_traits>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "tessera/numeric/ulp.hpp"
#include "tessera/random.hpp"
#include "tessera/simd/map.hpp"
#include "tessera/simd/math.hpp"

namespace {

using bench::array;
using bench::contest;

/// The largest error in ulp, against a reference in long double.
template <class T, class Reference>
double largest_ulp(const array<T, 1>& x, const array<T, 1>& out, const Reference& reference) {
  double worst = 0;
  const std::int64_t step = std::max<std::int64_t>(1, x.size() / 16384);
  for (std::int64_t i = 0; i < x.size(); i += step) {
    const long double want = reference(static_cast<long double>(x(i)));
    // The nearest T is within half an ulp of the truth; what is left is measured in its spacing.
    const T nearest = static_cast<T>(want);
    const T next = std::nextafter(nearest, std::numeric_limits<T>::infinity());
    const auto spacing = static_cast<long double>(next) - static_cast<long double>(nearest);
    const double error = static_cast<double>(std::abs(static_cast<long double>(out(i)) - want) / spacing);
    worst = error <= worst ? worst : error;
  }
  return worst;
}

struct function {
  std::string name;
  double low;
  double high;
};

/// f as Tessera has it on arguments uniform in [low, high].
template <class T, class F, class Reference>
void add(bench::family& simd, const function& what, std::int64_t n, const F& f, const Reference& reference) {
  const std::string where = n <= 4096 ? " L1" : "";
  const double bytes = 2.0 * static_cast<double>(n) * sizeof(T);
  const std::string name = what.name + " " + peers::flat::name<T>() + " " + std::to_string(n) + where;
  simd.add({name, bytes, machine::resource::copy, static_cast<double>(n)},
           [=](contest& c) {
             array<T, 1> x(n);
             array<T, 1> out(n);
             tessera::random::fill_uniform(c.par, x, 1, 0);
             for (std::int64_t i = 0; i < n; ++i) {
               x(i) = static_cast<T>(what.low + (what.high - what.low) * static_cast<double>(x(i)));
             }
             c.result(out, [&] { return largest_ulp(x, out, reference); }, 1e9);  // that of a peer is told, not judged
             c.tessera([&] { tessera::simd::transform<tessera::default_arch>(x.data_handle(), out.data_handle(), n, f); });
             c.peer("SLEEF 1.0 ulp", peers::sleef_map(what.name, x, out));
             c.peer("xsimd", peers::xsimd_map(what.name, x, out));
             c.peer("libmvec loop, -ffast-math", peers::libmvec_map(what.name, x, out));
             c.peer("Eigen", peers::eigen_map(what.name, x, out));
             if (n > 4096) c.peer("torch", peers::python_map("torch", 1, what.name, x, out));
             c.run();
           },
           {1});
}

template <class T, class F, class Reference>
void add_sizes(bench::family& simd, const function& what, const F& f, const Reference& reference) {
  add<T>(simd, what, 4096, f, reference);
  if constexpr (std::is_same_v<T, float>) add<T>(simd, what, std::int64_t{1} << 18, f, reference);
}

template <class T>
void add_all(bench::family& simd) {
  using real = long double;
  const double far = std::is_same_v<T, float> ? 80 : 700;
  const auto sigmoid = [](real x) { return 1 / (1 + std::exp(-x)); };
  add_sizes<T>(simd, {"exp", -far, far}, [](auto x) { return tessera::exp(x); }, [](real x) { return std::exp(x); });
  add_sizes<T>(simd, {"exp2", -far, far}, [](auto x) { return tessera::exp2(x); }, [](real x) { return std::exp2(x); });
  add_sizes<T>(simd, {"log", 1e-3, 1e3}, [](auto x) { return tessera::log(x); }, [](real x) { return std::log(x); });
  add_sizes<T>(simd, {"log2", 1e-3, 1e3}, [](auto x) { return tessera::log2(x); }, [](real x) { return std::log2(x); });
  add_sizes<T>(simd, {"tanh", -4, 4}, [](auto x) { return tessera::tanh(x); }, [](real x) { return std::tanh(x); });
  add_sizes<T>(simd, {"sigmoid", -20, 20}, [](auto x) { return tessera::sigmoid(x); }, sigmoid);
  add_sizes<T>(simd, {"silu", -20, 20}, [](auto x) { return tessera::silu(x); }, [=](real x) { return x * sigmoid(x); });
  add_sizes<T>(simd, {"erf", -4, 4}, [](auto x) { return tessera::erf(x); }, [](real x) { return std::erf(x); });
  add_sizes<T>(
      simd, {"gelu", -6, 6}, [](auto x) { return tessera::gelu(x); },
      [](real x) { return x / 2 * std::erfc(-x / std::numbers::sqrt2_v<real>); });
  add_sizes<T>(simd, {"sin", -30, 30}, [](auto x) { return tessera::sin(x); }, [](real x) { return std::sin(x); });
  add_sizes<T>(simd, {"cos", -30, 30}, [](auto x) { return tessera::cos(x); }, [](real x) { return std::cos(x); });
  add_sizes<T>(simd, {"rsqrt", 1e-3, 1e3}, [](auto x) { return tessera::rsqrt(x); }, [](real x) { return 1 / std::sqrt(x); });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family simd("simd");
  add_all<float>(simd);
  add_all<double>(simd);
  return simd.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_simd: %s\n", error.what());
  return 1;
}
