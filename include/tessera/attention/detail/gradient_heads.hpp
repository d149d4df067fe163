// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The backward pass over batch and heads: who does what, in an order of sums that does not depend on it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tessera/attention/detail/gradient_operands.hpp"
#include "tessera/attention/detail/gradient_store.hpp"
#include "tessera/attention/detail/gradient_tile.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// The same, sequence by sequence, wherever they lie.
template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV>
class gradient_sequences {
 public:
  TESSERA_ALWAYS_INLINE explicit gradient_sequences(const gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& x)
      : x_(x.q, x.k, x.v), out_(x.out), lse_(x.lse), dout_(x.dout), dq_(x.dq), dk_(x.dk), dv_(x.dv) {}
  /// One after another: [heads, total, …], cut by offsets.
  TESSERA_ALWAYS_INLINE gradient_sequences(const view<const Q, 3>& q, const view<const K, 3>& k, const view<const V, 3>& v,
                                           const view<const O, 3>& out, const view<const L, 2>& lse, const view<const G, 3>& dout,
                                           const view<DQ, 3>& dq, const view<DK, 3>& dk, const view<DV, 3>& dv,
                                           const index_view<1>& query_offsets, const index_view<1>& key_offsets)
      : x_(q, query_offsets, k, v, key_offsets),
        out_(out, query_offsets),
        lse_(lse, query_offsets),
        dout_(dout, query_offsets),
        dq_(dq, query_offsets),
        dk_(dk, key_offsets),
        dv_(dv, key_offsets) {}

