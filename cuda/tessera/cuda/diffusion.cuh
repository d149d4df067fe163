// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Diffusion on CUDA: noise, preconditioning, samplers, the exact denoiser of a data set.
#pragma once

#include "tessera/cuda/diffusion/exact_denoiser.cuh"
#include "tessera/cuda/diffusion/noise.cuh"
#include "tessera/cuda/diffusion/preconditioned.cuh"
#include "tessera/cuda/diffusion/sampler.cuh"
