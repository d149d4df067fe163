// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Averages of a model's parameters, and sums of averages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/math.hpp"
#include "tessera/tile/detail/tensor_chunks.hpp"
#include "tessera/tile/tensor_list.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/average_weights.hpp"

namespace tessera::training {
namespace detail {

template <class Arch, class T, class W>
TESSERA_NOINLINE void average_some(T* average, const W* weights, std::int64_t n, T share) {
  using P = simd::pack<T, Arch>;
  const P part(share);
  for (std::int64_t i = 0; i < n; i += P::lanes) {
    const int rest = static_cast<int>(n - i < P::lanes ? n - i : P::lanes);
    const P a = simd::load_partial<P>(average + i, rest);
    simd::store_partial(average + i, rest, fma(simd::load_partial<P>(weights + i, rest) - a, part, a));
  }
}

/// sums[i] += factor * term[i].
template <class Arch, class S>
TESSERA_NOINLINE void add_multiple(double* sums, const S* term, double factor, std::int64_t n) {
  using P = simd::pack<double, Arch>;
  const P times(factor);
  for (std::int64_t i = 0; i < n; i += P::lanes) {
    const int rest = static_cast<int>(n - i < P::lanes ? n - i : P::lanes);
    const P sum = simd::load_partial<P>(sums + i, rest);
    simd::store_partial(sums + i, rest, fma(times, simd::load_partial<P>(term + i, rest), sum));
  }
}

}  // namespace detail

/// average = beta average + (1 - beta) weights for all tensors, formed as average + (1 - beta) (weights - average).
///
/// With a constant beta the exponential average; with training::power_decay(step, gamma) EDM2's, which may be put together afterwards for any
/// other width (training::combine). Average what the optimiser keeps: masters, as an average of 16 bits stands still where 1 - beta is small.
///
/// Shapes          lists of one-dimensional tensors, contiguous, of the same sizes
/// Types           average: float or double, which it computes in; weights: any storage type
/// Range           beta in [0, 1]; 0 copies
/// Special values  NaN and infinity reach the average and stay
/// Accuracy        3 roundings of what is added up
/// Cost            one read of both and one write; 8 bytes of scratch a tensor
/// Determinism     the same bits for any number of threads
/// Errors          argument_error, nothing written: beta out of range, an empty list, lists that differ in length or sizes, null data,
///                 strides, an average that overlaps its weights
/// Source          Polyak & Juditsky 1992; Karras et al. 2024, arXiv:2312.02696, section 3
template <executor Exec, tensor_list Average, tensor_list Weights>
void average(const Exec& exec, const Average& averages, const Weights& weights, double beta) {
  using T = tessera::detail::tensor_element<Average>;
  using W = tessera::detail::tensor_element<Weights>;
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "training::average: needs averages of float or double");
  constexpr const char* function = "training::average";
  const std::span<const view<T, 1>> to(averages);
  const std::span<const view<W, 1>> from(weights);
  tessera::detail::expects(
      beta >= 0 && beta <= 1, function, "beta", [&] { return tessera::detail::number(beta); }, "needs a number from 0 to 1");
  tessera::detail::expects(!from.empty(), function, "weights", [] { return "an empty list"; }, "needs one tensor at least");
  tessera::detail::check_tensors(from, from, function, "weights", "weights");
  tessera::detail::check_tensors(to, from, function, "averages", "weights");
  for (std::size_t t = 0; t < to.size(); ++t) {
    if (!tessera::detail::overlap(to[t], from[t])) continue;
    tessera::detail::fail(function, tessera::detail::tensor_name("averages", t).c_str(), "overlaps its weights",
                          "needs memory of its own");
  }
  tessera::detail::scratch places(exec.memory(), (from.size() + 1) * sizeof(std::int64_t));
  const tessera::detail::tensor_chunks chunks(from, reinterpret_cast<std::int64_t*>(places.data()));
  constexpr double bytes = 2 * sizeof(T) + sizeof(W);
  tessera::detail::for_each_tensor_chunk(
      exec, chunks, from, bytes, [&](std::int64_t, std::int64_t tensor, std::int64_t begin, std::int64_t n) {
        const auto t = static_cast<std::size_t>(tensor);
        detail::average_some<typename Exec::arch>(to[t].data_handle() + begin, from[t].data_handle() + begin, n,
                                                  static_cast<T>(1 - beta));
      });
}

/// out = sum_k factors[k] terms[k], tensor by tensor: snapshots put together with the factors of training::post_hoc_factors.
///
/// Shapes          terms: n lists of tensors, each as out; factors [n]
/// Accuracy        computed in double, rounded once
/// Cost            one read of all terms, one write
/// Determinism     the same bits for any number of threads
/// Errors          argument_error, nothing written: as average; the number of the list is named
template <executor Exec, class Lists, tensor_list Out>
  requires std::ranges::contiguous_range<const Lists> && tensor_list<std::ranges::range_value_t<Lists>>
void combine(const Exec& exec, const Lists& terms, std::span<const double> factors, const Out& out) {
  using T = tessera::detail::tensor_element<Out>;
  using S = tessera::detail::tensor_element<std::ranges::range_value_t<Lists>>;
  constexpr const char* function = "training::combine";
  const std::span<const view<T, 1>> to(out);
  const std::size_t n = std::ranges::size(terms);
  tessera::detail::expects(
      n > 0 && factors.size() == n, function, "factors",
      [&] { return std::to_string(factors.size()) + " numbers for " + std::to_string(n) + " lists"; }, "needs one of each list");
  tessera::detail::check_tensors(to, to, function, "out", "out");
  for (std::size_t k = 0; k < n; ++k) {
    const std::string name = "terms[" + std::to_string(k) + "]";
    const std::span<const view<S, 1>> from(std::ranges::data(terms)[k]);
    tessera::detail::check_tensors(from, to, function, name.c_str(), "out");
    for (std::size_t t = 0; t < to.size(); ++t) {
      if (!tessera::detail::overlap(to[t], from[t])) continue;
      tessera::detail::fail(function, tessera::detail::tensor_name("out", t).c_str(), ("overlaps " + name).c_str(),
                            "needs memory of its own");
    }
  }
  tessera::detail::scratch places(exec.memory(), (to.size() + 1) * sizeof(std::int64_t));
  const tessera::detail::tensor_chunks chunks(to, reinterpret_cast<std::int64_t*>(places.data()));
  const double bytes = static_cast<double>(n * sizeof(S) + sizeof(T));
  tessera::detail::for_each_tensor_chunk(
      exec, chunks, to, bytes, [&](std::int64_t, std::int64_t tensor, std::int64_t begin, std::int64_t length) {
        const auto t = static_cast<std::size_t>(tensor);
        constexpr std::int64_t block = 512;
        for (std::int64_t i = begin; i < begin + length; i += block) {
          const std::int64_t m = begin + length - i < block ? begin + length - i : block;
          double sums[block] = {};
          for (std::size_t k = 0; k < n; ++k) {
            const std::span<const view<S, 1>> from(std::ranges::data(terms)[k]);
            detail::add_multiple<typename Exec::arch>(sums, from[t].data_handle() + i, factors[k], m);
          }
          for (std::int64_t j = 0; j < m; ++j) to[t].data_handle()[i + j] = static_cast<T>(sums[j]);
        }
      });
}

}  // namespace tessera::training
