// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What each of the two libraries does: every room's kernels once, as compiled there.
#pragma once

#include <cuda_runtime_api.h>

/// Fills `count` numbers at `numbers` by a kernel that has one name in both libraries, but not one body: 1 or 2, by the library.
/// Null, or the text of an error.
using library_function = const char*(float* numbers, long long count, cudaStream_t stream);

extern "C" {
library_function launch_first;
library_function launch_second;
}
