// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Executors: this thread, many threads.
#pragma once

#include "tessera/exec/exec.hpp"
#include "tessera/exec/par.hpp"
#include "tessera/exec/seq.hpp"
