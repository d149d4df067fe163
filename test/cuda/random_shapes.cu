// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Fills by rejection in device code.
#include "tessera/cuda/random/fill_shapes.cuh"

namespace random_shapes_device {

void all(const tessera::cuda::executor& exec) {
  namespace numbers = tessera::random;
  numbers::fill_gamma(exec, tessera::view<float, 2>(), 2, 3, 1, 2);
  numbers::fill_log_gamma_variate(exec, tessera::view<double, 2>(), 2, 3, 1, 2);
  numbers::fill_beta(exec, tessera::view<float, 2>(), 2, 3, 1, 2);
  numbers::fill_poisson(exec, tessera::view<int, 2>(), 5, 1, 2);
}

}  // namespace random_shapes_device
