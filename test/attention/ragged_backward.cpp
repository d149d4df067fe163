// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Gradients of ragged batches: the bits of backward on each sequence alone, whose own tests hold them against the oracle.
#include "tessera/attention/ragged_backward.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "rotary_tables.hpp"
#include "sequence_set.hpp"

// test/cuda includes this file and runs it on the device; what is refused there before memory is looked at may be in the host's.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::par
#define TESSERA_REFUSING_EXECUTOR tessera::par
#endif

namespace {

using sequence_set::heads_first;
using sequence_set::lengths;
using sequence_set::results;
using sequence_set::set;
using support::array;
using tessera::view;
namespace attention = tessera::attention;

const auto exec = TESSERA_TESTED_EXECUTOR;

bool poisoned(float x) {
  const unsigned bits = 0xFFFFFFFFU;
  return std::memcmp(&x, &bits, sizeof x) == 0;
}

/// Elements that are not those of each sequence alone; rows of nobody must be as they were.
template <class Exec, class Mask, class Score>
int differences(const Exec& on, const set<float>& x, const attention::options<Mask, Score>& options) {
  const auto q = x.joined<float>(x.query_offsets, x.heads, x.head_dim, true, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, x.kv_heads, x.head_dim, true, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, x.kv_heads, x.value_dim, true, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const attention::ragged at{view<const std::int64_t, 1>(x.query_offsets.data(), x.size() + 1),
                             view<const std::int64_t, 1>(x.key_offsets.data(), x.size() + 1)};
  const auto q_view = heads_first(q.view(), true);
  const auto k_view = heads_first(k.view(), true);
  const auto v_view = heads_first(v.view(), true);
  results<float> got(x, true);
  attention::forward(on, q_view, k_view, v_view, got.out_view(), got.lse.view(), at, options);
  array<float, 3> dout({x.total_q(), x.heads, x.value_dim});
  dout.fill([](std::uint64_t n) { return support::normal(99, n); });
  const auto dout_view = heads_first(dout.view(), true);
  array<float, 3> dq({x.total_q(), x.heads, x.head_dim}, {1, false});
  array<float, 3> dk({x.kv_heads, x.total_k(), x.head_dim}, {2, false});
  array<float, 3> dv({x.total_k(), x.kv_heads, x.value_dim});
  const auto dq_view = heads_first(dq.view(), true);
  const auto dv_view = heads_first(dv.view(), true);
  std::vector<float> dsinks(static_cast<std::size_t>(x.heads), -1);
  const bool has_sinks = options.sinks.data_handle() != nullptr;
  attention::backward(on, q_view, k_view, v_view, got.out_view(), got.lse.view(), dout_view, dq_view, dk.view(), dv_view, at,
                      options, has_sinks ? view<float, 1>(dsinks.data(), x.heads) : view<float, 1>());
  int wrong = !dq.gaps_untouched() + !dk.gaps_untouched() + !dv.gaps_untouched();
  std::vector<double> sinks(dsinks.size(), 0.0);
  const auto compare = [&](const auto& ours, const array<float, 4>& theirs, std::int64_t b,
                           const std::vector<std::int64_t>& offsets) {
    const auto want = theirs.view();
    for (std::int64_t h = 0; h < want.extent(1); ++h) {
      for (std::int64_t i = 0; i < want.extent(2); ++i) {
        for (std::int64_t c = 0; c < want.extent(3); ++c) wrong += ours(h, x.at(offsets, b) + i, c) != want(0, h, i, c);
      }
    }
  };
  for (std::int64_t b = 0; b < x.size(); ++b) {
    const auto& in = x.at(x.alone, b);
    array<float, 4> own_out(in.out_extents());
    array<float, 3> own_lse(in.lse_extents());
    array<float, 4> own_dout(in.out_extents());
    for (std::int64_t h = 0; h < x.heads; ++h) {
      for (std::int64_t i = 0; i < x.len_q(b); ++i) {
        for (std::int64_t c = 0; c < x.value_dim; ++c) own_dout(0, h, i, c) = dout_view(h, x.at(x.query_offsets, b) + i, c);
      }
    }
    attention::forward(on, in.q.view(), in.k.view(), in.v.view(), own_out.view(), own_lse.view(), options);
    array<float, 4> own_dq({1, x.heads, x.len_q(b), x.head_dim});
    array<float, 4> own_dk({1, x.kv_heads, x.len_k(b), x.head_dim});
    array<float, 4> own_dv({1, x.kv_heads, x.len_k(b), x.value_dim});
    std::vector<float> own_sinks(dsinks.size(), 0);
    attention::more_gradients<> more;
    if (has_sinks) more.sinks = view<float, 1>(own_sinks.data(), x.heads);
    attention::backward(on, in.q.view(), in.k.view(), in.v.view(), own_out.view(), own_lse.view(), own_dout.view(), own_dq.view(),
                        own_dk.view(), own_dv.view(), options, more);
    compare(dq_view, own_dq, b, x.query_offsets);
    compare(dk.view(), own_dk, b, x.key_offsets);
    compare(dv_view, own_dv, b, x.key_offsets);
    for (std::size_t h = 0; h < sinks.size(); ++h) sinks[h] += static_cast<double>(own_sinks[h]);
  }
  for (std::size_t h = 0; has_sinks && h < sinks.size(); ++h) {
    BOOST_TEST(std::fabs(sinks[h] - static_cast<double>(dsinks[h])) <= 1e-6 * (1 + std::fabs(sinks[h])));
  }
  for (std::int64_t n = 0; n < x.query_offsets.front(); ++n) {
    for (std::int64_t h = 0; h < x.heads; ++h)
      wrong += !poisoned(dq_view(h, n, 0)) + !poisoned(dq_view(h, x.total_q() - 1 - n, 0));
  }
  for (std::int64_t n = 0; n < x.key_offsets.front(); ++n) {
    for (std::int64_t h = 0; h < x.kv_heads; ++h) {
      wrong += !poisoned(dk(h, n, 0)) + !poisoned(dv_view(h, x.total_k() - 1 - n, 0));
    }
  }
  return wrong;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_ragged_backward)

// Positions are those of each sequence, wherever it stands.
BOOST_AUTO_TEST_CASE(rotary_has_the_bits_of_each_sequence_alone) {
  const rotary_test::tables of(400, 10);
  const set<float> x({{1, 70}, {30, 30}, {0, 5}, {5, 0}, {65, 63}, {31, 129}}, 4, 2, 20, 8, 3, 2);
  for (const int which : {0, 1, 2}) {
    attention::options<> options{.mask = attention::causal, .rotary = of.with(rotary_test::layouts[which % 2])};
    options.rotary.first_key = 70;
    options.rotary.first_dim = 3;
    options.rotary.queries = which != 1;
    if (which == 2) options.rotary.first_query = 100;
    BOOST_TEST_INFO("case " << which);
    BOOST_TEST(differences(exec.threads(2), x, options) == 0);
  }
}

// Heads that workers have alone, heads that they share because one sequence is most of the work; no queries, no keys.
BOOST_AUTO_TEST_CASE(bits_are_those_of_each_sequence_alone) {
  const lengths batches[] = {
      {{1, 1}},
#if defined(TESSERA_TESTED_ON_DEVICE)  // a few tiles: the emulator takes its time
      {{1, 70}, {30, 30}, {0, 5}, {5, 0}, {0, 0}, {65, 63}, {64, 64}, {31, 129}},
      {{130, 20}, {10, 10}, {3, 200}},
#else
      {{1, 700}, {300, 300}, {0, 5}, {5, 0}, {0, 0}, {97, 193}, {96, 192}, {129, 191}},
      {{900, 1000}, {20, 20}, {3, 200}},
      {{50, 190}, {700, 100}, {10, 10}},
#endif
      {{0, 3}, {0, 0}},
      {},
  };
  std::uint64_t n = 0;
  for (const lengths& of : batches) {
    for (const auto& mask : {attention::everything, attention::causal, attention::sliding_window(70, 10)}) {
      const set<float> x(of, 4, n % 2 == 0 ? 2 : 1, 20, 24, n, n % 3 == 0 ? 0 : 2);
      for (const int threads : {1, 4}) {
        BOOST_TEST_INFO("case " << n << " threads " << threads);
        BOOST_TEST(differences(exec.threads(threads), x, attention::options<>{.mask = mask}) == 0);
      }
      ++n;
    }
  }
}

BOOST_AUTO_TEST_CASE(sinks_and_factors) {
  const float sinks[] = {1, -2, 0.5F, 3};
  const float key_scales[] = {0.5F, 2};
  const float value_scales[] = {3, 0.25F};
  const attention::options<> options{.mask = attention::causal,
                                     .sinks = view<const float, 1>(sinks, 4),
                                     .key_scales = view<const float, 1>(key_scales, 2),
                                     .value_scales = view<const float, 1>(value_scales, 2)};
  BOOST_TEST(differences(exec.threads(3), set<float>({{30, 400}, {140, 150}, {1, 5}, {7, 0}}, 4, 2, 16, 16, 8), options) == 0);
}

// What forward drops backward drops, wherever a sequence lies: out is linear in v, so the sum of v dv is that of out dout.
BOOST_AUTO_TEST_CASE(dropout) {
  const attention::options<> options{.mask = attention::causal, .dropout = {.rate = 0.4, .seed = 7}};
  // A sequence alone lies as a call of its own does.
  BOOST_TEST(differences(exec.threads(2), set<float>({{130, 250}}, 4, 2, 16, 16, 3), options) == 0);
  const set<float> x({{40, 90}, {3, 10}, {110, 210}}, 2, 1, 12, 8, 4);
  const auto q = x.joined<float>(x.query_offsets, 2, 12, false, [&](auto b) { return x.at(x.alone, b).q.view(); });
  const auto k = x.joined<float>(x.key_offsets, 1, 12, false, [&](auto b) { return x.at(x.alone, b).k.view(); });
  const auto v = x.joined<float>(x.key_offsets, 1, 8, false, [&](auto b) { return x.at(x.alone, b).v.view(); });
  const attention::ragged at{view<const std::int64_t, 1>(x.query_offsets.data(), 4),
                             view<const std::int64_t, 1>(x.key_offsets.data(), 4)};
  results<float> got(x, false);
  attention::forward(exec.threads(2), q.view(), k.view(), v.view(), got.out.view(), got.lse.view(), at, options);
  for (const std::int64_t b : {0, 1, 2}) {
    array<float, 3> dout({2, x.total_q(), 8});
    dout.fill([&](std::uint64_t n) {
      const std::int64_t row = static_cast<std::int64_t>(n) / 8 % x.total_q();
      return row >= x.at(x.query_offsets, b) && row < x.at(x.query_offsets, b + 1) ? support::normal(5, n) : 0;
    });
    array<float, 3> dq({2, x.total_q(), 12});
    array<float, 3> dk({1, x.total_k(), 12});
    array<float, 3> dv({1, x.total_k(), 8});
    attention::backward(exec.threads(2), q.view(), k.view(), v.view(), got.out.view(), got.lse.view(), dout.view(), dq.view(),
                        dk.view(), dv.view(), at, options);
    double of_values = 0;
    double of_out = 0;
    double size = 0;
    for (std::int64_t n = 0; n < x.total_k() * 8; ++n)
      of_values += static_cast<double>(v(0, n / 8, n % 8)) * static_cast<double>(dv(0, n / 8, n % 8));
    for (std::int64_t n = 0; n < 2 * x.total_q() * 8; ++n) {
      const double product = static_cast<double>(got.out(n / 8 / x.total_q(), n / 8 % x.total_q(), n % 8)) *
                             static_cast<double>(dout(n / 8 / x.total_q(), n / 8 % x.total_q(), n % 8));
      of_out += product;
      size += std::fabs(product);
    }
    BOOST_TEST(std::fabs(of_values - of_out) <= 1e-5 * size);
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  struct arguments {
    array<float, 3> q{{4, 10, 3}};
    array<float, 3> k{{2, 12, 3}};
    array<float, 3> v{{2, 12, 5}};
    array<float, 3> out{{4, 10, 5}};
    array<float, 2> lse{{4, 10}};
    array<float, 3> dout{{4, 10, 5}};
    array<float, 3> dq{{4, 10, 3}};
    array<float, 3> dk{{2, 12, 3}};
    array<float, 3> dv{{2, 12, 5}};
    array<float, 1> dsinks{{4}};
    std::vector<float> sinks{0, 1, 2, 3};
    std::vector<int> query_offsets{0, 4, 4, 10};
    std::vector<int> key_offsets{1, 3, 9, 12};
    attention::ragged at{view<const int, 1>(query_offsets.data(), 4), view<const int, 1>(key_offsets.data(), 4)};
    view<float, 3> out_view = out.view();
    view<float, 2> lse_view = lse.view();
    view<float, 3> dout_view = dout.view();
    view<float, 3> dq_view = dq.view();
    view<float, 3> dk_view = dk.view();
    view<float, 3> dv_view = dv.view();
    view<float, 1> s_view = dsinks.view();
    attention::options<> options{.sinks = view<const float, 1>(sinks.data(), 4)};
  };
  const auto refused = [&](const auto& change) {
    arguments x;
    change(x);
    const std::string text = support::refusal([&] {
      attention::backward(TESSERA_REFUSING_EXECUTOR, x.q.view(), x.k.view(), x.v.view(), x.out_view, x.lse_view, x.dout_view,
                          x.dq_view, x.dk_view, x.dv_view, x.at, x.options, x.s_view);
    });
    if (text == "accepted") return text;
    BOOST_TEST((x.dq.untouched() && x.dk.untouched() && x.dv.untouched() && x.dsinks.untouched() && x.q.untouched()));
    const std::string function = "attention::backward: ";
    BOOST_TEST(text.substr(0, function.size()) == function);
    return text.substr(function.size(), text.find(": ", function.size()) - function.size());
  };
#if !defined(TESSERA_TESTED_ON_DEVICE)
  BOOST_TEST(refused([](auto&) {}) == "accepted");
  BOOST_TEST(refused([](auto& x) { x.query_offsets[3] = 11; }) == "ragged.query_offsets");
  BOOST_TEST(refused([](auto& x) { x.key_offsets[2] = 2; }) == "ragged.key_offsets");
#endif
  BOOST_TEST(refused([](auto& x) { x.out_view = view<float, 3>(x.out.view().data_handle(), 4, 9, 5); }) == "out");
  BOOST_TEST(refused([](auto& x) { x.dout_view = view<float, 3>(x.dout.view().data_handle(), 4, 10, 4); }) == "dout");
  BOOST_TEST(refused([](auto& x) { x.lse_view = view<float, 2>(x.lse.view().data_handle(), 3, 10); }) == "lse");
  BOOST_TEST(refused([](auto& x) { x.dq_view = view<float, 3>(x.dq.view().data_handle(), 4, 10, 2); }) == "dq");
  BOOST_TEST(refused([](auto& x) { x.dk_view = view<float, 3>(x.dk.view().data_handle(), 2, 11, 3); }) == "dk");
  BOOST_TEST(refused([](auto& x) { x.dv_view = view<float, 3>(x.dv.view().data_handle(), {2, 12, 5}, {0, 5, 1}); }) == "dv");
  BOOST_TEST(refused([](auto& x) { x.dq_view = x.q.view(); }) == "dq");
  BOOST_TEST(refused([](auto& x) { x.dv_view = view<float, 3>(x.dk.view().data_handle(), 2, 12, 5); }) == "dv");
  BOOST_TEST(refused([](auto& x) { x.options.sinks = {}; }) == "dsinks");
  BOOST_TEST(refused([](auto& x) { x.s_view = view<float, 1>(x.dsinks.view().data_handle(), 3); }) == "dsinks");
  BOOST_TEST(refused([](auto& x) { x.s_view = view<float, 1>(x.dk.view().data_handle(), 4); }) == "dsinks");
  BOOST_TEST(refused([](auto& x) { x.options.scale = HUGE_VAL; }) == "options.scale");
}

BOOST_AUTO_TEST_SUITE_END()
