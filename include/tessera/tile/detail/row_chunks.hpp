// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Rows of any length, chunk by chunk: a state of every chunk, joined in order, then a pass that writes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::tile::detail {

/// Numbers of a row that are summed together, in `row_sums` interleaved sums: part of the bits of a result, so it depends on nothing.
/// A chunk fits the first-level cache.
inline constexpr std::int64_t row_chunk = 4096;
template <class T>
inline constexpr int row_sums = 128 / static_cast<int>(sizeof(T));

/// Rows up to this length keep what their first pass has made, in scratch of a worker; longer ones make it again.
inline constexpr std::int64_t longest_kept_row = 262144;

/// e^x for x <= 0, +0 below -86.99 (double: -708.05), where results could be subnormal. Within 1 ulp.
template <class T>
[[nodiscard]] TESSERA_ALWAYS_INLINE T exp_nonpositive(T x) {
  using V = lane_value<T>;
  using range = tessera::detail::exponent_range<V>;
  T n, r, shifted;
  tessera::detail::reduce_exp<static_cast<int>(-range::least)>(max(T(range::least * V(0.693147180559945309)), x), n, r, shifted);
  const T y = tessera::detail::exp_fraction(r);
  return (y + y) * tessera::detail::power_in(shifted);  // half of 2^n is +0 for the least n
}

/// p[0 … n) and then `fill`, for 0 <= n <= lanes.
template <class P, class S>
[[nodiscard]] TESSERA_ALWAYS_INLINE P load_or(const S* p, int n, typename P::value_type fill) {
  using T = typename P::value_type;
  if (n == P::lanes) return simd::load_as<P>(p);
  return select(P::iota(T(0)) < P(static_cast<T>(n)), simd::load_partial<P>(p, n), P(fill));
}

/// f(u, k, count) for the packs of a run of n numbers, `Packs` of them in turn: number k stands in pack u = k / lanes % Packs.
template <class P, int Packs, class F>
TESSERA_ALWAYS_INLINE void for_packs(std::int64_t n, const F& f) {
  std::int64_t k = 0;
  for (; k + Packs * P::lanes <= n; k += Packs * P::lanes) {
    TESSERA_UNROLL
    for (int u = 0; u < Packs; ++u) f(u, k + u * P::lanes, P::lanes);
  }
  TESSERA_UNROLL
  for (int u = 0; u < Packs; ++u) {
    const std::int64_t left = n - k - u * P::lanes;
    if (left > 0) f(u, k + u * P::lanes, static_cast<int>(std::min<std::int64_t>(P::lanes, left)));
  }
}

/// The sum of term(k, count) over the packs of a run, in `row_sums` sums that are folded in a tree; term gives 0 in lanes past its count.
template <class P, class F>
TESSERA_ALWAYS_INLINE typename P::value_type sum_of(std::int64_t n, const F& add) {
  using T = typename P::value_type;
  constexpr int packs = row_sums<T> / P::lanes;
  P sums[packs];
  for (P& sum : sums) sum = P(T(0));
  for_packs<P, packs>(n, [&](int u, std::int64_t k, int count) { sums[u] = add(sums[u], k, count); });
  return simd::fold_add(sums);
}

/// out[k] = make(k, count) for the packs of a run, past the caches if `streaming`.
template <class P, class Out, class F>
TESSERA_ALWAYS_INLINE void write_run(Out* out, std::int64_t n, bool streaming, const F& make) {
  using T = typename P::value_type;
  constexpr std::int64_t line = 64;
  const auto write = [&](std::int64_t first, std::int64_t last) {
    for_packs<P, 2>(last - first, [&](int, std::int64_t k, int count) {
      if (count == P::lanes) {
        simd::store_as(out + first + k, make(first + k, P::lanes));
      } else {
        simd::store_partial(out + first + k, count, make(first + k, count));
      }
    });
  };
  if (!streaming) return write(0, n);
  const auto beyond = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out) % static_cast<std::uintptr_t>(line));
  const std::int64_t head = std::min(n, beyond != 0 ? (line - beyond) / static_cast<std::int64_t>(sizeof(Out)) : 0);
  write(0, head);
  std::int64_t k = head;
  if constexpr (std::is_same_v<Out, T>) {
    for (; k + 2 * P::lanes <= n; k += 2 * P::lanes) {
      make(k, P::lanes).stream(out + k);
      make(k + P::lanes, P::lanes).stream(out + k + P::lanes);
    }
  } else {
    using W = simd::pack<float, typename P::arch>;
    constexpr std::int64_t block = 1024;
    alignas(line) Out buffer[block];
    constexpr auto words = block * static_cast<std::int64_t>(sizeof(Out)) / 4;
    for (; k + block <= n; k += block) {
      for (std::int64_t b = 0; b < block; b += P::lanes) simd::store_as(buffer + b, make(k + b, P::lanes));
      const auto* const made = reinterpret_cast<const float*>(buffer);
      auto* const target = reinterpret_cast<float*>(out + k);
      for (std::int64_t w = 0; w < words; w += W::lanes) W::load(made + w).stream(target + w);
    }
  }
  write(k, n);
  simd::stream_fence();
}

