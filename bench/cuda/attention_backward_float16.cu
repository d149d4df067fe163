// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "attention_backward.cuh"

template void bench::attention_backward_of<tessera::float16>(cudaStream_t stream, const attention_call& call);
