// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Reducers: folds over a row of scores.
#pragma once

#include "tessera/online/extremum.hpp"
#include "tessera/online/kernel_sum.hpp"
#include "tessera/online/moments.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/online/top_k.hpp"
