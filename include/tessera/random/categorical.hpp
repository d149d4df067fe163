// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Draws of a category from logits or from weights, addressed by (seed, stream, row).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/elementary.hpp"
#include "tessera/random/detail/fill.hpp"
#include "tessera/random/detail/logarithm.hpp"
#include "tessera/random/gumbel.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

/// What may be wrong with a row.
enum class row_fault : std::uint8_t { none, bad_entry, empty };

template <class Entry>
struct row_check {
  row_fault fault = row_fault::none;
  std::int64_t at = 0;
  double entry = 0;
};

/// Logits are finite or -inf, and one at least is finite. The row is read without branches; only a bad one is searched.
template <class Logit, class Stride>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE row_check<Logit> check_logits(const Logit* row, std::int64_t columns,
                                                                         Stride stride) noexcept {
  std::int32_t bad = 0;
  std::int32_t some = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    const auto l = static_cast<made_as<Logit>>(row[c * stride]);
    bad |= l < static_cast<made_as<Logit>>(__builtin_inf()) ? 0 : 1;
    some |= l > static_cast<made_as<Logit>>(-__builtin_inf()) ? 1 : 0;
  }
  for (std::int64_t c = 0; bad != 0; ++c) {
    const auto l = static_cast<double>(row[c * stride]);
    if (!(l < __builtin_inf())) return {row_fault::bad_entry, c, l};
  }
  return {some != 0 ? row_fault::none : row_fault::empty, 0, 0};
}

/// Weights are finite and not negative, their sum is finite and above 0.
template <class Weight>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE row_check<Weight> check_weights(const Weight* row, std::int64_t columns,
                                                                           std::int64_t stride) noexcept {
  double sum = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    const auto w = static_cast<double>(row[c * stride]);
    if (!(w >= 0.0 && w < __builtin_inf())) return {row_fault::bad_entry, c, w};
    sum += w;
  }
  return {sum > 0.0 && sum < __builtin_inf() ? row_fault::none : row_fault::empty, 0, sum};
}

/// The category of the largest logit + Gumbel number; the first of several that are equal, -1 where none is above -inf.
template <class Logit>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::int64_t largest_perturbed(const Logit* row, std::int64_t columns,
                                                                          std::int64_t stride, std::uint64_t seed,
                                                                          std::uint64_t stream, std::uint64_t first) noexcept {
  double best = -__builtin_inf();
  std::int64_t at = -1;
  for (std::int64_t c = 0; c < columns; ++c) {
    const double score =
        static_cast<double>(row[c * stride]) + gumbel<double>(seed, stream, first + static_cast<std::uint64_t>(c));
    if (score > best) {
      best = score;
      at = c;
    }
  }
  return at;
}

/// The first category at which the running sum exceeds u times the whole: never one of weight 0, since the sum grows there.
template <class Weight>
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::int64_t inverse_of_sums(const Weight* row, std::int64_t columns,
                                                                        std::int64_t stride, double u) noexcept {
  double whole = 0;
  for (std::int64_t c = 0; c < columns; ++c) whole += static_cast<double>(row[c * stride]);
  const double target = u * whole;
  double sum = 0;
  std::int64_t last = -1;
  for (std::int64_t c = 0; c < columns; ++c) {
    const auto w = static_cast<double>(row[c * stride]);
    sum += w;
    if (sum > target) return c;
    if (w > 0.0) last = c;
  }
  return last;  // a sum of subnormal weights may be all target
}

/// An upper bound of 2^64 (1 - u) for the words whose Gumbel number can lift a logit of `top` or less above `best`: with
/// E = -log u, top - log E > best needs 1 - u <= E < exp(top - best). A margin covers the roundings of noise and sums.
TESSERA_ALWAYS_INLINE std::uint64_t reach_of_noise(double top, double best) noexcept {
  const double margin = 1e-12 * (50.0 + (top < 0.0 ? -top : top) + (best < 0.0 ? -best : best));
  const double e = exponential_of(top - best + margin);
  return e < 0.5 ? static_cast<std::uint64_t>(e * 0x1p64) + 2 : ~std::uint64_t{0};
}

/// Where row r of a view lies: the leading axes in row-major order.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE T* row_of(const view<T, Rank>& v, std::int64_t r) noexcept {
  std::int64_t offset = 0;
  for (std::size_t axis = Rank - 1; axis-- > 0;) {
    offset += r % v.extent(axis) * v.stride(axis);
    r /= v.extent(axis);
  }
  return v.data_handle() + offset;
}

