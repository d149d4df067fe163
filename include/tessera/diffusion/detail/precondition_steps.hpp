// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What a preconditioning does to one element, on any device.
#pragma once

#include "tessera/core/config.hpp"

namespace tessera::diffusion::detail {

/// c_in x, as the network takes it.
template <class S>
struct scaled_input {
  double c_in;

  template <class T>
  TESSERA_HD S operator()(T x) const {
    return static_cast<S>(c_in * static_cast<double>(x));
  }
};

/// c_skip x + c_out F.
struct skip_and_output {
  double c_skip;
  double c_out;

  template <class T, class S>
  TESSERA_HD T operator()(T x, S raw) const {
    return static_cast<T>(c_skip * static_cast<double>(x) + c_out * static_cast<double>(raw));
  }
};

}  // namespace tessera::diffusion::detail
