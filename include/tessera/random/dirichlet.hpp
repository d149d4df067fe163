// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Dirichlet rows, addressed by (seed, stream, row).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/elementary.hpp"
#include "tessera/random/detail/fill.hpp"
#include "tessera/random/detail/gamma.hpp"
#include "tessera/random/detail/gamma_group.hpp"
#include "tessera/random/gamma.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

/// The memory and the threads of an executor, where it has such.
template <class Executor>
std::pmr::memory_resource* memory_of(const Executor& exec) {
  if constexpr (requires { exec.memory(); }) {
    return exec.memory();
  } else {
    return std::pmr::get_default_resource();
  }
}
template <class Executor>
int workers_of(const Executor& exec) {
  if constexpr (requires { exec.workers(); }) {
    return exec.workers();
  } else {
    return 1;
  }
}

/// Logarithms in, shares of their exponentials out; the largest counts as 1, so that none vanishes that need not.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE void shares_of_logs(double* row, std::int64_t columns) noexcept {
  double most = row[0];
  for (std::int64_t c = 1; c < columns; ++c) most = row[c] > most ? row[c] : most;
  for (std::int64_t c = 0; c < columns; ++c) row[c] = exponential_of(row[c] - most);
  double sum = 0;
  for (std::int64_t c = 0; c < columns; ++c) sum += row[c];
  for (std::int64_t c = 0; c < columns; ++c) row[c] = row[c] / sum;
}

}  // namespace detail

/// One element of a Dirichlet row: x_c = G_c / sum G, G_c the gamma number of shape alpha_c at index row * columns + c.
///
/// Through the logarithms of the gamma numbers, so that rows of the smallest alphas are numbers too (nearly all of the weight at one
/// of them).
/// Shapes         alpha: [columns]
/// Range          alpha in (0, inf), columns from 1, row * columns + c is taken modulo 2^64
/// Accuracy       absolute error 2.5 * 2^-52 (|log G_c| + |log max G| + columns) x_c for double, then the rounding to T; rows sum to 1 within
///                that and, in double, columns * 2^-53
/// Cost           2 * columns gamma numbers: fill_dirichlet makes a whole row for half of that
/// Determinism    as gamma
/// Errors         argument_error on the host: an alpha not positive and finite. In device code the result is NaN
/// Backends       host, device, constant expressions
template <class T, class Alpha>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE T dirichlet(const Alpha* alpha, std::int64_t columns, std::uint64_t seed,
                                                                     std::uint64_t stream, std::uint64_t row,
                                                                     std::int64_t column) {
  using V = detail::made_as<T>;
  const std::uint64_t first = row * static_cast<std::uint64_t>(columns);
  const auto log_at = [&](std::int64_t c) {
    const auto g = detail::gamma_constants_of<V>(static_cast<double>(alpha[c]));
    const auto parts = detail::gamma_at<V>(g, seed, stream, first + static_cast<std::uint64_t>(c));
    return detail::gamma_log(g, parts.root, parts.e);
  };
  for (std::int64_t c = 0; c < columns; ++c) {
#if !TESSERA_DEVICE_PASS
    detail::check_positive_finite("random::dirichlet", "alpha", static_cast<double>(alpha[c]));
#endif
    if (!detail::is_positive_finite(static_cast<double>(alpha[c]))) return static_cast<T>(__builtin_nanf(""));
  }
  double most = log_at(0);
  for (std::int64_t c = 1; c < columns; ++c) {
    const double l = log_at(c);
    most = l > most ? l : most;
  }
  double sum = 0;
  double here = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    const double e = detail::exponential_of(log_at(c) - most);
    sum += e;
    here = c == column ? e : here;
  }
  return static_cast<T>(static_cast<V>(here / sum));
}

