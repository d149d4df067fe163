// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views filled with addressed random numbers: bit for bit what the functions of the same names give one at a time.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/random/bernoulli.hpp"
#include "tessera/random/bits.hpp"
#include "tessera/random/detail/fill.hpp"
#include "tessera/random/detail/fill_arguments.hpp"
#include "tessera/random/detail/uniform_laws.hpp"
#include "tessera/random/exponential.hpp"
#include "tessera/random/gumbel.hpp"
#include "tessera/random/laplace.hpp"
#include "tessera/random/logistic.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/truncated_normal.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/random/uniform_dense.hpp"
#include "tessera/random/uniform_int.hpp"
#include "tessera/random/uniform_range.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
/// Fills a view with uniform numbers in [0, 1): out[i] = uniform<T>(seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides that put no two elements on one another
/// Range          first_index + i is taken modulo 2^64
/// Special values a view without elements is left alone, whatever its pointer
/// Accuracy       exact
/// Cost           one Philox block for 16 bytes of random words; no scratch memory, no allocation. Groups of 64 blocks are made at once,
///                whole, so a range of a few dozen numbers costs as much as one of 256 (128 for double)
/// Determinism    the bits of `uniform`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: negative extent, null data, stride 0 on an axis longer than 1. Other fills throw for their parameters,
///                too, before anything is written
/// Backends       host; T = float, double, or a narrower type with std::numeric_limits and a conversion from float.
///                Executors come from tessera/exec/exec.hpp; whatever has their for_each(items, f) will do
template <class Executor, mdspan_like Out>
void fill_uniform(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::half_open_law<T>{}, seed, stream, first_index, "random::fill_uniform");
}

/// Fills a view with uniform numbers in [low, high): out[i] = uniform<T>(low, high, seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_uniform(const Executor& exec, const Out& out, detail::parameter<Out> low, detail::parameter<Out> high,
                  std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::uniform_range_law<T>(low, high), seed, stream, first_index,
               "random::fill_uniform");
}

/// Fills a view with uniform numbers in (0, 1): out[i] = uniform_open<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_uniform_open(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                       std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::open_law<T>{}, seed, stream, first_index, "random::fill_uniform_open");
}

/// Fills a view with uniform numbers in (0, 1) that reach every T: out[i] = uniform_dense<T>(seed, stream, first_index + i). Otherwise
/// fill_uniform.
template <class Executor, mdspan_like Out>
void fill_uniform_dense(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                        std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::uniform_dense_law<T>{}, seed, stream, first_index,
               "random::fill_uniform_dense");
}

/// Fills a view with standard normal numbers: out[i] = normal<T>(seed, stream, first_index + i). Otherwise fill_uniform.
///
/// Accuracy       that of normal; narrower types hold the float rounded
template <class Executor, mdspan_like Out>
void fill_normal(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::normal_law<T>{}, seed, stream, first_index, "random::fill_normal");
}

/// Fills a view with normal numbers: out[i] = normal<T>(mean, stddev, seed, stream, first_index + i). Otherwise fill_normal.
template <class Executor, mdspan_like Out>
void fill_normal(const Executor& exec, const Out& out, detail::parameter<Out> mean, detail::parameter<Out> stddev,
                 std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::scaled_normal_law<T>{mean, stddev}, seed, stream, first_index,
               "random::fill_normal");
}

/// Fills a view with normal numbers of an interval: out[i] = truncated_normal<T>(low, high, seed, stream, first_index + i). Otherwise
/// fill_uniform.
template <class Executor, mdspan_like Out>
void fill_truncated_normal(const Executor& exec, const Out& out, detail::parameter<Out> low, detail::parameter<Out> high,
                           std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::truncated_normal_law<T>(low, high), seed, stream, first_index,
               "random::fill_truncated_normal");
}

/// Fills a view with exponential numbers: out[i] = exponential<T>(rate, seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_exponential(const Executor& exec, const Out& out, detail::parameter<Out> rate, std::uint64_t seed, std::uint64_t stream,
                      std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::exponential_law<T>{rate}, seed, stream, first_index,
               "random::fill_exponential");
}

/// Fills a view with standard Gumbel numbers: out[i] = gumbel<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_gumbel(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::gumbel_law<T>{}, seed, stream, first_index, "random::fill_gumbel");
}

/// Fills a view with Gumbel numbers: out[i] = gumbel<T>(loc, scale, seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_gumbel(const Executor& exec, const Out& out, detail::parameter<Out> loc, detail::parameter<Out> scale,
                 std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::gumbel_law<T>{loc, scale}, seed, stream, first_index, "random::fill_gumbel");
}

/// Fills a view with standard logistic numbers: out[i] = logistic<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_logistic(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                   std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::logistic_law<T>{}, seed, stream, first_index, "random::fill_logistic");
}

/// Fills a view with logistic numbers: out[i] = logistic<T>(loc, scale, seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_logistic(const Executor& exec, const Out& out, detail::parameter<Out> loc, detail::parameter<Out> scale,
                   std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::logistic_law<T>{loc, scale}, seed, stream, first_index,
               "random::fill_logistic");
}

/// Fills a view with standard Laplace numbers: out[i] = laplace<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_laplace(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::laplace_law<T>{}, seed, stream, first_index, "random::fill_laplace");
}

/// Fills a view with Laplace numbers: out[i] = laplace<T>(loc, scale, seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_laplace(const Executor& exec, const Out& out, detail::parameter<Out> loc, detail::parameter<Out> scale,
                  std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::laplace_law<T>{loc, scale}, seed, stream, first_index, "random::fill_laplace");
}

/// Fills a view with 1 (true) and 0 (false): out[i] = bernoulli(p, seed, stream, first_index + i), the elements bool, integers or numbers.
/// Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_bernoulli(const Executor& exec, const Out& out, double p, std::uint64_t seed, std::uint64_t stream,
                    std::uint64_t first_index = 0) {
  detail::fill(exec, detail::view_of(out), detail::bernoulli_law(p), seed, stream, first_index, "random::fill_bernoulli");
}

/// Fills a view with integers from [low, high]: out[i] = uniform_int<T>(low, high, seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_uniform_int(const Executor& exec, const Out& out, std::remove_const_t<typename Out::element_type> low,
                      std::remove_const_t<typename Out::element_type> high, std::uint64_t seed, std::uint64_t stream,
                      std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::uniform_int_law<T>(low, high), seed, stream, first_index,
               "random::fill_uniform_int");
}

/// Fills a view with random words: out[i] = bits<Word>(seed, stream, first_index + i), Word the unsigned integer of 32 or 64 bits that
/// the elements are. Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_bits(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  using T = std::remove_const_t<typename Out::element_type>;
  detail::fill(exec, detail::view_of(out), detail::bits_law<T>{}, seed, stream, first_index, "random::fill_bits");
}

}  // namespace tessera::random
