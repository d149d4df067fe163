// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A strided, non-owning array of any rank, and the rule by which anyone's mdspan becomes one.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"

namespace tessera {

/// Anything shaped like std::mdspan with a raw pointer behind it: std::mdspan, cuda::std::mdspan, Kokkos' mdspan, tessera::view.
template <class M>
concept mdspan_like = requires(const M& m) {
  { *m.data_handle() } -> std::convertible_to<const typename M::element_type&>;
  { m.rank() } -> std::convertible_to<std::size_t>;
  { m.extent(0) } -> std::convertible_to<std::int64_t>;
  { m.stride(0) } -> std::convertible_to<std::int64_t>;
} && std::is_pointer_v<decltype(std::declval<const M&>().data_handle())>;

/// A non-owning array: a pointer, an extent and a stride (in elements) for each axis.
///
/// Extents and strides are 64-bit. Copying a view copies the pointer. Every member runs on host and device, and is inlined everywhere: their
/// names tell of no instruction set.
/// A `view<T, R>` converts to `view<const T, R>`, and any mdspan_like of the same rank converts to a view.
template <class T, std::size_t Rank>
class view {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr view() = default;

  /// Row-major and contiguous: `view<float, 2> m(data, rows, cols)`.
  template <std::convertible_to<std::int64_t>... Extents>
    requires(sizeof...(Extents) == Rank)
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr explicit view(T* data, Extents... extents)
      : data_(data), extent_{static_cast<std::int64_t>(extents)...} {
    std::int64_t step = 1;
    for (std::size_t r = Rank; r-- > 0;) {
      stride_[r] = step;
      step *= extent_[r];
    }
  }

  /// Any strides, in elements.
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr view(T* data, const std::int64_t (&extents)[Rank],
                                                  const std::int64_t (&strides)[Rank])
      : data_(data) {
    for (std::size_t r = 0; r < Rank; ++r) {
      extent_[r] = extents[r];
      stride_[r] = strides[r];
    }
  }

  template <mdspan_like M>
    requires(M::rank() == Rank && std::is_convertible_v<typename M::element_type (*)[], T (*)[]>)
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr view(const M& m)
      : data_(m.data_handle()) {  // implicit: a view is what an mdspan means to us
    for (std::size_t r = 0; r < Rank; ++r) {
      extent_[r] = static_cast<std::int64_t>(m.extent(r));
      stride_[r] = static_cast<std::int64_t>(m.stride(r));
    }
  }

  TESSERA_HD TESSERA_ALWAYS_INLINE static constexpr std::size_t rank() noexcept { return Rank; }
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T* data_handle() const noexcept { return data_; }
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::int64_t extent(std::size_t r) const noexcept { return extent_[r]; }
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::int64_t stride(std::size_t r) const noexcept { return stride_[r]; }

  /// Number of elements; 1 for rank 0.
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr std::int64_t size() const noexcept {
    std::int64_t n = 1;
    for (std::size_t r = 0; r < Rank; ++r) n *= extent_[r];
    return n;
  }

  template <std::convertible_to<std::int64_t>... Index>
    requires(sizeof...(Index) == Rank)
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr T& operator()(Index... index) const noexcept {
    const std::int64_t at[] = {static_cast<std::int64_t>(index)...};
    std::int64_t offset = 0;
    for (std::size_t r = 0; r < Rank; ++r) offset += at[r] * stride_[r];
    return data_[offset];
  }

  /// The view with the first axis fixed at `i`: a row of a matrix, a matrix of a batch.
  TESSERA_HD TESSERA_ALWAYS_INLINE constexpr view<T, Rank - 1> operator[](std::int64_t i) const noexcept
    requires(Rank > 1)
  {
    std::int64_t extents[Rank - 1] = {};
    std::int64_t strides[Rank - 1] = {};
    for (std::size_t r = 1; r < Rank; ++r) {
      extents[r - 1] = extent_[r];
      strides[r - 1] = stride_[r];
    }
    return {data_ + i * stride_[0], extents, strides};
  }

 private:
  T* data_ = nullptr;
  std::int64_t extent_[Rank] = {};
  std::int64_t stride_[Rank] = {};
};

template <class T, class... Extents>
view(T*, Extents...) -> view<T, sizeof...(Extents)>;

/// The element type of an mdspan_like argument without const: what public functions deduce storage types from.
template <mdspan_like M>
using value_type_of = std::remove_cv_t<typename M::element_type>;

namespace detail {

// The checks are inlined whatever the optimiser thinks: they carry no architecture in their names, and a program with several
// instruction sets must not share a function.

/// "[2, 8, 512, 64]": for the text of errors.
template <class T, std::size_t Rank>
std::string shape(const view<T, Rank>& v) {
  std::string text = "[";
  for (std::size_t r = 0; r < Rank; ++r) text += (r ? ", " : "") + std::to_string(v.extent(r));
  return text + "]";
}

/// How far a stride goes, forwards or backwards.
inline constexpr std::int64_t distance(std::int64_t stride) { return stride < 0 ? -stride : stride; }

/// Refuses negative extents, and null data where there is something to read.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_readable(const view<T, Rank>& v, const char* function, const char* argument) {
  for (std::size_t r = 0; r < Rank; ++r) {
    expects(v.extent(r) >= 0, function, argument, [&] { return "shape " + shape(v); }, "needs extents of at least 0");
  }
  expects(
      v.size() == 0 || v.data_handle() != nullptr, function, argument, [&] { return "null data of shape " + shape(v); },
      "needs a pointer to its elements");
}

/// What check_readable refuses, and an innermost axis that is not contiguous.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_operand(const view<T, Rank>& v, const char* function, const char* argument) {
  check_readable(v, function, argument);
  expects(
      v.extent(Rank - 1) <= 1 || v.stride(Rank - 1) == 1, function, argument,
      [&] { return "innermost stride " + std::to_string(v.stride(Rank - 1)); }, "needs contiguous rows (innermost stride 1)");
}

