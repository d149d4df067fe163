// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// In which arithmetic attention adds up: chosen by type, for those whose keys are many or whose terms cancel.
#pragma once

#include <type_traits>

namespace tessera::attention {

/// In the compute type of the inputs: float64 if one of them is, else float32.
struct plain_sums {
  template <class T>
  using compute = T;
  static constexpr bool keeps_lost = false;
};

/// Scores, weights and sums in float64, whatever the storage.
struct float64_sums {
  template <class T>
  using compute = double;
  static constexpr bool keeps_lost = false;
};

/// In the compute type, and what the sums over chunks of keys lose by rounding is kept beside them: no error grows with the number of keys.
struct compensated_sums {
  template <class T>
  using compute = T;
  static constexpr bool keeps_lost = true;
};

inline constexpr plain_sums in_compute_type{};
inline constexpr float64_sums in_float64{};
inline constexpr compensated_sums compensated{};

namespace detail {

/// What a call computes in whose inputs are computed in T….
template <class Accumulation, class... T>
using accumulated_t = typename Accumulation::template compute<std::common_type_t<T...>>;

}  // namespace detail
}  // namespace tessera::attention
