// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Masks of attention: pairs against a rule of the test's own, tiles against pairs, packs against numbers, and calls against the
/// reference.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"
#include "tessera/attention/block_map.hpp"
#include "tessera/attention/mask.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::seq;
using tessera::tile_class;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t batch = 2;
constexpr std::int64_t heads = 3;

struct lengths {
  std::int64_t q;
  std::int64_t k;
};
constexpr lengths cases[] = {{1, 1}, {5, 5}, {70, 70}, {33, 200}, {60, 400}, {200, 61}, {64, 64}};

/// Faults of a mask whose rule is sees(b, h, i, j, len_q, len_k): of pairs, of packs, of tiles, of the hull of a block's keys.
template <class Mask, class Rule>
int faults(const Mask& mask, const Rule& sees, lengths n) {
  using I = tessera::simd::index_pack<float>;
  int wrong = 0;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      const auto head = attention::detail::head_of(mask, b, h, n.q, n.k);
      for (std::int64_t i = 0; i < n.q; ++i) {
        for (std::int64_t j = 0; j < n.k; ++j) {
          wrong += tessera::reference::visible(mask, b, h, i, j, n.q, n.k) != sees(b, h, i, j, n.q, n.k);
          if (i % 16 != 0) continue;
          const auto seen = head.visible(I::iota(static_cast<std::int32_t>(i)), I(static_cast<std::int32_t>(j)));
          const std::uint32_t bits = tessera::simd::lane_bits(seen);
          for (int l = 0; l < I::lanes && i + l < n.q; ++l)
            wrong += ((bits >> l) & 1u) != (sees(b, h, i + l, j, n.q, n.k) ? 1u : 0u);
        }
      }
      for (std::int64_t i0 = 0; i0 < n.q; i0 += 7) {
        const std::int64_t i1 = std::min(n.q, i0 + 1 + i0 % 50);
        const auto hull = head.keys(i0, i1, n.k);
        for (std::int64_t i = i0; i < i1; ++i) {
          for (std::int64_t j = 0; j < n.k; ++j) wrong += sees(b, h, i, j, n.q, n.k) && (j < hull.first || j >= hull.last);
        }
        wrong += hull.first < 0 || hull.last > n.k || hull.first > hull.last;
        for (std::int64_t j0 = 0; j0 < n.k; j0 += 13) {
          const std::int64_t j1 = std::min(n.k, j0 + 1 + j0 % 40);
          std::int64_t count = 0;
          for (std::int64_t i = i0; i < i1; ++i) {
            for (std::int64_t j = j0; j < j1; ++j) count += sees(b, h, i, j, n.q, n.k) ? 1 : 0;
          }
          const tile_class tile = head.classify(i0, i1, j0, j1);
          wrong += (tile == tile_class::none && count != 0) || (tile == tile_class::all && count != (i1 - i0) * (j1 - j0));
        }
      }
    }
  }
  return wrong;
}

/// The call against the reference, and its faults.
template <class Mask, class Rule>
void check(const Mask& mask, const Rule& sees, lengths n) {
  BOOST_TEST(faults(mask, sees, n) == 0);
  support::worst out;
  support::worst lse;
  oracle::inputs<float> in(batch, heads, 1, n.q, n.k, 12, 9);
  in.q.fill([](std::uint64_t e) { return 2 * support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  oracle::check<float>(out, lse, par.threads(2), in, attention::options{.mask = mask});
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_masks)

BOOST_AUTO_TEST_CASE(bands) {
  using std::int64_t;
  for (const lengths n : cases) {
    check(attention::causal, [](int64_t, int64_t, int64_t i, int64_t j, int64_t q, int64_t k) { return j <= i + k - q; }, n);
    check(
        attention::band{.right = 0, .alignment = attention::alignment::top_left},
        [](int64_t, int64_t, int64_t i, int64_t j, int64_t, int64_t) { return j <= i; }, n);
    check(
        attention::sliding_window(20, 3),
        [](int64_t, int64_t, int64_t i, int64_t j, int64_t q, int64_t k) { return j >= i + k - q - 20 && j <= i + k - q + 3; },
        n);
    check(
        attention::causal_with_prefix(30),
        [](int64_t, int64_t, int64_t i, int64_t j, int64_t q, int64_t k) { return j < 30 || j <= i + k - q; }, n);
    check(
        attention::band{.left = 5, .right = 0, .prefix = 4},
        [](int64_t, int64_t, int64_t i, int64_t j, int64_t q, int64_t k) {
          return j < 4 || (j >= i + k - q - 5 && j <= i + k - q);
        },
        n);
    check(attention::everything, [](auto...) { return true; }, n);
  }
}

BOOST_AUTO_TEST_CASE(document_masks) {
  for (const lengths n : cases) {
    std::vector<std::int32_t> of_query;
    std::vector<std::int32_t> of_key;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t i = 0; i < n.q; ++i) of_query.push_back(static_cast<std::int32_t>(i / (17 + 20 * b)));
      // One batch in order, one with documents that come back.
      for (std::int64_t j = 0; j < n.k; ++j) of_key.push_back(static_cast<std::int32_t>(b == 0 ? j / 23 : j / 11 % 3));
    }
    const view<const std::int32_t, 2> q(of_query.data(), batch, n.q);
    const view<const std::int32_t, 2> k(of_key.data(), batch, n.k);
    const auto same = [=](std::int64_t b, std::int64_t, std::int64_t i, std::int64_t j, std::int64_t, std::int64_t) {
      return q(b, i) == k(b, j);
    };
    check(attention::documents{q, k}, same, n);
    check(
        attention::causal & attention::documents{q, k},
        [=](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t len_q, std::int64_t len_k) {
          return same(b, h, i, j, 0, 0) && j <= i + len_k - len_q;
        },
        n);
    check((!attention::documents{q, k}) | attention::sliding_window(2, 0),
          [=](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t len_q, std::int64_t len_k) {
            const std::int64_t at = i + len_k - len_q;
            return !same(b, h, i, j, 0, 0) || (j >= at - 2 && j <= at);
          },
          n);
  }
}

