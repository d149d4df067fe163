// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Training in mixed precision: loss scaling, weights that are kept in 16 bits and more, optimisers, averages; tensors in 8 bits
/// and fewer; losses that are computed without what they are the loss of.
#pragma once

#include "tessera/training/adam.hpp"
#include "tessera/training/amax_scale.hpp"
#include "tessera/training/average.hpp"
#include "tessera/training/cross_entropy_options.hpp"
#include "tessera/training/exponent_histogram.hpp"
#include "tessera/training/lamb.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"
#include "tessera/training/lion.hpp"
#include "tessera/training/loss_scaler.hpp"
#include "tessera/training/quantize.hpp"
#include "tessera/training/quantize_blocks.hpp"
#include "tessera/training/sgd.hpp"
#include "tessera/training/unscale.hpp"
#include "tessera/training/weights.hpp"
