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

#if !TESSERA_CUDA_EMULATOR
/// The register type of so many bytes.
template <int Bytes>
using machine_word = std::conditional_t<
    Bytes == 1, unsigned char,
    std::conditional_t<Bytes == 2, unsigned short,
                       std::conditional_t<Bytes == 4, unsigned int, std::conditional_t<Bytes == 8, uint2, uint4>>>>;

// In assembly, as nvcc takes a copy of 16 bytes apart when its elements stay in registers, and does not put it together again. The clobber
// keeps a load behind the stores before it.
template <cached Hint>
__device__ __forceinline__ uint4 load_word(const uint4* p) {
  uint4 x;
  if constexpr (Hint == cached::streaming) {
    asm volatile("ld.global.cs.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(p) : "memory");
  } else {
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(p) : "memory");
  }
  return x;
}
template <cached Hint>
__device__ __forceinline__ uint2 load_word(const uint2* p) {
  uint2 x;
  if constexpr (Hint == cached::streaming) {
    asm volatile("ld.global.cs.v2.u32 {%0, %1}, [%2];" : "=r"(x.x), "=r"(x.y) : "l"(p) : "memory");
  } else {
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(x.x), "=r"(x.y) : "l"(p) : "memory");
  }
  return x;
}
template <cached Hint, class Word>
__device__ __forceinline__ Word load_word(const Word* p) {
  return Hint == cached::streaming ? __ldcs(p) : *p;
}

template <cached Hint>
__device__ __forceinline__ void store_word(uint4* p, uint4 x) {
  if constexpr (Hint == cached::streaming) {
    asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w) : "memory");
  } else {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w) : "memory");
  }
}
template <cached Hint>
__device__ __forceinline__ void store_word(uint2* p, uint2 x) {
  if constexpr (Hint == cached::streaming) {
    asm volatile("st.global.cs.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(x.x), "r"(x.y) : "memory");
  } else {
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(p), "r"(x.x), "r"(x.y) : "memory");
  }
}
template <cached Hint, class Word>
__device__ __forceinline__ void store_word(Word* p, Word x) {
  if constexpr (Hint == cached::streaming) {
    __stcs(p, x);
  } else {
    *p = x;
  }
}
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
[[nodiscard]] TESSERA_DEVICE packed<T, N> load_vector(const T* p, [[maybe_unused]] code_place place = code_place::current()) {
  static_assert(detail::is_vector<T, N>,
                "cuda::load_vector: needs trivially copyable elements, their size and number powers of two");
  packed<T, N> x;
#if TESSERA_CUDA_EMULATOR
  emulator::check_alignment(p, detail::word_bytes<T, N>, place);
  std::memcpy(static_cast<void*>(&x), p, sizeof x);
#else
  constexpr int bytes = detail::word_bytes<T, N>;
  using word = detail::machine_word<bytes>;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof x) / bytes; ++i) {
    const word w = detail::load_word<Hint>(reinterpret_cast<const word*>(p) + i);
    memcpy(reinterpret_cast<unsigned char*>(&x) + i * bytes, &w, sizeof w);
  }
#endif
  return x;
}

/// p[i] = x[i], i < N. Otherwise load_vector.
template <cached Hint = cached::normal, class T, int N>
TESSERA_DEVICE void store_vector(T* p, const packed<T, N>& x, [[maybe_unused]] code_place place = code_place::current()) {
  static_assert(detail::is_vector<T, N>,
                "cuda::store_vector: needs trivially copyable elements, their size and number powers of two");
#if TESSERA_CUDA_EMULATOR
  emulator::check_alignment(p, detail::word_bytes<T, N>, place);
  std::memcpy(static_cast<void*>(p), &x, sizeof x);
#else
  constexpr int bytes = detail::word_bytes<T, N>;
  using word = detail::machine_word<bytes>;
  TESSERA_DEVICE_UNROLL
  for (int i = 0; i < static_cast<int>(sizeof x) / bytes; ++i) {
    word w;
    memcpy(&w, reinterpret_cast<const unsigned char*>(&x) + i * bytes, sizeof w);
    detail::store_word<Hint>(reinterpret_cast<word*>(p) + i, w);
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