/// Refuses elements that lie on one another: each would be written by several threads.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_distinct(const view<T, Rank>& v, const char* function, const char* argument) {
  if (v.size() == 0) return;
  std::size_t order[Rank];  // axes by rising stride: each must step over all that the ones before it reach
  for (std::size_t r = 0; r < Rank; ++r) {
    std::size_t at = r;
    for (; at > 0 && distance(v.stride(order[at - 1])) > distance(v.stride(r)); --at) order[at] = order[at - 1];
    order[at] = r;
  }
  std::int64_t reach = 0;
  for (const std::size_t r : order) {
    if (v.extent(r) == 1) continue;
    expects(
        distance(v.stride(r)) > reach, function, argument,
        [&] { return "stride " + std::to_string(v.stride(r)) + " in shape " + shape(v); },
        "needs elements that do not lie on one another");
    reach += (v.extent(r) - 1) * distance(v.stride(r));
  }
}

/// What check_operand and check_distinct refuse.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void check_output(const view<T, Rank>& v, const char* function, const char* argument) {
  check_operand(v, function, argument);
  check_distinct(v, function, argument);
}

/// First and one-past-last byte that the view can touch.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void byte_range(const view<T, Rank>& v, std::uintptr_t& first, std::uintptr_t& last) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  for (std::size_t r = 0; r < Rank; ++r) {
    const std::int64_t reach = (v.extent(r) - 1) * v.stride(r);
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(v.data_handle());
  const auto bytes = static_cast<std::int64_t>(sizeof(T));
  first = base + static_cast<std::uintptr_t>(low * bytes);
  last = base + static_cast<std::uintptr_t>((high + 1) * bytes);
}

/// How a view lies in memory, if it does so regularly: blocks of `length` bytes, their first bytes multiples of `period` apart.
struct regular_blocks {
  std::int64_t length = 0;
  std::int64_t period = 0;  ///< 0: one block
};

template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE regular_blocks blocks_of(const view<T, Rank>& v) {
  regular_blocks result{static_cast<std::int64_t>(sizeof(T)), 0};
  bool taken[Rank] = {};
  // Axes that step from the end of a block to the next make one of all; of those that are left, what divides all their steps.
  for (bool grown = true; grown;) {
    grown = false;
    for (std::size_t r = 0; r < Rank; ++r) {
      if (taken[r] || (v.extent(r) != 1 && distance(v.stride(r)) * static_cast<std::int64_t>(sizeof(T)) != result.length))
        continue;
      taken[r] = grown = true;
      result.length *= v.extent(r);
    }
  }
  for (std::size_t r = 0; r < Rank; ++r) {
    if (taken[r]) continue;
    std::int64_t a = distance(v.stride(r)) * static_cast<std::int64_t>(sizeof(T));
    for (std::int64_t b = result.period; b != 0;) {
      const std::int64_t rest = a % b;
      a = b;
      b = rest;
    }
    result.period = a;
  }
  return result;
}

/// True when an element of one may lie on an element of the other: where the byte ranges meet, but for arrays that lie between one another, as
/// queries, keys and values in rows of all three do.
template <class A, std::size_t RankA, class B, std::size_t RankB>
TESSERA_ALWAYS_INLINE bool overlap(const view<A, RankA>& a, const view<B, RankB>& b) {
  if (a.size() == 0 || b.size() == 0) return false;
  std::uintptr_t a0 = 0;
  std::uintptr_t a1 = 0;
  std::uintptr_t b0 = 0;
  std::uintptr_t b1 = 0;
  byte_range(a, a0, a1);
  byte_range(b, b0, b1);
  if (a0 >= b1 || b0 >= a1) return false;
  const regular_blocks of_a = blocks_of(a);
  const regular_blocks of_b = blocks_of(b);
  // Both step by multiples of what divides both periods: within one such step, each has one place.
  std::int64_t step = of_a.period;
  for (std::int64_t rest = of_b.period; rest != 0;) {
    const std::int64_t next = step % rest;
    step = rest;
    rest = next;
  }
  if (step == 0) return true;
  const auto place = static_cast<std::int64_t>((b0 >= a0 ? b0 - a0 : a0 - b0) % static_cast<std::uintptr_t>(step));
  const std::int64_t from_a = b0 >= a0 || place == 0 ? place : step - place;  // of b's blocks, behind the beginning of one of a
  return from_a < of_a.length || from_a + of_b.length > step;
}

/// Refuses an output that shares memory with an input or with another output.
template <class Out, std::size_t RankOut, class In, std::size_t RankIn>
TESSERA_ALWAYS_INLINE void check_disjoint(const view<Out, RankOut>& out, const view<In, RankIn>& in, const char* function,
                                          const char* argument, const char* other) {
  expects(!overlap(out, in), function, argument, [&] { return std::string("overlaps ") + other; }, "needs memory of its own");
}

}  // namespace detail
}  // namespace tessera
