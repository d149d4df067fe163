// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// attention::rotate and rotate_back on the device: the bits of the CPU's.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "../attention/rotary_tables.hpp"
#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "device_array.hpp"
#include "mirror.hpp"
#include "tessera/attention/rotate.hpp"
#include "tessera/cuda/attention/rotate.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float8.hpp"

namespace {

using rotary_test::layouts;
using rotary_test::tables;
using support::array;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;
using attention::rotary;

rotary on_the_device(support::mirror& memory, rotary by) {
  by.cos = memory(by.cos);
  by.sin = memory(by.sin);
  return by;
}

template <class In, class Out>
void rotate_on_device(array<In, 4>& in, array<Out, 4>& out, const rotary& by, std::int64_t first, bool back) {
  support::mirror memory;
  const auto from = memory(view<const In, 4>(in.view()));
  const auto to = memory(out.view());
  if (back) {
    attention::rotate_back(tessera::cuda::on(), from, to, on_the_device(memory, by), first);
  } else {
    attention::rotate(tessera::cuda::on(), from, to, on_the_device(memory, by), first);
  }
  memory.bring_back();
}

struct shape {
  std::int64_t batch, heads, len, dim, dims;
};
// Rows of whole and of part chunks, parts of a row, odd rows, rows of nothing; more chunks than a block has threads.
constexpr shape shapes[] = {{1, 1, 1, 2, 2},   {2, 3, 5, 8, 8},  {1, 2, 70, 64, 64}, {2, 5, 9, 128, 128},  {1, 3, 7, 64, 32},
                            {2, 2, 3, 33, 32}, {1, 1, 65, 7, 6}, {3, 1, 4, 100, 46}, {1, 1, 3, 5, 0},      {1, 1, 40, 257, 34},
                            {0, 2, 3, 4, 4},   {1, 2, 0, 4, 4},  {1, 9, 300, 16, 8}, {1, 1, 2, 4200, 4200}};

template <class In, class Out>
void check_type() {
  std::uint64_t seed = 0;
  for (const shape& x : shapes) {
    for (const attention::rotary_layout layout : layouts) {
      const std::int64_t first = static_cast<std::int64_t>(++seed % 4) * 11;
      const tables of(first + x.len, x.dims, static_cast<std::int64_t>(seed % 2) * 5);
      rotary by = of.with(layout);
      by.first_dim = seed % 5 < 2 ? x.dim - x.dims : (x.dim - x.dims) / 3;
      array<In, 4> in({x.batch, x.heads, x.len, x.dim}, {static_cast<std::int64_t>(seed % 3), seed % 2 == 1});
      in.fill([=](std::uint64_t n) { return support::spread(seed, n, -12, 6); });
      const bool back = seed % 3 == 0;
      const support::placement where{static_cast<std::int64_t>(seed % 4) * 4, seed % 3 == 0};
      array<Out, 4> want({x.batch, x.heads, x.len, x.dim}, where);
      array<Out, 4> out = want;
      if (back) {
        attention::rotate_back(seq, in.view(), want.view(), by, first);
      } else {
        attention::rotate(seq, in.view(), want.view(), by, first);
      }
      rotate_on_device(in, out, by, first, back);
      BOOST_TEST_INFO("shape " << seed);
      BOOST_TEST((in.untouched() && out.gaps_untouched() && out.same_elements(want)));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_rotary)

BOOST_AUTO_TEST_CASE(float32) { check_type<float, float>(); }
BOOST_AUTO_TEST_CASE(all_bfloat16) { check_type<tessera::bfloat16, tessera::bfloat16>(); }
BOOST_AUTO_TEST_CASE(float8_to_float16) { check_type<tessera::float8_e4m3, tessera::float16>(); }
BOOST_AUTO_TEST_CASE(float64_to_float32) { check_type<double, float>(); }

BOOST_AUTO_TEST_CASE(in_place_gives_the_same_bits_and_leaves_the_rest_of_a_row_alone) {
  for (const attention::rotary_layout layout : layouts) {
    const tables of(50, 24);
    rotary by = of.with(layout);
    by.first_dim = 8;
    array<tessera::bfloat16, 4> in({2, 3, 40, 40}, {2, true});
    in.fill([](std::uint64_t n) { return support::normal(1, n); });
    array<tessera::bfloat16, 4> want = in;
    attention::rotate(seq, in.view(), want.view(), by, 3);
    in(0, 0, 0, 3) = want(0, 0, 0, 3) = tessera::bfloat16::from_bits(0x7FA1);  // a signalling NaN
    support::mirror memory;
    const auto there = memory(in.view());
    attention::rotate(tessera::cuda::on(), there, there, on_the_device(memory, by), 3);
    memory.bring_back();
    BOOST_TEST((in.gaps_untouched() && in.same_elements(want)));
  }
}

// In place from one type to another as large: all of a row is converted.
BOOST_AUTO_TEST_CASE(in_place_converts_the_rest_of_a_row) {
  const tables of(5, 4);
  const rotary by = of.with(layouts[0]);
  array<tessera::bfloat16, 4> in({1, 1, 5, 9});
  in.fill([](std::uint64_t n) { return support::normal(1, n); });
  array<tessera::float16, 4> want({1, 1, 5, 9});
  attention::rotate(seq, in.view(), want.view(), by);
  const auto as_float16 = [](const auto& x) {
    return view<tessera::float16, 4>(reinterpret_cast<tessera::float16*>(x.data_handle()), 1, 1, 5, 9);
  };
  const auto same = [&](const auto& x) { return std::memcmp(x.data_handle(), want.view().data_handle(), 45 * 2) == 0; };
  support::mirror memory;
  auto other = in;
  const auto there = memory(other.view());
  attention::rotate(tessera::cuda::on(), there, as_float16(there), on_the_device(memory, by));
  memory.bring_back();
  BOOST_TEST(same(other.view()));
  attention::rotate(seq, in.view(), as_float16(in.view()), by);
  BOOST_TEST(same(in.view()));
}

BOOST_AUTO_TEST_CASE(misuse) {
  const tables of(10, 6);
  support::mirror memory;
  const rotary host = of.with(layouts[0]);
  const rotary good = on_the_device(memory, host);
  const support::device_array<float> in(std::vector<float>(210, 1));
  const support::device_array<float> out(210);
  std::vector<float> of_host(210, 1);
  const auto refused = [&](const auto& change, std::int64_t first = 0) {
    rotary by = good;
    view<float, 4> from(in.data(), 2, 3, 5, 7);
    view<float, 4> to(out.data(), 2, 3, 5, 7);
    change(by, from, to);
    const std::string text = support::refusal([&] { attention::rotate(tessera::cuda::on(), from, to, by, first); });
    bool untouched = out.borders_intact();
    for (const float x : out.get()) untouched = untouched && __builtin_bit_cast(std::uint32_t, x) == 0xA5A5A5A5U;
    BOOST_TEST((untouched || text == "accepted"));
    return text.substr(0, text.find(": ", sizeof("attention::rotate: ")));
  };
  const auto nothing = [](auto&...) {};
  const view<float, 4> on_host(of_host.data(), 2, 3, 5, 7);
  BOOST_TEST(refused([&](auto&, auto& from, auto&) { from = on_host; }) == "attention::rotate: in");
  BOOST_TEST(refused([&](auto&, auto&, auto& to) { to = on_host; }) == "attention::rotate: out");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.cos = host.cos; }) == "attention::rotate: by.cos");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.sin = host.sin; }) == "attention::rotate: by.sin");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.cos = {}; }) == "attention::rotate: by.cos");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.first_dim = 2; }) == "attention::rotate: by.first_dim");
  BOOST_TEST(refused(nothing, 6) == "attention::rotate: first_position");
  BOOST_TEST(refused(nothing, -1) == "attention::rotate: first_position");
  BOOST_TEST(refused([](auto&, auto& from, auto& to) { to = view<float, 4>(from.data_handle() + 7, 2, 3, 5, 7); }) ==
             "attention::rotate: out");
  BOOST_TEST(refused(nothing, 5) == "accepted");
}

BOOST_AUTO_TEST_SUITE_END()
