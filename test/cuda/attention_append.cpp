// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// attention::append on the device: the bytes of the CPU's caches, and nothing beside them.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "../attention/rotary_tables.hpp"
#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "device_array.hpp"
#include "mirror.hpp"
#include "tessera/attention/append.hpp"
#include "tessera/cuda/attention/append.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float8.hpp"

namespace {

using support::array;
using support::mirror;
using tessera::bfloat16;
using tessera::view;
namespace attention = tessera::attention;

/// A cache of 3 sequences of up to 130 keys, in scattered pages, or a page each.
template <class K, class V>
struct store {
  std::int64_t most;
  array<K, 4> keys;
  array<V, 4> values;
  std::vector<int> table;
  std::vector<std::int64_t> lengths{5, 0, 17};

  explicit store(std::int64_t page_size)
      : most(130 / page_size + 1), keys({3 * most, 2, page_size, 20}, {4, true}), values({3 * most, 2, page_size, 9}) {
    for (std::int64_t n = 0; n < 3 * most; ++n) table.push_back(static_cast<int>((n * 7 + 3) % (3 * most)));
  }
  [[nodiscard]] view<const int, 2> pages() const {
    return most == 1 ? view<const int, 2>() : view<const int, 2>(table.data(), 3, most);
  }
  attention::paged<K, V> cache() { return {keys.view(), values.view(), pages(), view<const std::int64_t, 1>(lengths.data(), 3)}; }
  attention::paged<K, V> on_the_device(mirror& memory) {
    attention::paged<K, V> there{
        memory(keys.view()), memory(values.view()), {}, memory(view<const std::int64_t, 1>(lengths.data(), 3))};
    if (most > 1) there.table = memory(pages());
    return there;
  }
  bool operator==(const store& other) const {
    return keys.same_elements(other.keys) && values.same_elements(other.values) && keys.gaps_untouched() &&
           values.gaps_untouched();
  }
};

attention::rotary on_the_device(mirror& memory, attention::rotary by) {
  by.cos = memory(by.cos);
  by.sin = memory(by.sin);
  return by;
}

template <class X>
auto read_only(const X& x) {
  return view<const tessera::value_type_of<X>, X::rank()>(x);
}

template <class K, class V, class NK, class NV>
void check(std::int64_t page_size, const attention::rotary& by) {
  store<K, V> want(page_size);
  for (const std::int64_t n : {3, 1, 70, 0}) {
    array<NK, 4> new_keys({3, 2, n, 20}, {2, true});
    array<NV, 4> new_values({3, 2, n, 9}, {1, false});
    new_keys.fill([](std::uint64_t e) { return 30 * support::normal(5, e); });
    new_values.fill([](std::uint64_t e) { return 30 * support::normal(6, e); });
    store<K, V> got = want;
    attention::append(tessera::seq, want.cache(), new_keys.view(), new_values.view(), by);
    mirror memory;
    attention::append(tessera::cuda::on(), got.on_the_device(memory), memory(read_only(new_keys.view())),
                      memory(read_only(new_values.view())), on_the_device(memory, by));
    memory.bring_back();
    BOOST_TEST_INFO("page_size " << page_size << " n " << n);
    BOOST_TEST((got == want));
    for (std::int64_t& length : want.lengths) length += n;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_append)

BOOST_AUTO_TEST_CASE(every_page_size_and_type) {
  const rotary_test::tables of(150, 16);
  attention::rotary by = of.with(rotary_test::layouts[1]);
  by.first_key = 9;
  by.first_dim = 2;
  for (const std::int64_t page_size : {1, 16, 131}) {
    check<float, float, float, float>(page_size, {});
    check<bfloat16, tessera::float8_e4m3, bfloat16, float>(page_size, by);
  }
}

// Sequences that bring different numbers of rows; keys alone.
BOOST_AUTO_TEST_CASE(ragged_rows) {
  const rotary_test::tables of(150, 20);
  const attention::rotary by = of.with(rotary_test::layouts[0]);
  const int offsets[] = {2, 40, 40, 47};
  array<float, 3> rows({2, 50, 20}, {3, false});
  rows.fill([](std::uint64_t e) { return support::normal(5, e); });
  array<float, 3> values({2, 50, 9});
  values.fill([](std::uint64_t e) { return support::normal(6, e); });
  const view<const int, 1> cut(offsets, 4);
  for (const bool both : {true, false}) {
    store<float, float> want(16);
    store<float, float> got(16);
    mirror memory;
    const auto there = memory(read_only(rows.view()));
    const attention::ragged at{.key_offsets = memory(cut)};
    if (both) {
      attention::append(tessera::seq, want.cache(), rows.view(), values.view(), attention::ragged{.key_offsets = cut}, by);
      attention::append(tessera::cuda::on(), got.on_the_device(memory), there, memory(read_only(values.view())), at,
                        on_the_device(memory, by));
    } else {
      attention::append(tessera::seq, want.cache(), rows.view(), attention::ragged{.key_offsets = cut}, by);
      attention::append(tessera::cuda::on(), got.on_the_device(memory), there, at, on_the_device(memory, by));
    }
    memory.bring_back();
    BOOST_TEST((got == want));
  }
}

// What only the device can read: rows without a page are dropped, positions beyond the tables are NaN, others are as they would be.
BOOST_AUTO_TEST_CASE(rows_that_lead_out_of_the_cache) {
  const rotary_test::tables of(40, 20);
  const attention::rotary by = of.with(rotary_test::layouts[0]);
  array<float, 4> rows({3, 2, 30, 20});
  rows.fill([](std::uint64_t e) { return support::normal(5, e); });
  array<float, 4> few({3, 2, 1, 20});
  few.fill([](std::uint64_t e) { return support::normal(5, e); });
  for (const std::int64_t page_size : {16, 131}) {
    store<float, float> want(page_size);
    store<float, float> got(page_size);
    want.lengths = {0, 0, 0};
    attention::append(tessera::seq, want.cache(), rows.view());
    got.lengths = {131, 0, 20};
    if (page_size == 16) got.lengths[0] = 144;
    if (page_size == 16) got.table[9] = 1000;
    mirror memory;
    attention::append(tessera::cuda::on(), got.on_the_device(memory), memory(read_only(rows.view())), on_the_device(memory, by));
    memory.bring_back();
    BOOST_TEST(got.keys.gaps_untouched());
    BOOST_TEST(got.values.untouched());
    int wrong = 0;
    const auto at = [&](std::int64_t b, std::int64_t j) {
      const std::int64_t page = page_size == 131 ? b : got.table[static_cast<std::size_t>(b * got.most + j / page_size)];
      return page > 100 ? 0.0F : got.keys(page, 1, j % page_size, 7);
    };
    for (std::int64_t j = 0; j < 131; ++j) wrong += !std::isnan(at(0, j));  // nothing came: poison
    for (std::int64_t j = 0; j < 30; ++j) wrong += std::isnan(at(1, j));
    for (std::int64_t j = 20; j < 50; ++j) wrong += std::isnan(at(2, j)) != (j >= 40);
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  const support::device_array<float> keys(3 * 4 * 8), values(3 * 4 * 6), new_keys(std::vector<float>(4 * 8, 1));
  const support::device_array<float> new_values(std::vector<float>(4 * 6, 1));
  const support::device_array<int> table(std::vector<int>{0, 1, 2}), held(std::vector<int>{0, 0});
  const support::device_array<float> cosines(std::vector<float>(40, 1));
  std::vector<float> host(200, 1);
  const std::vector<int> host_numbers(4, 0);
  struct arguments {
    attention::paged<float> cache;
    view<const float, 4> keys;
    view<const float, 4> values;
    attention::rotary by{};
  };
  const auto refused = [&](const auto& change) {
    arguments x{{view<float, 4>(keys.data(), 3, 1, 4, 8), view<float, 4>(values.data(), 3, 1, 4, 6),
                 view<const int, 2>(table.data(), 2, 1), view<const int, 1>(held.data(), 2)},
                view<const float, 4>(new_keys.data(), 2, 1, 2, 8),
                view<const float, 4>(new_values.data(), 2, 1, 2, 6),
                {.cos = view<const float, 2>(cosines.data(), 10, 4), .sin = view<const float, 2>(cosines.data(), 10, 4)}};
    change(x);
    const std::string text = support::refusal([&] { attention::append(tessera::cuda::on(), x.cache, x.keys, x.values, x.by); });
    bool untouched = keys.borders_intact() && values.borders_intact();
    for (const float k : keys.get()) untouched = untouched && __builtin_bit_cast(std::uint32_t, k) == 0xA5A5A5A5U;
    for (const float v : values.get()) untouched = untouched && __builtin_bit_cast(std::uint32_t, v) == 0xA5A5A5A5U;
    BOOST_TEST((untouched || text == "accepted"));
    return text == "accepted" ? text : text.substr(19, text.find(": ", 19) - 19);
  };
  float* const at = host.data();
  BOOST_TEST(refused([&](auto& x) { x.cache.keys = view<float, 4>(at, 3, 1, 4, 8); }) == "cache.keys");
  BOOST_TEST(refused([&](auto& x) { x.cache.values = view<float, 4>(at, 3, 1, 4, 6); }) == "cache.values");
  BOOST_TEST(refused([&](auto& x) { x.cache.table = view<const int, 2>(host_numbers.data(), 2, 1); }) == "cache.table");
  BOOST_TEST(refused([&](auto& x) { x.cache.lengths = view<const int, 1>(host_numbers.data(), 2); }) == "cache.lengths");
  BOOST_TEST(refused([&](auto& x) { x.keys = view<const float, 4>(at, 2, 1, 2, 8); }) == "new_keys");
  BOOST_TEST(refused([&](auto& x) { x.values = view<const float, 4>(at, 2, 1, 2, 6); }) == "new_values");
  BOOST_TEST(refused([&](auto& x) { x.by.cos = view<const float, 2>(at, 10, 4); }) == "rotary.cos");
  BOOST_TEST(refused([&](auto& x) { x.by.sin = view<const float, 2>(at, 10, 4); }) == "rotary.sin");
  BOOST_TEST(refused([&](auto& x) { x.keys = view<const float, 4>(new_keys.data(), 2, 1, 2, 7); }) == "new_keys");
  BOOST_TEST(refused([&](auto& x) { x.values = view<const float, 4>(new_values.data(), 2, 1, 1, 6); }) == "new_values");
  BOOST_TEST(refused([&](auto& x) { x.cache.values = view<float, 4>(keys.data(), 3, 1, 4, 6); }) == "cache.values");
  BOOST_TEST(refused([](auto&) {}) == "accepted");
}

BOOST_AUTO_TEST_SUITE_END()