/// Fills the rows of a view, its last axis, with Dirichlet numbers: out[r, c] = dirichlet<T>(alpha, columns, seed, stream, first_row + r, c).
///
/// Shapes         out: […, columns], any strides that put no two elements on one another; alpha: [columns], any stride; r counts the leading axes in row-major order
/// Range          as dirichlet
/// Cost           a gamma number, two logarithms and an exponential an element; scratch: 40 bytes a column, and for each thread 8 bytes for
///                8192 or, if that is more, `columns` elements
/// Determinism    the bits of `dirichlet`, for any executor, number of threads, strides, and split of the rows over calls
/// Errors         argument_error: an empty row, alpha of another length, an alpha not positive and finite, and what fill_uniform refuses
/// Backends       host
/// Source         Devroye, "Non-uniform random variate generation", Springer 1986, XI.4
template <class Executor, mdspan_like Out, mdspan_like Alpha>
void fill_dirichlet(const Executor& exec, const Out& out, const Alpha& alpha, std::uint64_t seed, std::uint64_t stream,
                    std::uint64_t first_row = 0) {
  using T = typename Out::element_type;
  using V = detail::made_as<T>;
  using tessera::detail::expects;
  static_assert(Alpha::rank() == 1, "random: alpha is one row");
  constexpr const char* function = "random::fill_dirichlet";
  constexpr std::int64_t group = detail::gamma_group;
  const view<T, Out::rank()> to(out);
  const view<typename Alpha::element_type, 1> shapes(alpha);
  detail::check_fill<Executor>(to, function);
  const std::int64_t columns = to.extent(Out::rank() - 1);
  expects(
      columns > 0, function, "out", [&] { return "shape " + tessera::detail::shape(to); }, "needs rows of at least one element");
  expects(
      shapes.extent(0) == columns, function, "alpha", [&] { return "shape " + tessera::detail::shape(shapes); },
      "needs one number for each element of a row");
  expects(
      shapes.data_handle() != nullptr, function, "alpha", [] { return std::string("null data"); },
      "needs a pointer to its elements");
  for (std::int64_t c = 0; c < columns; ++c) {
    const auto a = static_cast<double>(shapes(c));
    expects(
        detail::is_positive_finite(a), function, "alpha", [&] { return tessera::detail::number(a) + " at " + std::to_string(c); },
        "needs positive finite numbers");
  }
  const std::int64_t rows = to.size() / columns;
  if (rows == 0) return;

  const std::int64_t rows_at_once = columns < detail::fill_chunk ? detail::fill_chunk / columns : 1;
  const std::int64_t length = rows_at_once * columns + 2 * group;
  const auto lay_out = [&](tessera::detail::bump memory, detail::gamma_constants<V>*& table, double*& logs) {
    table = memory.take<detail::gamma_constants<V>>(columns);
    logs = memory.take<double>(length * detail::workers_of(exec));
    return memory.bytes();
  };
  detail::gamma_constants<V>* table = nullptr;
  double* all_logs = nullptr;
  const tessera::detail::scratch block(detail::memory_of(exec), lay_out(tessera::detail::bump(), table, all_logs));
  lay_out(tessera::detail::bump(block.data()), table, all_logs);
  for (std::int64_t c = 0; c < columns; ++c) table[c] = detail::gamma_constants_of<V>(static_cast<double>(shapes(c)));

  const detail::block_source<Executor> source(seed, stream);
  exec.for_each((rows + rows_at_once - 1) / rows_at_once, [&](int worker, std::int64_t item) {
    double* const logs = all_logs + worker * length;
    const std::int64_t row = item * rows_at_once;
    const std::int64_t count = rows - row < rows_at_once ? rows - row : rows_at_once;
    const std::uint64_t first = (first_row + static_cast<std::uint64_t>(row)) * static_cast<std::uint64_t>(columns);
    const auto skip = static_cast<std::int64_t>(first % static_cast<std::uint64_t>(group));
    detail::gamma_workspace<V> w;
    detail::many_shapes<V> lanes;
    // Column of the first lane, which may belong to a row before.
    std::int64_t column = (columns - skip % columns) % columns;
    for (std::int64_t at = 0; at < skip + count * columns; at += group) {
      lanes.some_boosted = false;
      for (std::size_t i = 0; i < detail::gamma_group; ++i) {
        lanes.set(i, table[column]);
        column = column + 1 < columns ? column + 1 : 0;
      }
      detail::gamma_logs(w, lanes, source, first - static_cast<std::uint64_t>(skip - at), logs + at);
    }
    for (std::int64_t r = 0; r < count; ++r) {
      double* const shares = logs + skip + r * columns;
      detail::shares_of_logs(shares, columns);
      T narrow[detail::gamma_group];
      for (std::int64_t c = 0; c < columns; c += group) {
        const std::int64_t take = columns - c < group ? columns - c : group;
        for (std::int64_t i = 0; i < take; ++i) narrow[i] = static_cast<T>(static_cast<V>(shares[c + i]));
        detail::scatter(to, (row + r) * columns + c, static_cast<const T*>(narrow), take);
      }
    }
  });
}

}  // namespace tessera::random
