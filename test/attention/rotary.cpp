// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// attention::rotate and rotate_back.
#include "tessera/attention/rotary.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "golden_rotary.hpp"
#include "rotary_tables.hpp"
#include "tessera/attention/rotate.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/reference/rotary.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;
using attention::rotary;
using attention::rotary_layout;
using rotary_test::layouts;
using rotary_test::tables;

/// The size of the element that `at` is an index of: |a cos| + |b sin| of its pair, or 0.
double size_of(const std::vector<double>& row, const rotary& by, std::int64_t position, std::int64_t at) {
  for (std::int64_t m = 0; m < by.dims() / 2; ++m) {
    std::int64_t a;
    std::int64_t b;
    tessera::reference::rotary_pair(by, m, a, b);
    if (at != a && at != b) continue;
    const double c = std::fabs(static_cast<double>(by.cos(position, m)));
    const double s = std::fabs(static_cast<double>(by.sin(position, m)));
    return c * std::fabs(row[static_cast<std::size_t>(at)]) + s * std::fabs(row[static_cast<std::size_t>(a + b - at)]);
  }
  return 0;
}

struct shape {
  std::int64_t batch, heads, len, dim, dims;
};
// Rows of whole and of part registers, parts of a row, odd rows, rows of nothing.
constexpr shape shapes[] = {{1, 1, 1, 2, 2},     {2, 3, 5, 8, 8},   {1, 2, 70, 64, 64},   {2, 1, 9, 128, 128},
                            {1, 1, 130, 80, 80}, {1, 3, 7, 64, 32}, {2, 2, 3, 33, 32},    {1, 1, 65, 7, 6},
                            {3, 1, 4, 100, 46},  {1, 1, 3, 5, 0},   {1, 1, 200, 257, 34}, {1, 1, 6, 256, 256},
                            {0, 2, 3, 4, 4},     {1, 2, 0, 4, 4}};

