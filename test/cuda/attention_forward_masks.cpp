// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Masks of attention's forward on the device: calls against the reference, for few queries, where heads share a block, and for many.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "attention_on_device.hpp"
#include "device_array.hpp"
#include "tessera/attention/block_map.hpp"
#include "tessera/cuda/attention/block_map.cuh"

namespace {

using support::array;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t batch = 2;
constexpr std::int64_t heads = 3;

struct lengths {
  std::int64_t q;
  std::int64_t k;
};
constexpr lengths cases[] = {{1, 1}, {5, 5}, {70, 70}, {20, 200}, {90, 61}, {66, 150}};
const support::forward_on_device device;

// Keys of another type than queries: one kernel of each kind, rather than one for each way in which arrays can lie.
oracle::inputs<float, tessera::float16> data(lengths n) {
  oracle::inputs<float, tessera::float16> in(batch, heads, 1, n.q, n.k, 12, 9);
  in.q.fill([](std::uint64_t e) { return 2 * support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  return in;
}

template <class Mask>
void check(support::worst& out, support::worst& lse, const Mask& mask, lengths n) {
  on_device::check<float>(out, lse, device, data(n), attention::options<Mask>{.mask = mask});
}

struct by_pairs {
  TESSERA_HD bool operator()(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    return (b + h + i * j) % 3 != 1;
  }
};
struct by_blocks {
  TESSERA_HD bool operator()(std::int64_t b, std::int64_t, std::int64_t i, std::int64_t j) const {
    return i / 64 != j / 64 && (b == 0 || j % 5 != 2);
  }
};
struct by_numbers {
  template <class B, class I>
  TESSERA_HD auto operator()(B, B, I i, I j) const {
    return (j <= i) | (i - j > I(40));
  }
};

#define CHECK_BOTH         \
  CHECK_WITHIN_BOUND(out); \
  CHECK_WITHIN_BOUND(lse)

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_masks)

BOOST_AUTO_TEST_CASE(bands) {
  support::worst out;
  support::worst lse;
  for (const lengths n : cases) {
    for (const attention::band& mask :
         {attention::causal, attention::band{.right = 0, .alignment = attention::alignment::top_left},
          attention::sliding_window(20, 3), attention::sliding_window(0, 0), attention::causal_with_prefix(30),
          attention::band{.left = 5, .right = 0, .prefix = 4}, attention::band{.left = -3, .right = 9},
          attention::band{.left = 9, .right = -3}, attention::everything}) {
      check(out, lse, mask, n);
    }
  }
  CHECK_BOTH;
}

BOOST_AUTO_TEST_CASE(document_masks) {
  support::worst out;
  support::worst lse;
  for (const lengths n : cases) {
    std::vector<std::int32_t> of_query;
    std::vector<std::int32_t> of_key;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t i = 0; i < n.q; ++i) of_query.push_back(static_cast<std::int32_t>(i / (17 + 20 * b)));
      // One batch in order, one with documents that come back.
      for (std::int64_t j = 0; j < n.k; ++j) of_key.push_back(static_cast<std::int32_t>(b == 0 ? j / 23 : j / 11 % 3));
    }
    const attention::documents<std::int32_t> same{view<const std::int32_t, 2>(of_query.data(), batch, n.q),
                                                  view<const std::int32_t, 2>(of_key.data(), batch, n.k)};
    check(out, lse, same, n);
    check(out, lse, attention::causal & same, n);
    check(out, lse, (!same) | attention::sliding_window(2, 0), n);
  }
  CHECK_BOTH;
}

