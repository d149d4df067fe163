// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The state of one row out of those of a pack of rows, and back.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace tessera::tile::detail {

/// The state of lane l: a state of packs is an array of packs, a state of numbers the same array of numbers.
template <class Reducer, class T, class P>
typename Reducer::template state<T> lane_state(const typename Reducer::template state<P>& packed, int l) {
  using scalar = typename Reducer::template state<T>;
  using vector = typename Reducer::template state<P>;
  static_assert(std::is_trivially_copyable_v<scalar> && sizeof(vector) == sizeof(scalar) * P::lanes,
                "a reducer's state<T> may hold T and lane_index<T> members only");
  scalar result;
  const char* const from = reinterpret_cast<const char*>(&packed);
  char* const to = reinterpret_cast<char*>(&result);
  for (std::size_t m = 0; m < sizeof(scalar) / sizeof(T); ++m) {
    std::memcpy(to + m * sizeof(T), from + (m * P::lanes + static_cast<std::size_t>(l)) * sizeof(T), sizeof(T));
  }
  return result;
}

/// Makes `state` that of lane l.
template <class Reducer, class T, class P>
void set_lane_state(typename Reducer::template state<P>& packed, int l, const typename Reducer::template state<T>& state) {
  const char* const from = reinterpret_cast<const char*>(&state);
  char* const to = reinterpret_cast<char*>(&packed);
  for (std::size_t m = 0; m < sizeof(state) / sizeof(T); ++m) {
    std::memcpy(to + (m * P::lanes + static_cast<std::size_t>(l)) * sizeof(T), from + m * sizeof(T), sizeof(T));
  }
}

}  // namespace tessera::tile::detail
