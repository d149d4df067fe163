// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What attention must not depend on, what it must give exactly, and where its numbers end.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "calls.hpp"

namespace {

using calls::every_score;
using calls::plain_score;
using oracle::shape;
using support::array;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr any::mask causal{.a = attention::causal};

oracle::inputs<float> data(const shape& x, double query_size = 2) {
  oracle::inputs<float> in(x);
  in.q.fill(normals(1, query_size));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  return in;
}

/// Few queries and many, which take different paths.
constexpr shape two_shapes[] = {{2, 4, 2, 7, 400, 20, 9}, {1, 2, 1, 150, 400, 20, 9}};

struct results {
  array<float, 4> out;
  array<float, 3> lse;

  template <class Score>
  results(const oracle::inputs<float>& in, const calls::options<Score>& options, int threads = 1)
      : out(in.out_extents()), lse(in.lse_extents()) {
    calls::forward(tessera::par.threads(threads), in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
  }
  [[nodiscard]] bool same(const results& other) const { return out.same_elements(other.out) && lse.same_elements(other.lse); }
};

/// Two results that would be equal in exact arithmetic, the second with its lse moved by `moved`: each is within its own bound.
void compare(support::worst& errors, const results& a, const std::vector<oracle::row_bound>& bound_a, const results& b,
             const std::vector<oracle::row_bound>& bound_b, double moved = 0) {
  const auto outs_a = a.out.elements();
  const auto outs_b = b.out.elements();
  const auto lses_a = a.lse.elements();
  const auto lses_b = b.lse.elements();
  std::size_t n = 0;
  for (std::size_t r = 0; r < bound_a.size(); ++r) {
    for (std::size_t c = 0; c < bound_a[r].out.size(); ++c, ++n) {
      errors(static_cast<double>(outs_b[n]), outs_a[n],
             bound_a[r].out[c] + bound_b[r].out[c] + 2 * support::rounding<float>(outs_a[n]), "row", r, "column", c);
    }
    const double want = static_cast<double>(lses_a[r]) + moved;
    errors(static_cast<double>(lses_b[r]), want,
           bound_a[r].lse + bound_b[r].lse + support::rounding<float>(want) + support::rounding<float>(lses_a[r]), "lse", r);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_properties)

// softmax(s + c) = softmax(s): the bound of the shifted call is that of its larger scores.
BOOST_AUTO_TEST_CASE(a_constant_added_to_all_logits_changes_nothing_but_lse) {
  support::worst errors;
  for (const shape& x : two_shapes) {
    const auto in = data(x);
    calls::score_parts parts(x.batch, x.heads, x.len_q, x.len_k);
    const calls::options<every_score> plain{.mask = causal, .score = parts.score()};
    const results want(in, plain);
    const auto bound = oracle::bounds(in, plain);
    for (const float shift : {1.0F, -37.5F, 1000.0F, -6e4F, 1e5F}) {
      parts.bias = view<const float, 4>(&shift, {x.batch, x.heads, x.len_q, x.len_k}, {0, 0, 0, 0});
      const calls::options<every_score> shifted{.mask = causal, .score = parts.score()};
      compare(errors, want, bound, results(in, shifted), oracle::bounds(in, shifted), static_cast<double>(shift));
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(the_order_of_the_keys_changes_roundings_alone) {
  support::worst errors;
  for (const shape& x : two_shapes) {
    const auto in = data(x, 5);
    const calls::options<plain_score> options;
    const results want(in, options);
    const auto bound = oracle::bounds(in, options);
    for (std::int64_t order = 0; order < 3; ++order) {  // reversed, rotated, scattered
      oracle::inputs<float> moved = in;
      for (std::int64_t b = 0; b < x.batch; ++b) {
        for (std::int64_t h = 0; h < x.kv_heads; ++h) {
          for (std::int64_t j = 0; j < x.len_k; ++j) {
            const std::int64_t from = order == 0 ? x.len_k - 1 - j : order == 1 ? (j + 77) % x.len_k : (j * 171) % x.len_k;
            for (std::int64_t d = 0; d < x.head_dim; ++d) moved.k(b, h, j, d) = in.k(b, h, from, d);
            for (std::int64_t c = 0; c < x.value_dim; ++c) moved.v(b, h, j, c) = in.v(b, h, from, c);
          }
        }
      }
      const results got(moved, options);
      BOOST_TEST(!got.out.same_elements(want.out));
      compare(errors, want, bound, got, bound);
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

// What stands in another batch, another head or another row does not matter, whatever it is.
BOOST_AUTO_TEST_CASE(neighbours_do_not_touch_a_row) {
  for (const shape& x : two_shapes) {
    const auto in = data(x);
    const calls::options<plain_score> options{.mask = causal};
    const results want(in, options);
    oracle::inputs<float> other = in;
    const std::int64_t b = x.batch - 1;
    const std::int64_t h = 1;
    const std::int64_t row = x.len_q - 2;
    for (std::int64_t a = 0; a < x.batch; ++a) {
      for (std::int64_t g = 0; g < x.heads; ++g) {
        for (std::int64_t i = 0; i < x.len_q; ++i) {
          for (std::int64_t d = 0; d < x.head_dim; ++d) {
            if (a != b || g != h || i != row) other.q(a, g, i, d) = (i + d) % 3 == 0 ? not_a_number : 1e38F;
          }
        }
        if (a == b || g >= x.kv_heads) continue;
        for (std::int64_t j = 0; j < x.len_k; ++j) other.k(a, g, j, 0) = inf, other.v(a, g, j, 1) = not_a_number;
      }
    }
    for (const int threads : {1, 2, 3}) {
      const results got(other, options, threads);
      BOOST_TEST(std::memcmp(&got.out(b, h, row, 0), &want.out(b, h, row, 0), 9 * sizeof(float)) == 0);
      BOOST_TEST(std::memcmp(&got.lse(b, h, row), &want.lse(b, h, row), sizeof(float)) == 0);
    }
  }
}

// 1, 2, 4 or 8 keys of the same largest score, all others behind by more than float32 knows: the mean of their values, exactly.
BOOST_AUTO_TEST_CASE(repeated_maxima_give_the_exact_mean) {
  for (const shape& x : two_shapes) {
    for (const std::int64_t repeated : {1, 2, 4, 8}) {
      auto in = data(x);
      in.q.fill([](std::uint64_t) { return 1; });
      in.v.fill([](std::uint64_t n) { return static_cast<double>(support::below(3, n, 1024)) / 64; });
      const auto chosen = [&](std::int64_t j) { return j * repeated % x.len_k < repeated; };  // spread over all chunks
      in.k.fill([&](std::uint64_t n) { return chosen(static_cast<std::int64_t>(n) / x.head_dim % x.len_k) ? 7.25 : -7.25; });
      const results got(in, calls::options<plain_score>{.scale = 1});
      int wrong = 0;
      for (std::int64_t b = 0; b < x.batch; ++b) {
        for (std::int64_t h = 0; h < x.heads; ++h) {
          for (std::int64_t c = 0; c < x.value_dim; ++c) {
            float sum = 0;
            for (std::int64_t j = 0; j < x.len_k; ++j) sum += chosen(j) ? in.v(b, h * x.kv_heads / x.heads, j, c) : 0;
            for (std::int64_t i = 0; i < x.len_q; ++i) wrong += got.out(b, h, i, c) != sum / static_cast<float>(repeated);
          }
        }
      }
      BOOST_TEST_INFO("repeated " << repeated << " len_q " << x.len_q);
      BOOST_TEST(wrong == 0);
    }
  }
}

// Real logits far below any sentinel: a row of them is as live as any other.
BOOST_AUTO_TEST_CASE(logits_far_below_and_above_are_no_sentinels) {
  support::worst out;
  support::worst lse;
  for (const shape& x : two_shapes) {
    auto in = data(x);
    in.q.fill([](std::uint64_t n) { return 1 + 1e-3 * support::normal(1, n); });
    for (const double level : {-5e4, -1e5, -3e8, -1e30, 1e4, 3e8, 1e30}) {
      in.k.fill([&](std::uint64_t n) { return level / 20 * (1 + 1e-6 * support::normal(2, n)); });
      const calls::options<plain_score> options{.scale = 1, .mask = causal};
      const results got(in, options);
      oracle::compare(out, lse, in, got.out, got.lse, options);
      for (const float value : got.lse.elements()) BOOST_TEST_REQUIRE((std::isfinite(value) && (value < 0) == (level < 0)));
      in.v.fill([](std::uint64_t) { return 1; });
      const results ones(in, options);
      int wrong = 0;
      for (const float value : ones.out.elements()) wrong += value != 1;
      BOOST_TEST(wrong == 0);
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Odd sizes of heads from 1 to 257, for both paths and the gradients.
BOOST_AUTO_TEST_CASE(every_odd_size_is_within_its_bound) {
  support::worst out;
  support::worst lse;
  oracle::gradient_errors errors;
  constexpr std::int64_t dims[] = {1,  3,  5,  7,  9,  13, 15,  17,  23,  31,  33,  47, 49,
                                   63, 65, 79, 81, 95, 97, 127, 129, 191, 193, 255, 257};
  for (std::size_t n = 0; n < std::size(dims); ++n) {
    const std::int64_t value_dim = dims[(n * 7 + 3) % std::size(dims)];
    const calls::options<plain_score> options{.mask = causal};
    const auto many = data({1, 1, 1, 131, 195, dims[n], value_dim});
    const results got(many, options);
    oracle::compare(out, lse, many, got.out, got.lse, options);
    oracle::backward_call<float> call(data({1, 2, 1, 5, 197, dims[n], value_dim}));
    call.dout.fill(normals(4));
    calls::run(tessera::par.threads(1), call, options);
    oracle::compare(out, lse, call.in, call.out, call.lse, options);
    oracle::compare(errors, call, options);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// Sizes that models have: what the page of the bounds states of them.
BOOST_AUTO_TEST_CASE(long_rows_of_common_heads_are_within_the_bound) {
  for (const std::int64_t dim : {64, 128}) {
    support::worst out;
    support::worst lse;
    oracle::gradient_errors errors;
    oracle::backward_call<float> call(data({1, 1, 1, 24, 4096, dim, dim}, 1));
    call.dout.fill(normals(4));
    const calls::options<plain_score> options{.mask = causal};
    calls::run(tessera::par.threads(2), call, options);
    oracle::compare(out, lse, call.in, call.out, call.lse, options);
    oracle::compare(errors, call, options);
    double scores = 0;
    for (const oracle::row_bound& row : oracle::bounds(call.in, options)) scores = std::fmax(scores, row.scores);
    BOOST_TEST_MESSAGE("head_dim " << dim << ", 4096 keys, S " << scores);
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
    CHECK_GRADIENTS_WITHIN_BOUND(errors);
  }
}

// Denormal queries, keys, values and gradients are numbers as others are.
BOOST_AUTO_TEST_CASE(denormals_are_kept) {
  support::worst out;
  support::worst lse;
  for (const shape& x : two_shapes) {
    auto in = data(x);
    const auto denormal = [](std::uint64_t seed) {
      return [=](std::uint64_t n) { return 0x1p-149 * static_cast<double>(support::below(seed, n, 1 << 22)); };
    };
    in.q.fill(denormal(1));
    in.k.fill([](std::uint64_t n) { return 0x1p120 * support::normal(2, n); });
    in.v.fill(denormal(3));
    const calls::options<plain_score> options{.scale = 0x1p10};
    const results got(in, options);
    oracle::compare(out, lse, in, got.out, got.lse, options);
    bool some = false;
    for (const float value : got.out.elements()) some = some || (value > 0 && value < std::numeric_limits<float>::min());
    BOOST_TEST(some);
    in.k.fill(denormal(2));
    in.q.fill([](std::uint64_t n) { return 0x1p100 * support::normal(1, n); });
    const calls::options<plain_score> large{.scale = 0x1p22};  // scale q is formed first, and must be finite
    const results other(in, large);
    oracle::compare(out, lse, in, other.out, other.lse, large);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// A cap, a slope and a bias that do nothing give what no score gives; each alone is within the bound where scores are large and heads small,
// so that it is the roundings of the score that show.
BOOST_AUTO_TEST_CASE(scores_of_small_heads_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  std::vector<float> slopes{0.37F};
  for (const std::int64_t head_dim : {1, 2}) {
    for (std::int64_t len_k : {1, 2, 3, 100}) {
      const shape x{1, 1, 1, 300, len_k, head_dim, 3};
      auto in = data(x);
      in.q.fill(normals(11, 300));
      in.k.fill(normals(12, 300));
      array<float, 4> bias({1, 1, 300, len_k});
      bias.fill(normals(13, 3e4));
      calls::score_parts parts(1, 1, 300, len_k);
      for (int which = 0; which < 5; ++which) {
        parts.cap = which == 1 ? 1e6 : which == 2 ? 1e5 : 1e29;
        if (which == 3) parts.slopes = slopes;
        if (which == 4) parts.bias = std::as_const(bias).view();
        const calls::options<every_score> options{.scale = 1, .score = parts.score()};
        const results got(in, options);
        oracle::compare(out, lse, in, got.out, got.lse, options);
      }
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// A bias of NaN reaches the rows that see it, and no others.
BOOST_AUTO_TEST_CASE(nan_in_a_bias_reaches_who_sees_it) {
  for (const shape& x : two_shapes) {
    const auto in = data(x);
    array<float, 4> bias({1, 1, x.len_q, x.len_k});
    bias.fill(normals(5));
    calls::score_parts parts(x.batch, x.heads, x.len_q, x.len_k);
    parts.bias = view<const float, 4>(bias.view().data_handle(), {x.batch, x.heads, x.len_q, x.len_k}, {0, 0, x.len_k, 1});
    const calls::options<every_score> options{.mask = causal, .score = parts.score()};
    const results clean(in, options);
    const std::int64_t at = x.len_k - 3;  // rows before the last three do not see it
    for (std::int64_t i = 0; i < x.len_q; ++i) bias(0, 0, i, at) = not_a_number;
    const results got(in, options);
    int wrong = 0;
    for (std::int64_t i = 0; i < x.len_q; ++i) {
      const bool sees = at <= i + x.len_k - x.len_q;
      wrong += std::isnan(got.lse(0, 1, i)) != sees;
      for (std::int64_t c = 0; c < x.value_dim; ++c) {
        wrong += sees ? !std::isnan(got.out(0, 1, i, c)) : got.out(0, 1, i, c) != clean.out(0, 1, i, c);
      }
    }
    BOOST_TEST(wrong == 0);
  }
}

// No keys, no queries, a single key: empty rows, nothing, and the value itself. Gradients where there is nothing are 0.
BOOST_AUTO_TEST_CASE(lengths_of_zero_and_one) {
  for (const std::int64_t len_q : {0, 1, 5, 140}) {
    for (const std::int64_t len_k : {0, 1}) {
      auto in = data({2, 2, 1, len_q, len_k, 5, 6}, 1e4);
      in.v.fill([](std::uint64_t n) { return support::spread(3, n, -120, 120); });
      oracle::backward_call<float> call(in);
      call.dout.fill(normals(4));
      calls::run(tessera::par.threads(2), call, calls::options<plain_score>{});
      int wrong = 0;
      for (std::int64_t b = 0; b < 2; ++b) {
        for (std::int64_t h = 0; h < 2; ++h) {
          for (std::int64_t i = 0; i < len_q; ++i) {
            wrong += len_k == 0 && call.lse(b, h, i) != -inf;
            for (std::int64_t c = 0; c < 6; ++c) {
              const float want = len_k == 0 ? 0 : in.v(b, 0, 0, c);
              wrong += std::memcmp(&call.out(b, h, i, c), &want, sizeof want) != 0;
            }
            for (std::int64_t d = 0; d < 5; ++d) wrong += call.dq(b, h, i, d) != 0;
          }
        }
        for (std::int64_t d = 0; d < 5 && len_k == 1; ++d) wrong += call.dk(b, 0, 0, d) != 0;
        for (std::int64_t c = 0; c < 6 && len_k == 1 && len_q == 0; ++c) wrong += call.dv(b, 0, 0, c) != 0;
      }
      BOOST_TEST_INFO("len_q " << len_q << " len_k " << len_k);
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
