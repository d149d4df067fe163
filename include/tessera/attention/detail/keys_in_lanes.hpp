// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Scores and weights of few queries: keys stand in the lanes, and a few rows of queries are broadcast to them. No lane is empty, however
/// few the queries are, and every element of K is read once for all of them.
///
/// Each sum is one chain of multiply-adds in the order of tile/microkernel.hpp, so it has the bits that a block of queries in the lanes
/// gives it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/attention/detail/few_shape.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/core/config.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/transpose.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention::detail {

/// Asks for the cache lines of rows one after another, so that the machine sees a stream.
class line_stream {
 public:
  line_stream() = default;
  /// Rows of `length` elements, `stride` apart.
  template <class S>
  line_stream(const S* rows, std::int64_t stride, std::int64_t length)
      : at_(reinterpret_cast<const char*>(rows)),
        lines_((length * static_cast<std::int64_t>(sizeof(S)) + line - 1) / line),
        left_(lines_),
        gap_(stride * static_cast<std::int64_t>(sizeof(S)) - lines_ * line) {}

  TESSERA_ALWAYS_INLINE void next() {
    simd::prefetch(at_);
    at_ += line;
    if (--left_ == 0) {
      left_ = lines_;
      at_ += gap_;
    }
  }

 private:
  static constexpr std::int64_t line = 64;
  const char* at_ = nullptr;
  std::int64_t lines_ = 1;
  std::int64_t left_ = 1;
  std::int64_t gap_ = 0;
};

/// Asks for the rows [j, j + n), as many as there are, at once: where they are read from pages, no machine foresees the next one.
template <class S>
TESSERA_ALWAYS_INLINE void ask_for_rows(const stored_rows<S>& rows, std::int64_t j, std::int64_t n, std::int64_t width) {
  const std::int64_t end = std::min(j + n, rows.size());
  while (j < end) {
    const strided_rows<S> part = rows.from(j, end - j);
    for (std::int64_t i = 0; i < part.count; ++i) {
      const auto* const row = reinterpret_cast<const char*>(part.first + i * part.stride);
      for (std::int64_t at = 0; at < width * static_cast<std::int64_t>(sizeof(S)); at += 64) simd::prefetch(row + at);
    }
    j += part.count;
  }
}

/// x[r] = load(first + r * stride), by few addresses.
template <int Rows, class P, class K, class Load>
TESSERA_ALWAYS_INLINE void load_rows(const K* first, std::int64_t stride, P (&x)[Rows], const Load& load) {
  TESSERA_UNROLL
  for (int r = 0; r < Rows; r += 2) {
    x[r] = load(first);
    x[r + 1] = load(first + stride);
    first += 2 * stride;
  }
}

/// Calls take(k, x) with one pack after another: lane r of x is keys[r * stride + k] for r < n, and 0 beyond. k rises from 0 to depth - 1.
///
/// Whole squares of numbers are turned in registers, each cache line read once. That takes lines of many rows in turn, which no machine
/// foresees, so what is read next is asked for, line by line in its own order.
template <class P, class K, class Take>
TESSERA_ALWAYS_INLINE void turn_keys(const K* keys, std::int64_t stride, int n, std::int64_t depth, line_stream ahead,
                                     const Take& take) {
  using T = typename P::value_type;
  constexpr int lanes = P::lanes;
  constexpr int lines = std::clamp<int>(static_cast<int>(lanes * lanes * sizeof(K) / 64), 1, lanes);
  std::int64_t k = 0;
  if (n == lanes) {
    if constexpr (in_halves<K, P>) {
      for (; k + 2 * lanes <= depth; k += 2 * lanes) {
        P x[lanes];
        load_rows(keys + k, stride, x, [](const K* row) { return load_codes<P>(row); });
        simd::transpose_square(x);
        TESSERA_UNROLL
        for (int c = 0; c < lanes; ++c) {
          ahead.next();
          take(k + 2 * c, even_elements<P>(x[c]));
          take(k + 2 * c + 1, odd_elements<P>(x[c]));
        }
      }
    }
    for (; k + lanes <= depth; k += lanes) {
      P x[lanes];
      load_rows(keys + k, stride, x, [](const K* row) { return simd::load_as<P>(row); });
      simd::transpose_square(x);
      TESSERA_UNROLL
      for (int c = 0; c < lanes; ++c) {
        if (c % (lanes / lines) == 0) ahead.next();
        take(k + c, x[c]);
      }
    }
  }
  for (; k < depth; k += lanes) {
    const int columns = static_cast<int>(depth - k < lanes ? depth - k : lanes);
    P x[lanes];
    for (int r = 0; r < lanes; ++r) x[r] = r < n ? tile::detail::load_columns<P>(keys + r * stride + k, columns) : P(T(0));
    simd::transpose_square(x);
    for (int c = 0; c < columns; ++c) take(k + c, x[c]);
  }
}

