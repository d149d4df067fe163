// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention's forward on the device for few queries, up to 64 of the heads that share a key head: keys in parts of 512.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../attention/rotary_tables.hpp"
#include "../support/random.hpp"
#include "attention_on_device.hpp"
#include "device_array.hpp"

// Calls by qualified names find only what is declared before them.
#include "../attention/sequence_set.hpp"

namespace {

using oracle::inputs;
using oracle::shape;
using support::array;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

// Lengths around parts; a warp of rows and four; slices of keys and of values; a whole part that is hidden.
constexpr shape shapes[] = {
    {1, 2, 1, 1, 511, 16, 8},  {1, 1, 1, 2, 512, 8, 16},   {2, 2, 1, 3, 513, 16, 24}, {1, 4, 2, 8, 1100, 8, 8},
    {1, 1, 1, 64, 520, 12, 7}, {1, 2, 1, 4, 600, 136, 72}, {1, 1, 1, 5, 530, 5, 131}, {1, 1, 1, 1, 1600, 1, 1},
};

template <class S>
void check(const support::forward_on_device& device) {
  support::worst out;
  support::worst lse;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{s < 5 ? 8 * static_cast<std::int64_t>(s % 2) : static_cast<std::int64_t>(s % 3), s % 2 == 1};
    inputs<S> in(shapes[s], where);
    in.q.fill(normals(s, 2));
    in.k.fill(normals(s + 100));
    in.v.fill(normals(s + 200));
    const std::vector<float> sinks = {2, -1, 5, 0.5F};
    on_device::check<float>(out, lse, device, in,
                            attention::options<>{.sinks = view<const float, 1>(sinks.data(), shapes[s].heads),
                                                 .dropout = {.rate = s % 2 == 0 ? 0.3 : 0, .seed = 4}},
                            where);
    on_device::check<float>(out, lse, device, in,
                            attention::options<>{.mask = {.left = 100,
                                                          .right = 0,
                                                          .alignment = s % 2 == 0 ? attention::alignment::bottom_right
                                                                                  : attention::alignment::top_left}});
    in.q.fill([](std::uint64_t) { return 1; });
    in.k.fill([&](std::uint64_t n) {
      return 0.01 * static_cast<double>(n / static_cast<std::uint64_t>(shapes[s].head_dim) %
                                        static_cast<std::uint64_t>(shapes[s].len_k));
    });  // rising
    on_device::check<float>(out, lse, device, in, attention::options<>{.scale = s % 2 == 0 ? 3 : -3});
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

/// Arrays of the host on the device for as long as this lives.
struct call {
  inputs<float> in{1, 4, 2, 4, 1100, 8, 8};
  array<float, 4> out{in.out_extents()};
  array<float, 3> lse{in.lse_extents()};
  call() {
    in.q.fill(normals(1, 2));
    in.k.fill(normals(2));
    in.v.fill(normals(3));
  }
  void run(const tessera::cuda::executor& exec, const attention::options<>& options = {}) {
    support::mirror memory;
    attention::forward(exec, memory(support::read_only(in.q.view())), memory(support::read_only(in.k.view())),
                       memory(support::read_only(in.v.view())), memory(out.view()), memory(lse.view()), options);
    memory.bring_back();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_few)

BOOST_AUTO_TEST_CASE(float32) { check<float>({}); }

BOOST_AUTO_TEST_CASE(float16) { check<tessera::float16>({.generation = 9}); }

// Ragged batches of 16 bits: a warp for every 16 rows, where four warps have a sequence alone. The bits are the same; many queries beside them.
BOOST_AUTO_TEST_CASE(ragged_float16) {
  using tessera::float16;
  const sequence_set::set<float16> x({{1, 700}, {9, 1030}, {32, 513}, {0, 20}, {33, 600}, {5, 0}, {2, 40}}, 4, 2, 16, 8, 3, 2);
  const auto joined = [&](const auto& offsets, std::int64_t heads, std::int64_t dim, const auto& of) {
    return x.joined<float16>(offsets, heads, dim, false, of);
  };
  const auto q = joined(x.query_offsets, 4, 16, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = joined(x.key_offsets, 2, 16, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = joined(x.key_offsets, 2, 8, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const attention::options<> options{.mask = attention::causal};
  const support::forward_on_device device;
  const auto run = [&](const auto& q_rows, const auto& k_rows, const auto& v_rows) {
    sequence_set::results<float> got(x, false);
    attention::forward(device, q_rows, k_rows, v_rows, got.out_view(), got.lse.view(),
                       attention::ragged{view<const std::int64_t, 1>(x.query_offsets.data(), x.size() + 1),
                                         view<const std::int64_t, 1>(x.key_offsets.data(), x.size() + 1)},
                       options);
    return got.differences(device, x, options);
  };
  BOOST_TEST(run(q.view(), k.view(), v.view()) == 0);  // rows at any address
  const auto aligned = [](const auto& from) {
    array<float16, 3> to({from.view().extent(0), from.view().extent(1), from.view().extent(2)});
    const auto elements = from.elements();
    to.fill([&](std::uint64_t n) { return elements[n]; });
    return to;
  };
  BOOST_TEST(run(aligned(q).view(), aligned(k).view(), aligned(v).view()) == 0);
}

// What a ragged batch may need: of keys one after another, one part of each sequence more than they fill; of pages, that of as many queries.
BOOST_AUTO_TEST_CASE(ragged_scratch_is_what_is_said) {
  const sequence_set::set<float> x({{1, 600}, {2, 500}}, 4, 2, 8, 8, 1);
  const auto q = x.joined<float>(x.query_offsets, 4, 8, false, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, 2, 8, false, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, 2, 8, false, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const auto run = [&](bool pages, std::int64_t needed) {
    sequence_set::results<float> got(x, false);
    const sequence_set::pages<float, float, std::int32_t> in(x, 50, 1);
    support::mirror memory;
    support::device_array<std::byte> block(needed);
    const auto exec = support::forward_on_device{}.executor().workspace(block.data(), static_cast<std::size_t>(needed));
    const auto offsets = memory(view<const std::int64_t, 1>(x.query_offsets.data(), 3));
    const auto out = memory(got.out_view());
    const auto lse = memory(got.lse.view());
    if (pages) {
      attention::forward(exec, memory(support::read_only(q.view())),
                         attention::paged<const float>{memory(in.keys.view()), memory(in.values.view()),
                                                       memory(view<const std::int32_t, 2>(in.table.data(), 2, in.most)),
                                                       memory(view<const std::int32_t, 1>(in.lengths.data(), 2))},
                         out, lse, attention::ragged{.query_offsets = offsets}, attention::options<>{});
    } else {
      attention::forward(exec, memory(support::read_only(q.view())), memory(support::read_only(k.view())),
                         memory(support::read_only(v.view())), out, lse,
                         attention::ragged{offsets, memory(view<const std::int64_t, 1>(x.key_offsets.data(), 3))},
                         attention::options<>{});
    }
    memory.bring_back();
    BOOST_TEST(block.borders_intact());
    return got.differences(support::forward_on_device{}, x, attention::options<>{});
  };
  // Of 2 key heads: 1100 / 512 + 2 parts of 6 rows; 2 parts (of 12 pages) of 6 rows of all sequences. Whole numbers of 256 bytes.
  const std::int64_t of_ragged = 512 + 1536;
  const std::int64_t of_pages = 256 + 768;
  BOOST_TEST(run(false, of_ragged) == 0);
  BOOST_TEST(run(true, of_pages) == 0);
  CHECK_REFUSED("attention::forward: workspace: ", run(false, of_ragged - 1));
  CHECK_REFUSED("attention::forward: workspace: ", run(true, of_pages - 1));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_order_of_threads_and_size_of_the_device) {
  call first;
  first.run(support::forward_on_device{}.executor());
  for (const int seed : {2, 3, 4}) {
    call other;
    other.run(support::forward_on_device{}.threads(seed).executor());
    BOOST_TEST((other.out.same_elements(first.out) && other.lse.same_elements(first.lse)));
  }
  call small;
  const auto exec = support::forward_on_device{}.executor();
  auto device = exec.device();
  device.multiprocessors = 1;
  small.run({exec.stream(), device});
  BOOST_TEST((small.out.same_elements(first.out) && small.lse.same_elements(first.lse)));
}

// Parts leave (value_dim + 2) numbers for each query: 3 parts, 16 rows, 10 numbers. What is too small is refused by its size, before anything is written.
BOOST_AUTO_TEST_CASE(scratch_is_what_is_said, *boost::unit_test::label("small")) {
  call first;
  first.run(support::forward_on_device{}.executor());
  const std::int64_t needed = 3 * 16 * 10 * 4;
  call other;
  support::device_array<std::byte> block(needed + 1024);
  other.run(support::forward_on_device{}.executor().workspace(block.data(), static_cast<std::size_t>(needed + 1024)));
  BOOST_TEST(other.out.same_elements(first.out));
  BOOST_TEST(block.borders_intact());
  call refused;
  CHECK_REFUSED("attention::forward: ", refused.run(support::forward_on_device{}.executor().workspace(
                                            block.data(), static_cast<std::size_t>(needed - 1))));
  BOOST_TEST((refused.out.untouched() && refused.lse.untouched()));
}

// Rotated copies lie beside the parts: 16 rows of queries and 2200 of keys, of 8 numbers each; and what is too small is refused before they are made.
BOOST_AUTO_TEST_CASE(scratch_of_rotated_copies) {
  const std::int64_t needed = 3 * 16 * 10 * 4 + (16 + 2200) * 8 * 4;
  const rotary_test::tables of(1200, 8);
  support::mirror memory;
  const attention::options<> options =
      support::options_on_device(memory, attention::options<>{.rotary = of.with(rotary_test::layouts[0])});
  call first;
  first.run(support::forward_on_device{}.executor(), options);
  call other;
  support::device_array<std::byte> block(needed + 1024);
  other.run(support::forward_on_device{}.executor().workspace(block.data(), static_cast<std::size_t>(needed + 1024)), options);
  BOOST_TEST(other.out.same_elements(first.out));
  BOOST_TEST(block.borders_intact());
  support::device_array<std::byte> unused(needed + 1024);
  call refused;
  CHECK_REFUSED("attention::forward: workspace: ", refused.run(support::forward_on_device{}.executor().workspace(
                                                                   unused.data(), static_cast<std::size_t>(needed - 1)),
                                                               options));
  BOOST_TEST((refused.out.untouched() && refused.lse.untouched()));
  bool written = false;
  for (const std::byte b : unused.get()) written = written || b != std::byte{0xA5};
  BOOST_TEST(!written);
}

// A NaN or an infinity in one part, hidden or seen; a logit of -inf all over.
BOOST_AUTO_TEST_CASE(special_values_in_parts) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const support::forward_on_device device;
  for (const std::int64_t at : {3, 600, 1050, 1099}) {
    for (const int where : {0, 1}) {
      call x;
      (where == 0 ? x.in.k(0, 1, at, 2) : x.in.v(0, 1, at, 2)) = nan;
      attention::forward(device, x.in.q.view(), x.in.k.view(), x.in.v.view(), x.out.view(), x.lse.view(),
                         attention::options<>{.mask = attention::causal});
      int wrong = 0;
      for (std::int64_t h = 0; h < 4; ++h) {
        for (std::int64_t i = 0; i < 4; ++i) {
          const bool reached = h >= 2 && at <= i + 1096;
          wrong += std::isnan(x.lse(0, h, i)) != (reached && where == 0);
          for (std::int64_t c = 0; c < 8; ++c) wrong += std::isnan(x.out(0, h, i, c)) != (reached && (where == 0 || c == 2));
        }
      }
      BOOST_TEST_INFO("at " << at << " where " << where);
      BOOST_TEST(wrong == 0);
    }
  }
  support::worst out;
  support::worst lse;
  call x;
  x.in.q.fill([](std::uint64_t) { return 1; });
  for (std::int64_t j = 0; j < 1100; ++j) x.in.k(0, 0, j, 0) = j < 512 || j == 700 ? -inf : 1;  // a part of nothing but -inf
  for (std::int64_t j = 0; j < 1100; ++j) x.in.k(0, 1, j, 0) = -inf;
  attention::forward(device, x.in.q.view(), x.in.k.view(), x.in.v.view(), x.out.view(), x.lse.view(), attention::options<>{});
  on_device::compare(out, lse, x.in, x.out, x.lse, attention::options<>{});
  BOOST_TEST((x.out(0, 3, 1, 1) == 0 && x.lse(0, 3, 1) == -inf));
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_SUITE_END()
