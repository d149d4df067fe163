// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Keys and values in pages: the bits of keys at one stride, for any size of a page, length and number of queries.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "sequence_set.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using sequence_set::heads_first;
using sequence_set::lengths;
using sequence_set::pages;
using sequence_set::results;
using sequence_set::set;
using support::array;
using tessera::bfloat16;
using tessera::par;
using tessera::view;
namespace attention = tessera::attention;

/// Elements that are not those of each sequence alone, its queries one after another and its keys in pages.
template <class I = std::int32_t, class Q, class K, class V, class Exec, class Mask, class Score>
int differences(const Exec& exec, const set<Q, K, V>& x, std::int64_t page_size, const attention::options<Mask, Score>& options) {
  const bool exchanged = page_size % 2 == 0;
  const auto q =
      x.template joined<Q>(x.query_offsets, x.heads, x.head_dim, exchanged, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const pages<K, V, I> in(x, page_size, static_cast<std::uint64_t>(page_size));
  results<float> got(x, exchanged);
  attention::forward(exec, heads_first(q.view(), exchanged), in.cache(), got.out_view(), got.lse.view(),
                     attention::ragged{.query_offsets = view<const std::int64_t, 1>(x.query_offsets.data(), x.size() + 1)},
                     options);
  return got.differences(exec, x, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_paged)

// One block of rows, few rows, panels of rows; lengths around pages and chunks; pages smaller than a register's worth of keys, and larger
// than a chunk.
BOOST_AUTO_TEST_CASE(bits_are_those_of_keys_at_one_stride) {
  const lengths of{{1, 700}, {1, 16}, {2, 17}, {1, 0}, {5, 193}, {40, 256}, {128, 100}, {150, 400}, {3, 1}, {0, 30}, {1, 1024}};
  std::uint64_t n = 0;
  for (const std::int64_t page_size : {1, 2, 7, 16, 17, 48, 192, 256, 2000}) {
    const set<float> x(of, 6, n % 2 == 0 ? 3 : 1, 20, 40, n, static_cast<std::int64_t>(n % 3));
    BOOST_TEST_INFO("page_size " << page_size);
    BOOST_TEST(differences(par.threads(static_cast<int>(n % 3) + 1), x, page_size,
                           attention::options<>{.mask = attention::causal}) == 0);
    BOOST_TEST(differences<std::int64_t>(par.threads(2), x, page_size,
                                         attention::options<>{.mask = attention::sliding_window(90, 3)}) == 0);
    ++n;
  }
}

// Storage of which a register holds two packs; a row of values past what is tiled at a time.
BOOST_AUTO_TEST_CASE(bits_of_16_bit_caches) {
  const lengths of{{1, 500}, {2, 90}, {30, 300}, {140, 250}};
  for (const std::int64_t page_size : {1, 5, 16, 250}) {
    const set<float, bfloat16> x(of, 4, 2, 70, 64, 3);
    BOOST_TEST_INFO("page_size " << page_size);
    BOOST_TEST(differences(par.threads(2), x, page_size, attention::options<>{.mask = attention::causal}) == 0);
  }
}

// Few units for many workers: chunks of one sequence go to different ones.
BOOST_AUTO_TEST_CASE(bits_for_every_split_of_the_keys) {
  const set<float> x({{1, 9000}, {2, 5000}}, 2, 1, 8, 8, 4);
  for (const int threads : {1, 2, 3, 7}) {
    BOOST_TEST(differences(par.threads(threads), x, 24, attention::options<>{.mask = attention::causal}) == 0);
  }
}

// A cache [batch, kv_heads, capacity, dim]: no table. Queries of one number, as [batch, heads, len_q, dim].
BOOST_AUTO_TEST_CASE(a_cache_at_one_stride) {
  const std::vector<std::int64_t> held{300, 0, 77, 400};
  const std::vector<std::int64_t> table{0, 1, 2, 3};
  for (const std::int64_t len_q : {1, 3, 130}) {
    array<float, 4> q({4, 4, len_q, 16}, {1, true});
    array<float, 4> keys({5, 2, 400, 16}, {2, true});
    array<float, 4> values({5, 2, 400, 12});
    q.fill([](std::uint64_t n) { return 2 * support::normal(1, n); });
    for (std::int64_t b = 0; b < 4; ++b) {
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t j = 0; j < held[static_cast<std::size_t>(b)]; ++j) {
          for (std::int64_t c = 0; c < 16; ++c)
            keys(b, h, j, c) =
                static_cast<float>(support::normal(2, static_cast<std::uint64_t>(((b * 2 + h) * 400 + j) * 16 + c)));
          for (std::int64_t c = 0; c < 12; ++c)
            values(b, h, j, c) =
                static_cast<float>(support::normal(3, static_cast<std::uint64_t>(((b * 2 + h) * 400 + j) * 12 + c)));
        }
      }
    }
    const attention::options<> options{.mask = attention::causal};
    array<float, 4> out({4, 4, len_q, 12});
    array<float, 3> lse({4, 4, len_q});
    const attention::paged<float> cache{
        .keys = keys.view(), .values = values.view(), .lengths = view<const std::int64_t, 1>(held.data(), 4)};
    attention::forward(par.threads(2), q.view(), cache, out.view(), lse.view(), options);
    array<float, 4> listed({4, 4, len_q, 12});
    attention::forward(par.threads(2), q.view(),
                       attention::paged{keys.view(), values.view(), view<const std::int64_t, 2>(table.data(), 4, 1),
                                        view<const std::int64_t, 1>(held.data(), 4)},
                       listed.view(), options);
    BOOST_TEST(out.same_elements(listed));
    array<float, 4> want({4, 4, len_q, 12});
    array<float, 3> want_lse({4, 4, len_q});
    for (std::int64_t b = 0; b < 4; ++b) {
      const auto one = [&](const auto& v, std::int64_t len) {
        return view<float, 4>(v[b].data_handle(), {1, v.extent(1), len, v.extent(3)}, {0, v.stride(1), v.stride(2), 1});
      };
      const std::int64_t len_k = held[static_cast<std::size_t>(b)];
      attention::forward(par.threads(2), one(q.view(), len_q), one(keys.view(), len_k), one(values.view(), len_k),
                         one(want.view(), len_q), view<float, 3>(&want_lse(b, 0, 0), 1, 4, len_q), options);
    }
    BOOST_TEST(out.same_elements(want));
    BOOST_TEST(lse.same_elements(want_lse));
  }
}

