// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Adam's and AdamW's numbers for a step, and its rule for one weight: for numbers and packs, on host and device.
#pragma once

#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/training/detail/optimizer_checks.hpp"
#include "tessera/training/optimizer_options.hpp"

namespace tessera::training::detail {

/// One weight's step, in float32 or float64; the same bits on a CPU with fma and on a device.
template <class T, bool Decoupled>
struct adam_rule {
  T factor;
  T one_less_beta1;
  T beta2;
  T one_less_beta2;
  T root_factor;  ///< 1 / sqrt(1 - beta2^step)
  T epsilon;
  T step_size;  ///< rate / (1 - beta1^step)
  T decay;      ///< decoupled: 1 - rate weight_decay, to multiply weights by; else weight_decay, to add to gradients

  TESSERA_HD static adam_rule of(const adam_options& o, std::int64_t step) {
    using tessera::detail::rounded_product;  // nvcc would fuse plain products with the differences
    const double left1 = 1 - rounded_product(integer_power(o.beta1, step), 1.0);
    const double left2 = 1 - rounded_product(integer_power(o.beta2, step), 1.0);
    return {.factor = static_cast<T>(o.gradient_factor),
            .one_less_beta1 = static_cast<T>(1 - o.beta1),
            .beta2 = static_cast<T>(o.beta2),
            .one_less_beta2 = static_cast<T>(1 - o.beta2),
            .root_factor = static_cast<T>(1 / tessera::sqrt(left2)),
            .epsilon = static_cast<T>(o.epsilon),
            .step_size = static_cast<T>(o.rate / left1),
            .decay = static_cast<T>(Decoupled ? 1 - rounded_product(o.rate, o.weight_decay) : o.weight_decay)};
  }

  template <class N>
  TESSERA_HD TESSERA_ALWAYS_INLINE N operator()(N weight, N gradient, N (&moments)[2]) const {
    using tessera::fma;
    using tessera::sqrt;
    N g = tessera::detail::rounded_product(gradient, N(factor));
    if constexpr (!Decoupled) g = fma(N(decay), weight, g);
    moments[0] = fma(g - moments[0], N(one_less_beta1), moments[0]);
    moments[1] = fma(g * N(one_less_beta2), g, moments[1] * N(beta2));
    const N ratio = moments[0] / fma(sqrt(moments[1]), N(root_factor), N(epsilon));
    if constexpr (Decoupled) weight = weight * N(decay);
    return fma(N(-step_size), ratio, weight);
  }
};

TESSERA_ALWAYS_INLINE void check_options(const adam_options& o, const char* function) {
  check_rate(function, o.rate);
  check_beta(function, "options.beta1", o.beta1);
  check_beta(function, "options.beta2", o.beta2);
  check_at_least_0(function, "options.epsilon", o.epsilon);
  check_at_least_0(function, "options.weight_decay", o.weight_decay);
  check_finite(function, "options.gradient_factor", o.gradient_factor);
}

}  // namespace tessera::training::detail
