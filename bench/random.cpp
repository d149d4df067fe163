// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// random/: arrays of 2 Mi random numbers of a law.
#include "tessera/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"

namespace {

using bench::array;
using bench::contest;
namespace draw = tessera::random;

constexpr std::int64_t count = std::int64_t{1} << 21;
constexpr std::uint64_t seed = 1;
constexpr std::uint64_t stream = 2;

/// How far the first two moments are from the law's, in units of its standard deviation and variance: some 0.001 for a good sample.
template <class Numbers>
double moment_error(std::int64_t n, const Numbers& x, double mean, double variance) {
  double sum = 0;
  double squares = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double centred = static_cast<double>(x(i)) - mean;
    sum += centred;
    squares += centred * centred;
  }
  const auto size = static_cast<double>(n);
  return std::max(std::abs(sum / size) / std::sqrt(variance), std::abs(squares / size / variance - 1));
}

/// fill(par, out) is ours; the peers know the law by its name.
template <class T, class Fill>
void add(bench::family& random, const std::string& law, double mean, double variance, const Fill& fill,
         std::initializer_list<int> teams) {
  const std::string type = peers::flat::name<T>();
  random.add(
      {law + " " + type, static_cast<double>(count * static_cast<std::int64_t>(sizeof(T))), machine::resource::copy,
       static_cast<double>(count)},
      [=](contest& c) {
        array<T, 1> out(count);
        c.result(out, [&] { return moment_error(count, out, mean, variance); }, 0.02);
        c.tessera([&] { fill(c.par, out); });
        if (c.threads == 1) c.peer("std, mt19937", peers::std_random(law, out));
        if (c.threads == 1) c.peer("numpy SFC64", peers::python_random("numpy", 1, law, out));
        c.peer("torch", peers::python_random("torch", c.threads, law, out));
        c.run();
      },
      teams);
}

/// A draw from each of `rows` rows of float logits: the tokens of a language model, the experts of a mixture.
void add_categorical(bench::family& random, std::int64_t rows, std::int64_t columns) {
  const auto size = static_cast<double>(rows * columns);
  random.add({"categorical " + std::to_string(rows) + " x " + std::to_string(columns), size * sizeof(float),
              machine::resource::copy, size},
             [=](contest& c) {
               const auto logits = bench::normal<float>(3, rows, columns);
               const bench::view<const float, 1> flat(logits.data_handle(), rows * columns);
               array<std::int32_t, 1> out(rows);
               // The middle of a draw's share of [0, 1], where all categories lie side by side, is nearly uniform.
               const auto place = [&](std::int64_t r) {
                 double sum = 0;
                 double below = 0;
                 double here = 0;
                 for (std::int64_t k = 0; k < columns; ++k) {
                   const double weight = std::exp(static_cast<double>(logits(r, k)));
                   sum += weight;
                   below += k < out(r) ? weight : 0;
                   here += k == out(r) ? weight : 0;
                 }
                 return here > 0 ? (below + here / 2) / sum : 2;
               };
               c.result(out, [&] { return moment_error(rows, place, 0.5, 1.0 / 12); }, 6 / std::sqrt(static_cast<double>(rows)));
               c.tessera([&] { draw::fill_categorical(c.par, out, logits, seed, stream); });
               if (c.threads == 1) c.peer("std, mt19937", peers::std_categorical(flat, out));
               if (c.threads == 1) c.peer("numpy SFC64, Gumbel-max", peers::python_categorical("numpy", 1, flat, out));
               c.peer("torch", peers::python_categorical("torch", c.threads, flat, out));
               c.run();
             });
}

