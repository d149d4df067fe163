// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Included by device.cu: the distributions with parameters in device code.
#pragma once

#include <cstdint>

#include "tessera/random.hpp"

namespace random_shapes_device {

namespace numbers = tessera::random;

constexpr double a_constant = numbers::gamma<double>(1.0, 1, 1, 2, 3);
static_assert(a_constant == 0x1.aa7aa485b3421p-1);
static_assert(numbers::poisson<int>(3.5, 1, 2, 3) >= 0 && numbers::permutation(10, 1, 2)(3) < 10);

template <class T>
__device__ T everything(std::uint64_t index, const float* row, std::int64_t columns, const numbers::alias_cell* cells) {
  constexpr numbers::stream_key key = numbers::stream_key{42}.child(3).child("dropout");
  const numbers::stream_key child = key.child(index).child("layer");
  double sum = a_constant + static_cast<double>(child.seed);
  sum += static_cast<double>(numbers::gamma<T>(0.3, 2, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::log_gamma_variate<T>(2.5, 2, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::beta<T>(0.3, 2, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::dirichlet<T>(row, columns, child.seed, child.stream, index, 0));
  sum += static_cast<double>(numbers::poisson<T>(30.0, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::poisson<int>(3.0, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::categorical(row, columns, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::categorical_of_weights(row, columns, child.seed, child.stream, index));
  sum += static_cast<double>(numbers::alias_draw(cells, columns, child.seed, child.stream, index));
  const numbers::permutation order(static_cast<std::uint64_t>(columns), child.seed, child.stream);
  sum += static_cast<double>(order(0) + order.inverse(0));
  const numbers::brownian_path path{child.seed, child.stream, 0, 80, 20};
  sum += static_cast<double>(numbers::brownian<T>(path, 0.3, index) + numbers::brownian_increment<T>(path, 0.3, 0.5, index) +
                             numbers::brownian_bridge<T>(path, 0.3, 1, 2, index));
  return static_cast<T>(sum);
}

template <class T>
__global__ void kernel(T* out, const float* row, std::int64_t columns, const numbers::alias_cell* cells) {
  out[threadIdx.x] = everything<T>(threadIdx.x, row, columns, cells);
}

template __global__ void kernel<float>(float*, const float*, std::int64_t, const numbers::alias_cell*);
template __global__ void kernel<double>(double*, const float*, std::int64_t, const numbers::alias_cell*);

}  // namespace random_shapes_device
