// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of attention over a sequence that is sharded among the ranks of a communicator.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "tessera/attention/backward.hpp"
#include "tessera/attention/part.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/mpi/attention.hpp"
#include "tessera/mpi/communicator.hpp"
#include "tessera/mpi/detail/agreement.hpp"
#include "tessera/mpi/detail/gradient_pieces.hpp"
#include "tessera/mpi/detail/key_pieces.hpp"
#include "tessera/mpi/shards.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::mpi {
namespace detail {

/// to(b, h, first + i) = from [batch, heads, rows, dim], for every row.
template <class P, class S>
void store_rows(const view<S, 4>& to, std::int64_t first, std::int64_t rows, const typename P::value_type* from) {
  for (std::int64_t b = 0; b < to.extent(0); ++b) {
    for (std::int64_t h = 0; h < to.extent(1); ++h) {
      for (std::int64_t i = 0; i < rows; ++i, from += to.extent(3)) {
        tile::store_row<P>(to.data_handle() + b * to.stride(0) + h * to.stride(1) + (first + i) * to.stride(2), from,
                           to.extent(3));
      }
    }
  }
}

template <class Exec, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation>
void attention_backward(const Exec& exec, const communicator& ranks, const shards& s, const view<const Q, 4>& q,
                        const view<const K, 4>& k, const view<const V, 4>& v, const view<const O, 4>& out,
                        const view<const L, 3>& lse, const view<const G, 4>& dout, const view<DQ, 4>& dq, const view<DK, 4>& dk,
                        const view<DV, 4>& dv, const attention::options<Mask, Score, Accumulation>& options) {
  using T = attention::detail::accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = "mpi::attention_backward";
  const int rank = ranks.rank();
  const int pieces = 2 * ranks.size();
  const std::int64_t batch = q.extent(0);
  const std::int64_t heads = q.extent(1);
  const std::int64_t head_dim = q.extent(3);
  std::optional<tessera::detail::scratch> memory;
  std::optional<key_pieces<K, V>> keys;
  std::optional<gradient_pieces<P>> gradients;
  T* query_sums[2] = {};  // dq of the two pieces of queries, [batch][heads][rows][head_dim]
  T* of_one_piece = nullptr;
  std::vector<char> sees(static_cast<std::size_t>(2 * pieces));
  const auto lay_out = [&](tessera::detail::bump& cut) {
    keys.emplace(cut, ranks, s.keys, k, v);
    gradients.emplace(cut, ranks, s.keys, batch, k.extent(1), head_dim, v.extent(3));
    std::int64_t largest = 0;
    for (int which = 0; which < 2; ++which) {
      const std::int64_t size = batch * heads * s.queries.piece_rows(s.queries.piece_of(rank, which)) * head_dim;
      query_sums[which] = cut.take<T>(size);
      largest = std::max(largest, size);
    }
    of_one_piece = cut.take<T>(largest);
  };
  agreement all;
  all.prepare([&] {
    const attention::detail::gradient_operands<Q, K, V, O, L, G, DQ, DK, DV> operands{q, k, v, out, lse, dout, dq, dk, dv};
    attention::detail::check_backward<typename Exec::arch>(operands, function);
    const attention::part whole{0, 0, s.queries.length(), s.keys.length()};
    attention::detail::check_options<T>(function, q, k, attention::detail::part_options(options, whole));
    attention::detail::check_rotary_positions(function, options.rotary, s.queries.length(), s.keys.length());
    check_shards(function, ranks, s, q, k);
    sees = visible_pieces(options.mask, batch, heads, s, rank);
    tessera::detail::bump size;
    lay_out(size);
    memory.emplace(exec.memory(), size.bytes());
    tessera::detail::bump cut(memory->data());
    lay_out(cut);
  });
  const std::vector<char> wants = agree<Q, K, V, T>(all, function, ranks, s, q, k, v, 1, any_of_two(sees));

  const message_type type(function);
  keys->start(function, wants, type);
  gradients->start(function, wants, type);
  for (int which = 0; which < 2; ++which) {
    std::fill_n(query_sums[which], batch * heads * s.queries.piece_rows(s.queries.piece_of(rank, which)) * head_dim, T(0));
  }
  keys->for_each([&](int t, const view<const K, 4>& some_keys, const view<const V, 4>& some_values) {
    T* const sum = gradients->room(t);
    bool begun = false;
    for (int which = 0; which < 2; ++which) {
      if (sees[static_cast<std::size_t>(which * pieces + t)] == 0) continue;
      const int mine = s.queries.piece_of(rank, which);
      const std::int64_t first = s.queries.offset(mine);
      const std::int64_t count = s.queries.piece_rows(mine);
      T* const to = begun ? gradients->second() : sum;
      const attention::part at{s.queries.piece(mine).first, s.keys.piece(t).first, s.queries.length(), s.keys.length()};
      attention::backward(exec, rows_of(q, first, count), some_keys, some_values, rows_of(out, first, count),
                          rows_of(lse, first, count), rows_of(dout, first, count),
                          view<T, 4>(of_one_piece, batch, heads, count, head_dim), gradients->keys(to, t),
                          gradients->values(to, t), attention::detail::part_options(options, at));
      T* const of_queries = query_sums[which];
      for (std::int64_t n = 0; n < batch * heads * count * head_dim; ++n) of_queries[n] += of_one_piece[n];
      if (begun) gradients->add_second(t, sum);
      begun = true;
      keys->progress();
      gradients->progress();
    }
    gradients->give(t);
  });
  for (int which = 0; which < 2; ++which) {
    const int mine = s.queries.piece_of(rank, which);
    store_rows<P>(dq, s.queries.offset(mine), s.queries.piece_rows(mine), query_sums[which]);
  }
  gradients->finish();
  for (int which = 0; which < 2; ++which) {
    const int t = s.keys.piece_of(rank, which);
    T* const sum = gradients->sum(which);
    store_rows<P>(dk, s.keys.offset(t), s.keys.piece_rows(t), gradients->keys(sum, t).data_handle());
    store_rows<P>(dv, s.keys.offset(t), s.keys.piece_rows(t), gradients->values(sum, t).data_handle());
  }
  keys->finish();
}

}  // namespace detail

