// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/attention/merge.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;

constexpr double inf = std::numeric_limits<double>::infinity();

/// Parts and their merged result.
template <class A, class B = float>
struct results {
  std::int64_t parts, batch, heads, len, dim;
  array<A, 5> outs{{parts, batch, heads, len, dim}, {1, true}};
  array<B, 4> lses{{parts, batch, heads, len}};
  array<A, 4> out{{batch, heads, len, dim}, {2, true}};
  array<B, 3> lse{{batch, heads, len}};

  void merge(const auto& exec) { attention::merge(exec, outs.view(), lses.view(), out.view(), lse.view()); }
};

/// Every row against the formula in more digits, with the bound of the docs.
template <class A, class B>
void compare(support::worst& out_errors, support::worst& lse_errors, const results<A, B>& r) {
  using T = std::common_type_t<tessera::compute_t<A>, tessera::compute_t<B>>;
  const double u = tessera::unit_roundoff<T>;
  for (std::int64_t b = 0; b < r.batch; ++b) {
    for (std::int64_t h = 0; h < r.heads; ++h) {
      for (std::int64_t i = 0; i < r.len; ++i) {
        const auto part = [&](std::int64_t p) { return static_cast<long double>(r.lses(p, b, h, i)); };
        long double top = -inf;
        long double least = inf;
        for (std::int64_t p = 0; p < r.parts; ++p) {
          top = std::fmax(top, part(p));
          if (part(p) > -inf) least = std::fmin(least, part(p));
        }
        long double mass = 0;
        for (std::int64_t p = 0; p < r.parts; ++p) mass += top > -inf ? std::exp(part(p) - top) : 0;
        const double d = top > -inf ? static_cast<double>(top - least) : 0;
        for (std::int64_t c = 0; c < r.dim; ++c) {
          long double sum = 0;
          double size = 0;
          for (std::int64_t p = 0; p < r.parts; ++p) {
            if (part(p) == -inf) continue;
            const long double w = std::exp(part(p) - top) / mass;
            sum += w * static_cast<long double>(r.outs(p, b, h, i, c));
            size += static_cast<double>(w) * std::fabs(static_cast<double>(r.outs(p, b, h, i, c)));
          }
          out_errors(static_cast<double>(r.out(b, h, i, c)), sum,
                     (2 * d + 8 + 2 * static_cast<double>(r.parts)) * u * size + support::rounding<A>(sum), "row", b, h, i, c);
        }
        const long double want = top + std::log(mass);
        lse_errors(static_cast<double>(r.lse(b, h, i)), want,
                   std::isfinite(want) ? (2 + static_cast<double>(r.parts) + std::fabs(static_cast<double>(want))) * 2 * u +
                                             support::rounding<B>(want)
                                       : 0,
                   "row", b, h, i);
      }
    }
  }
}

