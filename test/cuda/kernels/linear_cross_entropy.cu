// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_80: 255 registers, of which two blocks of 128 threads share a multiprocessor's 65536
/// \file
/// The cross-entropy of a linear layer, as users get it.
#include "tessera/cuda/training/linear_cross_entropy.cuh"
#include "tessera/numeric/bfloat16.hpp"

void loss_of(const tessera::cuda::executor& exec, const tessera::view<const tessera::bfloat16, 2>& hidden,
             const tessera::view<const tessera::bfloat16, 2>& weight, const tessera::view<const tessera::bfloat16, 1>& bias,
             const tessera::view<const std::int64_t, 1>& target, const tessera::view<float, 1>& loss,
             const tessera::view<float, 1>& lse) {
  tessera::training::linear_cross_entropy(exec, hidden, weight, bias, target, loss, lse);
}
void loss_of(const tessera::cuda::executor& exec, const tessera::view<const float, 2>& hidden,
             const tessera::view<const float, 2>& weight, const tessera::view<const std::int64_t, 1>& target,
             const tessera::view<float, 1>& loss, const tessera::view<float, 1>& lse) {
  tessera::training::linear_cross_entropy(exec, hidden, weight, target, loss, lse);
}
