// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// An executor for tests of attention's backward, which is made on the device with arrays of the host. The CPU's tests and their oracle then run
/// there as they are.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "mirror.hpp"
#include "orders.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/attention/ragged_backward.hpp"
#include "tessera/cuda/attention/backward.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/exec/exec.hpp"
#include "tessera/reference/attention.hpp"

namespace support {

struct gradients_on_device {
  std::uint64_t seed = 1;
  bool tf32 = false;
  int generation = 9;  ///< of the device, at most

  /// Another order of the threads on the emulator, in place of another number of them.
  [[nodiscard]] gradients_on_device threads(int n) const { return {static_cast<std::uint64_t>(n), tf32, generation}; }
  [[nodiscard]] tessera::cuda::executor executor() const {
#if TESSERA_CUDA_EMULATOR
    tessera::emulator::seed(seed);
    using tessera::emulator::block_order;
    constexpr block_order orders[] = {block_order::shuffled, block_order::ascending, block_order::descending};
    tessera::emulator::settings().order = orders[seed % 3];
#endif
    return on_generation(generation).tf32(tf32);
  }
};

/// Masks and scores whose arrays are on the device.
template <class X>
X on_the_device(mirror& memory, X x) {
  if constexpr (requires { x.a, x.b; }) {
    x.a = on_the_device(memory, x.a);
    x.b = on_the_device(memory, x.b);
  } else if constexpr (requires { x.a; }) {
    x.a = on_the_device(memory, x.a);
  } else if constexpr (requires { x.mask, x.blocks; }) {
    x.mask = on_the_device(memory, x.mask);
    x.blocks = memory(x.blocks);
  } else if constexpr (requires { x.first, x.second; }) {
    x.first = on_the_device(memory, x.first);
    x.second = on_the_device(memory, x.second);
  } else if constexpr (requires { x.of_query, x.of_key; }) {
    x.of_query = memory(x.of_query);
    x.of_key = memory(x.of_key);
  } else if constexpr (requires { x.rows; }) {
    x.rows = memory(x.rows);
  } else if constexpr (requires { x.seen; }) {
    x.seen = memory(x.seen);
  } else if constexpr (requires { x.slopes; }) {
    x.slopes = memory(x.slopes);
  } else if constexpr (requires { x.bias; }) {
    x.bias = memory(x.bias);
  }
  return x;
}

template <class Mask, class Score, class Accumulation>
auto options_on_device(mirror& memory, const tessera::attention::options<Mask, Score, Accumulation>& x) {
  tessera::attention::rotary rotary = x.rotary;
  rotary.cos = memory(rotary.cos);
  rotary.sin = memory(rotary.sin);
  return tessera::attention::options<Mask, Score, Accumulation>{.scale = x.scale,
                                                                .mask = on_the_device(memory, x.mask),
                                                                .score = on_the_device(memory, x.score),
                                                                .sinks = memory(x.sinks),
                                                                .key_scales = memory(x.key_scales),
                                                                .value_scales = memory(x.value_scales),
                                                                .rotary = rotary,
                                                                .dropout = x.dropout,
                                                                .accumulation = x.accumulation};
}

inline tessera::attention::index_view<1> offsets_on_device(mirror& memory, const tessera::attention::index_view<1>& x) {
  if (x.null()) return x;
  const tessera::view<const char, 2> there = memory(x.bytes());
  const auto as = [&](auto number) {
    using Number = decltype(number);
    return tessera::attention::index_view<1>(
        tessera::view<const Number, 1>(reinterpret_cast<const Number*>(there.data_handle()), {there.extent(0)},
                                       {there.stride(0) / static_cast<std::int64_t>(sizeof(Number))}));
  };
  return there.extent(1) == 4 ? as(std::int32_t()) : as(std::int64_t());
}

template <class X>
auto read_only(const X& x) {
  return tessera::view<const tessera::value_type_of<X>, X::rank()>(x);
}

}  // namespace support

