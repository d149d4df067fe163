// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/attention/backward.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "backward_oracle.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::par
#endif

namespace {

using oracle::backward_call;
using oracle::inputs;
using oracle::shape;
using support::array;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

const auto exec = TESSERA_TESTED_EXECUTOR;
#if defined(TESSERA_TESTED_ON_DEVICE)  // a few tiles: the emulator takes its time
constexpr std::int64_t some_queries = 90, some_keys = 150;
constexpr std::int64_t nan_places[] = {5, 63, 96};
#else
constexpr std::int64_t some_queries = 250, some_keys = 490;
constexpr std::int64_t nan_places[] = {0, 5, 95, 96, 100, 191, 192, 209};
#endif
constexpr attention::options<> causal{.mask = attention::causal};
constexpr attention::options<> causal_top_left{.mask = {.right = 0, .alignment = attention::alignment::top_left}};

// Lengths around chunks of queries (96) and keys (192) and around panels; head_dims around registers; GQA and MQA; more queries than keys.
constexpr shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1},      {1, 2, 1, 3, 2, 2, 1},     {1, 3, 3, 7, 5, 8, 15},       {1, 4, 2, 8, 95, 15, 16},
    {1, 1, 1, 15, 96, 16, 17},  {2, 2, 1, 16, 97, 17, 31}, {1, 1, 1, 17, 100, 31, 7},    {1, 1, 1, 31, 191, 33, 64},
    {1, 6, 3, 33, 192, 5, 2},   {1, 1, 1, 47, 193, 64, 8}, {1, 1, 1, 48, 288, 7, 33},    {1, 2, 2, 49, 289, 65, 3},
    {1, 1, 1, 64, 1, 100, 100}, {1, 8, 1, 65, 63, 48, 65}, {1, 1, 1, 97, 31, 1, 131},    {1, 1, 1, 129, 257, 9, 10},
    {1, 1, 1, 0, 50, 8, 8},     {2, 2, 2, 20, 0, 8, 8},    {1, 1, 1, 300, 500, 4, 4},    {0, 2, 2, 5, 5, 5, 5},
    {1, 1, 1, 1, 2000, 12, 6},  {1, 1, 1, 400, 3, 12, 6},  {1, 1, 1, 95, 385, 80, 48},   {1, 2, 1, 192, 192, 131, 1},
    {1, 1, 1, 20, 30, 0, 5},    {1, 1, 1, 20, 30, 5, 0},   {1, 1, 1, 193, 400, 16, 128},
};

backward_call<float> normal_call(const shape& x, std::uint64_t seed, support::placement where = {}, double query_size = 2) {
  inputs<float> in(x, where);
  in.q.fill(normals(seed, query_size));
  in.k.fill(normals(seed + 100));
  in.v.fill(normals(seed + 200));
  backward_call<float> call(in, where);
  call.dout.fill(normals(seed + 300));
  return call;
}

