// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention's forward on the device, float32: every shape, and the worst inputs, against the reference.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../support/random.hpp"
#include "attention_on_device.hpp"

namespace {

using oracle::inputs;
using oracle::shape;
using support::normals;
namespace attention = tessera::attention;
constexpr attention::options<> causal{.mask = attention::causal};
constexpr attention::options<> causal_top_left{.mask = {.right = 0, .alignment = attention::alignment::top_left}};

// Lengths around tiles of keys (64) and of queries (64, 128), and of few queries (64 rows a key head); head_dim and value_dim around slices (64,
// 128), aligned or not; GQA and MQA; more queries than keys; nothing at all.
constexpr shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1},     {1, 1, 1, 2, 3, 0, 5},      {1, 2, 1, 3, 2, 2, 1},      {2, 1, 1, 5, 7, 3, 0},
    {1, 3, 3, 7, 64, 8, 15},   {1, 4, 2, 8, 95, 16, 16},   {1, 1, 1, 65, 63, 16, 17},  {2, 2, 1, 66, 97, 17, 31},
    {1, 1, 1, 129, 65, 8, 64}, {1, 6, 2, 33, 70, 65, 2},   {1, 1, 1, 64, 1, 100, 100}, {1, 1, 1, 65, 64, 128, 65},
    {1, 1, 1, 70, 31, 1, 128}, {1, 1, 1, 67, 130, 129, 8}, {1, 1, 1, 3, 66, 257, 131}, {1, 1, 1, 66, 20, 192, 257},
    {1, 1, 1, 0, 50, 8, 8},    {2, 2, 2, 70, 0, 8, 8},     {2, 2, 2, 20, 0, 8, 8},     {0, 2, 2, 5, 5, 5, 5},
    {1, 0, 0, 5, 5, 5, 5},     {1, 2, 1, 130, 300, 4, 4},  {1, 1, 1, 1, 300, 12, 6},
};

void fill(inputs<float>& in, std::uint64_t seed) {
  in.q.fill(normals(seed, 2));
  in.k.fill(normals(seed + 100));
  in.v.fill(normals(seed + 200));
}

const support::forward_on_device device;

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward)

BOOST_AUTO_TEST_CASE(every_shape_is_within_the_bound) {
  support::worst out;
  support::worst lse;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s % 3), s % 2 == 1};
    inputs<float> in(shapes[s], where);
    fill(in, s);
    on_device::check<float>(out, lse, device, in, {}, where);
    on_device::check<float>(out, lse, device, in, s % 2 == 0 ? causal : causal_top_left);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Logits far beyond +-1e4, of one sign, rising along the keys (every tile rescales), and a negative or zero scale.
