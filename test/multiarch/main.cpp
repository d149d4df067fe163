// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Runs kernels.cpp as compiled for each instruction set that the machine has: the same results up to rounding.
#include <cmath>
#include <cstdio>
#include <vector>

#include "kernels.hpp"

namespace {

using tessera::view;

struct results {
  std::vector<int> nearest;
  std::vector<float> smoothed, product, attention, losses, gradient, noise, weights;
};

template <class Arch>
results run() {
  constexpr int n = 301;
  constexpr int m = 97;
  constexpr int dim = 5;
  std::vector<float> numbers(n * m);
  std::vector<tessera::bfloat16> tokens(n * dim);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i)));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = tessera::bfloat16(numbers[i]);
  const float* const points = numbers.data();
  const float* const codes = points + n * dim;

  results r{std::vector<int>(n),
            std::vector<float>(n * dim),
            std::vector<float>(n * n),
            std::vector<float>(n * dim),
            std::vector<float>(n),
            std::vector<float>(n * dim),
            std::vector<float>(kernels<Arch>::laws * n),
            std::vector<float>(points, points + n)};
  kernels<Arch>::nearest_codes(view(points, n, dim), view(codes, m, dim), view(r.nearest.data(), n),
                               view(r.smoothed.data(), n, dim));
  kernels<Arch>::product(view(points, n, m), view(points, m, n), view(r.product.data(), n, n));
  kernels<Arch>::self_attention(view<const tessera::bfloat16, 4>(tokens.data(), 1, 1, n, dim),
                                view(r.attention.data(), 1, 1, n, dim));
  std::vector<float> lse(n);
  kernels<Arch>::loss(view(points, n, dim), view(codes, m, dim), view<const int, 1>(r.nearest.data(), n),
                      view(r.losses.data(), n), view(lse.data(), n), view(r.gradient.data(), n, dim));
  kernels<Arch>::noise(view(r.noise.data(), kernels<Arch>::laws, std::int64_t{n}));
  std::vector<float> gradients(codes, codes + n);
  std::vector<float> moments(2 * n);
  kernels<Arch>::step(view(r.weights.data(), n), view(gradients.data(), n), view(moments.data(), n), view(moments.data() + n, n));
  return r;
}

bool close(const std::vector<float>& a, const std::vector<float>& b) {
  bool all = a.size() == b.size();
  for (std::size_t i = 0; all && i < a.size(); ++i) all = std::abs(a[i] - b[i]) < 2e-5f;
  return all;
}

}  // namespace

int main() {
  const results base = run<xsimd::sse2>();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::puts("no AVX2: only the base ran");
    return 0;
  }
  const results wide = run<xsimd::fma3<xsimd::avx2>>();
  const bool same = wide.nearest == base.nearest && close(wide.smoothed, base.smoothed) && close(wide.product, base.product) &&
                    close(wide.attention, base.attention) && close(wide.losses, base.losses) &&
                    close(wide.gradient, base.gradient) && wide.noise == base.noise && close(wide.weights, base.weights);
  return same ? 0 : 1;
}
