// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The matrix product.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/microkernel.hpp"
#include "tessera/tile/packing.hpp"
#include "tessera/tile/shape.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace tile::detail {

/// Depth that is multiplied at once: a panel of B of that depth and a few blocks of A fit the first-level cache.
inline constexpr std::int64_t depth_step = 192;
/// Depth that is packed at once is at least this, and as much more as packed operands of `slab_bytes` hold: every slab costs a pass
/// over C, and scratch beyond that size comes from the system anew at each call.
inline constexpr std::int64_t shallowest_slab = 4 * depth_step;
inline constexpr std::int64_t slab_bytes = std::int64_t{20} << 20;

/// Equal slabs, whole steps.
template <class T>
std::int64_t slab_depth(std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::int64_t most = std::max(shallowest_slab, slab_bytes / (static_cast<std::int64_t>(sizeof(T)) * (m + n + 1)));
  const std::int64_t slabs = std::max<std::int64_t>(1, (k + most - 1) / most);
  return std::min(k, ((k + slabs - 1) / slabs + depth_step - 1) / depth_step * depth_step);
}
/// Rows of A of one item of work: 192 x 192 numbers stay in the second-level cache while panels of B pass by.
inline constexpr std::int64_t item_rows = 192;
/// Panels of B of one item of work.
inline constexpr std::int64_t item_panels = 8;

/// One item: an [item_rows, item_panels * width] block of C over one slab of depth.
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
  static constexpr std::int64_t sums_size = item_rows / rows * rows * item_panels * width;
  static_assert(item_rows % rows == 0);

  // By steps of depth outside, so that the blocks of a step follow one another in memory and the prefetchers keep up.
  const T* a;           ///< [steps][blocks][depth_step][rows]
  const T* b;           ///< [steps][panels][depth_step][width]
  std::int64_t blocks;  ///< of A
  std::int64_t panels;  ///< of B
  std::int64_t depth;   ///< of the slab

  /// `m` rows and `n` columns from block `a_block` and panel `b_panel` on: store.row(row, column, sums, columns) for each row of a
  /// block when its sums are complete, store.prepare(row, column) some time before.
  template <class Store>
  void run(std::int64_t a_block, std::int64_t b_panel, std::int64_t m, std::int64_t n, T* sums, const Store& store) const {
    std::int64_t k = 0;
    do {  // a depth of 0 still stores zeros
      const std::int64_t step = std::min(depth_step, depth - k);
      const bool last = k + step == depth;
      for (std::int64_t j = 0; j < n; j += width) {
        const T* const panel = b + (k * panels + (b_panel + j / width) * step) * width;
        const std::int64_t packs = (std::min<std::int64_t>(n - j, width) + P::lanes - 1) / P::lanes;
        for (std::int64_t i = 0; i < m; i += rows) {
          const T* const block = a + (k * blocks + (a_block + i / rows) * step) * rows;
          T* const kept = sums + (j / width * (item_rows / rows) + i / rows) * (rows * width);
          const int tall = static_cast<int>(std::min<std::int64_t>(rows, m - i));
          const int wide = static_cast<int>(std::min<std::int64_t>(width, n - j));
          const auto prepare = [&](int r) {
            for (int l = 0; l < width; l += 64 / static_cast<int>(sizeof(T))) simd::prefetch(kept + r * width + l);
            if ((last || k == 0) && r < tall) store.prepare(i + r, j);
          };
          if (packs == 1) {
            tile<1>(step, block, panel, kept, k > 0, prepare);
          } else if (packs == 2) {
            tile<2>(step, block, panel, kept, k > 0, prepare);
          } else {
            tile<shape::packs>(step, block, panel, kept, k > 0, prepare);
          }
          if (k == 0) {
            for (int r = 0; r < tall; ++r) store.resume(i + r, j, kept + r * width, wide);
          }
          if (last) {
            for (int r = 0; r < tall; ++r) store.row(i + r, j, kept + r * width, wide);
          }
        }
      }
      k += step;
    } while (k < depth);
  }

 private:
  /// One register block over one step of depth. What is needed after the product is asked for during it, a row at a time: all at
  /// once would keep the operands waiting behind it.
  template <int Packs, class Prepare>
  TESSERA_NOINLINE static void tile(std::int64_t step, const T* block, const T* panel, T* kept, bool add,
                                    const Prepare& prepare) {
    P sums[rows][Packs];
    clear(sums);
    const std::int64_t part = (step + rows - 1) / rows;
    for (int r = 0; r < rows; ++r) {
      prepare(r);
      const std::int64_t from = std::min(step, r * part);
      multiply_add(std::min(part, step - from), block + from * rows, rows, panel + from * width, width, sums);
    }
    TESSERA_UNROLL
    for (int r = 0; r < rows; ++r) {
      TESSERA_UNROLL
      for (int v = 0; v < Packs; ++v) {
        T* const at = kept + r * width + v * P::lanes;
        (add ? P::load(at) + sums[r][v] : sums[r][v]).store(at);
      }
    }
  }
};

