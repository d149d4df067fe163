// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, backward, on a CUDA device: the gradients of queries, keys and values from those of the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/accumulation.hpp"
#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/gradient_checks.hpp"
#include "tessera/attention/detail/gradient_operands.hpp"
#include "tessera/attention/detail/ragged_gradient_checks.hpp"
#include "tessera/attention/more_gradients.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/cuda/attention/detail/gradient_call.cuh"
#include "tessera/cuda/attention/detail/option_checks.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// Refuses memory that is not the device's.
template <class Operands>
void check_gradient_memory(const executor& exec, const Operands& x, const char* function) {
  using cuda::detail::check_memory;
  check_memory(exec, x.q, function, "q");
  check_memory(exec, x.k, function, "k");
  check_memory(exec, x.v, function, "v");
  check_memory(exec, x.out, function, "out");
  check_memory(exec, x.lse, function, "lse");
  check_memory(exec, x.dout, function, "dout");
  check_memory(exec, x.dq, function, "dq");
  check_memory(exec, x.dk, function, "dk");
  check_memory(exec, x.dv, function, "dv");
}

template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation, class B>
TESSERA_HIDDEN void backward(const executor& exec,
                             const tessera::attention::detail::gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& x,
                             const tessera::attention::options<Mask, Score, Accumulation>& options,
                             const tessera::attention::more_gradients<B>& more) {
  static_assert(!Accumulation::keeps_lost,
                "attention::backward: compensated sums are made by attention::forward on the CPU alone; take in_float64");
  using T = tessera::attention::detail::accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  const char* const function = "attention::backward";
  tessera::attention::detail::check_backward<executor>(x, function);
  const double scale = tessera::attention::detail::check_options<T>(function, x.q, x.k, options);
  tessera::attention::detail::check_more_gradients<executor>(x, options, more, function);
  check_gradient_memory(exec, x, function);
  check_option_memory(exec, options, function);
  cuda::detail::check_memory(exec, more.sinks, function, "more.sinks");
  cuda::detail::check_memory(exec, more.slopes, function, "more.slopes");
  cuda::detail::check_memory(exec, more.bias, function, "more.bias");
  check_rotated_types<Q, K>(options, function);
  const gradient_call<T, Q, K, V, O, L, G, DQ, DK, DV> call(x);
  call.check_lengths(function);
  call.run(exec, scale, options, more, function);
}

template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score,
          class Accumulation>
TESSERA_HIDDEN void backward_ragged(const executor& exec,
                                    const tessera::attention::detail::ragged_gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& x,
                                    const tessera::attention::ragged& at,
                                    const tessera::attention::options<Mask, Score, Accumulation>& options,
                                    const view<float, 1>& dsinks) {
  static_assert(!Accumulation::keeps_lost,
                "attention::backward: compensated sums are made by attention::forward on the CPU alone; take in_float64");
  using T = tessera::attention::detail::accumulated_t<Accumulation, compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  const char* const function = "attention::backward";
  tessera::attention::detail::check_ragged_shapes<executor>(function, x.q, x.k, x.v, at.query_offsets, at.key_offsets);
  tessera::attention::detail::check_ragged_gradients<executor>(x, at, function);
  const double scale =
      check_ragged_options<T>(function, x.q.extent(0), x.k.extent(0), x.q.extent(2), x.q.extent(1), x.k.extent(1), options);
  tessera::attention::detail::check_sinks_of_ragged<executor>(x, at, options, dsinks, function);
  check_gradient_memory(exec, x, function);
  check_option_memory(exec, options, function);
  cuda::detail::check_memory(exec, at.query_offsets.bytes(), function, "ragged.query_offsets");
  cuda::detail::check_memory(exec, at.key_offsets.bytes(), function, "ragged.key_offsets");
  cuda::detail::check_memory(exec, dsinks, function, "dsinks");
  check_rotated_types<Q, K>(options, function);
  const gradient_call<T, Q, K, V, O, L, G, DQ, DK, DV> call(x, at);
  call.check_lengths(function);
  call.run(exec, scale, options, tessera::attention::more_gradients<float>{dsinks, {}, {}}, function);
}

}  // namespace tessera::cuda::attention::detail

