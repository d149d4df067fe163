// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "nearest.hpp"

#include "tessera/online/extremum.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/contraction.hpp"

template <class Arch>
void nearest_codes(tessera::view<const float, 2> points, tessera::view<const float, 2> codes, tessera::view<int, 1> nearest,
                   tessera::view<float, 2> smoothed) {
  const tessera::basic_seq<Arch> exec;
  tessera::contract(exec, points, codes, tessera::squared_distance{}, tessera::argmin{},
                    [&](std::int64_t i, const auto& best) { nearest(i) = best.where; });
  tessera::contract(exec, points, codes, codes, tessera::gaussian{.sigma = 0.5}, tessera::softmax{}, smoothed);
}

template void nearest_codes<tessera::default_arch>(tessera::view<const float, 2>, tessera::view<const float, 2>,
                                                   tessera::view<int, 1>, tessera::view<float, 2>);
