// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// options.rotary in attention::forward and accumulate: the bits of a call on arrays that were rotated before, and the specification's bound.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../support/memory.hpp"
#include "rotary_tables.hpp"
#include "tessera/attention/accumulate.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/tile/convert.hpp"
#include "two_paths.hpp"

namespace {

using oracle::inputs;
using rotary_test::layouts;
using rotary_test::tables;
using support::array;
using tessera::bfloat16;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;
using attention::rotary;

struct shape {
  std::int64_t batch, heads, kv_heads, len_q, len_k, head_dim, value_dim, dims;
};
// Few and many queries, more keys than queries and the reverse, parts of rows, chunks of keys that are whole or not.
constexpr shape shapes[] = {{2, 4, 1, 1, 500, 64, 16, 64},   {1, 2, 2, 3, 193, 33, 31, 32},  {1, 6, 3, 7, 400, 80, 9, 46},
                            {1, 3, 1, 40, 97, 20, 17, 20},   {1, 2, 1, 131, 131, 64, 8, 64}, {1, 2, 2, 150, 390, 17, 5, 16},
                            {1, 1, 1, 129, 200, 128, 4, 64}, {1, 1, 1, 1, 1, 2, 1, 2},       {1, 2, 1, 9, 0, 8, 8, 8}};

/// A call with the option, and one without it on arrays that rotate wrote, in the compute type.
template <class Q, class K, class V, class Options>
void check_bits(const inputs<Q, K, V>& in, const Options& options, int threads) {
  using T = std::common_type_t<tessera::compute_t<Q>, tessera::compute_t<K>, tessera::compute_t<V>>;
  const auto q = in.q.view();
  const auto k = in.k.view();
  array<float, 4> out(in.out_extents());
  array<T, 3> lse(in.lse_extents());
  attention::forward(par.threads(threads), q, k, in.v.view(), out.view(), lse.view(), options);

  const rotary& by = options.rotary;
  array<T, 4> rotated_q({q.extent(0), q.extent(1), q.extent(2), q.extent(3)});
  array<T, 4> rotated_k({k.extent(0), k.extent(1), k.extent(2), k.extent(3)});
  tessera::convert(seq, q, rotated_q.view());
  tessera::convert(seq, k, rotated_k.view());
  if (by.queries) attention::rotate(seq, q, rotated_q.view(), by, by.query_position(q.extent(2), k.extent(2)));
  if (by.keys) attention::rotate(seq, k, rotated_k.view(), by, by.first_key);
  Options plain = options;
  plain.rotary = {};
  array<float, 4> want(in.out_extents());
  array<T, 3> want_lse(in.lse_extents());
  attention::forward(seq, rotated_q.view(), rotated_k.view(), in.v.view(), want.view(), want_lse.view(), plain);
  BOOST_TEST(out.same_elements(want));
  BOOST_TEST(lse.same_elements(want_lse));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_rotary_forward)

BOOST_AUTO_TEST_CASE(float32_has_the_bits_of_rotated_arrays_on_both_paths) {
  std::uint64_t seed = 0;
  for (const shape& x : shapes) {
    for (const auto layout : layouts) {
      const support::placement where{static_cast<std::int64_t>(++seed % 3), seed % 2 == 1};
      inputs<float> in(x.batch, x.heads, x.kv_heads, x.len_q, x.len_k, x.head_dim, x.value_dim, where);
      two_paths::fill(in, 3 * seed);
      const std::int64_t first = x.len_q > x.len_k ? x.len_q - x.len_k : static_cast<std::int64_t>(seed % 3) * 100;
      const tables of(first + x.len_q + x.len_k + 8, x.dims, static_cast<std::int64_t>(seed % 2) * 3);
      attention::options<> options{.mask = attention::causal, .rotary = of.with(layout)};
      options.rotary.first_key = first;
      if (seed % 5 == 0) options.dropout = {.rate = 0.3, .seed = seed};
      if (seed % 4 < 2) options.rotary.first_dim = x.head_dim - x.dims;
      BOOST_TEST_INFO("shape " << seed);
      check_bits(in, options, static_cast<int>(seed % 3) + 1);
      BOOST_TEST(two_paths::differences<float>(par.threads(2), in, 0.3, options) == 0);
      options.rotary.queries = false;  // and with tables that have no positions for what is not rotated
      options.rotary.first_query = -5;
      check_bits(in, options, 2);
      options.rotary.queries = true;
      options.rotary.keys = false;
      options.rotary.first_key = -1000;
      options.rotary.first_query = 7;
      check_bits(in, options, 2);
      BOOST_TEST(in.untouched());
    }
  }
}

BOOST_AUTO_TEST_CASE(bfloat16_has_the_bits_of_arrays_rotated_into_float32) {
  std::uint64_t seed = 40;
  for (const shape& x : shapes) {
    inputs<bfloat16> in(x.batch, x.heads, x.kv_heads, x.len_q, x.len_k, x.head_dim, x.value_dim);
    two_paths::fill(in, 3 * ++seed);
    const tables of(x.len_q + x.len_k, x.dims);
    attention::options<> options{.rotary = of.with(layouts[seed % 2])};
    options.rotary.first_query = 0;
    check_bits(in, options, 2);
    BOOST_TEST(two_paths::differences<float>(par.threads(3), in, 0.3, options) == 0);
  }
}

BOOST_AUTO_TEST_CASE(results_are_within_the_bound_of_the_specification) {
  support::worst out;
  support::worst lse;
  const float slopes[] = {0.5F, 0.03F, 0.1F, 0.01F, 0.2F, 0.7F};
  std::uint64_t seed = 80;
  for (const shape& x : shapes) {
    inputs<float> in(x.batch, x.heads, x.kv_heads, x.len_q, x.len_k, x.head_dim, x.value_dim);
    two_paths::fill(in, 3 * ++seed);
    const tables of(x.len_q + x.len_k, x.dims);
    rotary by = of.with(layouts[seed % 2]);
    by.first_key = x.len_q > x.len_k ? x.len_q - x.len_k : 0;
    by.first_dim = (x.head_dim - x.dims) / 2;
    oracle::check<float>(out, lse, seq, in, attention::options<>{.mask = attention::causal, .rotary = by});
    const auto score = attention::softcap{20} >> attention::alibi{view<const float, 1>(slopes, x.heads)};
    oracle::check<float>(out, lse, par.threads(2), in,
                         attention::options{.mask = attention::causal, .score = score, .rotary = by});
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

// Decoding: the last query alone, with tables of the whole, has the bits that it has among all.
BOOST_AUTO_TEST_CASE(a_row_alone_has_the_bits_that_it_has_in_a_block) {
  inputs<float> in(1, 4, 2, 300, 300, 48, 16);
  two_paths::fill(in, 7);
  const tables of(300, 48);
  const attention::options<> options{.mask = attention::causal, .rotary = of.with(attention::rotary_layout::interleaved)};
  array<float, 4> out(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
  for (const std::int64_t length : {300, 299, 193, 1}) {
    const auto last = [&](auto x) {
      return view<std::remove_pointer_t<decltype(x.data_handle())>, 4>(&x(0, 0, length - 1, 0), {1, 4, 1, x.extent(3)},
                                                                       {x.stride(0), x.stride(1), x.stride(2), 1});
    };
    const auto first = [&](auto x) {
      return view<std::remove_pointer_t<decltype(x.data_handle())>, 4>(x.data_handle(), {1, 2, length, x.extent(3)},
                                                                       {x.stride(0), x.stride(1), x.stride(2), 1});
    };
    array<float, 4> alone({1, 4, 1, 16});
    attention::forward(seq, last(in.q.view()), first(in.k.view()), first(in.v.view()), alone.view(), options);
    for (std::int64_t h = 0; h < 4; ++h) {
      for (std::int64_t c = 0; c < 16; ++c) BOOST_TEST(alone(0, h, 0, c) == out(0, h, length - 1, c));
    }
  }
}

// Positions are those of the whole, wherever a part of the queries and of the keys stands.
BOOST_AUTO_TEST_CASE(parts_have_the_bits_of_the_whole) {
  inputs<float> in(1, 2, 1, 150, 500, 20, 8);
  two_paths::fill(in, 8);
  const tables of(600, 16);
  for (const bool told : {false, true}) {
    attention::options<> options{.mask = attention::causal, .rotary = of.with(attention::rotary_layout::halves)};
    options.rotary.first_key = 60;
    if (told) options.rotary.first_query = 3;
    array<float, 4> out(in.out_extents());
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
    array<float, 3> max({1, 2, 150});
    array<float, 3> mass({1, 2, 150});
    array<float, 4> sums({1, 2, 150, 8});
    const attention::states<float> all{max.view(), mass.view(), sums.view()};
    attention::reset(all);
    const auto rows = []<class S, std::size_t Rank>(const view<S, Rank>& x, std::int64_t first, std::int64_t count) {
      std::int64_t extents[Rank];
      std::int64_t strides[Rank];
      for (std::size_t r = 0; r < Rank; ++r) {
        extents[r] = r == 2 ? count : x.extent(r);
        strides[r] = x.stride(r);
      }
      return view<S, Rank>(x.data_handle() + first * strides[2], extents, strides);
    };
    for (const std::int64_t q : {0, 70}) {
      const std::int64_t queries = q == 0 ? 70 : 80;
      const attention::states<float> some{rows(max.view(), q, queries), rows(mass.view(), q, queries),
                                          rows(sums.view(), q, queries)};
      for (std::int64_t k = 0; k < 500; k += 192) {
        const std::int64_t keys = 500 - k < 192 ? 500 - k : 192;
        attention::accumulate(par.threads(2), rows(in.q.view(), q, queries), rows(in.k.view(), k, keys),
                              rows(in.v.view(), k, keys), some, {.first_query = q, .first_key = k, .len_q = 150, .len_k = 500},
                              options);
      }
    }
    array<float, 4> joined(in.out_extents());
    attention::finish(seq, all, joined.view(), options);
    BOOST_TEST(joined.same_elements(out));
  }
}

// A NaN in a key that is hidden reaches nothing, though it is rotated.
BOOST_AUTO_TEST_CASE(hidden_nan) {
  for (const std::int64_t len : {5, 140}) {
    inputs<float> in(1, 1, 1, len, 200, 16, 8);
    two_paths::fill(in, 9);
    in.k(0, 0, 199, 3) = std::numeric_limits<float>::quiet_NaN();
    const tables of(300, 16);
    array<float, 4> out(in.out_extents());
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(),
                       {.mask = attention::causal, .rotary = of.with(attention::rotary_layout::halves)});
    for (std::int64_t i = 0; i < len; ++i) {
      for (std::int64_t c = 0; c < 8; ++c) BOOST_TEST(std::isnan(out(0, 0, i, c)) == (i == len - 1));
    }
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  inputs<float> in(1, 1, 1, 4, 6, 8, 8);
  two_paths::fill(in, 10);
  const tables of(6, 8);
  array<float, 4> out(in.out_extents());
  const auto refused = [&](const auto& change) {
    attention::options<> options{.rotary = of.with(attention::rotary_layout::halves)};
    change(options.rotary);
    const std::string text =
        support::refusal([&] { attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options); });
    const std::size_t start = std::string("attention::forward: ").size();
    return text.size() < start ? text : text.substr(start, text.find(": ", start) - start);
  };
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  const float* const data = of.cos.view().data_handle();
  BOOST_TEST(refused([&](rotary& by) { by.first_key = 1; }) == "options.rotary.first_key");
  BOOST_TEST(refused([&](rotary& by) { by.first_key = -1; }) == "options.rotary.first_key");
  BOOST_TEST(refused([&](rotary& by) { by.first_key = huge; }) == "options.rotary.first_key");
  BOOST_TEST(refused([&](rotary& by) { by.first_key = -huge - 1; }) == "options.rotary.first_key");
  BOOST_TEST(refused([&](rotary& by) {
               by.keys = false;
               by.first_key = huge;
             }) == "options.rotary.first_query");
  BOOST_TEST(refused([&](rotary& by) { by.first_query = 3; }) == "options.rotary.first_query");
  BOOST_TEST(refused([&](rotary& by) { by.first_query = -1; }) == "options.rotary.first_query");
  BOOST_TEST(refused([&](rotary& by) { by.first_query = huge; }) == "options.rotary.first_query");
  BOOST_TEST(refused([&](rotary& by) { by.first_dim = 1; }) == "options.rotary.first_dim");
  BOOST_TEST(refused([&](rotary& by) { by.sin = {}; }) == "options.rotary.sin");
  BOOST_TEST(refused([&](rotary& by) { by.sin = view<const float, 2>(data, 5, 4); }) == "options.rotary.sin");
  BOOST_TEST(refused([&](rotary& by) { by.cos = view<const float, 2>(data, 4, 5); }) == "options.rotary.cos");
  BOOST_TEST(refused([&](rotary& by) { by.cos = view<const float, 2>(data, {6, 4}, {1, 6}); }) == "options.rotary.cos");
  BOOST_TEST(out.untouched());
  BOOST_TEST(refused([&](rotary& by) { by.first_query = 2; }) == "accepted");
}

BOOST_AUTO_TEST_SUITE_END()
