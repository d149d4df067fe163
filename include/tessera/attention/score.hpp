// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What becomes of a scaled product before the softmax, as values: ALiBi, softcap, an additive bias, any function, one after another.
///
/// A score is anything with `head(b, h, len_q, len_k)`, which gives that of one head: a callable `(s, i, j)` on the scaled product s of query
/// i and key j, numbers or packs of them, in natural units (not those of base 2). `derivative(s, i, j)` is d score / d s, for the backward
/// pass. A callable `(s, b, h, i, j)` is a score, too, without a derivative.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/mask.hpp"
#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/numeric/hyperbolic.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// What a score of attention is.
template <class S>
concept head_score = requires(const S& s, std::int64_t n) { s.head(n, n, n, n)(1.0, n, n); };

namespace detail {

struct plain_head {
  static constexpr bool linear = true;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T>, lane_index<T>) const {
    return s;
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T, lane_index<T>, lane_index<T>) const {
    return T(lane_value<T>(1));
  }
};

struct alibi_head {
  float slope;
  std::int64_t offset;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    const T distance = lane<T>::number(j - i - tessera::detail::saturated_index<lane_index<T>>(offset));
    return fma(T(-static_cast<lane_value<T>>(slope)), max(distance, -distance), s);
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T, lane_index<T>, lane_index<T>) const {
    return T(lane_value<T>(1));
  }
};

struct softcap_head {
  double cap;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T>, lane_index<T>) const {
    using V = lane_value<T>;
    return T(static_cast<V>(cap)) * tanh(s * T(static_cast<V>(1 / cap)));
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T s, lane_index<T>, lane_index<T>) const {
    using V = lane_value<T>;
    const T t = tanh(s * T(static_cast<V>(1 / cap)));
    return fma(-t, t, T(V(1)));
  }
};

template <class B>
struct bias_head {
  view<const B, 2> bias;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return tessera::detail::plus_bias(s, bias, i, j);
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T, lane_index<T>, lane_index<T>) const {
    return T(lane_value<T>(1));
  }
};

/// f(number, i, j), lane by lane.
TESSERA_CALLS_USER
template <class T, class F>
TESSERA_HD TESSERA_ALWAYS_INLINE T each_score(T s, lane_index<T> i, lane_index<T> j, const F& f) {
  if constexpr (lane<T>::width == 1) {
    return static_cast<T>(f(s, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)));
  } else {
    using V = lane_value<T>;
    alignas(T::alignment) lane_index<V> rows[lane<T>::width];
    alignas(T::alignment) lane_index<V> columns[lane<T>::width];
    alignas(T::alignment) V scores[lane<T>::width];
    i.store(rows);
    j.store(columns);
    s.store(scores);
    for (int l = 0; l < lane<T>::width; ++l) {
      scores[l] = static_cast<V>(f(scores[l], static_cast<std::int64_t>(rows[l]), static_cast<std::int64_t>(columns[l])));
    }
    return T::load(scores);
  }
}

/// A user's function of (s, b, h, i, j), called with packs where it takes them, for pairs that are there.
TESSERA_CALLS_USER
template <class F, class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T call_score(const F& f, T s, const head_pairs& at, lane_index<T> i, lane_index<T> j) {
  if constexpr (std::is_invocable_v<const F&, T, std::int64_t, std::int64_t, lane_index<T>, lane_index<T>>) {
    return T(f(s, at.b, at.h, at.query(i), at.key(j)));
  } else {
    return each_score(s, at.query(i), at.key(j),
                      [&](auto x, std::int64_t row, std::int64_t column) { return f(x, at.b, at.h, row, column); });
  }
}

template <class F>
struct function_head {
  const F& f;
  head_pairs at;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return call_score(f, s, at, i, j);
  }
};

template <class F, class D>
struct differentiable_head {
  const F& f;
  const D& slope;
  head_pairs at;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return call_score(f, s, at, i, j);
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T s, lane_index<T> i, lane_index<T> j) const {
    return call_score(slope, s, at, i, j);
  }
};

template <class A, class B>
struct chained_head {
  A first;
  B second;
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return second(first(s, i, j), i, j);
  }
  template <class T>
    requires requires(const A& a, const B& b, T s, lane_index<T> i) { a.derivative(s, i, i), b.derivative(s, i, i); }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T s, lane_index<T> i, lane_index<T> j) const {
    return second.derivative(first(s, i, j), i, j) * first.derivative(s, i, j);
  }
};