  [[nodiscard]] TESSERA_ALWAYS_INLINE const sequences<Q, K, V>& inputs() const { return x_; }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t batch() const { return x_.batch(); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t heads() const { return x_.heads(); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t kv_heads() const { return x_.kv_heads(); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t head_dim() const { return x_.head_dim(); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t value_dim() const { return x_.value_dim(); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t len_q(std::int64_t b) const { return x_.len_q(b); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t len_k(std::int64_t b) const { return x_.len_k(b); }

  [[nodiscard]] TESSERA_ALWAYS_INLINE view<const Q, 2> q(std::int64_t b, std::int64_t h) const { return x_.queries(b, h); }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<const K, 2> k(std::int64_t b, std::int64_t kv_h) const {
    return stored(x_.keys(b, kv_h), head_dim());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<const V, 2> v(std::int64_t b, std::int64_t kv_h) const {
    return stored(x_.values(b, kv_h), value_dim());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<const O, 2> out(std::int64_t b, std::int64_t h) const {
    return rows(out_, b, h, len_q(b), value_dim());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<const L, 1> lse(std::int64_t b, std::int64_t h) const {
    return {lse_.at(b, h, 0), {len_q(b)}, {lse_.row}};
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<const G, 2> dout(std::int64_t b, std::int64_t h) const {
    return rows(dout_, b, h, len_q(b), value_dim());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<DQ, 2> dq(std::int64_t b, std::int64_t h) const {
    return rows(dq_, b, h, len_q(b), head_dim());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<DK, 2> dk(std::int64_t b, std::int64_t kv_h) const {
    return rows(dk_, b, kv_h, len_k(b), head_dim());
  }
  [[nodiscard]] TESSERA_ALWAYS_INLINE view<DV, 2> dv(std::int64_t b, std::int64_t kv_h) const {
    return rows(dv_, b, kv_h, len_k(b), value_dim());
  }

 private:
  template <class S>
  [[nodiscard]] static TESSERA_ALWAYS_INLINE view<S, 2> rows(const sequence_rows<S>& of, std::int64_t b, std::int64_t h,
                                                             std::int64_t len, std::int64_t dim) {
    return {of.at(b, h, 0), {len, dim}, {of.row, 1}};
  }
  template <class S>
  [[nodiscard]] static TESSERA_ALWAYS_INLINE view<const S, 2> stored(const stored_rows<S>& of, std::int64_t dim) {
    return {of.row(0), {of.size(), dim}, {of.stride(), 1}};
  }

  sequences<Q, K, V> x_;
  sequence_rows<const O> out_;
  sequence_rows<const L> lse_;
  sequence_rows<const G> dout_;
  sequence_rows<DQ> dq_;
  sequence_rows<DK> dk_;
  sequence_rows<DV> dv_;
};

/// Where several workers share a head, what each chunk of keys gives to so many bytes of dq is kept apart until it is added in order.
inline constexpr std::int64_t partial_bytes = std::int64_t{32} << 20;

/// One key head with the query heads that share it, in memory of its own.
template <class T, class Arch, class Operands, class Options>
class gradient_head {
 public:
  using P = simd::pack<T, Arch>;
  using layout_type = gradient_layout<T, Arch>;
  using mask_type = decltype(head_of(std::declval<const Options&>().mask, 0, 0, 0, 0));
  using score_type = decltype(score_of(std::declval<const Options&>().score, 0, 0, 0, 0));
  using tile_type = gradient_tile<T, Arch, mask_type, score_type>;

  /// What one worker needs while it works on a head, its own or one that it shares.
  struct bench {
    T* turned;
    T* weights;
    T* slopes;
    T* kept;

    bench(tessera::detail::bump& memory, const layout_type& layout, const Options& options)
        : turned(memory.take<T>(layout.value_dim * layout_type::width)),
          weights(memory.take<T>(key_chunk * query_chunk)),
          slopes(memory.take<T>(key_chunk * query_chunk)),
          kept(memory.take<T>(options.dropout.active() ? key_chunk * layout_type::width : 0)) {}
  };

  gradient_head(tessera::detail::bump& memory, const Operands& x, const layout_type& layout, double scale, const Options& options,
                std::int64_t query_chunks, std::int64_t key_chunks)  // of the longest sequence
      : x_(x),
        layout_(layout),
        scale_(scale),
        options_(options),
        queries_(memory.take<query_chunk_view<T>>(query_chunks)),
        keys_(memory.take<key_gradient_chunk<T>>(key_chunks)),
        query_memory_(memory.take<T>(query_chunks * layout.query_size())),
        key_memory_(memory.take<T>(key_chunks * layout.key_size())) {}

  /// Chunk c of keys, put into place `to`; of queries, too.
  void pack_keys(std::int64_t b, std::int64_t kv_h, std::int64_t c, std::int64_t to) {
    keys_[to] = layout_.pack_keys(key_memory_ + to * layout_.key_size(), x_.k(b, kv_h), x_.v(b, kv_h), value_scale(kv_h),
                                  keys_rotation(), c * key_chunk);
  }
  void pack_queries(const bench& mine, std::int64_t b, std::int64_t h, std::int64_t c, std::int64_t to) {
    const T factor = static_cast<T>(score_scale(kv_head(h)) * (tile_type::linear ? softmax::unit : 1.0));
    queries_[to] = layout_.pack_queries(query_memory_ + to * layout_.query_size(), x_.q(b, h), x_.out(b, h), x_.lse(b, h),
                                        x_.dout(b, h), factor, queries_rotation(b), c * query_chunk, mine.turned);
  }
  /// Chunks of queries [first, last) against one chunk of keys. dq is added up at `partial` [last - first][query_chunk][columns],
  /// or where it belongs.
  void add(const bench& mine, std::int64_t b, std::int64_t h, std::int64_t first, std::int64_t last, std::int64_t c, T* partial) {
    const mask_type mask = head_of(options_.mask, b, h, x_.len_q(b), x_.len_k(b));
    const score_type score = score_of(options_.score, b, h, x_.len_q(b), x_.len_k(b));
    const dropped_pairs dropped = pairs_dropped(options_, x_.inputs(), b, h);
    tile_type tile(layout_, typename tile_type::arrays{mine.weights, mine.slopes, mine.kept}, mask, score, dropped);
    for (std::int64_t i = first; i < last; ++i) {
      tile.add(queries_[i], keys_[c], partial != nullptr ? partial + (i - first) * dq_size() : queries_[i].dq);
    }
  }
  /// f(keys that are seen) with the slopes of one tile in mine.slopes.
  template <class F>
  void weigh(const bench& mine, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t c, const F& f) {
    const mask_type mask = head_of(options_.mask, b, h, x_.len_q(b), x_.len_k(b));
    const score_type score = score_of(options_.score, b, h, x_.len_q(b), x_.len_k(b));
    const dropped_pairs dropped = pairs_dropped(options_, x_.inputs(), b, h);
    tile_type tile(layout_, typename tile_type::arrays{mine.weights, mine.slopes, mine.kept}, mask, score, dropped);
    f(tile.weigh(queries_[i], keys_[c]));
  }
  /// dq of a chunk of queries += partial.
  void add_partial(std::int64_t c, const T* partial) {
    T* const to = queries_[c].dq;
    for (std::int64_t n = 0; n < dq_size(); n += P::lanes) (P::load(to + n) + P::load(partial + n)).store(to + n);
  }
  [[nodiscard]] std::int64_t dq_size() const { return query_chunk * layout_.columns(); }

  void store_queries(std::int64_t b, std::int64_t h, std::int64_t c) const {
    const query_chunk_view<T>& chunk = queries_[c];
    store_rotated(x_.dq(b, h), chunk.first, chunk.count, chunk.dq, static_cast<T>(score_scale(kv_head(h))), queries_rotation(b));
  }
  void store_keys(std::int64_t b, std::int64_t kv_h, std::int64_t c) const {
    const key_gradient_chunk<T>& chunk = keys_[c];
    store_rotated(x_.dk(b, kv_h), chunk.first, chunk.count, chunk.dk, static_cast<T>(score_scale(kv_h)), keys_rotation());
    store_rows(x_.dv(b, kv_h), chunk.first, chunk.count, chunk.dv, layout_.value_columns(), value_scale(kv_h));
  }

 private:
  [[nodiscard]] std::int64_t kv_head(std::int64_t h) const { return h / x_.inputs().group(); }
  /// What q . k is multiplied by.
  [[nodiscard]] double score_scale(std::int64_t kv_h) const {
    return options_.key_scales.data_handle() != nullptr ? scale_ * static_cast<double>(options_.key_scales(kv_h)) : scale_;
  }
  [[nodiscard]] rotation queries_rotation(std::int64_t b) const {
    return query_rotation(options_.rotary, x_.len_q(b), x_.len_k(b));
  }
  [[nodiscard]] rotation keys_rotation() const { return key_rotation(options_.rotary); }
  /// What the weighted means of stored values are multiplied by.
  [[nodiscard]] T value_scale(std::int64_t kv_h) const { return value_factor<T>(options_, kv_h); }

  /// Gradients of rows that were rotated become those of the rows as they were: rotated back, once they are scaled.
  template <class S>
  void store_rotated(const view<S, 2>& to, std::int64_t first, int count, T* from, T factor, const rotation& by) const {
    const std::int64_t columns = layout_.columns();
    if (by.rotates()) {
      for (std::int64_t n = 0; n < count * columns; n += P::lanes) (P::load(from + n) * P(factor)).store(from + n);
      layout_type::rotate_stored(from, columns, count, to.extent(1), first, by, direction::back);
      factor = T(1);
    }
    store_rows(to, first, count, from, columns, factor);
  }

  template <class S>
  static void store_rows(const view<S, 2>& to, std::int64_t first, int count, const T* from, std::int64_t columns, T factor) {
    const P scale(factor);
    const std::int64_t whole = to.extent(1) / P::lanes * P::lanes;
    for (int i = 0; i < count; ++i) {
      S* const row = to.data_handle() + (first + i) * to.stride(0);
      for (std::int64_t c = 0; c < whole; c += P::lanes) simd::store_as(row + c, P::load(from + i * columns + c) * scale);
      if (whole < to.extent(1)) {
        simd::store_partial(row + whole, static_cast<int>(to.extent(1) - whole), P::load(from + i * columns + whole) * scale);
      }
    }
  }

  const Operands& x_;
  const layout_type& layout_;
  double scale_;
  const Options& options_;
  query_chunk_view<T>* queries_;
  key_gradient_chunk<T>* keys_;
  T* query_memory_;
  T* key_memory_;
};

template <class T, class Exec, class Operands, class Options>
void run_backward(const Exec& exec, const Operands& x, double scale, const Options& options) {
  using head_type = gradient_head<T, typename Exec::arch, Operands, Options>;
  using bench_type = typename head_type::bench;
  using tessera::detail::bump;
  const typename head_type::layout_type layout{x.head_dim(), x.value_dim()};
  const std::int64_t kv_heads = x.kv_heads();
  const std::int64_t heads = x.batch() * kv_heads;
  if (heads == 0) return;
  const std::int64_t group = x.inputs().group();
  const auto query_chunks_of = [&](std::int64_t b) { return (x.len_q(b) + query_chunk - 1) / query_chunk; };
  const auto key_chunks_of = [&](std::int64_t b) { return (x.len_k(b) + key_chunk - 1) / key_chunk; };
  const auto pairs_of = [&](std::int64_t b) { return static_cast<double>(x.len_q(b)) * static_cast<double>(x.len_k(b)); };
  double pairs = 0;
  std::int64_t query_chunks = 0;
  std::int64_t key_chunks = 0;
  for (std::int64_t b = 0; b < x.batch(); ++b) {
    pairs += pairs_of(b);
    query_chunks = std::max(query_chunks, query_chunks_of(b));
    key_chunks = std::max(key_chunks, key_chunks_of(b));
  }
  const double operations =
      2 * pairs * static_cast<double>(group * kv_heads) * static_cast<double>(3 * layout.depth + 2 * layout.value_dim);
  const int workers = operations < tessera::detail::worth_sharing ? 1 : exec.workers();

  // Heads go to workers whole, as many as come out even. The rest would leave workers idle for the time of a head; sharing each of them
  // takes the time of the chunks of keys that one worker gets. Of sequences of different lengths, those are shared that take a worker
  // longer than its part of all.
  const bool alike = x.inputs().alike();
  const std::int64_t rest = heads % workers;
  std::int64_t shared_heads = 0;
  if (alike) {
    shared_heads = 10 * rest * ((key_chunks + workers - 1) / workers) < 9 * key_chunks ? rest : 0;
  } else {
    for (std::int64_t b = 0; workers > 1 && b < x.batch(); ++b) {
      if (pairs_of(b) * workers > pairs * static_cast<double>(kv_heads) && key_chunks_of(b) > 1) shared_heads += kv_heads;
    }
  }
  const std::int64_t own_heads = heads - shared_heads;
  const std::int64_t owners = own_heads > 0 ? std::min<std::int64_t>(workers, own_heads) : 1;

  bump head_size;
  const head_type like(head_size, x, layout, scale, options, query_chunks, key_chunks);
  bump bench_size;
  bench_type(bench_size, layout, options);
  const std::int64_t partial_row = key_chunks * like.dq_size();  // of one chunk of queries
  const std::int64_t fitting = partial_bytes / std::max<std::int64_t>(1, partial_row * static_cast<std::int64_t>(sizeof(T)));
  const std::int64_t segment = std::clamp<std::int64_t>(fitting, 1, std::max<std::int64_t>(1, query_chunks));
  bump partial_size;
  partial_size.take<T>(shared_heads > 0 ? segment * partial_row : 0);
  bump order_size;
  order_size.take<std::int64_t>(alike ? 0 : x.batch());
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(owners) * head_size.bytes() +
                                                     static_cast<std::size_t>(workers) * bench_size.bytes() +
                                                     partial_size.bytes() + order_size.bytes());
  std::byte* const benches = memory.data() + static_cast<std::size_t>(owners) * head_size.bytes();
  std::byte* const partials = benches + static_cast<std::size_t>(workers) * bench_size.bytes();
  const auto head_of = [&](std::int64_t owner) {
    bump cut(memory.data() + static_cast<std::size_t>(owner) * head_size.bytes());
    return head_type(cut, x, layout, scale, options, query_chunks, key_chunks);
  };
  const auto bench_of = [&](int worker) {
    bump cut(benches + static_cast<std::size_t>(worker) * bench_size.bytes());
    return bench_type(cut, layout, options);
  };
  // The longest last, to be shared; those that are not, from the longest on.
  std::int64_t* const order = alike ? nullptr : bump(partials + partial_size.bytes()).take<std::int64_t>(x.batch());
  if (!alike) {
    for (std::int64_t b = 0; b < x.batch(); ++b) order[b] = b;
    std::sort(order, order + x.batch(), [&](std::int64_t a, std::int64_t b) {
      const bool long_a = key_chunks_of(a) > 1;
      const bool long_b = key_chunks_of(b) > 1;
      if (long_a != long_b) return long_b;
      return pairs_of(a) != pairs_of(b) ? pairs_of(a) < pairs_of(b) : a < b;
    });
  }
  const auto sequence_of = [&](std::int64_t item) { return alike ? item / kv_heads : order[item / kv_heads]; };

  const auto whole_head = [&](int worker, std::int64_t item) {
    head_type head = head_of(worker);
    const bench_type mine = bench_of(worker);
    const std::int64_t at = alike ? item : own_heads - 1 - item;
    const std::int64_t b = sequence_of(at);
    const std::int64_t kv_h = at % kv_heads;
    const std::int64_t own_queries = query_chunks_of(b);
    const std::int64_t own_keys = key_chunks_of(b);
    for (std::int64_t c = 0; c < own_keys; ++c) head.pack_keys(b, kv_h, c, c);
    for (std::int64_t h = kv_h * group; h < (kv_h + 1) * group; ++h) {
      for (std::int64_t c = 0; c < own_queries; ++c) head.pack_queries(mine, b, h, c, c);
      for (std::int64_t c = 0; c < own_keys; ++c) head.add(mine, b, h, 0, own_queries, c, nullptr);
      for (std::int64_t c = 0; c < own_queries; ++c) head.store_queries(b, h, c);
    }
    for (std::int64_t c = 0; c < own_keys; ++c) head.store_keys(b, kv_h, c);
  };
  if (workers > 1) {
    exec.for_each(own_heads, whole_head);
  } else {
    for (std::int64_t item = 0; item < own_heads; ++item) whole_head(0, item);
  }

  head_type head = head_of(0);
  T* const partial = reinterpret_cast<T*>(partials);
  for (std::int64_t item = own_heads; item < heads; ++item) {
    const std::int64_t b = sequence_of(item);
    const std::int64_t kv_h = item % kv_heads;
    const std::int64_t own_queries = query_chunks_of(b);
    const std::int64_t own_keys = key_chunks_of(b);
    exec.for_each(own_keys, [&](int, std::int64_t c) { head.pack_keys(b, kv_h, c, c); });
    for (std::int64_t h = kv_h * group; h < (kv_h + 1) * group; ++h) {
      exec.for_each(own_queries, [&](int worker, std::int64_t c) { head.pack_queries(bench_of(worker), b, h, c, c); });
      for (std::int64_t first = 0; first < own_queries; first += segment) {
        const std::int64_t last = std::min(first + segment, own_queries);
        exec.for_each(own_keys, [&](int worker, std::int64_t c) {
          T* const mine = partial + c * segment * head.dq_size();
          std::memset(mine, 0, static_cast<std::size_t>((last - first) * head.dq_size()) * sizeof(T));
          head.add(bench_of(worker), b, h, first, last, c, mine);
        });
        exec.for_each(last - first, [&](int, std::int64_t i) {
          for (std::int64_t c = 0; c < own_keys; ++c) head.add_partial(first + i, partial + (c * segment + i) * head.dq_size());
          head.store_queries(b, h, first + i);
        });
      }
    }
    exec.for_each(own_keys, [&](int, std::int64_t c) { head.store_keys(b, kv_h, c); });
  }
}

}  // namespace tessera::attention::detail
