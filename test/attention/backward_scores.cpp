// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Scores, sinks and storage factors of attention::backward; finite differences of the specification.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "backward_oracle.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::par
#endif

namespace {

using oracle::backward_call;
using oracle::inputs;
using support::array;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

const auto exec = TESSERA_TESTED_EXECUTOR;

#if defined(TESSERA_TESTED_ON_DEVICE)  // a few tiles: the emulator takes its time
constexpr std::int64_t batch = 1;
#else
constexpr std::int64_t batch = 2;
#endif

template <class S = float>
backward_call<S> normal_call(std::int64_t heads, std::int64_t kv_heads, std::int64_t len_q, std::int64_t len_k,
                             std::int64_t head_dim, std::int64_t value_dim) {
  inputs<S> in(batch, heads, kv_heads, len_q, len_k, head_dim, value_dim);
  in.q.fill(normals(1));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  backward_call<S> call(in);
  call.dout.fill(normals(4));
  return call;
}

/// Within the bound, and with the same bits for every team.
template <class Options>
void check(const Options& options, std::int64_t len_q = 150, std::int64_t len_k = 290) {
  oracle::gradient_errors errors;
  backward_call<float> call = normal_call(4, 2, len_q, len_k, 20, 9);
  call.run(exec.threads(1), options);
  compare(errors, call, options);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
  backward_call<float> other = call;
  other.backward(exec.threads(3), options);
  BOOST_TEST(other.same_gradients(call));
}

template <class Score>
using with_score = attention::options<attention::band, Score>;

const float slopes[] = {0.5f, 0.25f, 0.0625f, 0.01f};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_backward_scores)

BOOST_AUTO_TEST_CASE(alibi_is_within_the_bound) {
  check(with_score<attention::alibi>{.mask = attention::causal, .score = {view<const float, 1>(slopes, 4)}});
}

BOOST_AUTO_TEST_CASE(softcap_then_alibi_is_within_the_bound) {
  const attention::alibi alibi{view<const float, 1>(slopes, 4)};
  const auto score = attention::softcap{2} >> alibi;
  check(with_score<std::remove_const_t<decltype(score)>>{.mask = attention::causal, .score = score});
}

BOOST_AUTO_TEST_CASE(bias_that_hides_pairs_is_within_the_bound) {
  array<float, 4> bias({1, 4, 150, 290});
  bias.fill([](std::uint64_t n) { return n % 11 == 3 ? -std::numeric_limits<double>::infinity() : 2 * support::normal(9, n); });
  const view<const float, 4> all(bias.view().data_handle(), {batch, 4, 150, 290}, {0, 150 * 290, 290, 1});
  check(with_score<attention::additive_bias<float>>{.score = {all}});
}

BOOST_AUTO_TEST_CASE(functions_of_the_product_are_within_the_bound) {
  const auto f = [](auto s, std::int64_t, std::int64_t h, auto, auto) {
    return s * s * decltype(s)(static_cast<float>(0.1 + 0.1 * static_cast<double>(h)));
  };
  const auto slope = [](auto s, std::int64_t, std::int64_t h, auto, auto) {
    return s * decltype(s)(static_cast<float>(2 * (0.1 + 0.1 * static_cast<double>(h))));
  };
  const attention::score_by score{f, slope};
  const with_score<std::remove_const_t<decltype(score)>> options{.scale = 0.2, .score = score};
  // The bound is that of a score that moves no faster than its product: |2 a s| <= 1 here.
  check(options);
}

BOOST_AUTO_TEST_CASE(sinks_and_storage_factors_are_within_the_bound) {
  const float sinks[] = {0.0f, 3.0f, -2.0f, 30.0f};
  check(attention::options<>{.mask = attention::causal, .sinks = view<const float, 1>(sinks, 4)});
}

// Factors of keys and values are as good as in them.
BOOST_AUTO_TEST_CASE(storage_factors_are_powers_of_two_in_keys_and_values) {
  const float key_scales[] = {0.5f, 2.0f};
  const float value_scales[] = {4.0f, 0.25f};
  backward_call<float> call = normal_call(4, 2, 150, 290, 20, 9);
  backward_call<float> other = call;
  call.run(exec, attention::options<>{.key_scales = view<const float, 1>(key_scales, 2),
                                      .value_scales = view<const float, 1>(value_scales, 2)});
  const auto times = [](auto& x, const float(&factors)[2]) {
    const auto v = x.view();
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t j = 0; j < v.extent(2); ++j) {
          for (std::int64_t d = 0; d < v.extent(3); ++d) x(b, h, j, d) *= factors[h];
        }
      }
    }
  };
  times(other.in.k, key_scales);
  times(other.in.v, value_scales);
  other.run(exec);
  times(other.dk, key_scales);
  times(other.dv, value_scales);
  BOOST_TEST(other.same_gradients(call));
}

// The specification itself: its gradients are the slopes of sum(dout * out).
BOOST_AUTO_TEST_CASE(the_specification_is_the_slope_of_the_result) {
  const float sinks[] = {0.5f, -1.0f};
  const attention::alibi alibi{view<const float, 1>(slopes, 2)};
  const auto score = attention::softcap{1.5} >> alibi;
  const with_score<std::remove_const_t<decltype(score)>> options{
      .scale = 0.7, .mask = attention::causal, .score = score, .sinks = view<const float, 1>(sinks, 2)};
  backward_call<double> call = normal_call<double>(2, 1, 6, 5, 3, 4);
  const auto loss = [&](const inputs<double>& in) {
    double sum = 0;
    tessera::reference::attention(in.q.view(), in.k.view(), in.v.view(), options,
                                  [&](auto b, auto h, auto i, const std::vector<double>& out, double) {
                                    for (std::size_t c = 0; c < out.size(); ++c) {
                                      sum += out[c] * call.dout(b, h, i, static_cast<std::int64_t>(c));
                                    }
                                  });
    return sum;
  };
  const auto gradients =
      tessera::reference::attention_backward(call.in.q.view(), call.in.k.view(), call.in.v.view(), call.dout.view(), options);
  const auto check_slopes = [&](array<double, 4> inputs<double>::* which, const std::vector<double>& want) {
    inputs<double> in = call.in;
    double* const x = (in.*which).view().data_handle();  // contiguous
    for (std::size_t n = 0; n < want.size(); ++n) {
      constexpr double step = 1e-5;
      const double before = x[n];
      x[n] = before + step;
      const double above = loss(in);
      x[n] = before - step;
      const double below = loss(in);
      x[n] = before;
      BOOST_TEST(std::fabs((above - below) / (2 * step) - want[n]) < 1e-8);
    }
  };
  check_slopes(&inputs<double>::q, gradients.dq);
  check_slopes(&inputs<double>::k, gradients.dk);
  check_slopes(&inputs<double>::v, gradients.dv);
}

BOOST_AUTO_TEST_SUITE_END()
