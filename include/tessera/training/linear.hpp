// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The linear layer, with what follows it: a bias, an activation.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/matmul.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/absent.hpp"
#include "tessera/training/activations.hpp"
#include "tessera/training/detail/layer_checks.hpp"
#include "tessera/training/detail/matrix_parts.hpp"

namespace tessera::training {

/// What becomes of x weight^T + bias: `linear_options{.activation = activation::gelu{}, .before_activation = z}`.
template <class Activation = activation::identity, class Before = absent_t>
struct linear_options {
  Activation activation{};
  Before before_activation{};  ///< [n, out] what the activation is given, for activate_backward; absent: nobody asks for it
};

namespace detail {

/// Adds the bias, keeps what the activation is given, applies it: in the registers from which a result is stored anyway.
template <class P, class F, class B, class Z>
struct linear_result {
  using T = typename P::value_type;

  view<const B, 1> bias;  ///< null: none
  view<Z, 2> before;      ///< null: none
  F f;

  TESSERA_ALWAYS_INLINE void operator()(std::int64_t row, std::int64_t column, T* sums, int columns) const {
    for (int k = 0; k < columns; k += P::lanes) {
      const int count = columns - k < P::lanes ? columns - k : P::lanes;
      P z = P::load_unaligned(sums + k);
      if (bias.data_handle() != nullptr) z += simd::load_partial<P>(bias.data_handle() + column + k, count);
      if (before.data_handle() != nullptr) simd::store_partial(&before(row, column + k), count, z);
      f(z).store_unaligned(sums + k);
    }
  }
};

/// Refuses operands of a linear layer that do not belong together.
template <class X, class W>
TESSERA_ALWAYS_INLINE void check_linear(const view<const X, 2>& x, const view<const W, 2>& weight, const char* function) {
  check_operand(x, function, "x");
  check_operand(weight, function, "weight");
  expects(
      weight.extent(1) == x.extent(1), function, "weight",
      [&] { return "shape " + shape(weight) + " beside x of shape " + shape(x); }, "needs [out, in] with x of [n, in]");
}

template <bool Plain, class Exec, class X, class W, class B, class Y, class Z, class F>
void run_linear(const Exec& exec, const view<const X, 2>& x, const view<const W, 2>& weight, const view<const B, 1>& bias,
                bool has_bias, const view<Y, 2>& y, const view<Z, 2>& before, bool keeps_before, const F& f) {
  using T = std::common_type_t<compute_t<X>, compute_t<W>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = "training::linear";
  check_linear(x, weight, function);
  const auto check_result = [&](const auto& v, const char* name) {
    check_output(v, function, name);
    expects(
        v.extent(0) == x.extent(0) && v.extent(1) == weight.extent(0), function, name, [&] { return "shape " + shape(v); },
        "needs [n, out] with x of [n, in] and weight of [out, in]");
    check_disjoint(v, x, function, name, "x");
    check_disjoint(v, weight, function, name, "weight");
    if (has_bias) check_disjoint(v, bias, function, name, "bias");
  };
  if (has_bias) check_numbers(bias, weight.extent(0), function, "bias", "needs a number a row of weight");
  check_result(y, "y");
  if (keeps_before) {
    check_result(before, "options.before_activation");
    check_disjoint(before, y, function, "options.before_activation", "y");
  }
  if (y.size() == 0) return;
  const tile::detail::product_plan<T, typename Exec::arch, Y> plan(exec.workers(), y.extent(0), y.extent(1), x.extent(1));
  tessera::detail::scratch memory(exec.memory(), plan.bytes());
  const view<const W, 2> transposed = exchanged(weight);
  if constexpr (Plain) {
    tile::detail::run_product<T>(exec, plan, memory.data(), x, transposed, y, tile::detail::product_use::written);
  } else {
    tile::detail::run_product<T>(exec, plan, memory.data(), x, transposed, y, tile::detail::product_use::written,
                                 linear_result<P, F, B, Z>{bias, before, f});
  }
}

}  // namespace detail

/// y = f(x weight^T + bias), f the identity if options do not say otherwise.
///
/// Shapes          x [n, in], weight [out, in], bias [out] or absent, y [n, out], options.before_activation [n, out] or absent; rows contiguous
///                 and at any stride; n, in, out may be 0
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if x or weight is float64, else in float32; bias
///                 and activation are applied to the sums before they are rounded: y and before_activation once each
/// Special values  in = 0 gives f(bias). NaN and inf as in IEEE arithmetic and f
/// Accuracy        z = x weight^T + bias, |error of z| <= ((min(in, 128) + in / 128) sum |x||weight| + |z|) u; y: f of that, with the error of
///                 f (activations.hpp) and y's rounding. test/training/linear.cpp
/// Cost            2 n in out flops in one pass over y; scratch of a matmul
/// Determinism     the same bits for every number of threads, and for a row alone or among others
/// Errors          argument_error before y is touched: shapes, null data, rows that are not contiguous, overlap
template <executor Exec, mdspan_like X, mdspan_like Weight, optional_view<1> Bias, mdspan_like Y,
          class Activation = activation::identity, optional_view<2> Before = absent_t>
  requires(X::rank() == 2 && Weight::rank() == 2 && Y::rank() == 2)
void linear(const Exec& exec, const X& x, const Weight& weight, const Bias& bias, const Y& y,
            const linear_options<Activation, Before>& options = {}) {
  constexpr bool plain = !detail::given<Bias> && !detail::given<Before> && std::is_same_v<Activation, activation::identity>;
  detail::run_linear<plain>(exec, view<const value_type_of<X>, 2>(x), view<const value_type_of<Weight>, 2>(weight),
                            detail::readable<1>(bias), detail::given<Bias>, view<value_type_of<Y>, 2>(y),
                            detail::writable<2>(options.before_activation), detail::given<Before>, options.activation);
}

}  // namespace tessera::training
