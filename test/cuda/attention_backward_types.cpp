// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The backward pass of 16-bit numbers on the tensor cores: every way in which rows come, within the bound of the docs.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>

#include "../support/random.hpp"
#include "attention_gradients.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/traits.hpp"

namespace {

using oracle::backward_call;
using oracle::inputs;
using oracle::shape;
using support::normals;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace attention = tessera::attention;
constexpr attention::options<> causal{.mask = attention::causal};
[[maybe_unused]] const support::gradients_on_device device;
/// Hopper's own path, and that of all others.
const support::gradients_on_device generations[] = {{.generation = 8}, {.generation = 9}};

/// Copied rows of up to 64, up to 128 and more elements, and such as are not; around tiles of 64 and 128 keys and queries.
constexpr shape shapes[] = {
    {2, 4, 2, 70, 130, 64, 64}, {1, 2, 1, 130, 66, 128, 128}, {1, 1, 1, 33, 140, 72, 104}, {1, 2, 1, 65, 40, 192, 136},
    {1, 2, 2, 40, 65, 65, 33},  {1, 1, 1, 1, 1, 8, 8},        {1, 3, 1, 64, 64, 16, 128},  {1, 1, 1, 31, 100, 130, 66},
    {1, 2, 1, 64, 0, 64, 64},   {1, 2, 1, 0, 64, 64, 64},
};

template <class S>
oracle::coarseness coarse() {
  return {.operands = tessera::unit_roundoff<S>, .least = std::is_same_v<S, float16> ? 0x1p-25 : 0x1p-134, .chain = 4};
}

template <class S>
backward_call<S> normal_call(const shape& x, std::uint64_t seed, support::placement where = {}) {
  inputs<S> in(x, where);
  in.q.fill(normals(seed, 2));
  in.k.fill(normals(seed + 100));
  in.v.fill(normals(seed + 200));
  backward_call<S> call(in, where);
  call.dout.fill(normals(seed + 300));
  return call;
}

template <class S, class Options = attention::options<>>
void check(oracle::gradient_errors& errors, backward_call<S>& call, const Options& options = {}) {
  for (const auto& on : generations) {
    call.run(on, options);
    BOOST_TEST((call.in.untouched() && call.dout.untouched() && call.gaps_untouched()));
    compare(errors, call, options, coarse<S>());
  }
}

template <class S>
std::int64_t not_finite(const support::array<S, 4>& x) {
  std::int64_t n = 0;
  for (const S e : x.elements()) n += std::isfinite(static_cast<float>(e)) ? 0 : 1;
  return n;
}

using types = std::tuple<float16, bfloat16>;

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_backward_types)

