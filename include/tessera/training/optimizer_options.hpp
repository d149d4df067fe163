// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What can be asked of optimisers. In all: `gradient_factor` multiplies gradients first: 1 / scale where they are not unscaled yet, times
/// the factor that clips them (training::clip_factor).
#pragma once

namespace tessera::training {

/// Adam and AdamW. The defaults are PyTorch's for AdamW.
struct adam_options {
  double rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
  double gradient_factor = 1;
};

/// Gradient descent. momentum, dampening and nesterov are for the call with a velocity.
struct sgd_options {
  double rate = 1e-3;
  double momentum = 0.9;
  double dampening = 0;
  bool nesterov = false;
  double weight_decay = 0;  ///< weight_decay * weight is added to the gradient
  double gradient_factor = 1;
};

/// Lion. The defaults are the paper's.
struct lion_options {
  double rate = 1e-4;
  double beta1 = 0.9;   ///< of the average in the direction
  double beta2 = 0.99;  ///< of the average that is kept
  double weight_decay = 0;
  double gradient_factor = 1;
};

/// LAMB. The defaults are the paper's.
struct lamb_options {
  double rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-6;
  double weight_decay = 0.01;
  double gradient_factor = 1;
};

}  // namespace tessera::training
