// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What stands where an argument of a layer is left out.
#pragma once

#include <cstddef>
#include <type_traits>

#include "tessera/tile/view.hpp"

namespace tessera::training {

/// The type of `absent`.
struct absent_t {};

/// In the place of an argument that a layer can do without: a bias, a gain, statistics that nobody will ask for, a gradient.
inline constexpr absent_t absent{};

/// A view of a rank, or absent.
template <class M, std::size_t Rank>
concept optional_view = std::is_same_v<M, absent_t> || (mdspan_like<M> && requires { requires M::rank() == Rank; });

namespace detail {

template <class M>
inline constexpr bool given = !std::is_same_v<M, absent_t>;

template <class M>
struct optional_value {
  using type = value_type_of<M>;
};
template <>
struct optional_value<absent_t> {
  using type = float;
};
/// The type of an argument's elements; float where there is none.
template <class M>
using optional_value_t = typename optional_value<M>::type;

/// The argument as a view of constants, or of what is written; null data where there is none.
template <std::size_t Rank, class M>
[[nodiscard]] TESSERA_ALWAYS_INLINE view<const optional_value_t<M>, Rank> readable(const M& m) {
  if constexpr (given<M>) {
    return m;
  } else {
    return {};
  }
}
template <std::size_t Rank, class M>
[[nodiscard]] TESSERA_ALWAYS_INLINE view<optional_value_t<M>, Rank> writable(const M& m) {
  if constexpr (given<M>) {
    return m;
  } else {
    return {};
  }
}

}  // namespace detail
}  // namespace tessera::training
