// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Views filled with addressed random numbers: bit for bit what uniform, uniform_open and normal give one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {
namespace detail {

// Philox runs on a group of blocks at a time, each of the four words in an array of its own: the loops over a group have constant
// length, no branch and no call, which is what compilers turn into SIMD code. Groups start at multiples of their length, so that
// the low word of the counter never carries inside one.
inline constexpr std::size_t group_blocks = 64;

/// Elements handed to a thread at a time; a multiple of every group.
inline constexpr std::int64_t fill_chunk = 8192;

// What is made of the words x0 … x3 of a block, before the rounding to T. Written out without arrays and loops: so the loop over
// blocks becomes SIMD code with every compiler that was tried.
TESSERA_ALWAYS_INLINE std::uint64_t joined(std::uint32_t low, std::uint32_t high) noexcept {
  return static_cast<std::uint64_t>(high) << 32 | low;
}

struct half_open_values {
  template <class T>
  static TESSERA_ALWAYS_INLINE void put(made_as<T>* out, std::uint32_t x0, std::uint32_t x1, std::uint32_t x2,
                                        std::uint32_t x3) noexcept {
    if constexpr (values_per_block<T> == 4) {
      out[0] = half_open_grid<T>(x0);
      out[1] = half_open_grid<T>(x1);
      out[2] = half_open_grid<T>(x2);
      out[3] = half_open_grid<T>(x3);
    } else {
      out[0] = half_open_grid<T>(joined(x0, x1));
      out[1] = half_open_grid<T>(joined(x2, x3));
    }
  }
};

struct open_values {
  template <class T>
  static TESSERA_ALWAYS_INLINE void put(made_as<T>* out, std::uint32_t x0, std::uint32_t x1, std::uint32_t x2,
                                        std::uint32_t x3) noexcept {
    if constexpr (values_per_block<T> == 4) {
      out[0] = open_grid<T>(x0);
      out[1] = open_grid<T>(x1);
      out[2] = open_grid<T>(x2);
      out[3] = open_grid<T>(x3);
    } else {
      out[0] = open_grid<T>(joined(x0, x1));
      out[1] = open_grid<T>(joined(x2, x3));
    }
  }
};

struct normal_values {
  template <class T>
  static TESSERA_ALWAYS_INLINE void put(made_as<T>* out, std::uint32_t x0, std::uint32_t x1, std::uint32_t x2,
                                        std::uint32_t x3) noexcept {
    if constexpr (values_per_block<T> == 4) {
      const normal_pair<float> z = normal_pair_from(x0, x1);
      const normal_pair<float> y = normal_pair_from(x2, x3);
      out[0] = z.cosine;
      out[1] = z.sine;
      out[2] = y.cosine;
      out[3] = y.sine;
    } else {
      const normal_pair<double> z = normal_pair_from(joined(x0, x1), joined(x2, x3));
      out[0] = z.cosine;
      out[1] = z.sine;
    }
  }
};

/// Blocks first … first + count - 1 of a stream into out; first is a multiple of group_blocks, count at most that.
/// Count is an integral constant for whole groups: loops of constant length become SIMD code at -O2 too.
template <class Values, class T, class Count>
TESSERA_ALWAYS_INLINE void fill_group(T* TESSERA_RESTRICT out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                                      Count count) noexcept {
  constexpr std::size_t n = values_per_block<T>;
  alignas(64) std::uint32_t word[4][group_blocks];
  for (std::size_t b = 0; b < count; ++b) {
    const philox_block bits = philox(seed, stream, first | b);
    for (int i = 0; i < 4; ++i) word[i][b] = bits.word[i];
  }
  if constexpr (std::is_same_v<T, made_as<T>>) {
    for (std::size_t b = 0; b < count; ++b) {
      Values::template put<T>(out + n * b, word[0][b], word[1][b], word[2][b], word[3][b]);
    }
  } else {
    alignas(64) made_as<T> wide[n * group_blocks];
    for (std::size_t b = 0; b < count; ++b) {
      Values::template put<T>(wide + n * b, word[0][b], word[1][b], word[2][b], word[3][b]);
    }
    for (std::size_t e = 0; e < n * count; ++e) out[e] = static_cast<T>(wide[e]);
  }
}

/// Calls emit(part, values, length) for consecutive parts of the indices first … first + count - 1 modulo 2^64. `direct(part)`
/// is where a part that is a whole group may be written without a copy, or null.
template <class Values, class T, class Direct, class Emit>
TESSERA_ALWAYS_INLINE void fill_range(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::int64_t count,
                                      Direct direct, Emit emit) {
  constexpr std::int64_t n = values_per_block<T>;
  constexpr std::int64_t group = n * static_cast<std::int64_t>(group_blocks);
  alignas(64) T buffer[static_cast<std::size_t>(group)];
  for (std::int64_t done = 0; done < count;) {
    const std::uint64_t index = first + static_cast<std::uint64_t>(done);
    const std::int64_t skip = static_cast<std::int64_t>(index % static_cast<std::uint64_t>(group));
    const std::int64_t take = group - skip < count - done ? group - skip : count - done;
    const std::uint64_t block = (index - static_cast<std::uint64_t>(skip)) / static_cast<std::uint64_t>(n);
    if (take == group) {
      T* const target = direct(done);
      fill_group<Values>(target != nullptr ? target : buffer, seed, stream, block,
                         std::integral_constant<std::size_t, group_blocks>{});
      if (target == nullptr) emit(done, static_cast<const T*>(buffer), take);
    } else {
      fill_group<Values>(buffer, seed, stream, block, static_cast<std::size_t>((skip + take + n - 1) / n));
      emit(done, static_cast<const T*>(buffer + skip), take);
    }
    done += take;
  }
}

/// True where element i of the row-major order lies i elements after the first.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE bool contiguous(const view<T, Rank>& v) noexcept {
  std::int64_t step = 1;
  for (std::size_t r = Rank; r-- > 0;) {
    if (v.extent(r) != 1 && v.stride(r) != step) return false;
    step *= v.extent(r);
  }
  return true;
}