/// The score of a head: that of a score, or a function's.
template <class S>
TESSERA_HD TESSERA_ALWAYS_INLINE auto score_of(const S& score, std::int64_t b, std::int64_t h, std::int64_t len_q,
                                               std::int64_t len_k) {
  if constexpr (head_score<S>) {
    return score.head(b, h, len_q, len_k);
  } else {
    return function_head<S>{score, {b, h, len_q, len_k}};
  }
}

}  // namespace detail

/// The scaled product itself.
struct plain_score {
  [[nodiscard]] TESSERA_HD detail::plain_head head(std::int64_t, std::int64_t, std::int64_t, std::int64_t) const { return {}; }
};

/// s - slope_h |j - c|, query i standing at key c: attention with linear biases.
///
/// Shapes  slopes [heads], finite
/// Source  Press, Smith, Lewis 2022, arXiv:2108.12409
struct alibi {
  view<const float, 1> slopes;
  attention::alignment alignment = attention::alignment::bottom_right;

  [[nodiscard]] TESSERA_HD detail::alibi_head head(std::int64_t, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return {slopes(h), alignment == attention::alignment::bottom_right ? len_k - len_q : 0};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_extents(slopes, {s.heads}, function, "options.score.slopes", "needs [heads]");
  }
};

/// cap tanh(s / cap), cap > 0.
///
/// Source  Gemma 2, 2024, arXiv:2408.00118
struct softcap {
  double cap;
  [[nodiscard]] TESSERA_HD detail::softcap_head head(std::int64_t, std::int64_t, std::int64_t, std::int64_t) const {
    return {cap};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes&) const {
    tessera::detail::expects(
        cap > 1e-30 && cap < 1e30, function, "options.score.cap", [&] { return tessera::detail::number(cap); },
        "needs a positive, finite cap");
  }
};

/// s + bias[b, h, i, j]; -inf hides a pair.
///
/// Shapes  bias [batch, heads, len_q, len_k], any strides: 0 broadcasts
template <class B>
struct additive_bias {
  view<const B, 4> bias;
  [[nodiscard]] TESSERA_HD detail::bias_head<B> head(std::int64_t b, std::int64_t h, std::int64_t, std::int64_t) const {
    return {bias[b][h]};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_extents(bias, {s.batch, s.heads, s.len_q, s.len_k}, function, "options.score.bias",
                          "needs [batch, heads, len_q, len_k]");
  }
};
template <class V>
additive_bias(const V&) -> additive_bias<std::remove_const_t<value_type_of<V>>>;

/// Any function score(s, b, h, i, j) by name, and its derivative in s where gradients are wanted.
///
/// A function of `auto` arguments is called with packs of s, i and j; one whose i and j are integers, pair by pair.
template <class F, class D = void>
struct score_by {
  F f;
  D derivative;
  [[nodiscard]] TESSERA_HD detail::differentiable_head<F, D> head(std::int64_t b, std::int64_t h, std::int64_t len_q,
                                                                  std::int64_t len_k) const {
    return {f, derivative, {b, h, len_q, len_k}};
  }
};
template <class F>
struct score_by<F, void> {
  F f;
  [[nodiscard]] TESSERA_HD detail::function_head<F> head(std::int64_t b, std::int64_t h, std::int64_t len_q,
                                                         std::int64_t len_k) const {
    return {f, {b, h, len_q, len_k}};
  }
};
template <class F>
score_by(F) -> score_by<F>;
template <class F, class D>
score_by(F, D) -> score_by<F, D>;

/// second(first(s)).
template <head_score A, head_score B>
struct chained_scores {
  A first;
  B second;
  [[nodiscard]] TESSERA_HD auto head(std::int64_t b, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return detail::chained_head<decltype(first.head(b, h, len_q, len_k)), decltype(second.head(b, h, len_q, len_k))>{
        first.head(b, h, len_q, len_k), second.head(b, h, len_q, len_k)};
  }
  TESSERA_ALWAYS_INLINE void check(const char* function, const sizes& s) const {
    detail::check_part(first, function, s);
    detail::check_part(second, function, s);
  }
};

/// The score that applies `first`, then `second`: softcap{50} >> alibi{slopes}.
template <head_score A, head_score B>
TESSERA_HD constexpr chained_scores<A, B> operator>>(const A& first, const B& second) {
  return {first, second};
}

}  // namespace tessera::attention
