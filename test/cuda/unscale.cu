// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loss scaling's pass in device code.
#include <vector>

#include "tessera/cuda/training/unscale.cuh"
#include "tessera/numeric/bfloat16.hpp"

namespace unscale_device {

template <class In, class Out>
void unscale(const tessera::cuda::executor& exec) {
  const std::vector<tessera::view<In, 1>> scaled;
  const std::vector<tessera::view<Out, 1>> out;
  tessera::training::unscale(exec, scaled, out, tessera::view<const float, 1>(), tessera::view<float, 1>());
}

void all_types(const tessera::cuda::executor& exec) {
  unscale<float, float>(exec);
  unscale<double, double>(exec);
  unscale<tessera::float16, float>(exec);
  unscale<tessera::bfloat16, float>(exec);
  unscale<tessera::bfloat16, tessera::bfloat16>(exec);
}

}  // namespace unscale_device
