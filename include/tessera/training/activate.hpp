// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Activations of whole arrays, and their gradients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/map.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/activations.hpp"
#include "tessera/training/detail/element_rows.hpp"
#include "tessera/training/detail/layer_checks.hpp"

namespace tessera::training {
namespace detail {

/// Operations of an activation or its gradient, about.
inline constexpr double activation_operations = 32;

template <class P, class X, class Y, class F>
TESSERA_NOINLINE void activate_piece(const X* x, Y* y, std::int64_t n, const F& f) {
  simd::detail::transform<P>(x, y, n, f);
}

/// to[i] = f.gradient(x[i], g[i]). Flattened, so that the constants of polynomials stay in registers.
template <class P, class X, class G, class D, class F>
[[gnu::flatten]] TESSERA_NOINLINE void activation_gradient_piece(const X* x, const G* g, D* to, std::int64_t n, const F& f) {
  constexpr int unroll = 2;
  constexpr std::int64_t lanes = P::lanes;
  std::int64_t i = 0;
  for (; i + unroll * lanes <= n; i += unroll * lanes) {
    P made[unroll];
    TESSERA_UNROLL
    for (int k = 0; k < unroll; ++k) {
      made[k] = f.gradient(simd::load_as<P>(x + i + k * lanes), simd::load_as<P>(g + i + k * lanes));
    }
    TESSERA_UNROLL
    for (int k = 0; k < unroll; ++k) simd::store_as(to + i + k * lanes, made[k]);
  }
  for (; i < n; i += lanes) {
    const int rest = static_cast<int>(n - i < lanes ? n - i : lanes);
    simd::store_partial(to + i, rest, f.gradient(simd::load_partial<P>(x + i, rest), simd::load_partial<P>(g + i, rest)));
  }
}

template <class Exec, class F, class X, class Y, std::size_t Rank>
void run_activate(const Exec& exec, const F& f, const view<const X, Rank>& x, const view<Y, Rank>& y) {
  using P = simd::pack<std::common_type_t<compute_t<X>, compute_t<Y>>, typename Exec::arch>;
  const char* const function = "training::activate";
  check_operand(x, function, "x");
  check_output(y, function, "y");
  check_shape(y, x, function, "y", "x");
  check_in_place_or_apart(y, x, function, "y", "x");
  const auto rows = element_rows::of(x, y);
  rows.for_each_piece(exec, activation_operations, [&](std::int64_t row, std::int64_t begin, std::int64_t n) {
    activate_piece<P>(rows.at(x, row) + begin, rows.at(y, row) + begin, n, f);
  });
}

template <class Exec, class F, class X, class G, class D, std::size_t Rank>
void run_activate_backward(const Exec& exec, const F& f, const view<const X, Rank>& x, const view<const G, Rank>& grad_y,
                           const view<D, Rank>& grad_x) {
  using P = simd::pack<std::common_type_t<compute_t<X>, compute_t<G>, compute_t<D>>, typename Exec::arch>;
  const char* const function = "training::activate_backward";
  check_operand(x, function, "x");
  check_operand(grad_y, function, "grad_y");
  check_shape(grad_y, x, function, "grad_y", "x");
  check_output(grad_x, function, "grad_x");
  check_shape(grad_x, x, function, "grad_x", "x");
  check_in_place_or_apart(grad_x, x, function, "grad_x", "x");
  check_in_place_or_apart(grad_x, grad_y, function, "grad_x", "grad_y");
  const auto rows = element_rows::of(x, grad_y, grad_x);
  rows.for_each_piece(exec, activation_operations, [&](std::int64_t row, std::int64_t begin, std::int64_t n) {
    activation_gradient_piece<P>(rows.at(x, row) + begin, rows.at(grad_y, row) + begin, rows.at(grad_x, row) + begin, n, f);
  });
}

}  // namespace detail

/// y = f(x), element by element: f of training::activation, or any object like those.
///
/// Where x comes from `linear`, that applies f as well, and needs no pass of its own.
///
/// Shapes          x, y: equal, any rank from 1; innermost axis contiguous, others at any stride; y may be x itself
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if one of them is float64, else in float32;
///                 rounded to y's type once
/// Special values  those of f
/// Accuracy        that of f, and y's rounding
/// Cost            one read, one write; nothing is allocated
/// Determinism     the same bits for every number of threads and every place of a number
/// Errors          argument_error before y is touched: shapes, null data, rows that are not contiguous, y on x in part
template <executor Exec, class F, mdspan_like X, mdspan_like Y>
  requires(X::rank() == Y::rank() && X::rank() > 0)
void activate(const Exec& exec, const F& f, const X& x, const Y& y) {
  constexpr std::size_t rank = X::rank();
  detail::run_activate(exec, f, view<const value_type_of<X>, rank>(x), view<value_type_of<Y>, rank>(y));
}

/// grad_x = grad_y f'(x), element by element, for y = f(x): x is what f was given, not what it gave.
///
/// Shapes          x, grad_y, grad_x: equal, as activate; grad_x may be grad_y itself, or x
/// Types           as activate, rounded to grad_x's type once
/// Special values  those of f.gradient; NaN in x or grad_y stays where it is
/// Accuracy        that of f.gradient (activations.hpp), and grad_x's rounding
/// Cost            two reads, one write; nothing is allocated
/// The rest as activate.
template <executor Exec, class F, mdspan_like X, mdspan_like GradY, mdspan_like GradX>
  requires(X::rank() == GradY::rank() && X::rank() == GradX::rank() && X::rank() > 0)
void activate_backward(const Exec& exec, const F& f, const X& x, const GradY& grad_y, const GradX& grad_x) {
  constexpr std::size_t rank = X::rank();
  detail::run_activate_backward(exec, f, view<const value_type_of<X>, rank>(x), view<const value_type_of<GradY>, rank>(grad_y),
                                view<value_type_of<GradX>, rank>(grad_x));
}

}  // namespace tessera::training
