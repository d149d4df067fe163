// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of a table picked by number, and the table's gradient.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/detail/row_chunks.hpp"
#include "tessera/tile/view.hpp"
#include "tessera/training/detail/layer_checks.hpp"
#include "tessera/training/gradient_options.hpp"

namespace tessera::training {

struct embedding_options {
  std::optional<std::int64_t> ignore_id{};  ///< picks no row, whether the table has it or not: gives zeros, and no gradient
};

namespace detail {

/// Refuses ids that name no row of a table, and results on them.
template <class Id, class S, class O>
TESSERA_ALWAYS_INLINE void check_embedding(const view<const Id, 1>& ids, const view<S, 2>& table, const view<O, 2>& rows,
                                           const embedding_options& options, const char* function, const char* rows_name) {
  check_readable(ids, function, "ids");
  expects(
      rows.extent(0) == ids.extent(0) && rows.extent(1) == table.extent(1), function, rows_name,
      [&] { return "shape " + shape(rows); }, "needs [n, d] with ids of [n] and a table of [v, d]");
  for (std::int64_t i = 0; i < ids.extent(0); ++i) {
    const auto id = static_cast<std::int64_t>(ids(i));
    expects((id >= 0 && id < table.extent(0)) || options.ignore_id == id, function, "ids",
            [&] {
              return std::to_string(id) + " at " + std::to_string(i) + " for a table of " + std::to_string(table.extent(0)) +
                     " rows";
            },
            "needs numbers of rows, or options.ignore_id");
  }
}

template <class Exec, class S, class Id, class O>
void run_embedding(const Exec& exec, const view<const S, 2>& table, const view<const Id, 1>& ids, const view<O, 2>& out,
                   const embedding_options& options) {
  using P = simd::pack<std::common_type_t<compute_t<S>, compute_t<O>>, typename Exec::arch>;
  const char* const function = "training::embedding";
  check_operand(table, function, "table");
  check_output(out, function, "out");
  check_embedding(ids, table, out, options, function, "out");
  check_disjoint(out, table, function, "out", "table");
  check_disjoint(out, ids, function, "out", "ids");
  const std::int64_t n = out.extent(0);
  const std::int64_t length = out.extent(1);
  const std::int64_t together = std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, length));
  tessera::detail::for_each_worth(
      exec, 4 * static_cast<double>(n) * static_cast<double>(length), (n + together - 1) / together, [&](int, std::int64_t item) {
        for (std::int64_t i = item * together; i < std::min(n, (item + 1) * together); ++i) {
          O* const to = out.data_handle() + i * out.stride(0);
          const auto id = static_cast<std::int64_t>(ids(i));
          if (options.ignore_id == id) {
            std::fill_n(to, length, static_cast<O>(0.0F));
            continue;
          }
          const S* const row = table.data_handle() + id * table.stride(0);
          if constexpr (std::is_same_v<S, O>) {
            if (length != 0) std::memcpy(static_cast<void*>(to), row, static_cast<std::size_t>(length) * sizeof(O));
          } else {
            tile::detail::write_run<P>(to, length, false,
                                       [&](std::int64_t k, int count) { return tile::detail::load_or<P>(row + k, count, 0); });
          }
        }
      });
}

/// The places of every id, in rising order: those of id are places[first[id]] … places[first[id + 1] - 1].
template <class Id>
void sort_places(const view<const Id, 1>& ids, std::int64_t rows, const embedding_options& options, std::int64_t* first,
                 std::int64_t* places) {
  std::fill_n(first, rows + 2, std::int64_t{0});
  const auto counts = [&](std::int64_t id) { return options.ignore_id != id; };
  // Counted two behind, so that filling places moves each beginning to where it belongs.
  for (std::int64_t i = 0; i < ids.extent(0); ++i) {
    const auto id = static_cast<std::int64_t>(ids(i));
    if (counts(id)) ++first[id + 2];
  }
  for (std::int64_t id = 0; id < rows; ++id) first[id + 2] += first[id + 1];
  for (std::int64_t i = 0; i < ids.extent(0); ++i) {
    const auto id = static_cast<std::int64_t>(ids(i));
    if (counts(id)) places[first[id + 1]++] = i;
  }
}

/// Columns of one item of the gradient: the sums stay in the first-level cache, and rows that many ids name are shared out.
inline constexpr std::int64_t embedding_columns = 128;
/// Rows of grad_out whose sum is made in the compute type, before float64 takes it.
inline constexpr std::int64_t embedding_together = 64;

/// The sum over `count` places of columns [0, width) of grad_out, to (or added to) a part of a table's row.
template <class P, class G, class D>
TESSERA_NOINLINE void gradient_of_row(const view<const G, 2>& grad_out, std::int64_t column, std::int64_t width,
                                      const std::int64_t* places, std::int64_t count, D* to, bool add) {
  using T = typename P::value_type;
  using tile::detail::load_or;
  const auto sum_of = [&](std::int64_t first, std::int64_t last, std::int64_t k, int lanes) {
    P sum(T(0));
    for (std::int64_t i = first; i < last; ++i) {
      sum += load_or<P>(grad_out.data_handle() + places[i] * grad_out.stride(0) + column + k, lanes, T(0));
    }
    return sum;
  };
  if (count <= embedding_together && !add) {  // the same bits without float64
    tile::detail::write_run<P>(to, width, false, [&](std::int64_t k, int lanes) { return sum_of(0, count, k, lanes); });
    return;
  }
  alignas(64) double sums[embedding_columns] = {};
  for (std::int64_t first = 0; first < count; first += embedding_together) {
    const std::int64_t last = std::min(count, first + embedding_together);
    for (std::int64_t k = 0; k < width; k += P::lanes) {
      const int lanes = static_cast<int>(std::min<std::int64_t>(P::lanes, width - k));
      alignas(P::alignment) T some[P::lanes];
      sum_of(first, last, k, lanes).store(some);
      for (int l = 0; l < lanes; ++l) sums[k + l] += static_cast<double>(some[l]);
    }
  }
  for (std::int64_t k = 0; k < width; ++k) to[k] = static_cast<D>(add ? static_cast<double>(to[k]) + sums[k] : sums[k]);
}

