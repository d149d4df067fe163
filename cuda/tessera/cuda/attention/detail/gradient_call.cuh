// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::backward on a device: scratch memory, the choice of shapes, and the kernels in their order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/attention/detail/gradient_operands.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/index_view.hpp"
#include "tessera/attention/more_gradients.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/cuda/attention/detail/gradient_kernels.cuh"
#include "tessera/cuda/attention/detail/gradient_problem.cuh"
#include "tessera/cuda/attention/detail/gradient_rows.cuh"
#include "tessera/cuda/attention/detail/gradient_scores.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/fragment.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// How blocks of keys and of queries cut their work where head_dim and value_dim are at most Dim, and rows are copied.
///
/// A thread has the sums of its rows, (Dim + Dim) / 2 numbers of keys and Dim / 2 of queries, and weights and slopes of a tile, 64 for 64 rows that
/// stream by. Planned, of 65536 registers and 164 KiB of shared memory (sm_80), 228 KiB (sm_90):
///   16 bits, 64:   128 threads, 168 registers, 49 KiB: 3 blocks, 4 warps each
///   16 bits, 128:  256 threads, 255 registers, 97 KiB: 1 block of keys (2 of sm_90's shared memory, but not of its registers)
///   float32:       as 16 bits with tiles of half the rows
///   float64, 64:   128 threads, 255 registers: 2 blocks
template <class M, int Dim>
struct gradient_shapes {
  using element = typename tile::multiplication<M>::element;
  static constexpr int warps = Dim <= 64 || sizeof(element) > 2 ? 4 : 8;
  static constexpr int key_streamed = sizeof(element) == 2 && Dim <= 64 ? 64 : sizeof(element) == 8 ? 16 : 32;
  static constexpr int query_streamed = key_streamed;
  static constexpr int resident = sizeof(element) == 2 ? (Dim <= 64 ? 3 : 1) : Dim <= 64 ? 2 : 1;
  static constexpr int stages = sizeof(element) == 4 && Dim > 64 ? 1 : 2;
  using keys = gradient_shape<M, owner::keys, warps, key_streamed, Dim, Dim, stages, resident, true, false>;
  using queries = gradient_shape<M, owner::queries, warps, query_streamed, Dim, Dim, stages, resident, true, false>;
};

/// The same for any head_dim and value_dim, slice by slice, from rows that are copied or of any type.
template <class M, bool Aligned>
struct sliced_gradient_shapes {
  using element = typename tile::multiplication<M>::element;
  static constexpr int streamed = sizeof(element) == 8 ? 16 : 32;
  using keys = gradient_shape<M, owner::keys, 4, streamed, 64, 64, 1, 2, Aligned, true>;
  using queries = gradient_shape<M, owner::queries, 4, streamed, 64, 64, 1, 2, Aligned, true>;
};

/// What products are made in.
template <class T, class Q, class K, class V, class G>
using gradient_multiplication = std::conditional_t<
    std::is_same_v<T, float> && sizeof(Q) == 2 && std::is_same_v<Q, K> && std::is_same_v<Q, V> && std::is_same_v<Q, G>, Q, T>;

template <class M, class Problem>
TESSERA_HIDDEN void run_gradients(const executor& exec, const Problem& p, const char* function) {
  using element = typename tile::multiplication<M>::element;
  const std::int64_t dim = p.head_dim > p.value_dim ? p.head_dim : p.value_dim;
  if constexpr (std::is_same_v<typename Problem::query_type, element>) {
    if (copies_rows<element>(p)) {
      if (dim <= 64)
        return launch_gradients<typename gradient_shapes<M, 64>::keys, typename gradient_shapes<M, 64>::queries>(exec, p,
                                                                                                                 function);
      if constexpr (sizeof(element) < 8) {
        if (dim <= 128) {
          return launch_gradients<typename gradient_shapes<M, 128>::keys, typename gradient_shapes<M, 128>::queries>(exec, p,
                                                                                                                     function);
        }
      }
      if constexpr (sizeof(element) == 2) {
        return launch_gradients<typename sliced_gradient_shapes<M, true>::keys,
                                typename sliced_gradient_shapes<M, true>::queries>(exec, p, function);
      }
    }
  }
  launch_gradients<typename sliced_gradient_shapes<M, false>::keys, typename sliced_gradient_shapes<M, false>::queries>(exec, p,
                                                                                                                        function);
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

  template <class Options, class More>
  TESSERA_HIDDEN void run(const executor& exec, double scale, const Options& options, const More&, const char* function) const {
    const sequence_tiles tiles(number_rows, batch_, len_q_);
    const std::int64_t items = heads_ * tiles.count(q_.offsets);
    const auto lay_out = [&](bump& memory, row_numbers<T>*& numbers, int*& some_empty) {
      numbers = memory.take<row_numbers<T>>(items * number_rows);
      some_empty = memory.take<int>(items);
    };
    row_numbers<T>* numbers = nullptr;
    int* some_empty = nullptr;
    bump needed;
    lay_out(needed, numbers, some_empty);
    const workspace memory(exec, items > 0 ? needed.bytes() : 0, function);
    bump block(memory.data());
    lay_out(block, numbers, some_empty);

    using problem_type = gradient_problem<T, Q, K, V, G, DQ, DK, DV, decltype(options.mask), decltype(options.score)>;
    const problem_type p{q_,
                         k_,
                         v_,
                         dout_,
                         dq_,
                         dk_,
                         dv_,
                         batch_,
                         heads_,
                         kv_heads_,
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
    make_numbers(exec, number_problem<T, O, L, G>{out_, lse_, dout_, value_dim_, tiles, numbers, some_empty}, heads_, function);
    using M = gradient_multiplication<T, Q, K, V, G>;
    if constexpr (std::is_same_v<M, float>) {
      if (exec.allows_tf32()) return run_gradients<tile::tf32>(exec, p, function);
    }
    run_gradients<M>(exec, p, function);
  }

 private:
  template <class S>
  using rows = tessera::attention::detail::sequence_rows<S>;

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
