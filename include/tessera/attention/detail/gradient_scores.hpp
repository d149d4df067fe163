// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gradients of what scores are made with: biases, ALiBi's slopes, sinks. Passes of their own: who does not ask does not pay.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tessera/attention/detail/gradient_heads.hpp"
#include "tessera/attention/detail/score_stages.hpp"
#include "tessera/attention/score.hpp"

namespace tessera::attention::detail {

/// Options whose score is that of a stage.
template <class Stage, class Options>
struct stage_options {
  using head_type = decltype(score_of(std::declval<const Options&>().score, 0, 0, 0, 0));
  struct stage {
    const Options& of;
    [[nodiscard]] TESSERA_ALWAYS_INLINE stage_score<Stage, head_type> head(std::int64_t b, std::int64_t h, std::int64_t len_q,
                                                                           std::int64_t len_k) const {
      return {score_of(of.score, b, h, len_q, len_k)};
    }
  };
  const decltype(Options::mask)& mask;
  stage score;
  view<const float, 1> key_scales;
  view<const float, 1> value_scales;
  attention::rotary rotary;
  attention::dropout dropout;

  TESSERA_ALWAYS_INLINE explicit stage_options(const Options& x)
      : mask(x.mask), score{x}, key_scales(x.key_scales), value_scales(x.value_scales), rotary(x.rotary), dropout(x.dropout) {}
};

/// One worker's chunk of queries and chunk of keys, packed anew for every tile.
template <class T, class Arch, class Operands, class Options>
class score_gradients {
 public:
  using head_type = gradient_head<T, Arch, Operands, Options>;
  using layout_type = typename head_type::layout_type;
  using tile_type = typename head_type::tile_type;
  using span = typename tile_type::span;

  score_gradients(tessera::detail::bump& memory, const Operands& x, const layout_type& layout, double scale,
                  const Options& options)
      : head_(memory, x, layout, scale, options, 1, 1), bench_(memory, layout, options) {}

  void queries(std::int64_t b, std::int64_t h, std::int64_t c) { head_.pack_queries(bench_, b, h, c, 0); }
  void keys(std::int64_t b, std::int64_t kv_h, std::int64_t c) { head_.pack_keys(b, kv_h, c, 0); }
  /// f(slopes [key_chunk][query_chunk], keys of the chunk that are seen)
  template <class F>
  void tile(std::int64_t b, std::int64_t h, const F& f) {
    head_.weigh(bench_, b, h, 0, 0, [&](span seen) { f(static_cast<const T*>(bench_.slopes), seen); });
  }

