// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// random/: arrays of 4 Mi random numbers of a law.
#include "tessera/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <numbers>
#include <string>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"

namespace {

using bench::array;
using bench::contest;
namespace draw = tessera::random;

constexpr std::int64_t count = std::int64_t{1} << 22;
constexpr std::uint64_t seed = 1;
constexpr std::uint64_t stream = 2;

/// How far the first two moments are from the law's, in units of its standard deviation and variance: some 0.001 for a good sample.
template <class T>
double moment_error(const array<T, 1>& x, double mean, double variance) {
  double sum = 0;
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double centred = static_cast<double>(x(i)) - mean;
    sum += centred;
    squares += centred * centred;
  }
  const double n = static_cast<double>(count);
  return std::max(std::abs(sum / n) / std::sqrt(variance), std::abs(squares / n / variance - 1));
}

/// fill(par, out) is ours; the peers know the law by its name.
template <class T, class Fill>
void add(bench::family& random, const std::string& law, double mean, double variance, const Fill& fill) {
  const std::string type = peers::flat::name<T>();
  random.add({law + " " + type, static_cast<double>(count * static_cast<std::int64_t>(sizeof(T))), machine::resource::copy,
              static_cast<double>(count)},
             [=](contest& c) {
               array<T, 1> out(count);
               c.result(out, [&] { return moment_error(out, mean, variance); }, 0.02);
               c.tessera([&] { fill(c.par, out); });
               if (c.threads == 1) c.peer("std, mt19937", peers::std_random(law, out));
               if (c.threads == 1) c.peer("numpy SFC64", peers::python_random("numpy", 1, law, out));
               c.peer("torch", peers::python_random("torch", c.threads, law, out));
               c.run();
             });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family random("random");
  const auto with = [&]<class... T>(const std::string& law, double mean, double variance, const auto& fill) {
    (add<T>(random, law, mean, variance, fill), ...);
  };
  using tessera::bfloat16;
  using tessera::float16;
  with.operator()<std::uint32_t>("bits", 0x1p31, 0x1p64 / 12,
                                 [](const auto& par, auto& out) { draw::fill_bits(par, out, seed, stream); });
  with.operator()<float, double, bfloat16>("uniform", 0.5, 1.0 / 12,
                                           [](const auto& par, auto& out) { draw::fill_uniform(par, out, seed, stream); });
  with.operator()<float, double, float16, bfloat16>(
      "normal", 0, 1, [](const auto& par, auto& out) { draw::fill_normal(par, out, seed, stream); });
  with.operator()<float, double>("exponential", 1, 1,
                                 [](const auto& par, auto& out) { draw::fill_exponential(par, out, 1, seed, stream); });
  with.operator()<float, double>("gumbel", std::numbers::egamma, std::numbers::pi * std::numbers::pi / 6,
                                 [](const auto& par, auto& out) { draw::fill_gumbel(par, out, seed, stream); });
  for (const double shape : {2.0, 0.5}) {
    with.operator()<float, double>(shape == 2 ? "gamma(2)" : "gamma(0.5)", shape, shape,
                                   [=](const auto& par, auto& out) { draw::fill_gamma(par, out, shape, 1, seed, stream); });
  }
  for (const double rate : {10.0, 1000.0}) {
    with.operator()<std::int32_t>(rate == 10 ? "poisson(10)" : "poisson(1000)", rate, rate,
                                  [=](const auto& par, auto& out) { draw::fill_poisson(par, out, rate, seed, stream); });
  }
  return random.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_random: %s\n", error.what());
  return 1;
}
