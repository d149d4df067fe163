// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention over a sequence that is sharded among the ranks of a communicator (context parallelism).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tessera/attention/accumulate.hpp"
#include "tessera/attention/part.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/mpi/communicator.hpp"
#include "tessera/mpi/detail/agreement.hpp"
#include "tessera/mpi/detail/key_pieces.hpp"
#include "tessera/mpi/shards.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::mpi {
namespace detail {

static_assert(shard_rows == attention::part_keys);

/// A storage type as a number: its size and its digits.
template <class S>
std::int64_t type_number() {
  return static_cast<std::int64_t>(sizeof(S)) * 1000 - std::ilogb(unit_roundoff<S>);
}

/// Refuses shards that are not those of this communicator, or arrays that do not hold this rank's rows.
template <class Q, class K>
TESSERA_ALWAYS_INLINE void check_shards(const char* function, const communicator& ranks, const shards& s,
                                        const view<const Q, 4>& q, const view<const K, 4>& k) {
  using tessera::detail::expects;
  expects(
      s.queries.ranks() == ranks.size() && s.keys.ranks() == ranks.size(), function, "plan",
      [&] { return "shards for " + std::to_string(s.queries.ranks()) + " ranks beside " + std::to_string(ranks.size()); },
      "needs those of the communicator");
  const auto check_rows = [&](std::int64_t rows, std::int64_t wanted, const char* argument) {
    expects(
        rows == wanted, function, argument,
        [&] {
          return std::to_string(rows) + " rows where rank " + std::to_string(ranks.rank()) + " has " + std::to_string(wanted);
        },
        "needs the rows of the rank's shard");
  };
  check_rows(q.extent(2), s.queries.rows(ranks.rank()), "q");
  check_rows(k.extent(2), s.keys.rows(ranks.rank()), "k");
}

/// Agrees with the other ranks: who wants which piece. `which_call` differs between functions.
template <class Q, class K, class V, class T>
std::vector<char> agree(const agreement& all, const char* function, const communicator& ranks, const shards& s,
                        const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v, std::int64_t which_call,
                        const std::vector<char>& wanted) {
  return all.reach(function, ranks,
                   {which_call, q.extent(0), q.extent(1), k.extent(1), q.extent(3), v.extent(3), s.queries.length(),
                    s.keys.length(), type_number<Q>(), type_number<K>(), type_number<V>(), type_number<T>()},
                   {"function", "batch", "heads", "kv_heads", "head_dim", "value_dim", "length of queries", "length of keys",
                    "type of q", "type of k", "type of v", "type of the computation"},
                   wanted);
}

/// Which pieces a rank wants at all.
inline std::vector<char> any_of_two(const std::vector<char>& sees) {
  const std::size_t pieces = sees.size() / 2;
  std::vector<char> wanted(pieces);
  for (std::size_t t = 0; t < pieces; ++t) wanted[t] = sees[t] != 0 || sees[pieces + t] != 0 ? 1 : 0;
  return wanted;
}

template <class Exec, class Q, class K, class V, class O, class L, class Mask, class Score, class Accumulation>
void attention_forward(const Exec& exec, const communicator& ranks, const shards& s, const view<const Q, 4>& q,
                       const view<const K, 4>& k, const view<const V, 4>& v, const view<O, 4>& out, const view<L, 3>* lse,
                       const attention::options<Mask, Score, Accumulation>& options) {
  using T = attention::detail::accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>;
  const char* const function = "mpi::attention_forward";
  const int rank = ranks.rank();
  const int pieces = 2 * ranks.size();
  std::optional<tessera::detail::scratch> memory;
  std::optional<key_pieces<K, V>> keys;
  attention::states<T> states;
  std::vector<char> sees(static_cast<std::size_t>(2 * pieces));
  const auto lay_out = [&](tessera::detail::bump& cut) {
    const std::int64_t rows = q.extent(0) * q.extent(1) * q.extent(2);
    keys.emplace(cut, ranks, s.keys, k, v);
    states = {view<T, 3>(cut.take<T>(rows), q.extent(0), q.extent(1), q.extent(2)),
              view<T, 3>(cut.take<T>(rows), q.extent(0), q.extent(1), q.extent(2)),
              view<T, 4>(cut.take<T>(rows * v.extent(3)), q.extent(0), q.extent(1), q.extent(2), v.extent(3))};
  };
  agreement all;
  all.prepare([&] {
    const attention::part whole{0, 0, s.queries.length(), s.keys.length()};
    attention::detail::check_forward<T>(function, q, k, v, out, attention::detail::part_options(options, whole));
    attention::detail::check_rotary_positions(function, options.rotary, s.queries.length(), s.keys.length());
    if (lse != nullptr) {
      tessera::detail::check_output(*lse, function, "lse");
      tessera::detail::expects(
          lse->extent(0) == q.extent(0) && lse->extent(1) == q.extent(1) && lse->extent(2) == q.extent(2), function, "lse",
          [&] { return "shape " + tessera::detail::shape(*lse); }, "needs [batch, heads, len_q]");
      tessera::detail::check_disjoint(*lse, q, function, "lse", "q");
      tessera::detail::check_disjoint(*lse, k, function, "lse", "k");
      tessera::detail::check_disjoint(*lse, v, function, "lse", "v");
      tessera::detail::check_disjoint(*lse, out, function, "lse", "out");
    }
    check_shards(function, ranks, s, q, k);
    sees = visible_pieces(options.mask, q.extent(0), q.extent(1), s, rank);
    tessera::detail::bump size;
    lay_out(size);
    memory.emplace(exec.memory(), size.bytes());
    tessera::detail::bump cut(memory->data());
    lay_out(cut);
  });
  const std::vector<char> wants = agree<Q, K, V, T>(all, function, ranks, s, q, k, v, 0, any_of_two(sees));

  const message_type type(function);
  keys->start(function, wants, type);
  attention::reset(states);
  keys->for_each([&](int t, const view<const K, 4>& some_keys, const view<const V, 4>& some_values) {
    for (int which = 0; which < 2; ++which) {
      if (sees[static_cast<std::size_t>(which * pieces + t)] == 0) continue;
      const int mine = s.queries.piece_of(rank, which);
      const std::int64_t first = s.queries.offset(mine);
      const std::int64_t count = s.queries.piece_rows(mine);
      attention::accumulate(exec, rows_of(q, first, count), some_keys, some_values,
                            attention::states<T>{rows_of(states.max, first, count), rows_of(states.mass, first, count),
                                                 rows_of(states.sums, first, count)},
                            {s.queries.piece(mine).first, s.keys.piece(t).first, s.queries.length(), s.keys.length()}, options);
      keys->progress();
    }
  });
  attention::detail::finish<T, Exec, O, L>(exec, states, out, lse, options);
  keys->finish();
}

}  // namespace detail

