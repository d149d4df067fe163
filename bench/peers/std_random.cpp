// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The standard library's random numbers.
#include <random>
#include <string_view>

#include "peers/peers.hpp"

namespace peers {
namespace {

template <class T, class Distribution>
side drawn(const flat& out, Distribution distribution) {
  return timed([to = static_cast<T*>(out.data), n = out.length, distribution, engine = std::mt19937(1)]() mutable {
    for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(distribution(engine));
  });
}

template <class T>
side real(const std::string& law, const flat& out) {
  if (law == "uniform") return drawn<T>(out, std::uniform_real_distribution<T>());
  if (law == "normal") return drawn<T>(out, std::normal_distribution<T>());
  if (law == "exponential") return drawn<T>(out, std::exponential_distribution<T>());
  if (law == "gumbel") return drawn<T>(out, std::extreme_value_distribution<T>());
  if (law == "gamma(2)") return drawn<T>(out, std::gamma_distribution<T>(2));
  if (law == "gamma(0.5)") return drawn<T>(out, std::gamma_distribution<T>(T(0.5)));
  return {};
}

}  // namespace

side std_random(const std::string& law, flat out) {
  const std::string_view type = out.type;
  if (type == "float32") return real<float>(law, out);
  if (type == "float64") return real<double>(law, out);
  if (type == "uint32" && law == "bits") return drawn<std::uint32_t>(out, [](std::mt19937& engine) { return engine(); });
  if (type == "int32" && law == "poisson(10)") return drawn<std::int32_t>(out, std::poisson_distribution<std::int32_t>(10));
  if (type == "int32" && law == "poisson(1000)") return drawn<std::int32_t>(out, std::poisson_distribution<std::int32_t>(1000));
  return {};
}

}  // namespace peers
