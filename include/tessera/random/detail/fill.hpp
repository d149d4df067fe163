// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The loop of all bulk fills: a law's numbers for a range of indices into the elements of a view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/law.hpp"
#include "tessera/random/detail/normal_group.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random::detail {

/// Elements handed to a thread at a time; a multiple of every group.
inline constexpr std::int64_t fill_chunk = 8192;

/// Fewer numbers than this are made one at a time, which is sooner done than a group.
inline constexpr std::int64_t few_numbers = 12;

// The steps of a group. Each is one loop of constant length over arrays, without a branch or a call: what compilers turn into SIMD
// code, at -O2 too.

template <class Law, class Source>
TESSERA_ALWAYS_INLINE void evaluate_words(const Law& law, const Source& source, std::uint64_t first, std::uint64_t seed,
                                          std::uint64_t stream, typename Law::value* TESSERA_RESTRICT out) {
  using word = typename Law::word;
  constexpr std::size_t n = static_cast<std::size_t>(numbers_per_block<Law>);
  alignas(64) word w[n * group_blocks];
  source.words_of(first, w);
  for (std::size_t e = 0; e < n * group_blocks; ++e) out[e] = law(w[e]);
  if constexpr (Law::repairs) {
    word refused = 0;
    for (std::size_t e = 0; e < n * group_blocks; ++e) refused |= law.accepts(w[e]) ? word{0} : word{1};
    if (refused == 0) return;
    for (std::size_t e = 0; e < n * group_blocks; ++e) {
      if (!law.accepts(w[e])) {
        out[e] = law.repaired(w[e], further_words<word>({seed, stream, first + e / n}, static_cast<int>(e % n)));
      }
    }
  }
}

template <class Law, class Source>
TESSERA_ALWAYS_INLINE void evaluate_pairs(const Law& law, const Source& source, std::uint64_t first,
                                          typename Law::value* TESSERA_RESTRICT out) {
  using word = typename Law::word;
  constexpr std::size_t pairs = static_cast<std::size_t>(numbers_per_block<Law>) / 2 * group_blocks;
  alignas(64) word a[pairs];
  alignas(64) word b[pairs];
  source.pairs_of(first, a, b);
  if constexpr (Law::reading == reads::normal) {
    normal_pairs<Source::bytes>(a, b, out, law);
  } else {
    for (std::size_t p = 0; p < pairs; ++p) {
      out[2 * p] = law(a[p], b[p]);
      out[2 * p + 1] = law(b[p], a[p]);
    }
  }
}

template <class Law, class Source>
TESSERA_ALWAYS_INLINE void evaluate_trials(const Law& law, const Source& source, std::uint64_t first, std::uint64_t seed,
                                           std::uint64_t stream, typename Law::value* TESSERA_RESTRICT out) {
  alignas(64) std::uint64_t a[group_blocks];
  alignas(64) std::uint64_t b[group_blocks];
  alignas(64) std::uint64_t refused[group_blocks];
  source.pairs_of(first, a, b);
  law.with_kind([&](auto kind) {
    for (std::size_t e = 0; e < group_blocks; ++e) {
      const auto t = law.template trial<decltype(kind)::value>(a[e], b[e]);
      out[e] = t.x;
      refused[e] = t.accepted ? 0u : 1u;
    }
  });
  for (std::size_t e = 0; e < group_blocks; ++e) {
    if (refused[e] != 0) out[e] = law.repaired({seed, stream, first + e});
  }
}

/// The numbers of the blocks first … first + group_blocks - 1; first is a multiple of group_blocks.
template <class Law, class Source, class T>
TESSERA_ALWAYS_INLINE void fill_group(const Law& law, const Source& source, std::uint64_t first, std::uint64_t seed,
                                      std::uint64_t stream, T* TESSERA_RESTRICT out) {
  using value = typename Law::value;
  const auto evaluate = [&](value* target) {
    if constexpr (Law::reading == reads::word) {
      evaluate_words(law, source, first, seed, stream, target);
    } else if constexpr (Law::reading == reads::block) {
      evaluate_trials(law, source, first, seed, stream, target);
    } else {
      evaluate_pairs(law, source, first, target);
    }
  };
  if constexpr (std::is_same_v<T, value>) {
    evaluate(out);
  } else {
    constexpr std::size_t size = static_cast<std::size_t>(numbers_per_block<Law>) * group_blocks;
    alignas(64) value wide[size];
    evaluate(wide);
    for (std::size_t e = 0; e < size; ++e) out[e] = rounded<T>(wide[e]);
  }
}

/// Calls emit(part, values, length) for consecutive parts of the indices first … first + count - 1 modulo 2^64. `direct(part)`
/// is where a part that is a whole group may be written without a copy, or null.
template <class Executor, class T, class Law, class Direct, class Emit>
TESSERA_ALWAYS_INLINE void fill_range(const Law& law, std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                                      std::int64_t count, Direct direct, Emit emit) {
  constexpr std::int64_t n = numbers_per_block<Law>;
  constexpr std::int64_t group = n * static_cast<std::int64_t>(group_blocks);
  alignas(64) T buffer[static_cast<std::size_t>(group)];
  if (count <= few_numbers) {
    for (std::int64_t i = 0; i < count; ++i) buffer[i] = number_at<T>(law, seed, stream, first + static_cast<std::uint64_t>(i));
    emit(0, static_cast<const T*>(buffer), count);
    return;
  }
  const block_source<Executor> source(seed, stream);
  for (std::int64_t done = 0; done < count;) {
    const std::uint64_t index = first + static_cast<std::uint64_t>(done);
    const std::int64_t skip = static_cast<std::int64_t>(index % static_cast<std::uint64_t>(group));
    const std::int64_t take = group - skip < count - done ? group - skip : count - done;
    const std::uint64_t block = (index - static_cast<std::uint64_t>(skip)) / static_cast<std::uint64_t>(n);
    T* const target = take == group ? direct(done) : nullptr;
    fill_group(law, source, block, seed, stream, target != nullptr ? target : buffer);
    if (target == nullptr) emit(done, static_cast<const T*>(buffer + skip), take);
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
  tessera::detail::check_readable(out, function, "out");
  tessera::detail::check_distinct(out, function, "out");
}

template <class Executor, class T, std::size_t Rank, class Law>
void fill(const Executor& exec, const view<T, Rank>& out, const Law& law, std::uint64_t seed, std::uint64_t stream,
          std::uint64_t first, const char* function) {
  static_assert(Rank > 0, "random: fill needs a view with an axis");
  static_assert(!std::is_const_v<T>, "random: fill needs a view of elements that can be written");
  if constexpr (requires { law.check(function); }) law.check(function);
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
    fill_range<Executor, T>(
        law, seed, stream, first + static_cast<std::uint64_t>(begin), end - begin,
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

}  // namespace tessera::random::detail
