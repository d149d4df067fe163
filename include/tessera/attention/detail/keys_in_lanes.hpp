// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The products of few queries: keys, then columns of values, stand in the lanes, and a few rows of queries are broadcast to them. No
/// lane is empty, however few the queries are, and every element of K and V is read once for all of them.
///
/// Each sum is one chain of multiply-adds in the order of tile/microkernel.hpp, so it has the bits that a block of queries in the lanes
/// gives it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "tessera/core/config.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/simd/load.hpp"
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

  /// Registers of values that Rows rows of queries leave room for.
  template <int Rows>
  static constexpr int value_packs = rows == 8 ? (Rows == 8   ? 3
                                                  : Rows == 4 ? 4
                                                              : 8)
                                               : (Rows == 4 ? 2 : 4);
};

/// Calls f with the least of 1, 2, 4, Most (as std::integral_constant) that is not below n.
template <int Most, class F>
TESSERA_ALWAYS_INLINE void with_rows(int n, const F& f) {
  if (n > 4) {
    f(std::integral_constant<int, Most>{});
  } else if (n > 2) {
    f(std::integral_constant<int, 4>{});
  } else if (n == 2) {
    f(std::integral_constant<int, 2>{});
  } else {
    f(std::integral_constant<int, 1>{});
  }
}

/// Storage of which a register holds two packs, each element in the upper half of a lane of its own after one instruction.
template <class S, class P>
inline constexpr bool in_halves = std::is_same_v<S, bfloat16> && std::is_same_v<typename P::value_type, float>;

/// The elements of even and of odd index of 2 * lanes numbers whose codes are the lanes of `codes`.
template <class P, class I>
TESSERA_ALWAYS_INLINE P even_elements(I codes) {
  return simd::bit_cast<typename P::value_type>(simd::shift_left<16>(codes));
}
template <class P, class I>
TESSERA_ALWAYS_INLINE P odd_elements(I codes) {
  return simd::bit_cast<typename P::value_type>(simd::bit_and(codes, I(static_cast<std::int32_t>(0xffff0000))));
}

/// The codes of 2 * lanes 16-bit numbers.
template <class P, class S>
TESSERA_ALWAYS_INLINE simd::index_pack<float, typename P::arch> load_codes(const S* p) {
  return simd::bit_cast<std::int32_t>(P::load_unaligned(reinterpret_cast<const float*>(p)));
}

/// to[k * width + r] = keys[r * stride + k] for r < n, and 0 for the rest of the lanes: one pack of keys, turned.
///
/// Every cache line is read once, and the same lines of the next `lanes` keys are asked for.
template <class P, class K>
TESSERA_NOINLINE void turn_keys(typename P::value_type* TESSERA_RESTRICT to, std::int64_t width, const K* keys,
                                std::int64_t stride, int n, std::int64_t depth) {
  using T = typename P::value_type;
  constexpr int lanes = P::lanes;
  std::int64_t k = 0;
  if (n == lanes) {
    if constexpr (in_halves<K, P>) {
      using I = simd::index_pack<float, typename P::arch>;
      for (; k + 2 * lanes <= depth; k += 2 * lanes) {
        I x[lanes];
        TESSERA_UNROLL
        for (int r = 0; r < lanes; ++r) {
          x[r] = load_codes<P>(keys + r * stride + k);
          simd::prefetch(keys + (lanes + r) * stride + k);
        }
        simd::turn(x);
        TESSERA_UNROLL
        for (int c = 0; c < lanes; ++c) {
          even_elements<P>(x[c]).store(to + (k + 2 * c) * width);
          odd_elements<P>(x[c]).store(to + (k + 2 * c + 1) * width);
        }
      }
    }
    for (; k + lanes <= depth; k += lanes) {
      P x[lanes];
      TESSERA_UNROLL
      for (int r = 0; r < lanes; ++r) {
        x[r] = simd::load_as<P>(keys + r * stride + k);
        simd::prefetch(keys + (lanes + r) * stride + k);
      }
      simd::turn(x);
      TESSERA_UNROLL
      for (int c = 0; c < lanes; ++c) x[c].store(to + (k + c) * width);
    }
  }
  for (; k < depth; k += lanes) {
    const int columns = static_cast<int>(depth - k < lanes ? depth - k : lanes);
    P x[lanes];
    for (int r = 0; r < lanes; ++r) x[r] = r < n ? tile::detail::load_columns<P>(keys + r * stride + k, columns) : P(T(0));
    simd::turn(x);
    for (int c = 0; c < columns; ++c) x[c].store(to + (k + c) * width);
  }
}

