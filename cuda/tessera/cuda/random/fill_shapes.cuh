// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views in the memory of a GPU filled with gamma, beta and Poisson numbers: bit for bit those of the CPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/random/beta.hpp"
#include "tessera/random/gamma.hpp"
#include "tessera/random/poisson.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

/// One number a thread: rejection takes as many attempts as it takes, and neighbours share none.
template <class Number>
struct chunk_of_one {
  Number number;
  std::uint64_t seed;
  std::uint64_t stream;

  template <class T>
  TESSERA_DEVICE void operator()(std::uint64_t index, cuda::packed<T, 1>& out) const {
    out[0] = number.template at<T>(seed, stream, index);
  }
};

template <class T, std::size_t Rank, class Number>
TESSERA_HIDDEN void fill_one_by_one(const cuda::executor& exec, const view<T, Rank>& out, const Number& number,
                                    std::uint64_t seed, std::uint64_t stream, std::uint64_t first, const char* function) {
  tessera::detail::check_readable(out, function, "out");
  tessera::detail::check_distinct(out, function, "out");
  cuda::detail::check_memory(exec, out, function, "out");
  cuda::detail::elementwise<1, false>(exec, function, chunk_of_one<Number>{number, seed, stream}, first, out);
}

struct gamma_number {
  double shape;
  double scale;

  template <class T>
  TESSERA_DEVICE T at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) const {
    return gamma<T>(shape, scale, seed, stream, index);
  }
};

struct log_gamma_number {
  double shape;
  double scale;

  template <class T>
  TESSERA_DEVICE T at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) const {
    return log_gamma_variate<T>(shape, scale, seed, stream, index);
  }
};

struct beta_number {
  double a;
  double b;

  template <class T>
  TESSERA_DEVICE T at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) const {
    return beta<T>(a, b, seed, stream, index);
  }
};

struct poisson_number {
  double rate;

  template <class T>
  TESSERA_DEVICE T at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) const {
    return poisson<T>(rate, seed, stream, index);
  }
};

}  // namespace detail

/// Fills a view with gamma numbers: out[i] = gamma<T>(shape, scale, seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another, in the memory of the device
/// Range          first_index + i is taken modulo 2^64
/// Cost           one thread a number, in float64 where the CPU's function is; a warp takes as long as its unluckiest lane. No scratch memory
/// Determinism    the bits of `gamma` and of the CPU's fill, for any launch shape, strides, and split of a range over calls
/// Errors         argument_error: shape or scale not positive and finite, host memory, and what fill_uniform refuses; cuda::error
/// Backends       CUDA; the CPU's is in tessera/random/gamma.hpp
template <mdspan_like Out>
TESSERA_HIDDEN void fill_gamma(const cuda::executor& exec, const Out& out, double shape, double scale, std::uint64_t seed,
                               std::uint64_t stream, std::uint64_t first_index = 0) {
  constexpr const char* function = "random::fill_gamma";
  detail::gamma_parameters(shape, scale, false, function);
  detail::fill_one_by_one(exec, view<typename Out::element_type, Out::rank()>(out), detail::gamma_number{shape, scale}, seed,
                          stream, first_index, function);
}

/// Fills a view with logarithms of gamma numbers: out[i] = log_gamma_variate<T>(…, first_index + i). Otherwise fill_gamma.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_log_gamma_variate(const cuda::executor& exec, const Out& out, double shape, double scale,
                                           std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  constexpr const char* function = "random::fill_log_gamma_variate";
  detail::gamma_parameters(shape, scale, true, function);
  detail::fill_one_by_one(exec, view<typename Out::element_type, Out::rank()>(out), detail::log_gamma_number{shape, scale}, seed,
                          stream, first_index, function);
}

/// Fills a view with beta numbers: out[i] = beta<T>(a, b, seed, stream, first_index + i), the index modulo 2^63. Otherwise fill_gamma.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_beta(const cuda::executor& exec, const Out& out, double a, double b, std::uint64_t seed,
                              std::uint64_t stream, std::uint64_t first_index = 0) {
  constexpr const char* function = "random::fill_beta";
  detail::check_positive_finite(function, "a", a);
  detail::check_positive_finite(function, "b", b);
  detail::fill_one_by_one(exec, view<typename Out::element_type, Out::rank()>(out), detail::beta_number{a, b}, seed, stream,
                          first_index, function);
}

/// Fills a view with Poisson numbers: out[i] = poisson<T>(rate, seed, stream, first_index + i), T an integer type or a floating one. Otherwise
/// fill_gamma.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_poisson(const cuda::executor& exec, const Out& out, double rate, std::uint64_t seed,
                                 std::uint64_t stream, std::uint64_t first_index = 0) {
  constexpr const char* function = "random::fill_poisson";
  detail::poisson_parameters<typename Out::element_type>(rate, function);
  detail::fill_one_by_one(exec, view<typename Out::element_type, Out::rank()>(out), detail::poisson_number{rate}, seed, stream,
                          first_index, function);
}

}  // namespace tessera::random
