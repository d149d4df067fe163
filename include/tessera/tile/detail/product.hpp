// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The parts of a matrix product: packed operands, one item of work, and where its sums go.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/simd/load.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"

namespace tessera::tile::detail {

/// Depth that is multiplied at once, and the length of a chain of multiply-adds: part of the bits of a product. A panel of B of that
/// depth and a few blocks of A fit the first-level cache.
inline constexpr std::int64_t depth_step = 128;
/// Rows of a stripe of A at most: a panel of B comes from the third-level cache once a stripe. A multiple of 6 and of 8, and not
/// below 512, so that powers of two are cut evenly.
inline constexpr std::int64_t stripe_rows = 528;
/// Panels of B of one item of work: with a stripe of A and the sums they stay in the second-level cache.
inline constexpr std::int64_t item_panels = 6;

/// Neighbours of an operand, `Width` at a time, packed as [steps][groups][depth_step][Width]: by steps of depth outside, so that the
/// groups of a step follow one another in memory and the prefetchers keep up.
template <class T, int Width>
struct packed_operand {
  T* data;
  std::int64_t groups;

  [[nodiscard]] T* at(std::int64_t k, std::int64_t group, std::int64_t step) const {
    return data + (k * groups + group * step) * Width;
  }

  /// Groups that are packed together: where neighbours are contiguous whole rows are read, which the prefetchers and the memory reward;
  /// where depth is, each group by itself.
  static std::int64_t together(std::int64_t stride) { return stride == 1 ? 8 : 1; }

  /// Groups [first, last) over a step of depth, of an operand that has its neighbour 0 and depth 0 at `from`.
  template <class P, class S>
  void pack(std::int64_t first, std::int64_t last, std::int64_t k, std::int64_t step, const S* from, std::int64_t stride,
            std::int64_t depth_stride, std::int64_t neighbours) const {
    const auto count = [&](std::int64_t g) { return std::min<std::int64_t>(Width, neighbours - g * Width); };
    if (stride == 1) {
      for (std::int64_t r = 0; r < step; ++r) {
        const S* const row = from + (k + r) * depth_stride;
        for (std::int64_t g = first; g < last; ++g) {
          pack_straight<Width, P>(at(k, g, step) + r * Width, row + g * Width, depth_stride, count(g), 1);
        }
      }
    } else {
      for (std::int64_t g = first; g < last; ++g) {
        pack_transposed<Width, P>(at(k, g, step), from + g * Width * stride + k * depth_stride, stride, count(g), step,
                                  as_stored{});
      }
    }
  }

  /// All groups over all depth.
  template <class P, class S>
  void pack_all(std::int64_t depth, const S* from, std::int64_t stride, std::int64_t depth_stride,
                std::int64_t neighbours) const {
    const std::int64_t few = together(stride);
    const std::int64_t last = (neighbours + Width - 1) / Width;
    for (std::int64_t g = 0; g < last; g += few) {
      for (std::int64_t k = 0; k < depth; k += depth_step) {
        pack<P>(g, std::min(last, g + few), k, std::min(depth_step, depth - k), from, stride, depth_stride, neighbours);
      }
    }
  }
};

/// What becomes of the sums of a product on their way to C: nothing. Others are called for runs of `columns` sums of one row, with the row and
/// the first column in C, and change them in place.
struct plain_result {
  template <class T>
  TESSERA_ALWAYS_INLINE void operator()(std::int64_t, std::int64_t, T*, int) const {}
};

/// Where complete sums of a slab of depth go: to C, finished and rounded; or, between slabs of a C that is narrower than the sums, to a
/// matrix of sums.
template <class P, class TC, class Finish = plain_result>
struct stored_sums {
  using T = typename P::value_type;
  static constexpr bool direct = std::is_same_v<TC, T>;
  static constexpr bool plain = std::is_same_v<Finish, plain_result>;

  TC* c;
  std::int64_t c_stride;
  T* partial;
  std::int64_t partial_stride;
  bool add;        ///< a slab came before
  bool last;       ///< no slab comes after
  bool streaming;  ///< C is large and lies on cache lines: past the caches, it costs no reads and evicts no operands
  const Finish* finish;
  std::int64_t first_row;  ///< of C, that `c` points to
  std::int64_t first_column;

  [[nodiscard]] T* partial_row(std::int64_t row) const {
    if constexpr (direct) {
      return c + row * c_stride;
    } else {
      return partial + row * partial_stride;
    }
  }

  /// Goes on from the slab before, at the first step of depth: the order of a sum must not depend on where slabs end.
  void resume(std::int64_t row, std::int64_t column, T* sums, int columns) const {
    const T* const before = partial_row(row) + column;
    for (int l = 0; l < columns; ++l) sums[l] += before[l];
  }

