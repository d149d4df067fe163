// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The exact denoiser of a data set, on a CUDA device.
#pragma once

#include "tessera/core/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/detail/contraction_checks.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/no_emit.hpp"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::cuda::diffusion::detail {

template <class Queries, class Keys, class Values, class Out>
TESSERA_HIDDEN void exact_denoiser(const tessera::tile::detail::argument_names& names, const executor& exec,
                                   const Queries& queries, const Keys& keys, const Values& values, double sigma, const Out& out) {
  tessera::detail::expects(
      sigma - sigma == 0 && sigma > 0, names.function, "sigma", [&] { return tessera::detail::number(sigma); },
      "needs a positive, finite noise level");
  tile::detail::contract_values(names, exec, queries, keys, values, gaussian{sigma}, softmax{}, out, no_emit{}, no_mask{});
}

}  // namespace tessera::cuda::diffusion::detail

namespace tessera::diffusion {

/// exact_denoiser (tessera/diffusion/exact_denoiser.hpp) on a CUDA device: same arguments, same meaning. Views are of device memory.
///
/// Accuracy        every distance is summed from differences, depth + 2 roundings each; weights and means as in contract (tile/contraction.cuh).
/// Cost            3 n m dim + 2 n m value_dim flops in the compute type, and n m exponentials for each 128 columns; scratch as contract.
/// Determinism     the same bits in every run, and for a row alone or among others.
/// Errors          argument_error before anything is put in the stream: what the CPU's refuses, and memory that is not the device's;
///                 cuda::error.
/// Source          Karras et al. 2022, arXiv:2206.00364, appendix B.3
template <mdspan_like Queries, mdspan_like Keys, mdspan_like Values, mdspan_like Out>
TESSERA_HIDDEN void exact_denoiser(const cuda::executor& exec, const Queries& queries, const Keys& keys, const Values& values,
                                   double sigma, const Out& out) {
  cuda::diffusion::detail::exact_denoiser({"diffusion::exact_denoiser", "queries", "keys", "values", "out"}, exec, queries, keys,
                                          values, sigma, out);
}

/// The same of a data set alone: distances to the rows whose mean is taken.
template <mdspan_like Noisy, mdspan_like Data, mdspan_like Out>
TESSERA_HIDDEN void exact_denoiser(const cuda::executor& exec, const Noisy& noisy, const Data& data, double sigma,
                                   const Out& out) {
  cuda::diffusion::detail::exact_denoiser({"diffusion::exact_denoiser", "noisy", "data", "data", "out"}, exec, noisy, data, data,
                                          sigma, out);
}

}  // namespace tessera::diffusion
