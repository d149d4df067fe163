// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Where noise comes from, on any device.
#pragma once

#include <cmath>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/diffusion/detail/number.hpp"

namespace tessera::diffusion {

/// Where a call takes its noise from.
///
/// Element e of the sample in row r is random::normal<float>(seed, stream, (first_sample + r) * sample_size + e): the same for
/// any batch size, thread count or stride, and in a float as in a double state, so that a run in double shows what float lost.
/// To run rows 100 … 199 apart from rows 0 … 99, set first_sample = 100.
/// A sampler leaves `stream` to the initial noise and takes stream + 1 + i for step i, so one address serves both.
struct noise_address {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  std::uint64_t first_sample = 0;
};

namespace detail {

inline void check_sigma(double sigma, const char* function) {
  tessera::detail::expects(
      std::isfinite(sigma) && sigma >= 0, function, "sigma", [&] { return number(sigma); }, "needs a finite value of at least 0");
}

/// x + scale z, rounded once.
struct noise_added {
  double scale;

  template <class T>
  TESSERA_HD T operator()(T x, double z) const {
    return static_cast<T>(static_cast<double>(x) + scale * z);
  }
};

/// scale z.
struct noise_alone {
  double scale;

  template <class T>
  TESSERA_HD T operator()(T, double z) const {
    return static_cast<T>(scale * z);
  }
};

}  // namespace detail
}  // namespace tessera::diffusion
