// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views in the memory of a GPU filled with addressed random numbers: bit for bit those of the CPU (tessera/random/fill.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/random/bernoulli.hpp"
#include "tessera/random/bits.hpp"
#include "tessera/random/detail/fill_arguments.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/uniform_laws.hpp"
#include "tessera/random/exponential.hpp"
#include "tessera/random/gumbel.hpp"
#include "tessera/random/laplace.hpp"
#include "tessera/random/logistic.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/truncated_normal.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/random/uniform_dense.hpp"
#include "tessera/random/uniform_int.hpp"
#include "tessera/random/uniform_range.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

/// A law's numbers for a chunk of indices: those of whole Philox blocks.
template <class Law>
struct chunk_of_numbers {
  Law law;
  std::uint64_t seed;
  std::uint64_t stream;

  template <class T, int N>
  TESSERA_DEVICE void operator()(std::uint64_t first, cuda::packed<T, N>& out) const {
    constexpr int n = numbers_per_block<Law>;
    static_assert(N % n == 0);
    TESSERA_DEVICE_UNROLL
    for (int b = 0; b < N / n; ++b) {
      const std::uint64_t block = first / n + static_cast<std::uint64_t>(b);
      const philox_block bits = philox(seed, stream, block);
      TESSERA_DEVICE_UNROLL
      for (int i = 0; i < n; ++i) out[b * n + i] = number_of<T>(law, bits, i, {seed, stream, block});
    }
  }
};

/// Numbers that a thread makes: 16 bytes of them, but whole blocks, and eight at most of what has one byte.
template <class Law, class T>
inline constexpr int numbers_per_thread = std::max(numbers_per_block<Law>, std::min(8, cuda::vector_elements<T>));

template <class T, std::size_t Rank, class Law>
TESSERA_HIDDEN void fill_on_device(const cuda::executor& exec, const view<T, Rank>& out, const Law& law, std::uint64_t seed,
                                   std::uint64_t stream, std::uint64_t first, const char* function) {
  static_assert(Rank > 0, "random: fill needs a view with an axis");
  static_assert(!std::is_const_v<T>, "random: fill needs a view of elements that can be written");
  if constexpr (requires { law.check(function); }) law.check(function);
  tessera::detail::check_readable(out, function, "out");
  tessera::detail::check_distinct(out, function, "out");
  cuda::detail::check_memory(exec, out, function, "out");
  cuda::detail::elementwise<numbers_per_thread<Law, T>, false>(exec, function, chunk_of_numbers<Law>{law, seed, stream}, first,
                                                               out);
}

}  // namespace detail

/// Fills a view with uniform numbers in [0, 1): out[i] = uniform<T>(seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another, in the memory of the device
/// Range          first_index + i is taken modulo 2^64
/// Special values a view without elements is left alone, whatever its pointer
/// Accuracy       exact
/// Cost           one Philox block for 16 bytes of random words, all of whose numbers the thread that makes it stores, with one instruction
///                where they are aligned; one write of out, no scratch memory. Strides that leave no dense rows cost a division an axis
///                and number
/// Determinism    the bits of `uniform` and of the CPU's fill, for any launch shape, strides, and split of a range over calls
/// Errors         argument_error: negative extent, null data, stride 0 on an axis longer than 1, host memory. Other fills throw for their
///                parameters, too; all before anything is launched. cuda::error
/// Backends       CUDA; the CPU's are in tessera/random/fill.hpp
template <mdspan_like Out>
TESSERA_HIDDEN void fill_uniform(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                 std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::half_open_law<T>{}, seed, stream, first_index,
                         "random::fill_uniform");
}

/// Fills a view with uniform numbers in [low, high): out[i] = uniform<T>(low, high, seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_uniform(const cuda::executor& exec, const Out& out, detail::parameter<Out> low,
                                 detail::parameter<Out> high, std::uint64_t seed, std::uint64_t stream,
                                 std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::uniform_range_law<T>(low, high), seed, stream, first_index,
                         "random::fill_uniform");
}

/// Fills a view with uniform numbers in (0, 1): out[i] = uniform_open<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_uniform_open(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                      std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::open_law<T>{}, seed, stream, first_index,
                         "random::fill_uniform_open");
}

/// Fills a view with uniform numbers in (0, 1) that reach every T: out[i] = uniform_dense<T>(seed, stream, first_index + i). Otherwise
/// fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_uniform_dense(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                       std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::uniform_dense_law<T>{}, seed, stream, first_index,
                         "random::fill_uniform_dense");
}

