// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The room in device code: that it compiles there without flags or warnings, with CUDA's own half operators switched off, gives
/// device constants, and can lie in shared memory.
#define __CUDA_NO_HALF_OPERATORS__
#define __CUDA_NO_HALF_CONVERSIONS__
#define __CUDA_NO_HALF2_OPERATORS__
#define __CUDA_NO_BFLOAT16_CONVERSIONS__
#define __CUDA_NO_BFLOAT16_OPERATORS__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <limits>

#include "tessera/numeric.hpp"
#include "tessera/numeric/erf.hpp"
#include "tessera/numeric/gelu.hpp"
#include "tessera/numeric/trigonometric.hpp"

namespace numeric_device {

using tessera::bfloat16;
using tessera::float16;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

constexpr float16 a_constant(0.1);
static_assert(a_constant.bits == 0x2e66 && bfloat16(2143289343).bits == 0x4eff);

template <class T>
__device__ T everything(T x, T y, float f, double d, long long n, int i) {
  T z = x + y * T(f) - T(d) / T(n);
  z += T(i) + i;
  z -= f;
  z *= d;
  z /= -y;
  float wide = z * f + i;
  wide += x;
  double wider = d - z;
  wider *= y;
  if (x == y || x < y || !(x <= z) || x > f || d >= z || x != i) {
    z = T(wide) + T(wider) + T(static_cast<int>(z));
  }
  if (tessera::isnan(z) || tessera::isinf(z) || !tessera::isfinite(y) || tessera::signbit(x)) {
    z = tessera::abs(z) + std::numeric_limits<T>::infinity() + tessera::max_finite<T>() + std::numeric_limits<T>::epsilon();
  }
  z = fma(x, y, sqrt(z)) + nextafter(next_up(x), next_down(y)) + canonical(z);
  z -= tessera::round_to<T, tessera::rounding::upward>(f) + tessera::round_to<T, tessera::rounding::to_odd>(d);
  z += tessera::round_to<T, tessera::rounding::nearest_away, tessera::overflow::saturate>(n);
  z *= tessera::round_stochastic<T>(f, 1u) - tessera::round_stochastic<T, tessera::overflow::saturate>(d, 2u);
  z = T(tessera::round_to<tessera::e8m0, tessera::rounding::upward>(f) * z) / T(static_cast<double>(tessera::e8m0(d)));
  if (tessera::ulp_distance(x, y) > 1 || tessera::ulp_error(x, d) > tessera::unit_roundoff<T>) {
    z = std::numeric_limits<T>::quiet_NaN();
  }
  return z;
}

template <class T>
__global__ void kernel(const T* in, const float* f, const double* d, const long long* n, T* out) {
  __shared__ T tile[32];
  tile[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  const int i = static_cast<int>(threadIdx.x);
  constexpr T half(0.5f);
  out[i] = everything<T>(tile[31 - i] * half, in[i], f[i], d[i], n[i], i) + T(a_constant);
}

template __global__ void kernel<float16>(const float16*, const float*, const double*, const long long*, float16*);
template __global__ void kernel<float8_e4m3>(const float8_e4m3*, const float*, const double*, const long long*, float8_e4m3*);
template __global__ void kernel<float8_e5m2>(const float8_e5m2*, const float*, const double*, const long long*, float8_e5m2*);
template __global__ void kernel<float4_e2m1>(const float4_e2m1*, const float*, const double*, const long long*, float4_e2m1*);
template __global__ void kernel<bfloat16>(const bfloat16*, const float*, const double*, const long long*, bfloat16*);

/// CUDA's arrays and values as ours and back, and literals.
__global__ void guests(__half* h, __nv_bfloat16* b, __nv_fp8_e4m3* q, const __nv_fp8_e5m2* e) {
  using namespace tessera::literals;
  const float16 x = tessera::from_native(h[0]) + 0.1_f16;
  float16* const ours = tessera::as<float16>(h);
  ours[1] = x * 1.0004882812500000001_f16 + ours[2];
  *tessera::as<__half>(ours) = tessera::to_native<__half>(x);
  *tessera::as<bfloat16>(b) = tessera::from_native<bfloat16>(b[1]) - 1e-30_bf16;
  q[1] = tessera::to_native<__nv_fp8_e4m3>(tessera::from_native(q[0]) + 448_e4m3 + float8_e4m3(tessera::as<float8_e5m2>(e)[0]));
}

/// Functions that packs have, too.
template <class T>
__global__ void functions(T* x) {
  T s, c;
  tessera::sincos(x[0], s, c);
  x[0] = tessera::erf(s) + tessera::erfc(c) + tessera::tan(x[1]);
  tessera::sincospi(x[2], s, c);
  x[2] = tessera::gelu(s) + tessera::gelu_tanh(c) + tessera::sin(x[3]) * tessera::cos(x[4]) -
         tessera::sinpi(x[5]) * tessera::cospi(x[6]);
}

template __global__ void functions<float>(float*);
template __global__ void functions<double>(double*);

}  // namespace numeric_device
