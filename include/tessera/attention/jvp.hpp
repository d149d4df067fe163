// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, forward mode: the output and its derivative along tangents of queries, keys and values, in one pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/jvp_block.hpp"
#include "tessera/attention/detail/rotate_rows.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

template <class T, class Exec, class Q, class K, class V, class DQ, class DK, class DV, class O, class DO, class Mask,
          class Score, class Accumulation>
void run_jvp(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
             const view<const DQ, 4>& dq, const view<const DK, 4>& dk, const view<const DV, 4>& dv, const view<O, 4>& out,
             const view<DO, 4>& dout, double scale, const options<Mask, Score, Accumulation>& options) {
  using Arch = typename Exec::arch;
  using head_type = scaled_head<decltype(score_of(options.score, 0, 0, 0, 0))>;
  using block_type = jvp_block<T, Arch, head_type>;
  using chunk_type = typename block_type::chunk_type;
  using P = typename block_type::P;
  const std::int64_t len_q = q.extent(2);
  const std::int64_t len_k = k.extent(2);
  const std::int64_t kv_heads = k.extent(1);
  const std::int64_t group = kv_heads > 0 ? q.extent(1) / kv_heads : 0;
  const typename block_type::layout_type layout{q.extent(3), v.extent(3)};
  const std::int64_t blocks = (len_q + block_type::width - 1) / block_type::width;
  const std::int64_t chunks = (len_k + tile::value_chunk - 1) / tile::value_chunk;
  const std::int64_t heads = k.extent(0) * kv_heads;
  const std::int64_t head_bytes = std::max<std::int64_t>(1, 2 * chunks * layout.total() * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t heads_at_once = std::min(heads, std::max<std::int64_t>(packed_heads_limit / head_bytes, exec.workers()));

  /// What a worker rotates rows to, and works in: chunks of keys, and then queries with their tangents.
  struct place {
    T* rotated;
    typename block_type::arrays arrays;
    place(tessera::detail::bump& cut, const typename block_type::layout_type& of, bool rotates)
        : rotated(cut.take<T>(rotates ? tile::value_chunk * of.depth : 0)), arrays(cut, of) {}
  };
  static_assert(2 * block_type::width <= tile::value_chunk);
  const bool rotates = options.rotary.rotates();
  const rotation of_queries = query_rotation(options.rotary, len_q, len_k);
  const rotation of_keys = key_rotation(options.rotary);
  tessera::detail::bump worker_size;
  place(worker_size, layout, rotates);
  const auto lay_out = [&](tessera::detail::bump& memory) {
    struct {
      T* packed;
      chunk_type* keys;
      chunk_type* tangents;
    } shared{memory.take<T>(2 * heads_at_once * chunks * layout.total()), memory.take<chunk_type>(heads_at_once * chunks),
             memory.take<chunk_type>(heads_at_once * chunks)};
    return shared;
  };
  tessera::detail::bump shared_size;
  lay_out(shared_size);
  tessera::detail::scratch memory(exec.memory(),
                                  shared_size.bytes() + static_cast<std::size_t>(exec.workers()) * worker_size.bytes());
  tessera::detail::bump cut(memory.data());
  const auto shared = lay_out(cut);
  const auto place_of = [&](int worker) {
    tessera::detail::bump mine(memory.data() + shared_size.bytes() + static_cast<std::size_t>(worker) * worker_size.bytes());
    return place(mine, layout, rotates);
  };
  const auto some_rows = []<class S>(const view<const S, 2>& x, std::int64_t first, std::int64_t count) {
    return view<const S, 2>(x.data_handle() + first * x.stride(0), {count, x.extent(1)}, {x.stride(0), 1});
  };

  for (std::int64_t head0 = 0; head0 < heads; head0 += heads_at_once) {
    const std::int64_t now = std::min(heads_at_once, heads - head0);
    exec.for_each(now * chunks, [&](int worker, std::int64_t i) {
      const std::int64_t b = (head0 + i / chunks) / kv_heads;
      const std::int64_t h = (head0 + i / chunks) % kv_heads;
      const std::int64_t first = i % chunks * tile::value_chunk;
      const std::int64_t count = std::min<std::int64_t>(tile::value_chunk, len_k - first);
      const place mine = place_of(worker);
      const auto pack = [&](chunk_type& chunk, T* to, const auto& keys, const auto& values) {
        with_rows<P>(mine.rotated, some_rows(keys, first, count), first, of_keys, [&](const auto& rows) {
          const T* const nothing = nullptr;
          chunk = tile::detail::pack_keys<false>(to, layout, rows, some_rows(values, first, count), nothing, T(1), 0);
        });
        chunk.first = first;
      };
      T* const to = shared.packed + 2 * i * layout.total();
      pack(shared.keys[i], to, k[b][h], v[b][h]);
      pack(shared.tangents[i], to + layout.total(), dk[b][h], dv[b][h]);
    });
    exec.for_each(now * group * blocks, [&](int worker, std::int64_t i) {
      const std::int64_t head = i / (group * blocks);
      const std::int64_t b = (head0 + head) / kv_heads;
      const std::int64_t kv_h = (head0 + head) % kv_heads;
      const std::int64_t h = kv_h * group + i / blocks % group;
      const std::int64_t first = (blocks - 1 - i % blocks) * block_type::width;
      const std::int64_t count = std::min<std::int64_t>(block_type::width, len_q - first);
      const place mine = place_of(worker);
      const double key_scale = options.key_scales.data_handle() != nullptr ? static_cast<double>(options.key_scales(kv_h)) : 1.0;
      const head_type score{score_of(options.score, b, h, len_q, len_k), scale * key_scale};
      const softmax reducer;
      const typename block_type::rule_type rule(score, reducer);
      const auto mask = head_of(options.mask, b, h, len_q, len_k);
      const dropped_pairs dropped = pairs_dropped(options, b, h, q.extent(1), len_q);
      block_type work(rule, layout, mine.arrays);
      const view<const Q, 2> queries = some_rows(q[b][h], first, count);
      const view<const DQ, 2> query_tangents = some_rows(dq[b][h], first, count);
      if (of_queries.rotates()) {
        work.start(rotated_rows<P>(mine.rotated, queries, first, of_queries),
                   rotated_rows<P>(mine.rotated + count * layout.depth, query_tangents, first, of_queries), first);
      } else {
        work.start(queries, query_tangents, first);
      }
      const key_range range = mask.keys(first, first + count, len_k);
      for (std::int64_t c = range.first / tile::value_chunk; c * tile::value_chunk < range.last; ++c) {
        work.absorb(shared.keys[head * chunks + c], shared.tangents[head * chunks + c], mask, dropped);
      }
      if (options.sinks.data_handle() != nullptr) {
        work.join({P(static_cast<T>(static_cast<double>(options.sinks(h)) * softmax::unit)), P(T(1))});
      }
      const T value_scale = value_factor<T>(options, kv_h);
      const auto store_to = [&](const auto& to) {
        return [&to, b, h, value_scale](std::int64_t row, T* values) {
          for (std::int64_t c = 0; value_scale != T(1) && c < to.extent(3); ++c) values[c] *= value_scale;
          tile::store_row<P>(to.data_handle() + b * to.stride(0) + h * to.stride(1) + row * to.stride(2), values, to.extent(3));
        };
      };
      work.finish(store_to(out), store_to(dout));
    });
  }
}

}  // namespace detail

