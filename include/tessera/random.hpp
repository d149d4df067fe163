// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Random numbers that are addressed, value = f(seed, stream, index), one at a time or whole views of them.
/// The executors that the fills take are in tessera/exec/exec.hpp, which costs more to include than all of this.
#pragma once

#include "tessera/random/alias_table.hpp"
#include "tessera/random/bernoulli.hpp"
#include "tessera/random/beta.hpp"
#include "tessera/random/bits.hpp"
#include "tessera/random/brownian.hpp"
#include "tessera/random/categorical.hpp"
#include "tessera/random/dirichlet.hpp"
#include "tessera/random/exponential.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/random/gamma.hpp"
#include "tessera/random/gumbel.hpp"
#include "tessera/random/laplace.hpp"
#include "tessera/random/logistic.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/permutation.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/poisson.hpp"
#include "tessera/random/stochastic_rounding.hpp"
#include "tessera/random/streams.hpp"
#include "tessera/random/truncated_normal.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/random/uniform_dense.hpp"
#include "tessera/random/uniform_int.hpp"
#include "tessera/random/uniform_range.hpp"
