// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The room in device code: that it compiles there without flags or warnings, and gives device constants.
#include <cstdint>

#include "device_shapes.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random.hpp"

namespace random_device {

namespace numbers = tessera::random;

constexpr float a_constant = numbers::normal<float>(1, 2, 3);
static_assert(numbers::gumbel<float>(0, 0, 0) == 0x1.5b6c7ep-4f &&
              numbers::truncated_normal<float>(8, 9, 0, 0, 0) == 0x1.008052p+3f);
static_assert(a_constant == 0x1.a25512p-2f && numbers::normal<double>(1, 2, 3) == 0x1.8292ad3d6a207p-3);

template <class T>
__device__ T everything(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  float sum = a_constant + static_cast<float>(numbers::philox(seed, stream, index)[0]);
  sum += static_cast<float>(numbers::uniform<T>(seed, stream, index)) +
         static_cast<float>(numbers::uniform_open<T>(seed, stream, index));
  sum += static_cast<float>(numbers::normal<T>(seed, stream, index));
  sum += static_cast<float>(numbers::uniform<T>(-1, 1, seed, stream, index)) +
         static_cast<float>(numbers::uniform_dense<T>(seed, stream, index)) +
         static_cast<float>(numbers::normal<T>(1, 2, seed, stream, index)) +
         static_cast<float>(numbers::truncated_normal<T>(8, 9, seed, stream, index)) +
         static_cast<float>(numbers::exponential<T>(2, seed, stream, index)) +
         static_cast<float>(numbers::gumbel<T>(seed, stream, index)) +
         static_cast<float>(numbers::gumbel<T>(1, 2, seed, stream, index)) +
         static_cast<float>(numbers::logistic<T>(1, 2, seed, stream, index)) +
         static_cast<float>(numbers::laplace<T>(1, 2, seed, stream, index));
  sum += numbers::bernoulli(0.5, seed, stream, index) ? 1.0f : 0.0f;
  sum += static_cast<float>(numbers::uniform_int<int>(1, 6, seed, stream, index)) +
         static_cast<float>(numbers::uniform_int<std::int64_t>(1, 6, seed, stream, index));
  sum += static_cast<float>(numbers::bits<std::uint32_t>(seed, stream, index)) +
         static_cast<float>(numbers::bits<std::uint64_t>(seed, stream, index));
  for (int i = 0; i < numbers::values_per_block<T>; ++i) {
    sum += static_cast<float>(numbers::exponential_block<T>(2, seed, stream, index)[i]);
    sum += static_cast<float>(numbers::gumbel_block<T>(seed, stream, index)[i]);
    sum += static_cast<float>(numbers::logistic_block<T>(seed, stream, index)[i]);
    sum += static_cast<float>(numbers::laplace_block<T>(seed, stream, index)[i]);
    sum += static_cast<float>(numbers::uniform_block<T>(seed, stream, index)[i]);
    sum += static_cast<float>(numbers::uniform_open_block<T>(seed, stream, index)[i]);
    sum += static_cast<float>(numbers::normal_block<T>(seed, stream, index)[i]);
  }
  return static_cast<T>(sum);
}

template <class T>
__global__ void kernel(std::uint64_t seed, T* out) {
  out[threadIdx.x] = everything<T>(seed, blockIdx.x, threadIdx.x);
}

template __global__ void kernel<float>(std::uint64_t, float*);
template __global__ void kernel<double>(std::uint64_t, double*);
template __global__ void kernel<tessera::float16>(std::uint64_t, tessera::float16*);
template __global__ void kernel<tessera::bfloat16>(std::uint64_t, tessera::bfloat16*);

}  // namespace random_device