template <class In, class Out>
void check_type() {
  using T = std::common_type_t<tessera::compute_t<In>, tessera::compute_t<Out>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  support::worst errors;
  std::uint64_t seed = 0;
  for (const shape& x : shapes) {
    for (const rotary_layout layout : layouts) {
      const std::int64_t first = static_cast<std::int64_t>(++seed % 4) * 11;
      const support::placement where{static_cast<std::int64_t>(seed % 3), seed % 2 == 1};
      const tables of(first + x.len, x.dims, static_cast<std::int64_t>(seed % 2) * 5);
      rotary by = of.with(layout);
      by.first_dim = seed % 5 < 2 ? x.dim - x.dims : (x.dim - x.dims) / 3;
      array<In, 4> in({x.batch, x.heads, x.len, x.dim}, where);
      in.fill([=](std::uint64_t n) { return support::spread(seed, n, -12, 6); });
      for (const bool back : {false, true}) {
        array<Out, 4> out({x.batch, x.heads, x.len, x.dim}, {static_cast<std::int64_t>(seed % 4), seed % 3 == 0});
        if (back) {
          attention::rotate_back(par.threads(3), in.view(), out.view(), by, first);
        } else {
          attention::rotate(par.threads(3), in.view(), out.view(), by, first);
        }
        BOOST_TEST((in.untouched() && out.gaps_untouched()));
        const auto want = tessera::reference::rotated<Real>(in.view(), by, first, back);
        const auto got = out.elements();
        const auto given = in.elements();
        for (std::size_t n = 0; n < want.size(); ++n) {
          const std::size_t row = n / static_cast<std::size_t>(x.dim) * static_cast<std::size_t>(x.dim);
          std::vector<double> elements;
          for (std::size_t d = 0; d < static_cast<std::size_t>(x.dim); ++d) {
            elements.push_back(static_cast<double>(given[row + d]));
          }
          const std::int64_t position = first + static_cast<std::int64_t>(n) / x.dim % x.len;
          const double size = size_of(elements, by, position, static_cast<std::int64_t>(n - row));
          errors(static_cast<double>(got[n]), want[n],
                 2 * tessera::unit_roundoff<T> * size + support::rounding<Out>(want[n]) * (std::is_same_v<T, Out> ? 0 : 1),
                 "element", n, "of", x.dim);
        }
      }
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_rotary)

BOOST_AUTO_TEST_CASE(float32) { check_type<float, float>(); }
BOOST_AUTO_TEST_CASE(float64) { check_type<double, double>(); }
BOOST_AUTO_TEST_CASE(all_bfloat16) { check_type<tessera::bfloat16, tessera::bfloat16>(); }
BOOST_AUTO_TEST_CASE(float16_to_float32) { check_type<tessera::float16, float>(); }
BOOST_AUTO_TEST_CASE(float8_to_float16) { check_type<tessera::float8_e4m3, tessera::float16>(); }
BOOST_AUTO_TEST_CASE(float32_to_float8) { check_type<float, tessera::float8_e5m2>(); }

BOOST_AUTO_TEST_CASE(rows_are_those_of_sixty_digits) {
  for (const golden::rotary_row& x : golden::rotary_rows) {
    const auto dim = static_cast<std::int64_t>(x.x.size());
    const tables of(x.position + 1, x.dims);
    const rotary by = of.with(x.interleaved ? rotary_layout::interleaved : rotary_layout::halves);
    array<float, 4> row({1, 1, 1, dim});
    row.fill([](std::uint64_t n) { return (static_cast<double>((37 * n + 11) % 61) - 30) / 32; });
    attention::rotate(seq, row.view(), row.view(), by, x.position);
    BOOST_TEST_INFO(x.name);
    double error = 0;  // of elements below 1, and of cosines and sines
    for (std::int64_t d = 0; d < dim; ++d) {
      error = std::fmax(error, std::fabs(static_cast<double>(row(0, 0, 0, d)) - x.x[static_cast<std::size_t>(d)]));
    }
    BOOST_TEST(error <= 6 * 0x1p-24);
  }
}

BOOST_AUTO_TEST_CASE(in_place_gives_the_same_bits_and_leaves_the_rest_of_a_row_alone) {
  for (const shape& x : shapes) {
    for (const rotary_layout layout : layouts) {
      const tables of(x.len + 3, x.dims);
      rotary by = of.with(layout);
      by.first_dim = x.dims < x.dim ? x.dim - x.dims - 1 : 0;
      array<tessera::bfloat16, 4> in({x.batch, x.heads, x.len, x.dim}, {2, true});
      in.fill([](std::uint64_t n) { return support::normal(1, n); });
      const auto signalling = tessera::bfloat16::from_bits(0x7FA1);
      if (x.dims < x.dim && in.view().size() > 0) in(0, 0, 0, x.dim - 1) = signalling;
      array<tessera::bfloat16, 4> out({x.batch, x.heads, x.len, x.dim});
      attention::rotate(seq, in.view(), out.view(), by, 3);
      attention::rotate(par.threads(2), in.view(), in.view(), by, 3);
      if (x.dims < x.dim && in.view().size() > 0) {
        BOOST_TEST(in(0, 0, 0, x.dim - 1).bits == 0x7FA1);
        in(0, 0, 0, x.dim - 1) = out(0, 0, 0, x.dim - 1);
      }
      const auto a = in.elements();
      const auto b = out.elements();
      BOOST_TEST((a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0));
    }
  }
}

// At position 0 nothing is turned, to the bit; a row does not know what stands beside it.
BOOST_AUTO_TEST_CASE(position_zero_and_single_rows) {
  const tables of(40, 24);
  for (const rotary_layout layout : layouts) {
    array<float, 4> in({1, 1, 40, 31});
    in.fill([](std::uint64_t n) { return support::normal(2, n); });
    array<float, 4> out({1, 1, 40, 31});
    attention::rotate(seq, in.view(), out.view(), of.with(layout));
    for (std::int64_t d = 0; d < 31; ++d) BOOST_TEST(out(0, 0, 0, d) == in(0, 0, 0, d));
    for (std::int64_t i = 0; i < 40; ++i) {
      float row[31];
      attention::rotate(seq, view<const float, 4>(&in(0, 0, i, 0), 1, 1, 1, 31), view<float, 4>(row, 1, 1, 1, 31),
                        of.with(layout), i);
      BOOST_TEST(std::memcmp(row, &out(0, 0, i, 0), sizeof(row)) == 0);
    }
  }
}

// |x'| = |x|; turned back, x is x again; q . k depends on the distance of their positions alone. All but for the roundings of the tables.
BOOST_AUTO_TEST_CASE(what_rotations_keep) {
  constexpr std::int64_t len = 300;
  constexpr std::int64_t dim = 40;
  constexpr double u = 0x1p-24;
  const tables of(len, 36);
  for (const rotary_layout layout : layouts) {
    const rotary by = of.with(layout);
    array<double, 4> q({1, 1, len, dim});
    array<double, 4> k({1, 1, len, dim});
    // The same row at every position.
    q.fill([](std::uint64_t n) { return support::normal(3, n % dim); });
    k.fill([](std::uint64_t n) { return support::normal(4, n % dim); });
    array<double, 4> turned_q = q;
    array<double, 4> turned_k = k;
    attention::rotate(seq, q.view(), turned_q.view(), by);
    attention::rotate(seq, k.view(), turned_k.view(), by);
    double norm = 0;
    double sizes = 0;  // (|q_a| + |q_b|) (|k_a| + |k_b|)
    for (std::int64_t d = 0; d < dim; ++d) norm += q(0, 0, 0, d) * q(0, 0, 0, d);
    for (std::int64_t m = 0; m < 18; ++m) {
      std::int64_t a;
      std::int64_t b;
      tessera::reference::rotary_pair(by, m, a, b);
      sizes += (std::fabs(q(0, 0, 0, a)) + std::fabs(q(0, 0, 0, b))) * (std::fabs(k(0, 0, 0, a)) + std::fabs(k(0, 0, 0, b)));
    }
    const auto product = [&](std::int64_t i, std::int64_t j) {
      double sum = 0;
      for (std::int64_t d = 0; d < dim; ++d) sum += turned_q(0, 0, i, d) * turned_k(0, 0, j, d);
      return sum;
    };
    support::worst errors;
    for (std::int64_t i = 0; i < len; ++i) {
      double square = 0;
      for (std::int64_t d = 0; d < dim; ++d) square += turned_q(0, 0, i, d) * turned_q(0, 0, i, d);
      errors(square, norm, 2.001 * u * norm, "norm", i);
      errors(product(i, i), product(0, 0), 8.001 * u * sizes, "distance 0", i);
      if (i + 17 < len) errors(product(i + 17, i), product(17, 0), 8.001 * u * sizes, "distance 17", i);
      if (i + 100 < len) errors(product(i, i + 100), product(0, 100), 8.001 * u * sizes, "distance -100", i);
    }
    CHECK_WITHIN_BOUND(errors);
    BOOST_TEST(std::fabs(product(17, 0) - product(0, 17)) > 0.1);  // it is the distance that counts, with its sign

    attention::rotate_back(seq, turned_q.view(), turned_q.view(), by);
    array<float, 4> single({1, 1, len, dim});
    single.fill([](std::uint64_t n) { return support::normal(3, n % dim); });
    const auto given = single.elements();
    attention::rotate(seq, single.view(), single.view(), by);
    attention::rotate_back(seq, single.view(), single.view(), by);
    const auto kept = single.elements();
    support::worst back;
    for (std::int64_t i = 0; i < len; ++i) {
      for (std::int64_t m = 0; m < 18; ++m) {
        std::int64_t ab[2];
        tessera::reference::rotary_pair(by, m, ab[0], ab[1]);
        const double both = std::fabs(q(0, 0, 0, ab[0])) + std::fabs(q(0, 0, 0, ab[1]));
        for (const std::int64_t d : ab) {
          back(turned_q(0, 0, i, d), q(0, 0, i, d), 2.001 * u * std::fabs(q(0, 0, i, d)) + 1e-15 * both, "float64", i, d);
          const auto n = static_cast<std::size_t>(i * dim + d);
          const auto x = static_cast<double>(given[n]);
          back(static_cast<double>(kept[n]), x, u * (2.001 * std::fabs(x) + 8 * both), "float32", i, d);
        }
      }
    }
    CHECK_WITHIN_BOUND(back);
  }
}

BOOST_AUTO_TEST_CASE(nan_reaches_its_pair_alone) {
  const tables of(9, 16);
  for (const rotary_layout layout : layouts) {
    const rotary by = of.with(layout);
    array<float, 4> x({1, 1, 9, 20});
    x.fill([](std::uint64_t n) { return support::normal(5, n); });
    std::int64_t a;
    std::int64_t b;
    tessera::reference::rotary_pair(by, 5, a, b);
    x(0, 0, 4, b) = std::numeric_limits<float>::quiet_NaN();
    attention::rotate(seq, x.view(), x.view(), by);
    for (std::int64_t i = 0; i < 9; ++i) {
      for (std::int64_t d = 0; d < 20; ++d) BOOST_TEST(std::isnan(x(0, 0, i, d)) == (i == 4 && (d == a || d == b)));
    }
  }
}

BOOST_AUTO_TEST_CASE(misuse) {
  const tables of(10, 6);
  array<float, 4> in({2, 3, 5, 7});
  array<float, 4> out({2, 3, 5, 7});
  in.fill([](std::uint64_t n) { return static_cast<double>(n); });
  const rotary good = of.with(rotary_layout::halves);
  const auto refused = [&](const auto& change, std::int64_t first = 0) {
    rotary by = good;
    view<float, 4> from = in.view();
    view<float, 4> to = out.view();
    change(by, from, to);
    const std::string text = support::refusal([&] { attention::rotate(seq, from, to, by, first); });
    BOOST_TEST((in.untouched() && out.untouched() && of.cos.gaps_untouched()));
    return text.substr(0, text.find(": ", sizeof("attention::rotate: ")));
  };
  const auto nothing = [](auto&...) {};
  const float* const cos = good.cos.data_handle();
  BOOST_TEST(refused([](auto& by, auto&...) { by.cos = {}; }) == "attention::rotate: by.cos");
  BOOST_TEST(refused([](auto& by, auto&...) { by.sin = {}; }) == "attention::rotate: by.sin");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.cos = view<const float, 2>(cos, 7, 4); }) == "attention::rotate: by.cos");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.cos = view<const float, 2>(cos, {9, 3}, {1, 9}); }) ==
             "attention::rotate: by.cos");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.sin = view<const float, 2>(cos, 9, 3); }) == "attention::rotate: by.sin");
  BOOST_TEST(refused([&](auto& by, auto&...) { by.sin = view<const float, 2>(cos, 10, 2); }) == "attention::rotate: by.sin");
  BOOST_TEST(refused([](auto& by, auto&...) { by.first_dim = 2; }) == "attention::rotate: by.first_dim");
  BOOST_TEST(refused([](auto& by, auto&...) { by.first_dim = -1; }) == "attention::rotate: by.first_dim");
  BOOST_TEST(refused([](auto& by, auto&...) { by.first_dim = std::numeric_limits<std::int64_t>::max(); }) ==
             "attention::rotate: by.first_dim");
  BOOST_TEST(refused(nothing, -1) == "attention::rotate: first_position");
  BOOST_TEST(refused(nothing, 6) == "attention::rotate: first_position");
  BOOST_TEST(refused(nothing, std::numeric_limits<std::int64_t>::max()) == "attention::rotate: first_position");
  BOOST_TEST(refused(nothing, std::numeric_limits<std::int64_t>::min()) == "attention::rotate: first_position");
  BOOST_TEST(refused([](auto&, auto&, auto& to) { to = view<float, 4>(to.data_handle(), 2, 3, 5, 6); }) ==
             "attention::rotate: out");
  BOOST_TEST(refused([](auto&, auto&, auto& to) { to = view<float, 4>(nullptr, 2, 3, 5, 7); }) == "attention::rotate: out");
  BOOST_TEST(refused([](auto&, auto& from, auto&) { from = view<float, 4>(nullptr, 2, 3, 5, 7); }) == "attention::rotate: in");
  BOOST_TEST(refused([](auto&, auto& from, auto&) {
               from = view<float, 4>(from.data_handle(), {2, 3, 5, 7}, {105, 35, 1, 5});
             }) == "attention::rotate: in");
  BOOST_TEST(refused([](auto&, auto&, auto& to) { to = view<float, 4>(to.data_handle(), {2, 3, 5, 7}, {105, 0, 7, 1}); }) ==
             "attention::rotate: out");
  BOOST_TEST(refused([](auto&, auto& from, auto& to) { to = view<float, 4>(from.data_handle() + 7, 2, 3, 5, 7); }) ==
             "attention::rotate: out");
  array<float, 4> own({1, 1, 2, 3});
  own.fill([](std::uint64_t) { return 1; });
  const rotary on_itself{.cos = view<const float, 2>(own.view().data_handle(), 6, 1), .sin = view<const float, 2>(cos, 6, 1)};
  CHECK_REFUSED("attention::rotate_back: out: overlaps by.cos", attention::rotate_back(seq, own.view(), own.view(), on_itself));
  BOOST_TEST(own.untouched());
  attention::rotate(seq, in.view(), out.view(), good, 5);
  BOOST_TEST(!out.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