/// Stores turned keys: to[k * width + lane].
template <class P>
struct turned_store {
  typename P::value_type* to;
  std::int64_t width;
  TESSERA_ALWAYS_INLINE void operator()(std::int64_t k, P x) const { x.store(to + k * width); }
};

/// Multiplies turned keys with queries [depth][Rows] as they come.
template <int Rows, class P>
struct turned_products {
  const typename P::value_type* queries;
  P (&sums)[Rows];
  TESSERA_ALWAYS_INLINE void operator()(std::int64_t k, P x) const {
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) sums[r] = fma(x, P(queries[k * Rows + r]), sums[r]);
  }
};

/// to[k * width + r] = keys[r * stride + k]: for keys that several blocks of rows meet.
template <class P, class K>
TESSERA_NOINLINE void store_turned_keys(typename P::value_type* TESSERA_RESTRICT to, std::int64_t width, const K* keys,
                                        std::int64_t stride, int n, std::int64_t depth, const line_stream& ahead) {
  turn_keys<P>(keys, stride, n, depth, ahead, turned_store<P>{to, width});
}

/// scores[r * chunk + lane] = queries_r . keys_lane; queries [depth][Rows]. The turned keys never leave the registers.
template <int Rows, class P, class K>
TESSERA_NOINLINE void score_stored_keys(std::int64_t depth, const typename P::value_type* queries, const K* keys,
                                        std::int64_t stride, int n, const line_stream& ahead,
                                        typename P::value_type* TESSERA_RESTRICT scores) {
  P sums[Rows];
  for (P& sum : sums) sum = P(typename P::value_type(0));
  turn_keys<P>(keys, stride, n, depth, ahead, turned_products<Rows, P>{queries, sums});
  for (int r = 0; r < Rows; ++r) sums[r].store(scores + r * tile::value_chunk);
}

/// scores[r * chunk + p * lanes + lane] = queries_r . keys_lane; queries [depth][Rows], keys [depth][Packs * lanes].
template <int Rows, int Packs, class P>
TESSERA_NOINLINE void score_turned_keys(std::int64_t depth, const typename P::value_type* queries,
                                        const typename P::value_type* keys, typename P::value_type* scores) {
  P sums[Rows][Packs];
  tile::clear(sums);
  tile::multiply_add(depth, queries, Rows, keys, Packs * P::lanes, sums);
  TESSERA_UNROLL
  for (int r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (int p = 0; p < Packs; ++p) sums[r][p].store(scores + r * tile::value_chunk + p * P::lanes);
  }
}

/// In lane l < Rows, the largest of x's lanes l, l + Rows, l + 2 Rows …; Width is the number of those that count.
template <int Rows, int Width, class P>
TESSERA_ALWAYS_INLINE P fold_max_of_groups(P x) {
  if constexpr (Width > Rows) {
    return fold_max_of_groups<Rows, Width / 2>(max(x, simd::detail::lowered<Width / 2>(x)));
  } else {
    return x;
  }
}

/// In lane r < Rows, the largest lane of x[r]; the other lanes are anything.
template <int Rows, class P>
TESSERA_ALWAYS_INLINE P fold_max_of_rows(P (&x)[Rows]) {
  simd::transpose(x);
  P top = x[0];
  TESSERA_UNROLL
  for (int r = 1; r < Rows; ++r) top = max(top, x[r]);
  return fold_max_of_groups<Rows, P::lanes>(top);
}

/// sums += the Width / Rows groups of Rows lanes of x, one after another; in the first Rows lanes.
template <int Rows, int Width, class P>
TESSERA_ALWAYS_INLINE void add_in_order(P& sums, P x) {
  if constexpr (Width > Rows) {
    add_in_order<Rows, Width / 2>(sums, x);
    add_in_order<Rows, Width / 2>(sums, simd::detail::lowered<Width / 2>(x));
  } else {
    sums = sums + x;
  }
}

/// weights[j * Rows + r] = 2^(score - base_r) for the keys j of [first, last), both multiples of the lanes, and mass[r], their sum in
/// rising j.
template <int Rows, class P>
TESSERA_NOINLINE void weigh_keys(const typename P::value_type* scores, int first, int last, const typename P::value_type* base,
                                 typename P::value_type* TESSERA_RESTRICT weights, typename P::value_type* mass) {
  using T = typename P::value_type;
  P sums(T(0));
  for (int j = first; j < last; j += P::lanes) {
    P x[Rows];
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) x[r] = softmax::weight(P::load(scores + r * tile::value_chunk + j), P(base[r]));
    simd::transpose(x);
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      x[r].store(weights + j * Rows + r * P::lanes);
      add_in_order<Rows, P::lanes>(sums, x[r]);
    }
  }
  alignas(P::alignment) T all[P::lanes];
  sums.store(all);
  for (int r = 0; r < Rows; ++r) mass[r] = all[r];
}

}  // namespace tessera::attention::detail
