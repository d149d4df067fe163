// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention.
#pragma once

#include "tessera/attention/accumulate.hpp"
#include "tessera/attention/append.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/merge.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/attention/ragged_backward.hpp"
#include "tessera/attention/rotary_tables.hpp"
#include "tessera/attention/rotate.hpp"
