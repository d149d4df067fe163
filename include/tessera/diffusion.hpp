// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Diffusion: noise levels, preconditioning, samplers, the exact denoiser of a data set.
#pragma once

#include "tessera/diffusion/exact_denoiser.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/diffusion/precondition.hpp"
#include "tessera/diffusion/preconditioned.hpp"
#include "tessera/diffusion/sampler.hpp"
#include "tessera/diffusion/sigma_grid.hpp"
#include "tessera/diffusion/state.hpp"