void check(oracle::gradient_errors& errors, backward_call<float>& call, const attention::options<>& options = {}) {
  call.run(exec, options);
  compare(errors, call, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_backward)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound_for_every_shape_and_mask) {
  oracle::gradient_errors errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s % 3), s % 2 == 1};
    for (const auto& options : {attention::options<>{}, causal, causal_top_left}) {
      backward_call<float> call = normal_call(shapes[s], s, where);
      call.run(exec.threads(static_cast<int>(1 + s % 2)), options);
      BOOST_TEST((call.in.untouched() && call.dout.untouched() && call.gaps_untouched()));
      compare(errors, call, options);
    }
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// Logits far beyond +-1e4, of one sign, rising and falling along the keys, all alike; a negative, a zero and a tiny scale.
BOOST_AUTO_TEST_CASE(extreme_logits_are_within_the_bound) {
  oracle::gradient_errors errors;
  backward_call<float> call = normal_call({1, 1, 1, 40, 400, 24, 9}, 1);
  call.in.q.fill(normals(2, 300));
  call.in.k.fill(normals(3, 300));
  check(errors, call);
  check(errors, call, {.scale = -1});
  check(errors, call, {.scale = 0});
  check(errors, call, {.scale = 1e-30});
  call.in.q.fill([](std::uint64_t) { return 40; });
  call.in.k.fill([](std::uint64_t n) { return 3 + 0.01 * static_cast<double>(n / 24); });
  check(errors, call, {.scale = 0.01});
  check(errors, call, {.scale = 1, .mask = attention::causal});
  check(errors, call, {.scale = -1});
  call.in.k.fill([](std::uint64_t) { return 1e4; });  // repeated maxima
  check(errors, call);
  call.in.q.fill([](std::uint64_t n) { return support::spread(4, n, -60, 40); });
  call.in.k.fill([](std::uint64_t n) { return support::spread(5, n, -60, 20); });
  check(errors, call);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(large_and_tiny_gradients_and_values_are_within_the_bound) {
  oracle::gradient_errors errors;
  backward_call<float> call = normal_call({1, 2, 1, 120, 250, 16, 20}, 7);
  call.in.v.fill([](std::uint64_t n) { return support::spread(3, n, -30, 30); });
  call.dout.fill([](std::uint64_t n) { return support::spread(4, n, -30, 30); });
  check(errors, call, causal);
  call.dout.fill([](std::uint64_t n) { return n % 2 == 0 ? 1e15 : -1e15; });
  call.in.v.fill([](std::uint64_t n) { return n % 3 == 0 ? 1e15 : -1e15; });
  check(errors, call);
  call.dout.fill([](std::uint64_t n) { return 1e-42 * static_cast<double>(n % 5); });
  call.in.v.fill(normals(3));
  check(errors, call);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// Where one key has all the weight, out is its value to the bit, and no score can be improved.
BOOST_AUTO_TEST_CASE(one_hot_rows_have_no_gradient_but_that_of_their_value) {
  const std::int64_t keys = 300;
  backward_call<float> call = normal_call({1, 1, 1, keys, keys, 2, 7}, 1);
  const auto circle = [](double radius) {
    return [=](std::uint64_t n) {
      const double angle = 6.283185307179586 * static_cast<double>(n / 2) / 300;
      return radius * (n % 2 == 0 ? std::cos(angle) : std::sin(angle));
    };
  };
  call.in.q.fill(circle(1e3));
  call.in.k.fill(circle(1e3));
  call.run(exec, {.scale = 1});
  for (const float x : call.dq.elements()) BOOST_TEST(x == 0);
  for (const float x : call.dk.elements()) BOOST_TEST(x == 0);
}

BOOST_AUTO_TEST_CASE(rows_without_a_key_have_no_gradient_and_give_none) {
  for (const std::int64_t len_k : {0, 3, 97, 193}) {
    const std::int64_t len_q = len_k + 60;  // bottom right: the first 60 queries see nothing
    backward_call<float> call = normal_call({1, 1, 1, len_q, len_k, 4, 5}, 1);
    call.run(exec, causal);
    backward_call<float> other = call;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (std::int64_t i = 0; i < 60; ++i) {  // nothing that stands in them matters
      other.in.q(0, 0, i, i % 4) = nan;
      other.dout(0, 0, i, i % 5) = std::numeric_limits<float>::infinity();
      other.out(0, 0, i, 1) = nan;
      for (std::int64_t d = 0; d < 4; ++d) BOOST_TEST(call.dq(0, 0, i, d) == 0);
    }
    other.backward(exec, causal);
    BOOST_TEST(other.same_gradients(call));
  }
}

// Without a mask, a row of logits -inf: it saw nothing, either.
BOOST_AUTO_TEST_CASE(rows_of_logits_of_minus_infinity_have_no_gradient) {
  const float inf = std::numeric_limits<float>::infinity();
  backward_call<float> call = normal_call({1, 1, 1, 5, 200, 2, 3}, 1);
  call.in.q.fill([](std::uint64_t n) { return n % 2 == 0 ? 1.0 : 0.5; });
  for (std::int64_t j = 0; j < 200; ++j) call.in.k(0, 0, j, 0) = -inf;
  call.in.v(0, 0, 7, 1) = std::numeric_limits<float>::quiet_NaN();
  call.run(exec);
  BOOST_TEST(call.lse(0, 0, 1) == -inf);
  for (const auto* gradient : {&call.dq, &call.dk, &call.dv}) {
    for (const float x : gradient->elements()) BOOST_TEST(x == 0);
  }
}

// A row that is said to have seen nothing is as one whose gradient is 0, even where its scores overflow.
BOOST_AUTO_TEST_CASE(nothing_that_stands_in_a_row_of_lse_minus_infinity_matters) {
  backward_call<float> call = normal_call({1, 1, 1, 100, 200, 8, 5}, 1);
  for (std::int64_t c = 0; c < 5; ++c) call.dout(0, 0, 7, c) = 0;
  call.run(exec);
  backward_call<float> other = call;
  other.lse(0, 0, 7) = -std::numeric_limits<float>::infinity();
  other.out(0, 0, 7, 1) = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t d = 0; d < 8; ++d) other.in.q(0, 0, 7, d) = 3e38f;
  for (std::int64_t c = 0; c < 5; ++c) other.dout(0, 0, 7, c) = 3e38f;
  other.backward(exec);
  BOOST_TEST(other.same_gradients(call));
}

// A NaN reaches what sees it; the gradients of what does not keep their bits.
BOOST_AUTO_TEST_CASE(nan_reaches_what_sees_it_and_only_that) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t len = nan_places[std::size(nan_places) - 1] + 1;
  for (const std::int64_t at : nan_places) {
    for (const int where : {0, 1, 2, 3}) {  // in the query, the key, the value, the gradient
      backward_call<float> clean = normal_call({1, 1, 1, len, len, 20, 9}, 1);
      clean.run(exec, causal);
      backward_call<float> call = clean;
      (where == 0   ? call.in.q(0, 0, at, 3)
       : where == 1 ? call.in.k(0, 0, at, 19)
       : where == 2 ? call.in.v(0, 0, at, 8)
                    : call.dout(0, 0, at, 8)) = nan;
      call.run(exec, causal);
      int wrong = 0;
      const auto same = [](float x, float y) { return std::memcmp(&x, &y, sizeof(float)) == 0; };
      for (std::int64_t i = 0; i < len; ++i) {
        // Query i has a NaN among what it sees; key i is seen by such a query.
        const bool query_reached = where == 0 || where == 3 ? i == at : i >= at;
        const bool key_reached = where == 0 || where == 3 ? i <= at : true;
        for (std::int64_t d = 0; d < 20; ++d) {
          wrong += query_reached ? !std::isnan(call.dq(0, 0, i, d)) : !same(call.dq(0, 0, i, d), clean.dq(0, 0, i, d));
          wrong += key_reached ? !std::isnan(call.dk(0, 0, i, d)) : !same(call.dk(0, 0, i, d), clean.dk(0, 0, i, d));
        }
        for (std::int64_t c = 0; c < 9; ++c) {
          const bool reached = where == 2 ? false : where == 3 ? key_reached && c == 8 : key_reached;
          wrong += reached ? !std::isnan(call.dv(0, 0, i, c)) : !same(call.dv(0, 0, i, c), clean.dv(0, 0, i, c));
        }
      }
      BOOST_TEST_INFO("at " << at << " where " << where);
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_batch) {
  for (const auto& options : {attention::options<>{}, causal}) {
    for (const std::int64_t batch : {1, 3}) {  // heads enough for all, and heads that several workers share
      backward_call<float> whole = normal_call({batch, 2, 1, some_queries, some_keys, 24, 10}, 5);
      whole.run(exec, options);
      const auto same_with = [&](const auto& exec) {
        backward_call<float> other = whole;
        for (auto* const gradient : {&other.dq, &other.dk, &other.dv}) gradient->fill([](std::uint64_t) { return 0; });
        other.backward(exec, options);
        return other.same_gradients(whole);
      };
      BOOST_TEST(same_with(exec.threads(1)));
      BOOST_TEST(same_with(exec.threads(2)));
      BOOST_TEST(same_with(exec.threads(3)));
#if !defined(TESSERA_TESTED_ON_DEVICE)
      BOOST_TEST(same_with(tessera::seq));
      BOOST_TEST(same_with(exec.on(support::thread_per_call{5})));
      BOOST_TEST(same_with(exec.on(support::one_by_one{})));
#endif

      // The last batch alone.
      const auto last = [&](const auto& x) {
        auto v = x.view();
        return view<typename decltype(v)::element_type, decltype(v)::rank()>(v) /* a copy */;
      };
      const auto alone = [&](auto v) {
        using view_type = decltype(v);
        std::int64_t extents[view_type::rank()];
        std::int64_t strides[view_type::rank()];
        for (std::size_t r = 0; r < view_type::rank(); ++r) extents[r] = r == 0 ? 1 : v.extent(r), strides[r] = v.stride(r);
        return view_type(v.data_handle() + (batch - 1) * v.stride(0), extents, strides);
      };
      backward_call<float> other = normal_call({1, 2, 1, some_queries, some_keys, 24, 10}, 5);
      attention::backward(exec, alone(last(whole.in.q)), alone(last(whole.in.k)), alone(last(whole.in.v)), alone(last(whole.out)),
                          alone(last(whole.lse)), alone(last(whole.dout)), other.dq.view(), other.dk.view(), other.dv.view(),
                          options);
      const auto same = [&](auto& one, auto& all) {
        const auto mine = one.elements();
        const auto theirs = all.elements();
        return std::memcmp(mine.data(), theirs.data() + theirs.size() - mine.size(), mine.size() * sizeof(float)) == 0;
      };
      BOOST_TEST(same(other.dq, whole.dq));
      BOOST_TEST(same(other.dk, whole.dk));
      BOOST_TEST(same(other.dv, whole.dv));
    }
  }
}

// Keys that no query sees, appended, change no bit of the others.
BOOST_AUTO_TEST_CASE(hidden_keys_change_nothing) {
  backward_call<float> few = normal_call({1, 1, 1, 130, 130, 24, 10}, 5);
  few.run(exec, causal_top_left);
  backward_call<float> many = normal_call({1, 1, 1, 130, 700, 24, 10}, 5);
  for (std::int64_t j = 0; j < 700; ++j) {
    for (std::int64_t d = 0; d < 24; ++d) {
      many.in.k(0, 0, j, d) = j < 130 ? few.in.k(0, 0, j, d) : std::numeric_limits<float>::quiet_NaN();
    }
    for (std::int64_t c = 0; c < 10; ++c) {
      many.in.v(0, 0, j, c) = j < 130 ? few.in.v(0, 0, j, c) : std::numeric_limits<float>::infinity();
    }
  }
  many.run(exec, causal_top_left);
  BOOST_TEST(many.dq.same_elements(few.dq));
  BOOST_TEST(std::memcmp(&many.dk(0, 0, 0, 0), &few.dk(0, 0, 0, 0), 130 * 24 * sizeof(float)) == 0);
  BOOST_TEST(std::memcmp(&many.dv(0, 0, 0, 0), &few.dv(0, 0, 0, 0), 130 * 10 * sizeof(float)) == 0);
  for (std::int64_t j = 130; j < 700; ++j) BOOST_TEST((many.dk(0, 0, j, 3) == 0 && many.dv(0, 0, j, 3) == 0));
}

// Inputs may be broadcast: one key head, one value row for all keys, a gradient of ones.
BOOST_AUTO_TEST_CASE(broadcast_inputs_are_their_copies) {
  backward_call<float> copies = normal_call({2, 2, 2, 70, 200, 8, 5}, 3);
  const float one = 1;
  copies.dout.fill([](std::uint64_t) { return 1; });
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t j = 0; j < 200; ++j) {
        for (std::int64_t d = 0; d < 8; ++d) copies.in.k(b, h, j, d) = copies.in.k(0, 0, j, d);
      }
    }
  }
  copies.run(exec);
  backward_call<float> other = copies;
  const view<const float, 4> keys(&copies.in.k(0, 0, 0, 0), {2, 2, 200, 8}, {0, 0, 8, 1});
  alignas(4) const float ones[5] = {one, one, one, one, one};
  const view<const float, 4> gradient(ones, {2, 2, 70, 5}, {0, 0, 0, 1});
  attention::backward(exec, other.in.q.view(), keys, other.in.v.view(), other.out.view(), other.lse.view(), gradient,
                      other.dq.view(), other.dk.view(), other.dv.view());
  BOOST_TEST(other.same_gradients(copies));
}

#if !defined(TESSERA_TESTED_ON_DEVICE)
BOOST_AUTO_TEST_CASE(takes_scratch_once_from_the_given_resource) {
  backward_call<float> call = normal_call({2, 3, 3, 70, 200, 16, 16}, 1);
  call.run(exec, causal);
  for (const int threads : {1, 2, 5}) {
    backward_call<float> other = call;
    support::counting_resource memory;
    other.backward(exec.threads(threads).scratch(&memory), causal);
    BOOST_TEST((memory.allocations() == 1 && memory.all_returned()));
    BOOST_TEST(other.same_gradients(call));
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
