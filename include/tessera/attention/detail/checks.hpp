// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What every call of attention asks of its arguments. Always inlined: the names carry no architecture.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "tessera/attention/detail/whole_place.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention::detail {

/// Refuses q, k and v whose shapes do not belong together.
template <class Q, class K, class V>
TESSERA_ALWAYS_INLINE void check_inputs(const char* function, const view<const Q, 4>& q, const view<const K, 4>& k,
                                        const view<const V, 4>& v) {
  using tessera::detail::check_operand;
  using tessera::detail::expects;
  using tessera::detail::shape;
  check_operand(q, function, "q");
  check_operand(k, function, "k");
  check_operand(v, function, "v");
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
}

/// Refuses x of another shape than the output has.
template <class X, class Q, class V>
TESSERA_ALWAYS_INLINE void check_rows(const char* function, const view<X, 4>& x, const char* argument, const view<const Q, 4>& q,
                                      const view<const V, 4>& v) {
  check_extents(x, {q.extent(0), q.extent(1), q.extent(2), v.extent(3)}, function, argument,
                "needs [batch, heads, len_q, value_dim]");
}

/// Refuses factors of heads in another number; null ones are none.
TESSERA_ALWAYS_INLINE void check_factors(const view<const float, 1>& factors, std::int64_t wanted, const char* function,
                                         const char* argument, const char* needs) {
  if (factors.data_handle() != nullptr) check_extents(factors, {wanted}, function, argument, needs);
}

/// Refuses a rate that is none, and pairs that have no address.
template <class Options>
TESSERA_ALWAYS_INLINE void check_dropout(const char* function, const Options& options, std::int64_t heads, std::int64_t len_q,
                                         std::int64_t len_k) {
  const double rate = options.dropout.rate;
  tessera::detail::expects(
      rate >= 0 && rate < 1, function, "options.dropout.rate", [&] { return tessera::detail::number(rate); },
      "needs a probability from 0 to below 1");
  if (!options.dropout.active()) return;
  const whole_place place = place_in_whole(options.mask, len_q);
  constexpr std::int64_t most = std::int64_t{1} << 32;
  const std::int64_t rows = place.len_q > 0 && heads > most / place.len_q ? most + 1 : heads * place.len_q;
  tessera::detail::expects(
      rows <= most && place.first_key + len_k <= most, function, "options.dropout",
      [&] {
        return std::to_string(heads) + " heads of " + std::to_string(place.len_q) + " queries beside " +
               std::to_string(place.first_key + len_k) + " keys";
      },
      "needs at most 2^32 rows and 2^32 keys");
}

/// Refuses options that belong to no call with such heads, computed in T; the factor of q . k.
template <class T, class Mask, class Score, class Accumulation>
TESSERA_ALWAYS_INLINE double check_head_options(const char* function, std::int64_t heads, std::int64_t kv_heads,
                                                std::int64_t head_dim, const options<Mask, Score, Accumulation>& options) {
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(head_dim, 1))));
  tessera::detail::expects(
      std::isfinite(static_cast<T>(scale * softmax::unit)), function, "options.scale",
      [&] { return tessera::detail::number(scale); }, "needs a factor that is finite in the compute type");
  check_factors(options.sinks, heads, function, "options.sinks", "needs [heads]");
  check_factors(options.key_scales, kv_heads, function, "options.key_scales", "needs [kv_heads]");
  check_factors(options.value_scales, kv_heads, function, "options.value_scales", "needs [kv_heads]");
  check_rotary_tables(function, options.rotary, head_dim);
  return scale;
}

/// Refuses options that do not belong to q and k, computed in T; the factor of q . k.
template <class T, class Q, class K, class Mask, class Score, class Accumulation>
TESSERA_ALWAYS_INLINE double check_options(const char* function, const view<const Q, 4>& q, const view<const K, 4>& k,
                                           const options<Mask, Score, Accumulation>& options) {
  const double scale = check_head_options<T>(function, q.extent(1), k.extent(1), q.extent(3), options);
  const sizes call{q.extent(0), q.extent(1), q.extent(2), k.extent(2)};
  check_part(options.mask, function, call);
  check_part(options.score, function, call);
  check_rotary_positions(function, options.rotary, q.extent(2), k.extent(2));
  check_dropout(function, options, q.extent(0) * q.extent(1), call.len_q, call.len_k);
  return scale;
}

}  // namespace tessera::attention::detail
