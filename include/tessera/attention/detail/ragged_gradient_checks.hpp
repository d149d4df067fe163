// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What attention's backward of a ragged batch asks of its arguments.
#pragma once

#include <cstdint>

#include "tessera/attention/detail/gradient_checks.hpp"
#include "tessera/attention/detail/gradient_operands.hpp"
#include "tessera/attention/detail/sequence_checks.hpp"
#include "tessera/attention/ragged_sequences.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Refuses an output that shares memory with an input or with offsets.
template <class Arch, class X, class Operands>
void check_apart_from_ragged(const X& x, const Operands& of, const ragged& at, const char* function, const char* argument) {
  check_apart_from_inputs<Arch>(x, of, function, argument);
  tessera::detail::check_disjoint(x, at.query_offsets.bytes(), function, argument, "ragged.query_offsets");
  tessera::detail::check_disjoint(x, at.key_offsets.bytes(), function, argument, "ragged.key_offsets");
}

/// Refuses arrays that do not fit together; inputs are checked before.
template <class Arch, class Operands>
void check_ragged_gradients(const Operands& x, const ragged& at, const char* function) {
  using tessera::detail::check_disjoint;
  tessera::detail::check_operand(x.out, function, "out");
  tessera::detail::check_operand(x.dout, function, "dout");
  const auto alike = [&](const auto& a, std::int64_t heads, std::int64_t total, std::int64_t dim, const char* argument,
                         const char* needs) { check_extents(a, {heads, total, dim}, function, argument, needs); };
  const std::int64_t heads = x.q.extent(0);
  const std::int64_t total_q = x.q.extent(1);
  alike(x.out, heads, total_q, x.v.extent(2), "out", "needs [heads, total_q, value_dim]");
  alike(x.dout, heads, total_q, x.v.extent(2), "dout", "needs [heads, total_q, value_dim]");
  check_extents(x.lse, {heads, total_q}, function, "lse", "needs [heads, total_q]");
  alike(x.dq, heads, total_q, x.q.extent(2), "dq", "needs q's shape");
  alike(x.dk, x.k.extent(0), x.k.extent(1), x.k.extent(2), "dk", "needs k's shape");
  alike(x.dv, x.v.extent(0), x.v.extent(1), x.v.extent(2), "dv", "needs v's shape");
  tessera::detail::check_output(x.dq, function, "dq");
  tessera::detail::check_output(x.dk, function, "dk");
  tessera::detail::check_output(x.dv, function, "dv");
  check_apart_from_ragged<Arch>(x.dq, x, at, function, "dq");
  check_apart_from_ragged<Arch>(x.dk, x, at, function, "dk");
  check_apart_from_ragged<Arch>(x.dv, x, at, function, "dv");
  check_disjoint(x.dk, x.dq, function, "dk", "dq");
  check_disjoint(x.dv, x.dq, function, "dv", "dq");
  check_disjoint(x.dv, x.dk, function, "dv", "dk");
}

/// Refuses what does not fit together.
template <class Arch, class Operands>
void check_ragged_backward(const Operands& x, const ragged& at, const char* function) {
  check_ragged_inputs<Arch>(function, x.q, x.k, x.v, at.query_offsets, at.key_offsets);
  check_ragged_gradients<Arch>(x, at, function);
}

/// Refuses a gradient of sinks that are not there, or that does not fit; null: it is not wanted.
template <class Arch, class Operands, class Options>
void check_sinks_of_ragged(const Operands& operands, const ragged& at, const Options& options, const view<float, 1>& dsinks,
                           const char* function) {
  using tessera::detail::check_disjoint;
  if (dsinks.data_handle() != nullptr) {
    tessera::detail::expects(
        options.sinks.data_handle() != nullptr, function, "dsinks", [] { return "given"; }, "needs options.sinks, too");
    check_extents(dsinks, {operands.q.extent(0)}, function, "dsinks", "needs [heads]");
    tessera::detail::check_distinct(dsinks, function, "dsinks");
    check_apart_from_ragged<Arch>(dsinks, operands, at, function, "dsinks");
    check_disjoint(dsinks, operands.dq, function, "dsinks", "dq");
    check_disjoint(dsinks, operands.dk, function, "dsinks", "dk");
    check_disjoint(dsinks, operands.dv, function, "dsinks", "dv");
  }
}

}  // namespace tessera::attention::detail