BOOST_AUTO_TEST_CASE(tree_masks) {
  support::worst out;
  support::worst lse;
  for (const lengths n : cases) {
    if (n.q > n.k) continue;
    // A node's parent has a lower number; every node sees its ancestors and itself.
    const std::int64_t words = (n.q + 63) / 64;
    std::vector<std::uint64_t> rows(static_cast<std::size_t>(n.q * words), 0);
    for (std::int64_t i = 0; i < n.q; ++i) {
      for (std::int64_t a = i; a >= 0; a = a > 0 ? support::below(5, static_cast<std::uint64_t>(a), a) : -1) {
        rows[static_cast<std::size_t>(i * words + a / 64)] |= std::uint64_t{1} << (a % 64);
      }
    }
    check(out, lse, attention::tree{view<const std::uint64_t, 2>(rows.data(), n.q, words)}, n);
  }
  CHECK_BOTH;
}

BOOST_AUTO_TEST_CASE(dense_masks_and_functions) {
  support::worst out;
  support::worst lse;
  for (const lengths n : cases) {
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(heads * n.q * n.k));
    for (std::size_t e = 0; e < seen.size(); ++e) seen[e] = support::bits(9, e) % 3 == 0;
    // Broadcast over the batch.
    check(out, lse,
          attention::dense_mask<std::uint8_t>{
              view<const std::uint8_t, 4>(seen.data(), {batch, heads, n.q, n.k}, {0, n.q * n.k, n.k, 1})},
          n);
    check(out, lse, by_pairs{}, n);
    check(out, lse, by_numbers{}, n);
    check(out, lse, attention::visible_if<by_pairs>{{}} & attention::causal, n);
  }
  CHECK_BOTH;
}

BOOST_AUTO_TEST_CASE(maps_of_blocks) {
  support::worst out;
  support::worst lse;
  for (const lengths n : cases) {
    const std::int64_t rows = attention::map_extent(n.q);
    const std::int64_t columns = attention::map_extent(n.k);
    std::vector<tessera::tile_class> answers(static_cast<std::size_t>(batch * rows * columns));
    attention::map_blocks(tessera::seq, by_blocks{}, n.q, n.k, view(answers.data(), batch, std::int64_t{1}, rows, columns));
    support::device_array<tessera::tile_class> made(batch * rows * columns);
    attention::map_blocks(tessera::cuda::on(), by_blocks{}, n.q, n.k, view(made.data(), batch, std::int64_t{1}, rows, columns));
    BOOST_TEST((made.get() == answers && made.borders_intact()));
    const view<const tessera::tile_class, 4> map(answers.data(), {batch, heads, rows, columns}, {rows * columns, 0, columns, 1});
    check(out, lse, attention::mapped{by_blocks{}, map}, n);
  }
  CHECK_BOTH;
}

// A map that does not say what its mask does: blocks that it decides are not looked at by pairs.
BOOST_AUTO_TEST_CASE(the_map_is_asked_before_the_mask) {
  for (const lengths n : {lengths{10, 400}, lengths{150, 400}}) {
    const auto in = data(n);
    std::vector<tessera::tile_class> answers(static_cast<std::size_t>(3 * 7));
    for (std::size_t e = 0; e < answers.size(); ++e) {
      constexpr tessera::tile_class says[] = {tessera::tile_class::none, tessera::tile_class::all, tessera::tile_class::some,
                                              tessera::tile_class::none};
      answers[e] = says[(e / 7 + e % 7) % 4];
    }
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(batch * n.q * n.k));
    for (std::size_t e = 0; e < seen.size(); ++e) {
      const auto at = static_cast<std::int64_t>(e);
      const std::int64_t i = at / n.k % n.q;
      const std::int64_t j = at % n.k;
      const tessera::tile_class block = answers[static_cast<std::size_t>(i / 64 * 7 + j / 64)];
      seen[e] = block == tessera::tile_class::all || (block == tessera::tile_class::some && by_blocks{}(at / n.k / n.q, 0, i, j));
    }
    const auto results = [&](const auto& options) {
      array<float, 4> out(in.out_extents());
      array<float, 3> lse(in.lse_extents());
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
      return out;
    };
    const attention::mapped map{by_blocks{}, view<const tessera::tile_class, 4>(
                                                 answers.data(), {batch, heads, attention::map_extent(n.q), 7}, {0, 0, 7, 1})};
    const attention::dense_mask<std::uint8_t> dense{
        view<const std::uint8_t, 4>(seen.data(), {batch, heads, n.q, n.k}, {n.q * n.k, 0, n.k, 1})};
    BOOST_TEST(results(attention::options{.mask = map}).same_elements(results(attention::options{.mask = dense})));
  }
}

