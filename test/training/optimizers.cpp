// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Optimisers against their papers' formulas and PyTorch, in every way of keeping weights.
#include "tessera/reference/optimizers.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/random.hpp"
#include "golden_optimizers.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/stochastic_rounding.hpp"
#include "tessera/training/adam.hpp"
#include "tessera/training/lamb.hpp"
#include "tessera/training/lion.hpp"
#include "tessera/training/sgd.hpp"

namespace {

namespace training = tessera::training;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::view;
using training::compensated_weights;
using training::master_weights;
using training::split_weights;
using training::stochastic_weights;
const std::vector<std::int64_t> some_sizes{1, 31, 0, 32, 33, 64, 511, 512, 513, 16384, 16385, 40007};

/// Tensors of the sizes given.
template <class T>
struct tensors {
  std::vector<std::vector<T>> data;

  tensors() = default;
  tensors(const std::vector<std::int64_t>& sizes, std::uint64_t seed, double factor) {
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      std::vector<T> x(static_cast<std::size_t>(sizes[t]));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = T(factor * support::normal(seed + t, i));
      data.push_back(std::move(x));
    }
  }
  explicit tensors(const std::vector<std::int64_t>& sizes) : tensors(sizes, 0, 0) {}
  std::vector<view<T, 1>> views() {
    std::vector<view<T, 1>> result;
    for (auto& x : data) result.emplace_back(x.data(), static_cast<std::int64_t>(x.size()));
    return result;
  }
  bool operator==(const tensors& other) const {
    for (std::size_t t = 0; t < data.size(); ++t) {
      if (data[t].size() != other.data[t].size()) return false;
      if (!data[t].empty() && std::memcmp(data[t].data(), other.data[t].data(), data[t].size() * sizeof(T)) != 0) return false;
    }
    return data.size() == other.data.size();
  }
};

/// What the four calls have in common: f(weights, gradients, first, second, step).
template <class Exec>
struct adamw {
  Exec exec;
  training::adam_options options{.rate = 0.01, .weight_decay = 0.1, .gradient_factor = 0.5};
  void operator()(const auto& w, const auto& g, const auto& m, const auto& v, std::int64_t step) const {
    training::adamw(exec, w, g, m, v, step, options);
  }
  template <class R>
  void reference(std::vector<R>& w, const std::vector<R>& g, std::vector<R>& m, std::vector<R>& v, std::int64_t step) const {
    for (std::size_t i = 0; i < w.size(); ++i) tessera::reference::adam(w[i], g[i], m[i], v[i], step, options, true);
  }
};
template <class Exec>
struct adam {
  Exec exec;
  training::adam_options options{.rate = 0.01, .beta1 = 0.5, .beta2 = 0.75, .epsilon = 1e-3, .weight_decay = 0.1};
  void operator()(const auto& w, const auto& g, const auto& m, const auto& v, std::int64_t step) const {
    training::adam(exec, w, g, m, v, step, options);
  }
  template <class R>
  void reference(std::vector<R>& w, const std::vector<R>& g, std::vector<R>& m, std::vector<R>& v, std::int64_t step) const {
    for (std::size_t i = 0; i < w.size(); ++i) tessera::reference::adam(w[i], g[i], m[i], v[i], step, options, false);
  }
};
template <class Exec>
struct sgd {
  Exec exec;
  training::sgd_options options{.rate = 0.1, .weight_decay = 0.05, .gradient_factor = 2};
  void operator()(const auto& w, const auto& g, const auto&, const auto&, std::int64_t step) const {
    training::sgd(exec, w, g, step, options);
  }
  template <class R>
  void reference(std::vector<R>& w, const std::vector<R>& g, std::vector<R>& m, std::vector<R>&, std::int64_t step) const {
    for (std::size_t i = 0; i < w.size(); ++i) tessera::reference::sgd(w[i], g[i], m[i], step, options, false);
  }
};
template <class Exec>
struct momentum {
  Exec exec;
  training::sgd_options options{.rate = 0.1, .momentum = 0.9, .dampening = 0.25, .weight_decay = 0.05};
  void operator()(const auto& w, const auto& g, const auto& m, const auto&, std::int64_t step) const {
    training::sgd(exec, w, g, m, step, options);
  }
  template <class R>
  void reference(std::vector<R>& w, const std::vector<R>& g, std::vector<R>& m, std::vector<R>&, std::int64_t step) const {
    for (std::size_t i = 0; i < w.size(); ++i) tessera::reference::sgd(w[i], g[i], m[i], step, options, true);
  }
};
template <class Exec>
struct lion {
  Exec exec;
  training::lion_options options{.rate = 0.01, .weight_decay = 0.1, .gradient_factor = 0.5};
  void operator()(const auto& w, const auto& g, const auto& m, const auto&, std::int64_t step) const {
    training::lion(exec, w, g, m, step, options);
  }
  template <class R>
  void reference(std::vector<R>& w, const std::vector<R>& g, std::vector<R>& m, std::vector<R>&, std::int64_t) const {
    for (std::size_t i = 0; i < w.size(); ++i) tessera::reference::lion(w[i], g[i], m[i], options);
  }
};
template <class Exec>
struct lamb {
  Exec exec;
  training::lamb_options options{.rate = 0.01, .weight_decay = 0.1};
  void operator()(const auto& w, const auto& g, const auto& m, const auto& v, std::int64_t step) const {
    training::lamb(exec, w, g, m, v, step, options);
  }
  template <class R>
  void reference(std::vector<R>& w, const std::vector<R>& g, std::vector<R>& m, std::vector<R>& v, std::int64_t step) const {
    tessera::reference::lamb(w, g, m, v, step, options);
  }
};

