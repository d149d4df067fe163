// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Results of attention over parts of the keys as one over all of them: what a cache in pieces, several machines or a shared prefix need.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

/// merge of rows: out_at(p) and lse_at(p) give the row and the log-sum-exp of part p.
///
/// The sums begin with the part of the largest log-sum-exp, whose weight is exactly 1. So two parts give the same bits in either order, and
/// one part, or one beside empty ones, gives its own.
template <class P, class OutAt, class LseAt, class O>
auto merge_row(std::int64_t parts, const OutAt& out_at, const LseAt& lse_at, std::int64_t dim, O* out) {
  using T = typename P::value_type;
  std::int64_t first = 0;
  T top = -infinity<T>();
  bool ordinary = true;
  for (std::int64_t p = 0; p < parts; ++p) {
    const T mine = lse_at(p);
    ordinary = ordinary && mine < infinity<T>();  // not NaN either
    if (mine > top) {
      top = mine;
      first = p;
    }
  }
  const bool empty = ordinary && top == -infinity<T>();
  if (!ordinary) top = infinity<T>() - infinity<T>();
  const auto weight = [&](std::int64_t p) { return exp(lse_at(p) - top); };
  const auto joins = [&](std::int64_t p) { return p != first && !(lse_at(p) == -infinity<T>()); };
  T mass = ordinary ? T(1) : top;
  for (std::int64_t p = 0; ordinary && p < parts; ++p) {
    if (joins(p)) mass += weight(p);
  }
  constexpr int block = 8;  // packs for which a weight is computed once
  for (std::int64_t c0 = 0; c0 < dim; c0 += block * P::lanes) {
    const int packs = static_cast<int>(std::min<std::int64_t>(block, (dim - c0 + P::lanes - 1) / P::lanes));
    const auto columns = [&](int v) { return static_cast<int>(std::min<std::int64_t>(P::lanes, dim - c0 - v * P::lanes)); };
    const auto part = [&](std::int64_t p, int v) {
      return tile::detail::load_columns<P>(out_at(p) + c0 + v * P::lanes, columns(v));
    };
    P sums[block];
    for (int v = 0; v < packs; ++v) sums[v] = empty ? P(T(0)) : part(first, v);
    for (std::int64_t p = 0; p < parts; ++p) {
      if (!joins(p)) continue;
      const P w(weight(p));
      for (int v = 0; v < packs; ++v) sums[v] = fma(w, part(p, v), sums[v]);
    }
    for (int v = 0; v < packs; ++v) {
      const P mean = sums[v] / P(mass);
      O* const to = out + c0 + v * P::lanes;
      if (columns(v) == P::lanes) {
        simd::store_as(to, mean);
      } else {
        simd::store_partial(to, columns(v), mean);
      }
    }
  }
  return empty ? top : top + log(mass);
}

/// Checks the result against the shape [batch, heads, len, dim] of one part.
template <class O, class L>
TESSERA_ALWAYS_INLINE void check_merged(const view<O, 4>& out, const view<L, 3>& lse, const std::int64_t (&shape)[4]) {
  const char* const function = "attention::merge";
  tessera::detail::check_output(out, function, "out");
  tessera::detail::check_output(lse, function, "lse");
  bool equal = true;
  for (std::size_t r = 0; r < 4; ++r) equal = equal && out.extent(r) == shape[r];
  tessera::detail::expects(
      equal, function, "out", [&] { return "shape " + tessera::detail::shape(out); },
      "needs [batch, heads, len, value_dim] of the parts");
  equal = true;
  for (std::size_t r = 0; r < 3; ++r) equal = equal && lse.extent(r) == shape[r];
  tessera::detail::expects(
      equal, function, "lse", [&] { return "shape " + tessera::detail::shape(lse); }, "needs [batch, heads, len] of the parts");
  tessera::detail::check_disjoint(lse, out, function, "lse", "out");
}