// Whatever says so, the same pairs give the same bits.
BOOST_AUTO_TEST_CASE(bits_depend_on_the_pairs_alone) {
  for (const lengths n : {lengths{10, 150}, lengths{70, 150}}) {
    const auto in = data(n);
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(n.q * n.k));
    for (std::int64_t i = 0; i < n.q; ++i) {
      for (std::int64_t j = 0; j < n.k; ++j) {
        const std::int64_t at = i + n.k - n.q;
        seen[static_cast<std::size_t>(i * n.k + j)] = j <= at && j >= at - 50;
      }
    }
    const auto bits = [&](const auto& options) {
      array<float, 4> out(in.out_extents());
      array<float, 3> lse(in.lse_extents());
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
      return out;
    };
    const attention::dense_mask<std::uint8_t> dense{
        view<const std::uint8_t, 4>(seen.data(), {batch, heads, n.q, n.k}, {0, 0, n.k, 1})};
    const auto window = bits(attention::options<>{.mask = attention::sliding_window(50, 0)});
    BOOST_TEST(window.same_elements(bits(attention::options{.mask = dense})));
    BOOST_TEST(!window.same_elements(bits(attention::options<>{.mask = attention::sliding_window(49, 0)})));
  }
}

BOOST_AUTO_TEST_CASE(rows_without_a_key_are_zero_with_lse_of_minus_infinity) {
  for (const lengths n : {lengths{15, 3}, lengths{80, 20}, lengths{80, 0}, lengths{5, 0}}) {
    const auto in = data(n);
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(),
                       attention::options<>{.mask = attention::causal});
    const float zero = 0;
    for (std::int64_t i = 0; i < n.q; ++i) {
      const bool empty = i < n.q - n.k;
      BOOST_TEST((lse(1, 2, i) == -std::numeric_limits<float>::infinity()) == empty);
      for (std::int64_t c = 0; c < 9 && empty; ++c) BOOST_TEST(std::memcmp(&out(1, 2, i, c), &zero, sizeof zero) == 0);  // +0
    }
  }
}

// NaN and inf in what nobody sees stay there, before and after the visible keys and among them.
BOOST_AUTO_TEST_CASE(hidden_nan_does_not_leak) {
  for (const lengths n : {lengths{10, 300}, lengths{70, 300}}) {
    auto in = data(n);
    const auto hidden = [](std::int64_t j) { return j < 67 || j > 230 || j % 10 == 7; };
    std::vector<std::uint8_t> seen;
    for (std::int64_t j = 0; j < n.k; ++j) seen.push_back(!hidden(j));
    const attention::options<attention::dense_mask<std::uint8_t>> options{
        .mask = {view<const std::uint8_t, 4>(seen.data(), {batch, heads, n.q, n.k}, {0, 0, 0, 1})}};
    array<float, 4> clean(in.out_extents());
    array<float, 3> clean_lse(in.lse_extents());
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), clean.view(), clean_lse.view(), options);
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t j = 0; j < n.k; ++j) {
        if (!hidden(j)) continue;
        in.k(b, 0, j, j % 12) = tessera::float16(std::numeric_limits<float>::quiet_NaN());
        in.v(b, 0, j, j % 9) =
            tessera::float16(j % 2 == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN());
      }
    }
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
    BOOST_TEST(lse.same_elements(clean_lse));
    support::worst out_errors;
    for (std::size_t e = 0; e < out.elements().size(); ++e) {
      out_errors(static_cast<double>(out.elements()[e]), clean.elements()[e], 1e-6, e);
    }
    CHECK_WITHIN_BOUND(out_errors);
  }
}

BOOST_AUTO_TEST_SUITE_END()
