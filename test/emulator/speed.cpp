// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// What things cost, for whoever chooses the sizes of a test. Measured with g++ 12 -O2 -march=native on one core of an AMD EPYC (Zen 4), a warp each:
//   a shuffle                                    0.8 us
//   a load of 4 matrices (ldmatrix, checked)     2 us
//   a product m16n8k16 (mma)                     2.7 us
//   32 checked loads or stores of 4 bytes        0.3 us
//   __syncthreads of 256 threads                 6 us
// The test fails only when something is ten times as dear, as this machine may be slower and busy; it says what it has measured
// (--log_level=message).
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>

#include "support.hpp"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/tile/mma.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"
#include "tessera/numeric/float16.hpp"

namespace {

namespace tile = tessera::cuda::tile;
using tessera::float16;

__global__ void shuffles(float* out, int n) {
  float x = static_cast<float>(threadIdx.x);
  for (int i = 0; i < n; ++i) x = 0.5f * (x + __shfl_xor_sync(0xFFFFFFFFu, x, 1 << (i % 5)));
  out[threadIdx.x] = x;
}
__global__ void products(float* out, int n) {
  const tile::left_fragment<float16> a{};
  const tile::right_fragment<float16> b{};
  float c[4] = {};
  for (int i = 0; i < n; ++i) tile::multiply_add<float16>(c, a, b);
  out[threadIdx.x] = c[0];
}
__global__ void matrix_loads(float* out, int n) {
  using rows = tile::shared_tile<float16, 64, 64>;
  tessera::cuda::shared_cursor memory(tessera::cuda::dynamic_shared_memory());
  const rows t(memory.take<float16>(rows::size));
  for (int i = static_cast<int>(threadIdx.x); i < rows::size / 8; i += static_cast<int>(blockDim.x)) {
    t.store_as<uint4>(i / 8, i % 8 * 8, uint4{});
  }
  __syncthreads();
  std::uint32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += tile::load_left<float16>(t, 16 * (i % 4), 16 * (i / 4 % 4)).r[0];
  out[threadIdx.x] = static_cast<float>(sum);
}
__global__ void accesses(float* out, int n) {
  tessera::cuda::shared_cursor memory(tessera::cuda::dynamic_shared_memory());
  const auto x = memory.take<float>(static_cast<int>(blockDim.x));
  const int t = static_cast<int>(threadIdx.x);
  x.store(t, 0.0f);
  for (int i = 0; i < n; ++i) x.store(t, x.load(t) + 1.0f);
  out[t] = x.load(t);
}
__global__ void barriers(float* out, int n) {
  for (int i = 0; i < n; ++i) __syncthreads();
  out[threadIdx.x] = 1;
}

/// Microseconds of one of n things in each of 8 warps of 8 blocks.
template <class Kernel>
double microseconds(Kernel kernel, int n) {
  const device_array<float> out(256);
  double best = 1e30;
  for (int turn = 0; turn < 3; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    emulator::launch(8, 256, 16 * 1024, kernel, out.data(), n);
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count() / (8.0 * 8 * n));
  }
  return best;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_speed)

BOOST_AUTO_TEST_CASE(things_are_not_too_dear) {
  // Sanitizers make everything slower.
  const double slack = TESSERA_EMULATOR_ADDRESS_SANITIZER ? 100 : 10;
  const struct {
    const char* what;
    double measured;
    double expected;
  } costs[] = {
      {"a shuffle", microseconds(shuffles, 300), 0.8},
      {"a load of matrices", microseconds(matrix_loads, 100), 2},
      {"a product of fragments", microseconds(products, 100), 2.7},
      {"a checked load and a store, 32 lanes", microseconds(accesses, 300) / 2, 0.3},
      {"__syncthreads of 256 threads", 8 * microseconds(barriers, 100), 6},
  };
  for (const auto& c : costs) {
    BOOST_TEST_MESSAGE(c.what << ": " << c.measured << " us");
    BOOST_CHECK_MESSAGE(c.measured < slack * c.expected, c.what << " takes " << c.measured << " us; expected: " << c.expected);
  }
}

BOOST_AUTO_TEST_SUITE_END()