template <class R, class T>
std::vector<R> wide(const std::vector<T>& x) {
  std::vector<R> result;
  for (const T y : x)
    result.push_back(static_cast<R>(static_cast<std::conditional_t<std::is_same_v<T, double>, double, float>>(y)));
  return result;
}

/// One step from any state against the formula: 12 roundings of what is added up, of weights and states.
template <class T, class Gradient, class Call>
void check_formula(const Call& call, std::int64_t step) {
  using R = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  tensors<T> w(some_sizes, 1, 2);
  tensors<T> m(some_sizes, 2, 0.3);
  tensors<T> v(some_sizes, 3, 0.3);
  tensors<Gradient> g(some_sizes, 4, 0.5);
  for (auto& x : v.data) {
    for (auto& y : x) y *= y;
  }
  tensors<T> w0 = w;
  const tensors<T> m0 = m;
  const tensors<T> v0 = v;
  call(w.views(), g.views(), m.views(), v.views(), step);
  support::worst errors;
  const double u = 12 * tessera::unit_roundoff<T>;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) {
    auto want = wide<R>(w0.data[t]);
    const auto before = want;
    auto first = wide<R>(m0.data[t]);
    auto second = wide<R>(v0.data[t]);
    call.reference(want, wide<R>(g.data[t]), first, second, step);
    for (std::size_t i = 0; i < want.size(); ++i) {
      const double size = std::fabs(static_cast<double>(before[i])) + 1;
      // A direction of Lion near 0 may have either sign.
      errors(static_cast<double>(w.data[t][i]), want[i], u * size, "weight", t, i);
      errors(static_cast<double>(m.data[t][i]), first[i], u * 2, "first", t, i);
      errors(static_cast<double>(v.data[t][i]), second[i], u * 2, "second", t, i);
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

template <template <class> class Call>
void check_formulas() {
  const Call<tessera::basic_par<>> call{par.threads(2)};
  for (const std::int64_t step : {1, 2, 1000, 1 << 30}) check_formula<float, float>(call, step);
  check_formula<double, double>(call, 3);
  check_formula<float, bfloat16>(call, 3);
  check_formula<float, float16>(call, 1);
}

BOOST_AUTO_TEST_CASE(formula_of_adamw) { check_formulas<adamw>(); }
BOOST_AUTO_TEST_CASE(formula_of_adam) { check_formulas<adam>(); }
BOOST_AUTO_TEST_CASE(formula_of_sgd) { check_formulas<sgd>(); }
BOOST_AUTO_TEST_CASE(formula_of_momentum) { check_formulas<momentum>(); }
BOOST_AUTO_TEST_CASE(formula_of_lion) { check_formulas<lion>(); }
BOOST_AUTO_TEST_CASE(formula_of_lamb) { check_formulas<lamb>(); }

template <class F>
void check_golden(const double (&want)[golden::steps][golden::size], F call) {
  std::vector<double> w(golden::size);
  std::vector<double> m(golden::size);
  std::vector<double> v(golden::size);
  std::vector<double> g(golden::size);
  for (int i = 0; i < golden::size; ++i) w[static_cast<std::size_t>(i)] = (i - 2) / 4.0;
  const auto list = [](std::vector<double>& x) { return std::vector<view<double, 1>>{view<double, 1>(x.data(), golden::size)}; };
  for (int k = 1; k <= golden::steps; ++k) {
    for (int i = 0; i < golden::size; ++i) g[static_cast<std::size_t>(i)] = ((7 * k + 5 * i) % 11 - 5) / 8.0;
    call(list(w), list(g), list(m), list(v), std::int64_t{k});
    for (int i = 0; i < golden::size; ++i) {
      BOOST_TEST(std::fabs(w[static_cast<std::size_t>(i)] - want[k - 1][i]) <= 1e-14);
    }
  }
}

BOOST_AUTO_TEST_CASE(weights_of_pytorch) {
  using tessera::seq;
  const training::adam_options of_adam{.rate = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1};
  check_golden(golden::adamw, [&](auto w, auto g, auto m, auto v, auto k) { training::adamw(seq, w, g, m, v, k, of_adam); });
  check_golden(golden::adam, [&](auto w, auto g, auto m, auto v, auto k) { training::adam(seq, w, g, m, v, k, of_adam); });
  check_golden(golden::sgd,
               [&](auto w, auto g, auto, auto, auto k) { training::sgd(seq, w, g, k, {.rate = 0.1, .weight_decay = 0.05}); });
  check_golden(golden::momentum, [&](auto w, auto g, auto m, auto, auto k) {
    training::sgd(seq, w, g, m, k, {.rate = 0.1, .momentum = 0.9, .dampening = 0.25, .weight_decay = 0.05});
  });
  check_golden(golden::nesterov, [&](auto w, auto g, auto m, auto, auto k) {
    training::sgd(seq, w, g, m, k, {.rate = 0.1, .momentum = 0.9, .nesterov = true});
  });
}

/// 20 steps of a model whose weights are kept by `record(t)`.
template <class Exec, class Record>
void train(const Exec& exec, const Record& record, tensors<float>& first, tensors<bfloat16>& second) {
  std::vector<decltype(record(std::size_t{}))> weights;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) weights.push_back(record(t));
  for (int step = 1; step <= 20; ++step) {
    tensors<bfloat16> g(some_sizes, 50 + 100 * static_cast<std::uint64_t>(step), 0.1);
    // Moments of two types in two optimisers, so that both are stored.
    tensors<float> other(some_sizes);
    training::adamw(exec, weights, g.views(), first.views(), other.views(), step, {.rate = 3e-4});
    training::lion(exec, weights, g.views(), second.views(), step, {.rate = 1e-5});
  }
}

template <class T>
view<T, 1> of(std::vector<T>& x) {
  return view<T, 1>(x.data(), static_cast<std::int64_t>(x.size()));
}

// The proof that split weights are float32 masters: the same bits after any number of steps, for any number of threads.
BOOST_AUTO_TEST_CASE(split_weights_are_masters) {
  tensors<float> plain(some_sizes, 1, 1);
  tensors<float> master = plain;
  tensors<bfloat16> copy(some_sizes);
  tensors<bfloat16> high(some_sizes);
  tensors<std::uint16_t> low(some_sizes);
  for (std::size_t t = 0; t < some_sizes.size(); ++t) {
    for (std::size_t i = 0; i < plain.data[t].size(); ++i) training::split(plain.data[t][i], high.data[t][i], low.data[t][i]);
  }
  tensors<float> first[3] = {tensors<float>(some_sizes), tensors<float>(some_sizes), tensors<float>(some_sizes)};
  tensors<bfloat16> second[3] = {tensors<bfloat16>(some_sizes), tensors<bfloat16>(some_sizes), tensors<bfloat16>(some_sizes)};
  train(tessera::seq, [&](std::size_t t) { return of(plain.data[t]); }, first[0], second[0]);
  train(
      par.threads(2), [&](std::size_t t) { return master_weights<bfloat16>{of(master.data[t]), of(copy.data[t])}; }, first[1],
      second[1]);
  train(par.threads(3), [&](std::size_t t) { return split_weights{of(high.data[t]), of(low.data[t])}; }, first[2], second[2]);
  BOOST_TEST((plain == master));
  BOOST_TEST((first[0] == first[1]));
  BOOST_TEST((first[0] == first[2]));
  BOOST_TEST((second[0] == second[2]));
  std::int64_t wrong = 0;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) {
    for (std::size_t i = 0; i < plain.data[t].size(); ++i) {
      const float x = plain.data[t][i];
      wrong += training::joined(high.data[t][i], low.data[t][i]) != x;
      wrong += copy.data[t][i] != static_cast<bfloat16>(x);
    }
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(halves_hold_every_float) {
  std::int64_t wrong = 0;
  for (std::uint64_t code = 0; code < (std::uint64_t{1} << 32); code += code % 4096 < 8 ? 1 : 509) {
    const auto x = tessera::from_bits<float>(static_cast<std::uint32_t>(code));
    bfloat16 high;
    std::uint16_t low = 0;
    training::split(x, high, low);
    const float back = training::joined(high, low);
    if (x != x) {
      wrong += !std::isnan(static_cast<float>(high)) || back == back;
      continue;
    }
    wrong += tessera::to_bits(back) != tessera::to_bits(x);
    if (std::isfinite(static_cast<float>(high))) {
      // To nearest: no further than half the distance of its neighbours.
      const auto nearest = static_cast<bfloat16>(x);
      wrong += std::fabs(static_cast<double>(static_cast<float>(high)) - static_cast<double>(x)) >
               std::fabs(static_cast<double>(static_cast<float>(nearest)) - static_cast<double>(x));
    }
  }
  BOOST_TEST(wrong == 0);
}

/// The same step on scalars and packs, alone and in a list, by one thread and many.
template <class S>
void check_stochastic() {
  const training::sgd_options options{.rate = 0.01};
  tensors<S> w(some_sizes, 7, 1);
  tensors<S> start = w;
  tensors<float> g(some_sizes, 8, 1);
  std::vector<stochastic_weights<S>> records;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) records.push_back({of(w.data[t]), 99, t + 5});
  training::sgd(par.threads(2), records, g.views(), 12, options);
  std::int64_t wrong = 0;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) {
    for (std::size_t i = 0; i < w.data[t].size(); ++i) {
      const float x = std::fma(-0.01F, g.data[t][i], static_cast<float>(start.data[t][i]));
      const auto want = tessera::random::round_stochastic<S>(x, 99, ((t + 5) << 40) + 12, i);
      wrong += std::memcmp(&want, &w.data[t][i], sizeof(S)) != 0;
    }
  }
  BOOST_TEST(wrong == 0);
  // A tensor alone, by its number.
  tensors<S> again = start;
  const std::vector<stochastic_weights<S>> one{{of(again.data[11]), 99, 16}};
  const std::vector<view<float, 1>> its{of(g.data[11])};
  training::sgd(tessera::seq, one, its, 12, options);
  BOOST_TEST((again.data[11] == w.data[11]));
}

