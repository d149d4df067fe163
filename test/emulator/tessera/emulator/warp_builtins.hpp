// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// CUDA's functions of a warp and a block: barriers, votes, shuffles, reductions.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/emulator/barriers.hpp"
#include "tessera/emulator/meeting.hpp"

namespace tessera::emulator::detail {

inline unsigned lane_of_self() { return current->self().rank % 32; }

/// Every lane takes the value of another one.
template <class T>
T shuffle(std::uint32_t mask, T value, int source, const char* what, const code_place& place) {
  struct part {
    T value;
    int source;
  };
  return meet<T>(
      mask, what, from::one_line, part{value, source},
      [&place, what](const part* in, T* out, std::uint32_t present) {
        for (std::uint32_t m = present; m != 0; m &= m - 1) {
          const int lane = std::countr_zero(m);
          if ((present >> in[lane].source & 1u) == 0) {
            current->fail(place, std::string(what) + ": lane " + std::to_string(lane) + " reads lane " +
                                     std::to_string(in[lane].source) + ", which does not take part");
          }
          out[lane] = in[in[lane].source].value;
        }
      },
      place);
}

/// Every lane gets f of what all lanes hold: `f(const T* in, present, lane)`.
template <class Out, class T, class F>
Out vote(std::uint32_t mask, T value, const char* what, F f, const code_place& place) {
  return meet<Out>(
      mask, what, from::one_line, value,
      [f](const T* in, Out* out, std::uint32_t present) {
        for (std::uint32_t m = present; m != 0; m &= m - 1) {
          const int lane = std::countr_zero(m);
          out[lane] = f(in, present, lane);
        }
      },
      place);
}

template <class T, class F>
T reduce(std::uint32_t mask, T value, const char* what, F f, const code_place& place) {
  return meet<T>(
      mask, what, from::one_line, value,
      [f](const T* in, T* out, std::uint32_t present) {
        T total = in[std::countr_zero(present)];
        for (std::uint32_t m = present & (present - 1); m != 0; m &= m - 1) total = f(total, in[std::countr_zero(m)]);
        for (std::uint32_t m = present; m != 0; m &= m - 1) out[std::countr_zero(m)] = total;
      },
      place);
}

template <class T>
concept reducible = std::same_as<T, int> || std::same_as<T, unsigned>;

}  // namespace tessera::emulator::detail

// ---- Barriers ----

inline void __syncthreads(tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  tessera::emulator::detail::sync_block("__syncthreads", false, place);
}
inline int __syncthreads_count(int predicate, tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return static_cast<int>(tessera::emulator::detail::sync_block("__syncthreads_count", predicate != 0, place).said_yes);
}
inline int __syncthreads_or(int predicate, tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return tessera::emulator::detail::sync_block("__syncthreads_or", predicate != 0, place).said_yes != 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate, tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  const auto& gate = tessera::emulator::detail::sync_block("__syncthreads_and", predicate != 0, place);
  return gate.said_yes == gate.came ? 1 : 0;
}

/// Orders the memory of its lanes, which no other function of a warp does. May be called from different lines at once.
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu,
                       tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  namespace e = tessera::emulator::detail;
  const unsigned warp = e::current->self().rank / 32;
  struct nothing {};
  e::meet<nothing>(
      mask, "__syncwarp", e::from::any_line, nothing(),
      [warp, mask](const nothing*, nothing*, std::uint32_t present) {
        // Lanes that have ended count as having come, as long as the mask names them.
        const std::uint32_t all = e::current->started_lanes(warp);
        e::current->order.lanes(warp, present, (mask & all) == all);
      },
      place);
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ---- Votes ----

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return tessera::emulator::detail::vote<unsigned>(
      mask, predicate, "__ballot_sync",
      [](const int* in, std::uint32_t present, int) {
        unsigned yes = 0;
        for (std::uint32_t m = present; m != 0; m &= m - 1) yes |= in[std::countr_zero(m)] != 0 ? m & (~m + 1) : 0u;
        return yes;
      },
      place);
}
inline int __any_sync(unsigned mask, int predicate,
                      tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return tessera::emulator::detail::reduce(mask, predicate != 0 ? 1 : 0, "__any_sync", [](int a, int b) { return a | b; }, place);
}
inline int __all_sync(unsigned mask, int predicate,
                      tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return tessera::emulator::detail::reduce(mask, predicate != 0 ? 1 : 0, "__all_sync", [](int a, int b) { return a & b; }, place);
}
/// Lanes that run together: there are no others than this one, as far as a program may rely on it.
inline unsigned __activemask() { return 1u << tessera::emulator::detail::lane_of_self(); }

template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return tessera::emulator::detail::vote<unsigned>(
      mask, value, "__match_any_sync",
      [](const T* in, std::uint32_t present, int lane) {
        unsigned equal = 0;
        for (std::uint32_t m = present; m != 0; m &= m - 1) {
          equal |= std::memcmp(in + std::countr_zero(m), in + lane, sizeof(T)) == 0 ? m & (~m + 1) : 0u;
        }
        return equal;
      },
      place);
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all,
                          tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  const unsigned equal = tessera::emulator::detail::vote<unsigned>(
      mask, value, "__match_all_sync",
      [](const T* in, std::uint32_t present, int) {
        for (std::uint32_t m = present; m != 0; m &= m - 1) {
          if (std::memcmp(in + std::countr_zero(m), in + std::countr_zero(present), sizeof(T)) != 0) return 0u;
        }
        return present;
      },
      place);
  *all = equal != 0 ? 1 : 0;
  return equal;
}

// ---- Reductions of integers ----

#define TESSERA_EMULATOR_REDUCE(name, type, expression)                                                            \
  template <tessera::emulator::detail::type T>                                                                     \
  T name(unsigned mask, T value, tessera::emulator::code_place place = tessera::emulator::code_place::current()) { \
    return tessera::emulator::detail::reduce(mask, value, #name, [](T a, T b) -> T { return expression; }, place); \
  }
TESSERA_EMULATOR_REDUCE(__reduce_add_sync, reducible, static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
TESSERA_EMULATOR_REDUCE(__reduce_min_sync, reducible, a < b ? a : b)
TESSERA_EMULATOR_REDUCE(__reduce_max_sync, reducible, a < b ? b : a)
TESSERA_EMULATOR_REDUCE(__reduce_and_sync, reducible, a& b)
TESSERA_EMULATOR_REDUCE(__reduce_or_sync, reducible, a | b)
TESSERA_EMULATOR_REDUCE(__reduce_xor_sync, reducible, a ^ b)
#undef TESSERA_EMULATOR_REDUCE

// ---- Shuffles, of anything that can be copied by its bytes ----

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  const int lane = static_cast<int>(tessera::emulator::detail::lane_of_self());
  return tessera::emulator::detail::shuffle(mask, value, (source & (width - 1)) | (lane & ~(width - 1)), "__shfl_sync", place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  const int lane = static_cast<int>(tessera::emulator::detail::lane_of_self());
  const int source = lane - static_cast<int>(delta);
  return tessera::emulator::detail::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, "__shfl_up_sync", place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  const int lane = static_cast<int>(tessera::emulator::detail::lane_of_self());
  const int source = lane + static_cast<int>(delta);
  return tessera::emulator::detail::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_down_sync",
                                            place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  const int lane = static_cast<int>(tessera::emulator::detail::lane_of_self());
  const int source = lane ^ lanes;
  return tessera::emulator::detail::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, "__shfl_xor_sync", place);
}
