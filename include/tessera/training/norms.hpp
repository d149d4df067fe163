// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Layer norm and RMS norm of the rows of a matrix, alone or of a sum with a residual stream.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/absent.hpp"
#include "tessera/training/detail/layer_checks.hpp"
#include "tessera/training/detail/norm_rows.hpp"

namespace tessera::training {

struct norm_options {
  double epsilon = 1e-5;  ///< what is added to the variance; positive, or 0: rows without any then give NaN
};

namespace detail {

/// A norm's arguments; null data where there is none.
template <class Gain, class B, class Y, class Mean, class Inverse>
struct norm_call {
  view<const Gain, 1> gain;
  view<const B, 1> bias;
  view<Y, 2> y;
  view<Mean, 1> mean;
  view<Inverse, 1> inverse;
};

TESSERA_ALWAYS_INLINE void check_epsilon(double epsilon, const char* function) {
  expects(
      epsilon >= 0 && std::isfinite(epsilon), function, "options.epsilon", [&] { return number(epsilon); },
      "needs a finite number of at least 0");
}

/// f(first row, last row) for groups of rows of a matrix of n rows and `length` columns.
template <class Exec, class F>
void for_row_groups(const Exec& exec, std::int64_t n, std::int64_t length, const F& f) {
  constexpr std::int64_t numbers = 16384;
  constexpr double operations = 8;
  const std::int64_t together = std::max<std::int64_t>(1, numbers / std::max<std::int64_t>(1, length));
  tessera::detail::for_each_worth(exec, operations * static_cast<double>(n) * static_cast<double>(length),
                                  (n + together - 1) / together,
                                  [&](int, std::int64_t item) { f(item * together, std::min(n, (item + 1) * together)); });
}

/// `branch` null: x is only read.
template <bool Centered, class Exec, class X, class R, class Gain, class B, class Y, class Mean, class Inverse>
void run_norm(const Exec& exec, const view<X, 2>& x, const view<const R, 2>& branch, bool has_branch, bool has_gain,
              bool has_bias, bool has_mean, bool has_inverse, const norm_call<Gain, B, Y, Mean, Inverse>& to,
              const norm_options& options, const char* function) {
  using Stored = std::remove_const_t<X>;
  using T = std::common_type_t<compute_t<Stored>, compute_t<R>, compute_t<Y>>;
  using P = simd::pack<T, typename Exec::arch>;
  const std::int64_t n = x.extent(0);
  const std::int64_t length = x.extent(1);
  check_operand(x, function, "x");
  check_output(to.y, function, "y");
  check_shape(to.y, x, function, "y", "x");
  const auto apart = [&](const auto& out, const char* name) {
    if (has_gain) check_disjoint(out, to.gain, function, name, "gain");
    if (has_bias) check_disjoint(out, to.bias, function, name, "bias");
  };
  if (has_gain) check_numbers(to.gain, length, function, "gain", "needs a number a column of x");
  if (has_bias) check_numbers(to.bias, length, function, "bias", "needs a number a column of x");
  apart(to.y, "y");
  if (has_branch) {
    check_operand(branch, function, "branch");
    check_shape(branch, x, function, "branch", "x");
    check_output(x, function, "x");
    check_disjoint(x, branch, function, "x", "branch");
    check_disjoint(to.y, x, function, "y", "x");
    check_disjoint(to.y, branch, function, "y", "branch");
    apart(x, "x");
  } else {
    check_in_place_or_apart(to.y, x, function, "y", "x");
  }
  const auto check_statistics = [&](const auto& v, const char* name) {
    check_numbers(v, n, function, name, "needs a number a row of x");
    check_disjoint(v, x, function, name, "x");
    check_disjoint(v, to.y, function, name, "y");
    if (has_branch) check_disjoint(v, branch, function, name, "branch");
    apart(v, name);
  };
  if (has_mean) check_statistics(to.mean, "mean");
  if (has_inverse) check_statistics(to.inverse, "inverse");
  if (has_mean && has_inverse) check_disjoint(to.inverse, to.mean, function, "inverse", "mean");
  check_epsilon(options.epsilon, function);
  if (length == 0) {
    // Of no numbers there is no mean; nothing will be asked of these.
    for (std::int64_t i = 0; i < n; ++i) {
      if (has_mean) to.mean(i) = Mean(0);
      if (has_inverse) to.inverse(i) = Inverse(0);
    }
    return;
  }
  for_row_groups(exec, n, length, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      X* const row = x.data_handle() + i * x.stride(0);
      if constexpr (!std::is_const_v<X>) {
        if (has_branch) add_branch<P>(row, branch.data_handle() + i * branch.stride(0), length);
      }
      const auto statistics =
          normalise_row<Centered, P>(static_cast<const Stored*>(row), to.gain.data_handle(), to.bias.data_handle(),
                                     to.y.data_handle() + i * to.y.stride(0), length, options.epsilon);
      if (has_mean) to.mean(i) = static_cast<Mean>(static_cast<double>(statistics.mean) + static_cast<double>(statistics.rest));
      if (has_inverse) to.inverse(i) = static_cast<Inverse>(statistics.inverse);
    }
  });
}

