// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A communicator of our own, and MPI's failures as exceptions. Needs an MPI: this room is not part of tessera.hpp.
#pragma once

#include <mpi.h>

#include <stdexcept>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"

namespace tessera::mpi {

/// A call of MPI failed. The text reads `function: call: MPI's own text`.
///
/// Under -fno-exceptions TESSERA_ERROR_HANDLER gets the same text.
class error : public std::runtime_error {
 public:
  error(const std::string& text, int code) : std::runtime_error(text), code_(code) {}
  /// What the call returned.
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  int code_;
};

namespace detail {

[[noreturn]] TESSERA_NOINLINE inline void fail(const char* function, const char* call, int code) {
  char reason[MPI_MAX_ERROR_STRING + 1] = {};
  int length = 0;
  if (MPI_Error_string(code, reason, &length) != MPI_SUCCESS) length = 0;
  const std::string text = std::string(function) + ": " + call + ": " + std::string(reason, static_cast<std::size_t>(length));
#if TESSERA_EXCEPTIONS
  throw error(text, code);
#else
  TESSERA_ERROR_HANDLER(text.c_str());
#endif
}

/// check(function, "MPI_Isend", MPI_Isend(…)).
TESSERA_ALWAYS_INLINE void check(const char* function, const char* call, int code) {
  if (code != MPI_SUCCESS) [[unlikely]] {
    fail(function, call, code);
  }
}

}  // namespace detail

/// A duplicate of a communicator: our messages meet nobody else's, and errors come back as mpi::error whatever handler the original has.
///
/// Made by all its ranks together, once for many calls, and given back by all of them before MPI_Finalize. One call at a time; MPI must be
/// initialised with MPI_THREAD_FUNNELED or more where the executor has threads (only the calling thread calls MPI). All machines must hold
/// numbers in the same way.
class communicator {
 public:
  explicit communicator(MPI_Comm original) {
    const char* const function = "mpi::communicator";
    // Errors of a handle that is no communicator go to the handler of MPI_COMM_WORLD: there is none better to ask.
    detail::check(function, "MPI_Comm_dup", MPI_Comm_dup(original, &comm_));
    detail::check(function, "MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
    detail::check(function, "MPI_Comm_rank", MPI_Comm_rank(comm_, &rank_));
    detail::check(function, "MPI_Comm_size", MPI_Comm_size(comm_, &size_));
  }
  communicator(const communicator&) = delete;
  communicator& operator=(const communicator&) = delete;
  ~communicator() {
    int finalized = 0;
    if (MPI_Finalized(&finalized) == MPI_SUCCESS && finalized == 0) MPI_Comm_free(&comm_);
  }

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  [[nodiscard]] MPI_Comm handle() const { return comm_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace tessera::mpi
