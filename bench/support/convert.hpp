// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// 16-bit arrays to float32 and back: what a peer without 16-bit kernels needs around it. At Tessera's speed, so that the peer is
/// not charged for somebody's slow loop.
#pragma once

#include <algorithm>
#include <cstdint>

#include "support/harness.hpp"
#include "tessera/simd/load.hpp"

namespace bench {

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
