// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/softmax_rows.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "golden_rows.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/softmax_rows.hpp"

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;

constexpr double inf = std::numeric_limits<double>::infinity();

template <class In, class Out>
using compute_of = std::common_type_t<tessera::compute_t<In>, tessera::compute_t<Out>>;

/// Both functions against the reference, with the bounds of their docs.
template <class Out, class In>
void check(support::worst& errors, const matrix<In>& in, std::int64_t gap = 0) {
  using T = compute_of<In, Out>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const std::int64_t n = in.view().extent(0);
  const std::int64_t length = in.view().extent(1);
  matrix<Out> p({n, length}, {gap});
  matrix<Out> log_p({n, length}, {gap});
  tessera::softmax_rows(seq, in.view(), p.view());
  tessera::log_softmax_rows(par.threads(2), in.view(), log_p.view());
  BOOST_TEST((in.untouched() && p.gaps_untouched() && log_p.gaps_untouched()));
  const double u = tessera::unit_roundoff<T>;
  const double faintest = sizeof(T) == 4 ? 0x1p-125 : 0x1p-1021;
  const double sums = 140 + static_cast<double>(length) / 4096;
  const double log_length = std::log(static_cast<double>(length));
  tessera::reference::softmax_rows<Real>(in.view(), [&](std::int64_t i, const auto& want, const auto& log_want) {
    double top = -inf;
    for (std::int64_t j = 0; j < length; ++j) top = std::fmax(top, static_cast<double>(in(i, j)));
    for (std::int64_t j = 0; j < length; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double fall = std::isfinite(top - static_cast<double>(in(i, j))) ? top - static_cast<double>(in(i, j)) : 0;
      errors(static_cast<double>(p(i, j)), want[at],
             (fall + log_length + sums) * u * static_cast<double>(want[at]) + faintest + support::rounding<Out>(want[at]), "row",
             i, "number", j);
      errors(static_cast<double>(log_p(i, j)), log_want[at],
             (fall + std::fabs(static_cast<double>(log_want[at])) + 2 * log_length + 2 + sums) * u +
                 support::rounding<Out>(log_want[at]),
             "log row", i, "number", j);
    }
  });
}

auto normal(std::uint64_t seed, double factor = 1) {
  return [=](std::uint64_t n) { return factor * support::normal(seed, n); };
}

// Around registers (4 to 16 numbers), pairs and fours of them, and chunks (4096).
constexpr std::int64_t lengths[] = {1,  2,  3,  4,  5,   7,   8,   9,    15,   16,   17,   31,   32,    33,
                                    47, 63, 64, 65, 127, 128, 129, 1000, 4095, 4096, 4097, 8192, 12289, 20000};

template <class In, class Out>
void check_lengths() {
  support::worst errors;
  for (const std::int64_t length : lengths) {
    const std::int64_t rows = length < 100 ? 19 : 2;
    matrix<In> in({rows, length}, {length % 3});
    in.fill(normal(static_cast<std::uint64_t>(length), 4));
    check<Out>(errors, in, length % 5);
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_softmax_rows)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound_for_every_length) { check_lengths<float, float>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound_for_every_length) { check_lengths<double, double>(); }
BOOST_AUTO_TEST_CASE(bfloat16_is_within_its_bound_for_every_length) { check_lengths<bfloat16, bfloat16>(); }
BOOST_AUTO_TEST_CASE(float16_to_float32_is_within_its_bound_for_every_length) { check_lengths<float16, float>(); }
BOOST_AUTO_TEST_CASE(float32_to_float64_is_within_its_bound_for_every_length) { check_lengths<float, double>(); }

