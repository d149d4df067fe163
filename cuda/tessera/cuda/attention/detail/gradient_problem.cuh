// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One call of attention::backward as its kernels get it, and what becomes of one pair of a query and a key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/dropout.hpp"
#include "tessera/attention/mask.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/cuda/attention/detail/sequence_tiles.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/packed.cuh"
#include "tessera/numeric/exp.hpp"
#include "tessera/numeric/lane.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/random/bits.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::attention::detail {

/// Queries of a tile of numbers of rows (gradient_rows.cuh), and of one that is known to hold an empty row or not.
inline constexpr int number_rows = 64;

/// What the weights and slopes of a query are made with: its log-sum-exp in base 2 (+inf where the row is empty: it sees nothing) and
/// dout . out.
template <class T>
using row_numbers = packed<T, 2>;

/// Rows of one matrix. Positions in a sequence are int: half the registers of what they are on the host.
template <class S>
struct matrix_rows {
  S* data;
  std::int64_t stride;
  int count;

  /// Null where there is none.
  [[nodiscard]] TESSERA_DEVICE S* row(int i) const { return i < count ? data + i * stride : nullptr; }
};

/// Everything that is read, and what is written. T is what sums are made in.
template <class T, class Q, class K, class V, class G, class DQ, class DK, class DV, class Mask, class Score>
struct gradient_problem {
  using sum = T;
  using query_type = Q;
  using key_type = K;
  using value_type = V;
  using gradient_type = G;
  using mask_type = Mask;
  using score_type = Score;
  template <class S>
  using rows = tessera::attention::detail::sequence_rows<S>;

  rows<const Q> q;
  rows<const K> k;
  rows<const V> v;
  rows<const G> dout;
  rows<DQ> dq;
  rows<DK> dk;
  rows<DV> dv;
  std::int64_t batch;
  std::int64_t heads;
  std::int64_t kv_heads;
  std::int64_t group;  ///< query heads that share a key head
  std::int64_t head_dim;
  std::int64_t value_dim;
  std::int64_t len_q;  ///< of every sequence; of ragged ones, the rows of all
  std::int64_t len_k;  ///< likewise
  double scale;
  Mask mask;
  Score score;
  view<const float, 1> key_scales;
  view<const float, 1> value_scales;
  tessera::attention::dropout dropout;
  const row_numbers<T>* numbers;  ///< [heads][tiles of queries][number_rows]
  const int* some_empty;          ///< [heads][tiles of queries]

  [[nodiscard]] TESSERA_HD std::int64_t queries_of(std::int64_t b) const { return length(q.offsets, b, len_q); }
  [[nodiscard]] TESSERA_HD std::int64_t keys_of(std::int64_t b) const { return length(k.offsets, b, len_k); }

  /// What q . k is multiplied by, and the weighted means of values.
  [[nodiscard]] TESSERA_DEVICE double score_factor(std::int64_t kv_h) const {
    return key_scales.data_handle() != nullptr ? scale * static_cast<double>(key_scales(kv_h)) : scale;
  }
  [[nodiscard]] TESSERA_DEVICE T value_factor(std::int64_t kv_h) const {
    const double stored = value_scales.data_handle() != nullptr ? static_cast<double>(value_scales(kv_h)) : 1.0;
    return static_cast<T>(stored * dropout.factor());
  }

  /// Tiles of numbers of rows of a head, and the first one of a sequence.
  [[nodiscard]] TESSERA_HD sequence_tiles number_tiles() const { return {number_rows, batch, len_q}; }
  [[nodiscard]] TESSERA_DEVICE std::int64_t first_number_tile(std::int64_t b, std::int64_t h) const {
    const sequence_tiles tiles = number_tiles();
    return h * tiles.count(q.offsets) + tiles.first(b, q.offsets);
  }

  template <class S>
  [[nodiscard]] TESSERA_DEVICE matrix_rows<S> query_rows(const rows<S>& of, std::int64_t b, std::int64_t h) const {
    return {of.at(b, h, 0), of.row, static_cast<int>(queries_of(b))};
  }
  template <class S>
  [[nodiscard]] TESSERA_DEVICE matrix_rows<S> key_rows(const rows<S>& of, std::int64_t b, std::int64_t kv_h) const {
    return {of.at(b, kv_h, 0), of.row, static_cast<int>(keys_of(b))};
  }

 private:
  [[nodiscard]] TESSERA_HD static std::int64_t length(const tessera::attention::index_view<1>& offsets, std::int64_t b,
                                                      std::int64_t all) {
    return offsets.null() ? all : offsets(b + 1) - offsets(b);
  }
};

