// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A denoiser on a GPU made of a raw network and a preconditioning.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cuda/diffusion/chunk_of_step.cuh"
#include "tessera/cuda/elementwise.cuh"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/cuda/pointers.cuh"
#include "tessera/cuda/workspace.cuh"
#include "tessera/diffusion/detail/number.hpp"
#include "tessera/diffusion/detail/precondition_steps.hpp"
#include "tessera/diffusion/precondition.hpp"
#include "tessera/diffusion/state_view.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::diffusion {

/// A denoiser made of a raw network that works in a CUDA stream; what `preconditioned` returns.
template <class Storage, class Network, class Scheme>
class preconditioned_in_stream {
 public:
  preconditioned_in_stream(const cuda::executor& exec, Network network, const Scheme& scheme)
      : exec_(exec), network_(static_cast<Network&&>(network)), scheme_(scheme) {}

  /// out = c_skip noisy + c_out F(c_in noisy, c_noise); noisy and out [samples, ...], sigma > 0, the same for every sample.
  template <mdspan_like Noisy, state_view Out>
    requires(Noisy::rank() == Out::rank() && std::same_as<value_type_of<Noisy>, value_type_of<Out>>)
  TESSERA_HIDDEN void operator()(const Noisy& noisy, double sigma, const Out& out) const {
    evaluate<value_type_of<Out>, Out::rank()>(noisy, sigma, out);
  }

 private:
  template <class T, std::size_t Rank>
  TESSERA_HIDDEN void evaluate(const view<const T, Rank>& noisy, double sigma, const view<T, Rank>& out) const {
    using S = std::conditional_t<std::is_void_v<Storage>, T, Storage>;
    constexpr const char* function = "diffusion::preconditioned";
    detail::check_state(noisy, function, "noisy");
    detail::check_state(out, function, "out");
    detail::check_same_shape(out, noisy, function, "out");
    tessera::detail::check_disjoint(out, noisy, function, "out", "noisy");
    tessera::detail::expects(
        std::isfinite(sigma) && sigma > 0, function, "sigma", [&] { return detail::number(sigma); },
        "needs a finite value above 0");
    cuda::detail::check_memory(exec_, noisy, function, "noisy");
    cuda::detail::check_memory(exec_, out, function, "out");
    const std::int64_t size = noisy.size();
    if (size == 0) return;

    const preconditioning c = scheme_(sigma);
    cuda::bump needed;
    for (int i = 0; i < 2; ++i) needed.take<S>(size);
    const cuda::workspace memory(exec_, needed.bytes(), function);
    cuda::bump block(memory.data());
    const view<S, Rank> scaled = detail::dense_like(noisy, block.take<S>(size));
    const view<S, Rank> raw = detail::dense_like(noisy, block.take<S>(size));
    constexpr int chunk = std::min(cuda::vector_elements<S>, cuda::vector_elements<T>);
    using scale = detail::chunk_of_step<detail::scaled_input<S>>;
    using combine = detail::chunk_of_step<detail::skip_and_output>;
    cuda::detail::elementwise<chunk, true>(exec_, function, scale{{c.c_in}}, 0, scaled, noisy);
    network_(view<const S, Rank>(scaled), c.c_noise, raw);
    cuda::detail::elementwise<chunk, true>(exec_, function, combine{{c.c_skip, c.c_out}}, 0, out, noisy,
                                           view<const S, Rank>(raw));
  }

  cuda::executor exec_;
  Network network_;
  Scheme scheme_;
};

/// Makes a denoiser, as the samplers of a GPU take it, of a raw network F: D(x; sigma) = c_skip x + c_out F(c_in x, c_noise).
///
///   auto denoiser = diffusion::preconditioned<float16>(exec, network, diffusion::edm_precondition{.sigma_data = 0.5});
///   diffusion::heun(exec, denoiser, diffusion::sigma_grid(18), images);
///
/// network         network(scaled, c_noise, out), called from this thread, puts its work in the executor's stream: scaled is a view<const S, R>,
///                 out a view<S, R>, both dense and in the memory of the device. S is the state's type, or Storage
/// Cost            two passes over the state beside the network; scratch of 2 state sizes in S a call, from the stream's pool. An executor
///                 with a workspace of its own serves one call at a time: a sampler that uses it needs another for itself
/// Otherwise as the CPU's (diffusion/preconditioned.hpp)
template <class Storage = void, class Network, class Scheme = edm_precondition>
[[nodiscard]] preconditioned_in_stream<Storage, Network, Scheme> preconditioned(const cuda::executor& exec, Network network,
                                                                                const Scheme& scheme = {}) {
  return {exec, static_cast<Network&&>(network), scheme};
}

}  // namespace tessera::diffusion