  void row(std::int64_t row, std::int64_t column, T* sums, int columns) const {
    if (last && !plain) (*finish)(first_row + row, first_column + column, sums, columns);
    if (direct || last) {
      tile::store_row<P>(c + row * c_stride + column, sums, columns);
    } else {
      tile::store_row<P>(partial_row(row) + column, sums, columns);
    }
  }
};

/// One item: `blocks` blocks of A times up to `item_panels` panels of B over one slab of depth.
///
/// Sums between steps of depth live in `sums`, block after block: C itself, whose rows are far apart, would cost a page and a few
/// cache misses a row at every step.
template <class T, class Arch>
class product_block {
 public:
  using P = simd::pack<T, Arch>;
  using shape = block_shape<T, Arch>;
  static constexpr int rows = shape::rows;
  static constexpr int width = shape::width;
  static_assert(stripe_rows % rows == 0);

  packed_operand<T, rows> a;  ///< one stripe
  packed_operand<T, width> b;
  std::int64_t depth;  ///< of the slab

  /// `m` rows of the stripe, `n` columns from panel `b_panel` on.
  template <class TC, class Finish>
  void run(std::int64_t b_panel, std::int64_t m, std::int64_t n, T* sums, const stored_sums<P, TC, Finish>& store) const {
    const std::int64_t blocks = (m + rows - 1) / rows;
    std::int64_t k = 0;
    do {  // a depth of 0 still stores zeros
      const std::int64_t step = std::min(depth_step, depth - k);
      const bool last = k + step == depth;
      for (std::int64_t j = 0; j < n; j += width) {
        const T* const panel = b.at(k, b_panel + j / width, step);
        // The next panel: of this step; or the item's first, a step deeper; or the next item's first.
        const bool turn = j + width >= n;
        const std::int64_t next_k = !turn ? k : last ? 0 : k + step;
        const T* const next = b.at(next_k, b_panel + (turn && !last ? 0 : j / width + 1), std::min(depth_step, depth - next_k));
        const std::int64_t share = (step * width + blocks - 1) / blocks;  // of the next panel, fetched beside each block
        const std::int64_t packs = (std::min<std::int64_t>(n - j, width) + P::lanes - 1) / P::lanes;
        for (std::int64_t i = 0; i < blocks; ++i) {
          for (std::int64_t l = 0; l < share; l += 64 / sizeof(T)) simd::prefetch_far(next + i * share + l);
          const T* const block = a.at(k, i, step);
          T* const kept = sums + (j / width * blocks + i) * (rows * width);
          const int tall = static_cast<int>(std::min<std::int64_t>(rows, m - i * rows));
          const int wide = static_cast<int>(std::min<std::int64_t>(width, n - j));
          if constexpr (stored_sums<P, TC, Finish>::direct) {
            if (last && (store.plain || !store.last) && tall == rows && wide == width && !(k == 0 && store.add)) {
              T* const c = store.c + i * rows * store.c_stride + j;
              const T* const from = k > 0 ? kept : nullptr;
              if (store.streaming) {
                tile<shape::packs, true>(step, block, panel, from, c, store.c_stride);
              } else {
                tile<shape::packs>(step, block, panel, from, c, store.c_stride);
              }
              continue;
            }
          }
          const T* const from = k > 0 ? kept : nullptr;
          if (packs == 1) {
            tile<1>(step, block, panel, from, kept, width);
          } else if (packs == 2) {
            tile<2>(step, block, panel, from, kept, width);
          } else {
            tile<shape::packs>(step, block, panel, from, kept, width);
          }
          if (k == 0 && store.add) {
            for (int r = 0; r < tall; ++r) store.resume(i * rows + r, j, kept + r * width, wide);
          }
          if (last) {
            for (int r = 0; r < tall; ++r) store.row(i * rows + r, j, kept + r * width, wide);
          }
        }
      }
      k += step;
    } while (k < depth);
  }

 private:
  /// One register block over one step of depth, on top of what `from` holds, if anything: to[r * stride …].
  template <int Packs, bool Streaming = false>
  TESSERA_NOINLINE static void tile(std::int64_t step, const T* block, const T* panel, const T* from, T* to,
                                    std::int64_t stride) {
    P sums[rows][Packs];
    clear(sums);
    multiply_add(step, block, rows, panel, width, sums);
    if (from != nullptr) {
      TESSERA_UNROLL
      for (int r = 0; r < rows; ++r) {
        TESSERA_UNROLL
        for (int v = 0; v < Packs; ++v) sums[r][v] = P::load(from + r * width + v * P::lanes) + sums[r][v];
      }
    }
    TESSERA_UNROLL
    for (int r = 0; r < rows; ++r) {
      TESSERA_UNROLL
      for (int v = 0; v < Packs; ++v) {
        if constexpr (Streaming) {
          sums[r][v].stream(to + r * stride + v * P::lanes);
        } else {
          sums[r][v].store_unaligned(to + r * stride + v * P::lanes);
        }
      }
    }
  }
};

}  // namespace tessera::tile::detail
