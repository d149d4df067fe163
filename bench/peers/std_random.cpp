// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The standard library's random numbers.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

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
  if (law == "bernoulli(0.1)") return drawn<T>(out, std::bernoulli_distribution(0.1));
  return {};
}

template <class T>
side integer(const std::string& law, const flat& out) {
  if (law == "integers(1000)") return drawn<T>(out, std::uniform_int_distribution<T>(0, 999));
  if (law == "poisson(10)") return drawn<T>(out, std::poisson_distribution<T>(10));
  if (law == "poisson(1000)") return drawn<T>(out, std::poisson_distribution<T>(1000));
  if (law == "zipf(1000)") {
    return drawn<T>(out, std::discrete_distribution<T>(1000, 0, 1000, [](double i) { return 1 / (std::floor(i) + 1); }));
  }
  if (law == "permutation" || law == "shuffle") {
    return timed([to = static_cast<T*>(out.data), n = out.length, engine = std::mt19937(1)]() mutable {
      std::iota(to, to + n, T(0));
      std::shuffle(to, to + n, engine);
    });
  }
  return {};
}

}  // namespace

side std_random(const std::string& law, flat out) {
  const std::string_view type = out.type;
  if (type == "float32") return real<float>(law, out);
  if (type == "float64") return real<double>(law, out);
  if (type == "int32") return integer<std::int32_t>(law, out);
  if (type == "int64") return integer<std::int64_t>(law, out);
  if (type == "uint32" && law == "bits") return drawn<std::uint32_t>(out, [](std::mt19937& engine) { return engine(); });
  if (type == "bool" && law == "bernoulli(0.1)") return drawn<bool>(out, std::bernoulli_distribution(0.1));
  return {};
}

side std_categorical(flat logits, flat out) {
  return timed([from = static_cast<const float*>(logits.data), to = static_cast<std::int32_t*>(out.data), rows = out.length,
                columns = logits.length / out.length, weights = std::vector<double>(), engine = std::mt19937(1)]() mutable {
    for (std::int64_t r = 0; r < rows; ++r) {
      weights.clear();
      for (std::int64_t c = 0; c < columns; ++c) weights.push_back(static_cast<double>(std::exp(from[r * columns + c])));
      to[r] = std::discrete_distribution<std::int32_t>(weights.begin(), weights.end())(engine);
    }
  });
}

}  // namespace peers
