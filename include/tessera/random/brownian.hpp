// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Brownian motion over an interval of time, addressed by (seed, stream, time, index): the same path whatever steps a solver takes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/fill.hpp"
#include "tessera/random/detail/groups.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/streams.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {

/// A Brownian path for every index: where its time begins and ends, and how fine its tree is.
///
/// The interval is halved `depth` times, from 0 to 50 (the default tells 2^24 steps apart). On the grid of those halvings the path is
/// Brownian motion exactly, rounding aside.
struct brownian_path {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  double begin = 0;
  double end = 1;
  int depth = 24;
};

namespace detail {

/// A value of the path as a sum of weights times normal numbers, one for each node of the tree that the time touches.
///
/// Schauder's expansion: with s in [0, 1] the time, W(s) = s z + sum over levels L of 2^(-L/2) min(r, 1 - r) z_(L,p), where s 2^L = p + r.
/// Cut at `depth`, that interpolates linearly between grid points; the term sqrt(r (1 - r)) 2^(-depth/2) z of the last interval gives
/// every time its exact variance. Node numbers: 0 for the end, 2^L + p for the middle of interval p of level L.
struct brownian_terms {
  static constexpr int most = 2 * 51 + 1;
  std::uint64_t node[most];
  double weight[most];
  int size;

  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE void add(std::uint64_t number, double w) noexcept {
    if (w == 0.0) return;
    node[size] = number;
    weight[size] = w;
    ++size;
  }
};

/// floor(x) for 0 <= x <= 2^50.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double floor_of(double x) noexcept {
  const double n = (x + 0x1p52) - 0x1p52;
  return n > x ? n - 1.0 : n;
}

/// The terms of W(b) - W(a), or of the bridge's difference, which has no term of the end.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE brownian_terms brownian_difference(const brownian_path& path, double from, double to,
                                                                              bool bridge) noexcept {
  // The earlier time first, whichever it is: so that both directions have the same bits but for the sign.
  const double a = from < to ? from : to;
  const double b = from < to ? to : from;
  const double length = path.end - path.begin;
  const double root = from < to ? square_root(length) : -square_root(length);
  const double s_a = (a - path.begin) / length;
  const double s_b = (b - path.begin) / length;
  brownian_terms terms{};
  if (!bridge) terms.add(0, (s_b - s_a) * root);
  double scale = root;  // sqrt(length 2^-L), with the sign of the direction
  double count = 1;     // 2^L
  for (int level = 0; level <= path.depth; ++level) {
    const double p_a = floor_of(s_a * count);
    const double p_b = floor_of(s_b * count);
    const double r_a = s_a * count - p_a;  // exact, fused or not
    const double r_b = s_b * count - p_b;
    double m_a = r_a < 0.5 ? r_a : 1.0 - r_a;
    double m_b = r_b < 0.5 ? r_b : 1.0 - r_b;
    if (level == path.depth) {
      m_a = m_a > 0.0 ? square_root(m_a * (1.0 - m_a)) : 0.0;
      m_b = m_b > 0.0 ? square_root(m_b * (1.0 - m_b)) : 0.0;
    }
    const std::uint64_t first = std::uint64_t{1} << level;
    if (p_a == p_b) {
      terms.add(first + static_cast<std::uint64_t>(p_b), (m_b - m_a) * scale);
    } else {
      terms.add(first + static_cast<std::uint64_t>(p_b), m_b * scale);
      terms.add(first + static_cast<std::uint64_t>(p_a), -m_a * scale);
    }
    count = count * 2.0;
    scale = scale * 0.70710678118654752;
  }
  return terms;
}

/// base + the sum of the terms at an index, in their order.
template <class V>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE V brownian_sum(const brownian_path& path, const brownian_terms& terms, V base,
                                                          std::uint64_t index) noexcept {
  const stream_key root{path.seed, path.stream};
  V sum = base;
  for (int i = 0; i < terms.size; ++i) {
    const stream_key key = root.child(terms.node[i]);
    sum = fma(static_cast<V>(terms.weight[i]), normal<V>(key.seed, key.stream, index), sum);
  }
  return sum;
}

TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool within(const brownian_path& path, double t) noexcept {
  return t >= path.begin && t <= path.end;
}

