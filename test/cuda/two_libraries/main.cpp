// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// main FIRST SECOND: loads both libraries into one scope of names, as a program that links to both does, and lets each launch.
#include <dlfcn.h>

#include <cstdio>
#include <vector>

#include "library.hpp"

namespace {

library_function* load(const char* library, const char* name) {
  void* const handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
  void* const function = handle != nullptr ? dlsym(handle, name) : nullptr;
  if (function == nullptr) std::printf("%s: %s\n", library, dlerror());
  return reinterpret_cast<library_function*>(function);
}

/// True if the library's kernels ran, or where no GPU is.
bool launches(library_function* launch, float expected) {
  constexpr int count = 1000;
  std::vector<float> numbers(count);
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, count * sizeof(float));
  const char* const error = launch(static_cast<float*>(memory), count, nullptr);
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) {
    std::printf("no GPU: %s\n", error != nullptr ? error : "and no error");
    return error != nullptr;
  }
  if (error != nullptr || cudaMemcpy(numbers.data(), memory, count * sizeof(float), cudaMemcpyDeviceToHost) != cudaSuccess ||
      cudaFree(memory) != cudaSuccess) {
    std::printf("%s\n", error != nullptr ? error : "cudaMemcpy or cudaFree failed");
    return false;
  }
  int others = 0;
  for (int i = 0; i < count; ++i) {
    const bool gap = i % (count / 2) == count / 2 - 1;
    others += !gap && numbers[static_cast<std::size_t>(i)] != expected ? 1 : 0;
  }
  if (others != 0)
    std::printf("library %g: %d numbers are not its own, but %g\n", static_cast<double>(expected), others,
                static_cast<double>(numbers[0]));
  return others == 0;
}

}  // namespace

int main(int, char** arguments) {
  library_function* const first = load(arguments[1], "launch_first");
  library_function* const second = load(arguments[2], "launch_second");
  if (first == nullptr || second == nullptr) return 1;
  bool good = launches(first, 1);
  good = launches(second, 2) && good;
  good = launches(first, 1) && good;
  return good ? 0 : 1;
}
