// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rotary embedding as an option of attention on a device: queries and keys are rotated into copies in scratch memory, which kernels then read as
/// they read what they are copies of; gradients of copies are rotated back where they lie.
///
/// Kernels that rotated rows as they load them would turn a row once for every tile that needs it, between a copy from memory and a product that
/// wait for nobody else; a copy costs one pass over what the products read many times.
#pragma once

#include <cstdint>

#include "tessera/attention/detail/rotation.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/cuda/attention/detail/rotate_kernel.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/workspace.cuh"

namespace tessera::cuda::attention::detail {

/// The sequences of a call, as positions need them.
struct rotated_call {
  std::int64_t batch = 0;
  std::int64_t head_dim = 0;
  row_counts queries{};
  row_counts keys{};
  tessera::attention::rotary by{};
};

/// How queries, or keys, of a call are rotated; where they lie is for the caller to fill in.
template <class In, class Out>
rotation_problem<In, Out> rotation_of(const rotated_call& call, bool of_queries, std::int64_t heads) {
  const auto& by = call.by;
  const std::int64_t first = of_queries && by.first_query ? *by.first_query : by.first_key;
  return {.batch = call.batch,
          .heads = heads,
          .columns = call.head_dim,
          .rows = of_queries ? call.queries : call.keys,
          .keys = call.keys,
          .by = {by.cos, by.sin, by.layout, by.first_dim, tessera::attention::detail::held_position(first)},
          .stand = of_queries && !by.first_query ? rows_stand::beside_keys : rows_stand::at_first};
}

/// The same rows, to be read.
template <class S>
tessera::attention::detail::sequence_rows<const S> constant(const tessera::attention::detail::sequence_rows<S>& rows) {
  tessera::attention::detail::sequence_rows<const S> result;
  result.data = rows.data;
  result.sequence = rows.sequence;
  result.head = rows.head;
  result.row = rows.row;
  result.offsets = rows.offsets;
  return result;
}

/// Queries, or keys, and the copy of them that is rotated, if they are to be: rows one after another, each at a multiple of 16 bytes.
template <class S>
class rotated_copy {
 public:
  rotated_copy(const rotated_call& call, bool of_queries, const row_place<const S>& from, std::int64_t heads)
      : p_(rotation_of<S, S>(call, of_queries, heads)),
        wanted_(call.by.rotates() && (of_queries ? call.by.queries : call.by.keys)) {
    p_.in = from;
    if (!wanted_) return;
    constexpr std::int64_t chunk = 16 / static_cast<std::int64_t>(sizeof(S));
    const std::int64_t row = (call.head_dim + chunk - 1) / chunk * chunk;
    p_.out.rows.row = row;
    p_.out.rows.head = p_.rows.most * row;
    p_.out.rows.sequence = p_.rows.offsets.null() ? heads * p_.out.rows.head : row;
    p_.out.rows.offsets = p_.rows.offsets;
    elements_ = (p_.rows.offsets.null() ? call.batch : 1) * heads * p_.out.rows.head;
  }

  /// Takes the memory, or counts it.
  void lay_out(bump& memory) {
    if (wanted_) p_.out.rows.data = memory.template take<S>(elements_);
  }
  /// Fills the copy, computed in T.
  template <class T>
  TESSERA_HIDDEN void make(const executor& exec, const char* function, const char* argument) const {
    if (wanted_) launch_rotation<T>(exec, p_, function, argument);
  }
  /// Where kernels read.
  [[nodiscard]] tessera::attention::detail::sequence_rows<const S> rows() const {
    return wanted_ ? constant(p_.out.rows) : p_.in.rows;
  }

 private:
  rotation_problem<S, S> p_;
  std::int64_t elements_ = 0;
  bool wanted_;
};

/// Gradients of rotated queries, or keys, become those of the rows as they are stored.
template <class T, class S>
TESSERA_HIDDEN void rotate_gradient_back(const executor& exec, const rotated_call& call, bool of_queries,
                                         const tessera::attention::detail::sequence_rows<S>& rows, std::int64_t heads,
                                         const char* function, const char* argument) {
  if (!call.by.rotates() || !(of_queries ? call.by.queries : call.by.keys)) return;
  rotation_problem<S, S> p = rotation_of<S, S>(call, of_queries, heads);
  p.in.rows = constant(rows);
  p.out.rows = rows;
  p.way = tessera::attention::detail::direction::back;
  launch_rotation<T>(exec, p, function, argument);
}

}  // namespace tessera::cuda::attention::detail
