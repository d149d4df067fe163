// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/attention/forward.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "oracle.hpp"

namespace {

using oracle::inputs;
using oracle::shape;
using support::array;
using support::normals;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;
constexpr attention::options<> causal{.mask = attention::causal};
constexpr attention::options<> causal_top_left{.mask = {.right = 0, .alignment = attention::alignment::top_left}};

// Lengths around chunks (96) and panels (16, 32, 48 queries), head_dims around registers; GQA and MQA; more queries than keys.
constexpr shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1},     {1, 1, 1, 2, 3, 0, 5},      {1, 2, 1, 3, 2, 2, 1},      {2, 1, 1, 5, 7, 3, 0},
    {1, 3, 3, 7, 5, 8, 15},    {1, 4, 2, 8, 95, 15, 16},   {1, 1, 1, 15, 96, 16, 17},  {2, 2, 1, 16, 97, 17, 31},
    {1, 1, 1, 17, 100, 31, 7}, {1, 1, 1, 31, 191, 33, 64}, {1, 6, 3, 33, 192, 5, 2},   {1, 1, 1, 47, 193, 64, 8},
    {1, 1, 1, 48, 288, 7, 33}, {1, 2, 2, 49, 289, 65, 3},  {1, 1, 1, 64, 1, 100, 100}, {1, 1, 1, 65, 63, 128, 65},
    {1, 1, 1, 97, 31, 1, 128}, {1, 1, 1, 129, 257, 9, 10}, {1, 1, 1, 0, 50, 8, 8},     {2, 2, 2, 20, 0, 8, 8},
    {1, 1, 1, 300, 500, 4, 4}, {0, 2, 2, 5, 5, 5, 5},      {1, 1, 1, 1, 2000, 12, 6},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_forward)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound_for_every_shape_and_mask) {
  support::worst out;
  support::worst lse;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const shape& x = shapes[s];
    const support::placement where{static_cast<std::int64_t>(s % 3), s % 2 == 1};
    inputs<float> in(x, where);
    in.q.fill(normals(s, 2));
    in.k.fill(normals(s + 100));
    in.v.fill(normals(s + 200));
    oracle::check<float>(out, lse, seq, in, {}, where);
    oracle::check<float>(out, lse, par.threads(2), in, causal, where);
    oracle::check<float>(out, lse, seq, in, causal_top_left);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Logits far beyond +-1e4, of one sign, rising along the keys (every chunk rescales), and a negative or zero scale.
BOOST_AUTO_TEST_CASE(extreme_logits_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  inputs<float> in(1, 1, 1, 40, 400, 24, 9);
  in.v.fill(normals(1));
  const auto check = [&](const attention::options<>& options = {}) { oracle::check<float>(out, lse, seq, in, options); };
  in.q.fill(normals(2, 300));
  in.k.fill(normals(3, 300));
  check();
  check({.scale = -1});
  check({.scale = 0});
  check({.scale = 1e-30});
  in.q.fill([](std::uint64_t) { return 40; });
  in.k.fill([](std::uint64_t n) { return 3 + 0.01 * static_cast<double>(n / 24); });  // rising
  check({.scale = 0.01});
  check({.scale = 1, .mask = attention::causal});
  check({.scale = -1});                          // falling
  in.k.fill([](std::uint64_t) { return 1e4; });  // all alike
  check();
  in.q.fill([](std::uint64_t n) { return support::spread(4, n, -60, 40); });
  in.k.fill([](std::uint64_t n) { return support::spread(5, n, -60, 20); });
  check();
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// One large weight and 191 that each just fail to change the mass: every rounding of the sum is lost to the same side.
BOOST_AUTO_TEST_CASE(bounds_hold_where_every_rounding_goes_the_same_way) {
  support::worst out;
  support::worst lse;
  for (const double fall : {24.001, 24.5, 25.001}) {
    inputs<float> in(1, 1, 1, 1, 192, 1, 2);
    const double half = fall / 2 * std::log(2.0);
    in.q.fill([](std::uint64_t) { return 1; });
    in.k.fill([&](std::uint64_t n) { return n == 0 ? half : -half; });
    in.v.fill([](std::uint64_t n) { return n < 2 ? 1.01 : n % 2 == 0 ? -1.0 : 0.5; });
    oracle::check<float>(out, lse, seq, in, {.scale = 1});
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(large_and_tiny_values_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  inputs<float> in(1, 1, 1, 20, 250, 16, 20);
  in.q.fill(normals(1));
  in.k.fill(normals(2));
  in.v.fill([](std::uint64_t n) { return support::spread(3, n, -40, 40); });
  oracle::check<float>(out, lse, seq, in);
  in.v.fill([](std::uint64_t n) { return n % 2 == 0 ? 1e34 : -1e34; });
  oracle::check<float>(out, lse, seq, in);
  in.v.fill([](std::uint64_t n) { return 1e-42 * static_cast<double>(n % 5); });
  oracle::check<float>(out, lse, seq, in);
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Weights of hardly anything on values of nearly infinity.
BOOST_AUTO_TEST_CASE(faint_weights_on_large_values_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  inputs<float> in(1, 1, 1, 1, 400, 1, 2);
  in.q.fill([](std::uint64_t) { return 1; });
  in.v.fill([](std::uint64_t n) { return n / 2 == 200 ? 1.0 : 1e30 * support::normal(1, n); });
  for (const double behind : {10.0, 40.0, 43.0, 43.6, 43.8, 44.0, 45.0, 60.0, 80.0, 100.0}) {
    in.k.fill([=](std::uint64_t n) { return n == 200 ? 0 : -behind; });
    oracle::check<float>(out, lse, seq, in, {.scale = 1});
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(rows_without_a_key_are_zero_with_lse_of_minus_infinity) {
  for (const std::int64_t len_k : {0, 3, 97}) {
    const std::int64_t len_q = len_k + 60;  // bottom right: the first 60 queries see nothing
    inputs<float> in(1, 1, 1, len_q, len_k, 4, 5);
    in.q.fill(normals(1));
    in.k.fill(normals(2));
    in.v.fill(normals(3));
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), causal);
    for (std::int64_t i = 0; i < len_q; ++i) {
      const bool empty = i < 60;
      BOOST_TEST((lse(0, 0, i) == -std::numeric_limits<float>::infinity()) == empty);
      for (std::int64_t c = 0; c < 5; ++c) {
        const float want = empty ? 0 : out(0, 0, i, c);
        BOOST_TEST(std::memcmp(&out(0, 0, i, c), &want, sizeof(float)) == 0);  // +0
      }
      if (i == 60) BOOST_TEST(std::memcmp(&out(0, 0, i, 0), &in.v(0, 0, 0, 0), 5 * sizeof(float)) == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(values_of_one_give_exactly_one) {
  for (const double factor : {0.1, 3.0, 100.0}) {
    inputs<float> in(1, 1, 1, 70, 1000, 20, 3);
    in.q.fill(normals(1, factor));
    in.k.fill(normals(2));
    in.v.fill([](std::uint64_t) { return 1; });
    array<float, 4> out(in.out_extents());
    for (const auto& options : {attention::options{}, causal}) {
      attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
      for (const float x : out.elements()) BOOST_TEST(x == 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(one_hot_rows_give_the_bits_of_their_value) {
  const std::int64_t keys = 300;
  inputs<float> in(1, 1, 1, keys, keys, 2, 7);
  // q . k = 1000 cos(angle between them): the key of the same angle wins by more than 126 powers of two.
  const auto circle = [](double radius) {
    return [=](std::uint64_t n) {
      const double angle = 6.283185307179586 * static_cast<double>(n / 2) / 300;
      return radius * (n % 2 == 0 ? std::cos(angle) : std::sin(angle));
    };
  };
  in.q.fill(circle(1e3));
  in.k.fill(circle(1e3));
  in.v.fill([](std::uint64_t n) { return support::spread(1, n, -120, 120); });
  array<float, 4> out(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), {.scale = 1});
  BOOST_TEST(out.elements() == in.v.elements(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(nan_that_a_row_sees_reaches_it_and_only_it) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t len = 210;
  for (const std::int64_t at : {0, 5, 95, 96, 100, 209}) {
    for (const int where : {0, 1, 2}) {  // in the query, the key or the value
      inputs<float> in(1, 1, 1, len, len, 20, 9);
      in.q.fill(normals(1));
      in.k.fill(normals(2));
      in.v.fill(normals(3));
      array<float, 4> clean(in.out_extents());
      array<float, 4> out(in.out_extents());
      array<float, 3> lse(in.lse_extents());
      attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), clean.view(), causal);
      (where == 0 ? in.q(0, 0, at, 3) : where == 1 ? in.k(0, 0, at, 19) : in.v(0, 0, at, 8)) = nan;
      attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), causal);
      int wrong = 0;
      for (std::int64_t i = 0; i < len; ++i) {
        const bool reached = where == 0 ? i == at : i >= at;
        wrong += std::isnan(lse(0, 0, i)) != (reached && where < 2);
        for (std::int64_t c = 0; c < 9; ++c) {
          const bool want_nan = reached && (where < 2 || c == 8);
          const float x = out(0, 0, i, c);
          const bool right = want_nan ? std::isnan(x) : std::memcmp(&x, &clean(0, 0, i, c), sizeof(float)) == 0;
          wrong += !right;
        }
      }
      BOOST_TEST_INFO("at " << at << " where " << where);
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(infinities_act_as_in_ieee_arithmetic) {
  const float inf = std::numeric_limits<float>::infinity();
  inputs<float> in(1, 1, 1, 3, 120, 2, 3);
  in.q.fill([](std::uint64_t n) { return n % 2 == 0 ? 1.0 : 0.5; });
  in.k.fill([](std::uint64_t n) { return 0.01 * static_cast<double>(n % 7); });
  in.v.fill(normals(1));
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  const auto run = [&] { attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view()); };

  support::worst out_errors;
  support::worst lse_errors;
  in.k(0, 0, 3, 0) = -inf;  // a key of logit -inf adds nothing
  run();
  oracle::compare(out_errors, lse_errors, in, out, lse, attention::options<>{});
  for (std::int64_t j = 0; j < 120; ++j) in.k(0, 0, j, 0) = -inf;  // all of them: an empty row
  run();
  oracle::compare(out_errors, lse_errors, in, out, lse, attention::options<>{});
  BOOST_TEST((out(0, 0, 1, 1) == 0 && lse(0, 0, 1) == -inf));
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);

  in.k.fill([](std::uint64_t) { return 0.5; });
  in.k(0, 0, 100, 1) = inf;  // a logit of +inf
  run();
  BOOST_TEST((std::isnan(out(0, 0, 1, 1)) && std::isnan(lse(0, 0, 1))));

  in.k.fill([](std::uint64_t) { return 0.5; });
  in.v(0, 0, 7, 2) = inf;
  run();
  BOOST_TEST((out(0, 0, 2, 2) == inf && std::isfinite(out(0, 0, 2, 1)) && std::isfinite(lse(0, 0, 2))));
}

BOOST_AUTO_TEST_CASE(no_head_dim_averages_and_no_value_dim_still_gives_lse) {
  inputs<float> in(1, 2, 1, 3, 10, 0, 0);
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view());
  for (const float x : lse.elements()) BOOST_TEST(x == std::log(10.0f), boost::test_tools::tolerance(1e-6f));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_batch_and_row_alone) {
  inputs<float> in(2, 4, 2, 150, 290, 24, 10);
  in.q.fill(normals(1, 3));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  for (const auto& options : {attention::options{}, causal}) {
    array<float, 4> whole(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), whole.view(), lse.view(), options);
    const auto same_with = [&](const auto& exec) {
      array<float, 4> out(in.out_extents());
      array<float, 3> other(in.lse_extents());
      attention::forward(exec, in.q.view(), in.k.view(), in.v.view(), out.view(), other.view(), options);
      return out.same_elements(whole) && other.same_elements(lse);
    };
    BOOST_TEST(same_with(par.threads(1)));
    BOOST_TEST(same_with(par.threads(2)));
    BOOST_TEST(same_with(par.threads(3)));
    BOOST_TEST(same_with(par.on(support::thread_per_call{5})));
    BOOST_TEST(same_with(par.on(support::one_by_one{})));

    // Rows of one head alone; under the causal mask the diagonal must stay where it was.
    const auto q = in.q.view();
    const auto k = in.k.view();
    const auto v = in.v.view();
    for (const std::int64_t first : {0, 1, 47, 48, 95, 149}) {
      for (const std::int64_t count : {1, 2, 50}) {
        if (first + count > 150) continue;
        const std::int64_t keys = options.mask.right == 0 ? 140 + first + count : 290;  // bottom right
        array<float, 4> out({1, 1, count, 10});
        const view<const float, 4> q_rows(&q(1, 3, first, 0), {1, 1, count, 24}, {0, 0, 24, 1});
        const view<const float, 4> k_head(&k(1, 1, 0, 0), {1, 1, keys, 24}, {0, 0, 24, 1});
        const view<const float, 4> v_head(&v(1, 1, 0, 0), {1, 1, keys, 10}, {0, 0, 10, 1});
        attention::forward(seq, q_rows, k_head, v_head, out.view(), options);
        BOOST_TEST_INFO("rows from " << first << ", " << count);
        BOOST_TEST(std::memcmp(&out(0, 0, 0, 0), &whole(1, 3, first, 0), static_cast<std::size_t>(count) * 10 * sizeof(float)) ==
                   0);
      }
    }
  }
}

// More heads than are packed at a time: 32 MiB hold fewer than 90 heads of 4000 keys of 12 + 12 numbers.
BOOST_AUTO_TEST_CASE(heads_beyond_the_packing_limit_give_the_same_bits) {
  inputs<float> one(1, 1, 1, 2, 4000, 8, 8);
  one.q.fill(normals(1));
  one.k.fill(normals(2));
  one.v.fill(normals(3));
  array<float, 4> want(one.out_extents());
  attention::forward(seq, one.q.view(), one.k.view(), one.v.view(), want.view());
  const std::int64_t heads = 150;
  const view<const float, 4> q(&one.q(0, 0, 0, 0), {2, heads, 2, 8}, {0, 0, 8, 1});
  const view<const float, 4> k(&one.k(0, 0, 0, 0), {2, heads, 4000, 8}, {0, 0, 8, 1});
  const view<const float, 4> v(&one.v(0, 0, 0, 0), {2, heads, 4000, 8}, {0, 0, 8, 1});
  array<float, 4> out({2, heads, 2, 8});
  support::counting_resource memory;
  attention::forward(par.threads(2).scratch(&memory), q, k, v, out.view());
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.bytes() < (std::size_t{36} << 20));
  int wrong = 0;
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) wrong += std::memcmp(&out(b, h, 0, 0), &want(0, 0, 0, 0), 16 * sizeof(float)) != 0;
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(takes_scratch_once_from_the_given_resource) {
  inputs<float> in(2, 3, 3, 70, 200, 16, 16);
  in.q.fill(normals(1));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  support::counting_resource memory;
  array<float, 4> out(in.out_extents());
  attention::forward(par.threads(2).scratch(&memory), in.q.view(), in.k.view(), in.v.view(), out.view());
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.all_returned());

  array<float, 4> untouched(in.out_extents());
  support::exhausted_resource none;
  BOOST_CHECK_THROW(attention::forward(seq.scratch(&none), in.q.view(), in.k.view(), in.v.view(), untouched.view()),
                    std::bad_alloc);
  BOOST_TEST(untouched.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
