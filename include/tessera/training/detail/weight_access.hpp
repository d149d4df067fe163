// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One weight, and registers of weights, read and written in each way of keeping them.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/stochastic_rounding.hpp"
#include "tessera/simd/detail/codes.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/training/weights.hpp"

namespace tessera::training::detail {

/// Elements between two calls of `prepare`: those that a group of Philox blocks rounds.
inline constexpr std::int64_t prepared = random::roundings_per_block * static_cast<std::int64_t>(random::detail::group_blocks);

/// A tensor's weights. `number` is what they are computed in; load and store at i mean one number for a `number`, and two neighbouring packs
/// for packs. `prepare` is called before elements [i, i + prepared), i a multiple of it.
template <class Weights>
struct weight_access;

template <class T>
struct weight_access<view<T, 1>> {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                "training: weights of 16 bits need a way of keeping what rounding takes off them: see training/weights.hpp");
  using number = T;
  T* data;

  TESSERA_ALWAYS_INLINE weight_access(const view<T, 1>& w, std::int64_t) : data(w.data_handle()) {}
  template <class Arch>
  TESSERA_ALWAYS_INLINE void prepare(std::int64_t) {}
  TESSERA_ALWAYS_INLINE number load(std::int64_t i) const { return data[i]; }
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, number x) const { data[i] = x; }
  template <class P>
  TESSERA_ALWAYS_INLINE void load(std::int64_t i, P& x, P& y) const {
    x = P::load_unaligned(data + i);
    y = P::load_unaligned(data + i + P::lanes);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, P x, P y) const {
    x.store_unaligned(data + i);
    y.store_unaligned(data + i + P::lanes);
  }

  /// The first array, which says how many elements there are, and f(array, name) for the others.
  static const view<T, 1>& first(const view<T, 1>& w) { return w; }
  template <class F>
  static void others(const view<T, 1>&, F) {}
  static constexpr const char* name = "";
};

template <class S>
struct weight_access<master_weights<S>> {
  using number = float;
  float* master;
  S* copy;

  TESSERA_ALWAYS_INLINE weight_access(const master_weights<S>& w, std::int64_t)
      : master(w.master.data_handle()), copy(w.copy.data_handle()) {}
  template <class Arch>
  TESSERA_ALWAYS_INLINE void prepare(std::int64_t) {}
  TESSERA_ALWAYS_INLINE number load(std::int64_t i) const { return master[i]; }
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, number x) const {
    master[i] = x;
    copy[i] = static_cast<S>(x);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void load(std::int64_t i, P& x, P& y) const {
    x = P::load_unaligned(master + i);
    y = P::load_unaligned(master + i + P::lanes);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, P x, P y) const {
    x.store_unaligned(master + i);
    y.store_unaligned(master + i + P::lanes);
    simd::store_as(copy + i, x, y);
  }

  static const view<float, 1>& first(const master_weights<S>& w) { return w.master; }
  template <class F>
  static void others(const master_weights<S>& w, F f) {
    f(w.copy, ".copy");
  }
  static constexpr const char* name = ".master";
};

template <>
struct weight_access<split_weights> {
  using number = float;
  bfloat16* high;
  std::uint16_t* low;

  TESSERA_ALWAYS_INLINE weight_access(const split_weights& w, std::int64_t)
      : high(w.high.data_handle()), low(w.low.data_handle()) {}
  template <class Arch>
  TESSERA_ALWAYS_INLINE void prepare(std::int64_t) {}
  TESSERA_ALWAYS_INLINE number load(std::int64_t i) const { return joined(high[i], low[i]); }
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, number x) const { split(x, high[i], low[i]); }
  template <class P>
  TESSERA_ALWAYS_INLINE void load(std::int64_t i, P& x, P& y) const {
    x = load_one<P>(i);
    y = load_one<P>(i + P::lanes);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, P x, P y) const {
    store_one(i, x);
    store_one(i + P::lanes, y);
  }

  static const view<bfloat16, 1>& first(const split_weights& w) { return w.high; }
  template <class F>
  static void others(const split_weights& w, F f) {
    f(w.low, ".low");
  }
  static constexpr const char* name = ".high";

 private:
  template <class P>
  using codes = simd::detail::code_transport_for<2, typename P::arch>;
  template <class P>
  using bits = simd::pack<std::int32_t, typename P::arch>;

  template <class P>
  TESSERA_ALWAYS_INLINE P load_one(std::int64_t i) const {
    const bits<P> below = codes<P>::load(low + i);
    // Less 2^16 where the low half has carried: its top bit, one place further up.
    const bits<P> carried = (below << 1) & bits<P>(0x10000);
    return simd::bit_cast<float>(((codes<P>::load(high + i) << 16) | below) - carried);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void store_one(std::int64_t i, P x) const {
    const bits<P> code = simd::bit_cast<std::int32_t>(select(x == x, x, P(tessera::quiet_nan<float>())));
    codes<P>::store(low + i, code & bits<P>(0xFFFF));
    codes<P>::store(high + i, ((code + bits<P>(0x8000)) >> 16) & bits<P>(0xFFFF));
  }
};

