// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Ragged batches: the bits of each sequence alone, for any lengths, places, masks and numbers of threads.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/memory.hpp"
#include "sequence_set.hpp"
#include "tessera/attention/score.hpp"

namespace {

using sequence_set::heads_first;
using sequence_set::lengths;
using sequence_set::results;
using sequence_set::set;
using support::array;
using tessera::par;
using tessera::view;
namespace attention = tessera::attention;

template <class I>
std::vector<I> as(const std::vector<std::int64_t>& x) {
  return std::vector<I>(x.begin(), x.end());
}

/// Elements that are not those of each sequence alone.
template <class I = std::int64_t, class Q, class K, class V, class Exec, class Mask, class Score>
int differences(const Exec& exec, const set<Q, K, V>& x, bool exchanged, const attention::options<Mask, Score>& options) {
  const auto q =
      x.template joined<Q>(x.query_offsets, x.heads, x.head_dim, exchanged, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k =
      x.template joined<K>(x.key_offsets, x.kv_heads, x.head_dim, exchanged, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v =
      x.template joined<V>(x.key_offsets, x.kv_heads, x.value_dim, exchanged, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const std::vector<I> query_offsets = as<I>(x.query_offsets);
  const std::vector<I> key_offsets = as<I>(x.key_offsets);
  results<float> got(x, exchanged);
  attention::forward(exec, heads_first(q.view(), exchanged), heads_first(k.view(), exchanged), heads_first(v.view(), exchanged),
                     got.out_view(), got.lse.view(),
                     {view<const I, 1>(query_offsets.data(), x.size() + 1), view<const I, 1>(key_offsets.data(), x.size() + 1)},
                     options);
  return got.differences(exec, x, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_ragged)

// Every path in one call: one block of rows, few rows, panels; no queries, no keys; rows before and behind the sequences.
BOOST_AUTO_TEST_CASE(bits_are_those_of_each_sequence_alone) {
  const lengths batches[] = {
      {{1, 1}},
      {{1, 700}, {300, 300}, {0, 5}, {5, 0}, {0, 0}, {2, 193}, {128, 192}, {129, 191}, {64, 64}, {1, 1}},
      {{200, 1000}, {1, 1}, {500, 200}, {1, 3000}},
      {{0, 0}, {0, 0}},
      {},
  };
  std::uint64_t n = 0;
  for (const lengths& of : batches) {
    for (const auto& mask : {attention::everything, attention::causal, attention::sliding_window(70, 10),
                             attention::band{.right = 0, .prefix = 20, .alignment = attention::alignment::top_left}}) {
      const set<float> x(of, 6, n % 2 == 0 ? 3 : 1, 20, 24, n, n % 3 == 0 ? 0 : 2);
      BOOST_TEST_INFO("case " << n);
      BOOST_TEST(differences(par.threads(static_cast<int>(n % 4) + 1), x, n % 2 == 1, attention::options<>{.mask = mask}) == 0);
      BOOST_TEST(differences<std::int32_t>(par.threads(3), x, n % 2 == 0, attention::options<>{.mask = mask}) == 0);
      ++n;
    }
  }
}

BOOST_AUTO_TEST_CASE(many_short_sequences) {
  lengths of;
  for (std::uint64_t n = 0; n < 150; ++n) of.emplace_back(support::below(1, n, 9), support::below(2, n, 40));
  for (std::uint64_t n = 0; n < 10; ++n) of.emplace_back(support::below(3, n, 300), support::below(4, n, 300));
  const set<float> x(of, 4, 2, 9, 5, 7);
  BOOST_TEST(differences(par.threads(4), x, false, attention::options<>{.mask = attention::causal}) == 0);
}

// A window of ALiBi's distances needs each sequence's own lengths; sinks and factors are those of heads.
BOOST_AUTO_TEST_CASE(scores_and_factors) {
  const float slopes[] = {0.5F, 0.25F, 0.125F, 2};
  const float sinks[] = {1, -2, 0.5F, 3};
  const float key_scales[] = {0.5F, 2};
  const float value_scales[] = {3, 0.25F};
  const attention::options options{.mask = attention::causal,
                                   .score = attention::alibi{view<const float, 1>(slopes, 4)},
                                   .sinks = view<const float, 1>(sinks, 4),
                                   .key_scales = view<const float, 1>(key_scales, 2),
                                   .value_scales = view<const float, 1>(value_scales, 2)};
  const set<float> x({{3, 400}, {140, 150}, {1, 5}, {7, 0}, {30, 193}}, 4, 2, 16, 16, 8);
  BOOST_TEST(differences(par.threads(2), x, true, options) == 0);
}

// A function is asked about each sequence by its number in the batch, and about its own positions.
BOOST_AUTO_TEST_CASE(functions_get_the_number_of_the_sequence) {
  const set<float> x({{3, 5}, {0, 4}, {140, 2}, {2, 0}, {1, 7}}, 2, 1, 4, 4, 9);
  const auto q = x.joined<float>(x.query_offsets, 2, 4, false, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, 1, 4, false, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, 1, 4, false, [&](auto b) { return x.at(x.alone, b).v.view(); });
  results<float> got(x, false);
  const attention::ragged at{view<const std::int64_t, 1>(x.query_offsets.data(), 6),
                             view<const std::int64_t, 1>(x.key_offsets.data(), 6)};
  // Of sequence b, head h, row i sees the key (b + h + i) mod len_k alone.
  const auto one_key = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
    return j == (b + h + i) % x.len_k(b);
  };
  attention::forward(par.threads(2), q.view(), k.view(), v.view(), got.out.view(), at, attention::options{.mask = one_key});
  for (std::int64_t b = 0; b < x.size(); ++b) {
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = 0; i < x.len_q(b); ++i) {
        for (std::int64_t c = 0; c < 4; ++c) {
          const float want = x.len_k(b) > 0 ? x.at(x.alone, b).v(0, 0, (b + h + i) % x.len_k(b), c) : 0;
          BOOST_TEST(got.out(h, x.at(x.query_offsets, b) + i, c) == want);
        }
      }
    }
  }
}

// Heads whose packed keys are too large to be kept for so many workers are packed chunk by chunk; of a sequence alone they are kept.
BOOST_AUTO_TEST_CASE(keys_that_are_not_kept) {
  lengths of(8, {130, 3000});
  of.emplace_back(200, 50);
  const set<float> x(of, 4, 2, 128, 128, 12);
  BOOST_TEST(differences(par.threads(16), x, true, attention::options<>{.mask = attention::sliding_window(2000, 0)}) == 0);
}

// Nor are those of one head beyond the limit, whatever its queries: scratch does not grow with the keys.
BOOST_AUTO_TEST_CASE(scratch_of_long_sequences) {
  const std::int64_t len_k = 70000;  // 35 MB
  const set<float> x({{140, len_k}, {129, 300}}, 1, 1, 64, 60, 13);
  const auto q = x.joined<float>(x.query_offsets, 1, 64, false, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, 1, 64, false, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, 1, 60, false, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const view<const std::int64_t, 1> query_offsets(x.query_offsets.data(), 3);
  const view<const std::int64_t, 1> key_offsets(x.key_offsets.data(), 3);
  for (const int threads : {1, 3}) {
    support::counting_resource memory;
    results<float> got(x, false);
    attention::forward(par.threads(threads).scratch(&memory), q.view(), k.view(), v.view(), got.out.view(), got.lse.view(),
                       {query_offsets, key_offsets}, attention::options<>{});
    BOOST_TEST(memory.bytes() < static_cast<std::size_t>(threads) << 20U);
    const auto& in = x.at(x.alone, 0);
    array<float, 4> some({1, 1, 3, 60});  // on the path of few queries
    attention::forward(par.threads(2), view<const float, 4>(&in.q(0, 0, 70, 0), 1, 1, 3, 64), in.k.view(), in.v.view(),
                       some.view());
    for (std::int64_t i = 0; i < 3; ++i) {
      for (std::int64_t c = 0; c < 60; ++c) BOOST_TEST(some(0, 0, i, c) == got.out(0, 70 + i, c));
    }
  }
}

BOOST_AUTO_TEST_CASE(results_are_within_the_bound) {
  support::worst out_errors;
  support::worst lse_errors;
  const set<float> x({{3, 400}, {150, 100}, {4, 0}, {1, 1000}}, 4, 2, 40, 20, 11);
  const auto q = x.joined<float>(x.query_offsets, 4, 40, true, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, 2, 40, true, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, 2, 20, true, [&](auto b) { return x.at(x.alone, b).v.view(); });
  results<float> got(x, true);
  const attention::options<> options{.mask = attention::causal};
  attention::forward(
      par.threads(2), heads_first(q.view(), true), heads_first(k.view(), true), heads_first(v.view(), true), got.out_view(),
      got.lse.view(),
      {view<const std::int64_t, 1>(x.query_offsets.data(), 5), view<const std::int64_t, 1>(x.key_offsets.data(), 5)}, options);
  for (std::int64_t b = 0; b < x.size(); ++b) {
    const auto& in = x.at(x.alone, b);
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    for (std::int64_t h = 0; h < 4; ++h) {
      for (std::int64_t i = 0; i < x.len_q(b); ++i) {
        const std::int64_t row = x.at(x.query_offsets, b) + i;
        lse(0, h, i) = got.lse(h, row);
        for (std::int64_t c = 0; c < 20; ++c) out(0, h, i, c) = got.out_view()(h, row, c);
      }
    }
    oracle::compare(out_errors, lse_errors, in, out, lse, options);
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
}

BOOST_AUTO_TEST_CASE(misuse) {
  struct arguments {
    array<float, 3> q{{4, 10, 3}};
    array<float, 3> k{{2, 12, 3}};
    array<float, 3> v{{2, 12, 5}};
    array<float, 3> out{{4, 10, 5}};
    array<float, 2> lse{{4, 10}};
    std::vector<int> query_offsets{0, 4, 4, 10};
    std::vector<int> key_offsets{1, 3, 9, 12};
    attention::ragged at{view<const int, 1>(query_offsets.data(), 4), view<const int, 1>(key_offsets.data(), 4)};
    view<float, 3> q_view = q.view();
    view<float, 3> k_view = k.view();
    view<float, 3> v_view = v.view();
    view<float, 3> o_view = out.view();
    view<float, 2> l_view = lse.view();
    attention::options<> options{};
  };
  const auto refused = [&](const auto& change) {
    arguments x;
    change(x);
    const std::string text = support::refusal(
        [&] { attention::forward(par.threads(2), x.q_view, x.k_view, x.v_view, x.o_view, x.l_view, x.at, x.options); });
    BOOST_TEST((text == "accepted" || (x.out.untouched() && x.lse.untouched() && x.q.untouched())));
    if (text == "accepted") return text;
    const std::string function = "attention::forward: ";
    BOOST_TEST(text.substr(0, function.size()) == function);
    return text.substr(function.size(), text.find(": ", function.size()) - function.size());
  };
  BOOST_TEST(refused([](auto&) {}) == "accepted");
  BOOST_TEST(refused([](auto& x) { x.k_view = view<float, 3>(x.k.view().data_handle(), 2, 12, 2); }) == "k");
  BOOST_TEST(refused([](auto& x) { x.v_view = view<float, 3>(x.v.view().data_handle(), 2, 11, 5); }) == "v");
  BOOST_TEST(refused([](auto& x) { x.v_view = view<float, 3>(x.v.view().data_handle(), 1, 12, 5); }) == "v");
  BOOST_TEST(refused([](auto& x) { x.q_view = view<float, 3>(x.q.view().data_handle(), 3, 10, 3); }) == "k");
  BOOST_TEST(refused([](auto& x) { x.q_view = view<float, 3>(nullptr, 4, 10, 3); }) == "q");
  BOOST_TEST(refused([](auto& x) { x.q_view = view<float, 3>(x.q.view().data_handle(), {4, 10, 3}, {30, 1, 10}); }) == "q");
  BOOST_TEST(refused([](auto& x) {
               x.query_offsets = {0, 4, 3, 10}, x.at.query_offsets = view<const int, 1>(x.query_offsets.data(), 4);
             }) == "ragged.query_offsets");
  BOOST_TEST(refused([](auto& x) { x.query_offsets[3] = 11; }) == "ragged.query_offsets");
  BOOST_TEST(refused([](auto& x) { x.query_offsets[0] = -1; }) == "ragged.query_offsets");
  BOOST_TEST(refused([](auto& x) { x.key_offsets[3] = 13; }) == "ragged.key_offsets");
  BOOST_TEST(refused([](auto& x) { x.key_offsets[1] = 10; }) == "ragged.key_offsets");
  BOOST_TEST(refused([](auto& x) { x.at.key_offsets = {}; }) == "ragged.key_offsets");
  BOOST_TEST(refused([](auto& x) { x.at.query_offsets = view<const int, 1>(x.query_offsets.data(), 0); }) ==
             "ragged.query_offsets");
  BOOST_TEST(refused([](auto& x) { x.at.key_offsets = view<const int, 1>(x.key_offsets.data(), 3); }) == "ragged.key_offsets");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 3>(x.out.view().data_handle(), 4, 10, 4); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 3>(x.out.view().data_handle(), {4, 10, 5}, {0, 5, 1}); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 3>(x.k.view().data_handle(), 4, 10, 5); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.o_view = view<float, 3>(reinterpret_cast<float*>(x.query_offsets.data()), 4, 10, 5); }) ==
             "out");
  BOOST_TEST(refused([](auto& x) { x.l_view = view<float, 2>(x.lse.view().data_handle(), 4, 9); }) == "lse");
  BOOST_TEST(refused([](auto& x) { x.l_view = view<float, 2>(x.v.view().data_handle(), 4, 10); }) == "lse");
  BOOST_TEST(refused([](auto& x) { x.l_view = view<float, 2>(x.out.view().data_handle(), 4, 10); }) == "lse");
  BOOST_TEST(refused([](auto& x) { x.options.scale = std::numeric_limits<double>::infinity(); }) == "options.scale");
  BOOST_TEST(refused([](auto& x) { x.options.mask.prefix = -1; }) == "options.mask");
  BOOST_TEST(refused([](auto& x) { x.options.sinks = view<const float, 1>(x.q.view().data_handle(), 3); }) == "options.sinks");
}

BOOST_AUTO_TEST_SUITE_END()
