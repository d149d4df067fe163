// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The matrix product.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/detail/matmul_checks.hpp"
#include "tessera/tile/detail/product.hpp"
#include "tessera/tile/detail/streaming.hpp"
#include "tessera/tile/detail/stripes.hpp"
#include "tessera/tile/view.hpp"

namespace tessera {
namespace tile::detail {

/// Depth that is packed at once is at least this, and as much more as packed operands of `slab_bytes` hold: every slab costs a pass
/// over C. Scratch of that size is kept by the allocator from call to call; more comes from the system anew at each call, a page
/// fault in 4 KiB, which pays for itself where it is a small part of the product's time. A small C is passed over at no cost, so
/// that the operands had better stay in the second-level cache.
inline constexpr std::int64_t shallowest_slab = 4 * depth_step;
inline constexpr std::int64_t slab_bytes = std::int64_t{28} << 20;
inline constexpr std::int64_t most_slab_bytes = std::int64_t{256} << 20;
inline constexpr std::int64_t small_slab_bytes = std::int64_t{1} << 20;
inline constexpr std::int64_t small_result_bytes = std::int64_t{256} << 10;

/// Equal slabs, whole steps, for `neighbours` rows and columns that are packed at a time.
template <class T>
TESSERA_ALWAYS_INLINE std::int64_t slab_depth(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t neighbours) {
  constexpr auto size = static_cast<std::int64_t>(sizeof(T));
  const double worth = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / 4096;
  const std::int64_t bytes = m * n * size <= small_result_bytes
                                 ? small_slab_bytes
                                 : static_cast<std::int64_t>(std::clamp<double>(worth, slab_bytes, most_slab_bytes));
  const std::int64_t most = std::max(shallowest_slab, bytes / (size * neighbours));
  const std::int64_t slabs = std::max<std::int64_t>(1, (k + most - 1) / most);
  return std::min(k, ((k + slabs - 1) / slabs + depth_step - 1) / depth_step * depth_step);
}

/// How a product is cut: stripes of rows, and parts of columns in each.
struct product_cut {
  std::int64_t height;  ///< rows of a stripe, whole blocks
  std::int64_t stripes;
  std::int64_t breadth;  ///< panels of a part
  std::int64_t parts;

  TESSERA_ALWAYS_INLINE product_cut(std::int64_t m, std::int64_t panels, std::int64_t rows, int workers) {
    constexpr std::int64_t lowest = 64;
    const std::int64_t most = std::min(stripe_rows, std::max(lowest, (m + workers - 1) / workers));
    stripes = std::max<std::int64_t>(1, (m + most - 1) / most);
    height = ((m + stripes - 1) / stripes + rows - 1) / rows * rows;
    stripes = height > 0 ? (m + height - 1) / height : 0;
    const std::int64_t fair = (panels * stripes + 2 * workers - 1) / (2 * workers);  // two parts a worker at least
    breadth = std::clamp<std::int64_t>(fair, 1, item_panels);
    parts = (panels + breadth - 1) / breadth;
  }
};

/// What becomes of C.
enum class product_use {
  written,    ///< c = a b, past the caches where C is large
  read_next,  ///< c = a b, which is read soon
  added       ///< c += a b; only where C is of the compute type
};

/// A product of one shape: how it is cut, and the scratch that it needs.
template <class T, class Arch, class TC>
struct product_plan {
  static constexpr int rows = product_block<T, Arch>::rows;
  static constexpr int width = product_block<T, Arch>::width;

  std::int64_t m, n, k;
  std::int64_t panels;
  int workers;
  product_cut cut;
  std::int64_t team;
  std::int64_t slab;
  bool keep_partial;  ///< what a narrower C cannot hold between slabs

  TESSERA_ALWAYS_INLINE product_plan(int most_workers, std::int64_t rows_of_c, std::int64_t columns_of_c, std::int64_t depth)
      : m(rows_of_c),
        n(columns_of_c),
        k(depth),
        panels((n + width - 1) / width),
        workers(2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) < tessera::detail::worth_sharing
                    ? 1
                    : most_workers),
        cut(m, panels, rows, workers),
        team(std::min<std::int64_t>(workers, cut.stripes * cut.parts)),
        slab(slab_depth<T>(m, n, k, n + team * cut.height)),
        keep_partial(!std::is_same_v<TC, T> && k > slab) {}