BOOST_AUTO_TEST_CASE(extreme_logits_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  for (const std::int64_t len_q : {10, 66}) {
    inputs<float> in(1, 1, 1, len_q, 200, 24, 9);
    in.v.fill(normals(1));
    const auto check = [&](const attention::options<>& options = {}) { on_device::check<float>(out, lse, device, in, options); };
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
    in.q.fill([](std::uint64_t n) { return 1e-40 * static_cast<double>(n % 7); });  // subnormal
    check({.scale = 1e30});
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Small heads and short rows, where few roundings are all that there are.
BOOST_AUTO_TEST_CASE(small_heads_with_large_scores_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    inputs<float> in(1, 1, 1, seed % 2 == 0 ? 8 : 66, 2 + static_cast<std::int64_t>(seed % 5),
                     1 + static_cast<std::int64_t>(seed % 3), 3);
    in.q.fill(normals(3 * seed, 30));
    in.k.fill(normals(3 * seed + 1, 30));
    in.v.fill([=](std::uint64_t n) { return support::spread(3 * seed + 2, n, -10, 10); });
    on_device::check<float>(out, lse, device, in);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// One large weight and 191 that each just fail to change the mass: every rounding of the sum is lost to the same side.
BOOST_AUTO_TEST_CASE(bounds_hold_where_every_rounding_goes_the_same_way) {
  support::worst out;
  support::worst lse;
  for (const double fall : {24.001, 24.5, 25.001}) {
    for (const std::int64_t len_q : {1, 65}) {
      inputs<float> in(1, 1, 1, len_q, 192, 1, 2);
      const double half = fall / 2 * std::log(2.0);
      in.q.fill([](std::uint64_t) { return 1; });
      in.k.fill([&](std::uint64_t n) { return n == 0 ? half : -half; });
      in.v.fill([](std::uint64_t n) { return n < 2 ? 1.01 : n % 2 == 0 ? -1.0 : 0.5; });
      on_device::check<float>(out, lse, device, in, {.scale = 1});
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(large_tiny_and_faintly_weighted_values_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  inputs<float> in(1, 1, 1, 70, 150, 16, 20);
  fill(in, 1);
  in.v.fill([](std::uint64_t n) { return support::spread(3, n, -40, 40); });
  on_device::check<float>(out, lse, device, in);
  in.v.fill([](std::uint64_t n) { return n % 2 == 0 ? 1e34 : -1e34; });
  on_device::check<float>(out, lse, device, in);
  in.v.fill([](std::uint64_t n) { return 1e-42 * static_cast<double>(n % 5); });
  on_device::check<float>(out, lse, device, in);
  inputs<float> faint(1, 1, 1, 1, 300, 1, 2);
  faint.q.fill([](std::uint64_t) { return 1; });
  faint.v.fill([](std::uint64_t n) { return n / 2 == 200 ? 1.0 : 1e30 * support::normal(1, n); });
  for (const double behind : {10.0, 40.0, 43.0, 43.6, 43.8, 44.0, 45.0, 60.0, 80.0, 100.0}) {
    faint.k.fill([=](std::uint64_t n) { return n == 200 ? 0 : -behind; });
    on_device::check<float>(out, lse, device, faint, {.scale = 1});
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Equal largest logits, repeated in every tile, and others behind by more than the type knows: the mean of their values, and log 2^n.
BOOST_AUTO_TEST_CASE(repeated_largest_logits_give_the_mean_of_their_values) {
  for (const std::int64_t len_q : {3, 66}) {
    for (const std::int64_t count : {1, 2, 4, 8}) {
      inputs<float> in(1, 1, 1, len_q, 200, 4, 7);
      in.q.fill([](std::uint64_t) { return 16; });
      in.k.fill([=](std::uint64_t n) {
        return static_cast<std::int64_t>(n / 4) % 25 == 7 && static_cast<std::int64_t>(n / 100) < count ? 16 : -16;
      });
      in.v.fill([](std::uint64_t n) { return std::floor(64 * support::normal(1, n)); });
      support::array<float, 4> out(in.out_extents());
      support::array<float, 3> lse(in.lse_extents());
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), attention::options{.scale = 1});
      for (std::int64_t c = 0; c < 7; ++c) {
        float mean = 0;
        for (std::int64_t n = 0; n < count; ++n) mean += in.v(0, 0, 25 * n + 7, c) / static_cast<float>(count);
        for (std::int64_t i = 0; i < len_q; ++i) BOOST_TEST(out(0, 0, i, c) == mean);
      }
    }
  }
}

// q . k = 1000 cos(angle between them): the key of the same angle wins by more than the type knows.
BOOST_AUTO_TEST_CASE(one_hot_rows_give_their_value_within_two_roundings) {
  const std::int64_t keys = 180;
  inputs<float> in(1, 1, 1, keys, keys, 2, 7);
  const auto circle = [](std::uint64_t n) {
    const double angle = 6.283185307179586 * static_cast<double>(n / 2) / 180;
    return 1e3 * (n % 2 == 0 ? std::cos(angle) : std::sin(angle));
  };
  in.q.fill(circle);
  in.k.fill(circle);
  in.v.fill([](std::uint64_t n) { return support::spread(1, n, -120, 120); });
  support::array<float, 4> out(in.out_extents());
  support::array<float, 3> lse(in.lse_extents());
  attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), attention::options{.scale = 1});
  support::worst errors;
  for (std::int64_t i = 0; i < keys; ++i) {
    for (std::int64_t c = 0; c < 7; ++c) {
      errors(out(0, 0, i, c), in.v(0, 0, i, c), 2.0000001 * 0x1p-24 * std::fabs(static_cast<double>(in.v(0, 0, i, c))), i, c);
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(same_bits_in_every_order_of_threads_and_beside_other_batches, *boost::unit_test::label("small")) {
  for (const std::int64_t len_q : {5, 70}) {
    inputs<float> in(2, 2, 1, len_q, 150, 8, 12);
    fill(in, 7);
    support::array<float, 4> first(in.out_extents());
    support::array<float, 3> first_lse(in.lse_extents());
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), first.view(), first_lse.view(), causal);
    for (const int seed : {2, 3, 4}) {
      support::array<float, 4> out(in.out_extents());
      support::array<float, 3> lse(in.lse_extents());
      attention::forward(device.threads(seed), in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), causal);
      BOOST_TEST((out.same_elements(first) && lse.same_elements(first_lse)));
    }
    inputs<float> alone(1, 2, 1, len_q, 150, 8, 12);
    alone.q.fill([&](std::uint64_t n) { return in.q.elements()[n + static_cast<std::uint64_t>(2 * len_q * 8)]; });
    alone.k.fill([&](std::uint64_t n) { return in.k.elements()[n + 150 * 8]; });
    alone.v.fill([&](std::uint64_t n) { return in.v.elements()[n + 150 * 12]; });
    support::array<float, 4> out(alone.out_extents());
    support::array<float, 3> lse(alone.lse_extents());
    attention::forward(device, alone.q.view(), alone.k.view(), alone.v.view(), out.view(), lse.view(), causal);
    int wrong = 0;
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = 0; i < len_q; ++i) {
        wrong += lse(0, h, i) != first_lse(1, h, i);
        for (std::int64_t c = 0; c < 12; ++c) wrong += out(0, h, i, c) != first(1, h, i, c);
      }
    }
    BOOST_TEST(wrong == 0);
  }
}

#if !TESSERA_CUDA_COMPILER  // which takes no kernel of the CPU's

BOOST_AUTO_TEST_CASE(the_cpu_agrees_within_both_bounds) {
  for (const std::int64_t len_q : {9, 80}) {
    inputs<float> in(1, 4, 2, len_q, 170, 24, 17);
    fill(in, 9);
    support::array<float, 4> here(in.out_extents());
    support::array<float, 4> there(in.out_extents());
    support::array<float, 3> lse_here(in.lse_extents());
    support::array<float, 3> lse_there(in.lse_extents());
    attention::forward(tessera::seq, in.q.view(), in.k.view(), in.v.view(), here.view(), lse_here.view(), causal);
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), there.view(), lse_there.view(), causal);
    const auto of_cpu = oracle::bounds(in, causal);
    const auto of_device = on_device::bounds(in, causal, false);
    support::worst out;
    support::worst lse;
    for (std::int64_t h = 0; h < 4; ++h) {
      for (std::int64_t i = 0; i < len_q; ++i) {
        const auto r = static_cast<std::size_t>(h * len_q + i);
        lse(lse_there(0, h, i), lse_here(0, h, i),
            of_cpu[r].lse + of_device[r].lse + 2 * support::rounding<float>(lse_here(0, h, i)), h, i);
        for (std::int64_t c = 0; c < 17; ++c) {
          const auto column = static_cast<std::size_t>(c);
          out(there(0, h, i, c), here(0, h, i, c),
              of_cpu[r].out[column] + of_device[r].out[column] + 2 * support::rounding<float>(here(0, h, i, c)), h, i, c);
        }
      }
    }
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
  }
}

#endif

BOOST_AUTO_TEST_SUITE_END()
