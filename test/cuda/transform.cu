// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Elementwise calls in device code: contiguous arrays through CUB, others through the kernel, every storage type.
#include "tessera/cuda/transform.cuh"

namespace transform_device {

struct weighted_sum {
  TESSERA_HD float operator()(float x, float y) const { return x + weight * y; }
  float weight;
};

struct plus_one {
  template <class T>
  TESSERA_HD T operator()(T x) const {
    return x + T(1);
  }
};

struct seven {
  TESSERA_HD float operator()() const { return 7; }
};

template <class T>
void all(const tessera::cuda::executor& exec, const tessera::view<T, 2>& x) {
  tessera::cuda::transform(exec, plus_one{}, x, x);
  tessera::cuda::transform(exec, seven{}, x);
  const tessera::view<const float, 2> y;
  tessera::cuda::transform(exec, weighted_sum{0.5f}, x, x, y);
}

void all_types(const tessera::cuda::executor& exec) {
  all(exec, tessera::view<float, 2>());
  all(exec, tessera::view<tessera::float16, 2>());
  all(exec, tessera::view<tessera::bfloat16, 2>());
}

}  // namespace transform_device