BOOST_AUTO_TEST_CASE(tree_masks) {
  for (const lengths n : cases) {
    if (n.q > n.k) continue;
    // A node's parent has a lower number; every node sees its ancestors and itself.
    const std::int64_t words = (n.q + 63) / 64;
    std::vector<std::uint64_t> rows(static_cast<std::size_t>(n.q * words), 0);
    std::vector<std::int64_t> parents(static_cast<std::size_t>(n.q), -1);
    for (std::int64_t i = 0; i < n.q; ++i) {
      if (i > 0)
        parents[static_cast<std::size_t>(i)] =
            static_cast<std::int64_t>(support::bits(5, static_cast<std::uint64_t>(i)) % static_cast<std::uint64_t>(i));
      for (std::int64_t a = i; a >= 0; a = parents[static_cast<std::size_t>(a)]) {
        rows[static_cast<std::size_t>(i * words + a / 64)] |= std::uint64_t{1} << (a % 64);
      }
    }
    const auto ancestor = [&](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j, std::int64_t q, std::int64_t k) {
      const std::int64_t node = j - (k - q);
      if (node < 0) return true;
      for (std::int64_t a = i; a >= 0; a = parents[static_cast<std::size_t>(a)]) {
        if (a == node) return true;
      }
      return false;
    };
    check(attention::tree{view<const std::uint64_t, 2>(rows.data(), n.q, words)}, ancestor, n);
  }
}

BOOST_AUTO_TEST_CASE(dense_masks_and_functions) {
  for (const lengths n : cases) {
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(heads * n.q * n.k));
    for (std::size_t e = 0; e < seen.size(); ++e) seen[e] = support::bits(9, e) % 3 == 0;
    // Broadcast over the batch.
    const view<const std::uint8_t, 4> all(seen.data(), {batch, heads, n.q, n.k}, {0, n.q * n.k, n.k, 1});
    check(
        attention::dense_mask{all},
        [=](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t, std::int64_t) {
          return all(b, h, i, j) != 0;
        },
        n);
    const auto by_pairs = [](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) { return (b + h + i * j) % 3 != 1; };
    check(
        by_pairs,
        [=](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t, std::int64_t) {
          return by_pairs(b, h, i, j);
        },
        n);
    const auto by_packs = [](auto, auto, auto i, auto j) { return (j <= i) | (i - j > decltype(i)(40)); };
    check(
        by_packs,
        [](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j, std::int64_t, std::int64_t) {
          return j <= i || i - j > 40;
        },
        n);
    check(
        attention::visible_if{by_pairs} & attention::causal,
        [=](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t q, std::int64_t k) {
          return by_pairs(b, h, i, j) && j <= i + k - q;
        },
        n);
  }
}

BOOST_AUTO_TEST_CASE(maps_of_blocks) {
  for (const lengths n : cases) {
    const auto sees = [](std::int64_t b, std::int64_t, std::int64_t i, std::int64_t j) {
      return i / 64 != j / 64 && (b == 0 || j % 5 != 2);
    };
    const auto rule = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, std::int64_t, std::int64_t) {
      return sees(b, h, i, j);
    };
    const std::int64_t rows = attention::map_extent(n.q);
    const std::int64_t columns = attention::map_extent(n.k);
    std::vector<tile_class> answers(static_cast<std::size_t>(batch * rows * columns));
    attention::map_blocks(par.threads(2), sees, n.q, n.k, view(answers.data(), batch, std::int64_t{1}, rows, columns));
    const attention::mapped map{
        sees, view<const tile_class, 4>(answers.data(), {batch, heads, rows, columns}, {rows * columns, 0, columns, 1})};
    check(map, rule, n);
    BOOST_TEST((answers[0] == tile_class::none));
    if (columns > 1) BOOST_TEST((answers[1] == tile_class::all));
    if (columns > 1) BOOST_TEST((answers[static_cast<std::size_t>(rows * columns) + 1] == tile_class::some));
  }
  std::vector<tile_class> answers(4);
  CHECK_REFUSED("attention::map_blocks: blocks: ",
                attention::map_blocks(seq, attention::causal, 100, 30, view(answers.data(), 1, 1, 2, 2)));
}

