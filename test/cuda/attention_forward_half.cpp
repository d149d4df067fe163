// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention's forward on the device, float16 on both generations of devices: shapes that each kernel takes, the worst inputs, special values.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../attention/rotary_tables.hpp"
#include "../support/random.hpp"
#include "attention_on_device.hpp"

namespace {

using oracle::inputs;
using oracle::shape;
using support::normals;
using tessera::float16;
namespace attention = tessera::attention;
constexpr attention::options<> causal{.mask = attention::causal};
constexpr attention::options<> causal_top_left{.mask = {.right = 0, .alignment = attention::alignment::top_left}};

// The first eight lie as copies of 16 bytes want them, and as Hopper's do: a warp of few queries, four warps of them, many at both widths, slices.
constexpr shape shapes[] = {
    {1, 4, 2, 8, 70, 16, 16},   {1, 2, 1, 30, 65, 128, 72}, {2, 2, 1, 65, 97, 64, 32}, {1, 1, 1, 200, 130, 8, 64},
    {1, 2, 2, 70, 64, 72, 128}, {1, 1, 1, 67, 66, 136, 8},  {1, 1, 1, 66, 20, 8, 264}, {1, 1, 1, 3, 70, 256, 136},
    {1, 1, 1, 1, 1, 1, 1},      {1, 2, 1, 3, 2, 2, 1},      {1, 3, 3, 7, 64, 8, 15},   {1, 1, 1, 65, 63, 17, 31},
    {1, 1, 1, 70, 31, 1, 129},  {1, 1, 1, 2, 3, 0, 5},      {2, 1, 1, 70, 7, 3, 0},    {1, 1, 1, 0, 50, 8, 8},
    {2, 2, 2, 70, 0, 8, 8},     {2, 2, 2, 20, 0, 8, 8},     {0, 2, 2, 5, 5, 8, 8},
};

template <class In>
void fill(In& in, std::uint64_t seed, double size = 2) {
  in.q.fill(normals(seed, size));
  in.k.fill(normals(seed + 100));
  in.v.fill(normals(seed + 200));
}

constexpr support::forward_on_device devices[] = {{.generation = 8}, {.generation = 9}};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_half)

BOOST_AUTO_TEST_CASE(every_shape_is_within_the_bound) {
  for (const auto& device : devices) {
    support::worst out;
    support::worst lse;
    for (std::size_t s = 0; s < std::size(shapes); ++s) {
      const support::placement where{s < 8 ? 8 * static_cast<std::int64_t>(s % 2) : static_cast<std::int64_t>(s % 3), s % 2 == 1};
      inputs<float16> in(shapes[s], where);
      fill(in, s);
      on_device::check<float>(out, lse, device, in, {}, where);
      on_device::check<float>(out, lse, device, in, s % 2 == 0 ? causal : causal_top_left);
    }
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
  }
}

// Positions of both, of queries alone, of keys alone: the bound, and the bits of a call on arrays that were rotated before, on either device.
BOOST_AUTO_TEST_CASE(rotary) {
  const rotary_test::tables of(400, 16);
  for (const auto& device : devices) {
    support::worst out;
    support::worst lse;
    for (const std::size_t s : {0U, 1U, 2U, 3U, 4U, 11U}) {
      inputs<float16> in(shapes[s], {8 * static_cast<std::int64_t>(s % 2), s % 2 == 1});
      fill(in, s);
      attention::options<> options{.mask = attention::causal, .rotary = of.with(rotary_test::layouts[s % 2])};
      if (shapes[s].head_dim < 16) {
        options.rotary.cos = tessera::view<const float, 2>(of.cos.view().data_handle(), {400, 2}, {8, 1});
        options.rotary.sin = tessera::view<const float, 2>(of.sin.view().data_handle(), {400, 2}, {8, 1});
      }
      options.rotary.first_dim = (shapes[s].head_dim - options.rotary.dims()) / 3;
      options.rotary.first_key = 150;
      if (s % 3 == 0) options.rotary.first_query = 11;
      options.rotary.queries = s != 2;
      options.rotary.keys = s != 3;
      on_device::check<float>(out, lse, device, in, options);
#if !TESSERA_CUDA_COMPILER  // which takes no kernel of the CPU's
      const auto run = [&](const inputs<float16>& of_call, const attention::options<>& how) {
        support::array<float16, 4> result(in.out_extents());
        support::array<float, 3> ignored(in.lse_extents());
        attention::forward(device, of_call.q.view(), of_call.k.view(), of_call.v.view(), result.view(), ignored.view(), how);
        return result;
      };
      const auto got = run(in, options);
      auto rotated = in;
      const attention::rotary& by = options.rotary;
      if (by.queries) {
        attention::rotate(tessera::seq, in.q.view(), rotated.q.view(), by, by.query_position(shapes[s].len_q, shapes[s].len_k));
      }
      if (by.keys) attention::rotate(tessera::seq, in.k.view(), rotated.k.view(), by, by.first_key);
      BOOST_TEST_INFO("shape " << s);
      BOOST_TEST(got.same_elements(run(rotated, causal)));
      BOOST_TEST(!got.same_elements(run(in, causal)));
#endif
    }
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
  }
}