template <bool Centered, class Exec, class X, class R, class Gain, class B, class Y, class Mean, class Inverse>
void norm_of_views(const Exec& exec, const view<X, 2>& x, const view<const R, 2>& branch, bool has_branch, const Gain& gain,
                   const B& bias, const Y& y, const Mean& mean, const Inverse& inverse, const norm_options& options,
                   const char* function) {
  constexpr std::size_t least = sizeof(compute_t<std::remove_const_t<X>>);
  static_assert(!given<Mean> || sizeof(optional_value_t<Mean>) >= least,
                "a mean must be stored in the type in which it was computed");
  static_assert(!given<Inverse> || sizeof(optional_value_t<Inverse>) >= least,
                "a norm's inverse must be stored in the type in which it was computed");
  const norm_call<optional_value_t<Gain>, optional_value_t<B>, value_type_of<Y>, optional_value_t<Mean>,
                  optional_value_t<Inverse>>
      to{readable<1>(gain), readable<1>(bias), y, writable<1>(mean), writable<1>(inverse)};
  run_norm<Centered>(exec, x, branch, has_branch, given<Gain>, given<B>, given<Mean>, given<Inverse>, to, options, function);
}

}  // namespace detail

/// y = (x - mean) / sqrt(variance + epsilon) gain + bias in every row, mean and variance of its numbers (over their number).
///
/// Shapes          x, y [n, d], rows contiguous and at any stride, y may be x itself; gain, bias [d] or absent (1, 0); mean, inverse
///                 [n] or absent: what layer_norm_backward will need, inverse = 1 / sqrt(variance + epsilon)
/// Types           float64, float32, float16, bfloat16 in any mixture, mean and inverse float, of float64 rows double; computed in float64 if
///                 x or y is float64, else in float32; y rounded once
/// Special values  a row of equal numbers gives its bias, up to rounding; NaN or an infinity makes its row NaN, and no other; d = 0:
///                 statistics 0. Squares of differences must not overflow: they make a row bias
/// Accuracy        with h = (x - mean) inverse: |error| <= ((90 |h| + 150) |gain| + 2 |y|) u, and y's rounding, for rows of which the mean of
///                 |x| is below 60,000 deviations (float64: 3e13): nothing is lost to a mean of 1e4 beside a deviation of 1. mean: u |mean| +
///                 140 u deviation; inverse: 90 u relative. test/training/norms.cpp
/// Cost            x is read once from memory and twice again (RMS: once) from the cache; one write; nothing is allocated
/// Determinism     the same bits for every number of threads, and for a row alone or among others
/// Errors          argument_error before anything is written: shapes, null data, rows that are not contiguous, overlap, an epsilon that is
///                 negative or not finite
/// Source          Ba, Kiros and Hinton 2016, arXiv:1607.06450
template <executor Exec, mdspan_like X, optional_view<1> Gain, optional_view<1> Bias, mdspan_like Y, optional_view<1> Mean,
          optional_view<1> Inverse>
  requires(X::rank() == 2 && Y::rank() == 2)
void layer_norm(const Exec& exec, const X& x, const Gain& gain, const Bias& bias, const Y& y, const Mean& mean,
                const Inverse& inverse, const norm_options& options = {}) {
  using S = value_type_of<X>;
  detail::norm_of_views<true>(exec, view<const S, 2>(x), view<const S, 2>(), false, gain, bias, y, mean, inverse, options,
                              "training::layer_norm");
}

/// y = x / sqrt(mean of x^2 + epsilon) gain in every row; inverse = 1 / sqrt(mean of x^2 + epsilon).
///
/// Accuracy        |error| <= 72 u |y|, and y's rounding; inverse: 70 u relative
/// Source          Zhang and Sennrich 2019, arXiv:1910.07467
/// The rest as layer_norm.
template <executor Exec, mdspan_like X, optional_view<1> Gain, mdspan_like Y, optional_view<1> Inverse>
  requires(X::rank() == 2 && Y::rank() == 2)
void rms_norm(const Exec& exec, const X& x, const Gain& gain, const Y& y, const Inverse& inverse,
              const norm_options& options = {}) {
  using S = value_type_of<X>;
  detail::norm_of_views<false>(exec, view<const S, 2>(x), view<const S, 2>(), false, gain, absent, y, absent, inverse, options,
                               "training::rms_norm");
}

/// x += branch, rounded to x's type, and y = layer_norm of that, in one pass: a residual stream, and what the next branch gets of it.
///
/// Backward: layer_norm_backward with add_to_input, to the gradient of the stream, which is that of the branch as well.
///
/// Shapes          as layer_norm; branch [n, d]; x, branch and y lie apart
/// The rest as layer_norm.
template <executor Exec, mdspan_like X, mdspan_like Branch, optional_view<1> Gain, optional_view<1> Bias, mdspan_like Y,
          optional_view<1> Mean, optional_view<1> Inverse>
  requires(X::rank() == 2 && Branch::rank() == 2 && Y::rank() == 2)
void add_layer_norm(const Exec& exec, const X& x, const Branch& branch, const Gain& gain, const Bias& bias, const Y& y,
                    const Mean& mean, const Inverse& inverse, const norm_options& options = {}) {
  detail::norm_of_views<true>(exec, view<value_type_of<X>, 2>(x), view<const value_type_of<Branch>, 2>(branch), true, gain, bias,
                              y, mean, inverse, options, "training::add_layer_norm");
}

/// x += branch, rounded to x's type, and y = rms_norm of that. As add_layer_norm.
template <executor Exec, mdspan_like X, mdspan_like Branch, optional_view<1> Gain, mdspan_like Y, optional_view<1> Inverse>
  requires(X::rank() == 2 && Branch::rank() == 2 && Y::rank() == 2)
void add_rms_norm(const Exec& exec, const X& x, const Branch& branch, const Gain& gain, const Y& y, const Inverse& inverse,
                  const norm_options& options = {}) {
  detail::norm_of_views<false>(exec, view<value_type_of<X>, 2>(x), view<const value_type_of<Branch>, 2>(branch), true, gain,
                               absent, y, absent, inverse, options, "training::add_rms_norm");
}

}  // namespace tessera::training