/// attention::backward of a sequence whose rows are sharded among ranks: each rank gives its rows of everything that attention_forward took
/// and gave, and gets its rows of dq, dk and dv.
///
/// Keys and values travel as in attention_forward. What a rank adds to the gradients of a piece of keys goes to its owner while the rank
/// works on.
///
/// Shapes          q, dq [batch, heads, rows, head_dim], out, dout [batch, heads, rows, value_dim], lse [batch, heads, rows] of the rank's
///                 queries, k, dk [batch, kv_heads, rows, head_dim], v, dv [batch, kv_heads, rows, value_dim] of its keys
/// Options         those of attention::backward, of the whole sequence and on every rank. Gradients of sinks, slopes and biases are not given.
/// Types, special values  those of attention::backward; sums stay in the compute type and travel in it
/// Accuracy        that of attention::backward, and 2 ranks u of the same sums
/// Cost            that of attention::backward, shared evenly under a causal mask. Besides what attention_forward sends, a rank sends each
///                 piece's gradients once in the compute type. Scratch: five pieces of gradients of keys and values, one and a half of
///                 queries, and attention::backward's of a piece.
/// Determinism     the same bits for every number of threads, and in every run with as many ranks: a piece's gradients are those of its
///                 owner's queries, then those of the other ranks' in rising order. Another number of ranks is another order.
/// Errors          as attention_forward
/// Source          Liu, Zaharia, Abbeel 2023, arXiv:2310.01889
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, mdspan_like DOut,
          mdspan_like DQ, mdspan_like DK, mdspan_like DV, class Mask = attention::band, class Score = attention::plain_score,
          class Accumulation = attention::plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3 && DOut::rank() == 4 &&
           DQ::rank() == 4 && DK::rank() == 4 && DV::rank() == 4)
void attention_backward(const Exec& exec, const communicator& ranks, const shards& plan, const Q& q, const K& k, const V& v,
                        const Out& out, const Lse& lse, const DOut& dout, const DQ& dq, const DK& dk, const DV& dv,
                        const attention::options<Mask, Score, Accumulation>& options = {}) {
  detail::attention_backward<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, value_type_of<Lse>,
                             value_type_of<DOut>, value_type_of<DQ>, value_type_of<DK>, value_type_of<DV>>(
      exec, ranks, plan, q, k, v, out, lse, dout, dq, dk, dv, options);
}

}  // namespace tessera::mpi
