// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The products of few queries: keys, then columns of values, stand in the lanes, and a few rows of queries are broadcast to them. No
/// lane is empty, however few the queries are, and every element of K and V is read once for all of them.
///
/// Each sum is one chain of multiply-adds in the order of tile/microkernel.hpp, so it has the bits that a block of queries in the lanes
/// gives it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/simd/transpose.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::attention::detail {

/// The register block: `rows` broadcast numbers times `packs` registers of lanes. 8 x 3 of 32 registers, 4 x 3 of 16.
template <class T, class Arch>
struct few_shape {
  static constexpr int lanes = simd::pack<T, Arch>::lanes;
  static constexpr int rows = tile::block_shape<T, Arch>::wide ? 8 : 4;
  static constexpr int packs = 3;
  static constexpr int chunk = tile::value_chunk;
  static_assert(chunk % (packs * lanes) == 0);

  /// Rows times packs of sums of values; few rows and many packs, so that rows of values are read from end to end.
  static constexpr int value_sums = tile::block_shape<T, Arch>::wide ? 16 : 8;
};

/// Storage of which a register holds two packs, each element in the upper half of a lane of its own after one instruction.
template <class S, class P>
inline constexpr bool in_halves = std::is_same_v<S, bfloat16> && std::is_same_v<typename P::value_type, float>;

/// The elements of even and of odd index of 2 * lanes numbers whose codes are the lanes of `codes`.
template <class P>
TESSERA_ALWAYS_INLINE P even_elements(P codes) {
  return simd::bit_cast<float>(simd::shift_left<16>(simd::bit_cast<std::int32_t>(codes)));
}
template <class P>
TESSERA_ALWAYS_INLINE P odd_elements(P codes) {
  using I = simd::index_pack<float, typename P::arch>;
  return simd::bit_cast<float>(simd::bit_and(simd::bit_cast<std::int32_t>(codes), I(static_cast<std::int32_t>(0xffff0000))));
}

/// The codes of 2 * lanes 16-bit numbers, as they are.
template <class P, class S>
TESSERA_ALWAYS_INLINE P load_codes(const S* p) {
  return P::load_unaligned(reinterpret_cast<const float*>(p));
}

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
        simd::transpose(x);
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
      simd::transpose(x);
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
    simd::transpose(x);
    for (int c = 0; c < columns; ++c) take(k + c, x[c]);
  }
}

/// to[k * width + r] = keys[r * stride + k]: for keys that several blocks of rows meet.
template <class P, class K>
TESSERA_NOINLINE void store_turned_keys(typename P::value_type* TESSERA_RESTRICT to, std::int64_t width, const K* keys,
                                        std::int64_t stride, int n, std::int64_t depth, const line_stream& ahead) {
  turn_keys<P>(keys, stride, n, depth, ahead,
               [&](std::int64_t k, P x) __attribute__((always_inline)) { x.store(to + k * width); });
}

/// scores[r * chunk + lane] = queries_r . keys_lane; queries [depth][Rows]. The turned keys never leave the registers.
template <int Rows, class P, class K>
TESSERA_NOINLINE void score_stored_keys(std::int64_t depth, const typename P::value_type* queries, const K* keys,
                                        std::int64_t stride, int n, const line_stream& ahead,
                                        typename P::value_type* TESSERA_RESTRICT scores) {
  P sums[Rows];
  for (P& sum : sums) sum = P(typename P::value_type(0));
  turn_keys<P>(keys, stride, n, depth, ahead, [&](std::int64_t k, P x) __attribute__((always_inline)) {
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) sums[r] = fma(x, P(queries[k * Rows + r]), sums[r]);
  });
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
  simd::turn(x);
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
    simd::turn(x);
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

/// Packs neighbouring packs of values, widened; two of bfloat16 share a register, and then stand as even and odd elements.
template <int Packs, class P, class V>
TESSERA_ALWAYS_INLINE void load_values(const V* values, P (&x)[Packs]) {
  constexpr int pairs = in_halves<V, P> ? Packs / 2 : 0;
  TESSERA_UNROLL
  for (int c = 0; c < pairs; ++c) {
    if constexpr (pairs > 0) {
      const auto codes = load_codes<P>(values + 2 * c * P::lanes);
      x[2 * c] = even_elements<P>(codes);
      x[2 * c + 1] = odd_elements<P>(codes);
    }
  }
  TESSERA_UNROLL
  for (int c = 2 * pairs; c < Packs; ++c) x[c] = simd::load_as<P>(values + c * P::lanes);
}

