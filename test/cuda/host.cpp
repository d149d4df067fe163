// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The host layer: executors, launches, scratch memory, and whose memory a pointer is in.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "support/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/shared.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/workspace.cuh"

namespace gpu = tessera::cuda;
using tessera::view;

namespace {

TESSERA_KERNEL void add(std::int64_t* out, std::int64_t n, std::int64_t value) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] += value;
}

TESSERA_KERNEL void fill_shared(int* out) {
  gpu::shared_cursor cursor(gpu::dynamic_shared_memory());
  const auto shared = cursor.take<int>(static_cast<int>(blockDim.x));
  const int i = static_cast<int>(threadIdx.x);
  shared.store(i, i);
  __syncthreads();
  out[i] = shared.load(shared.size() - 1 - i);
}

#if TESSERA_CUDA_EMULATOR
/// What a GPU refuses to do when the stream is another device's, which the emulator does not look at.
TESSERA_KERNEL void note_current_device(int* out) {
  if (threadIdx.x == 0) static_cast<void>(cudaGetDevice(out));
}
#endif

/// Makes a device the current one until the end of a test.
struct current_device {
  explicit current_device(int ordinal) { gpu::check(cudaSetDevice(ordinal), "cudaSetDevice"); }
  ~current_device() { gpu::check(cudaSetDevice(0), "cudaSetDevice"); }
};

int device_now() {
  int ordinal = -1;
  gpu::check(cudaGetDevice(&ordinal), "cudaGetDevice");
  return ordinal;
}

boost::test_tools::assertion_result has_two_devices(boost::unit_test::test_unit_id) {
  int count = 0;
  gpu::check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  return count > 1;
}

