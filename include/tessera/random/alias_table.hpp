// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Many draws from one row of weights: a table built once, then one comparison a draw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/random/categorical.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/groups.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform_int.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {

/// One of n cells, all equally likely: the category of its own number where a 64-bit word is below `own`, `other` elsewhere.
struct alias_cell {
  std::uint64_t own;
  std::int64_t other;
};

/// Builds the table of a row of weights, which need not sum to 1.
///
/// Shapes         weights: [n], any stride; cells: [n], contiguous, kept by the caller
/// Special values a weight of 0 is never drawn
/// Accuracy       P(c) is off by n * 2^-52 at most: weights that are a smaller part of the whole may share in it, or not be drawn
/// Cost           O(n); scratch of 16 n bytes from `memory`
/// Determinism    the same table everywhere
/// Errors         argument_error, nothing written: n = 0 or above 2^32, a weight negative, NaN or infinite, a sum of 0 or infinity, another length
/// Backends       host
/// Source         Walker, ACM TOMS 3 (1977); Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE
///                Trans. Software Engineering 17 (1991)
template <mdspan_like Weights, mdspan_like Cells>
void build_alias_table(const Weights& weights, const Cells& cells,
                       std::pmr::memory_resource* memory = std::pmr::get_default_resource()) {
  using tessera::detail::expects;
  static_assert(Weights::rank() == 1 && Cells::rank() == 1, "random: a table is of one row");
  static_assert(std::is_same_v<typename Cells::element_type, alias_cell>, "random: a table is of alias_cell");
  constexpr const char* function = "random::build_alias_table";
  const view<const std::remove_const_t<typename Weights::element_type>, 1> from(weights);
  const view<alias_cell, 1> to(cells);
  const std::int64_t n = from.extent(0);
  expects(
      n > 0 && n <= std::int64_t{1} << 32 && from.data_handle() != nullptr, function, "weights",
      [&] { return "shape " + tessera::detail::shape(from); }, "needs 1 to 2^32 numbers");
  expects(
      to.extent(0) == n && to.data_handle() != nullptr && (n == 1 || to.stride(0) == 1), function, "cells",
      [&] { return "shape " + tessera::detail::shape(to); }, "needs a contiguous cell for each weight");
  const auto check = detail::check_weights(from.data_handle(), n, from.stride(0));
  expects(
      check.fault != detail::row_fault::bad_entry, function, "weights",
      [&] { return tessera::detail::number(check.entry) + " at " + std::to_string(check.at); },
      "needs finite numbers of at least 0");
  expects(
      check.fault != detail::row_fault::empty, function, "weights", [&] { return "sum " + tessera::detail::number(check.entry); },
      "needs a positive finite sum");

  const tessera::detail::scratch block(memory, 2 * 64 + 16 * static_cast<std::size_t>(n));
  tessera::detail::bump arrays(block.data());
  auto* const height = arrays.template take<double>(n);
  auto* const queue = arrays.template take<std::int64_t>(n);    // cells below 1 from the front, the others from the back
  const double scale = check.entry < 0x1p-500 ? 0x1p500 : 1.0;  // so that the mean does not vanish
  const double mean = check.entry * scale / static_cast<double>(n);
  std::int64_t heaviest = 0;
  std::int64_t low = 0;
  std::int64_t high = n;
  for (std::int64_t c = 0; c < n; ++c) {
    height[c] = static_cast<double>(from(c)) * scale / mean;
    if (height[c] > height[heaviest]) heaviest = c;
    if (height[c] < 1.0) {
      queue[low++] = c;
    } else {
      queue[--high] = c;
    }
  }
  constexpr std::uint64_t whole = ~std::uint64_t{0};
  std::int64_t next = 0;
  while (next < low && high < n) {
    const std::int64_t c = queue[next++];
    const std::int64_t donor = queue[high];
    to(c) = {static_cast<std::uint64_t>(height[c] * 0x1p64), donor};
    height[donor] = (height[donor] + height[c]) - 1.0;
    if (height[donor] < 1.0) {
      ++high;
      queue[--next] = donor;  // in the place that has just become free
    }
  }
  // What is left is 1 but for rounding; unless it is 0, which must not be drawn.
  for (; next < low; ++next) {
    const std::int64_t c = queue[next];
    to(c) = static_cast<double>(from(c)) > 0.0 ? alias_cell{whole, c} : alias_cell{0, heaviest};
  }
  for (; high < n; ++high) to(queue[high]) = {whole, queue[high]};
}

/// A draw from a table: the cell is the upper half of n times the first word of the address's block, the second word decides in it.
///
/// Range          cells: the n that build_alias_table made; n from 1
/// Accuracy       a cell's probability is off by 2^-64
/// Cost           one Philox block, two multiplications, one access to the table
/// Determinism    the same everywhere
/// Backends       host, device, constant expressions
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::int64_t alias_draw(const alias_cell* cells, std::int64_t n,
                                                                                 std::uint64_t seed, std::uint64_t stream,
                                                                                 std::uint64_t index) noexcept {
  const philox_block bits = philox(seed, stream, index);
  const auto at = static_cast<std::int64_t>(detail::whole_product(bits.pair(0), static_cast<std::uint64_t>(n)).high);
  return bits.pair(1) < cells[at].own ? at : cells[at].other;
}

/// Fills a view of integers with draws: out[i] = alias_draw(cells, n, seed, stream, first_index + i), i the row-major position.
///
/// Errors         argument_error: no cells, categories that out's type does not hold, and what fill_uniform refuses
/// Determinism    the same for any executor, number of threads, strides, and split of a range over calls
/// Backends       host
template <class Executor, mdspan_like Out, mdspan_like Cells>
void fill_alias_draws(const Executor& exec, const Out& out, const Cells& cells, std::uint64_t seed, std::uint64_t stream,
                      std::uint64_t first_index = 0) {
  using tessera::detail::expects;
  using T = typename Out::element_type;
  static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>, "random: categories are integers");
  constexpr const char* function = "random::fill_alias_draws";
  const view<T, Out::rank()> to(out);
  const view<const alias_cell, 1> table(cells);
  const std::int64_t n = table.extent(0);
  detail::check_fill<Executor>(to, function);
  expects(
      n > 0 && table.data_handle() != nullptr && (n == 1 || table.stride(0) == 1), function, "cells",
      [&] { return "shape " + tessera::detail::shape(table); }, "needs a contiguous table");
  expects(
      static_cast<std::uint64_t>(n - 1) <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()), function, "out",
      [&] { return "an element type too small for " + std::to_string(n) + " categories"; }, "needs a wider integer");
  const detail::block_source<Executor> source(seed, stream);
  constexpr std::size_t group = detail::group_blocks;
  detail::fill_groups<group>(exec, to, first_index, [&](std::uint64_t index, T* TESSERA_RESTRICT values) {
    alignas(64) std::uint64_t a[group];
    alignas(64) std::uint64_t b[group];
    source.pairs_of(index, a, b);
    for (std::size_t i = 0; i < group; ++i) a[i] = detail::whole_product(a[i], static_cast<std::uint64_t>(n)).high;
    for (std::size_t i = 0; i < group; ++i) {
      const alias_cell cell = table.data_handle()[a[i]];
      values[i] = static_cast<T>(b[i] < cell.own ? static_cast<std::int64_t>(a[i]) : cell.other);
    }
  });
}

}  // namespace tessera::random
