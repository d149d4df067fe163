// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention in parts: the bits of one call where parts are whole chunks in rising order, its bound where they are not, a shared prefix.
#include "tessera/attention/accumulate.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/memory.hpp"
#include "../support/random.hpp"
#include "oracle.hpp"

namespace {

using oracle::inputs;
using support::array;
using tessera::par;
using tessera::view;
namespace attention = tessera::attention;
const auto seq = par.threads(1);  // one type of executor for all calls: each is half the compiler's work
constexpr float inf = std::numeric_limits<float>::infinity();

/// Rows [first, last) of every head.
template <class T>
view<T, 4> rows(const view<T, 4>& x, std::int64_t first, std::int64_t last) {
  return {x.data_handle() + first * x.stride(2),
          {x.extent(0), x.extent(1), last - first, x.extent(3)},
          {x.stride(0), x.stride(1), x.stride(2), x.stride(3)}};
}
template <class T>
view<T, 3> rows(const view<T, 3>& x, std::int64_t first, std::int64_t last) {
  return {
      x.data_handle() + first * x.stride(2), {x.extent(0), x.extent(1), last - first}, {x.stride(0), x.stride(1), x.stride(2)}};
}

template <class T>
struct kept {
  array<T, 3> max;
  array<T, 3> mass;
  array<T, 4> sums;

  template <class In>
  explicit kept(const In& in, support::placement where = {})
      : max(in.lse_extents()), mass(in.lse_extents()), sums(in.out_extents(), where) {
    attention::reset(states());
  }
  attention::states<T> states() { return {max.view(), mass.view(), sums.view()}; }
  attention::states<T> states(std::int64_t first, std::int64_t last) {
    return {rows(max.view(), first, last), rows(mass.view(), first, last), rows(sums.view(), first, last)};
  }
};

/// One call, and parts: queries cut at `query_cuts`, keys at `key_cuts`, in the order given. Both results.
template <class O, class T, class Q, class K, class V>
struct both_ways {
  array<O, 4> out;
  array<T, 3> lse;
  array<O, 4> part_out;
  array<T, 3> part_lse;

