// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Blocks of queries of all sequences and heads, each walked past the keys of its head.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/compensated_softmax.hpp"
#include "tessera/attention/detail/dropped_pairs.hpp"
#include "tessera/attention/detail/rotate_rows.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Packed keys and values of all heads that are kept at a time. Of a head that does not fit, each block of queries packs chunk by chunk.
inline constexpr std::int64_t packed_heads_limit = std::int64_t{32} << 20;

/// The score of one head with its factor, as the contraction takes it.
template <class S>
struct scaled_head {
  static constexpr bool linear = tessera::detail::is_linear<S>;
  S score;
  double scale;

  [[nodiscard]] double query_scale() const { return scale; }
  template <class T>
  [[nodiscard]] TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return score(s, i, j);
  }
};

/// The work of a walk: blocks of queries, and chunks of keys that are packed for them.
template <class Q, class K, class V>
struct key_walk {
  const sequences<Q, K, V>& x;
  sequence_list list;
  std::int64_t block;         ///< queries of an item of work
  std::int64_t chunks_kept;   ///< chunks that are kept at a time, at most
  std::int64_t chunks_share;  ///< chunks of a head that are kept whatever its queries
  std::int64_t items_enough;  ///< items of one head that are work for everybody
  running_count items{};      ///< of the sequences of the list
  running_count chunks{};     ///< of theirs that are kept

  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t head_items(std::int64_t s) const {
    return x.group() * ((x.len_q(list[s]) + block - 1) / block);
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t head_chunks(std::int64_t s) const {
    return (x.len_k(list[s]) + tile::value_chunk - 1) / tile::value_chunk;
  }
  /// Whether the keys of a head are packed once, for all its queries.
  [[nodiscard]] TESSERA_ALWAYS_INLINE bool keeps(std::int64_t s) const {
    const std::int64_t n = head_chunks(s);
    return n <= chunks_share || (n <= chunks_kept && head_items(s) >= items_enough);
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t kept_chunks(std::int64_t s) const {
    return head_items(s) > 0 && keeps(s) ? head_chunks(s) : 0;
  }

  TESSERA_ALWAYS_INLINE void number(tessera::detail::bump& memory) {
    items = {memory.take<std::int64_t>(list.count + 1), list.count};
    chunks = {memory.take<std::int64_t>(list.count + 1), list.count};
    if (items.before == nullptr) return;
    items.before[0] = 0;
    chunks.before[0] = 0;
    for (std::int64_t s = 0; s < list.count; ++s) {
      items.before[s + 1] = items.before[s] + x.kv_heads() * head_items(s);
      chunks.before[s + 1] = chunks.before[s] + x.kv_heads() * kept_chunks(s);
    }
  }

  /// Head n of all, counted through the sequences; its items and chunks are those from the first on.
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t heads() const { return list.count * x.kv_heads(); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t first_item(std::int64_t n) const {
    if (n == heads()) return items.before[list.count];
    return items.before[n / x.kv_heads()] + n % x.kv_heads() * head_items(n / x.kv_heads());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t first_chunk(std::int64_t n) const {
    if (n == heads()) return chunks.before[list.count];
    return chunks.before[n / x.kv_heads()] + n % x.kv_heads() * kept_chunks(n / x.kv_heads());
  }
  /// The heads from n on whose chunks are kept together: up to which. No more than are work for everybody: what was packed last should still
  /// be in a cache.
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t together(std::int64_t n) const {
    std::int64_t end = n + 1;
    while (end < heads() && first_item(end) - first_item(n) < 4 * items_enough &&
           first_chunk(end + 1) - first_chunk(n) <= chunks_kept) {
      ++end;
    }
    return end;
  }
  /// The most chunks of heads that are kept together, before anything is numbered.
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t most_kept() const {
    std::int64_t most = 0;
    std::int64_t of_heads = 0;
    std::int64_t of_items = 0;
    for (std::int64_t s = 0; s < list.count; ++s) {
      const std::int64_t more = kept_chunks(s);
      for (std::int64_t h = 0; h < x.kv_heads(); ++h) {
        if (of_items >= 4 * items_enough || of_heads + more > chunks_kept) of_heads = of_items = 0;
        of_heads += more;
        of_items += head_items(s);
        most = std::max(most, of_heads);
      }
    }
    return most;
  }
};

/// Walks every block of queries of the listed sequences past all their keys: begin(block, b, h) once its folds are empty, end(block, b, h,
/// kv_h) after the last key.
template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation, class Begin, class End>
void walk_keys(const Exec& exec, const sequences<Q, K, V>& x, const sequence_list& list, double scale,
               const options<Mask, Score, Accumulation>& options, const Begin& begin, const End& end) {
  using Arch = typename Exec::arch;
  using head_type = scaled_head<decltype(score_of(options.score, 0, 0, 0, 0))>;
  using reducer_type = std::conditional_t<Accumulation::keeps_lost, compensated_softmax, softmax>;
  using block_type = tile::detail::query_block<T, Arch, head_type, reducer_type, true>;
  using chunk_type = tile::detail::key_chunk_view<T>;
  using P = typename block_type::P;
  constexpr std::int64_t chunk_size = tile::value_chunk;
  if (list.count * x.kv_heads() == 0) return;

  const reducer_type reducer;
  const typename block_type::layout_type layout{x.head_dim(), x.value_dim()};
  const int workers = exec.workers();
  std::int64_t rows = 0;
  for (std::int64_t s = 0; s < list.count; ++s) rows += x.len_q(list[s]) * x.heads();
  const std::int64_t block = tile::detail::block_queries<T, Arch>(rows, layout.depth, layout.value_dim, workers);
  const std::int64_t panels = block / block_type::width;
  const std::int64_t chunk_bytes = std::max<std::int64_t>(1, layout.total() * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t sharers = std::min<std::int64_t>(workers, list.count * x.kv_heads());
  key_walk<Q, K, V> walk{x,
                         list,
                         block,
                         packed_heads_limit / chunk_bytes,
                         packed_heads_limit / chunk_bytes / sharers,
                         4 * static_cast<std::int64_t>(workers)};

  const std::int64_t kept = walk.most_kept();
  bool keeps_all = true;
  for (std::int64_t s = 0; s < list.count; ++s) keeps_all = keeps_all && walk.keeps(s);

  /// What a worker copies rows to that lie apart, or are rotated, and packs a chunk to that is not kept.
  struct place {
    K* keys;
    V* values;
    T* rotated;
    T* packed;
    typename block_type::arrays arrays;
    place(tessera::detail::bump& memory, const typename block_type::layout_type& layout, std::int64_t panels, bool copies,
          bool rotates, bool packs)
        : keys(memory.take<K>(copies ? chunk_size * layout.depth : 0)),
          values(memory.take<V>(copies ? chunk_size * layout.value_dim : 0)),
          rotated(memory.take<T>(rotates ? chunk_size * layout.depth : 0)),
          packed(memory.take<T>(packs ? layout.total() : 0)),
          arrays(memory, layout, panels) {}
  };
  tessera::detail::bump worker_size;
  place(worker_size, layout, panels, x.in_pages(), options.rotary.rotates(), !keeps_all);
  struct shared_arrays {
    T* packed;
    chunk_type* chunks;
  };
  const auto lay_out = [&](tessera::detail::bump& memory) {
    walk.number(memory);
    return shared_arrays{memory.take<T>(kept * layout.total()), memory.take<chunk_type>(kept)};
  };
  tessera::detail::bump shared_size;
  lay_out(shared_size);
  tessera::detail::scratch memory(exec.memory(), shared_size.bytes() + static_cast<std::size_t>(workers) * worker_size.bytes());
  tessera::detail::bump cut(memory.data());
  const shared_arrays shared = lay_out(cut);
  const auto place_of = [&](int worker) {
    tessera::detail::bump mine(memory.data() + shared_size.bytes() + static_cast<std::size_t>(worker) * worker_size.bytes());
    return place(mine, layout, panels, x.in_pages(), options.rotary.rotates(), !keeps_all);
  };
  const auto pack = [&](const place& mine, const stored_rows<K>& keys, const stored_rows<V>& values, std::int64_t c, T* to) {
    const std::int64_t first = c * chunk_size;
    const std::int64_t count = std::min(chunk_size, keys.size() - first);
    const strided_rows<K> k = keys.together(first, count, layout.depth, mine.keys);
    const strided_rows<V> v = values.together(first, count, layout.value_dim, mine.values);
    chunk_type chunk;
    with_rows<P>(mine.rotated, view<const K, 2>(k.first, {count, layout.depth}, {k.stride, 1}), first,
                 key_rotation(options.rotary), [&](const auto& key_rows) {
                   chunk = tile::detail::pack_keys<block_type::wants_norms>(
                       to, layout, key_rows, view<const V, 2>(v.first, {count, layout.value_dim}, {v.stride, 1}),
                       static_cast<const T*>(nullptr), T(1), 0);
                 });
    chunk.first = first;
    return chunk;
  };

  for (std::int64_t head0 = 0, head1 = 0; head0 < walk.heads(); head0 = head1) {
    head1 = walk.together(head0);
    const std::int64_t chunk0 = walk.first_chunk(head0);
    const std::int64_t item0 = walk.first_item(head0);
    exec.for_each(walk.first_chunk(head1) - chunk0, [&](int worker, std::int64_t i) {
      const std::int64_t s = walk.chunks.find(chunk0 + i);
      const std::int64_t at = chunk0 + i - walk.chunks.before[s];
      const std::int64_t kv_h = at / walk.head_chunks(s);
      shared.chunks[i] = pack(place_of(worker), x.keys(list[s], kv_h), x.values(list[s], kv_h), at % walk.head_chunks(s),
                              shared.packed + i * layout.total());
    });
    exec.for_each(walk.first_item(head1) - item0, [&](int worker, std::int64_t i) {
      const std::int64_t s = walk.items.find(item0 + i);
      const std::int64_t at = item0 + i - walk.items.before[s];
      const std::int64_t b = list[s];
      const std::int64_t len_q = x.len_q(b);
      const std::int64_t len_k = x.len_k(b);
      const std::int64_t blocks = (len_q + block - 1) / block;
      const std::int64_t kv_h = at / walk.head_items(s);
      const std::int64_t h = at / blocks;
      // Last block first: under a causal mask it is the longest, and short items at the end even out the threads.
      const std::int64_t first = (blocks - 1 - at % blocks) * block;
      const std::int64_t count = std::min(block, len_q - first);
      const chunk_type* const chunks =
          walk.keeps(s) ? shared.chunks + walk.first_chunk(s * x.kv_heads() + kv_h) - chunk0 : nullptr;
      const place mine = place_of(worker);
      const double key_scale = options.key_scales.data_handle() != nullptr ? static_cast<double>(options.key_scales(kv_h)) : 1.0;
      const head_type score{score_of(options.score, b, h, len_q, len_k), scale * key_scale};
      const typename block_type::rule_type rule(score, reducer);
      const auto mask = head_of(options.mask, b, h, len_q, len_k);
      const dropped_pairs dropped = pairs_dropped(options, x, b, h);
      const stored_rows<K> keys = x.keys(b, kv_h);
      const stored_rows<V> values = x.values(b, kv_h);
      block_type work(rule, layout, mine.arrays);
      const T* const center = nullptr;
      const rotation by = query_rotation(options.rotary, len_q, len_k);
      const view<const Q, 2> queries = x.queries(b, h);
      if (by.rotates()) {
        static_assert(block_type::width <= chunk_size);
        work.start_with(
            [&](std::int64_t q, std::int64_t n) {
              const view<const Q, 2> panel(queries.data_handle() + q * queries.stride(0), {n, layout.depth},
                                           {queries.stride(0), 1});
              return rotated_rows<P>(mine.rotated, panel, q, by);
            },
            first, count, center);
      } else {
        work.start(queries, first, count, center);
      }
      begin(work, b, h);
      const key_range range = mask.keys(first, first + count, len_k);
      for (std::int64_t c = range.first / chunk_size; c * chunk_size < range.last; ++c) {
        const view<const K, 2> nothing;  // products are never made again from the keys
        if (chunks != nullptr) {
          work.absorb(chunks[c], nothing, mask, dropped);
        } else {
          work.absorb(pack(mine, keys, values, c, mine.packed), nothing, mask, dropped);
        }
      }
      end(work, b, h, kv_h);
    });
  }
}

}  // namespace tessera::attention::detail