/// Writes `length` values to the elements from position `at` of the row-major order on.
template <class T, std::size_t Rank>
TESSERA_ALWAYS_INLINE void scatter(const view<T, Rank>& out, std::int64_t at, const T* values, std::int64_t length) noexcept {
  std::int64_t index[Rank];
  std::int64_t offset = 0;
  for (std::size_t r = Rank; r-- > 0;) {
    index[r] = at % out.extent(r);
    at /= out.extent(r);
    offset += index[r] * out.stride(r);
  }
  T* const data = out.data_handle();
  const std::int64_t columns = out.extent(Rank - 1);
  const std::int64_t step = out.stride(Rank - 1);
  for (std::int64_t done = 0; done < length;) {
    const std::int64_t left = columns - index[Rank - 1];
    const std::int64_t take = left < length - done ? left : length - done;
    for (std::int64_t i = 0; i < take; ++i) data[offset + i * step] = values[done + i];
    done += take;
    offset += take * step;
    index[Rank - 1] += take;
    for (std::size_t r = Rank - 1; r > 0 && index[r] == out.extent(r); --r) {
      index[r] = 0;
      index[r - 1] += 1;
      offset += out.stride(r - 1) - out.extent(r) * out.stride(r);
    }
  }
}

/// Refuses what cannot be filled: negative extents, null data, and elements that share memory. The executor is named so that code
/// for another instruction set has another symbol.
template <class Executor, class T, std::size_t Rank>
void check_fill(const view<T, Rank>& out, const char* function) {
  using tessera::detail::expects;
  using tessera::detail::shape;
  for (std::size_t r = 0; r < Rank; ++r) {
    expects(out.extent(r) >= 0, function, "out", [&] { return "shape " + shape(out); }, "needs extents of at least 0");
  }
  if (out.size() == 0) return;
  expects(
      out.data_handle() != nullptr, function, "out", [&] { return "null data of shape " + shape(out); },
      "needs a pointer to its elements");
  for (std::size_t r = 0; r < Rank; ++r) {
    expects(
        out.extent(r) == 1 || out.stride(r) != 0, function, "out",
        [&] { return "stride 0 on axis " + std::to_string(r) + " of shape " + shape(out); },
        "needs an element of its own for every index");
  }
}

