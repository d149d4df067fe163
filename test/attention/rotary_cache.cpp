// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Rotary position embedding of ragged batches, of pages, and of keys on their way into a cache.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "rotary_tables.hpp"
#include "tessera/attention/append.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using rotary_test::layouts;
using rotary_test::tables;
using support::array;
using tessera::bfloat16;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;

auto normal(std::uint64_t seed) {
  return [=](std::uint64_t n) { return support::normal(seed, n); };
}

constexpr std::int64_t dim = 20;
constexpr std::int64_t value_dim = 9;

/// Three sequences of 2 key heads, their keys in pages, and 4 query heads.
template <class K>
struct store {
  array<K, 4> keys;
  array<float, 4> values;
  std::vector<int> table;
  std::vector<int> lengths{0, 0, 0};
  std::int64_t held;

  explicit store(std::int64_t page_size)
      : keys({3 * (400 / page_size + 1), 2, page_size, dim}),
        values({3 * (400 / page_size + 1), 2, page_size, value_dim}),
        held(400 / page_size + 1) {
    for (std::int64_t n = 0; n < 3 * held; ++n) table.push_back(static_cast<int>(3 * held - 1 - n));
  }
  auto cache() {
    return attention::paged{keys.view(), values.view(), view<const int, 2>(table.data(), 3, held),
                            view<const int, 1>(lengths.data(), 3)};
  }
  void grow(int n) {
    for (int& length : lengths) length += n;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_rotary_cache)

// Keys rotated on their way into a cache, and keys that are rotated when they are read: the same bits, few and many queries.
BOOST_AUTO_TEST_CASE(both_times_of_rotating_give_the_same_bits) {
  const tables of(600, 16);
  for (const std::int64_t page_size : {5, 16, 64}) {
    for (const auto layout : layouts) {
      attention::rotary by = of.with(layout);
      by.first_key = 3;
      by.first_dim = 2;
      store<float> early(page_size);
      store<float> late(page_size);
      for (const int n : {170, 1, 3, 1, 150}) {
        array<float, 4> new_keys({3, 2, n, dim}, {1, true});
        array<float, 4> new_values({3, 2, n, value_dim});
        new_keys.fill(normal(static_cast<std::uint64_t>(n)));
        new_values.fill(normal(static_cast<std::uint64_t>(n) + 1));
        attention::append(par.threads(2), early.cache(), new_keys.view(), new_values.view(), by);
        attention::append(seq, late.cache(), new_keys.view(), new_values.view());
        early.grow(n);
        late.grow(n);
        array<float, 4> q({3, 4, n, dim});
        q.fill(normal(9));
        array<float, 4> out({3, 4, n, value_dim});
        array<float, 4> want({3, 4, n, value_dim});
        attention::options<> options{.mask = attention::causal, .rotary = by};
        attention::forward(par.threads(3), q.view(), late.cache(), want.view(), options);
        options.rotary.keys = false;
        attention::forward(seq, q.view(), early.cache(), out.view(), options);
        BOOST_TEST(out.same_elements(want));
        // And those of one sequence alone, its keys at one stride.
        if (n != 3) continue;
        array<float, 4> k({1, 2, 174, dim});
        array<float, 4> v({1, 2, 174, value_dim});
        for (std::int64_t h = 0; h < 2; ++h) {
          for (std::int64_t j = 0; j < 174; ++j) {
            const std::int64_t page = late.table[static_cast<std::size_t>(late.held + j / page_size)];
            for (std::int64_t d = 0; d < dim; ++d) k(0, h, j, d) = late.keys(page, h, j % page_size, d);
            for (std::int64_t c = 0; c < value_dim; ++c) v(0, h, j, c) = late.values(page, h, j % page_size, c);
          }
        }
        array<float, 4> alone({1, 4, n, value_dim});
        options.rotary.keys = true;
        attention::forward(seq, view<const float, 4>(&q(1, 0, 0, 0), 1, 4, n, dim), k.view(), v.view(), alone.view(), options);
        BOOST_TEST(
            std::memcmp(&alone(0, 0, 0, 0), &want(1, 0, 0, 0), sizeof(float) * static_cast<std::size_t>(4 * n * value_dim)) == 0);
      }
    }
  }
}

// Each sequence has its own positions, that follow from its own lengths.
BOOST_AUTO_TEST_CASE(ragged_batches_have_the_bits_of_their_sequences) {
  const tables of(500, 20);
  const std::vector<int> query_offsets{0, 3, 3, 143, 150};
  const std::vector<int> key_offsets{0, 40, 50, 190, 560};
  array<float, 3> q({4, 150, dim});
  array<float, 3> k({2, 560, dim});
  array<float, 3> v({2, 560, value_dim});
  q.fill(normal(1));
  k.fill(normal(2));
  v.fill(normal(3));
  array<float, 3> out({4, 150, value_dim});
  for (const auto layout : layouts) {
    const attention::options<> options{.mask = attention::causal, .rotary = of.with(layout)};
    attention::forward(par.threads(3), q.view(), k.view(), v.view(), out.view(),
                       attention::ragged{view<const int, 1>(query_offsets.data(), 5), view<const int, 1>(key_offsets.data(), 5)},
                       options);
    for (std::size_t b = 0; b < 4; ++b) {
      const std::int64_t len_q = query_offsets[b + 1] - query_offsets[b];
      if (len_q == 0) continue;
      const auto one = []<class T>(const view<T, 3>& x, int first, int last) {
        return view<T, 4>(x.data_handle() + first * x.stride(1), {1, x.extent(0), last - first, x.extent(2)},
                          {0, x.stride(0), x.stride(1), 1});
      };
      array<float, 4> alone({1, 4, len_q, value_dim});
      attention::forward(seq, one(q.view(), query_offsets[b], query_offsets[b + 1]),
                         one(k.view(), key_offsets[b], key_offsets[b + 1]), one(v.view(), key_offsets[b], key_offsets[b + 1]),
                         alone.view(), options);
      int wrong = 0;
      for (std::int64_t h = 0; h < 4; ++h) {
        for (std::int64_t i = 0; i < len_q; ++i) {
          for (std::int64_t c = 0; c < value_dim; ++c) wrong += alone(0, h, i, c) != out(h, query_offsets[b] + i, c);
        }
      }
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(narrow_caches_hold_what_rotate_rounds_once) {
  const tables of(100, 14);
  for (const auto layout : layouts) {
    attention::rotary by = of.with(layout);
    by.first_key = 2;
    store<bfloat16> x(7);
    x.lengths = {5, 0, 50};
    const std::vector<int> offsets{1, 9, 9, 40};
    array<float, 3> new_keys({2, 41, dim});
    array<float, 3> new_values({2, 41, value_dim});
    new_keys.fill(normal(5));
    new_values.fill(normal(6));
    attention::append(par.threads(2), x.cache(), new_keys.view(), new_values.view(),
                      attention::ragged{.key_offsets = view<const int, 1>(offsets.data(), 4)}, by);
    for (std::size_t b = 0; b < 3; ++b) {
      for (std::int64_t t = 0; t < offsets[b + 1] - offsets[b]; ++t) {
        const std::int64_t position = x.lengths[b] + t;
        const std::int64_t page = x.table[b * static_cast<std::size_t>(x.held) + static_cast<std::size_t>(position / 7)];
        for (std::int64_t h = 0; h < 2; ++h) {
          bfloat16 want[dim];
          attention::rotate(seq, view<const float, 4>(&new_keys(h, offsets[b] + t, 0), 1, 1, 1, dim),
                            view<bfloat16, 4>(want, 1, 1, 1, dim), by, 2 + position);
          BOOST_TEST(std::memcmp(want, &x.keys(page, h, position % 7, 0), sizeof(want)) == 0);
          for (std::int64_t c = 0; c < value_dim; ++c)
            BOOST_TEST(x.values(page, h, position % 7, c) == new_values(h, offsets[b] + t, c));
        }
      }
    }
    BOOST_TEST((x.keys.gaps_untouched() && x.values.gaps_untouched()));
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  const tables of(20, 20);
  store<float> x(16);
  x.lengths = {5, 0, 17};
  array<float, 4> new_keys({3, 2, 3, dim});
  array<float, 4> new_values({3, 2, 3, value_dim});
  new_keys.fill(normal(1));
  new_values.fill(normal(2));
  const auto refused = [&](const auto& change) {
    attention::rotary by = of.with(layouts[0]);
    change(by);
    const std::string text = support::refusal([&] { attention::append(seq, x.cache(), new_keys.view(), new_values.view(), by); });
    BOOST_TEST((x.keys.untouched() && x.values.untouched()));
    const std::size_t start = std::string("attention::append: ").size();
    return text.size() < start ? text : text.substr(start, text.find(": ", start) - start);
  };
  BOOST_TEST(refused([](auto& by) { by.first_key = 1; }) == "rotary.first_key");
  BOOST_TEST(refused([](auto& by) { by.first_key = -1; }) == "rotary.first_key");
  BOOST_TEST(refused([](auto& by) { by.first_key = std::numeric_limits<std::int64_t>::max(); }) == "rotary.first_key");
  BOOST_TEST(refused([](auto& by) { by.sin = {}; }) == "rotary.sin");
  BOOST_TEST(refused([&](auto& by) {
               by.cos = view<const float, 2>(by.cos.data_handle(), 16, 11);
               by.sin = by.cos;
             }) == "rotary.cos");
  float* const keys = x.keys.view().data_handle();
  BOOST_TEST(refused([&](auto& by) { by.cos = view<const float, 2>(keys, 20, 10); }) == "cache.keys");
  BOOST_TEST(refused([&](auto& by) { by.sin = view<const float, 2>(keys, 20, 10); }) == "cache.keys");
  // Sequences of the cache whose positions the tables do not have.
  array<float, 4> q({3, 4, 1, dim});
  array<float, 4> out({3, 4, 1, value_dim});
  attention::append(seq, x.cache(), new_keys.view(), new_values.view(), of.with(layouts[0]));
  x.grow(3);
  const tables shorter(19, 20);
  CHECK_REFUSED(
      "attention::forward: options.rotary.first_key: ",
      attention::forward(seq, q.view(), x.cache(), out.view(), attention::options<>{.rotary = shorter.with(layouts[0])}));
  attention::rotary queries = shorter.with(layouts[0]);
  queries.keys = false;
  CHECK_REFUSED("attention::forward: options.rotary.first_query: ",
                attention::forward(seq, q.view(), x.cache(), out.view(), attention::options<>{.rotary = queries}));
  BOOST_TEST(out.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
