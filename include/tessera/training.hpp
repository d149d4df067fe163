// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What training a network takes: its layers and losses with their gradients, loss scaling, optimisers on weights kept in 16 bits and more,
/// averages; tensors in 8 bits and fewer.
#pragma once

#include "tessera/training/absent.hpp"
#include "tessera/training/activate.hpp"
#include "tessera/training/activations.hpp"
#include "tessera/training/adam.hpp"
#include "tessera/training/amax_scale.hpp"
#include "tessera/training/average.hpp"
#include "tessera/training/cross_entropy_options.hpp"
#include "tessera/training/embedding.hpp"
#include "tessera/training/exponent_histogram.hpp"
#include "tessera/training/lamb.hpp"
#include "tessera/training/linear.hpp"
#include "tessera/training/linear_backward.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"
#include "tessera/training/lion.hpp"
#include "tessera/training/loss_scaler.hpp"
#include "tessera/training/norms.hpp"
#include "tessera/training/norms_backward.hpp"
#include "tessera/training/quantize.hpp"
#include "tessera/training/quantize_blocks.hpp"
#include "tessera/training/sgd.hpp"
#include "tessera/training/unscale.hpp"
#include "tessera/training/weights.hpp"