/// first(row, chunk, kept) -> State for every chunk; join(states, chunks) for every row; last(row, chunk, state, kept).
///
/// `kept` is room for a number a number of the chunk, or null where what first has made is to be made again: both must give the same
/// bits. Rows that are too few for the workers are shared out by chunks.
template <class State, class T, bool Keeps, class Exec, class First, class Join, class Last>
void run_rows(const Exec& exec, std::int64_t n, std::int64_t length, const First& first, const Join& join, const Last& last) {
  if (n == 0 || length == 0) return;
  constexpr double operations = 8;  // a number
  const std::int64_t chunks = (length + row_chunk - 1) / row_chunk;
  const bool shared = operations * static_cast<double>(n) * static_cast<double>(length) >= tessera::detail::worth_sharing;
  const std::int64_t workers = shared ? exec.workers() : 1;
  const bool split = chunks > 1 && workers > 1 && n < 8 * workers;
  const bool keep = Keeps && !split && length <= longest_kept_row;
  const std::int64_t teams = split ? n : workers;
  tessera::detail::bump size;
  size.take<State>(chunks);
  size.take<T>(keep ? length : 0);
  const std::size_t bytes = size.bytes();
  tessera::detail::scratch memory(exec.memory(), static_cast<std::size_t>(teams) * bytes);
  const auto states_of = [&](std::int64_t team) {
    return reinterpret_cast<State*>(memory.data() + static_cast<std::size_t>(team) * bytes);
  };
  if (split) {
    exec.for_each(n * chunks, [&](int, std::int64_t item) {
      states_of(item / chunks)[item % chunks] = first(item / chunks, item % chunks, static_cast<T*>(nullptr));
    });
    for (std::int64_t i = 0; i < n; ++i) join(states_of(i), chunks);
    exec.for_each(n * chunks, [&](int, std::int64_t item) {
      last(item / chunks, item % chunks, states_of(item / chunks)[item % chunks], static_cast<T*>(nullptr));
    });
    return;
  }
  constexpr std::int64_t numbers = 65536;  // of one item
  const std::int64_t together = std::max<std::int64_t>(1, std::min(numbers / length, (n + 4 * workers - 1) / (4 * workers)));
  const auto rows = [&](int worker, std::int64_t item) {
    State* const states = states_of(worker);
    tessera::detail::bump mine(reinterpret_cast<std::byte*>(states));
    mine.take<State>(chunks);
    T* const kept = keep ? mine.take<T>(length) : nullptr;
    const std::int64_t end = std::min(n, (item + 1) * together);
    for (std::int64_t i = item * together; i < end; ++i) {
      for (std::int64_t c = 0; c < chunks; ++c) states[c] = first(i, c, keep ? kept + c * row_chunk : nullptr);
      join(states, chunks);
      for (std::int64_t c = 0; c < chunks; ++c) last(i, c, states[c], keep ? kept + c * row_chunk : nullptr);
    }
  };
  const std::int64_t items = (n + together - 1) / together;
  if (shared) {
    exec.for_each(items, rows);
  } else {
    for (std::int64_t item = 0; item < items; ++item) rows(0, item);
  }
}

/// Refuses what a function from rows to rows cannot take: `out` has the shape of `in` and is `in` itself, or lies apart from it.
template <class In, class Out>
TESSERA_ALWAYS_INLINE void check_rows(const view<const In, 2>& in, const view<Out, 2>& out, const char* function,
                                      const char* in_name, const char* out_name) {
  using tessera::detail::expects;
  tessera::detail::check_operand(in, function, in_name);
  tessera::detail::check_output(out, function, out_name);
  expects(
      in.extent(0) == out.extent(0) && in.extent(1) == out.extent(1), function, out_name,
      [&] { return "shape " + tessera::detail::shape(out) + " beside " + in_name + " of shape " + tessera::detail::shape(in); },
      "needs the same shape");
  const bool in_place = sizeof(In) == sizeof(Out) &&
                        static_cast<const void*>(in.data_handle()) == static_cast<const void*>(out.data_handle()) &&
                        (in.extent(0) <= 1 || in.stride(0) == out.stride(0));
  if (!in_place) tessera::detail::check_disjoint(out, in, function, out_name, in_name);
}

/// Whether rows of `out` are better written past the caches: not where they are read as well.
template <class Out>
TESSERA_ALWAYS_INLINE bool stream_rows(const view<Out, 2>& out, bool in_place) {
  constexpr std::int64_t least = std::int64_t{4} << 20;
  constexpr std::int64_t shortest = 4096;  // the lines at both ends of a row are written in part
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(Out));
  return !in_place && out.size() * bytes >= least && out.extent(1) * bytes >= shortest;
}

}  // namespace tessera::tile::detail
