// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The tables of results that golden_hashes.hpp holds the hashes of, as nvcc's host pass makes them, and as a GPU does where there is one.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <vector>

#include "golden_hashes.hpp"
#include "tessera/numeric.hpp"
#include "tessera/numeric/function_objects.hpp"

namespace {

using tessera::bfloat16;
using tessera::float16;

constexpr int codes = 0x10000;

struct square_root {
  template <class T>
  TESSERA_HD T operator()(T x) const {
    return tessera::sqrt(x);
  }
};

/// What a table has in place `i`, which is less than F::size, and how many bytes of it are hashed.
template <class T, class F>
struct of_function {
  static constexpr int size = codes;
  static constexpr int bytes = 2;
  TESSERA_HD static std::uint32_t entry(int i) {
    const T y = F()(T::from_bits(static_cast<std::uint16_t>(i)));
    return tessera::isnan(y) ? T::format::quiet_nan : y.bits;
  }
};

template <class T>
struct of_widening {
  static constexpr int size = codes;
  static constexpr int bytes = 4;
  TESSERA_HD static std::uint32_t entry(int i) {
    const float y = T::from_bits(static_cast<std::uint16_t>(i));
    return tessera::isnan(y) ? tessera::binary32::quiet_nan : tessera::to_bits(y);
  }
};

template <class T>
struct of_narrowing {
  static constexpr int size = codes * 64;
  static constexpr int bytes = 2;
  TESSERA_HD static std::uint32_t entry(int i) {
    constexpr golden::sixty_four lower = golden::lower_halves;  // a copy, for device code
    const T y(tessera::from_bits<float>(static_cast<std::uint32_t>(i / 64) << 16 | lower.of[i % 64]));
    return tessera::isnan(y) ? T::format::quiet_nan : y.bits;
  }
};

template <class Table>
__global__ void make(std::uint32_t* out) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < Table::size) out[i] = Table::entry(i);
}

int failures = 0;
bool has_device = false;

template <class Table>
void compare(const char* name, const char* where, std::uint64_t golden::entry::* of, const std::vector<std::uint32_t>& made) {
  golden::fnv1a hash;
  for (const std::uint32_t code : made) hash.add<Table::bytes>(code);
  std::uint64_t want = 0;
  for (const golden::entry& e : golden::tables) {
    if (std::strcmp(e.name, name) == 0) want = e.*of;
  }
  if (hash.value() != want) {
    ++failures;
    std::printf("%s of %s on the %s: hash 0x%016llx, not 0x%016llx\n", name,
                of == &golden::entry::of_float16 ? "float16" : "bfloat16", where, static_cast<unsigned long long>(hash.value()),
                static_cast<unsigned long long>(want));
  }
}

template <class Table>
void check(const char* name, std::uint64_t golden::entry::* of) {
  std::vector<std::uint32_t> made(Table::size);
  for (int i = 0; i < Table::size; ++i) made[static_cast<std::size_t>(i)] = Table::entry(i);
  compare<Table>(name, "host", of, made);
  if (!has_device) return;
  std::uint32_t* out = nullptr;
  const std::size_t size = made.size() * sizeof *out;
  bool good = cudaMalloc(&out, size) == cudaSuccess;
  if (good) {
    make<Table><<<(Table::size + 255) / 256, 256>>>(out);
    good = cudaGetLastError() == cudaSuccess && cudaMemcpy(made.data(), out, size, cudaMemcpyDeviceToHost) == cudaSuccess;
    cudaFree(out);
  }
  if (!good) {
    ++failures;
    std::printf("%s: %s\n", name, cudaGetErrorString(cudaGetLastError()));
    return;
  }
  compare<Table>(name, "device", of, made);
}

template <class F>
void check_function(const char* name) {
  check<of_function<float16, F>>(name, &golden::entry::of_float16);
  check<of_function<bfloat16, F>>(name, &golden::entry::of_bfloat16);
}

}  // namespace

int main() {
  int devices = 0;
  has_device = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
#define CHECK_FUNCTION(name) check_function<tessera::function::name>(#name);
  GOLDEN_FUNCTIONS(CHECK_FUNCTION, CHECK_FUNCTION)
  check_function<square_root>("sqrt");
  check<of_widening<float16>>("widening", &golden::entry::of_float16);
  check<of_widening<bfloat16>>("widening", &golden::entry::of_bfloat16);
  check<of_narrowing<float16>>("narrowing", &golden::entry::of_float16);
  check<of_narrowing<bfloat16>>("narrowing", &golden::entry::of_bfloat16);
  std::printf("%d tables wrong, %s\n", failures, has_device ? "host and device" : "host alone: there is no device");
  return failures == 0 ? 0 : 1;
}
