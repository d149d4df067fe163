// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The exception that reports a failure of the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera::cuda {

/// A call of the CUDA runtime failed. The text reads `function: name of the code (the runtime's words for it)`.
class error : public std::runtime_error {
 public:
  error(cudaError_t code, const char* function)
      : std::runtime_error(std::string(function) + ": " + cudaGetErrorName(code) + " (" + cudaGetErrorString(code) + ")"),
        code_(code) {}

  [[nodiscard]] cudaError_t code() const noexcept { return code_; }

 private:
  cudaError_t code_;
};

/// Throws tessera::cuda::error unless status is cudaSuccess: `check(cudaFree(p), "cudaFree")`.
///
/// The runtime's last error is read with it, so that a failure that was told is not told again by a later call that looks there.
/// Under -fno-exceptions TESSERA_ERROR_HANDLER gets the text.
inline void check(cudaError_t status, const char* function) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
#if TESSERA_EXCEPTIONS
  throw error(status, function);
#else
  TESSERA_ERROR_HANDLER(error(status, function).what());
#endif
}

}  // namespace tessera::cuda
