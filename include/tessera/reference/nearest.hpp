// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of tile/nearest.hpp: all distances of a query, sorted.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/reference/contraction.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::reference {

/// emit(i, the k keys with the smallest |q_i - x|^2) for every query, best first, filled up with key -1.
template <class Real = double, class Q, class K, class Emit>
void nearest(const view<Q, 2>& queries, const view<K, 2>& keys, std::size_t k, squared_distance metric, const Emit& emit) {
  contract<Real>(queries, keys, metric, top_k<true>{k}, emit);
}

/// The same for the largest q_i . x.
template <class Real = double, class Q, class K, class Emit>
void nearest(const view<Q, 2>& queries, const view<K, 2>& keys, std::size_t k, dot metric, const Emit& emit) {
  contract<Real>(queries, keys, metric, top_k<false>{k}, emit);
}

}  // namespace tessera::reference
