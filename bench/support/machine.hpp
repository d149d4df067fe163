// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What this machine can do at most, measured, and what it is called: the denominators of every stated fraction.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tessera/exec/exec.hpp"
#include "tessera/simd/pack.hpp"

namespace machine {

using steady = std::chrono::steady_clock;

inline double seconds_since(steady::time_point start) { return std::chrono::duration<double>(steady::now() - start).count(); }

namespace detail {

/// Hides a value's origin and its use from the optimiser.
template <class T>
inline void opaque(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

/// 12 chains of dependent multiply-adds: two units of four cycles need 8, and 12 leave room in 16 registers.
template <class P, std::size_t... Chain>
TESSERA_NOINLINE void multiply_add(std::int64_t rounds, std::index_sequence<Chain...>) {
  using T = typename P::value_type;
  T factor = T(0.5);
  T term = T(1);
  opaque(factor);
  opaque(term);
  const P a(factor);
  const P b(term);
  P sum[] = {P(static_cast<T>(Chain))...};
  for (std::int64_t i = 0; i < rounds; ++i) ((sum[Chain] = tessera::lane<P>::fma(sum[Chain], a, b)), ...);
  opaque(sum);
}

}  // namespace detail

/// The most multiply-adds that exec's threads together do a second, times two: flop/s of T = float or double.
///
/// Registers only, no load or store. The best of `rounds` rounds of 2 to 10 ms, handed out in pieces: a thread that the system holds
/// up does not hold up the round, and a limit is not lowered by a disturbed round.
template <class T = float, tessera::executor Exec>
double fma_peak(const Exec& exec, int rounds = 30) {
  using P = tessera::simd::pack<T, typename Exec::arch>;
  constexpr std::size_t chains = 12;
  constexpr std::int64_t multiply_adds = 200'000;
  const std::int64_t pieces = 8 * exec.workers();
  const double flops = 2.0 * static_cast<double>(chains * P::lanes) * static_cast<double>(multiply_adds * pieces);
  double best = 0;
  for (int repeat = 0; repeat < rounds; ++repeat) {
    const auto start = steady::now();
    exec.for_each(pieces, [&](int, std::int64_t) { detail::multiply_add<P>(multiply_adds, std::make_index_sequence<chains>{}); });
    best = std::max(best, flops / seconds_since(start));
  }
  return best;
}

/// Two buffers and the bytes a second, read + written, at which memcpy moves one to the other.
class copier {
 public:
  explicit copier(std::int64_t bytes) : from_(static_cast<std::size_t>(bytes), 1), to_(static_cast<std::size_t>(bytes), 2) {}

  /// The best of `rounds` rounds, each a copy on all of exec's threads; small copies are repeated for a tenth of a millisecond or more.
  template <tessera::executor Exec>
  double rate(const Exec& exec, int rounds) {
    const auto bytes = static_cast<std::int64_t>(from_.size());
    const std::int64_t parts = exec.workers();
    const std::int64_t part = bytes / parts;
    const std::int64_t repeats = 1 + (std::int64_t{1} << 23) / bytes;
    double best = 0;
    for (int round = 0; round < rounds; ++round) {
      const auto start = steady::now();
      exec.for_each(parts, [&](int, std::int64_t p) {
        for (std::int64_t i = 0; i < repeats; ++i) {
          std::memcpy(to_.data() + p * part, from_.data() + p * part, static_cast<std::size_t>(part));
          detail::opaque(to_[static_cast<std::size_t>(p * part)]);
        }
      });
      best = std::max(best, 2.0 * static_cast<double>(parts * part * repeats) / seconds_since(start));
    }
    return best;
  }

 private:
  std::vector<char> from_;
  std::vector<char> to_;
};

/// A buffer and the bytes a second at which it is read, whole registers one after another.
class reader {
 public:
  explicit reader(std::int64_t bytes) : from_(static_cast<std::size_t>(bytes), 1) {}

  /// The best of `rounds` rounds, each over the buffer, in equal shares on all of exec's threads.
  template <tessera::executor Exec>
  double rate(const Exec& exec, int rounds) {
    using P = tessera::simd::pack<float, typename Exec::arch>;
    constexpr std::int64_t step = 4 * static_cast<std::int64_t>(sizeof(float)) * P::lanes;
    const std::int64_t parts = exec.workers();
    const std::int64_t part = static_cast<std::int64_t>(from_.size()) / parts / step * step;
    double best = 0;
    for (int round = 0; round < rounds; ++round) {
      const auto start = steady::now();
      exec.for_each(parts, [&](int, std::int64_t p) {
        P sums[4] = {P(0.0F), P(0.0F), P(0.0F), P(0.0F)};
        const char* at = from_.data() + p * part;
        for (const char* const end = at + part; at != end; at += step) {
          TESSERA_UNROLL
          for (int s = 0; s < 4; ++s) {
            sums[s] = sums[s] + P::load_unaligned(reinterpret_cast<const float*>(at) + s * P::lanes);
          }
        }
        detail::opaque(sums);
      });
      best = std::max(best, static_cast<double>(parts * part) / seconds_since(start));
    }
    return best;
  }

 private:
  std::vector<char> from_;
};

/// What a job can be limited by: multiply-adds, the reading and writing of as many bytes as it moves, or reading from memory.
enum class resource { float32, float64, copy, read };

inline bool is_memory(resource r) { return r == resource::copy || r == resource::read; }
inline const char* unit(resource r) { return is_memory(r) ? "B" : "FLOP"; }

/// Measures a limit beside each turn of a case that needs `amount` of it.
class meter {
 public:
  meter(resource what, double amount)
      : what_(what),
        copier_(what == resource::copy ? static_cast<std::int64_t>(amount / 2) : 0),
        reader_(what == resource::read ? beyond_caches : 0) {}

  template <tessera::executor Exec>
  double rate(const Exec& exec) {
    constexpr int rounds = 3;
    if (what_ == resource::copy) return copier_.rate(exec, rounds);
    if (what_ == resource::read) return reader_.rate(exec, rounds);
    return what_ == resource::float64 ? fma_peak<double>(exec, rounds) : fma_peak<float>(exec, rounds);
  }

  /// Bytes that no cache keeps from one reading to the next.
  static constexpr std::int64_t beyond_caches = std::int64_t{256} << 20;

 private:
  resource what_;
  copier copier_;
  reader reader_;
};

/// The processor's name as the system tells it, or the architecture's.
inline std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
#if defined(__aarch64__)
  return "AArch64";
#elif defined(__x86_64__)
  return "x86-64";
#else
  return "unknown processor";
#endif
}

/// The instruction set that `seq` and `par` use, such as "avx512bw, 16 lanes of float".
inline std::string instruction_set() {
  return std::string(tessera::default_arch::name()) + ", " + std::to_string(tessera::simd::pack<float>::lanes) +
         " lanes of float";
}

/// Name and version of the compiler.
inline std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown compiler";
#endif
}

}  // namespace machine