  template <class Exec, class Options>
  both_ways(const Exec& exec, inputs<Q, K, V>& in, const Options& options, const std::vector<std::int64_t>& query_cuts,
            const std::vector<std::int64_t>& key_cuts, const std::vector<std::size_t>& order, support::placement where = {})
      : out(in.out_extents()), lse(in.lse_extents()), part_out(in.out_extents(), where), part_lse(in.lse_extents()) {
    attention::forward(exec, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
    kept<T> known(in, where);
    const std::int64_t len_q = in.q.view().extent(2);
    const std::int64_t len_k = in.k.view().extent(2);
    for (const std::size_t c : order) {
      for (std::size_t r = 0; r + 1 < query_cuts.size(); ++r) {
        attention::accumulate(exec, rows(in.q.view(), query_cuts[r], query_cuts[r + 1]),
                              rows(in.k.view(), key_cuts[c], key_cuts[c + 1]), rows(in.v.view(), key_cuts[c], key_cuts[c + 1]),
                              known.states(query_cuts[r], query_cuts[r + 1]), {query_cuts[r], key_cuts[c], len_q, len_k},
                              options);
      }
    }
    attention::finish(exec, known.states(), part_out.view(), part_lse.view(), options);
    BOOST_TEST((in.untouched() && part_out.gaps_untouched() && known.sums.gaps_untouched()));
  }
  [[nodiscard]] bool same() const { return out.same_elements(part_out) && lse.same_elements(part_lse); }
};

template <class Q, class K = Q, class V = K>
inputs<Q, K, V> data(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads, std::int64_t len_q, std::int64_t len_k,
                     std::int64_t head_dim, std::int64_t value_dim, support::placement where = {}) {
  inputs<Q, K, V> in(batch, heads, kv_heads, len_q, len_k, head_dim, value_dim, where);
  in.q.fill([](std::uint64_t n) { return 3 * support::normal(1, n); });
  in.k.fill([](std::uint64_t n) { return support::normal(2, n); });
  in.v.fill([](std::uint64_t n) { return support::normal(3, n); });
  return in;
}

/// Whether parts of whole chunks give the bits of one call, rows taken together and cut.
template <class Options>
bool same_bits(inputs<float>& in, const Options& options) {
  const std::int64_t len_q = in.q.view().extent(2);
  const std::int64_t len_k = in.k.view().extent(2);
  using calls = both_ways<float, float, float, float, float>;
  return calls(seq, in, options, {0, len_q}, {0, 192, 576, len_k}, {0, 1, 2}).same() &&
         calls(par.threads(2), in, options, {0, 50, len_q * 3 / 4, len_q}, {0, 384, 384, len_k}, {0, 1, 2}, {1, true}).same();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_accumulate)

BOOST_AUTO_TEST_CASE(bands_in_parts_have_the_bits_of_one_call) {
  inputs<float> in = data<float>(2, 4, 2, 130, 700, 20, 17);
  const attention::band top_left{.right = 0, .prefix = 500, .alignment = attention::alignment::top_left};
  for (const attention::band& mask : {attention::everything, attention::causal, attention::sliding_window(200, 3),
                                      attention::causal_with_prefix(300), top_left, attention::sliding_window(-5, 90)}) {
    BOOST_TEST(same_bits(in, attention::options<>{.mask = mask}));
  }
  inputs<float> long_rows = data<float>(1, 1, 1, 900, 700, 3, 2);  // the first 200 queries see nothing
  BOOST_TEST(same_bits(long_rows, attention::options<>{.mask = attention::causal}));
}

BOOST_AUTO_TEST_CASE(other_masks_are_asked_about_positions_in_the_whole) {
  inputs<float> in = data<float>(1, 2, 1, 400, 700, 8, 5);
  std::vector<int> of_query(400);
  std::vector<int> of_key(700);
  for (std::size_t j = 0; j < 700; ++j) of_key[j] = static_cast<int>(j / 30);
  for (std::size_t i = 0; i < 400; ++i) of_query[i] = of_key[300 + i];
  const attention::documents documents{view<const int, 2>(of_query.data(), 1, 400), view<const int, 2>(of_key.data(), 1, 700)};
  BOOST_TEST(same_bits(in, attention::options{.mask = attention::causal & documents}));
  const auto scattered = [](auto, auto h, std::int64_t i, std::int64_t j) { return (i * 7 + j * 5 + h) % 3 != 0 && j < 4 * i; };
  BOOST_TEST(same_bits(in, attention::options{.mask = attention::visible_if{scattered}}));
  array<bool, 4> seen({1, 2, 400, 700});
  seen.fill([](std::uint64_t n) { return support::uniform(9, n) < 0.2; });
  BOOST_TEST(same_bits(in, attention::options{.mask = attention::dense_mask{seen.view()}}));
}

BOOST_AUTO_TEST_CASE(scores_sinks_and_scales_are_those_of_the_whole) {
  inputs<float> in = data<float>(1, 4, 2, 130, 700, 8, 5);
  const std::vector<float> slopes{0.5f, 0.1f, 0.01f, 0.003f};
  const view<const float, 1> four(slopes.data(), 4);
  const std::vector<float> scales{0.3f, -2.0f};
  const view<const float, 1> two(scales.data(), 2);
  BOOST_TEST(same_bits(in, attention::options<attention::band, attention::alibi>{.mask = attention::causal, .score = {four}}));
  array<float, 4> bias({1, 4, 130, 700});
  bias.fill([](std::uint64_t n) { return support::normal(5, n); });
  BOOST_TEST(same_bits(in, attention::options{.score = attention::softcap{20} >> attention::additive_bias{bias.view()}}));
  const std::vector<float> sinks{30, 2, -5, 0};  // above and below all scores of a row
  BOOST_TEST(same_bits(in, attention::options<>{.mask = attention::causal, .sinks = view<const float, 1>(sinks.data(), 4)}));
  BOOST_TEST(same_bits(in, attention::options<>{.scale = 0.1, .key_scales = two, .value_scales = two}));
}

BOOST_AUTO_TEST_CASE(every_type_in_parts_has_the_bits_of_one_call) {
  const attention::options<> causal{.mask = attention::causal};
  inputs<double> wide = data<double>(1, 1, 1, 130, 700, 8, 5);
  BOOST_TEST((both_ways<double, double, double, double, double>(seq, wide, causal, {0, 7, 130}, {0, 192, 700}, {0, 1}).same()));
  using narrow_call = both_ways<tessera::bfloat16, float, tessera::bfloat16, tessera::bfloat16, tessera::float16>;
  auto narrow = data<tessera::bfloat16, tessera::bfloat16, tessera::float16>(1, 2, 1, 130, 700, 8, 5);
  BOOST_TEST(narrow_call(seq, narrow, causal, {0, 7, 130}, {0, 192, 700}, {0, 1}).same());
}

// Parts of any size and in any order are right, but for other bits.
BOOST_AUTO_TEST_CASE(any_parts_in_any_order_are_within_the_bound) {
  support::worst out;
  support::worst lse;
  inputs<float> in = data<float>(1, 2, 1, 60, 700, 20, 9);
  for (const double factor : {1.0, 50.0}) {
    in.q.fill([=](std::uint64_t n) { return factor * support::normal(1, n); });
    for (const auto& options : {attention::options<>{}, attention::options<>{.mask = attention::causal}}) {
      const both_ways<float, float, float, float, float> calls(seq, in, options, {0, 60}, {0, 1, 100, 431, 699, 700},
                                                               {3, 1, 0, 4, 2});
      oracle::compare(out, lse, in, calls.part_out, calls.part_lse, options);
      BOOST_TEST(!calls.same());
    }
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Eight sequences that share 400 keys, each with a suffix of its own, one query each: the prefix is read once for all of them.
BOOST_AUTO_TEST_CASE(a_shared_prefix_is_accumulated_once) {
  const std::int64_t sequences = 8;
  const std::int64_t prefix = 384;
  const std::int64_t suffix = 50;
  inputs<float> whole = data<float>(sequences, 4, 2, 1, prefix + suffix, 16, 12);
  for (std::int64_t b = 1; b < sequences; ++b) {
    for (std::int64_t h = 0; h < 2; ++h) {
      std::memcpy(&whole.k(b, h, 0, 0), &whole.k(0, h, 0, 0), sizeof(float) * 16 * prefix);
      std::memcpy(&whole.v(b, h, 0, 0), &whole.v(0, h, 0, 0), sizeof(float) * 12 * prefix);
    }
  }
  array<float, 4> want(whole.out_extents());
  array<float, 3> want_lse(whole.lse_extents());
  attention::forward(seq, whole.q.view(), whole.k.view(), whole.v.view(), want.view(), want_lse.view());

  array<float, 4> out(whole.out_extents());
  array<float, 3> lse(whole.lse_extents());
  kept<float> known(whole);
  const attention::states<float> s = known.states();
  // The sequences as the rows of one.
  const auto as_rows = [&](const auto& x) {
    using element = typename std::remove_cvref_t<decltype(x)>::element_type;
    return view<element, 4>(x.data_handle(), {1, x.extent(1), x.extent(0), x.extent(3)},
                            {0, x.stride(1), x.stride(0), x.stride(3)});
  };
  const auto numbers = [&](const view<float, 3>& x) {
    return view<float, 3>(x.data_handle(), {1, x.extent(1), x.extent(0)}, {0, x.stride(1), x.stride(0)});
  };
  const auto first_batch = [](const view<float, 4>& x, std::int64_t len) {
    return view<const float, 4>(x.data_handle(), {1, x.extent(1), len, x.extent(3)},
                                {x.stride(0), x.stride(1), x.stride(2), x.stride(3)});
  };
  attention::accumulate(seq, as_rows(whole.q.view()), first_batch(whole.k.view(), prefix), first_batch(whole.v.view(), prefix),
                        attention::states<float>{numbers(s.max), numbers(s.mass), as_rows(s.sums)},
                        {.len_q = sequences, .len_k = prefix});
  attention::accumulate(seq, whole.q.view(), rows(whole.k.view(), prefix, prefix + suffix),
                        rows(whole.v.view(), prefix, prefix + suffix), s, {0, prefix, 1, prefix + suffix});
  attention::finish(seq, s, out.view(), lse.view());
  BOOST_TEST(out.same_elements(want));
  BOOST_TEST(lse.same_elements(want_lse));
}

BOOST_AUTO_TEST_CASE(nan_in_hidden_keys_of_a_part_is_not_seen) {
  inputs<float> in = data<float>(1, 1, 1, 400, 400, 8, 5);
  in.v.fill([](std::uint64_t n) {
    const std::uint64_t j = n / 5;
    const bool poisoned = n % 5 == 1 && (j == 100 || j == 191 || j == 192 || j == 300);
    return poisoned ? std::numeric_limits<double>::quiet_NaN() : support::normal(3, n);
  });
  const attention::options<> options{.mask = attention::causal};
  const both_ways<float, float, float, float, float> calls(seq, in, options, {0, 192, 400}, {0, 192, 400}, {0, 1});
  int wrong = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    wrong += std::isnan(calls.part_out(0, 0, i, 1)) != (i >= 100);
    wrong += std::isnan(calls.part_out(0, 0, i, 2));
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(no_keys_are_zero_with_lse_of_minus_infinity_and_sinks_are_joined_last) {
  inputs<float> in = data<float>(1, 1, 1, 5, 0, 8, 3);
  kept<float> known(in);
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  attention::accumulate(seq, in.q.view(), in.k.view(), in.v.view(), known.states(), {.len_q = 5});
  attention::finish(seq, known.states(), out.view(), lse.view());
  for (const float x : out.elements()) BOOST_TEST((x == 0 && !std::signbit(x)));
  for (const float x : lse.elements()) BOOST_TEST(x == -inf);
  const float sink = 2;
  attention::finish(seq, known.states(), out.view(), lse.view(), {.sinks = view<const float, 1>(&sink, 1)});
  for (const float x : out.elements()) BOOST_TEST(x == 0);
  for (const float x : lse.elements()) BOOST_TEST(x == 2, boost::test_tools::tolerance(1e-6f));
  for (const float x : known.max.elements()) BOOST_TEST(x == -inf);  // the states know nothing of the sink
}

BOOST_AUTO_TEST_CASE(scratch_is_taken_once) {
  inputs<float> in = data<float>(1, 2, 1, 70, 300, 8, 3);
  kept<float> known(in);
  array<float, 4> out(in.out_extents());
  support::counting_resource memory;
  const auto exec = par.threads(2).scratch(&memory);
  attention::accumulate(exec, in.q.view(), in.k.view(), in.v.view(), known.states(), {.len_q = 70, .len_k = 300});
  BOOST_TEST((memory.allocations() == 1 && memory.all_returned()));
  attention::finish(exec, known.states(), out.view());
  BOOST_TEST(memory.allocations() == 1);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_before_states_are_touched) {
  const inputs<float> in = data<float>(1, 4, 2, 6, 5, 3, 7);
  kept<float> known(in);
  const std::vector<float> before = known.sums.elements();
  array<float, 4> out(in.out_extents());
  array<float, 3> lse(in.lse_extents());
  const attention::part all{.len_q = 6, .len_k = 5};
  const auto add = [&](const attention::states<float>& s, const attention::part& at, const attention::options<>& options = {}) {
    attention::accumulate(seq, in.q.view(), in.k.view(), in.v.view(), s, at, options);
  };
  const attention::states<float> s = known.states();
  CHECK_REFUSED("attention::accumulate: at.first_query: 6 from 1 of 6; ", add(s, {1, 0, 6, 5}));
  CHECK_REFUSED("attention::accumulate: at.first_query: ", add(s, {-1, 0, 6, 5}));
  CHECK_REFUSED("attention::accumulate: at.first_key: ", add(s, {0, 1, 6, 5}));
  CHECK_REFUSED("attention::accumulate: at.first_key: ", add(s, {0, 0, 6, 4}));
  CHECK_REFUSED("attention::accumulate: states.sums: ", add(known.states(0, 5), all));
  CHECK_REFUSED("attention::accumulate: states.max: ", add({rows(s.max, 0, 5), s.mass, s.sums}, all));
  CHECK_REFUSED("attention::accumulate: states.mass: ", add({s.max, s.max, s.sums}, all));
  CHECK_REFUSED("attention::accumulate: options.scale: ", add(s, all, {.scale = inf}));
  CHECK_REFUSED("attention::accumulate: options.mask: ", add(s, all, {.mask = {.prefix = -1}}));
  CHECK_REFUSED(
      "attention::accumulate: states.sums: ",
      attention::accumulate(seq, view<const float, 4>(s.sums.data_handle(), 1, 4, 6, 3), in.k.view(), in.v.view(), s, all));
  CHECK_REFUSED("attention::finish: out: ", attention::finish(seq, s, rows(out.view(), 0, 5), lse.view()));
  CHECK_REFUSED("attention::finish: out: ", attention::finish(seq, s, s.sums, lse.view()));
  CHECK_REFUSED("attention::finish: lse: ", attention::finish(seq, s, out.view(), s.max));
  CHECK_REFUSED("attention::finish: options.sinks: ",
                attention::finish(seq, s, out.view(), lse.view(), {.sinks = view<const float, 1>(before.data(), 3)}));
  CHECK_REFUSED("attention::finish: options.value_scales: ",
                attention::finish(seq, s, out.view(), lse.view(), {.value_scales = view<const float, 1>(before.data(), 3)}));
  CHECK_REFUSED("attention::reset: states.mass: ", attention::reset(attention::states<float>{s.max, s.max, s.sums}));
  BOOST_TEST((known.sums.elements() == before && out.untouched() && lse.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
