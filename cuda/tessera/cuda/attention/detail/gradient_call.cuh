// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::backward on a device: scratch memory, the choice of shapes, and the kernels in their order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/attention/detail/gradient_operands.hpp"
#include "tessera/attention/detail/score_stages.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/more_gradients.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/attention/detail/gradient_hopper.cuh"
#include "tessera/cuda/attention/detail/gradient_kernels.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/gradient_rows.cuh"
#include "tessera/cuda/attention/detail/gradient_scores.cuh"
#include "tessera/cuda/attention/detail/rotated_copies.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// How blocks of keys and of queries cut their work where head_dim and value_dim are at most Dim, and rows are copied.
///
/// A thread has the sums of its rows, Dim numbers of a block of keys and Dim / 2 of queries, and of a tile one weight and one slope for every two
/// rows that stream by. Planned, with 65536 registers and 163 KiB of shared memory to a multiprocessor (sm_80; 227 KiB on sm_90):
///   16 bits, 64:   keys 255 registers, 128 threads, 49 KiB: 2 blocks; queries 168 registers, 128 threads, 32 KiB: 3 blocks
///   16 bits, 128:  255 registers, 256 threads, 97 KiB: 1 block, on sm_86 and sm_89, too
///   32 bits, 64:   255 registers, 128 threads, 66 KiB: 2 blocks
///   32 bits, 128:  255 registers, 128 threads, 97 KiB: 1 block (2 on sm_90)
///   float64, 64:   255 registers, 128 threads, 97 KiB: 1 block (2 on sm_90)
template <class M, int Dim>
struct gradient_shapes {
  static constexpr int bytes = sizeof(typename tile::multiplication<M>::element);
  static constexpr int warps = bytes == 2 && Dim > 64 ? 8 : 4;
  static constexpr int key_streamed = bytes == 8 || (bytes == 4 && Dim > 64) ? 16 : bytes == 2 && Dim <= 64 ? 64 : 32;
  static constexpr int query_streamed = bytes == 8 ? 16 : 32;
  static constexpr int stages = bytes > 2 && Dim > 64 ? 1 : 2;
  using keys = gradient_shape<M, owner::keys, warps, key_streamed, Dim, Dim, stages, warps == 8 ? 1 : 2, true, false>;
  using queries = gradient_shape<M, owner::queries, warps, query_streamed, Dim, Dim, stages,
                                 warps == 8 ? 1 : (bytes == 2 ? 3 : 2), true, false>;
};

/// What products are made in.
template <class T, class Q, class K, class V, class G>
using gradient_multiplication = std::conditional_t<
    std::is_same_v<T, float> && sizeof(Q) == 2 && std::is_same_v<Q, K> && std::is_same_v<Q, V> && std::is_same_v<Q, G>, Q, T>;

/// Rows that are copied whole. False where these do not come so, or are too long.
template <class M, class Problem>
TESSERA_HIDDEN bool run_copied_gradients(const executor& exec, const Problem& p, const char* function) {
  using element = typename tile::multiplication<M>::element;
  const std::int64_t dim = p.head_dim > p.value_dim ? p.head_dim : p.value_dim;
  if constexpr (std::is_same_v<typename Problem::query_type, element>) {
    if (!copies_rows<element>(p)) return false;
    if (dim <= 64) {
      using shapes = gradient_shapes<M, 64>;
      launch_gradients<typename shapes::keys, typename shapes::queries>(exec, p, function);
      return true;
    }
    if constexpr (sizeof(element) < 8) {
      if (dim <= 128) {
        using shapes = gradient_shapes<M, 128>;
        launch_gradients<typename shapes::keys, typename shapes::queries>(exec, p, function);
        return true;
      }
    }
  }
  return false;
}

template <class M, class Problem>
TESSERA_HIDDEN void run_gradients(const executor& exec, const Problem& p, const char* function) {
  using element = typename tile::multiplication<M>::element;
  if constexpr (std::is_same_v<M, float>) {
    if (exec.allows_tf32() && run_copied_gradients<tile::tf32>(exec, p, function)) return;
  }
  if constexpr (sizeof(M) == 2) {
    if (launch_gradients_on_hopper<M>(exec, p, function)) return;
  }
  if (run_copied_gradients<M>(exec, p, function)) return;
  if constexpr (sizeof(element) == 2) {
    if (copies_rows<element>(p)) {
      using shapes = sliced_gradient_shapes<M, true>;
      return launch_gradients<typename shapes::keys, typename shapes::queries>(exec, p, function);
    }
  }
  using shapes = sliced_gradient_shapes<M, false>;
  launch_gradients<typename shapes::keys, typename shapes::queries>(exec, p, function);
}

/// The arrays of a call, sequence by sequence, wherever they lie.
template <class T, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV>
class gradient_call {
 public:
  explicit gradient_call(const tessera::attention::detail::gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& x)
      : q_(x.q),
        k_(x.k),
        v_(x.v),
        out_(x.out),
        lse_(x.lse),
        dout_(x.dout),
        dq_(x.dq),
        dk_(x.dk),
        dv_(x.dv),
        batch_(x.q.extent(0)),
        heads_(x.q.extent(1)),
        kv_heads_(x.k.extent(1)),
        head_dim_(x.q.extent(3)),
        value_dim_(x.v.extent(3)),
        len_q_(x.q.extent(2)),
        len_k_(x.k.extent(2)) {}
  gradient_call(const tessera::attention::detail::ragged_gradient_operands<Q, K, V, O, L, G, DQ, DK, DV>& x,
                const tessera::attention::ragged& at)
      : q_(x.q, at.query_offsets),
        k_(x.k, at.key_offsets),
        v_(x.v, at.key_offsets),
        out_(x.out, at.query_offsets),
        lse_(x.lse, at.query_offsets),
        dout_(x.dout, at.query_offsets),
        dq_(x.dq, at.query_offsets),
        dk_(x.dk, at.key_offsets),
        dv_(x.dv, at.key_offsets),
        batch_(at.query_offsets.extent(0) - 1),
        heads_(x.q.extent(0)),
        kv_heads_(x.k.extent(0)),
        head_dim_(x.q.extent(2)),
        value_dim_(x.v.extent(2)),
        len_q_(x.q.extent(1)),
        len_k_(x.k.extent(1)) {}

