// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the fills of every device take.
#pragma once

#include <type_traits>

#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random::detail {

/// The view of anything like an mdspan.
template <mdspan_like Out>
auto view_of(const Out& out) {
  return view<typename Out::element_type, Out::rank()>(out);
}

/// The type of parameters for a view of these elements.
template <class Out>
using parameter = made_as<std::remove_const_t<typename Out::element_type>>;

}  // namespace tessera::random::detail
