// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The arrays of attention's backward.
#pragma once

#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Everything that is read, and what is written.
template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV>
struct gradient_operands {
  view<const Q, 4> q;
  view<const K, 4> k;
  view<const V, 4> v;
  view<const O, 4> out;
  view<const L, 3> lse;
  view<const G, 4> dout;
  view<DQ, 4> dq;
  view<DK, 4> dk;
  view<DV, 4> dv;
};

/// The same of a ragged batch: [heads, total, …].
template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV>
struct ragged_gradient_operands {
  view<const Q, 3> q;
  view<const K, 3> k;
  view<const V, 3> v;
  view<const O, 3> out;
  view<const L, 2> lse;
  view<const G, 3> dout;
  view<DQ, 3> dq;
  view<DK, 3> dk;
  view<DV, 3> dv;
};

}  // namespace tessera::attention::detail
