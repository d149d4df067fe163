// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Every fill in device code.
#include "tessera/cuda/random/fill.cuh"
#include "tessera/numeric/bfloat16.hpp"

namespace random_device {

namespace numbers = tessera::random;

template <class T>
void all(const tessera::cuda::executor& exec, const tessera::view<T, 2>& out) {
  numbers::fill_uniform(exec, out, 1, 2, 3);
  numbers::fill_uniform(exec, out, -1, 1, 1, 2, 3);
  numbers::fill_uniform_open(exec, out, 1, 2, 3);
  numbers::fill_uniform_dense(exec, out, 1, 2, 3);
  numbers::fill_normal(exec, out, 1, 2, 3);
  numbers::fill_normal(exec, out, 1, 2, 1, 2, 3);
  numbers::fill_truncated_normal(exec, out, -1, 1, 1, 2, 3);
  numbers::fill_exponential(exec, out, 2, 1, 2, 3);
  numbers::fill_gumbel(exec, out, 1, 2, 3);
  numbers::fill_gumbel(exec, out, 1, 2, 1, 2, 3);
  numbers::fill_logistic(exec, out, 1, 2, 3);
  numbers::fill_logistic(exec, out, 1, 2, 1, 2, 3);
  numbers::fill_laplace(exec, out, 1, 2, 3);
  numbers::fill_laplace(exec, out, 1, 2, 1, 2, 3);
  numbers::fill_bernoulli(exec, out, 0.5, 1, 2, 3);
}

void all_types(const tessera::cuda::executor& exec) {
  all(exec, tessera::view<float, 2>());
  all(exec, tessera::view<double, 2>());
  all(exec, tessera::view<tessera::bfloat16, 2>());
  numbers::fill_bernoulli(exec, tessera::view<bool, 1>(), 0.5, 1, 2, 3);
  numbers::fill_uniform_int(exec, tessera::view<int, 1>(), 1, 6, 1, 2, 3);
  numbers::fill_uniform_int(exec, tessera::view<std::int64_t, 1>(), 1, 6, 1, 2, 3);
  numbers::fill_bits(exec, tessera::view<std::uint32_t, 1>(), 1, 2, 3);
  numbers::fill_bits(exec, tessera::view<std::uint64_t, 1>(), 1, 2, 3);
}

}  // namespace random_device
