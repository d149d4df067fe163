// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Loads and stores of several elements in one instruction, and their conversion on the way.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/memory/convert.cuh"
#include "tessera/cuda/memory/packed.cuh"

namespace tessera::cuda {

/// The most bytes that a thread loads or stores at once.
inline constexpr int vector_bytes = 16;

/// Elements of T in the widest load.
template <class T>
inline constexpr int vector_elements = sizeof(T) < vector_bytes ? vector_bytes / static_cast<int>(sizeof(T)) : 1;

/// What the caches are told. A hint changes no result.
enum class cached : std::uint8_t {
  normal,
  /// Used once: first to be thrown out (ld.global.cs, st.global.cs).
  streaming
};

namespace detail {

/// The register type of a load of so many bytes.
template <int Bytes>
struct machine_word;
#if !TESSERA_CUDA_EMULATOR
template <>
struct machine_word<1> {
  using type = unsigned char;
};
template <>
struct machine_word<2> {
  using type = unsigned short;
};
template <>
struct machine_word<4> {
  using type = unsigned int;
};
template <>
struct machine_word<8> {
  using type = uint2;
};
template <>
struct machine_word<16> {
  using type = uint4;
};
#endif

/// Whether N elements of T are a whole number of words.
template <class T, int N>
inline constexpr bool is_vector =
    std::is_trivially_copyable_v<T> && std::has_single_bit(sizeof(T)) && std::has_single_bit(static_cast<unsigned>(N));

template <class T, int N>
inline constexpr int word_bytes = static_cast<int>(sizeof(T)) * N < vector_bytes ? static_cast<int>(sizeof(T)) * N : vector_bytes;

}  // namespace detail

/// True where N elements at p may go through load_vector and store_vector.
template <int N, class T>
[[nodiscard]] TESSERA_DEVICE bool is_vector_aligned(const T* p) {
  return detail::is_vector<T, N> && reinterpret_cast<std::uintptr_t>(p) % static_cast<unsigned>(detail::word_bytes<T, N>) == 0;
}

/// p[0] … p[N - 1], N a power of two: one instruction for up to 16 bytes, else one for each 16.
///
/// Preconditions   p is aligned to its N elements, or to 16 bytes where they are more. Not through the read-only cache, so that a kernel
///                 may write where it reads.
template <int N, cached Hint = cached::normal, class T>
[[nodiscard]] TESSERA_DEVICE packed<T, N> load_vector(const T* p) {
  static_assert(detail::is_vector<T, N>,
                "cuda::load_vector: needs trivially copyable elements, their size and number powers of two");
  packed<T, N> x;
#if TESSERA_CUDA_EMULATOR
  std::memcpy(static_cast<void*>(&x), p, sizeof x);
#else
  constexpr int bytes = detail::word_bytes<T, N>;
  using word = typename detail::machine_word<bytes>::type;
  const word* const from = reinterpret_cast<const word*>(p);
  word* const to = reinterpret_cast<word*>(&x);
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof x) / bytes; ++i) {
    if constexpr (Hint == cached::streaming) {
      to[i] = __ldcs(from + i);
    } else {
      to[i] = from[i];
    }
  }
#endif
  return x;
}

/// p[i] = x[i], i < N. Otherwise load_vector.
template <cached Hint = cached::normal, class T, int N>
TESSERA_DEVICE void store_vector(T* p, const packed<T, N>& x) {
  static_assert(detail::is_vector<T, N>,
                "cuda::store_vector: needs trivially copyable elements, their size and number powers of two");
#if TESSERA_CUDA_EMULATOR
  std::memcpy(static_cast<void*>(p), &x, sizeof x);
#else
  constexpr int bytes = detail::word_bytes<T, N>;
  using word = typename detail::machine_word<bytes>::type;
  word* const to = reinterpret_cast<word*>(p);
  const word* const from = reinterpret_cast<const word*>(&x);
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof x) / bytes; ++i) {
    if constexpr (Hint == cached::streaming) {
      __stcs(to + i, from[i]);
    } else {
      to[i] = from[i];
    }
  }
#endif
}

/// load_vector, each element then as a To: exact to a wider type, rounded once to a narrower one.
template <class To, int N, cached Hint = cached::normal, class From>
[[nodiscard]] TESSERA_DEVICE packed<To, N> load_vector_as(const From* p) {
  const packed<From, N> x = load_vector<N, Hint>(p);
  packed<To, N> y;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < N; ++i) y[i] = convert<To>(x[i]);
  return y;
}

/// Each element rounded once to the type in memory, then store_vector.
template <cached Hint = cached::normal, class To, class From, int N>
TESSERA_DEVICE void store_vector_as(To* p, const packed<From, N>& x) {
  packed<To, N> y;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < N; ++i) y[i] = convert<To>(x[i]);
  store_vector<Hint>(p, y);
}

/// Elements begin … end - 1 of N, one by one from any address; the others are T(): what is left at the ends of an array.
template <int N, class T>
[[nodiscard]] TESSERA_DEVICE packed<T, N> load_elements(const T* p, int begin, int end) {
  packed<T, N> x;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < N; ++i) {
    x[i] = T();
    if (i >= begin && i < end) x[i] = p[i];
  }
  return x;
}

/// p[i] = x[i] for begin <= i < end.
template <class T, int N>
TESSERA_DEVICE void store_elements(T* p, const packed<T, N>& x, int begin, int end) {
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < N; ++i) {
    if (i >= begin && i < end) p[i] = x[i];
  }
}

}  // namespace tessera::cuda
