// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention over keys that come in parts: what each row knows so far is kept, taken up with the next part, and finished at the end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/detail/walk_keys.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/part.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// What every row knows of the keys seen so far, in the compute type of the call.
template <class T>
struct states {
  view<T, 3> max;   ///< [batch, heads, len_q] the largest score, in base 2
  view<T, 3> mass;  ///< [batch, heads, len_q] the sum of 2^(score - max)
  view<T, 4> sums;  ///< [batch, heads, len_q, value_dim] the same sum of values
};

namespace detail {

/// Refuses states that do not fit together, or lie on one another.
template <class T>
TESSERA_ALWAYS_INLINE void check_states(const char* function, const states<T>& s) {
  tessera::detail::check_output(s.sums, function, "states.sums");
  const auto check = [&](const view<T, 3>& x, const char* argument) {
    tessera::detail::check_readable(x, function, argument);
    tessera::detail::check_distinct(x, function, argument);
    tessera::detail::expects(
        x.extent(0) == s.sums.extent(0) && x.extent(1) == s.sums.extent(1) && x.extent(2) == s.sums.extent(2), function, argument,
        [&] { return "shape " + tessera::detail::shape(x); }, "needs [batch, heads, len_q] of states.sums");
    tessera::detail::check_disjoint(x, s.sums, function, argument, "states.sums");
  };
  check(s.max, "states.max");
  check(s.mass, "states.mass");
  tessera::detail::check_disjoint(s.mass, s.max, function, "states.mass", "states.max");
}

template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation>
void accumulate(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
                const states<T>& s, const options<Mask, Score, Accumulation>& whole, const part& at) {
  static_assert(!Accumulation::keeps_lost,
                "attention::accumulate: states do not hold what compensated sums lose; take in_float64");
  static_assert(std::is_same_v<T, accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>>>,
                "states are those of the compute type: float64 if an input is, or options.accumulation says so, else float32");
  const char* const function = "attention::accumulate";
  const auto options = part_options(whole, at);
  check_states(function, s);
  check_place(function, at, q.extent(2), k.extent(2));
  const double scale = check_forward<T>(function, q, k, v, s.sums, options, "states.sums");
  const auto apart = [&](const view<T, 3>& x, const char* argument) {
    tessera::detail::check_disjoint(x, q, function, argument, "q");
    tessera::detail::check_disjoint(x, k, function, argument, "k");
    tessera::detail::check_disjoint(x, v, function, argument, "v");
  };
  apart(s.max, "states.max");
  apart(s.mass, "states.mass");

  const auto sums = [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    return s.sums.data_handle() + b * s.sums.stride(0) + h * s.sums.stride(1) + i * s.sums.stride(2);
  };
  const std::int64_t value_dim = v.extent(3);
  walk_keys<T>(
      exec, sequences<Q, K, V>(q, k, v), {nullptr, q.extent(0)}, scale, options,
      [&](auto& work, std::int64_t b, std::int64_t h) {
        work.resume([&](std::int64_t i, T* values) {
          std::copy_n(sums(b, h, i), value_dim, values);
          return softmax::state<T>{s.max(b, h, i), s.mass(b, h, i)};
        });
      },
      [&](auto& work, std::int64_t b, std::int64_t h, std::int64_t) {
        work.suspend([&](std::int64_t i, const softmax::state<T>& state, const T* values) {
          std::copy_n(values, value_dim, sums(b, h, i));
          s.max(b, h, i) = state.max;
          s.mass(b, h, i) = state.mass;
        });
      });
}

template <class T, class Exec, class O, class L, class Mask, class Score, class Accumulation>
void finish(const Exec& exec, const states<T>& s, const view<O, 4>& out, const view<L, 3>* lse,
            const options<Mask, Score, Accumulation>& options) {
  using P = simd::pack<T, typename Exec::arch>;
  using tessera::detail::expects;
  const char* const function = "attention::finish";
  check_states(function, s);
  const std::int64_t heads = s.sums.extent(1);
  const std::int64_t len_q = s.sums.extent(2);
  const std::int64_t value_dim = s.sums.extent(3);
  const auto apart = [&](const auto& x, const char* argument) {
    tessera::detail::check_disjoint(x, s.max, function, argument, "states.max");
    tessera::detail::check_disjoint(x, s.mass, function, argument, "states.mass");
    tessera::detail::check_disjoint(x, s.sums, function, argument, "states.sums");
  };
  tessera::detail::check_output(out, function, "out");
  expects(
      out.extent(0) == s.sums.extent(0) && out.extent(1) == heads && out.extent(2) == len_q && out.extent(3) == value_dim,
      function, "out", [&] { return "shape " + tessera::detail::shape(out); }, "needs the shape of states.sums");
  apart(out, "out");
  if (lse != nullptr) {
    tessera::detail::check_output(*lse, function, "lse");
    expects(
        lse->extent(0) == s.sums.extent(0) && lse->extent(1) == heads && lse->extent(2) == len_q, function, "lse",
        [&] { return "shape " + tessera::detail::shape(*lse); }, "needs [batch, heads, len_q]");
    apart(*lse, "lse");
    tessera::detail::check_disjoint(*lse, out, function, "lse", "out");
  }
  check_dropout(function, options, 0, 0, 0);
  if (options.sinks.data_handle() != nullptr) check_extents(options.sinks, {heads}, function, "options.sinks", "needs [heads]");
  const view<const float, 1>& value_scales = options.value_scales;
  if (value_scales.data_handle() != nullptr) {
    tessera::detail::check_readable(value_scales, function, "options.value_scales");
    expects(
        value_scales.extent(0) > 0 ? heads % value_scales.extent(0) == 0 : heads == 0, function, "options.value_scales",
        [&] { return "shape " + tessera::detail::shape(value_scales); }, "needs [kv_heads]");
  }

  constexpr std::int64_t turn = 4 * P::lanes;  // rows
  const std::int64_t turns = (len_q + turn - 1) / turn;
  const auto work = [&](int, std::int64_t item) {
    const std::int64_t b = item / turns / heads;
    const std::int64_t h = item / turns % heads;
    const bool has_sink = options.sinks.data_handle() != nullptr;
    const softmax::state<P> sink{
        P(has_sink ? static_cast<T>(static_cast<double>(options.sinks(h)) * softmax::unit) : -infinity<T>()), P(T(1))};
    const P value_scale(
        value_factor<T>(options, value_scales.data_handle() != nullptr ? h / (heads / value_scales.extent(0)) : 0));
    const std::int64_t first = item % turns * turn;
    const std::int64_t last = std::min(first + turn, len_q);
    for (std::int64_t i0 = first; i0 < last; i0 += P::lanes) {
      const int rows = static_cast<int>(std::min<std::int64_t>(P::lanes, last - i0));
      alignas(P::alignment) T max[P::lanes] = {};
      alignas(P::alignment) T mass[P::lanes] = {};
      alignas(P::alignment) T kept[P::lanes];
      for (int l = 0; l < rows; ++l) {
        max[l] = s.max(b, h, i0 + l);
        mass[l] = s.mass(b, h, i0 + l);
      }
      P(T(1)).store(kept);
      if (has_sink) {
        softmax::state<P> state{P::load(max), P::load(mass)};
        softmax{}.join(state, sink).kept.store(kept);
        state.max.store(max);
        state.mass.store(mass);
      }
      for (int l = 0; l < rows; ++l) {
        const T* const from = s.sums.data_handle() + b * s.sums.stride(0) + h * s.sums.stride(1) + (i0 + l) * s.sums.stride(2);
        O* const to = out.data_handle() + b * out.stride(0) + h * out.stride(1) + (i0 + l) * out.stride(2);
        for (std::int64_t c = 0; c < value_dim; c += P::lanes) {
          const int columns = static_cast<int>(std::min<std::int64_t>(P::lanes, value_dim - c));
          const P mean = tile::detail::load_columns<P>(from + c, columns) * P(kept[l]) / P(mass[l]);
          const P value = select(P(mass[l]) == P(T(0)), P(T(0)), mean) * value_scale;
          if (columns == P::lanes) {
            simd::store_as(to + c, value);
          } else {
            simd::store_partial(to + c, columns, value);
          }
        }
        if (lse != nullptr) (*lse)(b, h, i0 + l) = static_cast<L>(softmax{}.finish(softmax::state<T>{max[l], mass[l]}));
      }
    }
  };
  const double operations = static_cast<double>(s.sums.size()) + 64 * static_cast<double>(s.max.size());
  tessera::detail::for_each_worth(exec, operations, s.sums.extent(0) * heads * turns, work);
}

}  // namespace detail