/// sums[r * sums_stride + column] (+)= sum over j < count of weights[j * step + r] * values[j * stride + column], for Packs packs of
/// columns, or the first `columns` of one pack (Last). The first time nothing is added to; columns stand as load_values gives them.
template <int Rows, int Packs, bool Last, class P, class V>
TESSERA_NOINLINE void add_values(int count, const typename P::value_type* TESSERA_RESTRICT weights, std::int64_t step,
                                 const V* values, std::int64_t stride, int columns, typename P::value_type* TESSERA_RESTRICT sums,
                                 std::int64_t sums_stride, bool first) {
  P x[Rows][Packs];
  tile::clear(x);
  if (!first) {
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (int c = 0; c < Packs; ++c) x[r][c] = P::load(sums + r * sums_stride + c * P::lanes);
    }
  }
  for (int j = 0; j < count; ++j) {
    P value[Packs];
    if constexpr (Last) {
      value[0] = simd::load_partial<P>(values, columns);
    } else {
      load_values(values, value);
    }
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const P weight(weights[r]);
      TESSERA_UNROLL
      for (int c = 0; c < Packs; ++c) x[r][c] = fma(value[c], weight, x[r][c]);
    }
    values += stride;
    weights += step;
  }
  TESSERA_UNROLL
  for (int r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < Packs; ++c) x[r][c].store(sums + r * sums_stride + c * P::lanes);
  }
}

/// The same for all columns and all of a block's rows, once. sums has room for Rows rows.
///
/// A tile of values is read in the order of memory by the first rows that meet it, then by the others from the first-level cache; small, so
/// that whatever the machine fetches ahead by itself bridges the time of the others.
template <int Rows, class P, class V>
void sum_streamed_values(int count, const typename P::value_type* weights, const V* values, std::int64_t stride,
                         std::int64_t value_dim, typename P::value_type* sums, std::int64_t sums_stride) {
  constexpr int most = few_shape<typename P::value_type, typename P::arch>::value_sums;
  constexpr int lanes = P::lanes;
  constexpr std::int64_t tile_bytes = Rows > 4 ? 4096 : 8192;
  const std::int64_t row_bytes = value_dim * static_cast<std::int64_t>(sizeof(V)) + 1;
  const int tile = static_cast<int>(std::clamp<std::int64_t>(tile_bytes / row_bytes, 4, tile::value_chunk));
  for (int j = 0; j < count; j += tile) {
    const int n = std::min(tile, count - j);
    std::int64_t c = 0;
    const auto take = [&](auto rows, auto packs) {
      constexpr int R = std::min(decltype(rows)::value, Rows);
      constexpr int Packs = decltype(packs)::value;
      for (; c + Packs * lanes <= value_dim; c += Packs * lanes) {
        for (int r = 0; r < Rows; r += R) {
          add_values<R, Packs, false, P>(n, weights + j * Rows + r, Rows, values + j * stride + c, stride, 0,
                                         sums + r * sums_stride + c, sums_stride, j == 0);
        }
      }
    };
    take(std::integral_constant<int, 2>{}, std::integral_constant<int, most / 2>{});
    take(std::integral_constant<int, 4>{}, std::integral_constant<int, most / 4>{});
    if constexpr (most / 4 > 2) take(std::integral_constant<int, 8>{}, std::integral_constant<int, 2>{});
    take(std::integral_constant<int, 8>{}, std::integral_constant<int, 1>{});
    if (c < value_dim) {
      add_values<Rows, 1, true, P>(n, weights + j * Rows, Rows, values + j * stride + c, stride, static_cast<int>(value_dim - c),
                                   sums + c, sums_stride, j == 0);
    }
  }
  if constexpr (in_halves<V, P>) {
    for (int r = 0; r < Rows; ++r) {
      // Blocks of even width hold pairs; what is left is one pack as it is.
      for (std::int64_t c = 0; c + 2 * lanes <= value_dim; c += 2 * lanes) {
        P pair[2] = {P::load(sums + r * sums_stride + c), P::load(sums + r * sums_stride + c + lanes)};
        simd::turn(pair);
        pair[0].store(sums + r * sums_stride + c);
        pair[1].store(sums + r * sums_stride + c + lanes);
      }
    }
  }
}

/// The same where the values are in a cache: each is loaded once for all rows.
template <int Rows, class P>
void sum_cached_values(int count, const typename P::value_type* weights, const typename P::value_type* values,
                       std::int64_t stride, std::int64_t value_dim, typename P::value_type* sums, std::int64_t sums_stride) {
  constexpr int lanes = P::lanes;
  std::int64_t c = 0;
  const auto take = [&](auto packs) {
    constexpr int Packs = decltype(packs)::value;
    for (; c + Packs * lanes <= value_dim; c += Packs * lanes) {
      add_values<Rows, Packs, false, P>(count, weights, Rows, values + c, stride, 0, sums + c, sums_stride, true);
    }
  };
  take(std::integral_constant<int, 3>{});
  take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
  if (c < value_dim) {
    add_values<Rows, 1, true, P>(count, weights, Rows, values + c, stride, static_cast<int>(value_dim - c), sums + c, sums_stride,
                                 true);
  }
}

}  // namespace tessera::attention::detail
