// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The bodies of calls.hpp, for the files that instantiate them.
#pragma once

#include "calls.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/jvp.hpp"

namespace calls {

template <class S, class K, class V, class L, class Score>
void forward(const team& exec, const view<const S, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
             const view<S, 4>& out, const view<L, 3>& lse, const options<Score>& options) {
  tessera::attention::forward(exec, q, k, v, out, lse, options);
}

template <class S, class K, class V, class L, class Score>
void backward(const team& exec, const view<const S, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
              const view<const S, 4>& out, const view<const L, 3>& lse, const view<const S, 4>& dout, const view<S, 4>& dq,
              const view<S, 4>& dk, const view<S, 4>& dv, const options<Score>& options,
              const tessera::attention::more_gradients<float>& more) {
  tessera::attention::backward(exec, q, k, v, out, lse, dout, dq, dk, dv, options, more);
}

template <class S, class Score>
void jvp(const team& exec, const view<const S, 4>& q, const view<const S, 4>& k, const view<const S, 4>& v,
         const view<const S, 4>& dq, const view<const S, 4>& dk, const view<const S, 4>& dv, const view<S, 4>& out,
         const view<S, 4>& dout, const options<Score>& options) {
  tessera::attention::jvp(exec, q, k, v, dq, dk, dv, out, dout, options);
}

}  // namespace calls

#define FORWARD_CALL(S, K, V, L, Score)                                                                          \
  template void calls::forward<S, K, V, L, Score>(const team&, const view<const S, 4>&, const view<const K, 4>&, \
                                                  const view<const V, 4>&, const view<S, 4>&, const view<L, 3>&, \
                                                  const options<Score>&)
#define BACKWARD_CALL(S, K, V, L, Score)                                                                               \
  template void calls::backward<S, K, V, L, Score>(                                                                    \
      const team&, const view<const S, 4>&, const view<const K, 4>&, const view<const V, 4>&, const view<const S, 4>&, \
      const view<const L, 3>&, const view<const S, 4>&, const view<S, 4>&, const view<S, 4>&, const view<S, 4>&,       \
      const options<Score>&, const tessera::attention::more_gradients<float>&)
#define JVP_CALL(S, Score)                                                                                                   \
  template void calls::jvp<S, Score>(const team&, const view<const S, 4>&, const view<const S, 4>&, const view<const S, 4>&, \
                                     const view<const S, 4>&, const view<const S, 4>&, const view<const S, 4>&,              \
                                     const view<S, 4>&, const view<S, 4>&, const options<Score>&)
