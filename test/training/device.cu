// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scales of tensors and blocks, and the rule of the loss's scale, in device code.
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/training/amax_scale.hpp"
#include "tessera/training/block_scale.hpp"
#include "tessera/training/loss_scale.hpp"
#include "tessera/training/quantize_report.hpp"
#include "tessera/training/quantized.hpp"

namespace training_device {

namespace training = tessera::training;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

struct result {
  float8_e4m3 forward;
  float8_e5m2 backward;
  float4_e2m1 narrow;
  tessera::e8m0 power;
  float scale;
  training::quantize_report report;
};

__global__ void scale(training::amax_scale_state* state, training::loss_scale_state* loss, float* history, float x, result* out) {
  training::note_amax(*state, history, x);
  training::update_scale<float8_e4m3>(*state, history, training::usual_amax_history, {.power_of_two = true});
  training::update(*loss, {}, x > 1);
  const auto block = training::power_scale_of_block<float4_e2m1>(x, training::block_rule::ceil);
  const auto wide = training::float_scale_of_block<float8_e5m2>(x, false);
  out->forward = training::quantized<float8_e4m3>(x, state->scale);
  out->backward = training::quantized<float8_e5m2>(x, wide.factor);
  out->narrow = training::quantized<float4_e2m1>(x, block.factor);
  out->power = block.scale;
  out->scale = wide.scale;
  out->report.add({.amax = x});
}

}  // namespace training_device
