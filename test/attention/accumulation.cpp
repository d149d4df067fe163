// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What sums are made in: float64 whatever the storage, and float32 that keeps what it loses.
#include "tessera/attention/accumulation.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "backward_oracle.hpp"
#include "tessera/attention/accumulate.hpp"
#include "tessera/attention/jvp.hpp"
#include "two_paths.hpp"

namespace {

using oracle::inputs;
using support::array;
using tessera::par;
using tessera::view;
using two_paths::differences;
using two_paths::fill;
namespace attention = tessera::attention;
const auto seq = par.threads(1);  // one type of executor for all calls: each is half the compiler's work
constexpr float inf = std::numeric_limits<float>::infinity();

using float64_options = attention::options<attention::band, attention::plain_score, attention::float64_sums>;
using compensated_options = attention::options<attention::band, attention::plain_score, attention::compensated_sums>;

/// The same numbers in float64.
template <std::size_t Rank>
array<double, Rank> widened(const array<float, Rank>& x, const std::array<std::int64_t, Rank>& extents) {
  array<double, Rank> result(extents);
  const std::vector<float> elements = x.elements();
  return result.fill([&](std::uint64_t n) { return static_cast<double>(elements[n]); });
}
std::array<std::int64_t, 4> extents(const array<float, 4>& x) {
  const auto v = x.view();
  return {v.extent(0), v.extent(1), v.extent(2), v.extent(3)};
}
inputs<double> widened(const inputs<float>& in) {
  const auto q = in.q.view();
  const auto k = in.k.view();
  inputs<double> result(q.extent(0), q.extent(1), k.extent(1), q.extent(2), k.extent(2), q.extent(3), in.v.view().extent(3));
  result.q = widened(in.q, extents(in.q));
  result.k = widened(in.k, extents(in.k));
  result.v = widened(in.v, extents(in.v));
  return result;
}

/// Column c of the result of one query of 1 and keys of one number each.
double mean(const inputs<float>& in, std::int64_t c) {
  const auto k = in.k.view();
  const auto v = in.v.view();
  double mass = 0;
  double sum = 0;
  for (std::int64_t j = 0; j < v.extent(2); ++j) {
    const double weight = std::exp(static_cast<double>(k(0, 0, j, 0)));
    mass += weight;
    sum += weight * static_cast<double>(v(0, 0, j, c));
  }
  return sum / mass;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_accumulation)

BOOST_AUTO_TEST_CASE(options_are_spelt_as_before) {
  const attention::options plain{.mask = attention::causal};
  static_assert(std::is_same_v<decltype(plain), const attention::options<>>);
  const attention::options wide{.mask = attention::causal, .accumulation = attention::in_float64};
  static_assert(std::is_same_v<decltype(wide), const float64_options>);
  const attention::options kept{.accumulation = attention::compensated};
  static_assert(std::is_same_v<decltype(kept), const compensated_options>);
  BOOST_TEST(!kept.scale.has_value());
}

// Float32 widens exactly, so float64 sums of it are those of the widened numbers, bit for bit.
BOOST_AUTO_TEST_CASE(float64_has_the_bits_of_widened_inputs) {
  for (const std::int64_t len_q : {std::int64_t{5}, std::int64_t{140}}) {
    inputs<float> in(2, 4, 2, len_q, 301, 17, 9);
    inputs<float> along(2, 4, 2, len_q, 301, 17, 9);
    fill(in, 1);
    fill(along, 5);
    const inputs<double> wide_in = widened(in);
    const inputs<double> wide_along = widened(along);
    float64_options options{.mask = attention::causal};
    options.dropout = {.rate = 0.2, .seed = 4};
    attention::options<> plain{.mask = attention::causal};
    plain.dropout = options.dropout;

    array<double, 4> out(in.out_extents()), want(in.out_extents());
    array<double, 3> lse(in.lse_extents()), want_lse(in.lse_extents());
    attention::forward(par.threads(2), in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
    attention::forward(seq, wide_in.q.view(), wide_in.k.view(), wide_in.v.view(), want.view(), want_lse.view(), plain);
    BOOST_TEST((out.same_elements(want) && lse.same_elements(want_lse)));

    array<double, 3> max(in.lse_extents()), mass(in.lse_extents());
    array<double, 4> sums(in.out_extents()), parts(in.out_extents());
    const attention::states<double> states{max.view(), mass.view(), sums.view()};
    attention::reset(states);
    attention::accumulate(seq, in.q.view(), in.k.view(), in.v.view(), states, {0, 0, len_q, 301}, options);
    attention::finish(seq, states, parts.view(), options);
    BOOST_TEST(parts.same_elements(want));

    array<float, 4> dout(in.out_extents());
    dout.fill([](std::uint64_t n) { return support::normal(9, n); });
    const array<double, 4> wide_dout = widened(dout, in.out_extents());
    array<double, 4> dq(extents(in.q)), dk(extents(in.k)), dv(extents(in.v));
    array<double, 4> want_dq(extents(in.q)), want_dk(extents(in.k)), want_dv(extents(in.v));
    attention::backward(par.threads(2), in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), dout.view(), dq.view(),
                        dk.view(), dv.view(), options);
    attention::backward(seq, wide_in.q.view(), wide_in.k.view(), wide_in.v.view(), want.view(), want_lse.view(), wide_dout.view(),
                        want_dq.view(), want_dk.view(), want_dv.view(), plain);
    BOOST_TEST((dq.same_elements(want_dq) && dk.same_elements(want_dk) && dv.same_elements(want_dv)));

    array<double, 4> moved(in.out_extents()), want_moved(in.out_extents());
    attention::jvp(seq, in.q.view(), in.k.view(), in.v.view(), along.q.view(), along.k.view(), along.v.view(), out.view(),
                   moved.view(), options);
    attention::jvp(seq, wide_in.q.view(), wide_in.k.view(), wide_in.v.view(), wide_along.q.view(), wide_along.k.view(),
                   wide_along.v.view(), want.view(), want_moved.view(), plain);
    BOOST_TEST(moved.same_elements(want_moved));
  }
}

// Keys of equal weight whose values are such that every chunk's sum loses 0.49 of the last place to the running one. In the second round
// the last keys weigh more: what was lost has to be rescaled with the rest.
BOOST_AUTO_TEST_CASE(compensated_sums_hold_a_bound_that_plain_ones_break) {
  constexpr std::int64_t keys = 1 << 20;
  constexpr double u = 0x1p-24;
  for (const double last : {0.0, 3.0}) {
    inputs<float> in(1, 1, 1, 1, keys, 1, 3);
    in.q.fill([](std::uint64_t) { return 1; });
    in.k.fill([=](std::uint64_t j) { return j >= keys / 192 * 192 ? last : 0; });
    // Columns: sums that lose alike, large numbers that cancel, ones.
    in.v.fill([](std::uint64_t n) {
      const std::uint64_t j = n / 3;
      return n % 3 == 0 ? 1 + 0.49 * 0x1p-4 / 192 : n % 3 == 1 ? (j % 2 == 0 ? 1e6 : -1e6) + (j % 384 < 192 ? 0.3 : 700) : 1.0;
    });
    const double chunks = static_cast<double>(keys) / 192;
    const double bound = 2 * (6 * last + 214 + chunks * chunks * u) * u + u;  // times the mean of |v|
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    const auto error = [&](std::int64_t c) { return std::fabs(static_cast<double>(out(0, 0, 0, c)) - mean(in, c)); };
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), compensated_options{.scale = 1.0});
    BOOST_TEST(error(0) <= bound * 1.01);
    BOOST_TEST(error(1) <= bound * 1e6);
    BOOST_TEST(out(0, 0, 0, 2) == 1.0f);
    const double mass = static_cast<double>(keys) + static_cast<double>(keys % 192) * (std::exp(last) - 1);
    BOOST_TEST(std::fabs(static_cast<double>(lse(0, 0, 0)) - std::log(mass)) <= (7 * last + 20) * u);
    // Far below the bound, in fact: what is left is the error of a chunk.
    BOOST_TEST(error(0) <= 64 * u);
    BOOST_TEST(differences<float>(par.threads(3), in, 1.0, compensated_options{}) == 0);
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), attention::options<>{.scale = 1.0});
    BOOST_TEST(error(0) > 2 * bound * 1.01);
  }
}

