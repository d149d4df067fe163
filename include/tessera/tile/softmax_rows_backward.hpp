// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The gradients of softmax_rows and log_softmax_rows.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/tile/detail/row_chunks.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace tile::detail {

template <bool Log, class Exec, class O, class G, class D>
void run_softmax_rows_backward(const Exec& exec, const view<const O, 2>& out, const view<const G, 2>& grad_out,
                               const view<D, 2>& grad_in) {
  using T = std::common_type_t<compute_t<O>, compute_t<G>, compute_t<D>>;
  using P = simd::pack<T, typename Exec::arch>;
  const char* const function = Log ? "log_softmax_rows_backward" : "softmax_rows_backward";
  check_rows(out, grad_in, function, "out", "grad_in");
  check_rows(grad_out, grad_in, function, "grad_out", "grad_in");
  const std::int64_t length = out.extent(1);
  const void* const target = grad_in.data_handle();
  const bool streaming = stream_rows(grad_in, target == static_cast<const void*>(out.data_handle()) ||
                                                  target == static_cast<const void*>(grad_out.data_handle()));
  const auto count_of = [&](std::int64_t c) { return std::min(row_chunk, length - c * row_chunk); };
  const auto row = [](const auto& v, std::int64_t i, std::int64_t c) {
    return v.data_handle() + i * v.stride(0) + c * row_chunk;
  };
  run_rows<T, T, false>(
      exec, out.extent(0), length,
      [&](std::int64_t i, std::int64_t c, T*) {
        const O* const p = row(out, i, c);
        const G* const g = row(grad_out, i, c);
        return sum_of<P>(count_of(c), [&](P sum, std::int64_t k, int count) {
          const P gradient = load_or<P>(g + k, count, T(0));
          if constexpr (Log) {
            return sum + gradient;
          } else {
            return fma(load_or<P>(p + k, count, T(0)), gradient, sum);
          }
        });
      },
      [](T* sums, std::int64_t chunks) {
        T total = sums[0];
        for (std::int64_t c = 1; c < chunks; ++c) total += sums[c];
        for (std::int64_t c = 0; c < chunks; ++c) sums[c] = total;
      },
      [&](std::int64_t i, std::int64_t c, T total, const T*) {
        const O* const p = row(out, i, c);
        const G* const g = row(grad_out, i, c);
        const P sum(total);
        write_run<P>(row(grad_in, i, c), count_of(c), streaming, [&](std::int64_t k, int count) {
          const P y = load_or<P>(p + k, count, T(0));
          const P gradient = load_or<P>(g + k, count, T(0));
          if constexpr (Log) {
            return fma(-exp(y), sum, gradient);
          } else {
            return y * (gradient - sum);
          }
        });
      });
}

}  // namespace tile::detail

/// grad_in = out (grad_out - sum_j out_j grad_out_j) in every row: the gradient of softmax_rows at what it gave.
///
/// Shapes          out (of softmax_rows), grad_out, grad_in [rows, length], rows contiguous and at any stride. grad_in may be grad_out
///                 or out itself.
/// Types           float64, float32, float16, bfloat16 in any mixture; computed in float64 if one of them is float64, else in float32;
///                 rounded to grad_in's type once.
/// Special values  a row of zeros, which softmax_rows gives where there is no distribution, gets zeros. A NaN in out or grad_out makes
///                 its whole row NaN, and no other.
/// Accuracy        |error| <= (136 + length / 4096) u p (|g| + sum p|g|), plus the smallest subnormal for each number of the row, plus
///                 grad_in's rounding; given p = out as it is stored. test/tile/softmax_rows_backward.cpp.
/// Cost            out and grad_out are read, twice where a row does not fit the caches; grad_in is written. Scratch: a number for
///                 each 4,096 of a row.
/// Determinism     as softmax_rows.
/// Errors          argument_error before grad_in is touched: shapes, null data, rows that are not contiguous, partial overlap.
template <executor Exec, mdspan_like Out, mdspan_like GradOut, mdspan_like GradIn>
  requires(Out::rank() == 2 && GradOut::rank() == 2 && GradIn::rank() == 2)
void softmax_rows_backward(const Exec& exec, const Out& out, const GradOut& grad_out, const GradIn& grad_in) {
  using O = value_type_of<Out>;
  using G = value_type_of<GradOut>;
  using D = value_type_of<GradIn>;
  tile::detail::run_softmax_rows_backward<false>(exec, view<const O, 2>(out), view<const G, 2>(grad_out), view<D, 2>(grad_in));
}

/// grad_in = grad_out - exp(out) sum_j grad_out_j in every row: the gradient of log_softmax_rows at what it gave.
///
/// Special values  an entry of out that is -inf has p = 0 and passes its grad_out on. A NaN in grad_out makes its whole row NaN, one in out
///                 its own entry.
/// Accuracy        |error| <= (138 + length / 4096) u (|g| + p sum |g|), p = exp(out), plus grad_in's rounding.
/// Cost            as softmax_rows_backward, and one exponential a number.
/// The rest as softmax_rows_backward.
template <executor Exec, mdspan_like Out, mdspan_like GradOut, mdspan_like GradIn>
  requires(Out::rank() == 2 && GradOut::rank() == 2 && GradIn::rank() == 2)
void log_softmax_rows_backward(const Exec& exec, const Out& out, const GradOut& grad_out, const GradIn& grad_in) {
  using O = value_type_of<Out>;
  using G = value_type_of<GradOut>;
  using D = value_type_of<GradIn>;
  tile::detail::run_softmax_rows_backward<true>(exec, view<const O, 2>(out), view<const G, 2>(grad_out), view<D, 2>(grad_in));
}

}  // namespace tessera
