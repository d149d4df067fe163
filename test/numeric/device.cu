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

#include <cstdint>
#include <limits>

#include "tessera/numeric.hpp"
#include "tessera/numeric/erf.hpp"
#include "tessera/numeric/gelu.hpp"
#include "tessera/numeric/trigonometric.hpp"

namespace numeric_device {

using tessera::bfloat16;
using tessera::float16;

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
    z = tessera::abs(z) + tessera::infinity<T>() + tessera::max_finite<T>() + std::numeric_limits<T>::epsilon();
  }
  if (tessera::ulp_distance(x, y) > 1 || tessera::ulp_error(x, d) > tessera::unit_roundoff<T>) {
    z = tessera::quiet_nan<T>();
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
template __global__ void kernel<bfloat16>(const bfloat16*, const float*, const double*, const long long*, bfloat16*);

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