 private:
  head_type head_;
  typename head_type::bench bench_;
};

/// dbias [batch, heads, len_q, len_k] = the gradient of what is added to each score, summed, in order, over axes of stride 0. Sequences are
/// of one length.
template <class T, class Exec, class Operands, class Options, class B>
void bias_gradient(const Exec& exec, const Operands& x, double scale, const Options& call_options, const view<B, 4>& dbias) {
  using Arch = typename Exec::arch;
  using P = simd::pack<T, Arch>;
  using options_type = stage_options<of_bias, Options>;
  using worker_type = score_gradients<T, Arch, Operands, options_type>;
  const options_type options(call_options);
  const typename worker_type::layout_type layout{x.head_dim(), x.value_dim()};
  const std::int64_t chunks[] = {x.batch(), x.heads(), (x.len_q(0) + query_chunk - 1) / query_chunk,
                                 (x.len_k(0) + key_chunk - 1) / key_chunk};
  if (chunks[0] == 0 || chunks[1] == 0 || chunks[2] == 0 || chunks[3] == 0) return;
  const std::int64_t group = x.heads() / x.kv_heads();
  // One item for each (b, h, chunk of queries) that is written, and all chunks of keys.
  std::int64_t own[3];
  for (std::size_t r = 0; r < 3; ++r) own[r] = dbias.stride(r) == 0 && dbias.extent(r) > 1 ? 1 : chunks[r];
  const auto lay_out = [&](tessera::detail::bump& memory) { return memory.take<T>(chunks[3] * key_chunk * query_chunk); };
  tessera::detail::bump size;
  lay_out(size);
  worker_type(size, x, layout, scale, options);
  const int workers = exec.workers();
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(workers) * size.bytes());
  exec.for_each(own[0] * own[1] * own[2], [&](int worker, std::int64_t item) {
    tessera::detail::bump cut(memory.data() + static_cast<std::size_t>(worker) * size.bytes());
    T* const sums = lay_out(cut);
    worker_type work(cut, x, layout, scale, options);
    std::memset(sums, 0, sizeof(T) * static_cast<std::size_t>(chunks[3] * key_chunk * query_chunk));
    const std::int64_t at[] = {item / (own[1] * own[2]), item / own[2] % own[1], item % own[2]};
    const auto first = [&](std::size_t r) { return own[r] == chunks[r] ? at[r] : 0; };
    const auto last = [&](std::size_t r) { return own[r] == chunks[r] ? at[r] + 1 : chunks[r]; };
    for (std::int64_t b = first(0); b < last(0); ++b) {
      for (std::int64_t h = first(1); h < last(1); ++h) {
        for (std::int64_t i = first(2); i < last(2); ++i) {
          work.queries(b, h, i);
          const std::int64_t count = std::min<std::int64_t>(query_chunk, x.len_q(0) - i * query_chunk);
          for (std::int64_t c = 0; c < chunks[3]; ++c) {
            work.keys(b, h / group, c);
            work.tile(b, h, [&](const T* slopes, auto seen) {
              for (int j = seen.first; j < seen.last; ++j) {
                const T* const from = slopes + j * query_chunk;
                T* const to = sums + (c * key_chunk + j) * query_chunk;
                for (std::int64_t l = 0; l < count; l += P::lanes) {
                  const int n = static_cast<int>(std::min<std::int64_t>(P::lanes, count - l));
                  (P::load(to + l) + simd::load_partial<P>(from + l, n)).store(to + l);
                }
              }
            });
          }
        }
      }
    }
    // Rows of dbias that are one row are added up here; so are its columns.
    const bool one_row = dbias.stride(2) == 0 && dbias.extent(2) > 1;
    const bool one_column = dbias.stride(3) == 0 && dbias.extent(3) > 1;
    const std::int64_t rows = one_row ? std::min<std::int64_t>(query_chunk, x.len_q(0))
                                      : std::min<std::int64_t>(query_chunk, x.len_q(0) - at[2] * query_chunk);
    B* const to = dbias.data_handle() + at[0] * dbias.stride(0) + at[1] * dbias.stride(1);
    const std::int64_t keys = x.len_k(0);
    for (std::int64_t i = 0; i < (one_row ? 1 : rows); ++i) {
      T column_sum(0);
      for (std::int64_t j = 0; j < keys; ++j) {
        T sum(0);
        for (std::int64_t e = i; e < (one_row ? rows : i + 1); ++e) sum += sums[j * query_chunk + e];
        if (one_column) {
          column_sum += sum;
        } else {
          to[(at[2] * query_chunk + i) * dbias.stride(2) + j * dbias.stride(3)] = static_cast<B>(sum);
        }
      }
      if (one_column) to[(at[2] * query_chunk + i) * dbias.stride(2)] = static_cast<B>(column_sum);
    }
  });
}