/// Refuses rows and drawn categories that do not fit each other.
template <class Executor, class T, std::size_t Rank, class Entry>
void check_rows(const view<T, Rank>& out, const view<Entry, Rank + 1>& rows, const char* function, const char* argument) {
  using tessera::detail::expects;
  using tessera::detail::shape;
  static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>, "random: categories are integers");
  check_fill<Executor>(out, function);
  for (std::size_t r = 0; r < Rank; ++r) {
    expects(
        rows.extent(r) == out.extent(r), function, argument,
        [&] { return "shape " + shape(rows) + " beside out of " + shape(out); }, "needs a row for each element of out");
  }
  if (out.size() == 0) return;
  const std::int64_t columns = rows.extent(Rank);
  expects(
      columns > 0 && rows.data_handle() != nullptr, function, argument,
      [&] { return (rows.data_handle() == nullptr ? "null data of shape " : "shape ") + shape(rows); },
      "needs rows of at least one entry");
  expects(
      static_cast<std::uint64_t>(columns - 1) <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()), function, "out",
      [&] { return "an element type too small for " + std::to_string(columns) + " categories"; }, "needs a wider integer");
}

/// Runs body(first row, rows) over shares of all rows, of some 16384 entries each.
template <class Executor, class Body>
void for_rows(const Executor& exec, std::int64_t rows, std::int64_t columns, Body body) {
  const std::int64_t at_once = columns < 16384 ? 16384 / columns : 1;
  exec.for_each((rows + at_once - 1) / at_once, [&](int, std::int64_t item) {
    const std::int64_t row = item * at_once;
    body(row, rows - row < at_once ? rows - row : at_once);
  });
}

}  // namespace detail

/// The category drawn from a row of logits: P(c) = exp(logit_c) / sum exp(logit).
///
/// argmax over c of logit_c + gumbel<double>(seed, stream, row * columns + c), one pass over the row. Every entry has noise of its own
/// address: a row draws the same whatever the batch, and rows that differ in few logits draw alike (common random numbers).
/// Range          logits finite or -inf, any scale; columns from 1; row * columns + c is taken modulo 2^64
/// Special values a logit of -inf is never drawn. Of equal scores the first counts: once in some 2^50 draws
/// Accuracy       noise with tails to 2^-64 and sums in double: probabilities down to 1e-19 are drawn, each within a relative
///                2^-50 (1 + |logit|); tested by chi-square in test/random/categorical.cpp
/// Cost           a Gumbel number of double an entry; fill_categorical is several times cheaper an entry
/// Determinism    the same everywhere, alone or in a fill
/// Errors         argument_error on the host: no column, a logit NaN or +inf, all logits -inf. In device code the result is -1
/// Backends       host, device, constant expressions
/// Source         Gumbel, "Statistical theory of extreme values", 1954; Maddison, Tarlow, Minka, "A* sampling", NIPS 2014
template <class Logit>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::int64_t categorical(const Logit* logits, std::int64_t columns,
                                                                                  std::uint64_t seed, std::uint64_t stream,
                                                                                  std::uint64_t row) {
  const auto check = detail::check_logits(logits, columns, std::int64_t{1});
#if !TESSERA_DEVICE_PASS
  if (check.fault == detail::row_fault::bad_entry) {
    detail::refuse("random::categorical", "logits", check.entry, "needs finite numbers or -inf");
  }
  if (check.fault == detail::row_fault::empty) {
    detail::refuse("random::categorical", "logits", -__builtin_inf(), "needs a row with a finite entry");
  }
#endif
  if (check.fault != detail::row_fault::none) return -1;
  return detail::largest_perturbed(logits, columns, 1, seed, stream, row * static_cast<std::uint64_t>(columns));
}