/// Fills a view with standard normal numbers: out[i] = normal<T>(seed, stream, first_index + i). Otherwise fill_uniform.
///
/// Accuracy       that of normal; narrower types hold the float rounded
template <mdspan_like Out>
TESSERA_HIDDEN void fill_normal(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::normal_law<T>{}, seed, stream, first_index, "random::fill_normal");
}

/// Fills a view with normal numbers: out[i] = normal<T>(mean, stddev, seed, stream, first_index + i). Otherwise fill_normal.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_normal(const cuda::executor& exec, const Out& out, detail::parameter<Out> mean,
                                detail::parameter<Out> stddev, std::uint64_t seed, std::uint64_t stream,
                                std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::scaled_normal_law<T>{mean, stddev}, seed, stream, first_index,
                         "random::fill_normal");
}

/// Fills a view with normal numbers of an interval: out[i] = truncated_normal<T>(low, high, seed, stream, first_index + i). Otherwise
/// fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_truncated_normal(const cuda::executor& exec, const Out& out, detail::parameter<Out> low,
                                          detail::parameter<Out> high, std::uint64_t seed, std::uint64_t stream,
                                          std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::truncated_normal_law<T>(low, high), seed, stream, first_index,
                         "random::fill_truncated_normal");
}

/// Fills a view with exponential numbers: out[i] = exponential<T>(rate, seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_exponential(const cuda::executor& exec, const Out& out, detail::parameter<Out> rate, std::uint64_t seed,
                                     std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::exponential_law<T>{rate}, seed, stream, first_index,
                         "random::fill_exponential");
}

/// Fills a view with standard Gumbel numbers: out[i] = gumbel<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_gumbel(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::gumbel_law<T>{}, seed, stream, first_index, "random::fill_gumbel");
}

/// Fills a view with Gumbel numbers: out[i] = gumbel<T>(loc, scale, seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_gumbel(const cuda::executor& exec, const Out& out, detail::parameter<Out> loc,
                                detail::parameter<Out> scale, std::uint64_t seed, std::uint64_t stream,
                                std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::gumbel_law<T>{loc, scale}, seed, stream, first_index,
                         "random::fill_gumbel");
}

/// Fills a view with standard logistic numbers: out[i] = logistic<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_logistic(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                  std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::logistic_law<T>{}, seed, stream, first_index,
                         "random::fill_logistic");
}

/// Fills a view with logistic numbers: out[i] = logistic<T>(loc, scale, seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_logistic(const cuda::executor& exec, const Out& out, detail::parameter<Out> loc,
                                  detail::parameter<Out> scale, std::uint64_t seed, std::uint64_t stream,
                                  std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::logistic_law<T>{loc, scale}, seed, stream, first_index,
                         "random::fill_logistic");
}

/// Fills a view with standard Laplace numbers: out[i] = laplace<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_laplace(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                                 std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::laplace_law<T>{}, seed, stream, first_index, "random::fill_laplace");
}

/// Fills a view with Laplace numbers: out[i] = laplace<T>(loc, scale, seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_laplace(const cuda::executor& exec, const Out& out, detail::parameter<Out> loc,
                                 detail::parameter<Out> scale, std::uint64_t seed, std::uint64_t stream,
                                 std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::laplace_law<T>{loc, scale}, seed, stream, first_index,
                         "random::fill_laplace");
}

/// Fills a view with 1 (true) and 0 (false): out[i] = bernoulli(p, seed, stream, first_index + i), the elements bool, integers or numbers.
/// Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_bernoulli(const cuda::executor& exec, const Out& out, double p, std::uint64_t seed, std::uint64_t stream,
                                   std::uint64_t first_index = 0) {
  detail::fill_on_device(exec, detail::view_of(out), detail::bernoulli_law(p), seed, stream, first_index,
                         "random::fill_bernoulli");
}

/// Fills a view with integers from [low, high]: out[i] = uniform_int<T>(low, high, seed, stream, first_index + i). Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_uniform_int(const cuda::executor& exec, const Out& out,
                                     std::remove_const_t<typename Out::element_type> low,
                                     std::remove_const_t<typename Out::element_type> high, std::uint64_t seed,
                                     std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::uniform_int_law<T>(low, high), seed, stream, first_index,
                         "random::fill_uniform_int");
}

/// Fills a view with random words: out[i] = bits<Word>(seed, stream, first_index + i), Word the unsigned integer of 32 or 64 bits that
/// the elements are. Otherwise fill_uniform.
template <mdspan_like Out>
TESSERA_HIDDEN void fill_bits(const cuda::executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                              std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill_on_device(exec, detail::view_of(out), detail::bits_law<T>{}, seed, stream, first_index, "random::fill_bits");
}

}  // namespace tessera::random
