// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where the gradients of what else attention's options hold are written.
#pragma once

#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// Gradients of what else the options hold, where a view has data. float32; bias in its own type.
template <class B = float>
struct more_gradients {
  view<float, 1> sinks{};   ///< [heads] of options.sinks
  view<float, 1> slopes{};  ///< [heads] of the slopes of alibi, the score or one of a chain
  view<B, 4>
      bias{};  ///< [batch, heads, len_q, len_k] of additive_bias, the score or one of a chain; summed over axes of stride 0
};

}  // namespace tessera::attention
