// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The stages of a score, by which its gradients are made: what was added by a bias or by ALiBi, and what became of it after.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/attention/score.hpp"
#include "tessera/core/config.hpp"
#include "tessera/numeric/lane.hpp"

namespace tessera::attention::detail {

/// Which score of a head, alone or in a chain, something is differentiated by.
template <class Head>
inline constexpr bool is_bias_head = false;
template <class B>
inline constexpr bool is_bias_head<bias_head<B>> = true;

template <class Stage, class Head>
struct has_stage : std::bool_constant<Stage::template is<Head>> {};
template <class Stage, class A, class B>
struct has_stage<Stage, chained_head<A, B>> : std::bool_constant<has_stage<Stage, A>::value || has_stage<Stage, B>::value> {};

struct of_bias {
  template <class Head>
  static constexpr bool is = is_bias_head<Head>;
};
struct of_slopes {
  template <class Head>
  static constexpr bool is = std::is_same_v<Head, alibi_head>;
};

/// A score whose derivative is not that by the product but that by what a stage of it gave: the rest of the chain's.
template <class Stage, class Head>
struct stage_score {
  Head head;

  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T s, lane_index<T> i, lane_index<T> j) const {
    return head(s, i, j);
  }
  template <class T>
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE T derivative(T s, lane_index<T> i, lane_index<T> j) const {
    return after(head, s, i, j);
  }

 private:
  template <class H, class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T after(const H&, T, lane_index<T>, lane_index<T>) {
    return T(lane_value<T>(1));
  }
  template <class A, class B, class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T after(const chained_head<A, B>& chain, T s, lane_index<T> i, lane_index<T> j) {
    if constexpr (has_stage<Stage, B>::value) {
      return after(chain.second, chain.first(s, i, j), i, j);
    } else {
      return chain.second.derivative(chain.first(s, i, j), i, j) * after(chain.first, s, i, j);
    }
  }
};

/// Where query 0 stands for the ALiBi of a head.
TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t alibi_offset(const alibi_head& head) { return head.offset; }
template <class A, class B>
TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t alibi_offset(const chained_head<A, B>& chain) {
  if constexpr (has_stage<of_slopes, B>::value) {
    return alibi_offset(chain.second);
  } else {
    return alibi_offset(chain.first);
  }
}

}  // namespace tessera::attention::detail
