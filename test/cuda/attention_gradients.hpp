// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// An executor for tests of attention's backward: the forward pass on the CPU, the backward pass on the device, with arrays of the host. To be
/// included before the oracle of the CPU's tests, which then run there as they are.
#pragma once

#include <cstdint>
#include <type_traits>

#include "mirror.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/cuda/attention/backward.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/exec/exec.hpp"

namespace support {

struct gradients_on_device {
  tessera::cuda::executor exec = tessera::cuda::on();
};

/// Masks and scores whose arrays are on the device.
template <class X>
X on_the_device(mirror& memory, X x) {
  if constexpr (requires { x.a, x.b; }) {
    x.a = on_the_device(memory, x.a);
    x.b = on_the_device(memory, x.b);
  } else if constexpr (requires { x.a; }) {
    x.a = on_the_device(memory, x.a);
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
  return tessera::attention::options<Mask, Score, Accumulation>{.scale = x.scale,
                                                                .mask = on_the_device(memory, x.mask),
                                                                .score = on_the_device(memory, x.score),
                                                                .sinks = memory(x.sinks),
                                                                .key_scales = memory(x.key_scales),
                                                                .value_scales = memory(x.value_scales),
                                                                .rotary = x.rotary,
                                                                .dropout = x.dropout,
                                                                .accumulation = x.accumulation};
}

}  // namespace support

namespace tessera::attention {

template <class Q, class K, class V, class Out, class Lse, class Mask = band, class Score = plain_score,
          class Accumulation = plain_sums>
void forward(const support::gradients_on_device&, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
             const options<Mask, Score, Accumulation>& options = {}) {
  forward(seq, q, k, v, out, lse, options);
}

template <class Q, class K, class V, class Out, class Lse, class DOut, class DQ, class DK, class DV, class Mask = band,
          class Score = plain_score, class Accumulation = plain_sums, class B = float>
  requires(Q::rank() == 4)
void backward(const support::gradients_on_device& on, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse,
              const DOut& dout, const DQ& dq, const DK& dk, const DV& dv,
              const options<Mask, Score, Accumulation>& options = {}, const more_gradients<B>& more = {}) {
  const auto read = [](const auto& x) { return view<const value_type_of<std::remove_cvref_t<decltype(x)>>, std::remove_cvref_t<decltype(x)>::rank()>(x); };
  support::mirror memory;
  more_gradients<B> more_there{memory(more.sinks), memory(more.slopes), memory(more.bias)};
  backward(on.exec, memory(read(q)), memory(read(k)), memory(read(v)), memory(read(out)), memory(read(lse)), memory(read(dout)),
           memory(dq), memory(dk), memory(dv), support::options_on_device(memory, options), more_there);
  memory.bring_back();
}

}  // namespace tessera::attention