// NaN in keys and values that a row does not see, but another does: page by page, too.
BOOST_AUTO_TEST_CASE(nan_reaches_only_who_sees_it) {
  for (const std::int64_t page_size : {1, 3, 16, 64}) {
    set<float> x({{4, 300}, {20, 200}, {140, 200}}, 2, 1, 8, 8, 5);
    for (auto& in : x.alone) {
      in.v(0, 0, in.k.view().extent(2) - 1, 3) = std::numeric_limits<float>::quiet_NaN();
      in.v(0, 0, 100, 2) = std::numeric_limits<float>::infinity();
      in.k(0, 0, in.k.view().extent(2) - 2, 1) = std::numeric_limits<float>::quiet_NaN();
    }
    BOOST_TEST(differences(par.threads(2), x, page_size, attention::options<>{.mask = attention::causal}) == 0);
  }
}

BOOST_AUTO_TEST_CASE(results_are_within_the_bound) {
  support::worst out_errors;
  support::worst lse_errors;
  const set<float> x({{2, 400}, {2, 100}, {2, 0}, {2, 1000}}, 4, 2, 40, 20, 11);
  const pages<float, float, std::int32_t> in(x, 17, 1);
  array<float, 4> q({4, 4, 2, 40});
  for (std::int64_t b = 0; b < 4; ++b) {
    for (std::int64_t n = 0; n < 4 * 2 * 40; ++n)
      q(b, n / 80, n / 40 % 2, n % 40) = x.at(x.alone, b).q(0, n / 80, n / 40 % 2, n % 40);
  }
  array<float, 4> out({4, 4, 2, 20});
  array<float, 3> lse({4, 4, 2});
  const attention::options<> options{.mask = attention::causal};
  attention::forward(par.threads(2), q.view(), in.cache(), out.view(), lse.view(), options);
  for (std::int64_t b = 0; b < 4; ++b) {
    array<float, 4> own({1, 4, 2, 20});
    array<float, 3> own_lse({1, 4, 2});
    for (std::int64_t n = 0; n < 4 * 2 * 20; ++n) own(0, n / 40, n / 20 % 2, n % 20) = out(b, n / 40, n / 20 % 2, n % 20);
    for (std::int64_t n = 0; n < 8; ++n) own_lse(0, n / 2, n % 2) = lse(b, n / 2, n % 2);
    oracle::compare(out_errors, lse_errors, x.at(x.alone, b), own, own_lse, options);
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
}

BOOST_AUTO_TEST_CASE(misuse) {
  struct arguments {
    array<float, 4> q{{2, 4, 3, 6}};
    array<float, 4> keys{{7, 2, 4, 6}};
    array<float, 4> values{{7, 2, 4, 5}};
    array<float, 4> out{{2, 4, 3, 5}};
    array<float, 3> lse{{2, 4, 3}};
    std::vector<int> table{6, 1, 0, 99, 5, -1};
    std::vector<int> lengths{9, 4};
    attention::paged<float> cache{keys.view(), values.view(), view<const int, 2>(table.data(), 2, 3),
                                  view<const int, 1>(lengths.data(), 2)};
    view<float, 4> q_view = q.view();
    view<float, 4> o_view = out.view();
    view<float, 3> l_view = lse.view();
    attention::options<> options{};
  };
  const auto text_of = [](const arguments& x, const std::string& text) {
    BOOST_TEST((text == "accepted" || (x.out.untouched() && x.lse.untouched() && x.keys.untouched())));
    if (text == "accepted") return text;
    const std::string function = "attention::forward: ";
    BOOST_TEST(text.substr(0, function.size()) == function);
    return text.substr(function.size(), text.find(": ", function.size()) - function.size());
  };
  const auto refused = [&](const auto& change) {
    arguments x;
    x.table[3] = 3;
    change(x);
    return text_of(
        x, support::refusal([&] { attention::forward(par.threads(2), x.q_view, x.cache, x.o_view, x.l_view, x.options); }));
  };
  BOOST_TEST(refused([](auto&) {}) == "accepted");
  BOOST_TEST(refused([](auto& x) {
               x.lengths[1] = 5;
               x.table[4] = 2;
             }) == "accepted");
  BOOST_TEST(refused([](auto& x) { x.table[3] = 7; }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.table[2] = -1; }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.lengths[1] = 9; }) == "cache.table");  // the third page of sequence 1 is none
  BOOST_TEST(refused([](auto& x) { x.lengths[0] = 13; }) == "cache.lengths");
  BOOST_TEST(refused([](auto& x) { x.lengths[0] = -1; }) == "cache.lengths");
  BOOST_TEST(refused([](auto& x) { x.cache.lengths = view<const int, 1>(x.lengths.data(), 1); }) == "cache.lengths");
  BOOST_TEST(refused([](auto& x) { x.cache.lengths = {}; }) == "cache.lengths");
  BOOST_TEST(refused([](auto& x) { x.cache.table = view<const int, 2>(x.table.data(), 3, 2); }) == "cache.table");
  BOOST_TEST(refused([](auto& x) { x.cache.table = {}; }) == "cache.lengths");  // 9 keys in a page of 4
  BOOST_TEST(refused([](auto& x) {
               x.cache.table = {};
               x.lengths = {4, 2};
               x.cache.lengths = view<const int, 1>(x.lengths.data(), 2);
             }) == "accepted");
  BOOST_TEST(refused([](auto& x) {
               x.cache.table = {};
               x.cache.keys = view<float, 4>(x.keys.view().data_handle(), 1, 2, 4, 6);
               x.cache.values = view<float, 4>(x.values.view().data_handle(), 1, 2, 4, 5);
             }) == "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.cache.keys = view<float, 4>(x.keys.view().data_handle(), 7, 2, 4, 5); }) == "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.cache.keys = view<float, 4>(nullptr, 7, 2, 4, 6); }) == "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.cache.keys = view<float, 4>(x.keys.view().data_handle(), {7, 2, 4, 6}, {48, 24, 1, 4}); }) ==
             "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.cache.values = view<float, 4>(x.values.view().data_handle(), 7, 2, 3, 5); }) ==
             "cache.values");
  BOOST_TEST(refused([](auto& x) { x.q_view = view<float, 4>(x.q.view().data_handle(), 2, 3, 3, 6); }) == "cache.keys");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 4>(x.out.view().data_handle(), 2, 4, 3, 4); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 4>(x.keys.view().data_handle(), 2, 4, 3, 5); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 4>(x.values.view().data_handle(), 2, 4, 3, 5); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 4>(reinterpret_cast<float*>(x.table.data()), 2, 4, 3, 5); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.l_view = view<float, 3>(x.lse.view().data_handle(), 2, 4, 2); }) == "lse");
  BOOST_TEST(refused([](auto& x) { x.l_view = view<float, 3>(x.values.view().data_handle(), 2, 4, 3); }) == "lse");
  BOOST_TEST(refused([](auto& x) { x.options.scale = std::numeric_limits<double>::quiet_NaN(); }) == "options.scale");
  const auto refused_ragged = [&](std::vector<int> offsets, bool with_keys) {
    arguments x;
    x.table[3] = 3;
    attention::ragged at{.query_offsets = view<const int, 1>(offsets.data(), offsets.size())};
    if (with_keys) at.key_offsets = at.query_offsets;
    const view<float, 3> q(x.q.view().data_handle(), 4, 6, 6);
    const view<float, 3> out(x.out.view().data_handle(), 4, 6, 5);
    return text_of(x, support::refusal([&] { attention::forward(par.threads(2), q, x.cache, out, at, x.options); }));
  };
  BOOST_TEST(refused_ragged({0, 5, 6}, false) == "accepted");
  BOOST_TEST(refused_ragged({0, 5, 6}, true) == "ragged.key_offsets");
  BOOST_TEST(refused_ragged({0, 5, 7}, false) == "ragged.query_offsets");
  BOOST_TEST(refused_ragged({0, 5}, false) == "cache.table");
}

BOOST_AUTO_TEST_SUITE_END()
