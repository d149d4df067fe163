// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A denoiser made of a raw network and a preconditioning.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/core/error.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/diffusion/detail/number.hpp"
#include "tessera/diffusion/detail/precondition_steps.hpp"
#include "tessera/diffusion/precondition.hpp"
#include "tessera/diffusion/state.hpp"

namespace tessera::diffusion {

/// A denoiser made of a raw network; what `preconditioned` returns.
template <class Storage, executor Exec, class Network, class Scheme>
class preconditioned_denoiser {
 public:
  preconditioned_denoiser(const Exec& exec, Network network, const Scheme& scheme)
      : exec_(exec), network_(static_cast<Network&&>(network)), scheme_(scheme) {}

  /// out = c_skip noisy + c_out F(c_in noisy, c_noise); noisy and out [samples, ...], sigma > 0, the same for every sample.
  template <mdspan_like Noisy, state_view Out>
    requires(Noisy::rank() == Out::rank() && std::same_as<value_type_of<Noisy>, value_type_of<Out>>)
  void operator()(const Noisy& noisy, double sigma, const Out& out) const {
    using T = value_type_of<Out>;
    evaluate<T, Out::rank()>(noisy, sigma, out);
  }

 private:
  template <class T, std::size_t Rank>
  void evaluate(const view<const T, Rank>& noisy, double sigma, const view<T, Rank>& out) const {
    using S = std::conditional_t<std::is_void_v<Storage>, T, Storage>;
    constexpr const char* function = "diffusion::preconditioned";
    detail::check_state(noisy, function, "noisy");
    detail::check_state(out, function, "out");
    detail::check_same_shape(out, noisy, function, "out");
    tessera::detail::check_disjoint(out, noisy, function, "out", "noisy");
    tessera::detail::expects(
        std::isfinite(sigma) && sigma > 0, function, "sigma", [&] { return detail::number(sigma); },
        "needs a finite value above 0");
    const std::int64_t size = noisy.size();
    if (size == 0) return;

    const preconditioning c = scheme_(sigma);
    tessera::detail::bump needed;
    for (int i = 0; i < 2; ++i) needed.take<S>(size);
    const tessera::detail::scratch memory(exec_.memory(), needed.bytes());
    tessera::detail::bump block(memory.data());
    const view<S, Rank> scaled = detail::dense_like(noisy, block.take<S>(size));
    const view<S, Rank> raw = detail::dense_like(noisy, block.take<S>(size));
    detail::for_each_run(
        exec_,
        [f = detail::scaled_input<S>{c.c_in}](std::int64_t, std::int64_t count, const T* x, S* y) {
          for (std::int64_t e = 0; e < count; ++e) y[e] = f(x[e]);
        },
        noisy, scaled);
    network_(view<const S, Rank>(scaled), c.c_noise, raw);
    detail::for_each_run(
        exec_,
        [f = detail::skip_and_output{c.c_skip, c.c_out}](std::int64_t, std::int64_t count, const T* x, const S* r, T* y) {
          for (std::int64_t e = 0; e < count; ++e) y[e] = f(x[e], r[e]);
        },
        noisy, raw, out);
  }

  Exec exec_;
  Network network_;
  Scheme scheme_;
};

/// Makes a denoiser, as samplers take it, of a raw network F: D(x; sigma) = c_skip x + c_out F(c_in x, c_noise).
///
///   auto denoiser = diffusion::preconditioned(par, network, diffusion::edm_precondition{.sigma_data = 0.5});
///   diffusion::heun(par, denoiser, diffusion::sigma_grid(18), images);
///
/// network         network(scaled, c_noise, out): scaled is a view<const S, R>, c_noise a double, out a view<S, R>; both dense,
///                 every element of out to be written. S is the state's type, or Storage: preconditioned<float> feeds a float
///                 network from a double state, preconditioned<bfloat16> a bfloat16 network
/// scheme          sigma -> preconditioning; edm_precondition, vp_precondition, ve_precondition, iddpm_precondition or your own
/// Accuracy        both combinations are made in float64 and rounded once
/// Cost            two passes over the state beside the network; scratch of 2 state sizes in S, taken once a call
/// Determinism     an element's bits depend on that element and on the network only
/// Errors          the denoiser throws argument_error for null data, samples that are not dense, unequal shapes, overlap,
///                 or a sigma that is not finite and above 0
/// Source          Karras et al. 2022, arXiv:2206.00364, equation 7
template <class Storage = void, executor Exec, class Network, class Scheme = edm_precondition>
[[nodiscard]] preconditioned_denoiser<Storage, Exec, Network, Scheme> preconditioned(const Exec& exec, Network network,
                                                                                     const Scheme& scheme = {}) {
  return {exec, static_cast<Network&&>(network), scheme};
}

}  // namespace tessera::diffusion