namespace tessera::attention {

/// backward (tessera/attention/backward.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory, those of options and
/// `more`, too; masks and scores are copied into kernels and called there: functions are marked __host__ __device__.
///
/// Types           16-bit inputs of one type are multiplied on the tensor cores, with weights and slopes rounded to it; float64 there, too;
///                 all else in float32 one by one; float32 arrays of up to 128 columns, rows at multiples of 16 bytes, on the tensor cores
///                 with exec.tf32()
/// Options         all. rotary: queries and keys are rotated before, into copies of their types, and dq and dk back where they lie, with the bits
///                 of a call on arrays that `rotate` wrote and of `rotate_back`; rows of 8 bits are refused, positions as in forward
/// Special values  as on the CPU. A one-hot row has exactly dq 0 in float32; on the tensor cores within the bound.
/// Accuracy        float32, float64: that of the CPU, with len_k u in place of its (192 + len_k / 192) u of dq, and len_q group u for
///                 (96 + m / 96) u of dk and dv. On the tensor cores four times that, and of 16-bit inputs u_s p T |k_j| (|q_i|; dv: p |dout_i|)
///                 more, u_s their roundoff, of float16 besides 2^-25 |scale k_j| (|scale q_i|, |dout_i|). tf32: 2^-10 (S + 2) p T more (dv:
///                 2^-10 (S + 1) p). rotary with arrays in fewer bits than the sums': (u_q + u_k) (S + 1) p T more (dv: (u_q + u_k) S p), and
///                 gradients are rounded once more, before they are rotated back. Tested in test/cuda/attention_backward*.cpp,
///                 attention_training.cpp.
/// Cost            14 batch heads len_q len_k head_dim flops where value_dim is head_dim: two products are made twice, as no block then waits for
///                 another. Rows that begin at multiples of 16 bytes are copied, others loaded element by element. head_dim or value_dim above
///                 128 (64 of float64), and rows that are not copied: 64 (32) columns at a time, those products made again for each. Dropout: a
///                 Philox block a pair, twice. Scratch: two numbers a query, and one for 64; rotary: copies of what is rotated.
/// Determinism     the same bits in every run, for every batch and on every device of a generation: dk and dv are chains of all queries in order,
///                 head after head, dq of all keys. On Hopper arrays of 16 bits have other bits on its own path than on that of all others, which
///                 ragged batches take: dense, at most 128 columns, strides of multiples of 16 bytes, no dropout
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, rotated rows of 8 bits, sequences of
///                 2^31 - 2^10 or more, memory that is not the device's; cuda::error
/// Source          Dao et al. 2022, arXiv:2205.14135, algorithm 4; Dao 2023, arXiv:2307.08691; Shah et al. 2024, arXiv:2407.08608 (two warpgroups in
///                 turns)
template <mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, mdspan_like DOut, mdspan_like DQ,
          mdspan_like DK, mdspan_like DV, class Mask = band, class Score = plain_score, class Accumulation = plain_sums,
          class B = float>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3 && DOut::rank() == 4 &&
           DQ::rank() == 4 && DK::rank() == 4 && DV::rank() == 4)
TESSERA_HIDDEN void backward(const cuda::executor& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
                             const DOut& dout, const DQ& dq, const DK& dk, const DV& dv,
                             const options<Mask, Score, Accumulation>& options = {}, const more_gradients<B>& more = {}) {
  const detail::gradient_operands<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, value_type_of<Lse>,
                                  value_type_of<DOut>, value_type_of<DQ>, value_type_of<DK>, value_type_of<DV>>
      operands{q, k, v, out, lse, dout, dq, dk, dv};
  cuda::attention::detail::backward(exec, operands, options, more);
}

/// The same of a ragged batch (tessera/attention/ragged_backward.hpp): backward of each sequence alone. Offsets are of device memory, too, where only
/// kernels read them: that they rise and stay within the rows, and that masks and scores which hold numbers for given lengths fit them, is for the
/// caller to see to.
///
/// Cost            that of the sequences, and a block that ends at once for up to one tile of 64 (128) rows a sequence and head
/// Determinism     the bits of backward on each sequence alone, but of 16 bits on Hopper (above)
template <mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, mdspan_like DOut, mdspan_like DQ,
          mdspan_like DK, mdspan_like DV, class Mask = band, class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 3 && K::rank() == 3 && V::rank() == 3 && Out::rank() == 3 && Lse::rank() == 2 && DOut::rank() == 3 &&
           DQ::rank() == 3 && DK::rank() == 3 && DV::rank() == 3)
TESSERA_HIDDEN void backward(const cuda::executor& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
                             const DOut& dout, const DQ& dq, const DK& dk, const DV& dv, const ragged& at,
                             const options<Mask, Score, Accumulation>& options = {}, const view<float, 1>& dsinks = {}) {
  const detail::ragged_gradient_operands<value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>,
                                         value_type_of<Lse>, value_type_of<DOut>, value_type_of<DQ>, value_type_of<DK>,
                                         value_type_of<DV>>
      operands{q, k, v, out, lse, dout, dq, dk, dv};
  cuda::attention::detail::backward_ragged(exec, operands, at, options, dsinks);
}

}  // namespace tessera::attention
