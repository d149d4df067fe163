// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// CUDA's words before declarations, for an ordinary compiler. CUDA's own header makes attributes of some, which it does not know.
#pragma once

#include <cuda_runtime.h>

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __grid_constant__
#define __grid_constant__
#undef __cluster_dims__
#define __cluster_dims__(...)
#undef __block_size__
#define __block_size__(...)
#undef __maxnreg__
#define __maxnreg__(...)
#undef __constant__
#define __constant__
#undef __managed__
#define __managed__
/// In a function that is static by itself. One for each OS thread, and a block has that thread for itself. Not for `extern` arrays: see dynamic_shared_memory().
#undef __shared__
#define __shared__ thread_local