namespace tessera::attention {

/// What the specification gives, rounded: a few loops, where a pass of the CPU's or the device's would be compiled for each type of options.
template <class Q, class K, class V, class Out, class Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
void forward(const support::gradients_on_device&, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
             const options<Mask, Score, Accumulation>& options = {}) {
  reference::attention<double>(support::read_only(q), support::read_only(k), support::read_only(v), options,
                               [&](auto b, auto h, auto i, const std::vector<double>& row, double row_lse) {
                                 for (std::size_t c = 0; c < row.size(); ++c) {
                                   out(b, h, i, static_cast<std::int64_t>(c)) = value_type_of<Out>(row[c]);
                                 }
                                 lse(b, h, i) = static_cast<value_type_of<Lse>>(row_lse);
                               });
}

template <class Q, class K, class V, class Out, class Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
void forward(const support::gradients_on_device& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
             const ragged& at, const options<Mask, Score, Accumulation>& options = {}) {
  const bool one = at.query_offsets.extent(0) == 2 && at.query_offsets(0) == 0 && at.query_offsets(1) == q.extent(1);
  if (options.dropout.active() && !one) {  // struck out by where rows lie among all
    forward(seq, q, k, v, out, lse, at, options);
    return;
  }
  // Each sequence alone, so that its results have the bits that a call on it alone gets.
  for (std::int64_t b = 0; b + 1 < at.query_offsets.extent(0); ++b) {
    const auto alone = [&](const auto& rows, const index_view<1>& offsets) {
      using element = typename std::remove_cvref_t<decltype(rows)>::element_type;
      const std::int64_t first = offsets(b);
      return view<element, 4>(rows.data_handle() + first * rows.stride(1),
                              {1, rows.extent(0), offsets(b + 1) - first, rows.extent(2)},
                              {0, rows.stride(0), rows.stride(1), rows.stride(2)});
    };
    const std::int64_t first = at.query_offsets(b);
    const view<value_type_of<Lse>, 3> own_lse(lse.data_handle() + first * lse.stride(1),
                                              {1, lse.extent(0), at.query_offsets(b + 1) - first},
                                              {0, lse.stride(0), lse.stride(1)});
    forward(exec, alone(q, at.query_offsets), alone(k, at.key_offsets), alone(v, at.key_offsets), alone(out, at.query_offsets),
            own_lse, options);
  }
}

template <class Q, class K, class V, class Out, class Lse, class DOut, class DQ, class DK, class DV, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums, class B = float>
  requires(Q::rank() == 4)
void backward(const support::gradients_on_device& on, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
              const DOut& dout, const DQ& dq, const DK& dk, const DV& dv, const options<Mask, Score, Accumulation>& options = {},
              const more_gradients<B>& more = {}) {
  using support::read_only;
  support::mirror memory;
  const more_gradients<B> more_there{memory(more.sinks), memory(more.slopes), memory(more.bias)};
  backward(on.executor(), memory(read_only(q)), memory(read_only(k)), memory(read_only(v)), memory(read_only(out)),
           memory(read_only(lse)), memory(read_only(dout)), memory(dq), memory(dk), memory(dv),
           support::options_on_device(memory, options), more_there);
  memory.bring_back();
}

template <class Q, class K, class V, class Out, class Lse, class DOut, class DQ, class DK, class DV, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums>
  requires(Q::rank() == 3)
void backward(const support::gradients_on_device& on, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
              const DOut& dout, const DQ& dq, const DK& dk, const DV& dv, const ragged& at,
              const options<Mask, Score, Accumulation>& options = {}, const view<float, 1>& dsinks = {}) {
  using support::read_only;
  support::mirror memory;
  const ragged there{support::offsets_on_device(memory, at.query_offsets), support::offsets_on_device(memory, at.key_offsets)};
  backward(on.executor(), memory(read_only(q)), memory(read_only(k)), memory(read_only(v)), memory(read_only(out)),
           memory(read_only(lse)), memory(read_only(dout)), memory(dq), memory(dk), memory(dv), there,
           support::options_on_device(memory, options), memory(dsinks));
  memory.bring_back();
}

}  // namespace tessera::attention

// Calls by qualified names find only what is declared before them.
#include "../attention/backward_oracle.hpp"
