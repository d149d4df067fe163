// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What conversions of views are told, on any device.
#pragma once

#include "tessera/numeric/round_to.hpp"

namespace tessera {

struct convert_options {
  /// What a number becomes that Out cannot hold: infinity (in float8_e4m3, NaN), or its largest finite value.
  tessera::overflow overflow = tessera::overflow::ieee;
};

}  // namespace tessera
