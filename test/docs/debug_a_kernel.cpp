// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// The program of docs/how-to/debug-a-kernel.md does what the page says.
#include <boost/test/unit_test.hpp>
#include <string>

int row_sums();
#define main row_sums
#include "docs/how-to/debug-a-kernel_1.inc"
#undef main

namespace {

__global__ void sum_rows_rightly(const float* x, int n, float* sums) {
  const int t = static_cast<int>(threadIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  const float* const row = x + static_cast<long>(blockIdx.x) * n;
  tessera::cuda::shared_cursor memory(tessera::cuda::dynamic_shared_memory());
  const auto part = memory.take<float>(threads);
  float mine = 0;
  for (int i = t; i < n; i += threads) mine += row[i];
  part.store(t, mine);
  __syncthreads();
#include "docs/how-to/debug-a-kernel_2.inc"
  if (t == 0) sums[blockIdx.x] = part.load(0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(docs_debug_a_kernel)

BOOST_AUTO_TEST_CASE(the_program_ends_with_the_fault_of_the_page) {
  BOOST_CHECK_EXCEPTION(row_sums(), tessera::emulator::fault, [](const auto& e) {
    const std::string text = e.what();
    return text.find("kernel block (0,0,0) thread (20,0,0) ") != std::string::npos &&
           text.find(".inc:18: a race: no barrier between this write and the read by thread (4,0,0), byte 80 of shared memory") !=
               std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(the_barrier_puts_it_right) {
  float* x = nullptr;
  float* sums = nullptr;
  cudaMallocManaged(&x, 3 * 1000 * sizeof(float));
  cudaMallocManaged(&sums, 3 * sizeof(float));
  for (int i = 0; i < 3000; ++i) x[i] = static_cast<float>(i / 1000);
  tessera::cuda::launch(tessera::cuda::on(), {.grid = dim3(3), .block = dim3(128), .shared_bytes = 512}, sum_rows_rightly, x,
                        1000, sums);
  for (int i = 0; i < 3; ++i) BOOST_TEST(sums[i] == static_cast<float>(1000 * i));
  cudaFree(x);
  cudaFree(sums);
}

BOOST_AUTO_TEST_SUITE_END()