/// Refuses a path or a time that makes no sense, on the host; true where one may go on.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool brownian_parameters(const brownian_path& path, double a, double b,
                                                                    [[maybe_unused]] const char* name_a,
                                                                    [[maybe_unused]] const char* name_b,
                                                                    [[maybe_unused]] const char* function) {
  const double length = path.end - path.begin;
  const bool interval = length >= 1e-290 && length <= 1e290;
  const bool depth = path.depth >= 0 && path.depth <= 50;
#if !TESSERA_DEVICE_PASS
  if (!interval) refuse(function, "path.end", path.end, "needs a finite time after path.begin");
  if (!depth) refuse(function, "path.depth", path.depth, "needs 0 to 50 halvings");
  if (!within(path, a)) refuse(function, name_a, a, "needs a time from path.begin to path.end");
  if (!within(path, b)) refuse(function, name_b, b, "needs a time from path.begin to path.end");
#endif
  return interval && depth && within(path, a) && within(path, b);
}

template <class Executor, class T, std::size_t Rank>
void fill_brownian_terms(const Executor& exec, const view<T, Rank>& out, const brownian_path& path, const brownian_terms& terms,
                         made_as<T> base, std::uint64_t first) {
  using V = made_as<T>;
  constexpr std::size_t group = values_per_block<V> * group_blocks;
  const stream_key root{path.seed, path.stream};
  fill_groups<static_cast<std::int64_t>(group)>(exec, out, first, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
    alignas(64) V sum[group];
    alignas(64) V z[group];
    for (std::size_t e = 0; e < group; ++e) sum[e] = base;
    for (int i = 0; i < terms.size; ++i) {
      const stream_key key = root.child(terms.node[i]);
      const block_source<Executor> source(key.seed, key.stream);
      evaluate_pairs(normal_law<V>{}, source, index / static_cast<std::uint64_t>(values_per_block<V>), z);
      const V weight = static_cast<V>(terms.weight[i]);
      for (std::size_t e = 0; e < group; ++e) sum[e] = fma(weight, z[e], sum[e]);
    }
    for (std::size_t e = 0; e < group; ++e) values[e] = static_cast<T>(sum[e]);
  });
}

}  // namespace detail

/// W(t) - W(begin) of one path: normal with variance t - begin; paths of different indices are independent.
///
/// A virtual Brownian tree: the interval is halved towards t, every middle is its ends' mean plus a normal number of the node's own,
/// sqrt(length)/2 wide. Node n reads normal<T> at `index` of the stream {seed, stream}.child(n), so nothing is stored and no order of
/// calls matters: all times, steps and batches see one path.
/// Range          t in [begin, end]. Times are told apart to 2^-53 (end - begin)
/// Accuracy       of the law, with h = (end - begin) 2^-depth: every W(t) has its exact variance, and times of which a grid point k h lies
///                between (or is one of) have covariance min(s, t) - begin exactly. Two times inside one interval of the grid share one normal
///                number for what lies between its ends: there alone the covariance is off, by h / 4 at most. Of the sum: below
///                2 depth + 6 roundings of T relative to the sum of |weight z|; test/random/brownian.cpp
/// Cost           a normal number for each halving down to t: 1 for `end`, k + 1 for odd multiples of (end - begin) 2^-k, depth + 2
///                elsewhere
/// Determinism    as normal: the same bits everywhere, alone or in a fill
/// Errors         argument_error on the host: end not after begin, depth not in 0 … 50, t outside. In device code the result is NaN
/// Backends       host, device, constant expressions; T = float, double, or a narrower type, which rounds the float
/// Source         Lévy, "Processus stochastiques et mouvement brownien", 1948; Gaines, Lyons, SIAM J. Appl. Math. 57 (1997)
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T brownian(const brownian_path& path, double t, std::uint64_t index) {
  using V = detail::made_as<T>;
  if (!detail::brownian_parameters(path, t, t, "t", "t", "random::brownian")) return static_cast<T>(__builtin_nanf(""));
  return static_cast<T>(detail::brownian_sum(path, detail::brownian_difference(path, path.begin, t, false), V(0), index));
}

