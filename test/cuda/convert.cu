// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Conversions in device code.
#include "tessera/cuda/tile/convert.cuh"

namespace convert_device {

template <class From, class To>
void both(const tessera::cuda::executor& exec) {
  const tessera::view<const From, 2> in;
  const tessera::view<To, 2> out;
  tessera::convert(exec, in, out);
  tessera::convert(exec, in, out, {.overflow = tessera::overflow::saturate});
  if constexpr (tessera::detail::is_small_float<To>) tessera::convert_stochastic(exec, in, out, 1, 2);
}

void all_types(const tessera::cuda::executor& exec) {
  both<float, tessera::float16>(exec);
  both<float, tessera::bfloat16>(exec);
  both<tessera::float8_e4m3, float>(exec);
  both<float, tessera::float8_e5m2>(exec);
  both<double, float>(exec);
  both<tessera::float16, double>(exec);
}

}  // namespace convert_device
