// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A function of single elements, for the chunks of the elementwise kernel.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"

namespace tessera::diffusion::detail {

/// out[i] = f(in[i] …) for the elements of a chunk.
template <class F>
struct chunk_of_step {
  F f;

  template <class T, int N, class... In>
  TESSERA_DEVICE void operator()(std::uint64_t, cuda::packed<T, N>& out, const In&... in) const {
    TESSERA_DEVICE_UNROLL
    for (int i = 0; i < N; ++i) out[i] = f(in[i]...);
  }
};

}  // namespace tessera::diffusion::detail
