// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/attention/rotary_tables.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "golden_rotary.hpp"
#include "tessera/reference/rotary.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;

/// The bound of the docs.
double bound(double want, std::int64_t position) {
  return (1 + 0x1p-20) * 0x1p-24 * std::fabs(want) + (position < (1 << 20) ? 0x1p-60 : 0x1p-43);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_rotary_tables)

BOOST_AUTO_TEST_CASE(entries_are_those_of_sixty_digits) {
  support::worst errors;
  for (const golden::rotary_entry& x : golden::rotary_entries) {
    array<float, 2> cos({1, x.dims / 2});
    array<float, 2> sin({1, x.dims / 2});
    attention::fill_rotary_tables(seq, cos.view(), sin.view(),
                                  {.base = x.base, .factor = x.factor, .first_position = x.position});
    errors(static_cast<double>(cos(0, x.m)), x.cos, bound(x.cos, x.position), "cos", x.position, x.m);
    errors(static_cast<double>(sin(0, x.m)), x.sin, bound(x.sin, x.position), "sin", x.position, x.m);
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(the_specification_is_that_of_sixty_digits) {
  for (const golden::rotary_entry& x : golden::rotary_entries) {
    const long double angle = tessera::reference::rotary_angle<long double>(x.position, x.m, x.dims, x.base, x.factor);
    const double error = static_cast<double>(std::fabs(angle) * 0x1p-60L) + 0x1p-52;
    BOOST_TEST(std::fabs(static_cast<double>(std::cos(angle)) - x.cos) <= error);
    BOOST_TEST(std::fabs(static_cast<double>(std::sin(angle)) - x.sin) <= error);
  }
}

BOOST_AUTO_TEST_CASE(whole_tables_are_within_the_bound_of_the_specification) {
  support::worst errors;
  const struct {
    std::int64_t first, positions, pairs, gap;
    double base, factor;
  } cases[] = {{0, 300, 64, 0, 10000, 1},    {131000, 70, 48, 3, 500000, 1}, {65000, 33, 17, 5, 1e6, 32},
               {1000, 20, 1, 1, 10000, 1.7}, {8000, 40, 250, 0, 10000, 1},   {50, 9, 16, 0, 0.5, 1}};
  for (const auto& x : cases) {
    array<float, 2> cos({x.positions, x.pairs}, {x.gap});
    array<float, 2> sin({x.positions, x.pairs}, {x.gap});
    attention::fill_rotary_tables(par.threads(3), cos.view(), sin.view(),
                                  {.base = x.base, .factor = x.factor, .first_position = x.first});
    BOOST_TEST((cos.gaps_untouched() && sin.gaps_untouched()));
    for (std::int64_t p = 0; p < x.positions; ++p) {
      for (std::int64_t m = 0; m < x.pairs; ++m) {
        const long double angle = tessera::reference::rotary_angle<long double>(x.first + p, m, 2 * x.pairs, x.base, x.factor);
        const double lost = static_cast<double>(std::fabs(angle)) * 0x1p-60;  // of the specification
        errors(static_cast<double>(cos(p, m)), std::cos(angle), bound(static_cast<double>(std::cos(angle)), 0) + lost, "cos", p,
               m);
        errors(static_cast<double>(sin(p, m)), std::sin(angle), bound(static_cast<double>(std::sin(angle)), 0) + lost, "sin", p,
               m);
      }
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(rows_are_the_same_in_any_table_by_any_threads) {
  array<float, 2> all_cos({5000, 40});
  array<float, 2> all_sin({5000, 40});
  attention::fill_rotary_tables(par.threads(4), all_cos.view(), all_sin.view());
  for (const std::int64_t first : {0, 1, 4983}) {
    array<float, 2> cos({17, 40});
    array<float, 2> sin({17, 40});
    attention::fill_rotary_tables(seq, cos.view(), sin.view(), {.first_position = first});
    for (std::int64_t p = 0; p < 17; ++p) {
      for (std::int64_t m = 0; m < 40; ++m) {
        BOOST_REQUIRE(cos(p, m) == all_cos(first + p, m));
        BOOST_REQUIRE(sin(p, m) == all_sin(first + p, m));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(tables_without_elements_are_left_alone) {
  attention::fill_rotary_tables(seq, view<float, 2>(nullptr, 0, 8), view<float, 2>(nullptr, 0, 8));
  attention::fill_rotary_tables(seq, view<float, 2>(nullptr, 8, 0), view<float, 2>(nullptr, 8, 0));
}

BOOST_AUTO_TEST_CASE(misuse) {
  array<float, 2> cos({4, 8});
  array<float, 2> sin({4, 8});
  const auto fill = [&](const attention::rotary_frequencies& of) {
    attention::fill_rotary_tables(seq, cos.view(), sin.view(), of);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double x : {0.0, -1.0, nan, std::numeric_limits<double>::infinity(), 1e31, 1e-31}) {
    CHECK_REFUSED("attention::fill_rotary_tables: base: ", fill({.base = x}));
    CHECK_REFUSED("attention::fill_rotary_tables: factor: ", fill({.factor = x}));
  }
  for (const std::int64_t first : {std::int64_t{-1}, (std::int64_t{1} << 31) - 3, std::numeric_limits<std::int64_t>::max()}) {
    CHECK_REFUSED("attention::fill_rotary_tables: first_position: ", fill({.first_position = first}));
  }
  const auto refused = [&](const view<float, 2>& c, const view<float, 2>& s) {
    const std::string text = support::refusal([&] { attention::fill_rotary_tables(seq, c, s); });
    return text.substr(0, text.find(": ", sizeof("attention::fill_rotary_tables: ")));
  };
  float* const data = cos.view().data_handle();
  BOOST_TEST(refused(cos.view(), view<float, 2>(sin.view().data_handle(), 4, 7)) == "attention::fill_rotary_tables: sin");
  BOOST_TEST(refused(cos.view(), view<float, 2>(nullptr, 4, 8)) == "attention::fill_rotary_tables: sin");
  BOOST_TEST(refused(view<float, 2>(nullptr, 4, 8), sin.view()) == "attention::fill_rotary_tables: cos");
  BOOST_TEST(refused(view<float, 2>(data, {4, 8}, {1, 4}), sin.view()) == "attention::fill_rotary_tables: cos");
  BOOST_TEST(refused(view<float, 2>(data, {4, 8}, {0, 1}), sin.view()) == "attention::fill_rotary_tables: cos");
  BOOST_TEST(refused(cos.view(), cos.view()) == "attention::fill_rotary_tables: sin");
  BOOST_TEST((cos.untouched() && sin.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
