// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a caller may choose about attention.
#pragma once

#include <optional>

#include "tessera/attention/accumulation.hpp"
#include "tessera/attention/dropout.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/rotary.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// `{.mask = causal}` where a call expects options; `options{.mask = causal & documents{…}, .score = softcap{50}}` for other types.
template <class Mask = band, class Score = plain_score, class Accumulation = plain_sums>
struct options {
  std::optional<double> scale{};        ///< factor of q . k; 1 / sqrt(head_dim) when not given
  Mask mask{};                          ///< which keys a query sees: mask.hpp, or a callable (b, h, i, j)
  Score score{};                        ///< what becomes of the scaled product: score.hpp, or a callable (s, b, h, i, j)
  view<const float, 1> sinks{};         ///< [heads] a logit for each head that every row sees and that has no value; null: none
  view<const float, 1> key_scales{};    ///< [kv_heads] what the keys of a head are multiplied by (float8 storage); null: 1
  view<const float, 1> value_scales{};  ///< [kv_heads] the same of values
  attention::rotary rotary{};           ///< rotary position embedding of queries and keys; null tables: none
  attention::dropout dropout{};         ///< weights that are struck out at random, the same in every pass; a rate of 0: none
  Accumulation accumulation{};          ///< what sums are made in: accumulation.hpp
};

}  // namespace tessera::attention
