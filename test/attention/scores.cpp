// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Scores of attention, sinks and scales of keys and values: against formulas of the test's own, and calls against the reference.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"
#include "tessera/attention/score.hpp"
#include "tessera/simd/pack.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t batch = 2;
constexpr std::int64_t heads = 4;
constexpr float inf = std::numeric_limits<float>::infinity();

struct lengths {
  std::int64_t q;
  std::int64_t k;
};
constexpr lengths cases[] = {{1, 1}, {5, 7}, {70, 70}, {33, 250}, {90, 61}};

oracle::inputs<float> data(lengths n) {
  oracle::inputs<float> in(batch, heads, 2, n.q, n.k, 12, 9);
  in.q.fill([](std::uint64_t e) { return 2 * support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  return in;
}

/// The score of a head against formula(s, b, h, i, j), numbers and packs, its derivative against a difference, and a call.
template <class Score, class Formula>
void check(const Score& score, const Formula& formula, lengths n) {
  using P = tessera::simd::pack<float>;
  using I = tessera::simd::index_pack<float>;
  double worst = 0;
  double worst_slope = 0;
  int differing = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      const auto head = attention::detail::score_of(score, b, h, n.q, n.k);
      for (std::int64_t i = 0; i < n.q; i += 3) {
        for (std::int64_t j = 0; j < n.k; j += 2) {
          const double s = 8 * support::normal(7, static_cast<std::uint64_t>(i * n.k + j));
          const double want = formula(s, b, h, i, j);
          const auto error = [&](double got) { return std::fabs(got - want) / (std::fabs(want) + std::fabs(s)); };
          worst = std::fmax(worst, error(tessera::reference::scored(score, s, b, h, i, j, n.q, n.k)) * 0x1p29);
          const auto narrow = static_cast<float>(s);
          const float one = head(narrow, static_cast<std::int32_t>(i), static_cast<std::int32_t>(j));
          worst = std::fmax(worst, error(static_cast<double>(one)));
          const P lanes = head(P(narrow), I(static_cast<std::int32_t>(i)), I(static_cast<std::int32_t>(j)));
          differing += lanes.first() != one;
          if constexpr (requires { head.derivative(s, i, j); }) {
            const double step = 1e-4;
            const double slope = (formula(s + step, b, h, i, j) - formula(s - step, b, h, i, j)) / (2 * step);
            worst_slope = std::fmax(worst_slope, std::fabs(head.derivative(s, i, j) - slope));
          }
        }
      }
    }
  }
  BOOST_TEST(worst < 4 * 0x1p-23);
  BOOST_TEST(worst_slope < 1e-6);
  BOOST_TEST(differing == 0);
  support::worst out;
  support::worst lse;
  oracle::check<float>(out, lse, par.threads(2), data(n), attention::options{.mask = attention::causal, .score = score});
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_scores)

BOOST_AUTO_TEST_CASE(formulas) {
  const std::vector<float> slopes = {0.5f, 0.25f, 0.125f, 0};
  for (const lengths n : cases) {
    const auto linear_bias = [&](double s, std::int64_t, std::int64_t h, std::int64_t i, std::int64_t j) {
      return s - static_cast<double>(slopes[static_cast<std::size_t>(h)]) * std::fabs(static_cast<double>(i + n.k - n.q - j));
    };
    const attention::alibi biases{view<const float, 1>(slopes.data(), heads)};
    check(biases, linear_bias, n);
    const auto capped = [](double s, std::int64_t, std::int64_t, std::int64_t, std::int64_t) { return 5 * std::tanh(s / 5); };
    check(attention::softcap{5}, capped, n);
    check(
        attention::softcap{5} >> biases,
        [&](double s, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
          return linear_bias(capped(s, b, h, i, j), b, h, i, j);
        },
        n);
    std::vector<float> added(static_cast<std::size_t>(heads * n.k));
    for (std::size_t e = 0; e < added.size(); ++e) added[e] = static_cast<float>(support::normal(9, e));
    const view<const float, 4> bias(added.data(), {batch, heads, n.q, n.k}, {0, n.k, 0, 1});
    check(
        attention::additive_bias{bias},
        [&](double s, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
          return s + static_cast<double>(bias(b, h, i, j));
        },
        n);
    const auto by_pairs = [](auto s, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
      return s * static_cast<decltype(s)>(1 + (b + h + i * j) % 3) / 2;
    };
    check(by_pairs, by_pairs, n);
    const auto by_packs = [](auto s, auto, auto, auto, auto) { return s * decltype(s)(0.5f); };
    check(by_packs, by_packs, n);
    check(attention::score_by{by_packs, [](auto s, auto, auto, auto, auto) { return decltype(s)(0.5f); }}, by_packs, n);
  }
}

