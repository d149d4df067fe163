// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Arrays whose memory is watched: gaps between rows and guards at both ends hold a pattern that reads as NaN, and that must still
/// be there after a call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tessera/tile/view.hpp"

namespace support {

/// Every byte 0xFF: NaN in every floating-point format of the library.
inline constexpr unsigned char poison = 0xFF;

/// Where the elements of an array lie.
struct placement {
  std::int64_t gap = 0;    ///< poisoned elements after every row
  bool exchanged = false;  ///< axes 1 and 2 change places in memory: [batch, len, heads, dim] seen as [batch, heads, len, dim]
};

template <class T, std::size_t Rank>
class array {
 public:
  explicit array(const std::array<std::int64_t, Rank>& extents, placement where = {}) {
    std::array<std::size_t, Rank> order;
    for (std::size_t r = 0; r < Rank; ++r) order[r] = r;
    if (where.exchanged && Rank > 2) std::swap(order[1], order[2]);
    std::int64_t step = 1;
    for (std::size_t o = Rank; o-- > 0;) {
      const std::size_t r = order[o];
      extents_[r] = extents[r];
      strides_[r] = step;
      step *= extents[r];
      if (r == Rank - 1) step += where.gap;
    }
    memory_.resize(static_cast<std::size_t>(step + 2 * guard) * sizeof(T), poison);
    before_ = memory_;
  }

  /// element number n, in row-major order of the indices whatever the placement, = f(n).
  template <class F>
  array& fill(const F& f) {
    each([&](std::int64_t n, T& element) { element = T(f(static_cast<std::uint64_t>(n))); });
    before_ = memory_;
    return *this;
  }

  [[nodiscard]] tessera::view<T, Rank> view() { return {data(), extents_, strides_}; }
  [[nodiscard]] tessera::view<const T, Rank> view() const {
    return {reinterpret_cast<const T*>(memory_.data()) + guard, extents_, strides_};
  }
  template <class... Index>
  T& operator()(Index... index) {
    return view()(index...);
  }
  template <class... Index>
  const T& operator()(Index... index) const {
    return view()(index...);
  }

  /// The elements alone, in row-major order.
  [[nodiscard]] std::vector<T> elements() const {
    std::vector<T> result;
    const_cast<array*>(this)->each([&](std::int64_t, T& element) { result.push_back(element); });
    return result;
  }
  [[nodiscard]] bool same_elements(const array& other) const {
    const std::vector<T> a = elements();
    const std::vector<T> b = other.elements();
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
  }

  /// Whether no byte has changed since the last fill.
  [[nodiscard]] bool untouched() const { return memory_ == before_; }
  /// Whether no byte between the elements has changed.
  [[nodiscard]] bool gaps_untouched() const {
    array poisoned = *this;
    poisoned.each([](std::int64_t, T& element) { std::memset(static_cast<void*>(&element), poison, sizeof(T)); });
    for (const unsigned char byte : poisoned.memory_) {
      if (byte != poison) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t guard = 64;

  T* data() { return reinterpret_cast<T*>(memory_.data()) + guard; }

  template <class F>
  void each(const F& f) {
    std::int64_t size = 1;
    for (const std::int64_t extent : extents_) size *= extent;
    for (std::int64_t n = 0; n < size; ++n) {
      std::int64_t rest = n;
      std::int64_t offset = 0;
      for (std::size_t r = Rank; r-- > 0;) {
        offset += rest % extents_[r] * strides_[r];
        rest /= extents_[r];
      }
      f(n, data()[offset]);
    }
  }

  std::int64_t extents_[Rank];
  std::int64_t strides_[Rank];
  std::vector<unsigned char> memory_;
  std::vector<unsigned char> before_;
};

template <class T>
using matrix = array<T, 2>;

}  // namespace support