/// Makes the states those of no keys.
template <class T>
void reset(const states<T>& s) {
  detail::check_states("attention::reset", s);
  for (std::int64_t b = 0; b < s.sums.extent(0); ++b) {
    for (std::int64_t h = 0; h < s.sums.extent(1); ++h) {
      for (std::int64_t i = 0; i < s.sums.extent(2); ++i) {
        s.max(b, h, i) = -infinity<T>();
        s.mass(b, h, i) = T(0);
        for (std::int64_t c = 0; c < s.sums.extent(3); ++c) s.sums(b, h, i, c) = T(0);
      }
    }
  }
}

/// Adds a part of the keys to what the rows know: forward, in steps. `reset`, then `accumulate` each part, then `finish`.
///
/// For keys that do not fit, or arrive one part after another: from other machines (mpi/attention.hpp), from disk, from a cache in pieces. A
/// prefix that many sequences share is accumulated once, all their rows as one set of queries, and each suffix beside its own.
///
/// Shapes          q [batch, heads, len_q, head_dim], k [batch, kv_heads, len_k, head_dim], v [batch, kv_heads, len_k, value_dim] of the part,
///                 as in forward; states [batch, heads, len_q], sums with value_dim. `at` tells where they stand: options.mask,
///                 options.score and options.rotary are those of the whole, and are asked about its positions.
/// Options         those of forward, the same in every call; sinks, value_scales and the factor of dropout are left to finish. States are
///                 float64 where the accumulation is; compensated sums are refused while compiling.
/// Special values, accuracy  those of forward
/// Cost            that of forward on the part, and states read and written once. Scratch as in forward.
/// Determinism     the bits of one forward over all keys, where parts come in rising order and all but the last hold a multiple of
///                 `part_keys` keys. In any other order, or other parts, the result is within forward's bound (len_k / 192 counts parts).
/// Errors          argument_error before states are touched: what forward refuses, and a part outside its whole
/// Source          Milakov and Gimelshein 2018, arXiv:1805.02867
template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, class T, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4)
void accumulate(const Exec& exec, const Q& q, const K& k, const V& v, const states<T>& s, const part& at,
                const options<Mask, Score, Accumulation>& options = {}) {
  detail::accumulate<T, Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>>(exec, q, k, v, s, options, at);
}

