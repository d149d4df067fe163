// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Runs nearest.cpp as compiled for each instruction set that the machine has: same codes, same means up to rounding.
#include <cmath>
#include <cstdio>
#include <vector>

#include "nearest.hpp"

namespace {

struct result {
  std::vector<int> nearest;
  std::vector<float> smoothed;
};

template <class Arch>
result run() {
  constexpr int n = 301;
  constexpr int m = 97;
  constexpr int dim = 5;
  const auto wave = [](int count, double frequency) {
    std::vector<float> x(static_cast<std::size_t>(count) * dim);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(std::sin(frequency * static_cast<double>(i)));
    return x;
  };
  const std::vector<float> points = wave(n, 0.7);
  const std::vector<float> codes = wave(m, 1.3);
  result r{std::vector<int>(n), std::vector<float>(n * dim)};
  nearest_codes<Arch>({points.data(), n, dim}, {codes.data(), m, dim}, tessera::view<int, 1>(r.nearest.data(), n),
                      tessera::view<float, 2>(r.smoothed.data(), n, dim));
  return r;
}

}  // namespace

int main() {
  const result baseline = run<xsimd::sse2>();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::puts("no AVX2: only the baseline ran");
    return 0;
  }
  const result wide = run<xsimd::fma3<xsimd::avx2>>();
  for (std::size_t i = 0; i < wide.smoothed.size(); ++i) {
    if (!(std::abs(wide.smoothed[i] - baseline.smoothed[i]) < 1e-5f)) return 1;
  }
  return wide.nearest == baseline.nearest ? 0 : 2;
}
