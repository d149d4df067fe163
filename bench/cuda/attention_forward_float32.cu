// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "attention_forward.cuh"

template void bench::attention_forward_of<float>(cudaStream_t stream, const attention_call& call);