// A bias of -inf hides, and a row of them is empty.
BOOST_AUTO_TEST_CASE(minus_infinity_hides) {
  const auto in = data({6, 300});
  std::vector<float> added(6 * 300, 0);
  for (std::size_t j = 0; j < 300; ++j) {
    added[j] = -inf;
    if (j >= 10) added[300 + j] = -inf;
  }
  const attention::additive_bias bias{view<const float, 4>(added.data(), {batch, heads, 6, 300}, {0, 0, 300, 1})};
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), attention::options{.score = bias});
  for (std::int64_t c = 0; c < 9; ++c) BOOST_TEST(out(1, 2, 0, c) == 0);
  BOOST_TEST(lse(1, 2, 0) == -inf);
  array<float, 4> hidden(in.out_extents());
  const std::vector<float> zeros(300);
  attention::forward(
      seq, in.q.view(), in.k.view(), in.v.view(), hidden.view(),
      attention::options{
          .mask = [](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) { return i > 1 || (i == 1 && j < 10); },
          .score = attention::additive_bias{view<const float, 4>(zeros.data(), {batch, heads, 6, 300}, {0, 0, 0, 1})}});
  BOOST_TEST(std::memcmp(out.elements().data(), hidden.elements().data(), out.elements().size() * sizeof(float)) == 0);
}

BOOST_AUTO_TEST_CASE(sinks_take_their_share) {
  const std::vector<float> sinks = {3, -inf, 40, -2};
  const view<const float, 1> all(sinks.data(), heads);
  for (const lengths n : cases) {
    support::worst out;
    support::worst lse;
    oracle::check<float>(out, lse, seq, data(n), attention::options<>{.mask = attention::sliding_window(20, 0), .sinks = all});
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
  }
  // No key: the sink alone.
  const auto in = data({3, 0});
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), attention::options<>{.sinks = all});
  BOOST_TEST((lse(0, 0, 1) == 3 && lse(1, 1, 2) == -inf && out(0, 0, 1, 4) == 0 && out(1, 1, 2, 0) == 0));
  // A sink of weight 0 changes nothing.
  const std::vector<float> nothing(heads, -inf);
  const auto more = data({40, 300});
  array<float, 4> with(more.out_extents());
  array<float, 4> without(more.out_extents());
  attention::forward(seq, more.q.view(), more.k.view(), more.v.view(), with.view(),
                     attention::options<>{.sinks = view<const float, 1>(nothing.data(), heads)});
  attention::forward(seq, more.q.view(), more.k.view(), more.v.view(), without.view());
  BOOST_TEST(with.elements() == without.elements(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(key_and_value_scales) {
  const std::vector<float> of_keys = {0.25f, 3};
  const std::vector<float> of_values = {7, 0.5f};
  const attention::options<> options{.mask = attention::causal,
                                     .key_scales = view<const float, 1>(of_keys.data(), 2),
                                     .value_scales = view<const float, 1>(of_values.data(), 2)};
  const auto in = data({40, 200});
  array<float, 4> out(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
  double worst = 0;
  tessera::reference::attention(in.q.view(), in.k.view(), in.v.view(), options,
                                [&](auto b, auto h, auto i, const std::vector<double>& want, double) {
                                  for (std::int64_t c = 0; c < 9; ++c) {
                                    const double error = static_cast<double>(out(b, h, i, c)) - want[static_cast<std::size_t>(c)];
                                    worst = std::fmax(worst, std::fabs(error));
                                  }
                                });
  BOOST_TEST(worst < 2e-5);
}

BOOST_AUTO_TEST_CASE(misuse) {
  const auto in = data({5, 7});
  array<float, 4> out(in.out_extents());
  const auto refused = [&](const auto& options) {
    const std::string text =
        support::refusal([&] { attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options); });
    BOOST_TEST(out.untouched());
    return text.substr(0, text.find(": ", std::string("attention::forward: ").size()));
  };
  const std::vector<float> numbers(300);
  const view<const float, 1> three(numbers.data(), 3);
  BOOST_TEST(refused(attention::options{.score = attention::alibi{three}}) == "attention::forward: options.score.slopes");
  BOOST_TEST(refused(attention::options{.score = attention::softcap{0}}) == "attention::forward: options.score.cap");
  BOOST_TEST(refused(attention::options{.score = attention::softcap{-1} >> attention::alibi{three}}) ==
             "attention::forward: options.score.cap");
  BOOST_TEST(refused(attention::options{.score = attention::softcap{std::nan("")}}) == "attention::forward: options.score.cap");
  BOOST_TEST(refused(attention::options{.score = attention::additive_bias{view<const float, 4>(numbers.data(), 2, 4, 7, 5)}}) ==
             "attention::forward: options.score.bias");
  BOOST_TEST(refused(attention::options<>{.sinks = three}) == "attention::forward: options.sinks");
  BOOST_TEST(refused(attention::options<>{.key_scales = three}) == "attention::forward: options.key_scales");
  BOOST_TEST(refused(attention::options<>{.value_scales = three}) == "attention::forward: options.value_scales");
}

BOOST_AUTO_TEST_SUITE_END()
