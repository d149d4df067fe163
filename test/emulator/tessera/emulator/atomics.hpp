// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// CUDA's atomic functions. Nothing interrupts a thread of the emulator, so each is plain code; in shared memory the checks know them as atomic.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/shared.hpp"

namespace tessera::emulator::detail {

/// *p = f(*p); the old value. One that changes nothing may be polling, so others go first.
template <class T, class F>
T atomically(T* p, F f, const char* what, const code_place& place) {
  block& b = *current;
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const auto base = reinterpret_cast<std::uintptr_t>(b.shared);
  if (at >= base && at < base + b.shared_bytes) touch_shared(p, sizeof(T), touch::atomic, place);
  const T old = *p;
  const T now = f(old);
  std::memcpy(static_cast<void*>(p), &now, sizeof(T));
  if (std::memcmp(&now, &old, sizeof(T)) == 0) b.yield(what, place);
  return old;
}

template <class T>
concept whole =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long> || std::same_as<T, long long>;
template <class T>
concept summable = whole<T> || std::same_as<T, float> || std::same_as<T, double>;

template <class T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using u = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<u>(a) + static_cast<u>(b));
  } else {
    return a + b;
  }
}

}  // namespace tessera::emulator::detail

#define TESSERA_EMULATOR_ATOMIC(name, type, expression)                                                                     \
  template <tessera::emulator::detail::type T>                                                                              \
  T name(T* p, std::type_identity_t<T> x, tessera::emulator::code_place place = tessera::emulator::code_place::current()) { \
    return tessera::emulator::detail::atomically(p, [x](T old) -> T { return expression; }, #name, place);                  \
  }
TESSERA_EMULATOR_ATOMIC(atomicAdd, summable, tessera::emulator::detail::wrapping_add(old, x))
TESSERA_EMULATOR_ATOMIC(atomicSub, whole, tessera::emulator::detail::wrapping_add(old, static_cast<T>(T(0) - x)))
TESSERA_EMULATOR_ATOMIC(atomicMin, whole, std::min(old, x))
TESSERA_EMULATOR_ATOMIC(atomicMax, whole, std::max(old, x))
TESSERA_EMULATOR_ATOMIC(atomicAnd, whole, old& x)
TESSERA_EMULATOR_ATOMIC(atomicOr, whole, old | x)
TESSERA_EMULATOR_ATOMIC(atomicXor, whole, old ^ x)
TESSERA_EMULATOR_ATOMIC(atomicExch, summable, (static_cast<void>(old), x))
TESSERA_EMULATOR_ATOMIC(atomicInc, whole, old >= x ? T(0) : old + 1)
TESSERA_EMULATOR_ATOMIC(atomicDec, whole, old == 0 || old > x ? x : old - 1)
#undef TESSERA_EMULATOR_ATOMIC

template <class T>
  requires(std::is_integral_v<T> && (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8))
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> x,
            tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  return tessera::emulator::detail::atomically(
      p, [expected, x](T old) -> T { return old == expected ? x : old; }, "atomicCAS", place);
}
