// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "kernels.hpp"

#include <array>

#include "tessera/attention/forward.hpp"
#include "tessera/attention/rotary_tables.hpp"
#include "tessera/attention/rotate.hpp"
#include "tessera/online/extremum.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/random/beta.hpp"
#include "tessera/random/brownian.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/random/gamma.hpp"
#include "tessera/random/poisson.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/matmul.hpp"
#include "tessera/tile/nearest.hpp"
#include "tessera/tile/softmax_rows.hpp"
#include "tessera/tile/softmax_rows_backward.hpp"
#include "tessera/training/adam.hpp"
#include "tessera/training/average.hpp"
#include "tessera/training/lamb.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"
#include "tessera/training/unscale.hpp"

using tessera::view;

template <class Arch>
inline constexpr tessera::basic_par<Arch> on{};

template <class Arch>
void kernels<Arch>::nearest_codes(view<const float, 2> points, view<const float, 2> codes, view<int, 1> nearest,
                                  view<float, 2> smoothed) {
  tessera::contract(on<Arch>, points, codes, tessera::squared_distance{}, tessera::argmin{},
                    [&](std::int64_t i, const auto& best) { nearest(i) = best.where; });
  tessera::nearest(on<Arch>, points, codes, 1, view<int, 2>(nearest.data_handle(), nearest.extent(0), 1),
                   view<float, 2>(smoothed.data_handle(), nearest.extent(0), 1));
  tessera::contract(on<Arch>, points, codes, codes, tessera::gaussian{.sigma = 0.5}, tessera::softmax{}, smoothed);
}

template <class Arch>
void kernels<Arch>::product(view<const float, 2> a, view<const float, 2> b, view<float, 2> c) {
  tessera::matmul(on<Arch>, a, b, c);
}

template <class Arch>
void kernels<Arch>::self_attention(view<const tessera::bfloat16, 4> x, view<float, 4> out) {
  float tables[2][1024];
  const view<float, 2> cos(tables[0], x.extent(2), 2);
  const view<float, 2> sin(tables[1], x.extent(2), 2);
  tessera::attention::fill_rotary_tables(on<Arch>, cos, sin);
  const tessera::attention::rotary by{.cos = cos, .sin = sin};
  tessera::attention::forward(on<Arch>, x, x, x, out, {.mask = tessera::attention::causal, .rotary = by});
  tessera::attention::rotate(on<Arch>, out, out, by);
}

template <class Arch>
void kernels<Arch>::loss(view<const float, 2> points, view<const float, 2> codes, view<const int, 1> target, view<float, 1> loss,
                         view<float, 1> lse, view<float, 2> gradient) {
  const tessera::training::cross_entropy_options options{.reduce = tessera::training::reduction::none};
  tessera::training::linear_cross_entropy(on<Arch>, points, codes, target, loss, lse, options);
  float kept[1024];
  tessera::training::linear_cross_entropy_backward(on<Arch>, points, codes, target, lse, loss, gradient,
                                                   view<float, 2>(kept, codes.extent(0), codes.extent(1)), options);
  tessera::softmax_rows_backward(on<Arch>, gradient, points, gradient);
  tessera::softmax_rows(on<Arch>, gradient, gradient);
}

template <class Arch>
void kernels<Arch>::step(view<float, 1> weights, view<float, 1> gradients, view<float, 1> first, view<float, 1> second) {
  using list = std::array<view<float, 1>, 1>;
  const list g{{gradients}};
  tessera::training::unscale(on<Arch>, g, g, 2.0F);
  tessera::training::adamw(on<Arch>, list{{weights}}, g, list{{first}}, list{{second}}, 1);
  tessera::training::lamb(on<Arch>, list{{weights}}, g, list{{first}}, list{{second}}, 2);
  tessera::training::average(on<Arch>, list{{first}}, g, 0.5);
}

template <class Arch>
void kernels<Arch>::noise(view<float, 2> out) {
  tessera::random::fill_normal(on<Arch>, out[0], 1, 2);
  tessera::random::fill_gamma(on<Arch>, out[1], 0.5, 1.0, 1, 2);
  tessera::random::fill_poisson(on<Arch>, out[2], 30.0, 1, 2);
  tessera::random::fill_beta(on<Arch>, out[3], 0.5, 2.0, 1, 2);
  tessera::random::fill_brownian(on<Arch>, out[4], tessera::random::brownian_path{.seed = 1, .stream = 2}, 0.25);
}

template struct kernels<tessera::default_arch>;
