// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Sums over the rows of a matrix, one a column, in an order that depends on the number of rows alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/detail/row_chunks.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training::detail {

/// Sums of `width` terms a row: of 16 rows in T, of those in float64, in blocks, of which threads take one at a time; blocks at last.
template <class T>
class column_sums {
 public:
  static constexpr std::int64_t together = 16;  ///< rows whose sum is made in T
  static constexpr std::int64_t most_blocks = 64;

  column_sums(std::int64_t rows, std::int64_t width)
      : rows_(rows),
        width_(width),
        height_(std::max<std::int64_t>(1, (rows + together * most_blocks - 1) / (together * most_blocks)) * together),
        blocks_((rows + height_ - 1) / height_) {}

  /// Takes the memory of a call with so many workers: of nothing, to count it.
  TESSERA_ALWAYS_INLINE void lay_out(tessera::detail::bump& memory, int workers) {
    sums_ = memory.take<double>(std::max<std::int64_t>(1, blocks_) * width_);
    parts_ = memory.take<T>(workers * width_);
  }

  /// f(first row, last row, T* sums) for every run of rows: adds their terms to `width` sums. A row has `length` numbers of so many
  /// operations.
  template <class Exec, class F>
  void add_up(const Exec& exec, std::int64_t length, double operations, const F& f) const {
    std::fill_n(sums_, width_, 0.0);
    tessera::detail::for_each_worth(exec, operations * static_cast<double>(rows_) * static_cast<double>(length), blocks_,
                                    [&](int worker, std::int64_t block) {
                                      double* const sums = sums_ + block * width_;
                                      T* const part = parts_ + worker * width_;
                                      std::fill_n(sums, width_, 0.0);
                                      const std::int64_t last = std::min(rows_, (block + 1) * height_);
                                      for (std::int64_t i = block * height_; i < last; i += together) {
                                        std::fill_n(part, width_, T(0));
                                        f(i, std::min(last, i + together), part);
                                        for (std::int64_t j = 0; j < width_; ++j) sums[j] += static_cast<double>(part[j]);
                                      }
                                    });
    for (std::int64_t block = 1; block < blocks_; ++block) {
      for (std::int64_t j = 0; j < width_; ++j) sums_[j] += sums_[block * width_ + j];
    }
  }

  /// Sums first, first + 1 … to an array, or added to it: rounded once.
  template <class D>
  void store(const view<D, 1>& to, std::int64_t first, bool add) const {
    for (std::int64_t j = 0; j < to.extent(0); ++j) {
      const double sum = sums_[first + j];
      to(j) = static_cast<D>(add ? static_cast<double>(to(j)) + sum : sum);
    }
  }

 private:
  std::int64_t rows_;
  std::int64_t width_;
  std::int64_t height_;  ///< rows of a block
  std::int64_t blocks_;
  double* sums_ = nullptr;
  T* parts_ = nullptr;
};

/// sums[j] += the column sums of rows [first, last) of a matrix.
template <class P, class S>
TESSERA_NOINLINE void add_rows(const view<const S, 2>& matrix, std::int64_t first, std::int64_t last,
                               typename P::value_type* sums) {
  using T = typename P::value_type;
  tile::detail::write_run<P>(sums, matrix.extent(1), false, [&](std::int64_t k, int count) {
    P sum = tile::detail::load_or<P>(static_cast<const T*>(sums) + k, count, T(0));
    for (std::int64_t i = first; i < last; ++i) {
      sum += tile::detail::load_or<P>(matrix.data_handle() + i * matrix.stride(0) + k, count, T(0));
    }
    return sum;
  });
}

}  // namespace tessera::training::detail
