// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of numbers with memory of their own. Tessera takes views and owns nothing; this is what the examples hold data in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tessera/tile/view.hpp"

namespace example {

/// [rows, columns], row-major, zeros at first.
template <class T>
class matrix {
 public:
  matrix() = default;
  matrix(std::int64_t rows, std::int64_t columns)
      : rows_(rows), columns_(columns), data_(static_cast<std::size_t>(rows * columns)) {}

  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t columns() const { return columns_; }
  T* row(std::int64_t i) { return data_.data() + i * columns_; }
  const T* row(std::int64_t i) const { return data_.data() + i * columns_; }
  T& operator()(std::int64_t i, std::int64_t k) { return row(i)[k]; }
  const T& operator()(std::int64_t i, std::int64_t k) const { return row(i)[k]; }
  auto begin() { return data_.begin(); }
  auto begin() const { return data_.begin(); }
  auto end() { return data_.end(); }
  auto end() const { return data_.end(); }

  tessera::view<T, 2> view() { return tessera::view(data_.data(), rows_, columns_); }
  tessera::view<const T, 2> view() const { return tessera::view(data_.data(), rows_, columns_); }

  /// The same numbers, each converted to U (rounded, where U is narrower).
  template <class U>
  [[nodiscard]] matrix<U> as() const {
    matrix<U> result(rows_, columns_);
    std::transform(begin(), end(), result.begin(), [](const T& x) { return static_cast<U>(x); });
    return result;
  }

 private:
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::vector<T> data_;
};

}  // namespace example
