// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the compiler offers, as macros that are always defined, to 0 or 1. No macro changes a layout or a signature.
#pragma once

/// 1 while a CUDA compiler (nvcc, or clang in CUDA mode) reads the file.
#if defined(__CUDACC__)
#define TESSERA_CUDA_COMPILER 1
#else
#define TESSERA_CUDA_COMPILER 0
#endif

/// 1 in the pass that generates device code.
#if defined(__CUDA_ARCH__)
#define TESSERA_DEVICE_PASS 1
#else
#define TESSERA_DEVICE_PASS 0
#endif

/// 1 while an ordinary compiler reads kernels to run them on the CPU, one fiber a thread: defined by whoever compiles for test/emulator.
#if !defined(TESSERA_CUDA_EMULATOR)
#define TESSERA_CUDA_EMULATOR 0
#endif

/// 1 when errors are thrown; 0 under -fno-exceptions, where TESSERA_ERROR_HANDLER(text) is called instead (core/error.hpp).
#if defined(__cpp_exceptions)
#define TESSERA_EXCEPTIONS 1
#else
#define TESSERA_EXCEPTIONS 0
#endif

/// 1 when the translation unit is compiled with OpenMP; then `tessera::par` is a team of threads (exec/par.hpp).
#if defined(_OPENMP)
#define TESSERA_OPENMP 1
#else
#define TESSERA_OPENMP 0
#endif

/// Marks a function that runs on the host and on the device.
#if TESSERA_CUDA_COMPILER
#define TESSERA_HD __host__ __device__
#else
#define TESSERA_HD
#endif

/// Before a template that is TESSERA_HD and calls what a user brought, which may be of the host alone: then so is what is called through it.
#if defined(__NVCC__)
#define TESSERA_CALLS_USER _Pragma("nv_exec_check_disable")
#else
#define TESSERA_CALLS_USER
#endif

/// Marks a host function that names a kernel. Were it visible, a program with two shared libraries would launch the kernel of one from the
/// other, which may be compiled for another device; hidden, each library keeps to its own.
#if defined(__NVCC__)
// What hides a function that no other file sees anyhow, as its template's argument is a lambda, is nothing to warn of.
#pragma nv_diag_suppress 1407
#endif
#if defined(__GNUC__) || defined(__clang__)
#define TESSERA_HIDDEN __attribute__((visibility("hidden")))
#else
#define TESSERA_HIDDEN
#endif

/// Marks a function of kernels alone, and a kernel. Kernels are hidden: two libraries that both hold one each launch their own. On the
/// emulator what kernels call has to be so, too, as it is in the code of each kernel on a device.
#if TESSERA_CUDA_COMPILER
#define TESSERA_DEVICE __device__ __forceinline__
#define TESSERA_KERNEL TESSERA_HIDDEN __global__
#elif TESSERA_CUDA_EMULATOR
#define TESSERA_DEVICE TESSERA_HIDDEN inline
#define TESSERA_KERNEL TESSERA_HIDDEN
#else
#define TESSERA_DEVICE inline
#define TESSERA_KERNEL
#endif

/// Inlines whatever the optimiser thinks: for the few functions whose arguments must stay in registers.
#if defined(__GNUC__) || defined(__clang__)
#define TESSERA_ALWAYS_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define TESSERA_ALWAYS_INLINE __forceinline
#else
#define TESSERA_ALWAYS_INLINE inline
#endif

/// Keeps cold or register-hungry code out of its caller.
#if defined(__GNUC__) || defined(__clang__)
#define TESSERA_NOINLINE __attribute__((noinline))
#elif defined(_MSC_VER)
#define TESSERA_NOINLINE __declspec(noinline)
#else
#define TESSERA_NOINLINE
#endif

/// Unrolls the next loop completely; its bounds are compile-time constants.
#if defined(__clang__)
#define TESSERA_UNROLL _Pragma("unroll")
#elif defined(__GNUC__) && !TESSERA_CUDA_COMPILER
#define TESSERA_UNROLL _Pragma("GCC unroll 32")
#else
#define TESSERA_UNROLL
#endif

/// Unrolls the next loop by four.
#if defined(__clang__)
#define TESSERA_UNROLL_BY_4 _Pragma("unroll 4")
#elif defined(__GNUC__) && !TESSERA_CUDA_COMPILER
#define TESSERA_UNROLL_BY_4 _Pragma("GCC unroll 4")
#else
#define TESSERA_UNROLL_BY_4
#endif

/// Unrolls the next loop in device code, so that the arrays it walks stay in registers, or keeps it a loop, where it is long and rare; elsewhere
/// the compiler decides.
#if TESSERA_DEVICE_PASS
#define TESSERA_DEVICE_UNROLL _Pragma("unroll")
#define TESSERA_DEVICE_UNROLL_BY_4 _Pragma("unroll 4")
#define TESSERA_DEVICE_ROLLED _Pragma("unroll 1")
#else
#define TESSERA_DEVICE_UNROLL
#define TESSERA_DEVICE_UNROLL_BY_4
#define TESSERA_DEVICE_ROLLED
#endif

/// Promises that two pointers do not alias.
#if defined(__GNUC__) || defined(__clang__) || TESSERA_CUDA_COMPILER
#define TESSERA_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define TESSERA_RESTRICT __restrict
#else
#define TESSERA_RESTRICT
#endif

#if defined(__FAST_MATH__)
#error \
    "tessera: -ffast-math (or -Ofast) removes the infinities and the rounding that the library's results rest on; compile without it"
#endif