/// Where complete sums of a slab go: to C, rounded; or, between slabs of a C that is narrower than the sums, to a matrix of sums.
template <class P, class TC>
struct stored_sums {
  using T = typename P::value_type;
  static constexpr bool direct = std::is_same_v<TC, T>;
  static constexpr std::size_t block_width = block_shape<T, typename P::arch>::width;

  TC* c;
  std::int64_t c_stride;
  T* partial;
  std::int64_t partial_stride;
  bool add;   ///< a slab came before
  bool last;  ///< no slab comes after

  [[nodiscard]] T* partial_row(std::int64_t row) const {
    if constexpr (direct) {
      return c + row * c_stride;
    } else {
      return partial + row * partial_stride;
    }
  }

  void prepare(std::int64_t row, std::int64_t column) const {
    const TC* const line = c + row * c_stride + column;
    for (std::size_t byte = 0; byte < block_width * sizeof(TC); byte += 64) simd::prefetch(line + byte / sizeof(TC));
  }

  /// Goes on from the slab before, at the first step of depth: the order of a sum must not depend on where slabs end.
  void resume(std::int64_t row, std::int64_t column, T* sums, int columns) const {
    if (!add) return;
    const T* const before = partial_row(row) + column;
    for (int l = 0; l < columns; ++l) sums[l] += before[l];
  }

  void row(std::int64_t row, std::int64_t column, T* sums, int columns) const {
    T* const before = partial_row(row) + column;
    if (direct || last) {
      tile::store_row<P>(c + row * c_stride + column, sums, columns);
    } else {
      tile::store_row<P>(before, sums, columns);
    }
  }
};

/// Packs `count` <= Width neighbours over `depth`, whichever of the two axes is contiguous.
template <int Width, class P, class S>
void pack_operand(typename P::value_type* to, const S* from, std::int64_t stride, std::int64_t depth_stride, std::int64_t count,
                  std::int64_t depth) {
  if (stride == 1) {
    pack_straight<Width, P>(to, from, depth_stride, count, depth);
  } else {
    pack_turned<Width, P>(to, from, stride, count, depth, as_stored{});
  }
}

/// A matrix operand may be stored by rows or by columns.
template <class T>
TESSERA_ALWAYS_INLINE void check_matrix(const view<T, 2>& v, const char* argument) {
  using tessera::detail::expects;
  for (std::size_t r = 0; r < 2; ++r) {
    expects(
        v.extent(r) >= 0, "matmul", argument, [&] { return "shape " + tessera::detail::shape(v); },
        "needs extents of at least 0");
  }
  expects(
      v.size() == 0 || v.data_handle() != nullptr, "matmul", argument,
      [&] { return "null data of shape " + tessera::detail::shape(v); }, "needs a pointer to its elements");
  expects(
      v.stride(0) == 1 || v.stride(1) == 1 || v.size() <= 1, "matmul", argument,
      [&] { return "strides " + std::to_string(v.stride(0)) + ", " + std::to_string(v.stride(1)); },
      "needs rows or columns that are contiguous (a stride of 1)");
}

}  // namespace tile::detail

/// c = a b.
///
/// Shapes          a [m, k], b [k, n], c [m, n]; a and b with contiguous rows or contiguous columns (so a transposed view is an
///                 operand), c with contiguous rows. Storage float64, float32, float16, bfloat16 in any mixture; computed in
///                 float64 if an operand is float64, else in float32; rounded to c's type once.
/// Special values  k = 0 gives zeros; NaN and inf as in IEEE arithmetic.
/// Accuracy        every element is a chain of 192 fused multiply-adds, and the chains are added in order:
///                 |error| <= (min(k, 192) + k / 192) u sum |a||b| (+ the last rounding).
/// Cost            2 m n k flops; scratch of (m + n) k numbers up to 20 MiB (or a depth of 768), and m n more where c is narrower than the
///                 compute type and k is larger than that.
/// Determinism     the same bits for every number of threads and every m and n.
/// Errors          argument_error before c is touched: shapes, null data, strides, c overlapping a or b.
template <executor Exec, mdspan_like A, mdspan_like B, mdspan_like C>
  requires(A::rank() == 2 && B::rank() == 2 && C::rank() == 2)