/// Mean and variance of the standard normal law between two numbers.
std::array<double, 2> truncated_moments(double low, double high) {
  const auto density = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); };
  const auto moment = [&](double x) { return std::isinf(x) ? 0 : x * density(x); };
  const double mass = (std::erfc(low / std::numbers::sqrt2) - std::erfc(high / std::numbers::sqrt2)) / 2;
  const double mean = (density(low) - density(high)) / mass;
  return {mean, 1 + (moment(low) - moment(high)) / mass - mean * mean};
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family random("random", 9);
  const auto with = [&]<class First, class... Rest>(const std::string& law, double mean, double variance, const auto& fill) {
    add<First>(random, law, mean, variance, fill, {1, 2});
    (add<Rest>(random, law, mean, variance, fill, {1}), ...);
  };
  using tessera::bfloat16;
  using tessera::float16;
  constexpr auto n = static_cast<double>(count);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double pi_squared = std::numbers::pi * std::numbers::pi;
  with.operator()<std::uint32_t>("bits", 0x1p31, 0x1p64 / 12,
                                 [](const auto& par, auto& out) { draw::fill_bits(par, out, seed, stream); });
  with.operator()<float, double, bfloat16>("uniform", 0.5, 1.0 / 12,
                                           [](const auto& par, auto& out) { draw::fill_uniform(par, out, seed, stream); });
  with.operator()<float, double, float16, bfloat16>(
      "normal", 0, 1, [](const auto& par, auto& out) { draw::fill_normal(par, out, seed, stream); });
  with.operator()<float, double>("exponential", 1, 1,
                                 [](const auto& par, auto& out) { draw::fill_exponential(par, out, 1, seed, stream); });
  with.operator()<float, double>("gumbel", std::numbers::egamma, pi_squared / 6,
                                 [](const auto& par, auto& out) { draw::fill_gumbel(par, out, seed, stream); });
  with.operator()<float, double>("logistic", 0, pi_squared / 3,
                                 [](const auto& par, auto& out) { draw::fill_logistic(par, out, seed, stream); });
  with.operator()<float, double>("laplace", 0, 2, [](const auto& par, auto& out) { draw::fill_laplace(par, out, seed, stream); });
  for (const auto& [low, high] : {std::pair{-2.0, 2.0}, std::pair{3.0, infinity}}) {
    const auto [mean, variance] = truncated_moments(low, high);
    with.operator()<float, double>(
        low < 0 ? "truncated_normal(-2,2)" : "truncated_normal(3,inf)", mean, variance, [=](const auto& par, auto& out) {
          using V = std::conditional_t<std::is_same_v<decltype(out(0)), double&>, double, float>;
          draw::fill_truncated_normal(par, out, static_cast<V>(low), static_cast<V>(high), seed, stream);
        });
  }
  with.operator()<bool, float>("bernoulli(0.1)", 0.1, 0.09,
                               [](const auto& par, auto& out) { draw::fill_bernoulli(par, out, 0.1, seed, stream); });
  with.operator()<std::int32_t, std::int64_t>("integers(1000)", 499.5, 999999.0 / 12, [](const auto& par, auto& out) {
    draw::fill_uniform_int(par, out, 0, 999, seed, stream);
  });
  for (const double shape : {2.0, 0.5}) {
    with.operator()<float, double>(shape == 2 ? "gamma(2)" : "gamma(0.5)", shape, shape,
                                   [=](const auto& par, auto& out) { draw::fill_gamma(par, out, shape, 1, seed, stream); });
  }
  with.operator()<float, double>("beta(2,3)", 0.4, 0.04,
                                 [](const auto& par, auto& out) { draw::fill_beta(par, out, 2, 3, seed, stream); });
  with.operator()<float, double>("beta(0.5,0.5)", 0.5, 0.125,
                                 [](const auto& par, auto& out) { draw::fill_beta(par, out, 0.5, 0.5, seed, stream); });
  with.operator()<float, double>("dirichlet(0.5,16)", 1.0 / 16, 15.0 / 2304, [](const auto& par, auto& out) {
    constexpr std::int64_t columns = 16;
    const std::vector<double> alpha(columns, 0.5);
    draw::fill_dirichlet(par, bench::view(out.data_handle(), count / columns, columns), bench::view(alpha.data(), columns), seed,
                         stream);
  });
  for (const double rate : {10.0, 1000.0}) {
    with.operator()<std::int32_t>(rate == 10 ? "poisson(10)" : "poisson(1000)", rate, rate,
                                  [=](const auto& par, auto& out) { draw::fill_poisson(par, out, rate, seed, stream); });
  }
  constexpr std::int64_t ranks = 1000;
  std::vector<double> zipf(ranks);
  std::vector<draw::alias_cell> cells(ranks);
  double weight = 0;
  for (std::int64_t i = 0; i < ranks; ++i) weight += zipf[static_cast<std::size_t>(i)] = 1 / static_cast<double>(i + 1);
  draw::build_alias_table(bench::view(zipf.data(), ranks), bench::view(cells.data(), ranks));
  const double mean = static_cast<double>(ranks) / weight - 1;  // sum i / (i + 1)
  const double square = (static_cast<double>(ranks * (ranks - 1) / 2) - static_cast<double>(ranks)) / weight + 1;
  with.operator()<std::int32_t>("zipf(1000)", mean, square - mean * mean, [=](const auto& par, auto& out) {
    draw::fill_alias_draws(par, out, bench::view(cells.data(), ranks), seed, stream);
  });
  with.operator()<std::int64_t>("permutation", (n - 1) / 2, (n * n - 1) / 12, [](const auto& par, auto& out) {
    draw::fill_permutation(par, out, draw::permutation(static_cast<std::uint64_t>(count), seed, stream));
  });
  with.operator()<std::int64_t>("shuffle", (n - 1) / 2, (n * n - 1) / 12, [](const auto& par, auto& out) {
    std::iota(out.data_handle(), out.data_handle() + count, std::int64_t{0});
    draw::shuffle(par, out, seed, stream);
  });
  constexpr draw::brownian_path path{seed, stream};
  with.operator()<float, double>("brownian(0.3)", 0, 0.3,
                                 [=](const auto& par, auto& out) { draw::fill_brownian(par, out, path, 0.3); });
  with.operator()<float, double>("brownian_step(0.25,0.3)", 0, 0.05,
                                 [=](const auto& par, auto& out) { draw::fill_brownian_increment(par, out, path, 0.25, 0.3); });
  add_categorical(random, 65536, 64);
  add_categorical(random, 128, 32768);
  return random.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_random: %s\n", error.what());
  return 1;
}