/// Whether two views are the same elements in the same order: a row may be written where it was read.
template <class A, class B, std::size_t Rank>
TESSERA_ALWAYS_INLINE bool same_place(const view<A, Rank>& a, const view<B, Rank>& b) {
  bool same = sizeof(A) == sizeof(B) && static_cast<const void*>(a.data_handle()) == static_cast<const void*>(b.data_handle());
  for (std::size_t r = 0; r < Rank; ++r) same = same && (a.stride(r) == b.stride(r) || a.extent(r) == 1);
  return same;
}

/// f(b, h, i) for every row, some rows a turn.
template <class Exec, class F>
void for_each_row(const Exec& exec, const std::int64_t (&shape)[4], std::int64_t parts, const F& f) {
  constexpr std::int64_t turn = 16;
  const std::int64_t rows = shape[0] * shape[1] * shape[2];
  const double operations = static_cast<double>(rows * parts) * static_cast<double>(shape[3] + 32);
  tessera::detail::for_each_worth(exec, operations, (rows + turn - 1) / turn, [&](int, std::int64_t item) {
    for (std::int64_t row = item * turn; row < std::min(rows, (item + 1) * turn); ++row) {
      const std::int64_t head = row / shape[2];
      f(head / shape[1], head % shape[1], row % shape[2]);
    }
  });
}

}  // namespace detail

/// Joins results of `forward` on disjoint sets of keys: w_p = exp(lse_p - max lse), out = sum_p w_p out_p / sum_p w_p,
/// lse = log sum_p exp(lse_p).
///
/// Shapes          outs [parts, batch, heads, len, value_dim], lses [parts, batch, heads, len] in natural log, out [batch, heads, len,
///                 value_dim], lse [batch, heads, len]. Any stride but the innermost; parts in places of their own: the overload below.
/// Types           any storage; computed in float32, in float64 if outs or lses is float64.
/// Special values  a part whose lse is -inf is left out, whatever its out holds; all of them, or no parts: out 0, lse -inf. An lse of NaN or
///                 +inf makes the row NaN. One part, alone or beside empty ones, is returned bit for bit.
/// Accuracy        |out - exact| <= (2 d + 8 + 2 parts) u A + u_out |out|, A = sum_p w_p |out_p| / sum_p w_p and d the largest
///                 difference of the lses of parts that are not empty (weights end at d = 104; float64: 746).
///                 lse: (2 + parts + |lse|) 2 u. Tested in test/attention/merge.cpp.
/// Cost            outs are read once; no scratch.
/// Determinism     the same bits for every number of threads. Two parts give the same bits in either order. Several are added in the
///                 order given, the largest first: another grouping differs by roundings, unlike the splits inside `forward`.
/// Errors          argument_error before out is touched: shapes, null data, strides, overlap.
/// Source          Milakov and Gimelshein 2018, arXiv:1805.02867
template <executor Exec, mdspan_like Outs, mdspan_like Lses, mdspan_like Out, mdspan_like Lse>
  requires(Outs::rank() == 5 && Lses::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3)
void merge(const Exec& exec, const Outs& outs, const Lses& lses, const Out& out, const Lse& lse) {
  using A = value_type_of<Outs>;
  using B = value_type_of<Lses>;
  using T = std::common_type_t<compute_t<A>, compute_t<B>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = "attention::merge";
  const view<const A, 5> x(outs);
  const view<const B, 4> y(lses);
  const view<value_type_of<Out>, 4> to(out);
  const view<value_type_of<Lse>, 3> lse_to(lse);
  tessera::detail::check_operand(x, function, "outs");
  tessera::detail::check_readable(y, function, "lses");
  bool equal = true;
  for (std::size_t r = 0; r < 4; ++r) equal = equal && x.extent(r) == y.extent(r);
  tessera::detail::expects(
      equal, function, "lses", [&] { return "shape " + tessera::detail::shape(y); }, "needs [parts, batch, heads, len] of outs");
  const std::int64_t shape[] = {x.extent(1), x.extent(2), x.extent(3), x.extent(4)};
  detail::check_merged(to, lse_to, shape);
  tessera::detail::check_disjoint(to, x, function, "out", "outs");
  tessera::detail::check_disjoint(to, y, function, "out", "lses");
  tessera::detail::check_disjoint(lse_to, x, function, "lse", "outs");
  tessera::detail::check_disjoint(lse_to, y, function, "lse", "lses");
  detail::for_each_row(exec, shape, x.extent(0), [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const A* const row = x.data_handle() + b * x.stride(1) + h * x.stride(2) + i * x.stride(3);
    lse_to(b, h, i) = static_cast<value_type_of<Lse>>(detail::merge_row<P>(
        x.extent(0), [&](std::int64_t p) { return row + p * x.stride(0); },
        [&](std::int64_t p) { return static_cast<T>(y(p, b, h, i)); }, shape[3],
        to.data_handle() + b * to.stride(0) + h * to.stride(1) + i * to.stride(2)));
  });
}

