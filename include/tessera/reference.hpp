// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification: plain float64 loops.
#pragma once

#include "tessera/reference/attention.hpp"
#include "tessera/reference/attention_backward.hpp"
#include "tessera/reference/brownian.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/reference/diffusion.hpp"
#include "tessera/reference/layers.hpp"
#include "tessera/reference/linear_cross_entropy.hpp"
#include "tessera/reference/matmul.hpp"
#include "tessera/reference/nearest.hpp"
#include "tessera/reference/random.hpp"
#include "tessera/reference/random_draws.hpp"
#include "tessera/reference/random_shapes.hpp"
#include "tessera/reference/rotary.hpp"
#include "tessera/reference/softmax_rows.hpp"