BOOST_AUTO_TEST_CASE_TEMPLATE(every_shape_is_within_the_bound, S, types) {
  oracle::gradient_errors errors;
  for (std::size_t n = 0; n < std::size(shapes); ++n) {
    const support::placement where{static_cast<std::int64_t>(n % 3 * 8), n % 2 == 1};
    backward_call<S> call = normal_call<S>(shapes[n], n, where);
    check(errors, call);
    check(errors, call, causal);
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// Rows that are aligned but for where they begin, or for the distance from one to the next.
BOOST_AUTO_TEST_CASE_TEMPLATE(misaligned_rows_are_within_the_bound, S, types) {
  oracle::gradient_errors errors;
  for (const std::int64_t gap : {1, 4}) {
    backward_call<S> call = normal_call<S>({1, 2, 1, 40, 70, 64, 64}, 3, {gap, false});
    check(errors, call, causal);
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(dropout_factors_and_sinks_are_within_the_bound, S, types) {
  oracle::gradient_errors errors;
  const float sinks[] = {0.0f, 3.0f, -2.0f, 5.0f};
  const float key_scales[] = {0.5f, 1.25f};
  const float value_scales[] = {3.0f, 0.25f};
  backward_call<S> call = normal_call<S>({2, 4, 2, 70, 90, 64, 64}, 5);
  check(errors, call, {.mask = attention::causal, .dropout = {.rate = 0.4, .seed = 9, .stream = 3}});
  check(errors, call,
        {.scale = -0.2,
         .mask = attention::sliding_window(20, 3),
         .sinks = view<const float, 1>(sinks, 4),
         .key_scales = view<const float, 1>(key_scales, 2),
         .value_scales = view<const float, 1>(value_scales, 2)});
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// Small gradients of float16 fall among its subnormal numbers, large logits give one-hot rows.
BOOST_AUTO_TEST_CASE_TEMPLATE(extreme_numbers_are_within_the_bound, S, types) {
  oracle::gradient_errors errors;
  backward_call<S> call = normal_call<S>({1, 2, 1, 40, 100, 64, 64}, 7);
  call.dout.fill([](std::uint64_t n) { return 1e-4 * support::normal(8, n); });
  check(errors, call);
  call.dout.fill(normals(9));
  call.in.q.fill(normals(10, 60));
  call.in.k.fill(normals(11, 60));
  check(errors, call);
  check(errors, call, {.scale = 0});
  call.in.k.fill([](std::uint64_t n) { return n / 64 % 100 < 50 ? 1.0 : -1.0; });
  call.in.q.fill([](std::uint64_t) { return 8.0; });
  check(errors, call, {.scale = 1});
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// What a pair that is hidden holds does not matter, wherever the tile of it lies.
BOOST_AUTO_TEST_CASE_TEMPLATE(hidden_nan_does_not_leak_and_a_live_one_reaches_all_that_sees_it, S, types) {
  const S nan(std::numeric_limits<float>::quiet_NaN());
  const std::int64_t len = 140;
  for (const std::int64_t dim : {64, 128, 132}) {
    for (const std::int64_t at : {0, 70, 139}) {
      for (const int which : {0, 1, 2, 3, 4, 5, 6, 7}) {
        const int where = which % 4;  // in the query, the key, the value, the gradient
        const auto& on = generations[which / 4];
        backward_call<S> call = normal_call<S>({1, 1, 1, len, len, dim, dim}, 1);
        (where == 0   ? call.in.q(0, 0, at, 3)
         : where == 1 ? call.in.k(0, 0, at, dim - 1)
         : where == 2 ? call.in.v(0, 0, at, 8)
                      : call.dout(0, 0, at, 8)) = nan;
        call.run(on, causal);
        std::int64_t wrong = 0;
        const auto is_nan = [](S x) { return std::isnan(static_cast<float>(x)); };
        for (std::int64_t i = 0; i < len; ++i) {
          const bool query_reached = where == 0 || where == 3 ? i == at : i >= at;
          const bool key_reached = where == 0 || where == 3 ? i <= at : true;
          for (std::int64_t d = 0; d < dim; ++d) {
            wrong += query_reached != is_nan(call.dq(0, 0, i, d));
            wrong += key_reached != is_nan(call.dk(0, 0, i, d));
            wrong += (where != 2 && key_reached && (where != 3 || d == 8)) != is_nan(call.dv(0, 0, i, d));
          }
        }
        BOOST_TEST_INFO("dim " << dim << " at " << at << " where " << where << " generation " << on.generation);
        BOOST_TEST(wrong == 0);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rows_that_see_nothing_give_nothing, S, types) {
  const S nan(std::numeric_limits<float>::quiet_NaN());
  for (const auto& on : generations) {
    backward_call<S> call = normal_call<S>({1, 2, 1, 150, 70, 64, 64}, 2);
    for (std::int64_t i = 0; i < 80; ++i) {  // bottom right: the first 80 queries see no key
      call.in.q(0, 1, i, i % 64) = nan;
      call.dout(0, 0, i, i % 64) = S(std::numeric_limits<float>::infinity());
    }
    call.run(on, causal);
    BOOST_TEST(not_finite(call.dq) + not_finite(call.dk) + not_finite(call.dv) == 0);
    for (std::int64_t i = 0; i < 80; ++i) BOOST_TEST(static_cast<float>(call.dq(0, 1, i, 5)) == 0);
    // Without a mask: a row is said to have seen nothing.
    call = normal_call<S>({1, 1, 1, 150, 130, 64, 64}, 2);
    call.run(on);
    call.lse(0, 0, 70) = -std::numeric_limits<float>::infinity();
    call.in.q(0, 0, 70, 1) = nan;
    call.dout(0, 0, 70, 2) = nan;
    call.backward(on);
    BOOST_TEST(not_finite(call.dq) + not_finite(call.dk) + not_finite(call.dv) == 0);
    BOOST_TEST(static_cast<float>(call.dq(0, 0, 70, 1)) == 0);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(same_bits_in_every_run, S, types) {
  for (const auto& on : generations) {
    for (const std::int64_t dim : {64, 128, 40}) {
      backward_call<S> call = normal_call<S>({1, 4, 2, 100, 150, dim, dim}, 4);
      call.run(on, causal);
      for (int seed = 2; seed < 5; ++seed) {
        backward_call<S> other = call;
        for (auto* const gradient : {&other.dq, &other.dk, &other.dv}) gradient->fill([](std::uint64_t) { return 7; });
        other.backward(on.threads(seed), causal);
        BOOST_TEST(other.same_gradients(call));
      }
    }
  }
}

// Weights and slopes are rounded alike, so that what is left is how sums are rounded, and now and then a weight that goes the other way.
BOOST_AUTO_TEST_CASE_TEMPLATE(both_paths_agree, S, types) {
  const attention::options<> options[] = {{.mask = attention::causal}, {.scale = 0.3, .mask = attention::sliding_window(90, 20)}};
  for (const shape& x : {shape{2, 4, 2, 150, 200, 128, 128}, shape{1, 2, 1, 130, 129, 64, 48}}) {
    for (const auto& masked : options) {
      backward_call<S> call = normal_call<S>(x, 6);
      call.run(generations[0], masked);
      backward_call<S> other = call;
      for (auto* const gradient : {&other.dq, &other.dk, &other.dv}) gradient->fill([](std::uint64_t) { return 7; });
      other.backward(generations[1], masked);
      const auto compare = [](const support::array<S, 4>& one, const support::array<S, 4>& two) {
        const auto ours = one.elements();
        const auto theirs = two.elements();
        double largest = 0;
        double apart = 0;
        std::int64_t nans = 0;
        for (std::size_t n = 0; n < ours.size(); ++n) {
          const double a = static_cast<double>(static_cast<float>(ours[n]));
          const double b = static_cast<double>(static_cast<float>(theirs[n]));
          largest = std::fmax(largest, std::abs(a));
          apart = std::fmax(apart, std::abs(a - b));
          nans += std::isnan(a - b) ? 1 : 0;
        }
        BOOST_TEST(nans == 0);
        BOOST_TEST(largest > 0.01);
        BOOST_TEST(apart <= 4 * tessera::unit_roundoff<S> * largest);
      };
      compare(call.dq, other.dq);
      compare(call.dk, other.dk);
      compare(call.dv, other.dv);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
