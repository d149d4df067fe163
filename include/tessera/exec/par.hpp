// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The executor of many threads: an OpenMP team, or anyone's pool.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory_resource>

#include "tessera/core/error.hpp"
#include "tessera/simd/compat.hpp"

#if TESSERA_OPENMP
#include <omp.h>
#endif

namespace tessera {

/// The team that OpenMP forms; without OpenMP, the calling thread.
struct openmp_pool {
  [[nodiscard]] int threads() const {
#if TESSERA_OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
  }

  template <class F>
  void run(int n, F&& f) const {
#if TESSERA_OPENMP
#pragma omp parallel for num_threads(n) schedule(static, 1)
#endif
    for (int i = 0; i < n; ++i) f(i);
  }
};

/// What `par.on` takes: `threads()` and `run(n, f)`, which calls f(0) … f(n - 1) on any threads, in any order, and returns when
/// all are done. Running them one after another on one thread is allowed.
template <class P>
concept thread_pool = std::copy_constructible<P> && requires(const P& pool, void (*f)(int)) {
  { pool.threads() } -> std::convertible_to<int>;
  pool.run(1, f);
};

/// Runs a call on a team of threads with the instructions of Arch.
///
/// The result has the same bits for every number of threads: threads share out the rows of a result, never the order of a sum.
/// An exception in a worker stops the others at their next item and is rethrown on the calling thread.
template <class Arch = default_arch, class Pool = openmp_pool>
class basic_par {
 public:
  using arch = Arch;

  constexpr basic_par() = default;
  explicit basic_par(Pool pool, int threads = 0, std::pmr::memory_resource* memory = nullptr)
      : pool_(pool), threads_(threads), memory_(memory) {}

  /// The same executor with n threads; 0 takes as many as the pool has.
  [[nodiscard]] basic_par threads(int n) const {
    detail::expects(n >= 0, "par.threads", "n", [&] { return std::to_string(n); }, "needs 0 (all) or a positive count");
    return basic_par(pool_, n, memory_);
  }

  /// The same executor on another pool; its own number of threads.
  template <thread_pool Other>
  [[nodiscard]] basic_par<Arch, Other> on(Other pool) const {
    return basic_par<Arch, Other>(pool, 0, memory_);
  }

  /// The same executor, taking scratch memory from `memory` (which must outlive the calls) instead of the default resource.
  [[nodiscard]] basic_par scratch(std::pmr::memory_resource* memory) const { return basic_par(pool_, threads_, memory); }

  [[nodiscard]] int workers() const {
    const int n = threads_ > 0 ? threads_ : pool_.threads();
    return n > 0 ? n : 1;
  }
  [[nodiscard]] std::pmr::memory_resource* memory() const {
    return memory_ != nullptr ? memory_ : std::pmr::get_default_resource();
  }

  /// f(worker, item) once for every item in [0, items), items handed out in rising order to whichever worker is free.
  template <class F>
  void for_each(std::int64_t items, F&& f) const {
    const int team = static_cast<int>(items < workers() ? items : workers());
    if (team <= 1) {
      for (std::int64_t item = 0; item < items; ++item) f(0, item);
      return;
    }
    std::atomic<std::int64_t> next{0};
    const auto drain = [&](int worker) {
      for (std::int64_t item = next.fetch_add(1); item < items; item = next.fetch_add(1)) f(worker, item);
    };
#if TESSERA_EXCEPTIONS
    std::exception_ptr error;
    std::atomic<bool> failed{false};
    pool_.run(team, [&](int worker) {
      try {
        drain(worker);
      } catch (...) {
        next.store(items);
        if (!failed.exchange(true)) error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
#else
    pool_.run(team, drain);
#endif
  }

 private:
  Pool pool_{};
  int threads_ = 0;
  std::pmr::memory_resource* memory_ = nullptr;
};

/// All threads of an OpenMP team.
inline constexpr basic_par<> par{};

}  // namespace tessera