// Large, rising and falling logits; weights that are rounded to one side, or below float16's normal numbers; values of many sizes.
BOOST_AUTO_TEST_CASE(adversarial_inputs_are_within_the_bound) {
  for (const auto& device : devices) {
    support::worst out;
    support::worst lse;
    for (const std::int64_t len_q : {8, 66}) {
      inputs<float16> in(1, 1, 1, len_q, 200, 16, 8);
      const auto check = [&](const attention::options<>& options = {}) {
        on_device::check<float>(out, lse, device, in, options);
      };
      fill(in, 1, 40);
      check();
      check({.scale = 1});
      check({.scale = -1});
      check({.scale = 0});
      in.v.fill([](std::uint64_t n) { return support::spread(3, n, -24, 15); });
      check();
      in.q.fill([](std::uint64_t) { return 40; });
      in.k.fill([](std::uint64_t n) { return 3 + 0.25 * static_cast<double>(n / 16); });  // rising
      check({.scale = 0.01});
      check({.scale = 1, .mask = attention::causal});
      check({.scale = -1});
      in.k.fill([](std::uint64_t) { return 60000; });  // all alike
      check();
      in.q.fill([](std::uint64_t n) { return 0x1p-24 * static_cast<double>(n % 7); });  // subnormal
      check({.scale = 100});
      // One key of weight 1 and others of one weight each; whose value is 0 or of the other sign.
      in.q.fill([](std::uint64_t n) { return n % 16 == 0 ? 1 : 0; });
      for (const double behind : {0.70, 0.6925, 9.7, 14.0, 17.3, 17.4}) {
        in.k.fill([=](std::uint64_t n) { return n / 16 == 90 ? 0 : -behind; });
        for (const double of_best : {0.0, 6e4}) {
          in.v.fill([=](std::uint64_t n) { return n / 8 == 90 ? of_best : n % 2 == 0 ? -1.0 : 60000.0; });
          check({.scale = 1});
        }
      }
    }
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
  }
}

BOOST_AUTO_TEST_CASE(one_hot_rows_give_the_bits_of_their_value, *boost::unit_test::label("small")) {
  for (const auto& device : devices) {
    for (const std::int64_t len_q : {9, 70}) {
      inputs<float16> in(1, 2, 2, len_q, 32, 32, 8);
      const auto key_of = [](std::int64_t i) { return (7 * i + 3) % 32; };
      in.q.fill([&](std::uint64_t n) {
        return static_cast<std::int64_t>(n) % 32 == key_of(static_cast<std::int64_t>(n) / 32 % len_q) ? 32 : 0;
      });
      in.k.fill([](std::uint64_t n) { return n % 32 == n / 32 % 32 ? 32 : 0; });
      in.v.fill([](std::uint64_t n) { return support::spread(4, n, -14, 15); });
      support::array<float16, 4> out(in.out_extents());
      support::array<float, 3> lse(in.lse_extents());
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), attention::options{.scale = 1});
      int wrong = 0;
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t i = 0; i < len_q; ++i) wrong += std::memcmp(&out(0, h, i, 0), &in.v(0, h, key_of(i), 0), 16) != 0;
      }
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(same_bits_in_every_order_of_threads) {
  for (const auto& device : devices) {
    for (const std::int64_t len_q : {5, 140}) {
      inputs<float16> in(2, 2, 1, len_q, 150, 8, 16);
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
    }
  }
}

// Under the causal mask, which hides pairs inside tiles: a NaN or an infinity reaches the rows that see it (of a value, its column) and no bit of
// the others.
BOOST_AUTO_TEST_CASE(special_values_reach_who_sees_them_and_nobody_else) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const auto& device : devices) {
    for (const std::int64_t len : {40, 100}) {
      for (const std::int64_t at : {std::int64_t{0}, std::int64_t{33}, len - 20}) {
        for (const int where : {0, 1, 2, 3}) {  // in the query, the key, the value; an infinity in the value
          inputs<float16> in(1, 1, 1, len, len, 24, 8);
          fill(in, 1);
          support::array<float, 4> clean(in.out_extents());
          support::array<float, 4> out(in.out_extents());
          support::array<float, 3> lse(in.lse_extents());
          attention::forward(device, in.q.view(), in.k.view(), in.v.view(), clean.view(), lse.view(), causal);
          (where == 0   ? in.q(0, 0, at, 3)
           : where == 1 ? in.k(0, 0, at, 19)
                        : in.v(0, 0, at, 7)) = float16(where == 3 ? inf : nan);
          attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), causal);
          int wrong = 0;
          for (std::int64_t i = 0; i < len; ++i) {
            const bool reached = where == 0 ? i == at : i >= at;
            wrong += std::isnan(lse(0, 0, i)) != (reached && where < 2);
            for (std::int64_t c = 0; c < 8; ++c) {
              const float x = out(0, 0, i, c);
              if (reached && (where < 2 || c == 7)) {
                wrong += std::isfinite(x);
              } else if (where == 2 || where == 3) {
                // A tile that holds a special value is summed in another order: the rows that are not reached stay right, not the same.
                wrong += !(std::fabs(x - clean(0, 0, i, c)) <= 1e-3f);
              } else {
                wrong += std::memcmp(&x, &clean(0, 0, i, c), sizeof(float)) != 0;
              }
            }
          }
          BOOST_TEST_INFO("generation " << device.generation << " length " << len << " at " << at << " where " << where);
          BOOST_TEST(wrong == 0);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