template <class S>
struct weight_access<compensated_weights<S>> {
  using number = float;
  S* weights;
  S* rest;

  TESSERA_ALWAYS_INLINE weight_access(const compensated_weights<S>& w, std::int64_t)
      : weights(w.weights.data_handle()), rest(w.rest.data_handle()) {}
  template <class Arch>
  TESSERA_ALWAYS_INLINE void prepare(std::int64_t) {}
  TESSERA_ALWAYS_INLINE number load(std::int64_t i) const { return static_cast<float>(weights[i]) + static_cast<float>(rest[i]); }
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, number x) const {
    const S rounded = static_cast<S>(x);
    weights[i] = rounded;
    rest[i] = static_cast<S>(x - static_cast<float>(rounded));
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void load(std::int64_t i, P& x, P& y) const {
    x = simd::load_as<P>(weights + i) + simd::load_as<P>(rest + i);
    y = simd::load_as<P>(weights + i + P::lanes) + simd::load_as<P>(rest + i + P::lanes);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, P x, P y) const {
    simd::store_as(weights + i, x, y);
    simd::store_as(rest + i, x - simd::load_as<P>(weights + i), y - simd::load_as<P>(weights + i + P::lanes));
  }

  static const view<S, 1>& first(const compensated_weights<S>& w) { return w.weights; }
  template <class F>
  static void others(const compensated_weights<S>& w, F f) {
    f(w.rest, ".rest");
  }
  static constexpr const char* name = ".weights";
};

template <class S>
struct weight_access<stochastic_weights<S>> {
  using number = float;
  S* weights;
  std::uint64_t seed;
  std::uint64_t stream;
  std::int64_t first_half = 0;  ///< the element that halves[0] rounds
  alignas(64) std::uint16_t halves[prepared];

  TESSERA_ALWAYS_INLINE weight_access(const stochastic_weights<S>& w, std::int64_t step)
      : weights(w.weights.data_handle()), seed(w.seed), stream(rounding_stream(w.tensor, step)) {}
  template <class Executor>
  TESSERA_ALWAYS_INLINE void prepare(std::int64_t i) {
    alignas(64) std::uint32_t words[prepared / 2];
    const random::detail::block_source<Executor> source(seed, stream);
    source.words_of(static_cast<std::uint64_t>(i) / random::roundings_per_block, words);
    for (std::int64_t h = 0; h < prepared; ++h) halves[h] = static_cast<std::uint16_t>(words[h / 2] >> (h % 2 * 16));
    first_half = i;
  }
  TESSERA_ALWAYS_INLINE number load(std::int64_t i) const { return static_cast<float>(weights[i]); }
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, number x) const {
    weights[i] = tessera::round_stochastic<S>(x, static_cast<std::uint32_t>(halves[i - first_half]) << 16);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void load(std::int64_t i, P& x, P& y) const {
    x = simd::load_as<P>(weights + i);
    y = simd::load_as<P>(weights + i + P::lanes);
  }
  template <class P>
  TESSERA_ALWAYS_INLINE void store(std::int64_t i, P x, P y) const {
    simd::store_stochastic(weights + i, x, y, halves + (i - first_half));
  }

  static const view<S, 1>& first(const stochastic_weights<S>& w) { return w.weights; }
  template <class F>
  static void others(const stochastic_weights<S>&, F) {}
  static constexpr const char* name = ".weights";
};

}  // namespace tessera::training::detail