template <class F>
std::string failure(const F& f) {
  try {
    f();
  } catch (const gpu::error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_host)

BOOST_AUTO_TEST_CASE(an_executor_knows_its_device) {
  const gpu::executor exec = gpu::on();
  BOOST_TEST(exec.device().ordinal == 0);
#if TESSERA_CUDA_EMULATOR
  BOOST_TEST(exec.capability() == 90);
  BOOST_TEST(exec.device().multiprocessors == 132);
  BOOST_TEST(exec.device().shared_bytes == 227u * 1024u);
#endif
  BOOST_TEST(exec.capability() >= 70);
  BOOST_TEST(exec.device().multiprocessors > 0);
  BOOST_TEST(exec.device().shared_bytes >= 64u * 1024u);
  BOOST_TEST(exec.stream() == nullptr);
  BOOST_TEST(!exec.has_workspace());
}

BOOST_AUTO_TEST_CASE(a_stream_tells_its_device_whatever_the_current_one, *boost::unit_test::precondition(has_two_devices)) {
  cudaStream_t stream = nullptr;
  {
    const current_device other(1);
    gpu::check(cudaStreamCreate(&stream), "cudaStreamCreate");
    BOOST_TEST(gpu::on().device().ordinal == 1);
  }
  const gpu::executor exec = gpu::on(stream);
  BOOST_TEST(exec.device().ordinal == 1);
  {
    const gpu::device_scope scope(exec);
    BOOST_TEST(device_now() == 1);
  }
  BOOST_TEST(device_now() == 0);
  // A launch and scratch memory go to the stream's device, and leave the current one as it was.
  std::int64_t* out = nullptr;
  {
    const current_device other(1);
    gpu::check(cudaMalloc(reinterpret_cast<void**>(&out), 8 * sizeof *out), "cudaMalloc");
    gpu::check(cudaMemset(out, 0, 8 * sizeof *out), "cudaMemset");
  }
  gpu::launch(exec, {.grid = dim3(1), .block = dim3(32)}, add, out, 8, 5);
#if TESSERA_CUDA_EMULATOR
  int during_launch = -1;
  gpu::launch(exec, {.block = dim3(32)}, note_current_device, &during_launch);
  BOOST_TEST(during_launch == 1);
#endif
  const gpu::workspace memory(exec, 100, "test");
  cudaPointerAttributes attributes = {};
  gpu::check(cudaPointerGetAttributes(&attributes, memory.data()), "cudaPointerGetAttributes");
  BOOST_TEST(attributes.device == 1);
  BOOST_TEST(device_now() == 0);
  std::int64_t first = 0;
  gpu::check(cudaMemcpy(&first, out, sizeof first, cudaMemcpyDeviceToHost), "cudaMemcpy");
  BOOST_TEST(first == 5);
  gpu::check(cudaFree(out), "cudaFree");
  gpu::check(cudaStreamDestroy(stream), "cudaStreamDestroy");
}

BOOST_AUTO_TEST_CASE(arguments_become_those_of_the_kernel) {
  support::device_array<std::int64_t> out(std::vector<std::int64_t>(100, 1));
  const short value = 7;
  gpu::launch(gpu::on(), {.grid = dim3(2), .block = dim3(64)}, add, out.data(), 90, value);
  const auto got = out.get();
  for (std::size_t i = 0; i < 100; ++i) BOOST_TEST(got[i] == (i < 90 ? 8 : 1));
}

BOOST_AUTO_TEST_CASE(shared_memory_beyond_the_default_is_asked_for) {
  support::device_array<int> out(64);
  gpu::launch(gpu::on(), {.grid = dim3(1), .block = dim3(64), .shared_bytes = 60 * 1024}, fill_shared, out.data());
  BOOST_TEST(out.get()[0] == 63);
}

BOOST_AUTO_TEST_CASE(too_much_shared_memory_is_named_with_what_there_is) {
  support::device_array<int> out(64);
  const auto launch = [&](const gpu::executor& exec, std::size_t bytes) {
    gpu::launch(exec, {.grid = dim3(1), .block = dim3(64), .shared_bytes = bytes, .function = "room::function"}, fill_shared,
                out.data());
  };
#if TESSERA_CUDA_EMULATOR
  CHECK_REFUSED("room::function: shared memory: 232449 bytes a block; needs at most 232448 on device 0 of compute capability 9.0",
                launch(gpu::on(), 227 * 1024 + 1));
  tessera::emulator::properties(0) = {8, 0, 108};
  CHECK_REFUSED("room::function: shared memory: 204800 bytes a block; needs at most 166912 on device 0 of compute capability 8.0",
                launch(gpu::on(), 200 * 1024));
  tessera::emulator::properties(0) = {};
#endif
  CHECK_REFUSED("room::function: shared memory: 10485760 bytes a block; needs at most ", launch(gpu::on(), 10 * 1024 * 1024));
}

BOOST_AUTO_TEST_CASE(what_the_runtime_refuses_has_its_name) {
  support::device_array<std::int64_t> out(1);
  const auto launch = [&](unsigned blocks, unsigned threads) {
    return failure([&] { gpu::launch(gpu::on(), {.grid = dim3(blocks), .block = dim3(threads)}, add, out.data(), 0, 0); });
  };
  BOOST_TEST(launch(0, 32).substr(0, 51) == "cudaLaunchKernelExC: cudaErrorInvalidConfiguration ");
  BOOST_TEST(launch(1, 2048).substr(0, 20) == "cudaLaunchKernelExC:");
  BOOST_TEST(cudaPeekAtLastError() == cudaSuccess);  // nothing stays behind
  BOOST_TEST(launch(1, 32) == "no error");
  void* memory = nullptr;
  BOOST_TEST(failure([&] { gpu::check(cudaMallocAsync(&memory, ~std::size_t{0} / 2, nullptr), "cudaMallocAsync"); }) ==
             "cudaMallocAsync: cudaErrorMemoryAllocation (out of memory)");
  BOOST_TEST(cudaPeekAtLastError() == cudaSuccess);
}

BOOST_AUTO_TEST_CASE(scratch_is_aligned_and_given_back) {
  const auto exec = gpu::on();
  gpu::bump needed;
  needed.take<float>(3);
  needed.take<double>(5);
  BOOST_TEST(needed.bytes() == 512u);
  {
    const gpu::workspace memory(exec, needed.bytes(), "test");
    gpu::bump block(memory.data());
    float* const a = block.take<float>(3);
    double* const b = block.take<double>(5);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(a) % 256 == 0);
    BOOST_TEST(reinterpret_cast<std::byte*>(b) - reinterpret_cast<std::byte*>(a) == 256);
    cudaPointerAttributes attributes = {};
    gpu::check(cudaPointerGetAttributes(&attributes, b), "cudaPointerGetAttributes");
    BOOST_TEST(attributes.type == cudaMemoryTypeDevice);
  }
  const gpu::workspace none(exec, 0, "test");
  BOOST_TEST(none.data() == nullptr);
}