/// W(t_b) - W(t_a): what a step of a solver from t_a to t_b takes. Either may be the later one.
///
/// Nodes that both times share enter once, by the difference of their weights, so that small steps do not cancel. Increments add up:
/// (a, c) = (a, b) + (b, c) but for rounding, however an interval is cut into steps.
/// Cost           normal numbers of the nodes that t_a or t_b touch, at most 2 depth + 3
/// Otherwise brownian
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T brownian_increment(const brownian_path& path, double t_a, double t_b,
                                                                              std::uint64_t index) {
  using V = detail::made_as<T>;
  if (!detail::brownian_parameters(path, t_a, t_b, "t_a", "t_b", "random::brownian_increment")) {
    return static_cast<T>(__builtin_nanf(""));
  }
  return static_cast<T>(detail::brownian_sum(path, detail::brownian_difference(path, t_a, t_b, false), V(0), index));
}

/// The Brownian bridge that is `from` at begin and `to` at end: normal with mean on the line between and variance
/// (t - begin) (end - t) / (end - begin).
///
/// brownian without the number of its end: B(t) = from + s (to - from) + W(t) - s W(end), s = (t - begin) / (end - begin).
/// Otherwise brownian
template <class T>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T brownian_bridge(const brownian_path& path, double t, double from,
                                                                           double to, std::uint64_t index) {
  using V = detail::made_as<T>;
  if (!detail::brownian_parameters(path, t, t, "t", "t", "random::brownian_bridge")) return static_cast<T>(__builtin_nanf(""));
  const double s = (t - path.begin) / (path.end - path.begin);
  const V base = static_cast<V>(detail::fma(s, to, detail::fma(-s, from, from)));
  return static_cast<T>(detail::brownian_sum(path, detail::brownian_difference(path, path.begin, t, true), base, index));
}

/// Fills a view with the paths' values at a time: out[i] = brownian<T>(path, t, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another
/// Range          first_index + i is taken modulo 2^64
/// Cost           as brownian, at the speed of fill_normal a term; no scratch memory, no allocation
/// Determinism    the bits of `brownian`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: as brownian, and what fill_uniform refuses
/// Backends       host
template <class Executor, mdspan_like Out>
void fill_brownian(const Executor& exec, const Out& out, const brownian_path& path, double t, std::uint64_t first_index = 0) {
  const view<typename Out::element_type, Out::rank()> to(out);
  detail::check_fill<Executor>(to, "random::fill_brownian");
  detail::brownian_parameters(path, t, t, "t", "t", "random::fill_brownian");
  detail::fill_brownian_terms(exec, to, path, detail::brownian_difference(path, path.begin, t, false), 0, first_index);
}

/// Fills a view with the paths' increments: out[i] = brownian_increment<T>(path, t_a, t_b, first_index + i). Otherwise fill_brownian.
template <class Executor, mdspan_like Out>
void fill_brownian_increment(const Executor& exec, const Out& out, const brownian_path& path, double t_a, double t_b,
                             std::uint64_t first_index = 0) {
  const view<typename Out::element_type, Out::rank()> to(out);
  detail::check_fill<Executor>(to, "random::fill_brownian_increment");
  detail::brownian_parameters(path, t_a, t_b, "t_a", "t_b", "random::fill_brownian_increment");
  detail::fill_brownian_terms(exec, to, path, detail::brownian_difference(path, t_a, t_b, false), 0, first_index);
}

/// Fills a view with values of bridges: out[i] = brownian_bridge<T>(path, t, from, to, first_index + i). Otherwise fill_brownian.
template <class Executor, mdspan_like Out>
void fill_brownian_bridge(const Executor& exec, const Out& out, const brownian_path& path, double t, double from, double to,
                          std::uint64_t first_index = 0) {
  const view<typename Out::element_type, Out::rank()> target(out);
  detail::check_fill<Executor>(target, "random::fill_brownian_bridge");
  detail::brownian_parameters(path, t, t, "t", "t", "random::fill_brownian_bridge");
  const double s = (t - path.begin) / (path.end - path.begin);
  const auto base = static_cast<detail::made_as<typename Out::element_type>>(detail::fma(s, to, detail::fma(-s, from, from)));
  detail::fill_brownian_terms(exec, target, path, detail::brownian_difference(path, path.begin, t, true), base, first_index);
}

}  // namespace tessera::random
