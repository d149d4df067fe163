// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Training on CUDA: losses without their logits, their gradients, and gradients without their scale.
#pragma once

#include "tessera/cuda/training/adam.cuh"
#include "tessera/cuda/training/linear_cross_entropy.cuh"
#include "tessera/cuda/training/linear_cross_entropy_backward.cuh"
#include "tessera/cuda/training/loss_scale.cuh"
#include "tessera/cuda/training/unscale.cuh"
