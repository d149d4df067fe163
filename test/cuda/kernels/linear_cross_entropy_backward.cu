// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_90a: 255 registers; those of Hopper change hands at run time
// target sm_80: 255 registers, of which a block of 256 threads has a multiprocessor's 65536; 128 of 16-bit products, two blocks
/// \file
/// The gradients of a cross-entropy of a linear layer, as users get them.
#include "tessera/cuda/training/linear_cross_entropy_backward.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

template <class T>
using matrix = tessera::view<T, 2>;
template <class T>
using vector = tessera::view<T, 1>;

void gradients_of(const tessera::cuda::executor& exec, const matrix<const tessera::bfloat16>& hidden,
                  const matrix<const tessera::bfloat16>& weight, const vector<const tessera::bfloat16>& bias,
                  const vector<const std::int64_t>& target, const vector<const float>& lse, const vector<const float>& grad_loss,
                  const matrix<tessera::bfloat16>& grad_hidden, const matrix<float>& grad_weight,
                  const vector<float>& grad_bias) {
  tessera::training::linear_cross_entropy_backward(exec, hidden, weight, bias, target, lse, grad_loss, grad_hidden, grad_weight,
                                                   grad_bias);
}
void gradients_of(const tessera::cuda::executor& exec, const matrix<const tessera::float16>& hidden,
                  const matrix<const tessera::float16>& weight, const vector<const std::int64_t>& target,
                  const vector<const float>& lse, const vector<const float>& grad_loss,
                  const matrix<tessera::float16>& grad_hidden, const matrix<tessera::float16>& grad_weight) {
  tessera::training::linear_cross_entropy_backward(exec, hidden, weight, target, lse, grad_loss, grad_hidden, grad_weight);
}
void gradients_of(const tessera::cuda::executor& exec, const matrix<const float>& hidden, const matrix<const float>& weight,
                  const vector<const std::int64_t>& target, const vector<const float>& lse, const vector<const float>& grad_loss,
                  const matrix<float>& grad_hidden, const matrix<float>& grad_weight) {
  tessera::training::linear_cross_entropy_backward(exec, hidden, weight, target, lse, grad_loss, grad_hidden, grad_weight);
}
void gradients_of(const tessera::cuda::executor& exec, const matrix<const double>& hidden, const matrix<const double>& weight,
                  const vector<const double>& bias, const vector<const std::int32_t>& target, const vector<const double>& lse,
                  const vector<const double>& grad_loss, const matrix<double>& grad_hidden, const matrix<double>& grad_weight,
                  const vector<double>& grad_bias) {
  tessera::training::linear_cross_entropy_backward(exec, hidden, weight, bias, target, lse, grad_loss, grad_hidden, grad_weight,
                                                   grad_bias);
}
