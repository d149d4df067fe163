// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a layer's backward pass may be told about its results.
#pragma once

namespace tessera::training {

/// Whether gradients are written, or added to what stands there: in the compute type, rounded once.
struct gradient_options {
  bool add_to_input = false;       ///< of the layer's input: for inputs of several layers, and for residual streams
  bool add_to_parameters = false;  ///< of weights, biases, gains: over several batches before a step of an optimiser
};

}  // namespace tessera::training
