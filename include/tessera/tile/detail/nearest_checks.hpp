// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a search for neighbours asks of its arguments, on every device.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/detail/contraction_checks.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {

/// The most neighbours that `nearest` finds.
inline constexpr std::int64_t most_nearest = 128;

namespace tile::detail {

/// Refuses a result that does not hold k numbers a query. No lambda: its name would tell of no instruction set.
template <class Out, class Q, class K>
TESSERA_ALWAYS_INLINE void check_nearest_result(const view<Out, 2>& out, const view<const Q, 2>& q, const view<const K, 2>& x,
                                                std::int64_t k, const char* function, const char* name) {
  tessera::detail::check_readable(out, function, name);
  tessera::detail::check_distinct(out, function, name);
  tessera::detail::expects(
      out.extent(0) == q.extent(0) && out.extent(1) == k, function, name, [&] { return "shape " + tessera::detail::shape(out); },
      "needs [queries, k]");
  tessera::detail::check_disjoint(out, q, function, name, "queries");
  tessera::detail::check_disjoint(out, x, function, name, "keys");
}

template <class T, class Q, class K, class Index, class Distance>
TESSERA_ALWAYS_INLINE void check_nearest(const view<const Q, 2>& q, const view<const K, 2>& x, std::int64_t k,
                                         const view<Index, 2>& where, const view<Distance, 2>& score) {
  using tessera::detail::expects;
  const char* const function = "nearest";
  check_contraction<T>({.function = function}, q, x);
  expects(k >= 1 && k <= most_nearest, function, "k", [&] { return std::to_string(k); }, "needs a count from 1 to 128");
  check_nearest_result(where, q, x, k, function, "indices");
  check_nearest_result(score, q, x, k, function, "distances");
  tessera::detail::check_disjoint(where, score, function, "indices", "distances");
  if constexpr (sizeof(Index) < 8) {
    constexpr auto most = static_cast<std::int64_t>(static_cast<std::make_unsigned_t<Index>>(-1) / 2);
    expects(
        x.extent(0) - 1 <= most, function, "indices", [&] { return "numbers up to " + std::to_string(most); },
        "needs a type that holds the index of every key");
  }
}

}  // namespace tile::detail
}  // namespace tessera