// Scores that rise a little with every chunk, values of one sign and then of the other: were what is summed multiplied by rounded factors, out
// would be wrong by 299 u, lse by 559 u. Factors that are powers of 2 leave the errors of a chunk and of a few roundings.
BOOST_AUTO_TEST_CASE(rising_scores_do_not_wear_compensated_sums_out) {
  constexpr std::int64_t chunks = 5461;
  constexpr std::int64_t keys = chunks * 192;
  inputs<float> in(1, 1, 1, 1, keys, 1, 1);
  in.q.fill([](std::uint64_t) { return 1; });
  in.k.fill([](std::uint64_t j) { return 1.5 * 0x1p-13 * static_cast<double>(j / 192); });
  in.v.fill([](std::uint64_t j) { return j < keys / 3 * 2 ? 1 : -1; });
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), compensated_options{.scale = 1.0});
  double mass = 0;
  for (std::int64_t c = 0; c < chunks; ++c) mass += 192 * std::exp(1.5 * 0x1p-13 * static_cast<double>(c));
  BOOST_TEST(std::fabs(static_cast<double>(out(0, 0, 0, 0)) - mean(in, 0)) <= 32 * 0x1p-24);
  BOOST_TEST(std::fabs(static_cast<double>(lse(0, 0, 0)) - std::log(mass)) <= 64 * 0x1p-24);
}