/// attention::forward of a sequence whose rows are sharded among ranks: each rank gives its rows of q, k and v, and gets its rows of out.
///
/// Keys and values go to the ranks whose queries see some of them, piece by piece in rising order; two pieces are under way while a rank
/// computes with the one before. Nothing is sent that the mask hides from all of a rank's queries.
///
/// Shapes          q [batch, heads, rows of the rank, head_dim], k [batch, kv_heads, rows, head_dim], v [batch, kv_heads, rows, value_dim], out
///                 [batch, heads, rows, value_dim], lse [batch, heads, rows] (optional), as in attention::forward; the rows of the rank's two
///                 pieces in `plan.queries` and `plan.keys`, one after the other. A `zigzag` is both.
/// Options         those of attention::forward, of the whole sequence and on every rank: masks and scores are asked about positions in it
/// Special values, accuracy, types  those of attention::forward
/// Cost            under a causal mask all ranks compute the same. A rank sends its keys and values once to each rank that wants them, and
///                 receives all that it wants. Scratch: its own keys and values, two pieces, its states, and attention::forward's of a piece.
/// Determinism     the bits of attention::forward over the whole sequence on one rank, for every number of ranks and threads
/// Errors          argument_error on all ranks, before anything is sent or out is touched, where one refuses its arguments or shapes and types
///                 differ between them. mpi::error where MPI fails; messages may then be under way, and the communicator is of no more use.
/// Backends        any MPI; the calling thread alone calls it (MPI_THREAD_FUNNELED)
/// Source          Liu, Zaharia, Abbeel 2023, arXiv:2310.01889 (ring attention); the zigzag of zhuzilin's ring-flash-attention
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, class Mask = attention::band,
          class Score = attention::plain_score, class Accumulation = attention::plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4)
void attention_forward(const Exec& exec, const communicator& ranks, const shards& plan, const Q& q, const K& k, const V& v,
                       const Out& out, const attention::options<Mask, Score, Accumulation>& options = {}) {
  detail::attention_forward<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, float>(
      exec, ranks, plan, q, k, v, out, nullptr, options);
}

template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse,
          class Mask = attention::band, class Score = attention::plain_score, class Accumulation = attention::plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3)
void attention_forward(const Exec& exec, const communicator& ranks, const shards& plan, const Q& q, const K& k, const V& v,
                       const Out& out, const Lse& lse, const attention::options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 3> lse_view(lse);
  detail::attention_forward<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, L>(
      exec, ranks, plan, q, k, v, out, &lse_view, options);
}

}  // namespace tessera::mpi
