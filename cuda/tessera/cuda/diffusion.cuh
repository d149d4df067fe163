// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Diffusion on CUDA: noise, preconditioning and samplers.
#pragma once

#include "tessera/cuda/diffusion/noise.cuh"
#include "tessera/cuda/diffusion/preconditioned.cuh"
#include "tessera/cuda/diffusion/sampler.cuh"
