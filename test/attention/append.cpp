// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// New keys and values put into a cache: each at its place, nothing else touched, and forward on what came in step by step.
#include "tessera/attention/append.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/random.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float8.hpp"

namespace {

using support::array;
using tessera::bfloat16;
using tessera::par;
using tessera::view;
namespace attention = tessera::attention;

/// A cache of 3 sequences, and what it must hold.
template <class K, class V>
struct store {
  std::int64_t page_size;
  array<K, 4> keys;
  array<V, 4> values;
  array<K, 4> want_keys;
  array<V, 4> want_values;
  std::vector<int> table;
  std::vector<std::int64_t> lengths{5, 0, 17};

  explicit store(std::int64_t size)
      : page_size(size), keys({300, 2, size, 20}, {1, true}), values({300, 2, size, 9}), want_keys(keys), want_values(values) {
    for (int n = 0; n < 3 * 100; ++n) table.push_back((n * 7 + 3) % 300);
  }
  auto cache() {
    return attention::paged{keys.view(), values.view(), view<const int, 2>(table.data(), 3, 100),
                            view<const std::int64_t, 1>(lengths.data(), 3)};
  }
  /// Where row t of the new ones of sequence b belongs.
  std::int64_t page(std::int64_t b, std::int64_t t) {
    return table[static_cast<std::size_t>(b * 100 + (lengths[static_cast<std::size_t>(b)] + t) / page_size)];
  }
  std::int64_t slot(std::int64_t b, std::int64_t t) { return (lengths[static_cast<std::size_t>(b)] + t) % page_size; }
  bool as_wanted() {  // bytes, gaps and poison included
    return keys.same_elements(want_keys) && values.same_elements(want_values) && keys.gaps_untouched() && values.gaps_untouched();
  }
};

double number(std::uint64_t n) { return 30 * support::normal(5, n); }

template <class K, class V, class NK, class NV>
void check_types(std::int64_t page_size, int threads) {
  store<K, V> x(page_size);
  for (const std::int64_t n : {3, 1, 70, 0}) {
    array<NK, 4> new_keys({3, 2, n, 20}, {2, true});
    array<NV, 4> new_values({3, 2, n, 9}, {1, false});
    new_keys.fill(number);
    new_values.fill(number);
    for (std::int64_t b = 0; b < 3; ++b) {
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t t = 0; t < n; ++t) {
          for (std::int64_t c = 0; c < 20; ++c)
            x.want_keys(x.page(b, t), h, x.slot(b, t), c) = static_cast<K>(new_keys(b, h, t, c));
          for (std::int64_t c = 0; c < 9; ++c)
            x.want_values(x.page(b, t), h, x.slot(b, t), c) = static_cast<V>(new_values(b, h, t, c));
        }
      }
    }
    attention::append(par.threads(threads), x.cache(), new_keys.view(), new_values.view());
    for (std::int64_t& length : x.lengths) length += n;
    BOOST_TEST(x.as_wanted());
    BOOST_TEST((new_keys.untouched() && new_values.untouched()));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_append)

BOOST_AUTO_TEST_CASE(rows_stand_at_their_places) {
  for (const std::int64_t page_size : {1, 4, 16, 17, 100}) {
    check_types<float, float, float, float>(page_size, 1);
    check_types<bfloat16, tessera::float8_e4m3, float, float>(page_size, 3);
    check_types<float, tessera::float16, bfloat16, double>(page_size, 2);
  }
}

