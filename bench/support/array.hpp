// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The operands of a case: arrays that own their memory, and normal numbers in them.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <new>

#include "tessera/exec/exec.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/tile/view.hpp"

namespace bench {

using tessera::view;

/// A contiguous view with memory of its own, on a cache line as every array library has it.
template <class T, std::size_t Rank>
class array : public tessera::view<T, Rank> {
 public:
  template <std::convertible_to<std::int64_t>... Extents>
  explicit array(Extents... extents)
      : tessera::view<T, Rank>(new(line) T[static_cast<std::size_t>((std::int64_t{extents} * ...))], extents...),
        owner_(this->data_handle()) {}

 private:
  static constexpr std::align_val_t line{64};
  struct release {
    void operator()(T* p) const { ::operator delete[](p, line); }
  };
  std::unique_ptr<T[], release> owner_;
};

/// An array of normal numbers, the same on every machine.
template <class T, std::convertible_to<std::int64_t>... Extents>
array<T, sizeof...(Extents)> normal(std::uint64_t seed, Extents... extents) {
  array<T, sizeof...(Extents)> result(extents...);
  tessera::random::fill_normal(tessera::par, result, seed, 0);
  return result;
}

}  // namespace bench
