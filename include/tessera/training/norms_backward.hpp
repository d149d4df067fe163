// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of layer norm and RMS norm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/absent.hpp"
#include "tessera/training/detail/column_sums.hpp"
#include "tessera/training/detail/layer_checks.hpp"
#include "tessera/training/detail/norm_rows.hpp"
#include "tessera/training/gradient_options.hpp"

namespace tessera::training {

/// Where gradients of a norm go: `norm_gradients{.x = dx, .gain = dg}`; what is left out is not computed.
template <class X = absent_t, class Gain = absent_t, class Bias = absent_t>
struct norm_gradients {
  X x{};        ///< [n, d]
  Gain gain{};  ///< [d]
  Bias bias{};  ///< [d]
};

namespace detail {

/// What a norm's gradients are made of, and where they go; null data where there is none.
template <class X, class Gain, class Mean, class Inverse, class G, class DX, class DGain, class DB>
struct norm_backward_call {
  view<const X, 2> x;
  view<const Gain, 1> gain;
  view<const Mean, 1> mean;
  view<const Inverse, 1> inverse;
  view<const G, 2> grad_y;
  view<DX, 2> grad_x;
  view<DGain, 1> grad_gain;
  view<DB, 1> grad_bias;
  bool has_gain, has_x, wants_gain, wants_bias;
};

template <bool Centered, class Call>
TESSERA_ALWAYS_INLINE void check_norm_backward(const Call& c, const char* function) {
  const std::int64_t n = c.x.extent(0);
  const std::int64_t length = c.x.extent(1);
  check_operand(c.x, function, "x");
  if (c.has_gain) check_numbers(c.gain, length, function, "gain", "needs a number a column of x");
  if (Centered) check_numbers(c.mean, n, function, "mean", "needs a number a row of x");
  check_numbers(c.inverse, n, function, "inverse", "needs a number a row of x");
  check_operand(c.grad_y, function, "grad_y");
  check_shape(c.grad_y, c.x, function, "grad_y", "x");
  const auto apart = [&](const auto& out, const char* name) {
    if (c.has_gain) check_disjoint(out, c.gain, function, name, "gain");
    if (Centered) check_disjoint(out, c.mean, function, name, "mean");
    check_disjoint(out, c.inverse, function, name, "inverse");
  };
  const auto check_sums = [&](const auto& out, const char* name) {
    check_numbers(out, length, function, name, "needs a number a column of x");
    check_disjoint(out, c.x, function, name, "x");
    check_disjoint(out, c.grad_y, function, name, "grad_y");
    if (c.has_x) check_disjoint(out, c.grad_x, function, name, "gradients.x");
    apart(out, name);
  };
  if (c.has_x) {
    check_output(c.grad_x, function, "gradients.x");
    check_shape(c.grad_x, c.x, function, "gradients.x", "x");
    check_in_place_or_apart(c.grad_x, c.x, function, "gradients.x", "x");
    check_in_place_or_apart(c.grad_x, c.grad_y, function, "gradients.x", "grad_y");
    apart(c.grad_x, "gradients.x");
  }
  if (c.wants_gain) check_sums(c.grad_gain, "gradients.gain");
  if (c.wants_bias) check_sums(c.grad_bias, "gradients.bias");
  if (c.wants_gain && c.wants_bias) check_disjoint(c.grad_bias, c.grad_gain, function, "gradients.bias", "gradients.gain");
}

template <bool Centered, class Exec, class X, class Gain, class Mean, class Inverse, class G, class DX, class DGain, class DB>
void run_norm_backward(const Exec& exec, const norm_backward_call<X, Gain, Mean, Inverse, G, DX, DGain, DB>& c,
                       const gradient_options& options, const char* function) {
  using T = std::common_type_t<compute_t<X>, compute_t<G>, compute_t<DX>>;
  using P = simd::pack<T, typename Exec::arch>;
  check_norm_backward<Centered>(c, function);
  const std::int64_t length = c.x.extent(1);
  const std::int64_t gain_width = c.wants_gain ? length : 0;
  const std::int64_t bias_width = c.wants_bias ? length : 0;
  column_sums<T> sums(c.x.extent(0), gain_width + bias_width);
  tessera::detail::bump size;
  sums.lay_out(size, exec.workers());
  tessera::detail::scratch memory(exec.memory(), length != 0 ? size.bytes() : 0);
  if (length == 0) return;
  tessera::detail::bump cut(memory.data());
  sums.lay_out(cut, exec.workers());
  const auto rows = [&](std::int64_t first, std::int64_t last, T* some) {
    for (std::int64_t i = first; i < last; ++i) {
      const norm_row_gradients<T, DX> to{c.has_x ? c.grad_x.data_handle() + i * c.grad_x.stride(0) : nullptr,
                                         c.wants_gain ? some : nullptr, c.wants_bias ? some + gain_width : nullptr,
                                         options.add_to_input};
      T mean = 0;
      if constexpr (Centered) mean = static_cast<T>(c.mean(i));
      normalise_row_backward<Centered, P>(c.x.data_handle() + i * c.x.stride(0), c.gain.data_handle(), mean,
                                          static_cast<T>(c.inverse(i)), c.grad_y.data_handle() + i * c.grad_y.stride(0), length,
                                          to);
    }
  };
  sums.add_up(exec, length, 16, rows);
  if (c.wants_gain) sums.store(c.grad_gain, 0, options.add_to_parameters);
  if (c.wants_bias) sums.store(c.grad_bias, gain_width, options.add_to_parameters);
}

template <bool Centered, class Exec, class X, class Gain, class Mean, class Inverse, class G, class DX, class DGain, class DB>
void norm_backward_of_views(const Exec& exec, const X& x, const Gain& gain, const Mean& mean, const Inverse& inverse,
                            const G& grad_y, const norm_gradients<DX, DGain, DB>& to, const gradient_options& options,
                            const char* function) {
  const norm_backward_call<value_type_of<X>, optional_value_t<Gain>, optional_value_t<Mean>, value_type_of<Inverse>,
                           value_type_of<G>, optional_value_t<DX>, optional_value_t<DGain>, optional_value_t<DB>>
      call{x,           readable<1>(gain), readable<1>(mean),    inverse,
           grad_y,      writable<2>(to.x), writable<1>(to.gain), writable<1>(to.bias),
           given<Gain>, given<DX>,         given<DGain>,         given<DB>};
  run_norm_backward<Centered>(exec, call, options, function);
}

}  // namespace detail

/// The gradients of layer_norm (and of the norm in add_layer_norm) by x, gain and bias, as far as they are asked for.
///
/// Formula         with h = (x - mean) inverse and s = grad_y gain: grad_x = inverse (s - mean of s - h mean of (s h)), means over the row;
///                 grad_gain = sum over rows of grad_y h, grad_bias = sum over rows of grad_y; each written, or added to what is there (options)
/// Shapes          x, grad_y, gradients.x [n, d], rows contiguous and at any stride, gradients.x may be grad_y or x itself; gain [d] or absent;
///                 mean, inverse [n] of layer_norm; gradients.gain, .bias [d]
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if x, grad_y or gradients.x is float64, else in
///                 float32; rounded once, after what is there was added
/// Special values  NaN makes its row of grad_x NaN, and its column of the sums (a mean or inverse: all of them); n = 0: sums of 0
/// Accuracy        grad_x: 400 u inverse (|s| + (1 + |h|) (mean |s| + mean |s h|)); grad_gain: u (120 sum |grad_y h| + 150 sum |grad_y|);
///                 grad_bias: 18 u sum |grad_y|; where added to what is there, 2 u of that; and the rounding of what is stored. As far as x's
///                 mean goes as layer_norm: what a mean lost when it was stored in float is found again. test/training/norms.cpp
/// Cost            x and grad_y are read once from memory and again from the cache; one write. Scratch: 128 numbers of float64 a column (64 for
///                 one of both sums) and 2 of the compute type a column and worker
/// Determinism     the same bits for every number of threads; grad_x also for a row alone or among others
/// Errors          argument_error before anything is written: shapes, null data, rows that are not contiguous, overlap
template <executor Exec, mdspan_like X, optional_view<1> Gain, mdspan_like Mean, mdspan_like Inverse, mdspan_like GradY,
          optional_view<2> DX, optional_view<1> DGain, optional_view<1> DB>
  requires(X::rank() == 2 && Mean::rank() == 1 && Inverse::rank() == 1 && GradY::rank() == 2)
void layer_norm_backward(const Exec& exec, const X& x, const Gain& gain, const Mean& mean, const Inverse& inverse,
                         const GradY& grad_y, const norm_gradients<DX, DGain, DB>& gradients,
                         const gradient_options& options = {}) {
  detail::norm_backward_of_views<true>(exec, x, gain, mean, inverse, grad_y, gradients, options, "training::layer_norm_backward");
}

/// The gradients of rms_norm by x and gain, as far as they are asked for.
///
/// Formula         with h = x inverse and s = grad_y gain: grad_x = inverse (s - h mean of (s h)); grad_gain = sum over rows of grad_y h
/// Accuracy        grad_x: 400 u inverse (|s| + |h| mean |s h|); grad_gain: 120 u sum |grad_y h|
/// The rest as layer_norm_backward.
template <executor Exec, mdspan_like X, optional_view<1> Gain, mdspan_like Inverse, mdspan_like GradY, optional_view<2> DX,
          optional_view<1> DGain>
  requires(X::rank() == 2 && Inverse::rank() == 1 && GradY::rank() == 2)
void rms_norm_backward(const Exec& exec, const X& x, const Gain& gain, const Inverse& inverse, const GradY& grad_y,
                       const norm_gradients<DX, DGain>& gradients, const gradient_options& options = {}) {
  detail::norm_backward_of_views<false>(exec, x, gain, absent, inverse, grad_y, gradients, options,
                                        "training::rms_norm_backward");
}

}  // namespace tessera::training
