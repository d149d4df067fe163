// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Adam's steps, and the scale of a loss, in device code.
#include <vector>

#include "tessera/cuda/training/adam.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace adam_device {

using tessera::bfloat16;
using tessera::view;
namespace training = tessera::training;

template <class Record, class Gradient, class State>
void step(const tessera::cuda::executor& exec, const training::device_step& on_device) {
  const std::vector<Record> weights;
  const std::vector<view<Gradient, 1>> gradients;
  const std::vector<view<State, 1>> moments;
  training::adamw(exec, weights, gradients, moments, moments, on_device);
  training::adam(exec, weights, gradients, moments, moments, 1);
}

void all_ways(const tessera::cuda::executor& exec) {
  step<view<float, 1>, float, float>(exec, {});
  step<training::master_weights<bfloat16>, bfloat16, float>(exec, {});
  step<training::split_weights, bfloat16, float>(exec, {});
  step<training::compensated_weights<bfloat16>, bfloat16, bfloat16>(exec, {});
  training::update(exec, view<training::loss_scale_state, 1>(), view<float, 1>());
}

}  // namespace adam_device