template <class Exec, class Id, class G, class D>
void run_embedding_backward(const Exec& exec, const view<const Id, 1>& ids, const view<const G, 2>& grad_out,
                            const view<D, 2>& grad_table, const embedding_options& options, bool add) {
  using P = simd::pack<std::common_type_t<compute_t<G>, compute_t<D>>, typename Exec::arch>;
  const char* const function = "training::embedding_backward";
  check_operand(grad_out, function, "grad_out");
  check_output(grad_table, function, "grad_table");
  check_embedding(ids, grad_table, grad_out, options, function, "grad_out");
  check_disjoint(grad_table, grad_out, function, "grad_table", "grad_out");
  check_disjoint(grad_table, ids, function, "grad_table", "ids");
  const std::int64_t rows = grad_table.extent(0);
  const std::int64_t length = grad_table.extent(1);
  const auto lay_out = [&](tessera::detail::bump& memory, std::int64_t*& first, std::int64_t*& places) {
    first = memory.take<std::int64_t>(rows + 2);
    places = memory.take<std::int64_t>(ids.extent(0));
  };
  std::int64_t* first = nullptr;
  std::int64_t* places = nullptr;
  tessera::detail::bump size;
  lay_out(size, first, places);
  tessera::detail::scratch memory(exec.memory(), size.bytes());
  tessera::detail::bump cut(memory.data());
  lay_out(cut, first, places);
  sort_places(ids, rows, options, first, places);
  constexpr std::int64_t together = 32;  // rows of one item
  const std::int64_t parts = (length + embedding_columns - 1) / embedding_columns;
  const double operations = 2 * static_cast<double>(ids.extent(0) + rows) * static_cast<double>(length);
  tessera::detail::for_each_worth(exec, operations, (rows + together - 1) / together * parts, [&](int, std::int64_t item) {
    const std::int64_t column = item % parts * embedding_columns;
    const std::int64_t width = std::min(embedding_columns, length - column);
    const std::int64_t last = std::min(rows, (item / parts + 1) * together);
    for (std::int64_t id = item / parts * together; id < last; ++id) {
      const std::int64_t count = first[id + 1] - first[id];
      if (count == 0 && add) continue;
      gradient_of_row<P>(grad_out, column, width, places + first[id], count,
                         grad_table.data_handle() + id * grad_table.stride(0) + column, add);
    }
  });
}

}  // namespace detail

/// out_i = row ids_i of a table.
///
/// Shapes          table [v, d], ids [n] (any integer type), out [n, d]; rows contiguous and at any stride; v, d, n may be 0
/// Types           float64, float32, float16, bfloat16 in any mixture; rounded to out's type
/// Special values  an id that is options.ignore_id gives zeros; numbers of the table are copied, NaN among them
/// Cost            one read of the rows, one write; nothing is allocated
/// Errors          argument_error before out is touched: shapes, null data, rows that are not contiguous, overlap, an id that names no
///                 row (with its place)
template <executor Exec, mdspan_like Table, mdspan_like Ids, mdspan_like Out>
  requires(Table::rank() == 2 && Ids::rank() == 1 && Out::rank() == 2 && std::integral<value_type_of<Ids>>)
void embedding(const Exec& exec, const Table& table, const Ids& ids, const Out& out, const embedding_options& options = {}) {
  detail::run_embedding(exec, view<const value_type_of<Table>, 2>(table), view<const value_type_of<Ids>, 1>(ids),
                        view<value_type_of<Out>, 2>(out), options);
}

/// grad_table_r = sum of grad_out_i over the i with ids_i = r: written, zeros for rows that no id names, or added to what is there
/// (gradient.add_to_parameters), which then is not even read where no id names it.
///
/// Shapes          ids [n], grad_out [n, d], grad_table [v, d]; as embedding
/// Types           float64, float32, float16, bfloat16 in any mixture; sums in float64, of 64 rows in the compute type; rounded once, after
///                 what is there was added
/// Special values  rows of options.ignore_id are not read. NaN and inf as in IEEE arithmetic
/// Accuracy        66 u sum |grad_out|, and the rounding of what is stored. test/training/embedding.cpp
/// Cost            one read of grad_out, one write of the table; 8 (n + v) bytes of scratch: ids are sorted by counting
/// Determinism     the same bits for every number of threads: rows of the table are shared out, and the columns of each
/// Errors          as embedding, before grad_table is touched
template <executor Exec, mdspan_like Ids, mdspan_like GradOut, mdspan_like GradTable>
  requires(Ids::rank() == 1 && GradOut::rank() == 2 && GradTable::rank() == 2 && std::integral<value_type_of<Ids>>)
void embedding_backward(const Exec& exec, const Ids& ids, const GradOut& grad_out, const GradTable& grad_table,
                        const embedding_options& options = {}, const gradient_options& gradient = {}) {
  detail::run_embedding_backward(exec, view<const value_type_of<Ids>, 1>(ids), view<const value_type_of<GradOut>, 2>(grad_out),
                                 view<value_type_of<GradTable>, 2>(grad_table), options, gradient.add_to_parameters);
}

}  // namespace tessera::training
