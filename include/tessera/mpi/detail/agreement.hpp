// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What all ranks must agree on before the first message: nobody waits for a rank that refused its arguments.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/mpi/communicator.hpp"

namespace tessera::mpi::detail {

/// A refused call as every rank tells of it.
[[noreturn]] TESSERA_NOINLINE inline void refuse(const std::string& text) {
#if TESSERA_EXCEPTIONS
  throw argument_error(text);
#else
  TESSERA_ERROR_HANDLER(text.c_str());
#endif
}

/// What a rank knows of a call before anybody has sent anything.
class agreement {
 public:
  static constexpr int numbers = 12;

  /// check() throws where a rank refuses; the others must hear of it first.
  template <class Check>
  TESSERA_ALWAYS_INLINE void prepare(const Check& check) {
#if TESSERA_EXCEPTIONS
    try {
      check();
    } catch (const std::exception& refused) {
      thrown_ = std::current_exception();
      text_ = refused.what();
    }
#else
    check();
#endif
  }

  /// All ranks together: throws on all of them if one has refused or if `mine` (described by `names`) differ; else wants[rank * pieces + t]
  /// tells whether a rank wants piece t.
  TESSERA_NOINLINE std::vector<char> reach(const char* function, const communicator& ranks, const std::int64_t (&mine)[numbers],
                                           const char* const (&names)[numbers], const std::vector<char>& wanted) const {
    const std::size_t header = sizeof(mine) + sizeof(std::int64_t);
    const std::size_t size = header + wanted.size();
    const auto count = static_cast<std::size_t>(ranks.size());
    std::vector<char> sent(size);
    const std::int64_t refused = thrown_ != nullptr ? 1 : 0;
    std::memcpy(sent.data(), &refused, sizeof(refused));
    std::memcpy(sent.data() + sizeof(refused), mine, sizeof(mine));
    if (!wanted.empty()) std::memcpy(sent.data() + header, wanted.data(), wanted.size());
    std::vector<char> all(size * count);
    check(function, "MPI_Allgather",
          MPI_Allgather(sent.data(), static_cast<int>(size), MPI_BYTE, all.data(), static_cast<int>(size), MPI_BYTE,
                        ranks.handle()));

    const auto number = [&](std::size_t rank, std::size_t n) {
      std::int64_t x = 0;
      std::memcpy(&x, all.data() + rank * size + n * sizeof(x), sizeof(x));
      return x;
    };
    for (std::size_t r = 0; r < count; ++r) {
      if (number(r, 0) == 0) continue;
      char text[512] = {};
      std::memcpy(text, text_.data(), std::min(text_.size(), sizeof(text) - 1));
      check(function, "MPI_Bcast", MPI_Bcast(text, sizeof(text), MPI_CHAR, static_cast<int>(r), ranks.handle()));
      if (thrown_ != nullptr) std::rethrow_exception(thrown_);
      refuse(std::string(text) + " (on rank " + std::to_string(r) + ")");
    }
    for (std::size_t r = 1; r < count; ++r) {
      for (std::size_t n = 0; n < numbers; ++n) {
        if (number(r, n + 1) == number(0, n + 1)) continue;
        refuse(std::string(function) + ": " + names[n] + ": " + std::to_string(number(r, n + 1)) + " on rank " +
               std::to_string(r) + ", " + std::to_string(number(0, n + 1)) + " on rank 0; needs the same on all ranks");
      }
    }
    std::vector<char> wants(count * wanted.size());
    for (std::size_t r = 0; r < count && !wanted.empty(); ++r) {
      std::memcpy(wants.data() + r * wanted.size(), all.data() + r * size + header, wanted.size());
    }
    return wants;
  }

 private:
  std::exception_ptr thrown_;
  std::string text_;
};

}  // namespace tessera::mpi::detail
