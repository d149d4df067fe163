// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The calls with which every storage type is tried, forward and backward.
#pragma once

#include <cstdint>

#include "../support/random.hpp"
#include "oracle.hpp"

namespace storage_types {

/// Odd and whole sizes of everything that is cut into registers, panels and chunks.
inline constexpr oracle::shape shapes[] = {{1, 2, 1, 1, 1, 1, 1},      {1, 2, 1, 3, 95, 5, 7},     {1, 2, 1, 17, 97, 8, 15},
                                           {1, 2, 1, 33, 192, 16, 17}, {1, 2, 1, 50, 193, 31, 33}, {1, 2, 1, 65, 257, 33, 31},
                                           {1, 2, 1, 97, 100, 64, 64}, {1, 2, 1, 30, 600, 65, 3},  {1, 2, 1, 129, 130, 17, 9},
                                           {1, 2, 1, 7, 31, 100, 129}};

/// Where the arrays of call s lie.
inline support::placement place(std::size_t s) { return {static_cast<std::int64_t>(s % 4), s % 2 == 0}; }

/// The inputs of call s: values of many sizes.
template <class Q, class K, class V>
oracle::inputs<Q, K, V> inputs(std::size_t s) {
  oracle::inputs<Q, K, V> in(shapes[s], place(s));
  in.q.fill(support::normals(s, 2));
  in.k.fill(support::normals(s + 50));
  in.v.fill([=](std::uint64_t n) { return support::spread(s + 70, n, -10, 10); });
  return in;
}

/// Full attention and causal in turn.
inline tessera::attention::options<> options(std::size_t s) {
  return {.mask = s % 2 == 0 ? tessera::attention::everything : tessera::attention::causal};
}

}  // namespace storage_types
