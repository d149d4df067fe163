// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The ways of keeping weights as arrays of a kernel: those that are written, then those that are read.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "tessera/core/config.hpp"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/cuda/multi_tensor.cuh"
#include "tessera/tile/view.hpp"
#include "tessera/training/weights.hpp"

namespace tessera::training::detail {

/// `number` is what weights are computed in. load and store take element i of the chunks of all arrays. with_lists calls
/// use(elements of all arrays, names of the first two, a list for each; no second name where both lists are one).
template <class Record>
struct kept_weights;

template <class T>
struct kept_weights<view<T, 1>> {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                "training: weights of 16 bits need a way of keeping what rounding takes off them: see training/weights.hpp");
  using number = T;

  template <int N>
  TESSERA_DEVICE static T load(int i, const cuda::packed<T, N>&, const cuda::packed<T, N>& in) {
    return in[i];
  }
  template <int N>
  TESSERA_DEVICE static void store(int i, T x, cuda::packed<T, N>& out, const cuda::packed<T, N>&) {
    out[i] = x;
  }

  template <class Use>
  static void with_lists(std::span<const view<T, 1>> weights, const Use& use) {
    use(cuda::detail::elements_are<T, const T>{}, "weights", nullptr, weights, weights);
  }
};

template <class S>
struct kept_weights<master_weights<S>> {
  using number = float;

  template <int N>
  TESSERA_DEVICE static float load(int i, const cuda::packed<float, N>&, const cuda::packed<S, N>&,
                                   const cuda::packed<float, N>& in) {
    return in[i];
  }
  template <int N>
  TESSERA_DEVICE static void store(int i, float x, cuda::packed<float, N>& master, cuda::packed<S, N>& copy,
                                   const cuda::packed<float, N>&) {
    master[i] = x;
    copy[i] = cuda::convert<S>(x);
  }

  template <class Use>
  static void with_lists(std::span<const master_weights<S>> weights, const Use& use) {
    std::vector<view<float, 1>> masters;
    std::vector<view<S, 1>> copies;
    for (const auto& w : weights) {
      masters.push_back(w.master);
      copies.push_back(w.copy);
    }
    const std::span<const view<float, 1>> of_masters(masters);
    use(cuda::detail::elements_are<float, S, const float>{}, "weights.master", "weights.copy", of_masters,
        std::span<const view<S, 1>>(copies), of_masters);
  }
};

template <>
struct kept_weights<split_weights> {
  using number = float;

  template <int N>
  TESSERA_DEVICE static float load(int i, const cuda::packed<bfloat16, N>&, const cuda::packed<std::uint16_t, N>&,
                                   const cuda::packed<bfloat16, N>& high, const cuda::packed<std::uint16_t, N>& low) {
    return joined(high[i], low[i]);
  }
  template <int N>
  TESSERA_DEVICE static void store(int i, float x, cuda::packed<bfloat16, N>& high, cuda::packed<std::uint16_t, N>& low,
                                   const cuda::packed<bfloat16, N>&, const cuda::packed<std::uint16_t, N>&) {
    split(x, high[i], low[i]);
  }

  template <class Use>
  static void with_lists(std::span<const split_weights> weights, const Use& use) {
    std::vector<view<bfloat16, 1>> highs;
    std::vector<view<std::uint16_t, 1>> lows;
    for (const auto& w : weights) {
      highs.push_back(w.high);
      lows.push_back(w.low);
    }
    const std::span<const view<bfloat16, 1>> of_highs(highs);
    const std::span<const view<std::uint16_t, 1>> of_lows(lows);
    use(cuda::detail::elements_are<bfloat16, std::uint16_t, const bfloat16, const std::uint16_t>{}, "weights.high", "weights.low",
        of_highs, of_lows, of_highs, of_lows);
  }
};

template <class S>
struct kept_weights<compensated_weights<S>> {
  using number = float;

  template <int N>
  TESSERA_DEVICE static float load(int i, const cuda::packed<S, N>&, const cuda::packed<S, N>&, const cuda::packed<S, N>& weights,
                                   const cuda::packed<S, N>& rest) {
    return static_cast<float>(cuda::widen(weights[i])) + static_cast<float>(cuda::widen(rest[i]));
  }
  template <int N>
  TESSERA_DEVICE static void store(int i, float x, cuda::packed<S, N>& weights, cuda::packed<S, N>& rest,
                                   const cuda::packed<S, N>&, const cuda::packed<S, N>&) {
    weights[i] = cuda::convert<S>(x);
    rest[i] = cuda::convert<S>(x - static_cast<float>(cuda::widen(weights[i])));
  }

  template <class Use>
  static void with_lists(std::span<const compensated_weights<S>> weights, const Use& use) {
    std::vector<view<S, 1>> kept;
    std::vector<view<S, 1>> rests;
    for (const auto& w : weights) {
      kept.push_back(w.weights);
      rests.push_back(w.rest);
    }
    const std::span<const view<S, 1>> of_kept(kept);
    const std::span<const view<S, 1>> of_rests(rests);
    use(cuda::detail::elements_are<S, S, const S, const S>{}, "weights.weights", "weights.rest", of_kept, of_rests, of_kept,
        of_rests);
  }
};

}  // namespace tessera::training::detail
