// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Calls of attention that are compiled once, in calls*.cpp, for tests that choose masks, scores, strides and threads at run time.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "any_mask.hpp"
#include "backward_oracle.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/exec/par.hpp"
#include "tessera/tile/view.hpp"

namespace calls {

using tessera::view;
using team = tessera::basic_par<>;
using tessera::attention::plain_score;
/// Softcap, then ALiBi, then a bias: each may be neutral, an unreachable cap, slopes of 0, a bias of 0.
using every_score =
    tessera::attention::chained_scores<tessera::attention::chained_scores<tessera::attention::softcap, tessera::attention::alibi>,
                                       tessera::attention::additive_bias<float>>;

template <class Score>
using options = tessera::attention::options<any::mask, Score>;

/// What every_score is made of, neutral until it is set.
class score_parts {
 public:
  double cap = 1e29;
  std::vector<float> slopes;
  view<const float, 4> bias;

  score_parts(std::int64_t batch, std::int64_t heads, std::int64_t len_q, std::int64_t len_k)
      : slopes(static_cast<std::size_t>(heads), 0.0F), bias(&zero, {batch, heads, len_q, len_k}, {0, 0, 0, 0}) {}

  [[nodiscard]] every_score score() const {
    const view<const float, 1> all(slopes.data(), static_cast<std::int64_t>(slopes.size()));
    return {{{cap}, {all}}, {bias}};
  }

 private:
  static constexpr float zero = 0;
};

/// attention::forward; S is the type of queries and results, L that of lse.
template <class S, class K, class V, class L, class Score>
void forward(const team& exec, const view<const S, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
             const view<S, 4>& out, const view<L, 3>& lse, const options<Score>& options);

/// attention::backward; gradients are of type S, too.
template <class S, class K, class V, class L, class Score>
void backward(const team& exec, const view<const S, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
              const view<const S, 4>& out, const view<const L, 3>& lse, const view<const S, 4>& dout, const view<S, 4>& dq,
              const view<S, 4>& dk, const view<S, 4>& dv, const options<Score>& options,
              const tessera::attention::more_gradients<float>& more = {});

/// attention::jvp
template <class S, class Score>
void jvp(const team& exec, const view<const S, 4>& q, const view<const S, 4>& k, const view<const S, 4>& v,
         const view<const S, 4>& dq, const view<const S, 4>& dk, const view<const S, 4>& dv, const view<S, 4>& out,
         const view<S, 4>& dout, const options<Score>& options);

/// The forward and the backward pass of all that a call holds.
template <class S, class K, class V, class Score>
void run(const team& exec, oracle::backward_call<S, K, V, S, S>& x, const options<Score>& options,
         const tessera::attention::more_gradients<float>& more = {}) {
  const auto& in = std::as_const(x.in);
  const auto& done = std::as_const(x);
  forward(exec, in.q.view(), in.k.view(), in.v.view(), x.out.view(), x.lse.view(), options);
  backward(exec, in.q.view(), in.k.view(), in.v.view(), done.out.view(), done.lse.view(), done.dout.view(), x.dq.view(),
           x.dk.view(), x.dv.view(), options, more);
}

}  // namespace calls