  /// Refuses lengths whose positions are no int.
  void check_lengths(const char* function) const {
    const auto check = [&](std::int64_t length, const char* argument) {
      tessera::detail::expects(
          length <= longest, function, argument, [&] { return std::to_string(length) + " rows"; },
          "needs fewer than 2^31 - 2^10");
    };
    check(len_q_, "q");
    check(len_k_, "k");
  }

  template <class Options, class B>
  TESSERA_HIDDEN void run(const executor& exec, double scale, const Options& options,
                          const tessera::attention::more_gradients<B>& more, const char* function) const {
    using M = gradient_multiplication<T, Q, K, V, G>;
    using mask_type = std::remove_cvref_t<decltype(options.mask)>;
    using score_type = std::remove_cvref_t<decltype(options.score)>;
    using score_head = decltype(tessera::attention::detail::score_of(options.score, 0, 0, 0, 0));
    const sequence_tiles tiles(number_rows, batch_, len_q_);
    const std::int64_t items = heads_ * tiles.count(q_.offsets);
    const rotated_call call{.batch = batch_,
                            .head_dim = head_dim_,
                            .queries = {q_.offsets, {}, len_q_},
                            .keys = {k_.offsets, {}, len_k_},
                            .by = options.rotary};
    rotated_copy<Q> queries(call, true, {.rows = q_}, heads_);
    rotated_copy<K> keys(call, false, {.rows = k_}, kv_heads_);
    row_numbers<T>* numbers = nullptr;
    int* some_empty = nullptr;
    double* partial = nullptr;
    const auto lay_out = [&](bump memory) {
      numbers = memory.take<row_numbers<T>>(items * number_rows);
      some_empty = memory.take<int>(items);
      if (more.slopes.data_handle() != nullptr) partial = memory.take<double>(items);
      queries.lay_out(memory);
      keys.lay_out(memory);
      return memory.bytes();
    };
    const workspace memory(exec, lay_out(bump()), function);
    lay_out(bump(memory.data()));
    queries.template make<T>(exec, function, "q");
    keys.template make<T>(exec, function, "k");

    make_numbers(exec, number_problem<T, O, L, G>{out_, lse_, dout_, value_dim_, tiles, numbers, some_empty}, heads_, function);
    const gradient_problem<T, Q, K, V, G, DQ, DK, DV, mask_type, score_type> p{queries.rows(),
                                                                               keys.rows(),
                                                                               v_,
                                                                               dout_,
                                                                               dq_,
                                                                               dk_,
                                                                               dv_,
                                                                               batch_,
                                                                               heads_,
                                                                               kv_heads_,
                                                                               kv_heads_ > 0 ? heads_ / kv_heads_ : 0,
                                                                               head_dim_,
                                                                               value_dim_,
                                                                               len_q_,
                                                                               len_k_,
                                                                               scale,
                                                                               options.mask,
                                                                               options.score,
                                                                               options.key_scales,
                                                                               options.value_scales,
                                                                               options.dropout,
                                                                               numbers,
                                                                               some_empty};
    run_gradients<M>(exec, p, function);
    rotate_gradient_back<T>(exec, call, true, dq_, heads_, function, "dq");
    rotate_gradient_back<T>(exec, call, false, dk_, kv_heads_, function, "dk");
    if (more.sinks.data_handle() != nullptr) {
      sink_gradient(exec, static_cast<const row_numbers<T>*>(numbers), heads_, tiles.count(q_.offsets) * number_rows,
                    options.sinks, more.sinks, function);
    }
    if constexpr (tessera::attention::detail::has_stage<tessera::attention::detail::of_slopes, score_head>::value) {
      if (more.slopes.data_handle() != nullptr) slope_gradient<M>(exec, p, partial, more.slopes, function);
    }
    if constexpr (tessera::attention::detail::has_stage<tessera::attention::detail::of_bias, score_head>::value) {
      if (more.bias.data_handle() != nullptr) bias_gradient<M>(exec, p, more.bias, function);
    }
  }

 private:
  template <class S>
  using rows = tessera::attention::detail::sequence_rows<S>;
  static constexpr std::int64_t longest = (std::int64_t{1} << 31) - (std::int64_t{1} << 10);

  rows<const Q> q_;
  rows<const K> k_;
  rows<const V> v_;
  rows<const O> out_;
  rows<const L> lse_;
  rows<const G> dout_;
  rows<DQ> dq_;
  rows<DK> dk_;
  rows<DV> dv_;
  std::int64_t batch_;
  std::int64_t heads_;
  std::int64_t kv_heads_;
  std::int64_t head_dim_;
  std::int64_t value_dim_;
  std::int64_t len_q_;
  std::int64_t len_k_;
};

}  // namespace tessera::cuda::attention::detail
