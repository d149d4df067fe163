// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// training/: passes over gradients and weights, beside the bytes that they move and PyTorch's.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "support/oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/tile/convert_stochastic.hpp"
#include "tessera/training/adam.hpp"
#include "tessera/training/unscale.hpp"

namespace {

using bench::array;
using bench::contest;
using bench::view;
using tessera::bfloat16;
using tessera::float16;
namespace training = tessera::training;

constexpr std::int64_t in_cache = 4096;
constexpr std::int64_t beyond_caches = std::int64_t{1} << 24;

std::string name_of(std::int64_t n) { return std::to_string(n) + (n == in_cache ? " L1" : ""); }

template <class T>
std::vector<view<T, 1>> list(array<T, 1>& x) {
  return {view<T, 1>(x)};
}

/// Unscaled, checked, counted and its norm taken, in one pass.
template <class In, class Out>
void add_unscale(bench::family& family, std::int64_t n, bool in_place) {
  const std::string types =
      peers::flat::name<In>() + (in_place ? std::string(" in place ") : std::string(" to ") + peers::flat::name<Out>() + " ");
  const double bytes = static_cast<double>(n) * (sizeof(In) + sizeof(Out));
  family.add({"unscale " + types + name_of(n), bytes, machine::resource::copy, static_cast<double>(n)}, [=](contest& c) {
    array<In, 1> x = bench::normal<In>(1, n);
    array<Out, 1> out(n);
    array<float, 1> norm(1);
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto y = static_cast<double>(static_cast<float>(x(i)));
      squares += y * y;
    }
    const double want = std::sqrt(squares);
    c.result(norm, [&] { return std::abs(static_cast<double>(norm(0)) - want) / want; }, 1e-3);
    const auto from = list(x);
    c.tessera([&] {
      if constexpr (std::is_same_v<In, Out>) {
        norm(0) = static_cast<float>(training::unscale(c.par, from, in_place ? from : list(out), 1.0F).norm());
      } else {
        norm(0) = static_cast<float>(training::unscale(c.par, from, list(out), 1.0F).norm());
      }
    });
    c.peer("torch, in place", peers::torch_unscale(c.threads, view<In, 1>(x), norm));
    c.run();
  });
}

/// How far first steps are from the formula's: a weight moves by the rate in the direction of its gradient, whatever its size.
double step_error(const array<float, 1>& start, const array<float, 1>& gradient, const auto& weight) {
  double worst = 0;
  const std::int64_t step = std::max<std::int64_t>(1, start.size() / 4096);
  for (std::int64_t i = 0; i < start.size(); i += step) {
    const auto g = static_cast<double>(gradient(i));
    const double want = static_cast<double>(start(i)) * (1 - 1e-5) - 1e-3 * g / (std::abs(g) + 1e-8);
    worst = bench::worse(worst, std::abs(weight(i) - want));
  }
  return worst;
}

/// One step of AdamW; `record(weights, copy, more)` is how the weights are kept.
template <class Gradient, class Record>
void add_adamw(bench::family& family, const std::string& kept, std::int64_t n, double bytes_a_weight, double worst,
               Record record) {
  family.add(
      {"adamw, " + kept + ", " + peers::flat::name<Gradient>() + " gradients " + name_of(n),
       bytes_a_weight * static_cast<double>(n), machine::resource::copy, static_cast<double>(n)},
      [=](contest& c) {
        const array<float, 1> start = bench::normal<float>(1, n);
        array<float, 1> wide_gradient = bench::normal<float>(2, n);
        array<Gradient, 1> gradient(n);
        array<float, 1> weight(n);
        array<float, 1> first(n);
        array<float, 1> second(n);
        array<bfloat16, 1> copy(n);
        array<bfloat16, 1> rest(n);
        array<std::uint16_t, 1> low(n);
        for (std::int64_t i = 0; i < n; ++i) {
          gradient(i) = static_cast<Gradient>(wide_gradient(i));
          wide_gradient(i) = static_cast<float>(gradient(i));
          weight(i) = start(i);
          first(i) = second(i) = 0;
          training::split(start(i), copy(i), low(i));
          rest(i) = bfloat16(start(i) - static_cast<float>(copy(i)));
        }
        const auto weights = record(weight, copy, rest, low);
        array<float, 1> result(n);
        std::int64_t step = 0;
        c.result(
            result,
            [&] { return step_error(start, wide_gradient, [&](std::int64_t i) { return static_cast<double>(result(i)); }); },
            worst);
        c.tessera([&] {
          training::adamw(c.par, weights, list(gradient), list(first), list(second), ++step);
          if (step > 1) return;
          for (std::int64_t i = 0; i < n; ++i)
            result(i) = training::detail::weight_access<std::decay_t<decltype(weights[0])>>(weights[0], 1).load(i);
        });
        c.peer("torch fused, float32",
               peers::torch_adamw(c.threads, view<float, 1>(const_cast<float*>(start.data_handle()), n), wide_gradient, result));
        c.run();
      });
}

void add_all_adamw(bench::family& family, std::int64_t n) {
  using floats = view<float, 1>;
  using brains = view<bfloat16, 1>;
  const auto plain = [](auto& w, auto&, auto&, auto&) { return std::vector<floats>{floats(w)}; };
  add_adamw<float>(family, "float32 weights", n, 28, 1e-6, plain);
  add_adamw<bfloat16>(family, "masters and bfloat16 copy", n, 28, 1e-6, [](auto& w, auto& copy, auto&, auto&) {
    return std::vector<training::master_weights<bfloat16>>{{floats(w), brains(copy)}};
  });
  add_adamw<bfloat16>(family, "split masters", n, 26, 1e-6, [](auto&, auto& high, auto&, auto& low) {
    return std::vector<training::split_weights>{{brains(high), view<std::uint16_t, 1>(low)}};
  });
  add_adamw<bfloat16>(family, "compensated bfloat16", n, 26, 1e-4, [](auto&, auto& w, auto& rest, auto&) {
    return std::vector<training::compensated_weights<bfloat16>>{{brains(w), brains(rest)}};
  });
  add_adamw<bfloat16>(family, "stochastic bfloat16", n, 22, 0.1, [](auto&, auto& w, auto&, auto&) {
    return std::vector<training::stochastic_weights<bfloat16>>{{brains(w), 1, 0}};
  });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family family("training_steps");
  for (const std::int64_t n : {in_cache, beyond_caches}) {
    add_unscale<float16, float>(family, n, false);
    add_unscale<bfloat16, float>(family, n, false);
    add_unscale<float, float>(family, n, true);
    add_all_adamw(family, n);
  }
  return family.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_training_steps: %s\n", error.what());
  return 1;
}
