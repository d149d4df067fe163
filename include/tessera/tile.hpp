// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views, the matrix product, the contraction.
#pragma once

#include "tessera/tile/contraction.hpp"
#include "tessera/tile/convert.hpp"
#include "tessera/tile/convert_stochastic.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/matmul.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/nearest.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/shape.hpp"
#include "tessera/tile/softmax_rows.hpp"
#include "tessera/tile/softmax_rows_backward.hpp"
#include "tessera/tile/view.hpp"
