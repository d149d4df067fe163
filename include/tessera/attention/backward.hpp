// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention, backward: the gradients of queries, keys and values from those of the result.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/attention/detail/gradient_heads.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {
namespace detail {

/// Refuses what does not fit together.
template <class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV>
void check_backward(const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v, const view<const O, 4>& out,
                    const view<const L, 3>& lse, const view<const G, 4>& dout, const view<DQ, 4>& dq, const view<DK, 4>& dk,
                    const view<DV, 4>& dv) {
  using tessera::detail::check_disjoint;
  using tessera::detail::check_operand;
  using tessera::detail::check_output;
  using tessera::detail::expects;
  using tessera::detail::shape;
  const char* const function = "attention::backward";
  check_operand(q, function, "q");
  check_operand(k, function, "k");
  check_operand(v, function, "v");
  check_operand(out, function, "out");
  tessera::detail::check_readable(lse, function, "lse");
  check_operand(dout, function, "dout");
  check_output(dq, function, "dq");
  check_output(dk, function, "dk");
  check_output(dv, function, "dv");
  expects(
      k.extent(0) == q.extent(0) && k.extent(3) == q.extent(3), function, "k", [&] { return "shape " + shape(k); },
      "needs [batch, kv_heads, len_k, head_dim] with q's batch and head_dim");
  expects(
      v.extent(0) == k.extent(0) && v.extent(1) == k.extent(1) && v.extent(2) == k.extent(2), function, "v",
      [&] { return "shape " + shape(v); }, "needs [batch, kv_heads, len_k, value_dim] with k's batch, kv_heads and len_k");
  expects(
      k.extent(1) > 0 ? q.extent(1) % k.extent(1) == 0 : q.extent(1) == 0, function, "k",
      [&] { return std::to_string(k.extent(1)) + " kv_heads beside " + std::to_string(q.extent(1)) + " heads"; },
      "needs kv_heads that divide heads");
  const auto of_rows = [&](const auto& x, const char* argument) {
    expects(
        x.extent(0) == q.extent(0) && x.extent(1) == q.extent(1) && x.extent(2) == q.extent(2) && x.extent(3) == v.extent(3),
        function, argument, [&] { return "shape " + shape(x); }, "needs [batch, heads, len_q, value_dim]");
  };
  of_rows(out, "out");
  of_rows(dout, "dout");
  expects(
      lse.extent(0) == q.extent(0) && lse.extent(1) == q.extent(1) && lse.extent(2) == q.extent(2), function, "lse",
      [&] { return "shape " + shape(lse); }, "needs [batch, heads, len_q]");
  const auto alike = [&](const auto& x, const auto& y, const char* argument, const char* needs) {
    expects(
        x.extent(0) == y.extent(0) && x.extent(1) == y.extent(1) && x.extent(2) == y.extent(2) && x.extent(3) == y.extent(3),
        function, argument, [&] { return "shape " + shape(x); }, needs);
  };
  alike(dq, q, "dq", "needs q's shape");
  alike(dk, k, "dk", "needs k's shape");
  alike(dv, v, "dv", "needs v's shape");
  const auto apart = [&](const auto& x, const char* argument) {
    check_disjoint(x, q, function, argument, "q");
    check_disjoint(x, k, function, argument, "k");
    check_disjoint(x, v, function, argument, "v");
    check_disjoint(x, out, function, argument, "out");
    check_disjoint(x, lse, function, argument, "lse");
    check_disjoint(x, dout, function, argument, "dout");
  };
  apart(dq, "dq");
  apart(dk, "dk");
  apart(dv, "dv");
  check_disjoint(dk, dq, function, "dk", "dq");
  check_disjoint(dv, dq, function, "dv", "dq");
  check_disjoint(dv, dk, function, "dv", "dk");
}

template <class Exec, class Q, class K, class V, class O, class L, class G, class DQ, class DK, class DV, class Mask, class Score>
void backward(const Exec& exec, const view<const Q, 4>& q, const view<const K, 4>& k, const view<const V, 4>& v,
              const view<const O, 4>& out, const view<const L, 3>& lse, const view<const G, 4>& dout, const view<DQ, 4>& dq,
              const view<DK, 4>& dk, const view<DV, 4>& dv, const options<Mask, Score>& options) {
  using T = std::common_type_t<compute_t<Q>, compute_t<K>, compute_t<V>, compute_t<G>>;
  check_backward(q, k, v, out, lse, dout, dq, dk, dv);
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(q.extent(3), 1))));
  tessera::detail::expects(
      std::isfinite(static_cast<T>(scale * softmax::unit)), "attention::backward", "options.scale",
      [&] { return tessera::detail::number(scale); }, "needs a factor that is finite in the compute type");
  const sizes call{q.extent(0), q.extent(1), q.extent(2), k.extent(2)};
  check_part(options.mask, "attention::backward", call);
  check_part(options.score, "attention::backward", call);
  const auto check_factors = [&](const view<const float, 1>& factors, std::int64_t wanted, const char* argument,
                                 const char* needs) {
    if (factors.data_handle() != nullptr) check_extents(factors, {wanted}, "attention::backward", argument, needs);
  };
  check_factors(options.sinks, q.extent(1), "options.sinks", "needs [heads]");
  check_factors(options.key_scales, k.extent(1), "options.key_scales", "needs [kv_heads]");
  check_factors(options.value_scales, k.extent(1), "options.value_scales", "needs [kv_heads]");
  const gradient_operands<Q, K, V, O, L, G, DQ, DK, DV> operands{q, k, v, out, lse, dout, dq, dk, dv};
  run_backward<T>(exec, operands, scale, options);
}

}  // namespace detail

template <executor Exec, mdspan_like Q, mdspan_like K, mdspan_like V, mdspan_like Out, mdspan_like Lse, mdspan_like DOut,
          mdspan_like DQ, mdspan_like DK, mdspan_like DV, class Mask = band, class Score = plain_score>
  requires(Q::rank() == 4 && K::rank() == 4 && V::rank() == 4 && Out::rank() == 4 && Lse::rank() == 3 && DOut::rank() == 4 &&
           DQ::rank() == 4 && DK::rank() == 4 && DV::rank() == 4)
void backward(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Lse& lse, const DOut& dout,
              const DQ& dq, const DK& dk, const DV& dv, const options<Mask, Score>& options = {}) {
  detail::backward<Exec, value_type_of<Q>, value_type_of<K>, value_type_of<V>, value_type_of<Out>, value_type_of<Lse>,
                   value_type_of<DOut>, value_type_of<DQ>, value_type_of<DK>, value_type_of<DV>>(exec, q, k, v, out, lse, dout,
                                                                                                 dq, dk, dv, options);
}

}  // namespace tessera::attention