/// dslopes [heads] = -sum over batch, queries and keys of the gradient of ALiBi's score times the distance. Sequences are of one length.
template <class T, class Exec, class Operands, class Options>
void slope_gradient(const Exec& exec, const Operands& x, double scale, const Options& call_options,
                    const view<float, 1>& dslopes) {
  using Arch = typename Exec::arch;
  using P = simd::pack<T, Arch>;
  using options_type = stage_options<of_slopes, Options>;
  using worker_type = score_gradients<T, Arch, Operands, options_type>;
  const options_type options(call_options);
  const typename worker_type::layout_type layout{x.head_dim(), x.value_dim()};
  const std::int64_t batch = x.batch();
  const std::int64_t heads = x.heads();
  const std::int64_t query_chunks = (x.len_q(0) + query_chunk - 1) / query_chunk;
  const std::int64_t key_chunks = (x.len_k(0) + key_chunk - 1) / key_chunk;
  const std::int64_t items = batch * heads * query_chunks;
  tessera::detail::bump size;
  if (items > 0) worker_type(size, x, layout, scale, options);
  const int workers = exec.workers();
  tessera::detail::bump partial_size;
  partial_size.take<double>(items);
  tessera::detail::scratch memory(exec.memory(), partial_size.bytes() + static_cast<std::size_t>(workers) * size.bytes());
  double* const partial = reinterpret_cast<double*>(memory.data());
  exec.for_each(items, [&](int worker, std::int64_t item) {
    tessera::detail::bump cut(memory.data() + partial_size.bytes() + static_cast<std::size_t>(worker) * size.bytes());
    worker_type work(cut, x, layout, scale, options);
    const std::int64_t b = item / query_chunks % batch;
    const std::int64_t h = item / query_chunks / batch;
    const std::int64_t first = item % query_chunks * query_chunk;
    const std::int64_t count = std::min<std::int64_t>(query_chunk, x.len_q(0) - first);
    work.queries(b, h, item % query_chunks);
    const std::int64_t offset = alibi_offset(score_of(call_options.score, b, h, x.len_q(0), x.len_k(0)));
    double total = 0;
    for (std::int64_t c = 0; c < key_chunks; ++c) {
      work.keys(b, h * x.kv_heads() / heads, c);
      work.tile(b, h, [&](const T* slopes, auto seen) {
        for (std::int64_t l = 0; l < count; l += P::lanes) {
          const int n = static_cast<int>(std::min<std::int64_t>(P::lanes, count - l));
          const P place = P::iota(static_cast<T>(first + l + offset));
          P sum(T(0));
          for (int j = seen.first; j < seen.last; ++j) {
            const P distance = simd::abs(P(static_cast<T>(c * key_chunk + j)) - place);
            sum = fma(simd::load_partial<P>(slopes + j * query_chunk + l, n), distance, sum);
          }
          alignas(P::alignment) T lanes[P::lanes];
          sum.store(lanes);
          for (int e = 0; e < n; ++e) total += static_cast<double>(lanes[e]);
        }
      });
    }
    partial[item] = total;
  });
  for (std::int64_t h = 0; h < heads; ++h) {
    double total = 0;
    for (std::int64_t n = 0; n < batch * query_chunks; ++n) total -= partial[h * batch * query_chunks + n];
    dslopes(h) = static_cast<float>(total);
  }
}

/// dsinks [heads] = -sum over batch and queries of the sink's weight times dout . out.
template <class Exec, class Operands>
void sink_gradient(const Exec& exec, const Operands& x, const view<const float, 1>& sinks, const view<float, 1>& dsinks) {
  exec.for_each(x.heads(), [&](int, std::int64_t h) {
    double total = 0;
    for (std::int64_t b = 0; b < x.batch(); ++b) {
      const auto out = x.out(b, h);
      const auto dout = x.dout(b, h);
      const auto lse = x.lse(b, h);
      for (std::int64_t i = 0; i < x.len_q(b); ++i) {
        const auto row_lse = static_cast<double>(lse(i));
        if (row_lse == -infinity<double>()) continue;
        double delta = 0;
        for (std::int64_t c = 0; c < x.value_dim(); ++c) {
          delta += static_cast<double>(dout(i, c)) * static_cast<double>(out(i, c));
        }
        total -= std::exp(static_cast<double>(sinks(h)) - row_lse) * delta;
      }
    }
    dsinks(h) = static_cast<float>(total);
  });
}

}  // namespace tessera::attention::detail
