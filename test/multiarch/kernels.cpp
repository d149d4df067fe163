// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "kernels.hpp"

#include "tessera/attention/forward.hpp"
#include "tessera/online/extremum.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/matmul.hpp"

using tessera::view;

template <class Arch>
inline constexpr tessera::basic_par<Arch> on{};

template <class Arch>
void kernels<Arch>::nearest_codes(view<const float, 2> points, view<const float, 2> codes, view<int, 1> nearest,
                                  view<float, 2> smoothed) {
  tessera::contract(on<Arch>, points, codes, tessera::squared_distance{}, tessera::argmin{},
                    [&](std::int64_t i, const auto& best) { nearest(i) = best.where; });
  tessera::contract(on<Arch>, points, codes, codes, tessera::gaussian{.sigma = 0.5}, tessera::softmax{}, smoothed);
}

template <class Arch>
void kernels<Arch>::product(view<const float, 2> a, view<const float, 2> b, view<float, 2> c) {
  tessera::matmul(on<Arch>, a, b, c);
}

template <class Arch>
void kernels<Arch>::self_attention(view<const tessera::bfloat16, 4> x, view<float, 4> out) {
  tessera::attention::forward(on<Arch>, x, x, x, out, {.mask = tessera::attention::causal});
}

template <class Arch>
void kernels<Arch>::noise(view<float, 1> out) {
  tessera::random::fill_normal(on<Arch>, out, 1, 2);
}

template struct kernels<tessera::default_arch>;
