// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Activations as values: a function of a number or a pack, and its gradient.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/detail/exact_product.hpp"
#include "tessera/numeric/detail/gaussian_tail.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/gelu.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/sigmoid.hpp"

namespace tessera::training {
namespace detail {

/// s + y s(-z) s(z), the derivative of x s(z) for y = x z'(x): s(z) = 1 / (1 + e^-z), e = e^-|z|.
template <class T>
TESSERA_HD TESSERA_ALWAYS_INLINE T gated_derivative(T x, T y, T e) {
  using V = lane_value<T>;
  const T inverse = T(V(1)) / (T(V(1)) + e);
  const T rest = e * inverse;  // s(-|z|)
  return fma(y * rest, inverse, select(x < T(V(0)), rest, inverse));
}

}  // namespace detail

/// An activation f is an object with f(x) and f.gradient(x, g) = g f'(x), both of numbers and packs of float and double.
///
/// Special values  gradients: at NaN NaN, at infinities what f' tends to, 0 or g
/// Accuracy        |error| <= 8 u |g| (s + |x| s') for f(x) = x s(x), plus the smallest normal number (relu: none); f: that of the function
///                 of its name. test/training/activations.cpp
namespace activation {

/// f(x) = x.
struct identity {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return x;
  }
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T gradient(T, T g) const {
    return g;
  }
};

/// f(x) = max(0, x), -0 stays. Its gradient at 0 is 0; where x < 0 it is 0 whatever g is.
struct relu {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return max(T(lane_value<T>(0)), x);
  }
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T gradient(T x, T g) const {
    const T zero(lane_value<T>(0));
    return select(x > zero, g, select(x <= zero, zero, x));
  }
};

/// f(x) = x / (1 + e^-x): tessera::silu.
struct silu {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::silu(x);
  }
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T gradient(T x, T g) const {
    using V = lane_value<T>;
    const T a = min(T(V(sizeof(V) == 4 ? 110 : 760)), lane<T>::abs(x));  // beyond, e^-a is 0, and an infinity times it were NaN
    return g * detail::gated_derivative(x, copysign(a, x), exp(-a));
  }
};

/// f(x) = x Phi(x), Phi the distribution function of the normal distribution: tessera::gelu.
struct gelu {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::gelu(x);
  }
  /// f'(x) = Phi(x) + x phi(x).
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T gradient(T x, T g) const {
    using V = lane_value<T>;
    using tail = tessera::detail::normal_tail;
    const T a = min(T(tail::end<V>), lane<T>::abs(x));
    T high, low, power, half, half_low;
    tessera::detail::gaussian_tail<tail>(a, high, low, power);
    tail::exponent(a, half, half_low);
    const T below = (high + low) * power;
    const T density = exp(-half) * (T(V(1)) - half_low) * T(V(0.39894228040143267794));
    return g * fma(copysign(a, x), density, select(x < T(V(0)), below, T(V(1)) - below));
  }
};

/// f(x) = x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): tessera::gelu_tanh.
struct gelu_tanh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::gelu_tanh(x);
  }
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T gradient(T x, T g) const {
    using V = lane_value<T>;
    const T a = min(T(V(sizeof(V) == 4 ? 11 : 21.65)), lane<T>::abs(x));
    T high, low;
    tessera::detail::gelu_tanh_exponent(a, high, low);
    const T e = exp(-high) * (T(V(1)) - low);
    const T slope = fma(a * a, T(V(0.21406444881780074633)), T(V(1.59576912160573071176)));  // of the exponent
    return g * detail::gated_derivative(x, copysign(a, x) * slope, e);
  }
};

}  // namespace activation
}  // namespace tessera::training