void matmul(const Exec& exec, const A& a_in, const B& b_in, const C& c_in) {
  using Arch = typename Exec::arch;
  using TA = value_type_of<A>;
  using TB = value_type_of<B>;
  using TC = value_type_of<C>;
  using T = std::common_type_t<compute_t<TA>, compute_t<TB>>;
  using block_type = tile::detail::product_block<T, Arch>;
  using P = typename block_type::P;
  using namespace tile::detail;
  constexpr int rows = block_type::rows;
  constexpr int width = block_type::width;

  const view<const TA, 2> a(a_in);
  const view<const TB, 2> b(b_in);
  const view<TC, 2> c(c_in);
  check_matrix(a, "a");
  check_matrix(b, "b");
  tessera::detail::check_output(c, "matmul", "c");
  tessera::detail::expects(
      a.extent(1) == b.extent(0), "matmul", "b", [&] { return "shape " + tessera::detail::shape(b); },
      "needs [k, n] with a of [m, k]");
  tessera::detail::expects(
      c.extent(0) == a.extent(0) && c.extent(1) == b.extent(1), "matmul", "c",
      [&] { return "shape " + tessera::detail::shape(c); }, "needs [m, n]");
  tessera::detail::check_disjoint(c, a, "matmul", "c", "a");
  tessera::detail::check_disjoint(c, b, "matmul", "c", "b");

  const std::int64_t m = c.extent(0);
  const std::int64_t n = c.extent(1);
  const std::int64_t k = a.extent(1);
  const std::int64_t blocks = (m + rows - 1) / rows;
  const std::int64_t panels = (n + width - 1) / width;
  const std::int64_t slab = slab_depth<T>(m, n, k);
  const std::int64_t tall_items = (m + item_rows - 1) / item_rows;
  const std::int64_t wide_items = (panels + item_panels - 1) / item_panels;
  const bool keep_partial = !std::is_same_v<TC, T> && k > slab;  // what a narrower c cannot hold between slabs
  const int workers = exec.workers();
  constexpr std::int64_t item_width = item_panels * width;

  struct arrays {
    T* a;
    T* b;
    T* sums;
    T* partial;
  };
  const auto lay_out = [&](tessera::detail::bump& memory) {
    return arrays{memory.take<T>(blocks * rows * slab), memory.take<T>(panels * width * slab),
                  memory.take<T>(workers * block_type::sums_size), memory.take<T>(keep_partial ? m * n : 0)};
  };
  tessera::detail::bump size;
  lay_out(size);
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  tessera::detail::bump cut(memory.data());
  const arrays packed = lay_out(cut);

  std::int64_t k0 = 0;
  do {
    const std::int64_t depth = std::min(slab, k - k0);
    exec.for_each(blocks + panels, [&](int, std::int64_t i) {
      for (std::int64_t s = 0; s < depth; s += depth_step) {
        const std::int64_t step = std::min(depth_step, depth - s);
        if (i < blocks) {
          pack_operand<rows, P>(packed.a + (s * blocks + i * step) * rows,
                                a.data_handle() + i * rows * a.stride(0) + (k0 + s) * a.stride(1), a.stride(0), a.stride(1),
                                std::min<std::int64_t>(rows, m - i * rows), step);
        } else {
          const std::int64_t p = i - blocks;
          pack_operand<width, P>(packed.b + (s * panels + p * step) * width,
                                 b.data_handle() + (k0 + s) * b.stride(0) + p * width * b.stride(1), b.stride(1), b.stride(0),
                                 std::min<std::int64_t>(width, n - p * width), step);
        }
      }
    });
    const block_type product{packed.a, packed.b, blocks, panels, depth};
    exec.for_each(tall_items * wide_items, [&](int worker, std::int64_t item) {
      const std::int64_t i = item / wide_items * item_rows;
      const std::int64_t j = item % wide_items * item_width;
      const std::int64_t tall = std::min(item_rows, m - i);
      const std::int64_t wide = std::min(item_width, n - j);
      const stored_sums<P, TC> store{c.data_handle() + i * c.stride(0) + j,
                                     c.stride(0),
                                     keep_partial ? packed.partial + (i * n + j) : nullptr,
                                     n,
                                     k0 > 0,
                                     k0 + depth == k};
      product.run(i / rows, j / width, tall, wide, packed.sums + worker * block_type::sums_size, store);
    });
    k0 += depth;
  } while (k0 < k);
}

}  // namespace tessera