// Sequences that bring different numbers of rows; rows of nobody are not read, as their poison would show.
BOOST_AUTO_TEST_CASE(ragged_rows) {
  store<bfloat16, float> x(6);
  const std::vector<int> offsets{2, 9, 9, 90};
  array<float, 3> new_keys({2, 95, 20});
  array<float, 3> new_values({2, 95, 9}, {3, false});
  for (std::int64_t b = 0; b < 3; ++b) {
    for (std::int64_t row = offsets[static_cast<std::size_t>(b)]; row < offsets[static_cast<std::size_t>(b) + 1]; ++row) {
      const std::int64_t t = row - offsets[static_cast<std::size_t>(b)];
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t c = 0; c < 20; ++c) {
          new_keys(h, row, c) = static_cast<float>(number(static_cast<std::uint64_t>((row * 2 + h) * 20 + c)));
          x.want_keys(x.page(b, t), h, x.slot(b, t), c) = static_cast<bfloat16>(new_keys(h, row, c));
        }
        for (std::int64_t c = 0; c < 9; ++c) {
          new_values(h, row, c) = static_cast<float>(row * 100 + h * 10 + c);
          x.want_values(x.page(b, t), h, x.slot(b, t), c) = new_values(h, row, c);
        }
      }
    }
  }
  support::counting_resource memory;
  attention::append(par.threads(2).scratch(&memory), x.cache(), new_keys.view(), new_values.view(),
                    attention::ragged{.key_offsets = view<const int, 1>(offsets.data(), 4)});
  BOOST_TEST(x.as_wanted());
  BOOST_TEST((memory.allocations() == 1 && memory.all_returned()));
}

