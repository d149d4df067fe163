// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Losses that are computed without what they are the loss of.
#pragma once

#include "tessera/training/cross_entropy_options.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"
