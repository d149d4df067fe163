// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Reductions in device code.
#include "tessera/cuda/reduce.cuh"
#include "tessera/numeric/bfloat16.hpp"

namespace reduce_device {

struct product {
  template <class T>
  TESSERA_HD T operator()(T x, T y) const {
    return x * y;
  }
};

template <class T>
void all(const tessera::cuda::executor& exec) {
  namespace cuda = tessera::cuda;
  const tessera::view<const T, 2> in;
  const tessera::view<double, 1> out;
  const tessera::view<T, 1> same;
  cuda::sum(exec, in, out);
  cuda::sum(exec, in, same);
  cuda::minimum(exec, in, same);
  cuda::maximum(exec, in, same);
  cuda::reduce(exec, product{}, cuda::add{}, out, in, in);
}

void all_types(const tessera::cuda::executor& exec) {
  all<float>(exec);
  all<double>(exec);
  all<tessera::bfloat16>(exec);
  all<int>(exec);
}

}  // namespace reduce_device