/// out = softmax(s) v and dout = its derivative along (dq, dk, dv): a Jacobian-vector product, for forward-mode differentiation.
///
///   ds = s'(scale q k^T) scale (dq k^T + q dk^T),   dout = sum_j p_j (dv_j + ds_j v_j) - out sum_j p_j ds_j
///
/// Shapes          as attention::forward; dq, dk, dv as q, k, v (a row of zeros with outer strides of 0 stands for no tangent), dout as out
/// Options         those of forward: with dropout, dout = sum_j p_j m_j (dv_j + ds_j v_j) - out sum_j p_j ds_j. Compensated sums are refused
/// Score           any of attention/score.hpp, or score_by with a derivative
/// Special values  a row that sees no key: out and dout 0. Hidden keys, values and tangents do not reach a row
/// Accuracy        out has the bits of attention::forward.
///                 |dout - exact| <= 2 ((head_dim + 4) S + 2 head_dim + 230 + len_k / 192) u A + u_out |dout|, S as there, and
///                 A = sum_j p_j (|dv| + D (|v| + |out|)), D the largest |scale| sum (|dq||k| + |q||dk|) of the row; besides, the same
///                 with 2^-63 (float64: 2^-511) for weights that are taken for 0.
///                 With rotary q, k, dq and dk are the rotated ones; with dropout |v| and |dv| count as often as the pair. test/attention/jvp.cpp, rotary_gradients.cpp, fuzz.cpp
/// Cost            12 batch heads len_q len_k head_dim flops: three times attention::forward's
/// Determinism     the same bits for every number of threads, every batch, and for a row alone or inside a block
/// Errors          argument_error before anything is written: as attention::forward
/// Source          arXiv:2410.11081 (Lu, Song 2024), appendix: the same derivative on a GPU, for consistency models
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like DQ, mdspan_like DK, mdspan_like DV,
          mdspan_like Out, mdspan_like DOut, class Mask = band, class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && DQ::rank() == 4 && DK::rank() == 4 && DV::rank() == 4 &&
           Out::rank() == 4 && DOut::rank() == 4)