BOOST_AUTO_TEST_CASE(stochastic_weights_are_addressed) {
  check_stochastic<bfloat16>();
  check_stochastic<float16>();
}

// https://github.com/pytorch/pytorch/issues/120376: weights of 16 bits that stand still.
BOOST_AUTO_TEST_CASE(small_updates_are_not_lost) {
  constexpr std::int64_t n = 4096;
  constexpr int steps = 1000;
  std::vector<float> gradient(n, 1.0F);
  const std::vector<view<float, 1>> g{of(gradient)};
  const training::sgd_options options{.rate = 1e-5};  // 1e-5 of a weight of 1: a 400th of bfloat16's last place
  std::vector<bfloat16> kahan(n, bfloat16(1.0F));
  std::vector<bfloat16> rest(n);
  std::vector<bfloat16> chance(n, bfloat16(1.0F));
  const std::vector<compensated_weights<bfloat16>> a{{of(kahan), of(rest)}};
  const std::vector<stochastic_weights<bfloat16>> b{{of(chance), 1, 0}};
  for (int step = 1; step <= steps; ++step) {
    training::sgd(par, a, g, step, options);
    training::sgd(par, b, g, step, options);
  }
  double mean = 0;
  for (std::size_t i = 0; i < n; ++i) {
    // Kahan: each step rounds the rest, which is below a last place of the weight, to 8 bits.
    const double x = static_cast<double>(static_cast<float>(kahan[i])) + static_cast<double>(static_cast<float>(rest[i]));
    BOOST_REQUIRE_LE(std::fabs(x - 0.99), steps * 0x1p-17 * 0.5);
    mean += static_cast<double>(static_cast<float>(chance[i])) / n;
  }
  // By chance: 1000 steps of one last place, 2^-8 below 1, each with probability 1/400: variance 1000 (1e-5) 2^-8 an element.
  BOOST_TEST(std::fabs(mean - 0.99) < 5 * std::sqrt(steps * 1e-5 * 0x1p-8 / n));
}

