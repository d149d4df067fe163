// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What every contraction asks of its arguments, on every device.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::tile::detail {

/// What errors call the function and its arguments.
struct argument_names {
  const char* function = "contract";
  const char* queries = "queries";
  const char* keys = "keys";
  const char* values = "values";
  const char* out = "out";
};

/// Arguments that every contraction needs.
template <class T, class Q, class K>
TESSERA_ALWAYS_INLINE void check_contraction(const argument_names& names, const view<const Q, 2>& queries,
                                             const view<const K, 2>& keys) {
  using tessera::detail::expects;
  const char* const function = names.function;
  tessera::detail::check_operand(queries, function, names.queries);
  tessera::detail::check_operand(keys, function, names.keys);
  expects(
      queries.extent(1) == keys.extent(1), function, names.keys,
      [&] { return "depth " + std::to_string(keys.extent(1)) + " beside queries of depth " + std::to_string(queries.extent(1)); },
      "needs [keys, depth] with the queries' depth");
  constexpr std::int64_t most = (std::int64_t{1} << 31) - 1024;
  if constexpr (sizeof(T) == 4) {
    expects(
        queries.extent(0) < most && keys.extent(0) < most, function, "queries, keys",
        [&] { return tessera::detail::shape(queries) + ", " + tessera::detail::shape(keys); }, "needs fewer than 2^31 rows each");
  }
}

/// Arguments that a score brings along, in the compute type and with the reducer's unit.
template <class T, class Score, class Reducer>
TESSERA_ALWAYS_INLINE void check_score(const char* function, const Score& score, const Reducer&, std::int64_t n, std::int64_t m) {
  using tessera::detail::expects;
  const auto finite = [](T x) { return x - x == T(0); };
  if constexpr (requires { score.query_scale(); }) {
    expects(
        finite(static_cast<T>(score.query_scale() * tessera::detail::unit_of<Reducer>)), function, "score.scale",
        [&] { return tessera::detail::number(score.query_scale()); }, "needs a factor that is finite in the compute type");
  }
  if constexpr (requires { score.sigma; }) {
    const T factor = static_cast<T>(score.distance_factor() * tessera::detail::unit_of<Reducer>);
    expects(
        score.sigma > 0 && score.sigma - score.sigma == 0 && finite(factor), function, "score.sigma",
        [&] { return tessera::detail::number(score.sigma); },
        "needs a positive, finite width whose -1 / (2 sigma^2) is finite in the compute type");
  }
  if constexpr (requires { score.bias.extent(0); }) {
    expects(
        score.bias.extent(0) == n && score.bias.extent(1) == m, function, "score.bias",
        [&] { return "shape " + tessera::detail::shape(score.bias); }, "needs [queries, keys]");
    expects(
        score.bias.size() == 0 || score.bias.data_handle() != nullptr, function, "score.bias",
        [&] { return "null data of shape " + tessera::detail::shape(score.bias); }, "needs a pointer to its elements");
  }
}

/// Arguments of a contraction with values.
template <class T, class Q, class K, class V, class O, class Score, class Reducer>
TESSERA_ALWAYS_INLINE void check_weighted_contraction(const argument_names& names, const view<const Q, 2>& q,
                                                      const view<const K, 2>& k, const view<const V, 2>& v, const view<O, 2>& o,
                                                      const Score& score, const Reducer& reducer) {
  using tessera::detail::expects;
  const char* const function = names.function;
  check_contraction<T>(names, q, k);
  check_score<T>(function, score, reducer, q.extent(0), k.extent(0));
  tessera::detail::check_operand(v, function, names.values);
  tessera::detail::check_output(o, function, names.out);
  expects(
      v.extent(0) == k.extent(0), function, names.values,
      [&] { return std::to_string(v.extent(0)) + " rows beside " + std::to_string(k.extent(0)) + " keys"; },
      "needs one value a key");
  expects(
      o.extent(0) == q.extent(0) && o.extent(1) == v.extent(1), function, names.out,
      [&] { return "shape " + tessera::detail::shape(o); }, "needs [queries, value_dim]");
  tessera::detail::check_disjoint(o, q, function, names.out, names.queries);
  tessera::detail::check_disjoint(o, k, function, names.out, names.keys);
  tessera::detail::check_disjoint(o, v, function, names.out, names.values);
  if constexpr (requires { score.bias.extent(0); }) {
    tessera::detail::check_disjoint(o, score.bias, function, names.out, "score.bias");
  }
}

}  // namespace tessera::tile::detail
