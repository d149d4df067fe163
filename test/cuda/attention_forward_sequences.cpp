// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention's forward on the device over ragged batches and pages of a cache: the bits of calls of each sequence alone, of few queries, whose keys are
/// shared out in parts, and of many.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../attention/rotary_tables.hpp"
#include "../attention/sequence_set.hpp"
#include "../support/random.hpp"
#include "attention_on_device.hpp"

namespace {

using sequence_set::heads_first;
using sequence_set::lengths;
using sequence_set::results;
using sequence_set::set;
using support::array;
using tessera::float16;
using tessera::view;
namespace attention = tessera::attention;

const support::forward_on_device device;

/// Pages on the device.
template <class K, class V, class I>
attention::paged<const K, const V> on_the_device(support::mirror& memory, const sequence_set::pages<K, V, I>& x) {
  const auto batch = static_cast<std::int64_t>(x.lengths.size());
  return {memory(x.keys.view()), memory(x.values.view()), memory(view<const I, 2>(x.table.data(), batch, x.most)),
          memory(view<const I, 1>(x.lengths.data(), batch))};
}

/// What a ragged batch gave, sequence by sequence, against the reference and the bits of a call of each alone.
template <class Q, class K, class V, class Options>
void compare_each(const set<Q, K, V>& x, results<float>& got, const Options& options) {
  support::worst out_errors;
  support::worst lse_errors;
  int different = 0;
  for (std::int64_t b = 0; b < x.size(); ++b) {
    const auto& in = x.at(x.alone, b);
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    array<float, 4> alone(in.out_extents());
    array<float, 3> lse_alone(in.lse_extents());
    for (std::int64_t h = 0; h < x.heads; ++h) {
      for (std::int64_t i = 0; i < x.len_q(b); ++i) {
        const std::int64_t row = x.at(x.query_offsets, b) + i;
        lse(0, h, i) = got.lse(h, row);
        for (std::int64_t c = 0; c < x.value_dim; ++c) out(0, h, i, c) = got.out_view()(h, row, c);
      }
    }
    on_device::compare(out_errors, lse_errors, in, out, lse, options);
    attention::forward(device, in.q.view(), in.k.view(), in.v.view(), alone.view(), lse_alone.view(), options);
    different += !out.same_elements(alone) + !lse.same_elements(lse_alone);
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
  BOOST_TEST(different == 0);
  BOOST_TEST((got.out.gaps_untouched() && got.lse.gaps_untouched()));
}

template <class I, class Q, class K, class V, class Options>
void check_ragged(const set<Q, K, V>& x, bool exchanged, const Options& options) {
  const auto q =
      x.template joined<Q>(x.query_offsets, x.heads, x.head_dim, exchanged, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k =
      x.template joined<K>(x.key_offsets, x.kv_heads, x.head_dim, exchanged, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v =
      x.template joined<V>(x.key_offsets, x.kv_heads, x.value_dim, exchanged, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const std::vector<I> query_offsets(x.query_offsets.begin(), x.query_offsets.end());
  const std::vector<I> key_offsets(x.key_offsets.begin(), x.key_offsets.end());
  results<float> got(x, exchanged);
  attention::forward(
      device, heads_first(q.view(), exchanged), heads_first(k.view(), exchanged), heads_first(v.view(), exchanged),
      got.out_view(), got.lse.view(),
      attention::ragged{view<const I, 1>(query_offsets.data(), x.size() + 1), view<const I, 1>(key_offsets.data(), x.size() + 1)},
      options);
  compare_each(x, got, options);
}

template <class I, class Q, class K, class V, class Options>
void check_ragged_pages(const set<Q, K, V>& x, std::int64_t page_size, const Options& options) {
  const bool exchanged = page_size % 2 == 0;
  const auto q =
      x.template joined<Q>(x.query_offsets, x.heads, x.head_dim, exchanged, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const sequence_set::pages<K, V, I> in(x, page_size, static_cast<std::uint64_t>(page_size));
  results<float> got(x, exchanged);
  {
    support::mirror memory;
    attention::forward(
        device.executor(), memory(support::read_only(heads_first(q.view(), exchanged))), on_the_device(memory, in),
        memory(got.out_view()), memory(got.lse.view()),
        attention::ragged{.query_offsets = memory(view<const std::int64_t, 1>(x.query_offsets.data(), x.size() + 1))},
        support::options_on_device(memory, options));
    memory.bring_back();
  }
  compare_each(x, got, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_sequences)

// No queries, no keys, rows before and behind the sequences; lengths around tiles.
BOOST_AUTO_TEST_CASE(ragged_batches) {
  const lengths batches[] = {
      {{1, 1}},
      {{1, 130}, {65, 65}, {0, 5}, {5, 0}, {0, 0}, {2, 64}, {64, 63}, {70, 0}, {1, 1}},
      {{100, 70}, {1, 1}, {33, 150}},
      {{0, 0}, {0, 0}},
  };
  std::uint64_t n = 0;
  for (const lengths& of : batches) {
    for (const auto& mask : {attention::everything, attention::causal, attention::sliding_window(30, 10)}) {
      const set<float> x(of, 2, n % 2 == 0 ? 2 : 1, 12, 8, n, n % 3 == 0 ? 0 : 2);
      if (of.size() == 2) continue;  // nothing to compare
      check_ragged<std::int64_t>(x, n % 2 == 1, attention::options<>{.mask = mask});
      if (n % 3 == 1) check_ragged<std::int32_t>(x, n % 2 == 0, attention::options<>{.mask = mask});
      ++n;
    }
  }
  const set<float> empty(batches[3], 2, 1, 12, 8, 1, 2);
  results<float> got(empty, false);
  const array<float, 3> q({2, 4, 12});
  const array<float, 3> k({1, 4, 12});
  const array<float, 3> v({1, 4, 8});
  attention::forward(device, q.view(), k.view(), v.view(), got.out_view(), got.lse.view(),
                     attention::ragged{view<const std::int64_t, 1>(empty.query_offsets.data(), 3),
                                       view<const std::int64_t, 1>(empty.key_offsets.data(), 3)});
  BOOST_TEST((got.out.untouched() && got.lse.untouched()));
}

BOOST_AUTO_TEST_CASE(ragged_dropout_and_sinks) {
  const float sinks[] = {1, -2};
  const set<float> x({{65, 65}, {3, 40}, {70, 20}}, 2, 1, 12, 8, 3);
  check_ragged<std::int64_t>(x, false, attention::options<>{.mask = attention::causal, .sinks = view<const float, 1>(sinks, 2)});
  // The row of a pair is h total_q + offset + i: a batch of one sequence is that sequence.
  const set<float> one({{65, 70}}, 2, 1, 12, 8, 4);
  check_ragged<std::int64_t>(one, false, attention::options<>{.dropout = {.rate = 0.3, .seed = 7, .stream = 2}});
}

// Few queries beside long keys, and many: parts of some sequences, none of others; a single part that all of them have.
BOOST_AUTO_TEST_CASE(ragged_parts) {
  const float sinks[] = {1, -2, 0.5F, 3};
  const lengths of[] = {{{1, 600}, {1, 0}, {2, 512}, {1, 1100}, {3, 513}},
                        {{1, 600}, {70, 530}, {16, 40}, {17, 1030}, {0, 700}, {1, 513}},
                        {{4, 500}, {1, 12}},
                        {{130, 140}, {40, 200}}};
  std::uint64_t n = 0;
  for (const lengths& lengths_of : of) {
    const set<float> x(lengths_of, 4, n % 2 == 0 ? 1 : 2, 12, 8, n, n % 2 == 0 ? 0 : 3);
    const attention::options<> options{.mask = n % 2 == 0 ? attention::causal : attention::sliding_window(400, 2),
                                       .sinks = view<const float, 1>(sinks, 4)};
    BOOST_TEST_INFO("batch " << n);
    check_ragged<std::int64_t>(x, n % 2 == 1, options);
    check_ragged_pages<std::int32_t>(x, 48, options);
    ++n;
  }
}

// Positions are those of each sequence, wherever it stands.
BOOST_AUTO_TEST_CASE(ragged_rotary) {
  const rotary_test::tables of(400, 10);
  attention::options<> options{.mask = attention::causal, .rotary = of.with(rotary_test::layouts[0])};
  options.rotary.first_key = 80;
  options.rotary.first_dim = 2;
  const set<float> x({{65, 65}, {3, 40}, {70, 20}, {0, 9}, {80, 0}, {66, 130}}, 2, 2, 12, 8, 3, 2);
  check_ragged<std::int32_t>(x, true, options);
  check_ragged_pages<std::int64_t>(x, 16, options);
  options.rotary.layout = rotary_test::layouts[1];
  options.rotary.first_query = 200;
  check_ragged<std::int64_t>(x, false, options);
  options.rotary.keys = false;
  check_ragged_pages<std::int32_t>(x, 7, options);
  options.rotary.keys = true;
  options.rotary.queries = false;
  check_ragged_pages<std::int32_t>(x, 64, options);
}

// Lengths that lead beyond the tables are known to the device alone: such rows are NaN, and nothing beyond the tables is read.
BOOST_AUTO_TEST_CASE(positions_beyond_the_tables_are_nan) {
  const rotary_test::tables of(100, 4);
  const attention::options<> options{.mask = attention::causal, .rotary = of.with(rotary_test::layouts[0])};
  const set<float> x({{70, 70}, {3, 110}, {90, 80}}, 1, 1, 4, 4, 3);
  results<float> got(x, false);
  const auto q = x.joined<float>(x.query_offsets, 1, 4, false, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, 1, 4, false, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, 1, 4, false, [&](auto b) { return x.at(x.alone, b).v.view(); });
  attention::forward(device, q.view(), k.view(), v.view(), got.out_view(), got.lse.view(),
                     attention::ragged{view<const std::int64_t, 1>(x.query_offsets.data(), 4),
                                       view<const std::int64_t, 1>(x.key_offsets.data(), 4)},
                     options);
  int wrong = 0;
  for (std::int64_t row = 0; row < 163; ++row) {
    // Sequence 1: its queries stand at 107 and later. Sequence 2: its first 10 queries see nothing, and stand before the tables.
    wrong += std::isnan(got.lse(0, row)) != (row >= 70 && row < 73);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(ragged_pages, *boost::unit_test::label("small")) {
  const lengths of{{1, 130}, {1, 16}, {2, 17}, {1, 0}, {5, 70}, {70, 65}, {3, 1}, {0, 30}};
  std::uint64_t n = 0;
  for (const std::int64_t page_size : {1, 7, 16, 64, 200}) {
    const set<float> x(of, 2, n % 2 == 0 ? 2 : 1, 20, 8, n, static_cast<std::int64_t>(n % 3));
    BOOST_TEST_INFO("page_size " << page_size);
    check_ragged_pages<std::int32_t>(x, page_size, attention::options<>{.mask = attention::causal});
    if (n % 2 == 0)
      check_ragged_pages<std::int64_t>(x, page_size, attention::options<>{.mask = attention::sliding_window(20, 3)});
    ++n;
  }
}

// A cache of sequences of different lengths, queries of one number: with a table, and without, where a sequence is a page. The bits of each alone.
BOOST_AUTO_TEST_CASE(pages_of_sequences_with_as_many_queries) {
  const rotary_test::tables of(300, 6);
  for (const std::int64_t len_q : {1, 3, 70}) {
    for (const std::int64_t page_size : {0, 1, 17, 64}) {
      const set<float> x({{len_q, 130}, {len_q, 0}, {len_q, 64}, {len_q, 77}}, 2, 1, 16, 12, 6);
      attention::options<> options{.mask = attention::causal};
      if (page_size == 17 ||
          page_size == 0) {  // queries and keys, where they are pages of a table, and where each sequence is one
        options.rotary = of.with(rotary_test::layouts[page_size % 2]);
        options.rotary.first_key = 70;
      }
      sequence_set::pages<float, float, std::int32_t> in(x, page_size > 0 ? page_size : 200, 3);
      array<float, 4> q({4, 2, len_q, 16}, {1, true});
      for (std::int64_t b = 0; b < 4; ++b) {
        for (std::int64_t n = 0; n < 2 * len_q * 16; ++n)
          q(b, n / (16 * len_q), n / 16 % len_q, n % 16) = x.at(x.alone, b).q(0, n / (16 * len_q), n / 16 % len_q, n % 16);
      }
      array<float, 4> out({4, 2, len_q, 12});
      array<float, 3> lse({4, 2, len_q});
      array<float, 4> keys({4, 1, 200, 16}, {2, true});
      array<float, 4> values({4, 1, 200, 12});
      {
        support::mirror memory;
        auto cache = on_the_device(memory, in);
        if (page_size == 0) {
          for (std::int64_t b = 0; b < 4; ++b) {
            for (std::int64_t j = 0; j < x.len_k(b); ++j) {
              for (std::int64_t c = 0; c < 16; ++c) keys(b, 0, j, c) = x.at(x.alone, b).k(0, 0, j, c);
              for (std::int64_t c = 0; c < 12; ++c) values(b, 0, j, c) = x.at(x.alone, b).v(0, 0, j, c);
            }
          }
          cache = {.keys = memory(support::read_only(keys.view())),
                   .values = memory(support::read_only(values.view())),
                   .lengths = cache.lengths};
        }
        attention::forward(device.executor(), memory(support::read_only(q.view())), cache, memory(out.view()), memory(lse.view()),
                           support::options_on_device(memory, options));
        memory.bring_back();
      }
      int different = 0;
      for (std::int64_t b = 0; b < 4; ++b) {
        const auto& one = x.at(x.alone, b);
        array<float, 4> want(one.out_extents());
        array<float, 3> want_lse(one.lse_extents());
        attention::forward(device, one.q.view(), one.k.view(), one.v.view(), want.view(), want_lse.view(), options);
        for (std::int64_t h = 0; h < 2; ++h) {
          for (std::int64_t i = 0; i < len_q; ++i) {
            different += lse(b, h, i) != want_lse(0, h, i);
            different += std::memcmp(&out(b, h, i, 0), &want(0, h, i, 0), 12 * sizeof(float)) != 0;
          }
        }
      }
      BOOST_TEST_INFO("len_q " << len_q << " page_size " << page_size);
      BOOST_TEST(different == 0);
    }
  }
}

// NaN in keys and values that a row does not see, but another does.
BOOST_AUTO_TEST_CASE(nan_in_pages_reaches_only_who_sees_it) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::int64_t page_size : {3, 16}) {
    set<float> x({{66, 130}}, 2, 1, 8, 8, 5);
    x.alone[0].v(0, 0, 129, 3) = nan;
    x.alone[0].k(0, 0, 120, 1) = nan;
    const auto q = x.joined<float>(x.query_offsets, 2, 8, false, [&](auto b) { return x.at(x.alone, b).q.view(); });
    const sequence_set::pages<float, float, std::int32_t> in(x, page_size, 1);
    results<float> got(x, false);
    support::mirror memory;
    attention::forward(device.executor(), memory(support::read_only(q.view())), on_the_device(memory, in), memory(got.out_view()),
                       memory(got.lse.view()),
                       attention::ragged{.query_offsets = memory(view<const std::int64_t, 1>(x.query_offsets.data(), 2))},
                       attention::options<>{.mask = attention::causal});
    memory.bring_back();
    int wrong = 0;
    for (std::int64_t i = 0; i < 66; ++i) {
      const std::int64_t at = i + 130 - 66;
      wrong += std::isnan(got.lse(1, i)) != (at >= 120);
      for (std::int64_t c = 0; c < 8; ++c) wrong += std::isnan(got.out(1, i, c)) != (at >= 120 || (c == 3 && at >= 129));
    }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
