// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Functions that are compiled once for each instruction set, as those see them who only call them.
#pragma once

#include <cstdint>

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/simd/compat.hpp"
#include "tessera/tile/view.hpp"

template <class Arch>
struct kernels {
  /// nearest[i] is the code closest to point i; smoothed[i] the mean of the codes, weighted by how close they are.
  static void nearest_codes(tessera::view<const float, 2> points, tessera::view<const float, 2> codes,
                            tessera::view<int, 1> nearest, tessera::view<float, 2> smoothed);
  static void product(tessera::view<const float, 2> a, tessera::view<const float, 2> b, tessera::view<float, 2> c);
  static void self_attention(tessera::view<const tessera::bfloat16, 4> x, tessera::view<float, 4> out);
  /// The loss of telling point i's target, its gradient by the points in `gradient`, and the softmax of that in place.
  static void loss(tessera::view<const float, 2> points, tessera::view<const float, 2> codes, tessera::view<const int, 1> target,
                   tessera::view<float, 1> loss, tessera::view<float, 1> lse, tessera::view<float, 2> gradient);
  /// One step of AdamW, and of LAMB.
  static void step(tessera::view<float, 1> weights, tessera::view<float, 1> gradients, tessera::view<float, 1> first,
                   tessera::view<float, 1> second);
  /// A law a row.
  static constexpr std::int64_t laws = 5;
  static void noise(tessera::view<float, 2> out);
};