  struct arrays {
    T* a;
    T* b;
    T* sums;
    T* partial;
    stripe_queue::counter* taken;
  };
  [[nodiscard]] std::int64_t stripe_size() const { return cut.height * slab; }
  [[nodiscard]] std::int64_t sums_size() const { return cut.height * cut.breadth * width; }
  [[nodiscard]] arrays lay_out(tessera::detail::bump& memory) const {
    return {memory.take<T>(team * stripe_size()), memory.take<T>(panels * width * slab), memory.take<T>(team * sums_size()),
            memory.take<T>(keep_partial ? m * n : 0), memory.take<stripe_queue::counter>(cut.stripes)};
  }
  [[nodiscard]] std::size_t bytes() const {
    tessera::detail::bump size;
    (void)lay_out(size);
    return size.bytes();
  }
};

/// The product of operands that have been checked, in `memory` of plan.bytes(), on a cache line. `finish` changes complete sums on their
/// way to C (plain_result).
template <class T, class Exec, class TA, class TB, class TC, class Finish = plain_result>
void run_product(const Exec& exec, const product_plan<T, typename Exec::arch, TC>& plan, std::byte* memory,
                 const view<const TA, 2>& a, const view<const TB, 2>& b, const view<TC, 2>& c, product_use use,
                 const Finish& finish = {}) {
  using block_type = product_block<T, typename Exec::arch>;
  using P = typename block_type::P;
  constexpr int rows = block_type::rows;
  constexpr int width = block_type::width;
  const std::int64_t m = plan.m;
  const std::int64_t n = plan.n;
  const std::int64_t k = plan.k;
  const std::int64_t panels = plan.panels;
  const std::int64_t team = plan.team;
  const product_cut& cut = plan.cut;
  const bool keep_partial = plan.keep_partial;
  const bool streaming = use == product_use::written && std::is_same_v<TC, T> &&
                         m * n * static_cast<std::int64_t>(sizeof(TC)) >= tessera::detail::smallest_streamed_output &&
                         width * sizeof(T) % 64 == 0 && c.stride(0) * static_cast<std::int64_t>(sizeof(TC)) % 64 == 0 &&
                         reinterpret_cast<std::uintptr_t>(c.data_handle()) % 64 == 0;
  tessera::detail::bump pieces(memory);
  const auto scratch = plan.lay_out(pieces);

  std::int64_t k0 = 0;
  do {
    const std::int64_t depth = std::min(plan.slab, k - k0);
    const packed_operand<T, width> packed_b{scratch.b, panels};
    constexpr double operations_packing = 64;  // to pack a number takes as long as so many
    const std::int64_t steps = (depth + depth_step - 1) / depth_step;
    const std::int64_t together = packed_b.together(b.stride(1));
    const std::int64_t groups = (panels + together - 1) / together;
    tessera::detail::for_each_worth(exec, operations_packing * static_cast<double>(n) * static_cast<double>(depth),
                                    steps * groups, [&](int, std::int64_t item) {
                                      const std::int64_t s = item / groups * depth_step;
                                      const std::int64_t g = item % groups * together;
                                      packed_b.template pack<P>(g, std::min(panels, g + together), s,
                                                                std::min(depth_step, depth - s),
                                                                b.data_handle() + k0 * b.stride(0), b.stride(1), b.stride(0), n);
                                    });
    for (std::int64_t s = 0; s < cut.stripes; ++s) new (scratch.taken + s) stripe_queue::counter(0);
    stripe_queue queue(scratch.taken, cut.stripes, cut.parts);
    const auto work = [&](int worker, std::int64_t) {
      const block_type product{{scratch.a + worker * plan.stripe_size(), cut.height / rows}, packed_b, depth};
      std::int64_t packed_stripe = -1;
      for (;;) {
        const stripe_queue::item item = queue.take(packed_stripe);
        if (item.stripe < 0) break;
        const std::int64_t i0 = item.stripe * cut.height;
        const std::int64_t tall = std::min(cut.height, m - i0);
        if (item.stripe != packed_stripe) {
          product.a.template pack_all<P>(depth, a.data_handle() + i0 * a.stride(0) + k0 * a.stride(1), a.stride(0), a.stride(1),
                                         tall);
          packed_stripe = item.stripe;
        }
        const std::int64_t j0 = item.part * cut.breadth * width;
        const stored_sums<P, TC, Finish> store{c.data_handle() + i0 * c.stride(0) + j0,
                                               c.stride(0),
                                               keep_partial ? scratch.partial + (i0 * n + j0) : nullptr,
                                               n,
                                               k0 > 0 || use == product_use::added,
                                               k0 + depth == k,
                                               streaming,
                                               &finish,
                                               i0,
                                               j0};
        product.run(item.part * cut.breadth, tall, std::min(cut.breadth * width, n - j0),
                    scratch.sums + worker * plan.sums_size(), store);
      }
      if (streaming) simd::stream_fence();
    };
    if (team > 1) {
      exec.for_each(team, work);
    } else {
      work(0, 0);
    }
    k0 += depth;
  } while (k0 < k);
}

}  // namespace tile::detail

/// c = a b.
///
/// Shapes          a [m, k], b [k, n], c [m, n]; a and b with contiguous rows or contiguous columns (so a transposed view is an
///                 operand), c with contiguous rows. Storage float64, float32, float16, bfloat16 in any mixture; computed in
///                 float64 if an operand is float64, else in float32; rounded to c's type once.
/// Special values  k = 0 gives zeros; NaN and inf as in IEEE arithmetic.
/// Accuracy        every element is a sum of chains of 128 fused multiply-adds, added in order:
///                 |error| <= (min(k, 128) + k / 128) u sum |a||b| (+ the last rounding).
/// Cost            2 m n k flops; scratch of (n + 528 workers) k numbers up to 28 MiB (or a depth of 768; large products up to
///                 256 MiB), 600 KiB a worker, and m n numbers where c is narrower than the compute type and k is cut.
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
  using namespace tile::detail;

  const view<const TA, 2> a(a_in);
  const view<const TB, 2> b(b_in);
  const view<TC, 2> c(c_in);
  check_matmul(a, b, c);

  if (c.size() == 0) return;
  const product_plan<T, Arch, TC> plan(exec.workers(), c.extent(0), c.extent(1), a.extent(1));
  tessera::detail::scratch memory(exec.memory(), plan.bytes());
  run_product<T>(exec, plan, memory.data(), a, b, c, product_use::written);
}

}  // namespace tessera
