// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// The runtime that stands for CUDA's: memory that is known, guarded and poisoned, devices, errors.
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>

#include "support.hpp"

namespace {

__global__ void write_at(float* p, std::ptrdiff_t i) {
  if (blockIdx.x == 2) p[i] = 1;
}

cudaMemoryType type_of(const void* p) {
  cudaPointerAttributes a;
  BOOST_REQUIRE(cudaPointerGetAttributes(&a, p) == cudaSuccess);
  return a.type;
}
int device_of(const void* p) {
  cudaPointerAttributes a;
  BOOST_REQUIRE(cudaPointerGetAttributes(&a, p) == cudaSuccess);
  return a.device;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_device_memory)

BOOST_AUTO_TEST_CASE(pointers_say_where_they_point) {
  float on_stack = 0;
  BOOST_TEST((type_of(&on_stack) == cudaMemoryTypeUnregistered));
  BOOST_TEST((type_of(nullptr) == cudaMemoryTypeUnregistered));
  void* device = nullptr;
  void* managed = nullptr;
  void* pinned = nullptr;
  BOOST_REQUIRE(cudaMalloc(&device, 100) == cudaSuccess);
  BOOST_REQUIRE(cudaMallocManaged(&managed, 100) == cudaSuccess);
  BOOST_REQUIRE(cudaMallocHost(&pinned, 100) == cudaSuccess);
  BOOST_TEST((type_of(device) == cudaMemoryTypeDevice));
  BOOST_TEST((type_of(static_cast<char*>(device) + 99) == cudaMemoryTypeDevice));
  BOOST_TEST((type_of(static_cast<char*>(device) + 100) == cudaMemoryTypeUnregistered));
  BOOST_TEST((type_of(managed) == cudaMemoryTypeManaged));
  BOOST_TEST((type_of(pinned) == cudaMemoryTypeHost));
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(device) % 256 == 0u);
  BOOST_TEST(device_of(device) == 0);
  BOOST_TEST((cudaFreeHost(device) == cudaErrorInvalidValue));
  BOOST_TEST((cudaFree(pinned) == cudaErrorInvalidValue));
  BOOST_TEST((cudaFree(&on_stack) == cudaErrorInvalidValue));
  BOOST_TEST((cudaFree(device) == cudaSuccess));
  BOOST_TEST((cudaFree(device) == cudaErrorInvalidValue));
  BOOST_TEST((type_of(device) == cudaMemoryTypeUnregistered));
  BOOST_TEST((cudaFree(managed) == cudaSuccess));
  BOOST_TEST((cudaFreeHost(pinned) == cudaSuccess));
  BOOST_TEST((cudaFree(nullptr) == cudaSuccess));
  BOOST_TEST((cudaHostRegister(&on_stack, sizeof on_stack, 0) == cudaSuccess));
  BOOST_TEST((type_of(&on_stack) == cudaMemoryTypeHost));
  BOOST_TEST((cudaHostUnregister(&on_stack) == cudaSuccess));
  BOOST_TEST((type_of(&on_stack) == cudaMemoryTypeUnregistered));
  cudaGetLastError();
}

BOOST_AUTO_TEST_CASE(there_are_two_devices) {
  int n = 0;
  BOOST_TEST((cudaGetDeviceCount(&n) == cudaSuccess));
  BOOST_TEST(n == 2);
  BOOST_TEST((cudaSetDevice(1) == cudaSuccess));
  void* p = nullptr;
  cudaStream_t stream = nullptr;
  BOOST_REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  BOOST_TEST((cudaSetDevice(0) == cudaSuccess));
  BOOST_REQUIRE(cudaMallocAsync(&p, 16, stream) == cudaSuccess);
  BOOST_TEST(device_of(p) == 1);
  BOOST_TEST((cudaFreeAsync(p, stream) == cudaSuccess));
  BOOST_TEST((cudaStreamGetDevice(stream, &n) == cudaSuccess));
  BOOST_TEST(n == 1);
  BOOST_TEST((cudaStreamDestroy(stream) == cudaSuccess));
  BOOST_TEST((cudaSetDevice(2) == cudaErrorInvalidDevice));
  BOOST_TEST((cudaPeekAtLastError() == cudaErrorInvalidDevice));
  BOOST_TEST((cudaGetLastError() == cudaErrorInvalidDevice));
  BOOST_TEST((cudaPeekAtLastError() == cudaSuccess));
}

