// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// CUDA's functions of one thread: bits, conversions, arithmetic with a named rounding, loads and stores with hints, time.
#pragma once

#include <vector_functions.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tessera/emulator/block.hpp"

using std::max;
using std::min;

// ---- Bits ----

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __ffsll(long long x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1; }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; ++i) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 | __brev(static_cast<unsigned>(x >> 32));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const std::uint64_t both = static_cast<std::uint64_t>(b) << 32 | a;
  unsigned picked = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned pick = selector >> (4 * i) & 15u;
    unsigned byte = static_cast<unsigned>(both >> (8 * (pick & 7u)) & 0xFFu);
    if ((pick & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xFFu : 0u;
    picked |= byte << (8 * i);
  }
  return picked;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<std::uint64_t>(high) << 32 | low) << (shift & 31u)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(high) << 32 | low) >> (shift & 31u));
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32); }
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<std::int64_t>(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using wide = unsigned __int128;
  return static_cast<unsigned long long>(static_cast<wide>(a) * b >> 64);
}
inline long long __mul64hi(long long a, long long b) {
  __extension__ using wide = __int128;
  return static_cast<long long>(static_cast<wide>(a) * b >> 64);
}

// ---- The same bits as another type ----

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __double2hiint(double x) { return static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 32); }
inline int __double2loint(double x) { return static_cast<int>(std::bit_cast<std::uint64_t>(x)); }
inline double __hiloint2double(int high, int low) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(static_cast<unsigned>(high)) << 32 | static_cast<unsigned>(low));
}

// ---- Conversions: to nearest (rn), towards zero (rz), down (rd), up (ru); out of range they saturate and NaN is 0, as on a device ----

namespace tessera::emulator::detail {
template <class To, class From>
To saturated(From x) {
  if (!(x == x)) return To(0);
  if (x <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  if (x >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  return static_cast<To>(x);
}
}  // namespace tessera::emulator::detail

inline int __float2int_rn(float x) { return tessera::emulator::detail::saturated<int>(std::nearbyint(x)); }
inline int __float2int_rz(float x) { return tessera::emulator::detail::saturated<int>(std::trunc(x)); }
inline int __float2int_rd(float x) { return tessera::emulator::detail::saturated<int>(std::floor(x)); }
inline int __float2int_ru(float x) { return tessera::emulator::detail::saturated<int>(std::ceil(x)); }
inline unsigned __float2uint_rn(float x) { return tessera::emulator::detail::saturated<unsigned>(std::nearbyint(x)); }
inline unsigned __float2uint_rz(float x) { return tessera::emulator::detail::saturated<unsigned>(std::trunc(x)); }
inline long long __float2ll_rn(float x) { return tessera::emulator::detail::saturated<long long>(std::nearbyint(x)); }
inline int __double2int_rn(double x) { return tessera::emulator::detail::saturated<int>(std::nearbyint(x)); }
inline int __double2int_rz(double x) { return tessera::emulator::detail::saturated<int>(std::trunc(x)); }
inline long long __double2ll_rn(double x) { return tessera::emulator::detail::saturated<long long>(std::nearbyint(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __ull2float_rn(unsigned long long x) { return static_cast<float>(x); }
inline double __int2double_rn(int x) { return x; }
inline double __ull2double_rn(unsigned long long x) { return static_cast<double>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

// ---- Arithmetic that no compiler contracts ----

inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
__attribute__((noinline)) inline float __fmul_rn(float a, float b) { return a * b; }
__attribute__((noinline)) inline float __fadd_rn(float a, float b) { return a + b; }
__attribute__((noinline)) inline float __fsub_rn(float a, float b) { return a - b; }
__attribute__((noinline)) inline double __dmul_rn(double a, double b) { return a * b; }
__attribute__((noinline)) inline double __dadd_rn(double a, double b) { return a + b; }
__attribute__((noinline)) inline double __dsub_rn(double a, double b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline double __drcp_rn(double a) { return 1.0 / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline float __frsqrt_rn(float a) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a))); }
inline float __saturatef(float a) { return a > 0.0f ? std::min(a, 1.0f) : 0.0f; }

// ---- Functions that a device computes approximately; here they are as good as the C library's ----

inline float rsqrtf(float a) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a))); }
inline double rsqrt(double a) { return 1.0 / std::sqrt(a); }
inline float __expf(float a) { return std::exp(a); }
inline float __logf(float a) { return std::log(a); }
inline float __log2f(float a) { return std::log2(a); }
inline float __sinf(float a) { return std::sin(a); }
inline float __cosf(float a) { return std::cos(a); }
inline float __powf(float a, float b) { return std::pow(a, b); }
inline float __fdividef(float a, float b) { return a / b; }
inline float sinpif(float a) {
  return static_cast<float>(std::sin(3.14159265358979323846 * std::fmod(static_cast<double>(a), 2.0)));
}
inline float cospif(float a) {
  return static_cast<float>(std::cos(3.14159265358979323846 * std::fmod(static_cast<double>(a), 2.0)));
}

// ---- Loads and stores with a hint ----

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldca(const T* p) {
  return *p;
}
template <class T>
T __ldlu(const T* p) {
  return *p;
}
/// Polls more often than not: others go first.
template <class T>
T __ldcv(const T* p, tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  tessera::emulator::detail::current->yield("__ldcv", place);
  return *p;
}
template <class T>
void __stcs(T* p, T x) {
  *p = x;
}
template <class T>
void __stcg(T* p, T x) {
  *p = x;
}
template <class T>
void __stwb(T* p, T x) {
  *p = x;
}
template <class T>
void __stwt(T* p, T x) {
  *p = x;
}

// ---- Time, and the end ----

inline void __nanosleep(unsigned, tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  tessera::emulator::detail::current->yield("__nanosleep", place);
}
inline long long clock64() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
[[noreturn]] inline void __trap(tessera::emulator::code_place place = tessera::emulator::code_place::current()) {
  tessera::emulator::detail::current->fail(place, "__trap");
}