// Keys alone, of a cache whose values are columns of its keys; keys and values between one another, page by page and row by row.
BOOST_AUTO_TEST_CASE(caches_in_one_array) {
  const std::vector<std::int64_t> lengths{2, 0};
  const view<const std::int64_t, 1> held(lengths.data(), 2);
  array<float, 4> new_keys({2, 1, 3, 6});
  array<float, 4> new_values({2, 1, 3, 6});
  new_keys.fill([](std::uint64_t n) { return static_cast<double>(n); });
  new_values.fill([](std::uint64_t n) { return 1000 + static_cast<double>(n); });
  array<float, 4> latent({2, 1, 8, 6});
  const view<float, 4> columns(latent.view().data_handle(), {2, 1, 8, 4}, {48, 48, 6, 1});
  attention::append(par, attention::paged<float>{.keys = latent.view(), .values = columns, .lengths = held}, new_keys.view());
  for (std::int64_t n = 0; n < 36; ++n)
    BOOST_TEST(latent(n / 18, 0, (n < 18 ? 2 : 0) + n / 6 % 3, n % 6) == static_cast<float>(n));
  CHECK_REFUSED(
      "attention::append: cache.values: ",
      attention::append(par, attention::paged<float>{.keys = latent.view(), .values = columns, .lengths = held}, new_keys.view(),
                        view<const float, 4>(new_values.view().data_handle(), {2, 1, 3, 4}, {18, 18, 6, 1})));
  struct strides {
    std::int64_t between;  // from keys to values
    std::int64_t page;
    std::int64_t row;
  };
  for (const strides s : {strides{48, 96, 6}, strides{6, 96, 12}}) {
    std::vector<float> both(2 * 96, -1);
    const view<float, 4> keys(both.data(), {2, 1, 8, 6}, {s.page, s.page, s.row, 1});
    const view<float, 4> values(both.data() + s.between, {2, 1, 8, 6}, {s.page, s.page, s.row, 1});
    attention::append(par, attention::paged<float>{.keys = keys, .values = values, .lengths = held}, new_keys.view(),
                      new_values.view());
    for (std::int64_t n = 0; n < 36; ++n) {
      BOOST_TEST(keys(n / 18, 0, (n < 18 ? 2 : 0) + n / 6 % 3, n % 6) == static_cast<float>(n));
      BOOST_TEST(values(n / 18, 0, (n < 18 ? 2 : 0) + n / 6 % 3, n % 6) == static_cast<float>(1000 + n));
    }
    BOOST_TEST(std::count(both.begin(), both.end(), -1.0F) == 2 * 96 - 72);
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  struct arguments {
    array<float, 4> keys{{7, 2, 4, 6}};
    array<float, 4> values{{7, 2, 4, 5}};
    array<float, 4> new_keys{{2, 2, 3, 6}};
    array<float, 4> new_values{{2, 2, 3, 5}};
    std::vector<int> table{6, 1, 0, 3, 5, -1};
    std::vector<int> lengths{6, 4};
    attention::paged<float> cache{keys.view(), values.view(), view<const int, 2>(table.data(), 2, 3),
                                  view<const int, 1>(lengths.data(), 2)};
    view<const float, 4> k = new_keys.view();
    view<const float, 4> v = new_values.view();
  };
  const auto refused = [&](const auto& change) {
    arguments x;
    change(x);
    const std::string text = support::refusal([&] { attention::append(par.threads(2), x.cache, x.k, x.v); });
    BOOST_TEST((text == "accepted" || (x.keys.untouched() && x.values.untouched())));
    if (text == "accepted") return text;
    const std::string function = "attention::append: ";
    BOOST_TEST(text.substr(0, function.size()) == function);
    return text.substr(function.size(), text.find(": ", function.size()) - function.size());
  };
  BOOST_TEST(refused([](auto&) {}) == "accepted");
  BOOST_TEST(refused([](auto& x) { x.table[0] = 99; }) == "accepted");  // the first page of sequence 0 is not written
  BOOST_TEST(refused([](auto& x) { x.table[1] = 99; }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.table[4] = -1; }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.lengths[1] = 8; }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.lengths[0] = 10; }) == "cache.lengths");
  BOOST_TEST(refused([](auto& x) { x.lengths[0] = -1; }) == "cache.lengths");
  BOOST_TEST(refused([](auto& x) {
               x.lengths = {2, 2};
               x.table[3] = 6;
             }) == "cache.table");  // both write page 6
  BOOST_TEST(refused([](auto& x) {
               x.lengths = {0, 3};
               x.table[3] = 6;
               x.table[4] = 0;
             }) == "accepted");  // different rows of it
  BOOST_TEST(refused([](auto& x) { x.k = view<const float, 4>(x.new_keys.view().data_handle(), 2, 1, 3, 6); }) == "new_keys");
  BOOST_TEST(refused([](auto& x) { x.k = view<const float, 4>(x.new_keys.view().data_handle(), 2, 2, 3, 5); }) == "new_keys");
  BOOST_TEST(refused([](auto& x) { x.k = view<const float, 4>(x.new_keys.view().data_handle(), 1, 2, 3, 6); }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.k = view<const float, 4>(nullptr, 2, 2, 3, 6); }) == "new_keys");
  BOOST_TEST(refused([](auto& x) { x.v = view<const float, 4>(x.new_values.view().data_handle(), 2, 2, 2, 5); }) == "new_values");
  BOOST_TEST(refused([](auto& x) {
               x.v = view<const float, 4>(x.new_values.view().data_handle(), {2, 2, 3, 5}, {30, 15, 1, 3});
             }) == "new_values");
  BOOST_TEST(refused([](auto& x) { x.k = view<const float, 4>(x.keys.view().data_handle(), 2, 2, 3, 6); }) == "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.v = view<const float, 4>(x.keys.view().data_handle(), 2, 2, 3, 5); }) == "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.k = view<const float, 4>(x.values.view().data_handle(), 2, 2, 3, 6); }) == "cache.values");
  BOOST_TEST(refused([](auto& x) { x.cache.values = view<float, 4>(x.keys.view().data_handle(), 7, 2, 4, 5); }) ==
             "cache.values");
  BOOST_TEST(refused([](auto& x) { x.cache.keys = view<float, 4>(x.keys.view().data_handle(), {7, 2, 4, 6}, {0, 24, 6, 1}); }) ==
             "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.cache.lengths = {}; }) == "cache.lengths");
}

BOOST_AUTO_TEST_SUITE_END()