template <class A, class B>
void check_type() {
  support::worst out;
  support::worst lse;
  constexpr std::int64_t dims[] = {0, 1, 7, 16, 33, 128, 300};
  for (std::uint64_t s = 0; s < 14; ++s) {
    results<A, B> r{static_cast<std::int64_t>(s % 5) + 1, 2, 3, static_cast<std::int64_t>(s) * 3, dims[s % 7]};
    r.outs.fill([=](std::uint64_t n) { return support::spread(s, n, -8, 8); });
    const double spread = s % 3 == 0 ? 1 : s % 3 == 1 ? 20 : 300;
    r.lses.fill([=](std::uint64_t n) { return support::below(s, n, 9) == 0 ? -inf : spread * support::normal(s + 50, n); });
    if (s % 2 == 0) {
      r.merge(seq);
    } else {
      r.merge(par.threads(3));
    }
    BOOST_TEST((r.outs.untouched() && r.lses.untouched() && r.out.gaps_untouched() && r.lse.gaps_untouched()));
    compare(out, lse, r);
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_merge)

BOOST_AUTO_TEST_CASE(float32) { check_type<float, float>(); }
BOOST_AUTO_TEST_CASE(bfloat16_with_float32_lse) { check_type<tessera::bfloat16, float>(); }
BOOST_AUTO_TEST_CASE(float32_with_float64_lse) { check_type<float, double>(); }

// What it is for: keys in pieces, one of them hidden from some rows.
BOOST_AUTO_TEST_CASE(pieces_of_the_keys_give_the_attention_over_all) {
  oracle::inputs<float> in(1, 4, 2, 9, 500, 24, 20);
  in.q.fill([](std::uint64_t n) { return 3 * support::normal(1, n); });
  in.k.fill([](std::uint64_t n) { return support::normal(2, n); });
  in.v.fill([](std::uint64_t n) { return support::normal(3, n); });
  array<float, 4> whole(in.out_extents());
  array<float, 3> whole_lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), whole.view(), whole_lse.view());
  results<float> r{4, 1, 4, 9, 20};
  const std::int64_t ends[] = {0, 190, 200, 200, 500};  // one of no keys
  const auto k = in.k.view();
  const auto v = in.v.view();
  for (std::int64_t p = 0; p < 4; ++p) {
    const std::int64_t keys = ends[p + 1] - ends[p];
    const view<const float, 4> some_k(k.data_handle() + ends[p] * k.stride(2), {1, 2, keys, 24},
                                      {k.stride(0), k.stride(1), k.stride(2), 1});
    const view<const float, 4> some_v(v.data_handle() + ends[p] * v.stride(2), {1, 2, keys, 20},
                                      {v.stride(0), v.stride(1), v.stride(2), 1});
    attention::forward(seq, in.q.view(), some_k, some_v, r.outs.view()[p], r.lses.view()[p]);
  }
  r.merge(seq);
  // Both are within the bound of `forward` of the truth, and the merged one by as much again for its lses and its own roundings.
  support::worst errors;
  for (std::int64_t h = 0; h < 4; ++h) {
    for (std::int64_t i = 0; i < 9; ++i) {
      errors(static_cast<double>(r.lse(0, h, i)), whole_lse(0, h, i), 1e-5, "lse", h, i);
      for (std::int64_t c = 0; c < 20; ++c) errors(static_cast<double>(r.out(0, h, i, c)), whole(0, h, i, c), 2e-5, h, i, c);
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(one_part_is_returned_bit_for_bit) {
  for (const std::int64_t parts : {1, 2, 5}) {
    results<float> r{parts, 2, 2, 5, 37};
    r.outs.fill([](std::uint64_t n) { return support::spread(1, n, -140, 120); });
    r.lses.fill([](std::uint64_t) { return -inf; });
    const std::int64_t live = parts / 2;
    for (std::int64_t n = 0; n < 20; ++n) {
      r.lses(live, n / 10, n / 5 % 2, n % 5) = static_cast<float>(90 * support::normal(2, static_cast<std::uint64_t>(n)));
      for (std::int64_t p = 0; p < parts; ++p) {  // what an empty part holds does not matter
        if (p != live) r.outs(p, n / 10, n / 5 % 2, n % 5, n) = std::numeric_limits<float>::quiet_NaN();
      }
    }
    r.merge(seq);
    int wrong = 0;
    for (std::int64_t n = 0; n < 20; ++n) {
      const std::int64_t b = n / 10;
      const std::int64_t h = n / 5 % 2;
      const std::int64_t i = n % 5;
      wrong += std::memcmp(&r.lse(b, h, i), &r.lses(live, b, h, i), sizeof(float)) != 0;
      wrong += std::memcmp(&r.out(b, h, i, 0), &r.outs(live, b, h, i, 0), 37 * sizeof(float)) != 0;
    }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(nothing_but_empty_parts_is_empty) {
  for (const std::int64_t parts : {0, 1, 3}) {
    results<float> r{parts, 1, 1, 2, 5};
    r.outs.fill([](std::uint64_t) { return std::numeric_limits<double>::quiet_NaN(); });
    r.lses.fill([](std::uint64_t) { return -inf; });
    r.merge(seq);
    for (const float x : r.out.elements()) BOOST_TEST((x == 0 && !std::signbit(x)));
    for (const float x : r.lse.elements()) BOOST_TEST(x == -std::numeric_limits<float>::infinity());
  }
}

BOOST_AUTO_TEST_CASE(two_parts_give_the_same_bits_in_either_order) {
  const std::array<std::int64_t, 4> extents{2, 3, 20, 35};
  array<float, 4> a(extents);
  array<float, 4> b(extents);
  array<float, 3> lse_a({2, 3, 20});
  array<float, 3> lse_b({2, 3, 20});
  a.fill([](std::uint64_t n) { return support::spread(1, n, -20, 20); });
  b.fill([](std::uint64_t n) { return support::spread(2, n, -20, 20); });
  lse_a.fill([](std::uint64_t n) { return n % 7 == 0 ? 1.0 : 5 * support::normal(3, n); });
  lse_b.fill([](std::uint64_t n) { return n % 7 == 0 ? 1.0 : 5 * support::normal(4, n); });  // some are equal
  array<float, 4> out(extents);
  array<float, 4> other(extents);
  array<float, 3> lse({2, 3, 20});
  array<float, 3> other_lse({2, 3, 20});
  attention::merge(seq, a.view(), lse_a.view(), b.view(), lse_b.view(), out.view(), lse.view());
  attention::merge(par.threads(2), b.view(), lse_b.view(), a.view(), lse_a.view(), other.view(), other_lse.view());
  BOOST_TEST((out.same_elements(other) && lse.same_elements(other_lse)));

  // As parts of one array, and into the place of one of them.
  results<float> r{2, 2, 3, 20, 35};
  r.outs.fill([&](std::uint64_t n) { return static_cast<double>((n < 4200 ? a : b).elements()[n % 4200]); });
  r.lses.fill([&](std::uint64_t n) { return static_cast<double>((n < 120 ? lse_a : lse_b).elements()[n % 120]); });
  r.merge(seq);
  BOOST_TEST((r.out.elements() == out.elements() && r.lse.same_elements(lse)));
  attention::merge(seq, a.view(), lse_a.view(), b.view(), lse_b.view(), b.view(), lse_b.view());
  BOOST_TEST((b.same_elements(out) && lse_b.same_elements(lse)));
}

// (a b) c and a (b c) of three parts: each is the merge of all, but for the roundings of what is merged again.
BOOST_AUTO_TEST_CASE(groupings_differ_by_roundings_alone) {
  support::worst errors;
  for (const double spread : {0.0, 1.0, 20.0, 80.0}) {
    results<float> r{3, 1, 2, 40, 19};
    r.outs.fill([](std::uint64_t n) { return support::spread(1, n, -8, 8); });
    r.lses.fill([=](std::uint64_t n) { return support::below(5, n, 9) == 0 ? -inf : spread * support::normal(6, n); });
    const auto x = r.outs.view();
    const auto y = r.lses.view();
    results<float> left{1, 1, 2, 40, 19};
    results<float> right{1, 1, 2, 40, 19};
    attention::merge(seq, x[0], y[0], x[1], y[1], left.out.view(), left.lse.view());
    attention::merge(seq, left.out.view(), left.lse.view(), x[2], y[2], left.out.view(), left.lse.view());
    attention::merge(seq, x[1], y[1], x[2], y[2], right.out.view(), right.lse.view());
    attention::merge(seq, x[0], y[0], right.out.view(), right.lse.view(), right.out.view(), right.lse.view());
    constexpr double u = 0x1p-24;
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = 0; i < 40; ++i) {
        double top = -inf;
        double least = inf;
        double largest = 0;
        for (std::int64_t p = 0; p < 3; ++p) {
          const auto lse = static_cast<double>(r.lses(p, 0, h, i));
          top = std::fmax(top, lse);
          if (lse > -inf) least = std::fmin(least, lse), largest = std::fmax(largest, std::fabs(lse));
        }
        if (top == -inf) {
          BOOST_TEST((left.lse(0, h, i) == -std::numeric_limits<float>::infinity() && left.out(0, h, i, 0) == 0));
          continue;
        }
        double mass = 0;
        for (std::int64_t p = 0; p < 3; ++p) mass += std::exp(static_cast<double>(r.lses(p, 0, h, i)) - top);
        const double of_lse = (4 + largest + std::log(2.0)) * 3 * u;  // of a merged log-sum-exp, which moves weights by as much
        const double of_merge = (2 * (top - least) + 12) * u;
        for (std::int64_t c = 0; c < 19; ++c) {
          double sum = 0;
          double size = 0;
          for (std::int64_t p = 0; p < 3; ++p) {
            const double w = std::exp(static_cast<double>(r.lses(p, 0, h, i)) - top) / mass;
            sum += w * static_cast<double>(r.outs(p, 0, h, i, c));
            size += w * std::fabs(static_cast<double>(r.outs(p, 0, h, i, c)));
          }
          const double bound = (2 * of_merge + 2 * of_lse + 2 * u) * size;
          errors(static_cast<double>(left.out(0, h, i, c)), sum, bound, "(ab)c", h, i, c);
          errors(static_cast<double>(right.out(0, h, i, c)), sum, bound, "a(bc)", h, i, c);
        }
        const double want = top + std::log(mass);
        errors(static_cast<double>(left.lse(0, h, i)), want, 2 * of_lse, "lse of (ab)c", h, i);
        errors(static_cast<double>(right.lse(0, h, i)), want, 2 * of_lse, "lse of a(bc)", h, i);
      }
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(nan_and_infinite_lses_reach_the_row) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), inf}) {
    for (const std::int64_t at : {0, 1, 2}) {
      results<float> r{3, 1, 1, 2, 3};
      r.outs.fill([](std::uint64_t n) { return static_cast<double>(n); });
      r.lses.fill([](std::uint64_t n) { return static_cast<double>(n % 3); });
      r.lses(at, 0, 0, 1) = static_cast<float>(bad);
      r.merge(seq);
      BOOST_TEST((std::isfinite(r.lse(0, 0, 0)) && std::isfinite(r.out(0, 0, 0, 2))));
      BOOST_TEST((std::isnan(r.lse(0, 0, 1)) && std::isnan(r.out(0, 0, 1, 0)) && std::isnan(r.out(0, 0, 1, 2))));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_it_refuses) {
  results<float> r{2, 2, 3, 4, 5};
  r.outs.fill([](std::uint64_t) { return 1; });
  r.lses.fill([](std::uint64_t) { return 1; });
  const auto run = [&](const view<float, 5>& x, const view<float, 4>& y, const view<float, 4>& out, const view<float, 3>& lse) {
    return support::refusal([&] { attention::merge(seq, x, y, out, lse); });
  };
  const auto x = r.outs.view();
  const auto y = r.lses.view();
  const auto out = r.out.view();
  const auto lse = r.lse.view();
  BOOST_TEST(run(view<float, 5>(nullptr, 2, 2, 3, 4, 5), y, out, lse).starts_with("attention::merge: outs: null"));
  BOOST_TEST(run(x, view<float, 4>(y.data_handle(), 2, 2, 3, 3), out, lse) ==
             "attention::merge: lses: shape [2, 2, 3, 3]; needs [parts, batch, heads, len] of outs");
  BOOST_TEST(run(x, y, view<float, 4>(out.data_handle(), 2, 3, 4, 4), lse).starts_with("attention::merge: out: shape"));
  BOOST_TEST(run(x, y, out, view<float, 3>(lse.data_handle(), 2, 3, 3)).starts_with("attention::merge: lse: shape"));
  BOOST_TEST(run(x, y, view<float, 4>(x.data_handle(), 2, 3, 4, 5), lse) ==
             "attention::merge: out: overlaps outs; needs memory of its own");
  BOOST_TEST(run(x, y, out, view<float, 3>(y.data_handle(), 2, 3, 4)).starts_with("attention::merge: lse: overlaps lses"));
  BOOST_TEST(
      run(x, y, view<float, 4>(out.data_handle(), {2, 3, 4, 5}, {60, 20, 0, 1}), lse).starts_with("attention::merge: out"));
  BOOST_TEST((r.out.untouched() && r.lse.untouched()));

  const auto a = x[0];
  const auto b = x[1];
  CHECK_REFUSED("attention::merge: out_b: shape",
                attention::merge(seq, a, y[0], view<float, 4>(b.data_handle(), 2, 3, 4, 4), y[1], out, lse));
  CHECK_REFUSED("attention::merge: lse_b: shape",
                attention::merge(seq, a, y[0], b, view<float, 3>(y[1].data_handle(), 2, 3, 3), out, lse));
  CHECK_REFUSED("attention::merge: out: overlaps out_b",
                attention::merge(seq, a, y[0], b, y[1], view<float, 4>(b.data_handle() + 1, 2, 3, 4, 5), lse));
  BOOST_TEST((r.outs.untouched() && r.lses.untouched() && r.out.untouched() && r.lse.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