/// out = sums / mass, lse = log mass + max in natural units: the results of forward, of the keys that were accumulated.
///
/// Shapes          out [batch, heads, len_q, value_dim], lse [batch, heads, len_q] (optional), any storage
/// Options         sinks, value_scales and dropout of forward; the states stay as they are, without the sinks, and more keys may follow
/// Special values, accuracy, determinism  those of forward. Cost: states are read once; no scratch
/// Errors          argument_error before out is touched: shapes, null data, strides, overlap
template <executor Exec, class T, mdspan_like Out, class Mask = band, class Score = plain_score, class Accumulation = plain_sums>
  requires(Out::rank() == 4)
void finish(const Exec& exec, const states<T>& s, const Out& out, const options<Mask, Score, Accumulation>& options = {}) {
  detail::finish<T, Exec, value_type_of<Out>, float>(exec, s, out, nullptr, options);
}

template <executor Exec, class T, mdspan_like Out, mdspan_like Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
  requires(Out::rank() == 4 && Lse::rank() == 3)
void finish(const Exec& exec, const states<T>& s, const Out& out, const Lse& lse,
            const options<Mask, Score, Accumulation>& options = {}) {
  using L = value_type_of<Lse>;
  const view<L, 3> lse_view(lse);
  detail::finish<T, Exec, value_type_of<Out>, L>(exec, s, out, &lse_view, options);
}

}  // namespace tessera::attention
