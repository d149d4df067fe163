// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// uniform and uniform_open as laws.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random::detail {

template <class T>
struct half_open_law {
  using word = word_of<T>;
  using value = made_as<T>;
  static constexpr reads reading = reads::word;
  static constexpr bool repairs = false;

  TESSERA_HD TESSERA_ALWAYS_INLINE value operator()(word w) const noexcept { return half_open_grid<T>(w); }
};

template <class T>
struct open_law : half_open_law<T> {
  TESSERA_HD TESSERA_ALWAYS_INLINE made_as<T> operator()(word_of<T> w) const noexcept { return open_grid<T>(w); }
};

}  // namespace tessera::random::detail
