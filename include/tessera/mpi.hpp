// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The optional room: families over an MPI communicator. tessera.hpp does not include it.
#pragma once

#include "tessera/mpi/attention.hpp"
#include "tessera/mpi/attention_backward.hpp"
#include "tessera/mpi/communicator.hpp"
#include "tessera/mpi/shards.hpp"
