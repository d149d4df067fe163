// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Softmax and log-softmax of the rows of a matrix.
#pragma once

#include <cstdint>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/tile/detail/row_chunks.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace tile::detail {

/// A chunk: its largest number, and the sum of e^(x - max). Joined: what turns its numbers into those of the row.
template <class T>
struct chunk_mass {
  T max;
  T mass;
};

/// What is subtracted: 0 where every number is -inf (-inf - -inf would be NaN).
template <class T>
TESSERA_ALWAYS_INLINE T row_anchor(T top) {
  return top == -infinity<T>() ? T(0) : top;
}

template <class P, class S>
TESSERA_ALWAYS_INLINE chunk_mass<typename P::value_type> mass_of_chunk(const S* x, std::int64_t n, typename P::value_type* kept) {
  using T = typename P::value_type;
  P best[4];
  for (P& b : best) b = P(-infinity<T>());
  for_packs<P, 4>(n, [&](int u, std::int64_t k, int count) { best[u] = max(best[u], load_or<P>(x + k, count, -infinity<T>())); });
  const T top = simd::fold_max(best);
  const P base(row_anchor(top));
  const T mass = sum_of<P>(n, [&](P sum, std::int64_t k, int count) {
    simd::prefetch(x + k + n);  // the memory works on what comes next while exponentials are made
    const P weight = exp_nonpositive(load_or<P>(x + k, count, -infinity<T>()) - base);
    if (kept != nullptr && count == P::lanes) simd::store_as(kept + k, weight);
    if (kept != nullptr && count != P::lanes) simd::store_partial(kept + k, count, weight);
    return sum + weight;
  });
  return {top, mass};
}

/// The mass of a row relative to its largest number, which goes to `top`.
template <class T>
TESSERA_ALWAYS_INLINE T mass_of_row(const chunk_mass<T>* states, std::int64_t chunks, T& top) {
  top = states[0].max;
  for (std::int64_t c = 1; c < chunks; ++c) top = max(top, states[c].max);
  if (chunks == 1) return states[0].mass;
  T mass = 0;
  for (std::int64_t c = 0; c < chunks; ++c) {
    mass = fma(states[c].mass, exp_nonpositive(states[c].max - row_anchor(top)), mass);
  }
  return mass;
}

template <bool Log, class Exec, class In, class Out>
void run_softmax_rows(const Exec& exec, const view<const In, 2>& in, const view<Out, 2>& out) {
  using T = std::common_type_t<compute_t<In>, compute_t<Out>>;
  using P = simd::pack<T, typename Exec::arch>;
  using state = chunk_mass<T>;
  check_rows(in, out, Log ? "log_softmax_rows" : "softmax_rows", "in", "out");
  const std::int64_t length = in.extent(1);
  const bool streaming = stream_rows(out, static_cast<const void*>(in.data_handle()) == out.data_handle());
  const auto source = [&](std::int64_t i, std::int64_t c) { return in.data_handle() + i * in.stride(0) + c * row_chunk; };
  const auto count_of = [&](std::int64_t c) { return std::min(row_chunk, length - c * row_chunk); };
  run_rows<state, T, !Log>(
      exec, in.extent(0), length,
      [&](std::int64_t i, std::int64_t c, T* kept) { return mass_of_chunk<P>(source(i, c), count_of(c), kept); },
      [](state* states, std::int64_t chunks) {
        T top;
        const T mass = mass_of_row(states, chunks, top);
        const bool empty = mass == T(0);
        for (std::int64_t c = 0; c < chunks; ++c) {
          if constexpr (Log) {
            states[c] = empty ? state{T(0), T(0)} : state{top, c == 0 ? log(mass) : states[0].mass};
          } else {
            const T share = chunks == 1 ? T(1) : exp_nonpositive(states[c].max - row_anchor(top));
            states[c] = {row_anchor(states[c].max), empty ? T(0) : share / mass};
          }
        }
      },
      [&](std::int64_t i, std::int64_t c, const state& s, const T* kept) {
        const In* const x = source(i, c);
        Out* const to = out.data_handle() + i * out.stride(0) + c * row_chunk;
        const P max_all(s.max);
        const P mass_all(s.mass);
        if constexpr (Log) {
          write_run<P>(to, count_of(c), streaming,
                       [&](std::int64_t k, int count) { return (load_or<P>(x + k, count, T(0)) - max_all) - mass_all; });
        } else if (kept != nullptr) {
          write_run<P>(to, count_of(c), streaming,
                       [&](std::int64_t k, int count) { return load_or<P>(kept + k, count, T(0)) * mass_all; });
        } else {
          write_run<P>(to, count_of(c), streaming, [&](std::int64_t k, int count) {
            return exp_nonpositive(load_or<P>(x + k, count, T(0)) - max_all) * mass_all;
          });
        }
      });
}

}  // namespace tile::detail

/// out[i, j] = exp(in[i, j]) / sum_k exp(in[i, k]): every row becomes a distribution.
///
/// Shapes          in, out [rows, length], rows contiguous and at any stride; any number of rows, of any length. `out` may be `in`
///                 itself.
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if one of them is float64, else in float32;
///                 rounded to out's type once.
/// Special values  a number of -inf gets 0; a row of nothing but -inf gets zeros (no distribution; PyTorch gives NaN). A NaN or a
///                 +inf makes its whole row NaN, and no other. Equal numbers get equal results; a row of one finite number gets exactly 1.
/// Accuracy        with M the row's largest number, |error| <= (M - in[i, j] + log length + 140 + length / 4096) u p, plus 2^-125
///                 (float64: 2^-1021) where results are taken for 0 or are subnormal, plus out's rounding. The first term is that of the
///                 difference itself. test/tile/softmax_rows.cpp.
/// Cost            one pass over in and one over out; one exponential a number, two in rows above 262,144 and in few rows. Scratch: up to
///                 1 MiB a worker (float64: 2 MiB), and two numbers for each 4,096 of a row.
/// Determinism     the same bits for every number of threads, and for a row alone or among others: rows are summed in chunks of
///                 4,096, and chunks in order. Few long rows are shared out by chunks.
/// Errors          argument_error before out is touched: shapes, null data, rows that are not contiguous, out overlapping in in part.
/// Source          Milakov and Gimelshein 2018, arXiv:1805.02867
template <executor Exec, mdspan_like In, mdspan_like Out>
  requires(In::rank() == 2 && Out::rank() == 2)
void softmax_rows(const Exec& exec, const In& in, const Out& out) {
  tile::detail::run_softmax_rows<false>(exec, view<const value_type_of<In>, 2>(in), view<value_type_of<Out>, 2>(out));
}

/// out[i, j] = in[i, j] - log sum_k exp(in[i, k]), the logarithm of softmax_rows without its underflow.
///
/// Special values  a number of -inf gets -inf, also in a row of nothing else. A NaN or a +inf makes its whole row NaN, and no other.
/// Accuracy        |error| <= (M - in[i, j] + |out[i, j]| + 2 log length + 142 + length / 4096) u plus out's rounding.
/// Cost            one pass over in, which long rows make twice, and one over out; one exponential a number. Scratch: two numbers
///                 for each 4,096 of a row.
/// The rest as softmax_rows.
template <executor Exec, mdspan_like In, mdspan_like Out>
  requires(In::rank() == 2 && Out::rank() == 2)
void log_softmax_rows(const Exec& exec, const In& in, const Out& out) {
  tile::detail::run_softmax_rows<true>(exec, view<const value_type_of<In>, 2>(in), view<value_type_of<Out>, 2>(out));
}

}  // namespace tessera
