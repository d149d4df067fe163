// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of the exact denoiser, on the device.
#include "tessera/cuda/diffusion/exact_denoiser.cuh"

#include "on_device.hpp"

namespace support {

template <class Queries, class Keys, class Values, class Out>
void exact_denoiser(const on_device&, const Queries& queries, const Keys& keys, const Values& values, double sigma,
                    const Out& out) {
  using namespace tessera;
  mirror memory;
  diffusion::exact_denoiser(cuda::on(), memory(view<const value_type_of<Queries>, 2>(queries)),
                            memory(view<const value_type_of<Keys>, 2>(keys)),
                            memory(view<const value_type_of<Values>, 2>(values)), sigma, memory(out));
  memory.bring_back();
}

template <class Noisy, class Data, class Out>
void exact_denoiser(const on_device&, const Noisy& noisy, const Data& data, double sigma, const Out& out) {
  using namespace tessera;
  mirror memory;
  diffusion::exact_denoiser(cuda::on(), memory(view<const value_type_of<Noisy>, 2>(noisy)),
                            memory(view<const value_type_of<Data>, 2>(data)), sigma, memory(out));
  memory.bring_back();
}

}  // namespace support

#define TESSERA_TESTED_EXECUTOR \
  support::on_device {}
#include "../diffusion/exact_denoiser.cpp"
