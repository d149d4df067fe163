// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of tile/matmul.hpp: three loops.
#pragma once

#include <cstdint>

#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// emit(i, j, sum_k a[i, k] b[k, j]) for every element of the product.
template <class Real = double, class A, class B, class Emit>
void matmul(const view<A, 2>& a, const view<B, 2>& b, const Emit& emit) {
  for (std::int64_t i = 0; i < a.extent(0); ++i) {
    for (std::int64_t j = 0; j < b.extent(1); ++j) {
      Real sum = 0;
      for (std::int64_t k = 0; k < a.extent(1); ++k) {
        sum += static_cast<Real>(static_cast<double>(a(i, k))) * static_cast<Real>(static_cast<double>(b(k, j)));
      }
      emit(i, j, sum);
    }
  }
}

}  // namespace tessera::reference