// Whatever says so, the same pairs give the same bits.
BOOST_AUTO_TEST_CASE(bits_depend_on_the_pairs_alone) {
  oracle::inputs<float> in(batch, heads, 1, 130, 500, 20, 24);
  in.q.fill([](std::uint64_t e) { return 2 * support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  const auto bits = [&](const auto& options) {
    array<float, 4> out(in.out_extents());
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
    return out.elements();
  };
  const auto same = [](const auto& a, const auto& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; };
  const auto window = bits(attention::options<>{.mask = attention::sliding_window(250, 0)});
  BOOST_TEST(same(window, bits(attention::options{.mask = [](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) {
                    return j <= i + 370 && j >= i + 120;
                  }})));
  BOOST_TEST(same(window, bits(attention::options{.mask = attention::causal & attention::band{.left = 250}})));
  BOOST_TEST(!same(window, bits(attention::options<>{.mask = attention::sliding_window(249, 0)})));
}

// NaN and inf in what nobody sees stay there, before and after the visible keys and among them.
BOOST_AUTO_TEST_CASE(hidden_nan_does_not_leak) {
  oracle::inputs<float> in(1, 1, 1, 60, 700, 8, 8);
  in.q.fill([](std::uint64_t e) { return support::normal(1, e); });
  in.k.fill([](std::uint64_t e) { return support::normal(2, e); });
  in.v.fill([](std::uint64_t e) { return support::normal(3, e); });
  const auto hidden = [](std::int64_t j) { return j < 203 || j > 430 || j % 10 == 7; };
  const attention::options options{.mask = [=](std::int64_t, std::int64_t, std::int64_t, std::int64_t j) { return !hidden(j); }};
  array<float, 4> clean(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), clean.view(), options);
  for (std::int64_t j = 0; j < 700; ++j) {
    if (!hidden(j)) continue;
    in.k(0, 0, j, j % 8) = std::numeric_limits<float>::quiet_NaN();
    in.v(0, 0, j, j % 8) = j % 2 == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }
  array<float, 4> out(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
  BOOST_TEST(std::memcmp(out.elements().data(), clean.elements().data(), 60 * 8 * sizeof(float)) == 0);
}

BOOST_AUTO_TEST_CASE(misuse) {
  oracle::inputs<float> in(2, 2, 1, 5, 7, 4, 4);
  array<float, 4> out(in.out_extents());
  const auto refused = [&](const auto& options) {
    const std::string text =
        support::refusal([&] { attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options); });
    BOOST_TEST(out.untouched());
    return text.substr(0, text.find(": ", std::string("attention::forward: ").size()));
  };
  std::vector<std::int32_t> ids(20);
  const view<const std::int32_t, 2> of_query(ids.data(), 2, 5);
  const view<const std::int32_t, 2> of_key(ids.data(), 2, 7);
  BOOST_TEST(refused(attention::options{.mask = attention::documents{of_key, of_key}}) ==
             "attention::forward: options.mask.of_query");
  BOOST_TEST(refused(attention::options{.mask = attention::documents{of_query, of_query}}) ==
             "attention::forward: options.mask.of_key");
  BOOST_TEST(refused(attention::options{.mask = attention::causal & attention::documents{of_query, of_query}}) ==
             "attention::forward: options.mask.of_key");
  std::vector<std::uint64_t> rows(5);
  BOOST_TEST(refused(attention::options{.mask = attention::tree{view<const std::uint64_t, 2>(rows.data(), 4, 1)}}) ==
             "attention::forward: options.mask.rows");
  BOOST_TEST(refused(attention::options{.mask = attention::tree{view<const std::uint64_t, 2>(rows.data(), 5, 0)}}) ==
             "attention::forward: options.mask.rows");
  std::vector<std::uint8_t> seen(200);
  BOOST_TEST(refused(attention::options{.mask = attention::dense_mask{view<const std::uint8_t, 4>(seen.data(), 2, 1, 5, 7)}}) ==
             "attention::forward: options.mask.seen");
  BOOST_TEST(refused(attention::options<>{.mask = {.left = -3, .right = 1}}) == "attention::forward: options.mask");
  BOOST_TEST(refused(attention::options<>{.mask = {.prefix = -1}}) == "attention::forward: options.mask");
}

BOOST_AUTO_TEST_SUITE_END()
