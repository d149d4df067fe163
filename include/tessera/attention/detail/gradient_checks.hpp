// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What attention's backward asks of its arguments.
#pragma once

#include <cstdint>

#include "tessera/attention/detail/checks.hpp"
#include "tessera/attention/detail/gradient_operands.hpp"
#include "tessera/attention/detail/score_stages.hpp"
#include "tessera/attention/more_gradients.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Refuses an output that shares memory with an input. With the architecture in its name: it is too long to be inlined everywhere.
template <class Arch, class X, class Operands>
void check_apart_from_inputs(const X& x, const Operands& of, const char* function, const char* argument) {
  using tessera::detail::check_disjoint;
  check_disjoint(x, of.q, function, argument, "q");
  check_disjoint(x, of.k, function, argument, "k");
  check_disjoint(x, of.v, function, argument, "v");
  check_disjoint(x, of.out, function, argument, "out");
  check_disjoint(x, of.lse, function, argument, "lse");
  check_disjoint(x, of.dout, function, argument, "dout");
}

/// Refuses what does not fit together.
template <class Arch, class Operands>
void check_backward(const Operands& x, const char* function) {
  using tessera::detail::check_disjoint;
  using tessera::detail::check_operand;
  using tessera::detail::check_output;
  check_inputs(function, x.q, x.k, x.v);
  check_operand(x.out, function, "out");
  tessera::detail::check_readable(x.lse, function, "lse");
  check_operand(x.dout, function, "dout");
  check_output(x.dq, function, "dq");
  check_output(x.dk, function, "dk");
  check_output(x.dv, function, "dv");
  check_rows(function, x.out, "out", x.q, x.v);
  check_rows(function, x.dout, "dout", x.q, x.v);
  check_extents(x.lse, {x.q.extent(0), x.q.extent(1), x.q.extent(2)}, function, "lse", "needs [batch, heads, len_q]");
  const auto alike = [&](const auto& a, const auto& b, const char* argument, const char* needs) {
    check_extents(a, {b.extent(0), b.extent(1), b.extent(2), b.extent(3)}, function, argument, needs);
  };
  alike(x.dq, x.q, "dq", "needs q's shape");
  alike(x.dk, x.k, "dk", "needs k's shape");
  alike(x.dv, x.v, "dv", "needs v's shape");
  check_apart_from_inputs<Arch>(x.dq, x, function, "dq");
  check_apart_from_inputs<Arch>(x.dk, x, function, "dk");
  check_apart_from_inputs<Arch>(x.dv, x, function, "dv");
  check_disjoint(x.dk, x.dq, function, "dk", "dq");
  check_disjoint(x.dv, x.dq, function, "dv", "dq");
  check_disjoint(x.dv, x.dk, function, "dv", "dk");
}

/// Refuses gradients of what the options do not hold, or that do not fit.
template <class Arch, class Operands, class Options, class B>
void check_more_gradients(const Operands& operands, const Options& options, const more_gradients<B>& more, const char* function) {
  using tessera::detail::check_disjoint;
  using tessera::detail::expects;
  using score_head = decltype(score_of(options.score, 0, 0, 0, 0));
  const auto& [q, k, v, out, lse, dout, dq, dk, dv] = operands;
  const auto check_more = [&](const auto& x, const char* argument) {
    tessera::detail::check_distinct(x, function, argument);
    check_apart_from_inputs<Arch>(x, operands, function, argument);
    check_disjoint(x, dq, function, argument, "dq");
    check_disjoint(x, dk, function, argument, "dk");
    check_disjoint(x, dv, function, argument, "dv");
  };
  if (more.sinks.data_handle() != nullptr) {
    expects(options.sinks.data_handle() != nullptr, function, "more.sinks", [] { return "given"; }, "needs options.sinks, too");
    check_extents(more.sinks, {q.extent(1)}, function, "more.sinks", "needs [heads]");
    check_more(more.sinks, "more.sinks");
  }
  if (more.slopes.data_handle() != nullptr) {
    expects(has_stage<of_slopes, score_head>::value, function, "more.slopes", [] { return "given"; }, "needs a score with alibi");
    check_extents(more.slopes, {q.extent(1)}, function, "more.slopes", "needs [heads]");
    check_more(more.slopes, "more.slopes");
  }
  if (more.bias.data_handle() != nullptr) {
    expects(
        has_stage<of_bias, score_head>::value, function, "more.bias", [] { return "given"; }, "needs a score with additive_bias");
    check_extents(more.bias, {q.extent(0), q.extent(1), q.extent(2), k.extent(2)}, function, "more.bias",
                  "needs [batch, heads, len_q, len_k]");
    std::int64_t extents[4];
    std::int64_t strides[4];
    for (std::size_t r = 0; r < 4; ++r) {
      strides[r] = more.bias.stride(r);
      extents[r] = strides[r] == 0 ? std::min<std::int64_t>(more.bias.extent(r), 1) : more.bias.extent(r);
    }
    const view<B, 4> written(more.bias.data_handle(), extents, strides);
    check_more(written, "more.bias");
    if (more.sinks.data_handle() != nullptr) check_disjoint(written, more.sinks, function, "more.bias", "more.sinks");
    if (more.slopes.data_handle() != nullptr) check_disjoint(written, more.slopes, function, "more.bias", "more.slopes");
  }
  if (more.sinks.data_handle() != nullptr && more.slopes.data_handle() != nullptr) {
    check_disjoint(more.slopes, more.sinks, function, "more.slopes", "more.sinks");
  }
}

}  // namespace tessera::attention::detail
