// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Whole numbers of 32 or 64 bits seen alike: offsets, lengths, tables of pages.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tessera/core/config.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::attention {

/// A view of signed integers of 32 or 64 bits, whose width is known at run time only: what is computed does not depend on it, so no
/// kernel is compiled twice. Any mdspan_like of such integers converts to it.
template <std::size_t Rank>
class index_view {
 public:
  constexpr index_view() = default;

  template <mdspan_like M>
    requires(M::rank() == Rank && std::signed_integral<value_type_of<M>> &&
             (sizeof(value_type_of<M>) == 4 || sizeof(value_type_of<M>) == 8))
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr index_view(const M& m)  // implicit: as any mdspan becomes a view
      : bytes_(reinterpret_cast<const char*>(m.data_handle())), size_(sizeof(value_type_of<M>)) {
    for (std::size_t r = 0; r < Rank; ++r) {
      extent_[r] = static_cast<std::int64_t>(m.extent(r));
      stride_[r] = static_cast<std::int64_t>(m.stride(r)) * size_;
    }
  }

  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE bool null() const { return bytes_ == nullptr; }
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t extent(std::size_t r) const { return extent_[r]; }

  template <std::convertible_to<std::int64_t>... Index>
    requires(sizeof...(Index) == Rank)
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE std::int64_t operator()(Index... index) const {
    const std::int64_t at[] = {static_cast<std::int64_t>(index)...};
    const char* from = bytes_;
    for (std::size_t r = 0; r < Rank; ++r) from += at[r] * stride_[r];
    if (size_ == 4) {
      std::int32_t x;
      std::memcpy(&x, from, sizeof x);
      return x;
    }
    std::int64_t x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }

  /// The view with the first axis fixed at `i`.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE index_view<Rank - 1> operator[](std::int64_t i) const
    requires(Rank > 1)
  {
    index_view<Rank - 1> row;
    row.bytes_ = bytes_ + i * stride_[0];
    row.size_ = size_;
    for (std::size_t r = 1; r < Rank; ++r) {
      row.extent_[r - 1] = extent_[r];
      row.stride_[r - 1] = stride_[r];
    }
    return row;
  }

  /// The bytes that it may read, as a view: for checks of what overlaps.
  [[nodiscard]] TESSERA_HD TESSERA_ALWAYS_INLINE view<const char, Rank + 1> bytes() const {
    std::int64_t extents[Rank + 1];
    std::int64_t strides[Rank + 1];
    for (std::size_t r = 0; r < Rank; ++r) {
      extents[r] = extent_[r];
      strides[r] = stride_[r];
    }
    extents[Rank] = size_;
    strides[Rank] = 1;
    return {bytes_, extents, strides};
  }

 private:
  template <std::size_t>
  friend class index_view;

  const char* bytes_ = nullptr;
  std::int64_t size_ = 8;  ///< of a number, in bytes
  std::int64_t extent_[Rank] = {};
  std::int64_t stride_[Rank] = {};  ///< in bytes
};

}  // namespace tessera::attention
