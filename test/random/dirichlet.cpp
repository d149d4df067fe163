// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/dirichlet.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/error.hpp"
#include "probabilities.hpp"
#include "shaped.hpp"
#include "statistics.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/reference/random_shapes.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::random::dirichlet;
using tessera::random::fill_dirichlet;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, bfloat16>;

namespace {
std::vector<double> alphas(std::size_t columns) {
  std::vector<double> a(columns);
  for (std::size_t c = 0; c < columns; ++c) a[c] = std::ldexp(1.0, static_cast<int>(c % 7) - 4);
  return a;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(random_dirichlet)

BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single, T, types) {
  for (const std::size_t columns : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{200}, std::size_t{9001}}) {
    const std::vector<double> a = alphas(columns);
    const std::size_t rows = columns < 1000 ? 4000 / columns + 3 : 3;
    for (const std::uint64_t first_row : {std::uint64_t{0}, std::uint64_t{77}, (std::uint64_t{1} << 63) - 1}) {
      std::vector<T> x(rows * columns);
      fill_dirichlet(seq, view(x.data(), rows, columns), view(a.data(), columns), 1, 2, first_row);
      std::vector<T> y(rows * columns);
      fill_dirichlet(par.threads(3), view(y.data(), rows, columns), view(a.data(), columns), 1, 2, first_row);
      BOOST_TEST(same_bits(x, y));
      fill_dirichlet(backwards{}, view(y.data(), rows, std::size_t{1}, columns), view(a.data(), columns), 1, 2, first_row);
      BOOST_TEST(same_bits(x, y));
      fill_dirichlet(seq, view(y.data() + columns, rows - 1, columns), view(a.data(), columns), 1, 2, first_row + 1);
      BOOST_TEST(same_bits(x, y));
      std::vector<T> turned(rows * columns);
      fill_dirichlet(seq,
                     view<T, 2>(turned.data(), {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)},
                                {1, static_cast<std::int64_t>(rows)}),
                     view(a.data(), columns), 1, 2, first_row);
      std::size_t differing = 0;
      for (std::size_t i = 0; i < x.size(); ++i) differing += !same_bits(x[i], turned[i % columns * rows + i / columns]);
      const std::size_t step = columns > 1000 ? 4000 : 1 + columns / 5;
      for (std::size_t i = 0; i < x.size(); i += step) {
        const T one = dirichlet<T>(a.data(), static_cast<std::int64_t>(columns), 1, 2, first_row + i / columns,
                                   static_cast<std::int64_t>(i % columns));
        differing += !same_bits(x[i], one);
      }
      BOOST_TEST(differing == 0u, columns << " columns");
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, wide_types) {
  const std::vector<double> a = {1e-4, 0.5, 3, 1e5, 20};
  for (std::uint64_t row = 0; row < 500; ++row) {
    const auto shares = tessera::reference::dirichlet<T, long double>(1, 2, row, {a.begin(), a.end()});
    for (std::int64_t c = 0; c < 5; ++c) {
      const auto want = static_cast<double>(shares[static_cast<std::size_t>(c)]);
      const auto got = static_cast<double>(dirichlet<T>(a.data(), 5, 1, 2, row, c));
      // 1e-4 has |log G| of thousands; the rest of the error is that of the gammas.
      BOOST_TEST(std::abs(got - want) <= (c == 0 ? 4000 : 40) * static_cast<double>(std::numeric_limits<T>::epsilon()) * want +
                                             static_cast<double>(std::numeric_limits<T>::min()));
    }
  }
}

/// Every margin is beta(alpha_c, rest), and rows sum to 1.
template <class T>
void check_margins(const std::vector<double>& a, std::size_t rows) {
  const std::size_t columns = a.size();
  std::vector<T> x(rows * columns);
  fill_dirichlet(seq, view(x.data(), rows, columns), view(a.data(), columns), 3, 4);
  double all = 0;
  for (const double v : a) all += v;
  for (std::size_t c = 0; c < columns; ++c) {
    std::vector<double> p;
    for (std::size_t r = 0; r < rows; ++r) {
      double rest = 0;
      for (std::size_t k = 0; k < columns; ++k) rest += k == c ? 0 : static_cast<double>(x[r * columns + k]);
      p.push_back(beta_probability(a[c], all - a[c], static_cast<double>(x[r * columns + c]), rest));
    }
    BOOST_TEST(kolmogorov(p) < 2.2, "column " << c);
    BOOST_TEST(std::abs(serial_correlation(p, 1)) < 4);
  }
  double worst = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += static_cast<double>(x[r * columns + c]);
    worst = std::max(worst, std::abs(sum - 1));
  }
  BOOST_TEST(worst <= static_cast<double>(columns) * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(margins, T, wide_types) {
  check_margins<T>({2, 3, 5}, 20000);
  check_margins<T>({0.5, 0.5, 1, 8, 0.7}, 20000);
  check_margins<T>({30, 30}, 20000);
}

// Covariance -a_i a_j / (A^2 (A + 1)).
BOOST_AUTO_TEST_CASE(covariance) {
  constexpr std::size_t rows = 100000;
  const double a[] = {1, 2, 3};
  std::vector<double> x(rows * 3);
  fill_dirichlet(seq, view(x.data(), rows, 3), view(a, 3), 5, 6);
  double sum = 0;
  for (std::size_t r = 0; r < rows; ++r) sum += (x[3 * r] - 1.0 / 6) * (x[3 * r + 1] - 2.0 / 6);
  BOOST_TEST(std::abs(sum / rows + 2.0 / (36 * 7)) < 0.0003);
}

// The smallest alphas: rows are never NaN and sum to 1, where gamma numbers all vanish; the winner is drawn in proportion to alpha.
BOOST_AUTO_TEST_CASE_TEMPLATE(small_alphas, T, wide_types) {
  const double a[] = {1e-4, 1e-4, 2e-4};
  constexpr std::size_t rows = 20000;
  std::vector<T> x(rows * 3);
  fill_dirichlet(seq, view(x.data(), rows, 3), view(a, 3), 5, 6);
  std::vector<std::int64_t> winners(3);
  for (std::size_t r = 0; r < rows; ++r) {
    const T sum = x[3 * r] + x[3 * r + 1] + x[3 * r + 2];
    BOOST_REQUIRE(std::abs(static_cast<double>(sum) - 1) <= static_cast<double>(std::numeric_limits<T>::epsilon()));
    for (std::size_t c = 0; c < 3; ++c) winners[c] += x[3 * r + c] > T(0.5);
  }
  winners[0] += static_cast<std::int64_t>(rows) - winners[0] - winners[1] - winners[2];
  BOOST_TEST(std::abs(chi_square(winners, {0.25, 0.25, 0.5})) < 4);
  const double least[] = {5e-324, 5e-324};
  T pair[2];
  fill_dirichlet(seq, view(pair, 2), view(least, 2), 5, 6);
  BOOST_TEST(pair[0] + pair[1] == 1);
}

BOOST_AUTO_TEST_CASE(misuse) {
  std::vector<float> x(12, 3);
  const double a[] = {1, 2, 3, 4};
  const auto refused = [&](const char* beginning, const auto& out, const auto& alpha) {
    CHECK_REFUSED(beginning, fill_dirichlet(seq, out, alpha, 1, 2));
    for (const float v : x) BOOST_TEST(v == 3);
  };
  refused("random::fill_dirichlet: alpha: shape [3]; needs one number for each", view(x.data(), 3, 4), view(a, 3));
  refused("random::fill_dirichlet: out: shape [3, 0]; needs rows of at least one element", view(x.data(), 3, 0), view(a, 0));
  refused("random::fill_dirichlet: out: null data", view<float, 2>(nullptr, 3, 4), view(a, 4));
  refused("random::fill_dirichlet: alpha: null data", view(x.data(), 3, 4), view<const double, 1>(nullptr, 4));
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const double b[] = {1, 2, bad, 4};
    refused("random::fill_dirichlet: alpha: ", view(x.data(), 3, 4), view(b, 4));
    CHECK_REFUSED("random::dirichlet: alpha: ", (void)dirichlet<float>(b, 4, 1, 2, 3, 0));
  }
  const double b[] = {1, 2, -1, 4};
  BOOST_TEST(support::refusal([&] { fill_dirichlet(seq, view(x.data(), 3, 4), view(b, 4), 1, 2); }) ==
             "random::fill_dirichlet: alpha: -1 at 2; needs positive finite numbers");
  fill_dirichlet(seq, view(x.data(), 0, 4), view(a, 4), 1, 2);
}

BOOST_AUTO_TEST_SUITE_END()