/// The pairs of one head.
template <class Problem>
class gradient_pairs {
 public:
  using T = typename Problem::sum;
  using index = lane_index<T>;
  using mask_type = decltype(tessera::attention::detail::head_of(std::declval<const typename Problem::mask_type&>(), 0, 0, 0, 0));
  using score_type =
      decltype(tessera::attention::detail::score_of(std::declval<const typename Problem::score_type&>(), 0, 0, 0, 0));
  static constexpr bool linear = tessera::detail::is_linear<score_type>;
  static_assert(
      linear || requires(const score_type& f, T s, index i) { f.derivative(s, i, i); },
      "attention::backward: the score needs a derivative(s, i, j); see score_by{f, derivative}");

  TESSERA_DEVICE gradient_pairs(const Problem& p, std::int64_t b, std::int64_t h, std::int64_t kv_h)
      : mask_(tessera::attention::detail::head_of(p.mask, b, h, p.queries_of(b), p.keys_of(b))),
        score_(tessera::attention::detail::score_of(p.score, b, h, p.queries_of(b), p.keys_of(b))),
        queries_(static_cast<index>(p.queries_of(b))),
        keys_(static_cast<index>(p.keys_of(b))),
        scale_(static_cast<T>(p.score_factor(kv_h) * (linear ? softmax::unit : 1.0))),
        value_factor_(p.value_factor(kv_h)),
        p_(p),
        b_(static_cast<int>(b)),
        h_(static_cast<int>(h)),
        kv_h_(static_cast<int>(kv_h)) {}

  [[nodiscard]] TESSERA_DEVICE tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    return mask_.classify(i0, i1, j0, j1);
  }
  /// Whether query i and key j are there, and see each other.
  [[nodiscard]] TESSERA_DEVICE bool visible(index i, index j) const {
    return i < queries_ && j < keys_ && static_cast<bool>(mask_.visible(i, j));
  }

  /// The same, made anew from the call's parameters: scales and bounds of a mask, a dozen registers, are then not held throughout the products of a
  /// tile, and not spilled where the sums leave none.
  [[nodiscard]] TESSERA_DEVICE gradient_pairs again() const {
    return {p_, static_cast<int>(made_anew(static_cast<unsigned>(b_))), static_cast<int>(made_anew(static_cast<unsigned>(h_))),
            static_cast<int>(made_anew(static_cast<unsigned>(kv_h_)))};
  }

  [[nodiscard]] TESSERA_DEVICE bool drops() const { return p_.dropout.active(); }
  /// Calls f(e, whether dropout strikes out pair(e) = (i, j)) for e < count. What it needs is looked up here: it is not to take registers elsewhere.
  template <class Pair, class F>
  TESSERA_DEVICE void for_each_dropped(int count, const Pair& pair, const F& f) const {
    const std::uint32_t least = p_.dropout.threshold();
    const std::int64_t first =
        p_.q.offsets.null() ? (static_cast<std::int64_t>(b_) * p_.heads + h_) * p_.len_q : h_ * p_.len_q + p_.q.offsets(b_);
    TESSERA_DEVICE_ROLLED
    for (int e = 0; e < count; ++e) {
      const packed<index, 2> at = pair(e);
      const std::uint64_t address = static_cast<std::uint64_t>(first + at[0]) << 32 | static_cast<std::uint64_t>(at[1]);
      f(e, random::bits<std::uint32_t>(p_.dropout.seed, p_.dropout.stream, address) < least);
    }
  }

  /// A pair's products q . k and dout . v become its weight, as it multiplies dout, and its slope, the gradient of the scaled product.
  TESSERA_DEVICE void weigh(T& key_product, T& value_product, const row_numbers<T>& row, index i, index j, bool dropped) const {
    const T x = key_product * scale_;
    T power;
    T slope = 1;
    if constexpr (linear) {
      power = x - row[0];
    } else {
      // As the forward pass rounds it: the product first, so that both are wrong alike.
      power = score_(x, i, j) * static_cast<T>(softmax::unit) - row[0];
      slope = score_.derivative(x, i, j);
    }
    // Never above 1, to which rounding could bring it; a NaN is kept.
    const T weight = exp2_nonpositive<faintest>(tessera::min(T(0), power));
    T gradient = value_product * value_factor_;
    T kept = weight;
    if (dropped) {
      gradient *= T(0);  // not 0: the pair sees a NaN though its weight is struck out
      kept *= T(0);
    }
    key_product = kept;
    value_product = weight * (gradient - row[1]);
    if constexpr (!linear) value_product *= slope;
  }

 private:
  /// Where weights end, as in softmax.
  static constexpr int faintest = sizeof(T) == 4 ? -63 : -511;

  mask_type mask_;
  score_type score_;
  index queries_;
  index keys_;
  T scale_;
  T value_factor_;
  const Problem& p_;
  int b_;
  int h_;
  int kv_h_;
};

}  // namespace tessera::cuda::attention::detail
