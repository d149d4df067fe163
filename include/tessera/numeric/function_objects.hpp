// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The functions of functions.hpp as objects, for what maps one over an array: `simd::transform_rounded(x, y, n, function::tanh{})`.
#pragma once

#include "tessera/core/config.hpp"
#include "tessera/numeric/functions.hpp"

/// Each object calls the function of its name, of whatever it is given: a number, a pack, a 16-bit number.
namespace tessera::function {

struct exp {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::exp(x);
  }
};
struct exp2 {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::exp2(x);
  }
};
struct exp10 {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::exp10(x);
  }
};
struct expm1 {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::expm1(x);
  }
};
struct log {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::log(x);
  }
};
struct log2 {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::log2(x);
  }
};
struct log10 {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::log10(x);
  }
};
struct log1p {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::log1p(x);
  }
};
struct sin {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::sin(x);
  }
};
struct cos {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::cos(x);
  }
};
struct tan {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::tan(x);
  }
};
struct asin {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::asin(x);
  }
};
struct acos {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::acos(x);
  }
};
struct atan {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::atan(x);
  }
};
struct sinh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::sinh(x);
  }
};
struct cosh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::cosh(x);
  }
};
struct tanh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::tanh(x);
  }
};
struct asinh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::asinh(x);
  }
};
struct acosh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::acosh(x);
  }
};
struct atanh {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::atanh(x);
  }
};
struct erf {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::erf(x);
  }
};
struct erfc {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::erfc(x);
  }
};
struct cbrt {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::cbrt(x);
  }
};
struct rsqrt {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::rsqrt(x);
  }
};
struct sigmoid {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::sigmoid(x);
  }
};
struct silu {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::silu(x);
  }
  /// What is rounded to a format narrower than T; the function itself may be a tie there.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T before_rounding(T x) {
    return tessera::detail::above_half(x, tessera::silu(x));
  }
};
struct gelu {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::gelu(x);
  }
  /// What is rounded to a format narrower than T; the function itself may be a tie there.
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE static T before_rounding(T x) {
    return tessera::detail::above_half(x, tessera::gelu(x));
  }
};
struct softplus {
  template <class T>
  TESSERA_HD TESSERA_ALWAYS_INLINE T operator()(T x) const {
    return tessera::softplus(x);
  }
};

}  // namespace tessera::function
