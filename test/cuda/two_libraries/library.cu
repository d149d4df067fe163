// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Compiled twice, with LIBRARY 1 and 2: as if for different devices, which the same kernels of one program often are.
#include <exception>
#include <string>

#include "library.hpp"
#include "tessera/cuda/diffusion.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/random/fill.cuh"
#include "tessera/cuda/transform.cuh"
#include "tessera/tile/view.hpp"

// One name in both libraries, as the kernels of the headers have.
struct number_of_library {
  TESSERA_DEVICE float operator()(float) const { return LIBRARY; }
};

extern "C" __attribute__((visibility("default"))) const char*
#if LIBRARY == 1
launch_first
#else
launch_second
#endif
    (float* numbers, long long count, cudaStream_t stream) {
  static std::string text;
  try {
    const auto exec = tessera::cuda::on(stream);
    const tessera::view<float, 2> all(numbers, 1, count);
    tessera::random::fill_normal(exec, all, 1, 2);
    tessera::diffusion::add_noise(exec, 1, all);
    // Rows with a gap before the next, for the kernel of ours on a device, too.
    tessera::cuda::transform(exec, number_of_library{}, tessera::view<float, 2>(numbers, {2, count / 2 - 1}, {count / 2, 1}),
                             tessera::view<const float, 2>(numbers, {2, count / 2 - 1}, {count / 2, 1}));
    return nullptr;
  } catch (const std::exception& error) {
    text = error.what();
    return text.c_str();
  }
}