/// The same of two parts, each in a place of its own. out and lse may be those of one of the parts, to add to a running result.
template <executor Exec, mdspan_like Outs, mdspan_like Lses, mdspan_like Out, mdspan_like Lse>
  requires(Outs::rank() == 4 && Lses::rank() == 3 && Out::rank() == 4 && Lse::rank() == 3)
void merge(const Exec& exec, const Outs& out_a, const Lses& lse_a, const std::type_identity_t<Outs>& out_b,
           const std::type_identity_t<Lses>& lse_b, const Out& out, const Lse& lse) {
  using A = value_type_of<Outs>;
  using B = value_type_of<Lses>;
  using T = std::common_type_t<compute_t<A>, compute_t<B>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = "attention::merge";
  const view<const A, 4> x[] = {view<const A, 4>(out_a), view<const A, 4>(out_b)};
  const view<const B, 3> y[] = {view<const B, 3>(lse_a), view<const B, 3>(lse_b)};
  const view<value_type_of<Out>, 4> to(out);
  const view<value_type_of<Lse>, 3> lse_to(lse);
  const std::int64_t shape[] = {x[0].extent(0), x[0].extent(1), x[0].extent(2), x[0].extent(3)};
  const char* const outs[] = {"out_a", "out_b"};
  const char* const lses[] = {"lse_a", "lse_b"};
  for (const int p : {0, 1}) {
    tessera::detail::check_operand(x[p], function, outs[p]);
    tessera::detail::check_readable(y[p], function, lses[p]);
    bool equal = true;
    for (std::size_t r = 0; r < 4; ++r) equal = equal && x[p].extent(r) == shape[r];
    tessera::detail::expects(
        equal, function, outs[p], [&] { return "shape " + tessera::detail::shape(x[p]); }, "needs the shape of out_a");
    for (std::size_t r = 0; r < 3; ++r) equal = equal && y[p].extent(r) == shape[r];
    tessera::detail::expects(
        equal, function, lses[p], [&] { return "shape " + tessera::detail::shape(y[p]); }, "needs [batch, heads, len] of out_a");
  }
  detail::check_merged(to, lse_to, shape);
  for (const int p : {0, 1}) {
    if (!detail::same_place(to, x[p])) tessera::detail::check_disjoint(to, x[p], function, "out", outs[p]);
    if (!detail::same_place(lse_to, y[p])) tessera::detail::check_disjoint(lse_to, y[p], function, "lse", lses[p]);
    tessera::detail::check_disjoint(to, y[p], function, "out", lses[p]);
    tessera::detail::check_disjoint(lse_to, x[p], function, "lse", outs[p]);
  }
  detail::for_each_row(exec, shape, 2, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    lse_to(b, h, i) = static_cast<value_type_of<Lse>>(detail::merge_row<P>(
        2, [&](std::int64_t p) { return x[p].data_handle() + b * x[p].stride(0) + h * x[p].stride(1) + i * x[p].stride(2); },
        [&](std::int64_t p) { return static_cast<T>(y[p](b, h, i)); }, shape[3],
        to.data_handle() + b * to.stride(0) + h * to.stride(1) + i * to.stride(2)));
  });
}

}  // namespace tessera::attention
