// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A number as the text of an error shows it.
#pragma once

#include <cstdio>
#include <string>

namespace tessera::diffusion::detail {

/// std::to_string would print 1e-9 as 0.000000.
inline std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", x);
  return text;
}

}  // namespace tessera::diffusion::detail