/// The category drawn from a row of weights, which need not sum to 1: P(c) = weight_c / sum weight.
///
/// The first c with w_0 + … + w_c > u sum w, u = uniform<double>(seed, stream, row).
/// Special values a weight of 0 is never drawn
/// Accuracy       u has 53 bits and sums are rounded: probabilities are off by columns * 2^-53 at most
/// Errors         argument_error on the host: no column, a weight negative, NaN or infinite, a sum of 0 or infinity. In device code the result
///                is -1
/// Otherwise categorical
template <class Weight>
[[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::int64_t categorical_of_weights(
    const Weight* weights, std::int64_t columns, std::uint64_t seed, std::uint64_t stream, std::uint64_t row) {
  const auto check = detail::check_weights(weights, columns, 1);
#if !TESSERA_DEVICE_PASS
  if (check.fault == detail::row_fault::bad_entry) {
    detail::refuse("random::categorical_of_weights", "weights", check.entry, "needs finite numbers of at least 0");
  }
  if (check.fault == detail::row_fault::empty) {
    detail::refuse("random::categorical_of_weights", "weights", check.entry, "needs a positive finite sum");
  }
#endif
  if (check.fault != detail::row_fault::none) return -1;
  return detail::inverse_of_sums(weights, columns, 1, uniform<double>(seed, stream, row));
}

/// Draws a category from every row of logits: out[r] = categorical(logits[r], columns, seed, stream, first_row + r).
///
/// Shapes         out: any shape, any strides that put no two elements on one another, of integers; logits: that shape and an axis of columns behind it, any strides, 0
///                too: {n, columns} with strides {0, 1} draws n times from one row
/// Cost           two passes over the logits, the first of which only checks them; half a Philox block an entry, logarithms only for
///                entries that can win: some 100 a row of any length; no scratch memory, no allocation
/// Determinism    the bits of `categorical`, for any executor, number of threads, strides, and split of the rows over calls
/// Errors         argument_error, nothing written: a logit NaN or +inf, a row without a finite one, shapes that do not fit, categories that out's
///                type does not hold, and what fill_uniform refuses
/// Backends       host
template <class Executor, mdspan_like Out, mdspan_like Logits>
void fill_categorical(const Executor& exec, const Out& out, const Logits& logits, std::uint64_t seed, std::uint64_t stream,
                      std::uint64_t first_row = 0) {
  static_assert(Logits::rank() == Out::rank() + 1, "random: logits have the axes of out and one of columns");
  constexpr const char* function = "random::fill_categorical";
  constexpr std::size_t rank = Out::rank();
  using tessera::detail::expects;
  using T = typename Out::element_type;
  const view<T, rank> to(out);
  const view<const std::remove_const_t<typename Logits::element_type>, rank + 1> from(logits);
  detail::check_rows<Executor>(to, from, function, "logits");
  const std::int64_t rows = to.size();
  if (rows == 0) return;
  const std::int64_t columns = from.extent(rank);
  const std::int64_t stride = from.stride(rank);
  bool one_row = true;
  for (std::size_t r = 0; r < rank; ++r) one_row = one_row && (from.stride(r) == 0 || from.extent(r) == 1);
  for (std::int64_t r = 0; r < (one_row ? 1 : rows); ++r) {
    const auto* const row = detail::row_of(from, r);
    const auto check = stride == 1 ? detail::check_logits(row, columns, std::integral_constant<std::int64_t, 1>{})
                                   : detail::check_logits(row, columns, stride);
    expects(
        check.fault != detail::row_fault::bad_entry, function, "logits",
        [&] {
          return tessera::detail::number(check.entry) + " at row " + std::to_string(r) + ", column " + std::to_string(check.at);
        },
        "needs finite numbers or -inf");
    expects(
        check.fault != detail::row_fault::empty, function, "logits", [&] { return "only -inf in row " + std::to_string(r); },
        "needs a row with a finite entry");
  }
  const detail::block_source<Executor> source(seed, stream);
  detail::for_rows(exec, rows, columns, [&](std::int64_t first, std::int64_t count) {
    constexpr std::size_t group = 2 * detail::group_blocks;
    constexpr std::size_t lanes = 8;
    alignas(64) std::uint64_t word[group];
    alignas(64) double noise[group];
    alignas(64) double logit[group + lanes];
    std::uint64_t index = (first_row + static_cast<std::uint64_t>(first)) * static_cast<std::uint64_t>(columns);
    std::uint64_t made = 1;  // no multiple of the group
    bool noisy = false;
    const auto look = [&](const auto* row, auto step, std::int64_t& at) {
      double best = -__builtin_inf();
      for (std::int64_t c = 0; c < columns;) {
        const std::uint64_t begin = index - index % group;
        if (begin != made) {
          source.words_of(begin / 2, word);
          made = begin;
          noisy = false;
        }
        const auto skip = static_cast<std::size_t>(index - begin);
        const std::size_t left = static_cast<std::size_t>(columns - c);
        const std::size_t take = group - skip < left ? group - skip : left;
        for (std::size_t i = 0; i < take; ++i) logit[i] = static_cast<double>(row[(c + static_cast<std::int64_t>(i)) * step]);
        // Most entries cannot win whatever their noise: the longer the row, the fewer logarithms it takes.
        std::uint64_t reach = ~std::uint64_t{0};
        std::uint64_t candidates = take;
        if (best > -__builtin_inf()) {
          for (std::size_t i = 0; i < lanes; ++i) logit[take + i] = -__builtin_inf();
          double tops[lanes];
          for (std::size_t l = 0; l < lanes; ++l) tops[l] = logit[l];
          for (std::size_t i = lanes; i < take; i += lanes) {
            for (std::size_t l = 0; l < lanes; ++l) tops[l] = logit[i + l] > tops[l] ? logit[i + l] : tops[l];
          }
          double top = tops[0];
          for (std::size_t l = 1; l < lanes; ++l) top = tops[l] > top ? tops[l] : top;
          candidates = 0;
          if (top > -__builtin_inf()) {
            reach = detail::reach_of_noise(top, best);
            for (std::size_t i = 0; i < take; ++i) candidates += ~word[skip + i] <= reach ? 1u : 0u;
          }
        }
        const bool many = candidates > 8;
        if (many && !noisy) {
          for (std::size_t i = 0; i < group; ++i) noise[i] = detail::minus_log(detail::minus_log_unit(word[i], std::uint64_t{0}));
          noisy = true;
        }
        for (std::size_t i = 0; candidates != 0 && i < take; ++i) {
          if (!noisy && ~word[skip + i] > reach) continue;
          const double score =
              logit[i] + (noisy ? noise[skip + i] : detail::minus_log(detail::minus_log_unit(word[skip + i], std::uint64_t{0})));
          if (score > best) {
            best = score;
            at = c + static_cast<std::int64_t>(i);
          }
        }
        c += static_cast<std::int64_t>(take);
        index += take;
      }
    };
    for (std::int64_t r = first; r < first + count; ++r) {
      const auto* const row = detail::row_of(from, r);
      std::int64_t at = -1;
      if (stride == 1) {
        look(row, std::integral_constant<std::int64_t, 1>{}, at);
      } else {
        look(row, stride, at);
      }
      const T drawn = static_cast<T>(at);
      detail::scatter(to, r, &drawn, 1);
    }
  });
}

/// Draws a category from every row of weights: out[r] = categorical_of_weights(weights[r], columns, seed, stream, first_row + r).
///
/// Errors         argument_error, nothing written: as categorical_of_weights, otherwise as fill_categorical
/// Otherwise fill_categorical. For many draws from one row see alias_table.hpp
template <class Executor, mdspan_like Out, mdspan_like Weights>
void fill_categorical_of_weights(const Executor& exec, const Out& out, const Weights& weights, std::uint64_t seed,
                                 std::uint64_t stream, std::uint64_t first_row = 0) {
  static_assert(Weights::rank() == Out::rank() + 1, "random: weights have the axes of out and one of columns");
  constexpr const char* function = "random::fill_categorical_of_weights";
  constexpr std::size_t rank = Out::rank();
  using tessera::detail::expects;
  using T = typename Out::element_type;
  const view<T, rank> to(out);
  const view<const std::remove_const_t<typename Weights::element_type>, rank + 1> from(weights);
  detail::check_rows<Executor>(to, from, function, "weights");
  const std::int64_t rows = to.size();
  if (rows == 0) return;
  const std::int64_t columns = from.extent(rank);
  const std::int64_t stride = from.stride(rank);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto check = detail::check_weights(detail::row_of(from, r), columns, stride);
    expects(
        check.fault != detail::row_fault::bad_entry, function, "weights",
        [&] {
          return tessera::detail::number(check.entry) + " at row " + std::to_string(r) + ", column " + std::to_string(check.at);
        },
        "needs finite numbers of at least 0");
    expects(
        check.fault != detail::row_fault::empty, function, "weights",
        [&] { return "sum " + tessera::detail::number(check.entry) + " of row " + std::to_string(r); },
        "needs a positive finite sum");
  }
  detail::for_rows(exec, rows, columns, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t r = first; r < first + count; ++r) {
      const double u = uniform<double>(seed, stream, first_row + static_cast<std::uint64_t>(r));
      const T drawn = static_cast<T>(detail::inverse_of_sums(detail::row_of(from, r), columns, stride, u));
      detail::scatter(to, r, &drawn, 1);
    }
  });
}

}  // namespace tessera::random