BOOST_AUTO_TEST_CASE(a_device_can_be_another) {
  const emulator::device before = emulator::properties(0);
  emulator::properties(0) = {.major = 8, .minor = 0, .multiprocessors = 108};
  int x = 0;
  BOOST_TEST((cudaDeviceGetAttribute(&x, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess));
  BOOST_TEST(x == 8);
  BOOST_TEST((cudaDeviceGetAttribute(&x, cudaDevAttrMultiProcessorCount, 0) == cudaSuccess));
  BOOST_TEST(x == 108);
  BOOST_TEST((cudaDeviceGetAttribute(&x, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess));
  BOOST_TEST(x == 163 * 1024);
  emulator::properties(0) = before;
  BOOST_TEST((cudaDeviceGetAttribute(&x, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess));
  BOOST_TEST(x == 227 * 1024);
  BOOST_TEST((cudaDeviceGetAttribute(&x, cudaDevAttrWarpSize, 7) == cudaErrorInvalidDevice));
  cudaGetLastError();
}

BOOST_AUTO_TEST_CASE(occupancy_is_what_memory_and_threads_allow) {
  int blocks = 0;
  BOOST_TEST((cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, write_at, 256, 0) == cudaSuccess));
  BOOST_TEST(blocks == 8);
  BOOST_TEST((cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, write_at, 256, 75 * 1024) == cudaSuccess));
  BOOST_TEST(blocks == 3);
}

BOOST_AUTO_TEST_CASE(memory_is_poisoned) {
  const device_array<float> x(3);
  for (const float v : x.host()) BOOST_TEST(v != v);
}

// AddressSanitizer ends the program at such a write.
#if !TESSERA_EMULATOR_ADDRESS_SANITIZER
BOOST_AUTO_TEST_CASE(writes_outside_of_an_allocation_are_faults) {
  const device_array<float> x(5);
  emulator::launch(4, 1, 0, write_at, x.data(), 4);
  check_fault([&] { emulator::launch(4, 1, 0, write_at, x.data(), 5); },
              {"kernel block (2,0,0)", "outside of an allocation of 20 bytes of device memory"});
  check_fault([&] { emulator::launch(4, 1, 0, write_at, x.data(), -1); }, {"outside of an allocation of 20 bytes"});
  emulator::launch(4, 1, 0, write_at, x.data(), 0);
  void* p = nullptr;
  BOOST_REQUIRE(cudaMalloc(&p, 8) == cudaSuccess);
  static_cast<char*>(p)[8] = 1;
  BOOST_TEST((cudaFree(p) == cudaErrorIllegalAddress));
  cudaGetLastError();
}
#endif

BOOST_AUTO_TEST_CASE(copies_stay_within_allocations) {
  const device_array<int> x(4);
  const int host[5] = {1, 2, 3, 4, 5};
  BOOST_TEST((cudaMemcpy(x.data(), host, 16, cudaMemcpyHostToDevice) == cudaSuccess));
  BOOST_TEST((cudaMemcpy(x.data(), host, 20, cudaMemcpyHostToDevice) == cudaErrorInvalidValue));
  int back[4] = {};
  BOOST_TEST((cudaMemcpy(back, host, 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue));
  BOOST_TEST((cudaMemcpyAsync(back, x.data(), 16, cudaMemcpyDefault, nullptr) == cudaSuccess));
  BOOST_TEST(back[3] == 4);
  BOOST_TEST((cudaMemset(x.data() + 1, 0, 8) == cudaSuccess));
  BOOST_CHECK((x.host() == std::vector<int>{1, 0, 0, 4}));
  BOOST_TEST((cudaMemset(x.data(), 0, 17) == cudaErrorInvalidValue));
  BOOST_TEST((cudaMemset(back, 0, 4) == cudaErrorInvalidValue));
  BOOST_TEST((cudaMemcpy2D(back, 8, x.data(), 8, 4, 2, cudaMemcpyDeviceToHost) == cudaSuccess));
  BOOST_TEST(back[2] == 0);
  cudaGetLastError();
}

BOOST_AUTO_TEST_CASE(errors_have_names) {
  BOOST_TEST(std::string(cudaGetErrorName(cudaErrorInvalidValue)) == "cudaErrorInvalidValue");
  BOOST_TEST(std::string(cudaGetErrorString(cudaErrorInvalidValue)) == "invalid argument");
  BOOST_TEST(std::string(cudaGetErrorName(static_cast<cudaError_t>(12345))) == "unrecognized error code");
}

BOOST_AUTO_TEST_CASE(events_measure) {
  cudaEvent_t a = nullptr;
  cudaEvent_t b = nullptr;
  BOOST_REQUIRE(cudaEventCreate(&a) == cudaSuccess);
  BOOST_REQUIRE(cudaEventCreate(&b) == cudaSuccess);
  float milliseconds = -1;
  BOOST_TEST((cudaEventElapsedTime(&milliseconds, a, b) == cudaErrorInvalidResourceHandle));
  cudaEventRecord(a);
  cudaEventRecord(b);
  BOOST_TEST((cudaEventElapsedTime(&milliseconds, a, b) == cudaSuccess));
  BOOST_TEST(milliseconds >= 0.0f);
  cudaEventDestroy(a);
  cudaEventDestroy(b);
  cudaGetLastError();
}

BOOST_AUTO_TEST_SUITE_END()