// Scores that rise, fall, jump and are drawn: the anchor moves by little, by much, beyond what weights reach, and not at all.
BOOST_AUTO_TEST_CASE(compensated_sums_are_within_their_bound) {
  support::worst out_errors;
  support::worst lse_errors;
  const auto check = [&](std::int64_t len_k, const auto& score) {
    inputs<float> in(1, 1, 1, 2, len_k, 1, 2);
    in.q.fill([](std::uint64_t n) { return n == 0 ? 1 : -0.5; });
    in.k.fill(score);
    in.v.fill([](std::uint64_t n) { return n % 2 == 0 ? support::normal(3, n) : 1e5 * (n % 4 == 1 ? 1.0 : -0.999); });
    oracle::check<float>(out_errors, lse_errors, par.threads(2), in, compensated_options{});
    BOOST_TEST(differences<float>(par.threads(3), in, 1.0, compensated_options{}) == 0);
  };
  check(200000, [](std::uint64_t j) { return 1e-5 * static_cast<double>(j); });
  check(20000, [](std::uint64_t j) { return 1e-2 * static_cast<double>(j); });
  check(20000, [](std::uint64_t j) { return -1e-3 * static_cast<double>(j); });
  check(20000, [](std::uint64_t j) { return 40.0 * static_cast<double>(j / 700 % 3); });
  check(3000, [](std::uint64_t j) { return 0.3 * static_cast<double>(j / 192); });
  check(20000, [](std::uint64_t j) { return 3 * support::normal(8, j); });
  for (const std::int64_t len_q : {3, 131}) {
    inputs<float> in(2, 4, 2, len_q, 401, 16, 20);
    fill(in, static_cast<std::uint64_t>(len_q));
    oracle::check<float>(out_errors, lse_errors, par.threads(2), in, compensated_options{.mask = attention::causal});
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
}

BOOST_AUTO_TEST_CASE(compensated_bits_are_the_same_on_every_path) {
  const std::vector<float> sinks{0.5f, -1, 90, -inf, 3, 0, 0, 1};
  const std::vector<float> scales{0.7f, 3};
  std::uint64_t n = 0;
  for (const std::int64_t group : {1, 2, 4}) {
    for (const std::int64_t len_q : {1, 5, 70, 140}) {
      for (const std::int64_t len_k : {0, 1, 193, 999}) {
        inputs<float> in(2, 2 * group, 2, len_q, len_k, 9, 20);
        fill(in, ++n);
        compensated_options options{.mask = n % 2 == 0 ? attention::causal : attention::everything};
        if (n % 3 == 0) options.sinks = view<const float, 1>(sinks.data(), 2 * group);
        if (n % 5 == 0) options.value_scales = view<const float, 1>(scales.data(), 2);
        if (n % 4 == 0) options.dropout = {.rate = 0.3, .seed = n};
        if (n % 7 == 0 && len_k > 9) in.v.view()(0, 0, len_k - 3, 2) = n % 2 == 0 ? inf : -inf;
        if (n % 11 == 0 && len_k > 9) in.k.view()(0, 0, len_k - 2, 1) = std::numeric_limits<float>::quiet_NaN();
        BOOST_TEST_INFO("group " << group << " len_q " << len_q << " len_k " << len_k);
        BOOST_TEST(differences<float>(par.threads(static_cast<int>(n % 4) + 1), in, 0.3, options) == 0);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(compensated_special_values) {
  inputs<float> in(1, 1, 1, 3, 500, 1, 4);
  in.q.fill([](std::uint64_t) { return 1; });
  in.k.fill([](std::uint64_t j) { return j == 7 ? 200 : 0.01 * static_cast<double>(j % 50); });
  in.v.fill([](std::uint64_t n) { return n % 4 == 0 ? 1 : support::normal(1, n); });
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  const auto run = [&](const compensated_options& options) {
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
  };
  const compensated_options some{.mask = attention::band{.right = 10, .alignment = attention::alignment::top_left}};
  run(some);
  for (std::int64_t c = 0; c < 4; ++c) BOOST_TEST(out(0, 0, 0, c) == in.v(0, 0, 7, c));  // one-hot
  in.v.view()(0, 0, 8, 1) = inf;
  in.v.view()(0, 0, 9, 2) = std::numeric_limits<float>::quiet_NaN();
  in.v.view()(0, 0, 200, 3) = std::numeric_limits<float>::quiet_NaN();  // hidden
  in.k.view()(0, 0, 7, 0) = 0;
  run(some);
  BOOST_TEST(out(0, 0, 0, 0) == 1.0f);
  BOOST_TEST(out(0, 0, 0, 1) == inf);
  BOOST_TEST(std::isnan(out(0, 0, 0, 2)));
  BOOST_TEST(std::isfinite(out(0, 0, 0, 3)));
  in.k.view()(0, 0, 3, 0) = inf;
  run(some);
  BOOST_TEST((std::isnan(out(0, 0, 0, 0)) && std::isnan(lse(0, 0, 0))));
  run({.mask = attention::band{.right = -1, .alignment = attention::alignment::top_left}});
  BOOST_TEST((out(0, 0, 0, 0) == 0.0f && lse(0, 0, 0) == -inf));
}

BOOST_AUTO_TEST_SUITE_END()
