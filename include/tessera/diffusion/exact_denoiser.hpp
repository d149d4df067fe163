// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The exact (ideal) denoiser of a data set: the posterior mean under the empirical distribution of its rows.
#pragma once

#include <cmath>

#include "tessera/online/softmax.hpp"
#include "tessera/tile/contraction.hpp"

namespace tessera::diffusion {

namespace detail {

template <class Exec, class Queries, class Keys, class Values, class Out>
void exact_denoiser(const tile::detail::argument_names& names, const Exec& exec, const Queries& queries, const Keys& keys,
                    const Values& values, double sigma, const Out& out) {
  tessera::detail::expects(
      std::isfinite(sigma) && sigma > 0, names.function, "sigma", [&] { return tessera::detail::number(sigma); },
      "needs a positive, finite noise level");
  tile::detail::contract_values(names, exec, queries, keys, values, gaussian{sigma}, softmax{}, out, no_emit{}, no_mask{});
}

}  // namespace detail

/// D(x; sigma) = sum_i softmax_i(-|q - k_i|^2 / 2 sigma^2) v_i: distances between queries [n, dim] and keys [m, dim], means of
/// values [m, value_dim], out [n, value_dim].
template <executor Exec, mdspan_like Queries, mdspan_like Keys, mdspan_like Values, mdspan_like Out>
void exact_denoiser(const Exec& exec, const Queries& queries, const Keys& keys, const Values& values, double sigma,
                    const Out& out) {
  detail::exact_denoiser({"diffusion::exact_denoiser", "queries", "keys", "values", "out"}, exec, queries, keys, values, sigma,
                         out);
}

/// D(x; sigma) = sum_i softmax_i(-|x - y_i|^2 / 2 sigma^2) y_i, the minimiser of the denoising loss over the data set {y_i}.
///
/// Shapes          noisy [n, dim], data [m, dim], out [n, dim]; contiguous rows. `queries` and `keys` may replace x and y_i inside
///                 the distance (patches without their mean, say) while `data` stays what is averaged: see the form above.
/// Units           sigma > 0 in the units of the data.
/// Special values  m = 0 gives zeros. As sigma goes to 0 the nearest row wins, ties in equal parts, while its |x - y|^2 / sigma^2 is
///                 finite in the compute type; beyond, zeros. NaN in a row reaches it.
/// Accuracy        weights of rows within 2^-40 of the best have exponents computed from differences, or are within 2^-5 (base 2,
///                 a bound; 2^-9 and less on image patches): see squared_distance and softmax.
/// Cost            4 n m dim flops and n m exponentials; no n x m matrix.
/// Determinism     the same bits for every number of threads, and for a row alone or among others.
/// Errors          argument_error before out is touched: shapes, null data, overlap, sigma not positive and finite.
/// Source          Karras et al. 2022, arXiv:2206.00364, appendix B.3
template <executor Exec, mdspan_like Noisy, mdspan_like Data, mdspan_like Out>
void exact_denoiser(const Exec& exec, const Noisy& noisy, const Data& data, double sigma, const Out& out) {
  detail::exact_denoiser({"diffusion::exact_denoiser", "noisy", "data", "data", "out"}, exec, noisy, data, data, sigma, out);
}

}  // namespace tessera::diffusion