BOOST_AUTO_TEST_CASE(vocabularies_are_within_the_bound) {
  support::worst errors;
  for (const std::int64_t length : {262144, 262145}) {  // from there on nothing is kept
    matrix<float> in({1, length});
    in.fill(normal(1, 6));
    check<float>(errors, in);
    check<bfloat16>(errors, in);
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(adversarial_rows_are_within_the_bound) {
  support::worst errors;
  for (const std::int64_t length : {5, 100, 9000}) {
    matrix<float> in({3, length});
    const auto columns = static_cast<std::uint64_t>(length);
    const auto check_all = [&](const auto& f) {
      in.fill(f);
      check<float>(errors, in);
    };
    check_all(normal(2, 1e4));
    check_all(normal(3, 1e30));
    check_all([](std::uint64_t n) { return support::spread(4, n, -40, 20); });
    check_all([](std::uint64_t) { return 1e4; });  // repeated maxima
    check_all([](std::uint64_t) { return -3e38; });
    check_all(
        [=](std::uint64_t n) { return 0.01 * static_cast<double>(n % columns) - 2e4; });  // rising: each chunk beats the last
    check_all([=](std::uint64_t n) { return 3e3 - 0.02 * static_cast<double>(n % columns); });  // falling
    check_all([](std::uint64_t n) {
      return n % 3 == 0 ? 0.0 : -16.7 - 0.1 * static_cast<double>(n % 2);
    });  // each just fails to change a sum
    check_all([=](std::uint64_t n) {
      return n % columns == columns - 1 ? 0.0 : -86.0 - static_cast<double>(n % 5);
    });  // where weights end
    check_all([](std::uint64_t n) { return n % 2 == 0 ? 1.5e38 : -1.5e38; });
    check_all([](std::uint64_t n) { return n % 4 == 1 ? -inf : static_cast<double>(n % 3); });
    check_all([=](std::uint64_t n) { return n % columns == columns / 2 ? -5.0 : -inf; });
    check_all([](std::uint64_t) { return -inf; });
    check_all([](std::uint64_t n) { return 1e-42 * static_cast<double>(n % 7); });
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(rows_without_a_distribution_are_zeros_and_minus_infinity) {
  matrix<float> in({2, 5000});
  in.fill([](std::uint64_t) { return -inf; });
  matrix<float> p({2, 5000});
  tessera::softmax_rows(seq, in.view(), p.view());
  for (const float x : p.elements()) BOOST_REQUIRE((x == 0 && !std::signbit(x)));
  tessera::log_softmax_rows(seq, in.view(), p.view());
  for (const float x : p.elements()) BOOST_REQUIRE(x == -std::numeric_limits<float>::infinity());
}

BOOST_AUTO_TEST_CASE(one_finite_number_gets_exactly_one_and_equal_numbers_equal_shares) {
  matrix<float> in({1, 9000});
  in.fill([](std::uint64_t n) { return n == 8000 ? -1e4 : -inf; });
  matrix<float> p({1, 9000});
  tessera::softmax_rows(seq, in.view(), p.view());
  for (std::int64_t j = 0; j < 9000; ++j) BOOST_REQUIRE(p(0, j) == (j == 8000 ? 1.0f : 0.0f));
  in.fill([](std::uint64_t) { return 77; });
  tessera::softmax_rows(seq, in.view(), p.view());
  for (std::int64_t j = 0; j < 9000; ++j) BOOST_REQUIRE(p(0, j) == 1.0f / 9000);
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_reach_their_row_and_no_other) {
  for (const double guest : {std::numeric_limits<double>::quiet_NaN(), inf}) {
    for (const std::int64_t length : {1, 20, 9000}) {
      for (const std::int64_t at : {std::int64_t{0}, length / 2, length - 1}) {
        for (const double rest : {1.0, -inf}) {
          matrix<float> in({3, length});
          in.fill([=](std::uint64_t n) { return n / static_cast<std::uint64_t>(length) == 1 ? rest : 0.5; });
          in(1, at) = static_cast<float>(guest);
          matrix<float> p({3, length});
          matrix<float> log_p({3, length});
          tessera::softmax_rows(seq, in.view(), p.view());
          tessera::log_softmax_rows(seq, in.view(), log_p.view());
          int wrong = 0;
          for (std::int64_t i = 0; i < 3; ++i) {
            for (std::int64_t j = 0; j < length; ++j) {
              wrong += std::isnan(p(i, j)) != (i == 1);
              wrong += std::isnan(log_p(i, j)) != (i == 1);
            }
          }
          BOOST_TEST_INFO(guest << " at " << at << " of " << length << " among " << rest);
          BOOST_TEST(wrong == 0);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(in_place_gives_the_same_bits) {
  const auto same = [](auto zero, std::int64_t rows, std::int64_t length) {
    using S = decltype(zero);
    for (const bool log : {false, true}) {
      matrix<S> in({rows, length}, {3});
      in.fill(normal(5, 3));
      matrix<S> want({rows, length}, {3});
      log ? tessera::log_softmax_rows(seq, in.view(), want.view()) : tessera::softmax_rows(seq, in.view(), want.view());
      log ? tessera::log_softmax_rows(par.threads(2), in.view(), in.view())
          : tessera::softmax_rows(par.threads(2), in.view(), in.view());
      BOOST_TEST(in.same_elements(want));
      BOOST_TEST(in.gaps_untouched());
    }
  };
  same(float{}, 40, 37);
  same(float{}, 3, 100000);
  same(bfloat16{}, 3, 100000);
  same(double{}, 2, 5000);
}

// Many rows are shared out whole, few by chunks; large outputs are written past the caches.
BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_row_alone) {
  const auto check_type = [](auto zero, std::int64_t rows, std::int64_t length) {
    using S = decltype(zero);
    matrix<S> in({rows, length}, {5});
    in.fill(normal(6, 5));
    for (const bool log : {false, true}) {
      const auto call = [&](const auto& exec, const auto& from, const auto& to) {
        log ? tessera::log_softmax_rows(exec, from, to) : tessera::softmax_rows(exec, from, to);
      };
      matrix<S> whole({rows, length});
      call(seq, in.view(), whole.view());
      const auto same_with = [&](const auto& exec) {
        matrix<S> out({rows, length}, {1});
        call(exec, in.view(), out.view());
        return out.same_elements(whole);
      };
      BOOST_TEST(same_with(par.threads(2)));
      BOOST_TEST(same_with(par.threads(3)));
      BOOST_TEST(same_with(par.on(support::thread_per_call{5})));
      BOOST_TEST(same_with(par.on(support::one_by_one{})));
      matrix<S> alone({1, length});
      const auto last = in.view();
      call(par.threads(2), view<const S, 2>(&last(rows - 1, 0), 1, length), alone.view());
      BOOST_TEST(std::memcmp(&alone(0, 0), &whole(rows - 1, 0), static_cast<std::size_t>(length) * sizeof(S)) == 0);
    }
  };
  check_type(float{}, 300, 4099);
  check_type(float{}, 1, 1000000);
  check_type(float{}, 7, 70000);
  check_type(bfloat16{}, 700, 4133);
  check_type(float16{}, 3, 200001);
  check_type(double{}, 9, 60000);
}

BOOST_AUTO_TEST_CASE(golden_values_of_pytorch) {
  matrix<double> in({golden::rows, golden::length});
  in.fill(golden::number);
  matrix<double> p({golden::rows, golden::length});
  matrix<double> log_p({golden::rows, golden::length});
  tessera::softmax_rows(seq, in.view(), p.view());
  tessera::log_softmax_rows(seq, in.view(), log_p.view());
  support::worst errors;
  for (std::int64_t i = 0; i < golden::rows; ++i) {
    for (std::int64_t j = 0; j < golden::length; ++j) {
      errors(p(i, j), golden::softmax[i][j], 1e-14 * golden::softmax[i][j], "row", i, j);
      errors(log_p(i, j), golden::log_softmax[i][j], 1e-14 * std::fabs(golden::log_softmax[i][j]) + 1e-15, "log row", i, j);
    }
  }
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(narrow_results_are_the_wide_ones_rounded_once) {
  matrix<bfloat16> in({2, 9000});
  in.fill(normal(7, 2));
  matrix<float> wide({2, 9000});
  matrix<bfloat16> narrow({2, 9000});
  tessera::softmax_rows(seq, in.view(), wide.view());
  tessera::softmax_rows(seq, in.view(), narrow.view());
  int wrong = 0;
  for (std::int64_t i = 0; i < 2; ++i) {
    for (std::int64_t j = 0; j < 9000; ++j) wrong += bfloat16(wide(i, j)).bits != narrow(i, j).bits;
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(empty_matrices_and_rows_are_no_misuse) {
  matrix<float> none({0, 5});
  matrix<float> no_columns({5, 0});
  tessera::softmax_rows(seq, none.view(), none.view());
  tessera::log_softmax_rows(seq, no_columns.view(), no_columns.view());
  tessera::softmax_rows(seq, view<const float, 2>(nullptr, 0, 3), view<float, 2>(nullptr, 0, 3));
  BOOST_TEST((none.untouched() && no_columns.untouched()));
}

BOOST_AUTO_TEST_CASE(scratch_is_taken_once_and_small) {
  matrix<float> in({100, 50000});
  in.fill(normal(8));
  matrix<float> out({100, 50000});
  support::counting_resource memory;
  tessera::softmax_rows(par.threads(2).scratch(&memory), in.view(), out.view());
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.all_returned());
  BOOST_TEST(memory.bytes() < (std::size_t{2} << 18) + 1024);
  support::exhausted_resource none;
  matrix<float> untouched({100, 50000});
  BOOST_CHECK_THROW(tessera::softmax_rows(seq.scratch(&none), in.view(), untouched.view()), std::bad_alloc);
  BOOST_TEST(untouched.untouched());
}

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  matrix<float> in({4, 6}, {2});
  in.fill(normal(9));
  matrix<float> out({4, 6});
  float* const x = &in(0, 0);
  float* const y = &out(0, 0);
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(y, 4, 5)));
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(y, 3, 6)));
  CHECK_REFUSED("softmax_rows: in: ", tessera::softmax_rows(seq, view<const float, 2>(x, -4, 6), out.view()));
  CHECK_REFUSED("softmax_rows: in: ", tessera::softmax_rows(seq, view<const float, 2>(nullptr, 4, 6), out.view()));
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(nullptr, 4, 6)));
  CHECK_REFUSED("softmax_rows: in: ", tessera::softmax_rows(seq, view<const float, 2>(x, {4, 6}, {1, 4}), out.view()));
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(y, {4, 6}, {1, 4})));
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(y, {4, 6}, {0, 1})));
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(x + 1, {4, 6}, {8, 1})));
  CHECK_REFUSED("softmax_rows: out: ", tessera::softmax_rows(seq, in.view(), view<float, 2>(x, {4, 6}, {6, 1})));
  CHECK_REFUSED("softmax_rows: out: ",
                tessera::softmax_rows(seq, in.view(), view<double, 2>(reinterpret_cast<double*>(x), {4, 6}, {8, 1})));
  CHECK_REFUSED("log_softmax_rows: out: ", tessera::log_softmax_rows(seq, in.view(), view<float, 2>(y, 4, 5)));
  CHECK_REFUSED("log_softmax_rows: in: ", tessera::log_softmax_rows(seq, view<const float, 2>(nullptr, 4, 6), out.view()));
  BOOST_TEST(support::refusal([&] { tessera::softmax_rows(seq, in.view(), view<float, 2>(y, 4, 5)); }) ==
             "softmax_rows: out: shape [4, 5] beside in of shape [4, 6]; needs the same shape");
  BOOST_TEST((in.untouched() && out.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