BOOST_AUTO_TEST_CASE(the_callers_block_serves_or_is_refused_with_what_is_needed) {
  const support::device_array<std::byte> block(4096, 8);
  const auto exec = gpu::on().workspace(block.data(), gpu::workspace::to_give(1000));
  const gpu::workspace memory(exec, 1000, "room::function");
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(memory.data()) % 256 == 0);
  BOOST_TEST(memory.data() >= block.data());
  BOOST_TEST(memory.data() + 1000 <= block.data() + gpu::workspace::to_give(1000));
  CHECK_REFUSED("room::function: workspace: 1256 bytes, 248 of them before the first aligned one; needs 2000 bytes (2256 where",
                gpu::workspace(exec, 2000, "room::function"));
  CHECK_REFUSED("room::function: workspace: null; needs 10 bytes",
                gpu::workspace(gpu::on().workspace(nullptr, 0), 10, "room::function"));
  const gpu::workspace none(gpu::on().workspace(nullptr, 0), 0, "room::function");  // no bytes from no block
}

BOOST_AUTO_TEST_CASE(foreign_memory_is_named) {
  const auto exec = gpu::on();
  const auto check = [&](const float* data, std::int64_t n) {
    gpu::detail::check_memory(exec, view<const float, 1>(data, n), "room::function", "q");
  };
  const support::device_array<float> mine(4);
  check(mine.data(), 4);
  float host[4] = {};
  CHECK_REFUSED("room::function: q: host memory; needs memory of the GPU (device 0)", check(host, 4));
  check(host, 0);
  CHECK_REFUSED("room::function: q: an address 1 bytes past one of an element; needs a multiple of 4 (the size of an element)",
                check(reinterpret_cast<const float*>(reinterpret_cast<const char*>(mine.data()) + 1), 3));
  void* pinned = nullptr;
  gpu::check(cudaMallocHost(&pinned, 16), "cudaMallocHost");
  check(static_cast<float*>(pinned), 4);
  gpu::check(cudaFreeHost(pinned), "cudaFreeHost");
  void* managed = nullptr;
  gpu::check(cudaMallocManaged(&managed, 16), "cudaMallocManaged");
  check(static_cast<float*>(managed), 4);
  gpu::check(cudaFree(managed), "cudaFree");
}

BOOST_AUTO_TEST_CASE(memory_of_another_device_is_named, *boost::unit_test::precondition(has_two_devices)) {
  const auto exec = gpu::on();
  const auto check = [&](const float* data, std::int64_t n) {
    gpu::detail::check_memory(exec, view<const float, 1>(data, n), "room::function", "q");
  };
  void* other = nullptr;
  {
    const current_device second(1);
    gpu::check(cudaMalloc(&other, 16), "cudaMalloc");
  }
  CHECK_REFUSED("room::function: q: memory of device 1; needs memory of the GPU (device 0)",
                check(static_cast<float*>(other), 4));
  gpu::check(cudaFree(other), "cudaFree");
}

BOOST_AUTO_TEST_SUITE_END()