/// scores[r * chunk + p * lanes + lane] = queries_r . keys_lane; queries [depth][Rows], keys [depth][Packs * lanes].
template <int Rows, int Packs, class P>
TESSERA_NOINLINE void score_keys(std::int64_t depth, const typename P::value_type* queries, const typename P::value_type* keys,
                                 typename P::value_type* scores) {
  P sums[Rows][Packs];
  tile::clear(sums);
  tile::multiply_add(depth, queries, Rows, keys, Packs * P::lanes, sums);
  TESSERA_UNROLL
  for (int r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (int p = 0; p < Packs; ++p) sums[r][p].store(scores + r * tile::value_chunk + p * P::lanes);
  }
}

/// weights[j * Rows + r] = 2^(score - base_r) for the keys j of [first, last), both multiples of the lanes, and their sums in rising j.
template <int Rows, class P>
TESSERA_NOINLINE void weigh_keys(const typename P::value_type* scores, int first, int last, const typename P::value_type* base,
                                 typename P::value_type* TESSERA_RESTRICT weights, typename P::value_type* mass) {
  using T = typename P::value_type;
  for (int j = first; j < last; j += P::lanes) {
    P x[Rows];
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) x[r] = softmax::weight(P::load(scores + r * tile::value_chunk + j), P(base[r]));
    simd::turn(x);
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) x[r].store(weights + j * Rows + r * P::lanes);
  }
  T sums[Rows] = {};
  for (int j = first; j < last; ++j) {
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) sums[r] += weights[j * Rows + r];
  }
  for (int r = 0; r < Rows; ++r) mass[r] = sums[r];
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

/// Puts sums of what load_values gave into the order of the columns.
template <class V, int Packs, class P>
TESSERA_ALWAYS_INLINE void order_columns(P (&x)[Packs]) {
  if constexpr (in_halves<V, P>) {
    TESSERA_UNROLL
    for (int c = 0; c + 1 < Packs; c += 2) {
      P pair[2] = {x[c], x[c + 1]};
      simd::turn(pair);
      x[c] = pair[0];
      x[c + 1] = pair[1];
    }
  }
}

/// Cache lines of values that are asked for ahead of their use.
inline constexpr int values_ahead = 16;

/// sums[r * sums_stride + column] = sum over j < count of weights[j * Rows + r] * values[j * stride + column], for Packs packs of columns
/// (Last: the first `columns` of one pack). Rows beyond `used` are left out.
template <int Rows, int Packs, bool Last, class P, class V>
TESSERA_NOINLINE void sum_values(int count, const typename P::value_type* TESSERA_RESTRICT weights, const V* values,
                                 std::int64_t stride, int columns, typename P::value_type* TESSERA_RESTRICT sums,
                                 std::int64_t sums_stride, int used) {
  constexpr int line = static_cast<int>(64 / sizeof(V));
  P x[Rows][Packs];
  tile::clear(x);
  for (int j = 0; j < count; ++j) {
    P value[Packs];
    if constexpr (Last) {
      value[0] = simd::load_partial<P>(values, columns);
    } else {
      load_values(values, value);
    }
    TESSERA_UNROLL
    for (int c = 0; c < Packs * P::lanes; c += line) simd::prefetch(values + values_ahead * stride + c);
    TESSERA_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const P weight(weights[r]);
      TESSERA_UNROLL
      for (int c = 0; c < Packs; ++c) x[r][c] = fma(value[c], weight, x[r][c]);
    }
    values += stride;
    weights += Rows;
  }
  TESSERA_UNROLL
  for (int r = 0; r < Rows; ++r) {
    if (r >= used) break;
    if constexpr (!Last) order_columns<V>(x[r]);
    TESSERA_UNROLL
    for (int c = 0; c < Packs; ++c) x[r][c].store(sums + r * sums_stride + c * P::lanes);
  }
}

/// The same for all columns.
template <int Rows, class P, class V>
void sum_values(int count, const typename P::value_type* weights, const V* values, std::int64_t stride, std::int64_t value_dim,
                typename P::value_type* sums, std::int64_t sums_stride, int used) {
  constexpr int most = few_shape<typename P::value_type, typename P::arch>::template value_packs<Rows>;
  constexpr int lanes = P::lanes;
  std::int64_t c = 0;
  const auto take = [&](auto packs) {
    for (; c + packs * lanes <= value_dim; c += packs * lanes) {
      sum_values<Rows, decltype(packs)::value, false, P>(count, weights, values + c, stride, 0, sums + c, sums_stride, used);
    }
  };
  take(std::integral_constant<int, most>{});
  if constexpr (most > 4) take(std::integral_constant<int, 4>{});
  if constexpr (most > 2) take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
  if (c < value_dim) {
    sum_values<Rows, 1, true, P>(count, weights, values + c, stride, static_cast<int>(value_dim - c), sums + c, sums_stride,
                                 used);
  }
}

}  // namespace tessera::attention::detail
