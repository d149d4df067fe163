// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views of one shape walked together, row by row, in pieces that threads share out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::training::detail {

/// Elements of a piece at most.
inline constexpr std::int64_t row_piece = 1 << 14;

/// The innermost axis of some views of one shape, and how often it is there; all of their elements where each lies in one piece.
struct element_rows {
  std::int64_t rows;
  std::int64_t length;

  template <std::size_t Rank, class... T>
  [[nodiscard]] static TESSERA_ALWAYS_INLINE element_rows of(const view<T, Rank>&... views) {
    const std::int64_t extents[] = {views.size()...};
    const bool whole = (in_one_piece(views) && ...);
    std::int64_t length = extents[0];
    if (!whole) ((length = views.extent(Rank - 1)), ...);
    return {length != 0 ? extents[0] / length : 0, length};
  }

  /// Where a row of one of the views begins.
  template <class T, std::size_t Rank>
  [[nodiscard]] TESSERA_ALWAYS_INLINE T* at(const view<T, Rank>& v, std::int64_t row) const {
    std::int64_t offset = 0;
    if (rows > 1) {
      for (std::size_t r = Rank - 1; r-- > 0;) {
        offset += row % v.extent(r) * v.stride(r);
        row /= v.extent(r);
      }
    }
    return v.data_handle() + offset;
  }

  /// f(row, first element, number of elements) for pieces of all rows, `operations` an element.
  template <class Exec, class F>
  void for_each_piece(const Exec& exec, double operations, const F& f) const {
    if (rows == 0) return;
    const std::int64_t pieces = (length + row_piece - 1) / row_piece;  // of a row
    const std::int64_t together = std::max<std::int64_t>(1, row_piece / length);
    const std::int64_t groups = (rows + together - 1) / together;
    tessera::detail::for_each_worth(exec, operations * static_cast<double>(rows) * static_cast<double>(length), groups * pieces,
                                    [&](int, std::int64_t item) {
                                      const std::int64_t begin = item % pieces * row_piece;
                                      const std::int64_t last = std::min(rows, (item / pieces + 1) * together);
                                      for (std::int64_t row = item / pieces * together; row < last; ++row) {
                                        f(row, begin, std::min(row_piece, length - begin));
                                      }
                                    });
  }

 private:
  template <class T, std::size_t Rank>
  [[nodiscard]] static TESSERA_ALWAYS_INLINE bool in_one_piece(const view<T, Rank>& v) {
    std::int64_t step = 1;
    for (std::size_t r = Rank; r-- > 0;) {
      if (v.extent(r) != 1 && v.stride(r) != step) return false;
      step *= v.extent(r);
    }
    return true;
  }
};

}  // namespace tessera::training::detail
