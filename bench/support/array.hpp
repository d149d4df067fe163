// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The operands of a case: arrays that own their memory, normal numbers in them, and conversion between storage types.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <memory>
#include <new>

#include "tessera/exec/exec.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/simd/load.hpp"
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

/// to = from, whichever of the two is narrower: what a peer without 16-bit kernels needs before and after. At Tessera's speed, so that
/// the peer is not charged for a slow loop.
template <class From, class To, std::size_t Rank>
void convert(const tessera::basic_par<>& par, const array<From, Rank>& from, array<To, Rank>& to) {
  using P = tessera::simd::pack<float>;
  constexpr std::int64_t part = 64 * 1024;
  par.for_each((from.size() + part - 1) / part, [&](int, std::int64_t p) {
    const std::int64_t last = std::min((p + 1) * part, from.size());
    std::int64_t i = p * part;
    for (; i + P::lanes <= last; i += P::lanes) {
      tessera::simd::store_as(to.data_handle() + i, tessera::simd::load_as<P>(from.data_handle() + i));
    }
    for (; i < last; ++i) to.data_handle()[i] = static_cast<To>(static_cast<float>(from.data_handle()[i]));
  });
}

}  // namespace bench