template <class Values, class Executor, class T, std::size_t Rank>
void fill(const Executor& exec, const view<T, Rank>& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
          const char* function) {
  static_assert(Rank > 0, "random: fill needs a view with an axis");
  static_assert(!std::is_const_v<T>, "random: fill needs a view of elements that can be written");
  check_fill<Executor>(out, function);
  const std::int64_t size = out.size();
  if (size == 0) return;
  T* const flat = contiguous(out) ? out.data_handle() : nullptr;
  // Chunks end where the index is a multiple of fill_chunk, so that only the first and the last hold groups in part.
  const auto lead = static_cast<std::int64_t>(first % static_cast<std::uint64_t>(fill_chunk));
  const std::int64_t chunks = (lead + (size - 1)) / fill_chunk + 1;
  exec.for_each(chunks, [&](int, std::int64_t chunk) {
    const std::int64_t begin = chunk == 0 ? 0 : chunk * fill_chunk - lead;
    const std::int64_t end = size - begin < fill_chunk ? size : (chunk + 1) * fill_chunk - lead;
    fill_range<Values, T>(
        seed, stream, first + static_cast<std::uint64_t>(begin), end - begin,
        [&](std::int64_t at) { return flat != nullptr ? flat + begin + at : nullptr; },
        [&](std::int64_t at, const T* values, std::int64_t length) {
          if (flat == nullptr) {
            scatter(out, begin + at, values, length);
          } else {
            for (std::int64_t i = 0; i < length; ++i) flat[begin + at + i] = values[i];
          }
        });
  });
}

}  // namespace detail

/// Fills a view with uniform numbers in [0, 1): out[i] = uniform<T>(seed, stream, first_index + i), i the row-major position.
///
/// Shapes         out: any rank from 1, any strides but 0
/// Range          first_index + i is taken modulo 2^64
/// Special values a view without elements is left alone, whatever its pointer
/// Accuracy       exact
/// Cost           one Philox block for 16 bytes of random words; no scratch memory, no allocation
/// Determinism    the bits of `uniform`, for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: negative extent, null data, stride 0 on an axis longer than 1
/// Backends       host; T = float, double, or a narrower type with std::numeric_limits<T>::digits and a conversion from float.
///                Executors come from tessera/exec/exec.hpp; whatever has their for_each(items, f) will do
template <class Executor, mdspan_like Out>
void fill_uniform(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  detail::fill<detail::half_open_values>(exec, view<typename Out::element_type, Out::rank()>(out), seed, stream, first_index,
                                         "random::fill_uniform");
}

/// Fills a view with uniform numbers in (0, 1): out[i] = uniform_open<T>(seed, stream, first_index + i). Otherwise fill_uniform.
template <class Executor, mdspan_like Out>
void fill_uniform_open(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream,
                       std::uint64_t first_index = 0) {
  detail::fill<detail::open_values>(exec, view<typename Out::element_type, Out::rank()>(out), seed, stream, first_index,
                                    "random::fill_uniform_open");
}

/// Fills a view with standard normal numbers: out[i] = normal<T>(seed, stream, first_index + i). Otherwise fill_uniform.
///
/// Accuracy       that of normal; narrower types hold the float rounded
template <class Executor, mdspan_like Out>
void fill_normal(const Executor& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first_index = 0) {
  detail::fill<detail::normal_values>(exec, view<typename Out::element_type, Out::rank()>(out), seed, stream, first_index,
                                      "random::fill_normal");
}

}  // namespace tessera::random
