// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A whole sequence, which every rank of the test has, and a rank's rows of it.
#pragma once

#include <cstdint>
#include <vector>

#include "../attention/oracle.hpp"
#include "../support/random.hpp"
#include "tessera/mpi/communicator.hpp"
#include "tessera/mpi/shards.hpp"

namespace whole {

using support::array;
using tessera::view;

inline const tessera::mpi::communicator& world() {
  static const tessera::mpi::communicator ranks(MPI_COMM_WORLD);
  return ranks;
}

struct sizes {
  std::int64_t batch, heads, kv_heads, len_q, len_k, head_dim, value_dim;
};

template <class Q, class K = Q, class V = K>
oracle::inputs<Q, K, V> data(const sizes& n) {
  oracle::inputs<Q, K, V> in(n.batch, n.heads, n.kv_heads, n.len_q, n.len_k, n.head_dim, n.value_dim);
  in.q.fill([](std::uint64_t e) { return 3 * support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  return in;
}

/// A rank's rows of [batch, heads, len, dim]; with gaps between them, so that strides matter.
template <class T>
array<T, 4> shard(const array<T, 4>& x, const tessera::mpi::zigzag& plan, int rank) {
  const view<const T, 4> from = x.view();
  array<T, 4> to({from.extent(0), from.extent(1), plan.rows(rank), from.extent(3)}, {1, true});
  to.fill([&](std::uint64_t n) {
    const auto e = static_cast<std::int64_t>(n);
    const std::int64_t c = e % from.extent(3);
    const std::int64_t i = e / from.extent(3) % plan.rows(rank);
    const std::int64_t h = e / from.extent(3) / plan.rows(rank) % from.extent(1);
    const std::int64_t b = e / from.extent(3) / plan.rows(rank) / from.extent(1);
    return from(b, h, plan.row(rank, i), c);
  });
  return to;
}
template <class T>
array<T, 3> shard(const array<T, 3>& x, const tessera::mpi::zigzag& plan, int rank) {
  const view<const T, 3> from = x.view();
  array<T, 3> to({from.extent(0), from.extent(1), plan.rows(rank)});
  to.fill([&](std::uint64_t n) {
    const auto e = static_cast<std::int64_t>(n);
    const std::int64_t h = e / plan.rows(rank);
    return from(h / from.extent(1), h % from.extent(1), plan.row(rank, e % plan.rows(rank)));
  });
  return to;
}

}  // namespace whole
