// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of the linear layer.
#pragma once

#include <algorithm>
#include <cstddef>
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
#include "tessera/training/detail/column_sums.hpp"
#include "tessera/training/detail/layer_checks.hpp"
#include "tessera/training/detail/matrix_parts.hpp"
#include "tessera/training/gradient_options.hpp"
#include "tessera/training/linear.hpp"

namespace tessera::training {

/// Where gradients of a linear layer go: `linear_gradients{.x = dx, .weight = dw}`; what is left out is not computed.
template <class X = absent_t, class Weight = absent_t, class Bias = absent_t>
struct linear_gradients {
  X x{};            ///< [n, in]
  Weight weight{};  ///< [out, in]
  Bias bias{};      ///< [out]
};

namespace detail {

/// Adds what stands in a matrix of narrower storage to the sums that will take its place.
template <class P, class D>
struct added_to {
  using T = typename P::value_type;

  view<D, 2> c;

  TESSERA_ALWAYS_INLINE void operator()(std::int64_t row, std::int64_t column, T* sums, int columns) const {
    for (int k = 0; k < columns; k += P::lanes) {
      const int count = columns - k < P::lanes ? columns - k : P::lanes;
      const P before = simd::load_partial<P>(&c(row, column + k), count);
      (P::load_unaligned(sums + k) + before).store_unaligned(sums + k);
    }
  }
};

/// The plan of c = a b; of an empty c there is none.
template <class T, class Exec, class A, class D>
[[nodiscard]] TESSERA_ALWAYS_INLINE auto gradient_plan(const Exec& exec, const view<const A, 2>& a, const view<D, 2>& c) {
  return tile::detail::product_plan<T, typename Exec::arch, D>(exec.workers(), c.extent(0), c.extent(1), a.extent(1));
}

/// c = a b, or c += a b, in `memory` of the plan's size.
template <class T, class Exec, class A, class B, class D>
void gradient_product(const Exec& exec, std::byte* memory, const view<const A, 2>& a, const view<const B, 2>& b,
                      const view<D, 2>& c, bool add) {
  using tile::detail::product_use;
  if (c.size() == 0) return;
  const auto plan = gradient_plan<T>(exec, a, c);
  if constexpr (std::is_same_v<D, T>) {
    tile::detail::run_product<T>(exec, plan, memory, a, b, c, add ? product_use::added : product_use::written);
  } else if (add) {
    using P = simd::pack<T, typename Exec::arch>;
    tile::detail::run_product<T>(exec, plan, memory, a, b, c, product_use::read_next, added_to<P, D>{c});
  } else {
    tile::detail::run_product<T>(exec, plan, memory, a, b, c, product_use::written);
  }
}

template <bool HasX, bool HasWeight, bool HasBias, class Exec, class X, class W, class G, class DX, class DW, class DB>
void run_linear_backward(const Exec& exec, const view<const X, 2>& x, const view<const W, 2>& weight,
                         const view<const G, 2>& grad_y, const view<DX, 2>& grad_x, const view<DW, 2>& grad_weight,
                         const view<DB, 1>& grad_bias, const gradient_options& options) {
  using T = std::common_type_t<compute_t<X>, compute_t<W>, compute_t<G>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = "training::linear_backward";
  check_linear(x, weight, function);
  const std::int64_t n = x.extent(0);
  const std::int64_t out = weight.extent(0);
  check_operand(grad_y, function, "grad_y");
  expects(
      grad_y.extent(0) == n && grad_y.extent(1) == out, function, "grad_y", [&] { return "shape " + shape(grad_y); },
      "needs [n, out] with x of [n, in] and weight of [out, in]");
  const auto apart = [&](const auto& v, const char* name) {
    check_disjoint(v, x, function, name, "x");
    check_disjoint(v, weight, function, name, "weight");
    check_disjoint(v, grad_y, function, name, "grad_y");
  };
  if constexpr (HasX) {
    check_output(grad_x, function, "gradients.x");
    check_shape(grad_x, x, function, "gradients.x", "x");
    apart(grad_x, "gradients.x");
  }
  if constexpr (HasWeight) {
    check_output(grad_weight, function, "gradients.weight");
    check_shape(grad_weight, weight, function, "gradients.weight", "weight");
    apart(grad_weight, "gradients.weight");
    check_disjoint(grad_weight, grad_x, function, "gradients.weight", "gradients.x");
  }
  if constexpr (HasBias) {
    check_numbers(grad_bias, out, function, "gradients.bias", "needs a number a row of weight");
    apart(grad_bias, "gradients.bias");
    check_disjoint(grad_bias, grad_x, function, "gradients.bias", "gradients.x");
    check_disjoint(grad_bias, grad_weight, function, "gradients.bias", "gradients.weight");
  }

  const view<const G, 2> transposed = exchanged(grad_y);
  column_sums<T> bias_sums(n, HasBias ? out : 0);
  tessera::detail::bump size;
  bias_sums.lay_out(size, exec.workers());
  std::size_t bytes = HasBias ? size.bytes() : 0;
  if (HasX && grad_x.size() != 0) bytes = std::max(bytes, gradient_plan<T>(exec, grad_y, grad_x).bytes());
  if (HasWeight && grad_weight.size() != 0) bytes = std::max(bytes, gradient_plan<T>(exec, transposed, grad_weight).bytes());
  tessera::detail::scratch memory(exec.memory(), bytes);
  if constexpr (HasX) gradient_product<T>(exec, memory.data(), grad_y, weight, grad_x, options.add_to_input);
  if constexpr (HasWeight) {
    gradient_product<T>(exec, memory.data(), transposed, x, grad_weight, options.add_to_parameters);
  }
  if constexpr (HasBias) {
    tessera::detail::bump cut(memory.data());
    bias_sums.lay_out(cut, exec.workers());
    bias_sums.add_up(exec, out, 1,
                     [&](std::int64_t first, std::int64_t last, T* sums) { add_rows<P>(grad_y, first, last, sums); });
    bias_sums.store(grad_bias, 0, options.add_to_parameters);
  }
}

}  // namespace detail

/// The gradients of linear by x, weight and bias, as far as they are asked for, given that of z = x weight^T + bias (of an activation's
/// argument: activate_backward).
///
/// Formula         grad_x = grad_y weight, grad_weight = grad_y^T x, grad_bias = sum over rows of grad_y; each written, or added to
///                 what is there (options)
/// Shapes          x [n, in], weight [out, in], grad_y [n, out]; gradients.x [n, in], .weight [out, in], .bias [out]; rows contiguous and at
///                 any stride; n, in, out may be 0
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if x, weight or grad_y is float64, else in float32;
///                 rounded once, after what is there was added
/// Special values  n = 0 gives zeros (or adds nothing). NaN and inf as in IEEE arithmetic
/// Accuracy        grad_x: (min(out, 128) + out / 128) u sum |grad_y||weight|; grad_weight: (min(n, 128) + n / 128) u sum |grad_y||x|;
///                 grad_bias: 18 u sum |grad_y|; where added to what is there, the bounds count it as one more term and one more rounding; and
///                 the rounding of what is stored. test/training/linear.cpp
/// Cost            4 n in out flops; scratch of the larger of two matmuls, or 64 + workers numbers a column for the bias
/// Determinism     the same bits for every number of threads; grad_x also for a row alone or among others
/// Errors          argument_error before anything is written: shapes, null data, rows that are not contiguous, overlap
template <executor Exec, mdspan_like X, mdspan_like Weight, mdspan_like GradY, optional_view<2> DX, optional_view<2> DW,
          optional_view<1> DB>
  requires(X::rank() == 2 && Weight::rank() == 2 && GradY::rank() == 2)
void linear_backward(const Exec& exec, const X& x, const Weight& weight, const GradY& grad_y,
                     const linear_gradients<DX, DW, DB>& gradients, const gradient_options& options = {}) {
  using detail::given;
  detail::run_linear_backward<given<DX>, given<DW>, given<DB>>(
      exec, view<const value_type_of<X>, 2>(x), view<const value_type_of<Weight>, 2>(weight),
      view<const value_type_of<GradY>, 2>(grad_y), detail::writable<2>(gradients.x), detail::writable<2>(gradients.weight),
      detail::writable<1>(gradients.bias), options);
}

}  // namespace tessera::training