BOOST_AUTO_TEST_CASE(compensated_weights_round_twice) {
  tensors<float16> w(some_sizes, 7, 1);
  tensors<float16> rest(some_sizes, 8, 1e-4);
  const tensors<float16> w0 = w;
  const tensors<float16> rest0 = rest;
  tensors<float> g(some_sizes, 9, 1);
  std::vector<compensated_weights<float16>> records;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) records.push_back({of(w.data[t]), of(rest.data[t])});
  training::sgd(par.threads(2), records, g.views(), 1, {.rate = 0.01});
  std::int64_t wrong = 0;
  for (std::size_t t = 0; t < some_sizes.size(); ++t) {
    for (std::size_t i = 0; i < w.data[t].size(); ++i) {
      const float x = std::fma(-0.01F, g.data[t][i], static_cast<float>(w0.data[t][i]) + static_cast<float>(rest0.data[t][i]));
      const auto rounded = static_cast<float16>(x);
      wrong += w.data[t][i] != rounded || rest.data[t][i] != static_cast<float16>(x - static_cast<float>(rounded));
    }
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(nan_reaches_its_weight_alone) {
  std::vector<float> w(100, 1.0F);
  std::vector<float> m(100);
  std::vector<float> v(100);
  std::vector<float> g(100, 1.0F);
  g[3] = g[70] = g[99] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<view<float, 1>> ws{of(w)};
  const std::vector<view<float, 1>> gs{of(g)};
  const std::vector<view<float, 1>> ms{of(m)};
  const std::vector<view<float, 1>> vs{of(v)};
  const auto count = [&] {
    int bad = 0;
    for (std::size_t i = 0; i < 100; ++i) bad += std::isnan(w[i]) != (i == 3 || i == 70 || i == 99);
    return bad;
  };
  training::lion(tessera::seq, ws, gs, ms, 1);
  BOOST_TEST(count() == 0);
  std::fill(w.begin(), w.end(), 1.0F);
  std::fill(m.begin(), m.end(), 0.0F);
  training::adamw(tessera::seq, ws, gs, ms, vs, 1);
  BOOST_TEST(count() == 0);
}

BOOST_AUTO_TEST_CASE(misuse_of_optimizers_is_named) {
  tensors<float> w({4, 6}, 1, 1);
  tensors<float> g({4, 6}, 2, 1);
  tensors<float> m({4, 6});
  tensors<float> v({4, 6});
  const tensors<float> before = w;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto call = [&](training::adam_options o, std::int64_t step = 1) {
    training::adamw(tessera::seq, w.views(), g.views(), m.views(), v.views(), step, o);
  };
  CHECK_REFUSED("training::adamw: options.rate: nan; ", call({.rate = nan}));
  CHECK_REFUSED("training::adamw: options.rate: -1; ", call({.rate = -1}));
  CHECK_REFUSED("training::adamw: options.beta1: 1; ", call({.beta1 = 1}));
  CHECK_REFUSED("training::adamw: options.beta2: -0.5; ", call({.beta2 = -0.5}));
  CHECK_REFUSED("training::adamw: options.epsilon: nan; ", call({.epsilon = nan}));
  CHECK_REFUSED("training::adamw: options.weight_decay: inf; ", call({.weight_decay = std::numeric_limits<double>::infinity()}));
  CHECK_REFUSED("training::adamw: options.gradient_factor: nan; ", call({.gradient_factor = nan}));
  CHECK_REFUSED("training::adamw: step: 0; ", call({}, 0));
  const auto with = [&](auto ws, auto gs, auto ms, auto vs) { training::adamw(tessera::seq, ws, gs, ms, vs, 1); };
  const std::vector<view<float, 1>> none;
  CHECK_REFUSED("training::adamw: gradients: an empty list; ", with(none, none, none, none));
  const auto cut = [](std::vector<view<float, 1>> x) {
    x[1] = view<float, 1>(x[1].data_handle(), 5);
    return x;
  };
  const auto less = [](std::vector<view<float, 1>> x) {
    x.pop_back();
    return x;
  };
  CHECK_REFUSED("training::adamw: weights: 1 tensors; ", with(less(w.views()), g.views(), m.views(), v.views()));
  CHECK_REFUSED("training::adamw: weights[1]: 5 elements; ", with(cut(w.views()), g.views(), m.views(), v.views()));
  CHECK_REFUSED("training::adamw: first: 1 tensors; ", with(w.views(), g.views(), less(m.views()), v.views()));
  CHECK_REFUSED("training::adamw: second[1]: 5 elements; ", with(w.views(), g.views(), m.views(), cut(v.views())));
  CHECK_REFUSED("training::adamw: second[0]: overlaps its weights or gradients; ",
                with(w.views(), g.views(), m.views(), m.views()));
  CHECK_REFUSED("training::adamw: weights[0]: overlaps its gradients; ", with(w.views(), w.views(), m.views(), v.views()));
  std::vector<bfloat16> copy(4);
  std::vector<master_weights<bfloat16>> records{{of(w.data[0]), of(copy)}, {of(w.data[1]), of(copy)}};
  CHECK_REFUSED("training::adamw: weights[1].copy: 4 elements; ", with(records, g.views(), m.views(), v.views()));
  std::vector<bfloat16> a(4);
  std::vector<bfloat16> b(6);
  std::vector<stochastic_weights<bfloat16>> chance{{of(a), 1, 0}, {of(b), 1, 1u << 24}};
  CHECK_REFUSED("training::adamw: weights[1].tensor: 16777216; ", with(chance, g.views(), m.views(), v.views()));
  CHECK_REFUSED("training::sgd: options.nesterov: true; ",
                training::sgd(tessera::seq, w.views(), g.views(), m.views(), 1, {.momentum = 0, .nesterov = true}));
  BOOST_TEST((w == before));
  BOOST_TEST((m == v));
}

}  // namespace