void jvp(const Exec& exec, const Q& q, const K& k, const V& v, const DQ& dq, const DK& dk, const DV& dv, const Out& out,
         const DOut& dout, const options<Mask, Score, Accumulation>& options = {}) {
  using T =
      detail::accumulated_t<Accumulation, compute_t<value_type_of<Q>>, compute_t<value_type_of<K>>, compute_t<value_type_of<V>>,
                            compute_t<value_type_of<DQ>>, compute_t<value_type_of<DK>>, compute_t<value_type_of<DV>>>;
  static_assert(!Accumulation::keeps_lost,
                "attention::jvp: compensated sums are made by attention::forward alone; take in_float64");
  const char* const function = "attention::jvp";
  const view<const value_type_of<Q>, 4> q_view(q);
  const view<const value_type_of<K>, 4> k_view(k);
  const view<const value_type_of<V>, 4> v_view(v);
  const view<const value_type_of<DQ>, 4> dq_view(dq);
  const view<const value_type_of<DK>, 4> dk_view(dk);
  const view<const value_type_of<DV>, 4> dv_view(dv);
  const view<value_type_of<Out>, 4> out_view(out);
  const view<value_type_of<DOut>, 4> dout_view(dout);
  const double scale = detail::check_forward<T>(function, q_view, k_view, v_view, out_view, options);
  const auto check_tangent = [&](const auto& tangent, const auto& of, const char* argument, const char* needs) {
    tessera::detail::check_operand(tangent, function, argument);
    const std::int64_t wanted[4] = {of.extent(0), of.extent(1), of.extent(2), of.extent(3)};
    detail::check_extents(tangent, wanted, function, argument, needs);
    tessera::detail::check_disjoint(out_view, tangent, function, "out", argument);
    tessera::detail::check_disjoint(dout_view, tangent, function, "dout", argument);
  };
  tessera::detail::check_output(dout_view, function, "dout");
  detail::check_extents(dout_view, {out_view.extent(0), out_view.extent(1), out_view.extent(2), out_view.extent(3)}, function,
                        "dout", "needs the shape of out");
  check_tangent(dq_view, q_view, "dq", "needs the shape of q");
  check_tangent(dk_view, k_view, "dk", "needs the shape of k");
  check_tangent(dv_view, v_view, "dv", "needs the shape of v");
  tessera::detail::check_disjoint(dout_view, q_view, function, "dout", "q");
  tessera::detail::check_disjoint(dout_view, k_view, function, "dout", "k");
  tessera::detail::check_disjoint(dout_view, v_view, function, "dout", "v");
  tessera::detail::check_disjoint(dout_view, out_view, function, "dout", "out");
  detail::run_jvp<T>(exec, q_view, k_view, v_view, dq_view, dk_view, dv_view, out_view, dout_view, scale, options);
}

}  // namespace tessera::attention
