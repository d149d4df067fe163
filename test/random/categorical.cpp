// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/categorical.hpp"

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
#include "tessera/numeric/float16.hpp"
#include "tessera/random/alias_table.hpp"
#include "tessera/reference/random_draws.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::random::alias_cell;
using tessera::random::alias_draw;
using tessera::random::build_alias_table;
using tessera::random::categorical;
using tessera::random::categorical_of_weights;
using tessera::random::fill_alias_draws;
using tessera::random::fill_categorical;
using tessera::random::fill_categorical_of_weights;

using logit_types = boost::mpl::list<float, double, float16, bfloat16>;
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

namespace {

std::vector<double> softmax(const std::vector<double>& logits) {
  double sum = 0;
  std::vector<double> p;
  for (const double l : logits) sum += std::exp(l);
  for (const double l : logits) p.push_back(std::exp(l) / sum);
  return p;
}

template <class Draws>
double statistic(const Draws& draws, const std::vector<double>& p) {
  std::vector<std::int64_t> counts(p.size());
  for (const auto d : draws) counts.at(static_cast<std::size_t>(d)) += 1;
  return chi_square(counts, p);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random_categorical)

constexpr double three[] = {0.5, -0.25, 1.0};
static_assert(categorical(three, 3, 1, 2, 3) == 2 && categorical(three, 3, 1, 2, 11) == 0);
static_assert(categorical_of_weights(three + 2, 1, 1, 2, 4) == 0);

// A row of logits draws by argmax over the Gumbel numbers of its addresses, whatever the batch.
BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single, Logit, logit_types) {
  for (const std::size_t columns : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{127}, std::size_t{128},
                                    std::size_t{1000}, std::size_t{20001}}) {
    const std::size_t rows = 40000 / columns + 2;
    mixer random;
    std::vector<Logit> logits;
    for (std::size_t i = 0; i < rows * columns; ++i) {
      logits.push_back(static_cast<Logit>(static_cast<float>(random() % 1000) * 0.01f - 5.0f));
    }
    const std::uint64_t first = columns == 3 ? ~std::uint64_t{0} / 2 : 7;
    std::vector<std::int32_t> x(rows);
    fill_categorical(seq, view(x.data(), rows), view(logits.data(), rows, columns), 1, 2, first);
    std::size_t differing = 0;
    for (std::size_t r = 0; r < rows; r += rows > 1000 ? 11 : 1) {
      const Logit* const row = logits.data() + r * columns;
      differing += x[r] != tessera::reference::categorical(row, static_cast<std::int64_t>(columns), 1, 2, first + r);
      differing += x[r] != categorical(row, static_cast<std::int64_t>(columns), 1, 2, first + r);
    }
    BOOST_TEST(differing == 0u, columns << " columns");
    std::vector<std::int32_t> y(rows);
    fill_categorical(par.threads(3), view(y.data(), rows), view(logits.data(), rows, columns), 1, 2, first);
    BOOST_TEST(same_bits(x, y));
    fill_categorical(backwards{}, view(y.data() + 1, rows - 1), view(logits.data() + columns, rows - 1, columns), 1, 2,
                     first + 1);
    BOOST_TEST(same_bits(x, y));
    // Logits by columns, results backwards.
    std::vector<Logit> turned(rows * columns);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) turned[c * rows + r] = logits[r * columns + c];
    }
    const auto n = static_cast<std::int64_t>(rows);
    fill_categorical(seq, view<std::int32_t, 1>(y.data() + rows - 1, {n}, {-1}),
                     view<Logit, 2>(turned.data(), {n, static_cast<std::int64_t>(columns)}, {1, n}), 1, 2, first);
    for (std::size_t r = 0; r < rows; ++r) differing += x[r] != y[rows - 1 - r];
    BOOST_TEST(differing == 0u);
  }
}

BOOST_AUTO_TEST_CASE(law_of_logits) {
  constexpr std::int64_t n = 200000;
  std::uint64_t stream = 0;
  for (const std::vector<double>& logits :
       {std::vector<double>{0, 0, 0, 0}, std::vector<double>{1, -2, 3, 0.5, -infinity, 2},
        std::vector<double>{-700, -701, -infinity}, std::vector<double>{1e5, 1e5 - 3, 1e5 - 6}, std::vector<double>(100, 3.0)}) {
    std::vector<std::int64_t> x(n);
    const auto k = static_cast<std::int64_t>(logits.size());
    fill_categorical(seq, view(x.data(), n), view<const double, 2>(logits.data(), {n, k}, {0, 1}), 5, ++stream);
    std::vector<double> shifted = logits;
    double most = -infinity;
    for (const double l : logits) most = std::max(most, l);
    for (double& l : shifted) l -= most;
    BOOST_TEST(std::abs(statistic(x, softmax(shifted))) < 4);
    BOOST_TEST(std::abs(serial_correlation(std::vector<double>(x.begin(), x.end()), 1)) < 4);
  }
}

// A thousand categories of probability 1e-5 each beside one: the tail of the noise decides.
BOOST_AUTO_TEST_CASE(rare_categories) {
  constexpr std::int64_t rows = 20000;
  constexpr std::int64_t k = 1001;
  std::vector<float> logits(k, -11.5f);
  logits[500] = 0;
  std::vector<int> x(rows);
  fill_categorical(par, view(x.data(), rows), view<const float, 2>(logits.data(), {rows, k}, {0, 1}), 1, 2);
  const double q = 1000 * std::exp(-11.5);
  const double p = q / (1 + q);
  double rare = 0;
  for (const int d : x) rare += d != 500;
  BOOST_TEST(std::abs(rare - rows * p) < 4 * std::sqrt(rows * p));
}

// Logits shifted by a row's number, and noise shared by two categories, are seen.
BOOST_AUTO_TEST_CASE(faulty_samples_are_seen) {
  const std::vector<double> logits = {0.0, 0.5, -0.3};
  std::vector<std::int64_t> off;
  std::vector<std::int64_t> shared;
  const std::vector<double> wrong = {0.03, 0.5, -0.3};
  for (std::uint64_t r = 0; r < 200000; ++r) {
    off.push_back(categorical(wrong.data(), 3, 1, 2, r));
    const double g = tessera::random::gumbel<double>(1, 2, 2 * r);
    const double h = tessera::random::gumbel<double>(1, 2, 2 * r + 1);
    shared.push_back(logits[0] + h > logits[1] + g ? (logits[0] > logits[2] ? 0 : 2) : (logits[1] + g > logits[2] + h ? 1 : 2));
  }
  BOOST_TEST(statistic(off, softmax(logits)) > 4);
  BOOST_TEST(statistic(shared, softmax(logits)) > 4);
}

BOOST_AUTO_TEST_CASE(weights) {
  constexpr std::int64_t n = 200000;
  for (const std::vector<float>& w : {std::vector<float>{1, 2, 3, 4}, std::vector<float>{0, 0.5f, 0, 1e-3f, 0},
                                      std::vector<float>{7}, std::vector<float>(50, 1e-40f)}) {
    const auto k = static_cast<std::int64_t>(w.size());
    double sum = 0;
    for (const float v : w) sum += static_cast<double>(v);
    std::vector<double> p;
    for (const float v : w) p.push_back(static_cast<double>(v) / sum);
    std::vector<std::int16_t> x(n);
    fill_categorical_of_weights(par.threads(2), view(x.data(), n), view<const float, 2>(w.data(), {n, k}, {0, 1}), 3, 4, 5);
    if (k > 1) BOOST_TEST(std::abs(statistic(x, p)) < 4);
    std::size_t differing = 0;
    for (std::uint64_t r = 0; r < 1000; ++r) {
      differing += x[r] != categorical_of_weights(w.data(), k, 3, 4, 5 + r);
      differing += x[r] != tessera::reference::categorical_of_weights(w.data(), k, 3, 4, 5 + r);
    }
    BOOST_TEST(differing == 0u);

    std::vector<alias_cell> cells(w.size());
    build_alias_table(view(w.data(), k), view(cells.data(), k));
    check_fill<std::int16_t>([&](const auto& exec, const auto& out,
                                 std::uint64_t first) { fill_alias_draws(exec, out, view(cells.data(), k), 3, 5, first); },
                             [&](std::uint64_t index) { return alias_draw(cells.data(), k, 3, 5, index); });
    fill_alias_draws(seq, view(x.data(), n), view(cells.data(), k), 6, 7);
    if (k > 1) BOOST_TEST(std::abs(statistic(x, p)) < 4);
  }
}

// The table's probabilities, summed exactly: right to rounding, and 0 where the weight is 0.
BOOST_AUTO_TEST_CASE(alias_probabilities) {
  mixer random;
  for (const std::size_t n : {std::size_t{2}, std::size_t{3}, std::size_t{100}, std::size_t{5000}}) {
    std::vector<double> w;
    long double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      w.push_back(random() % 3 == 0 ? 0 : std::ldexp(static_cast<double>(random() >> 11), -static_cast<int>(random() % 60)));
      sum += static_cast<long double>(w.back());
    }
    w[0] = 1;
    sum += 1;
    std::vector<alias_cell> cells(n);
    build_alias_table(view(w.data(), n), view(cells.data(), n));
    std::vector<long double> p(n);
    for (std::size_t i = 0; i < n; ++i) {
      p[i] += std::ldexp(static_cast<long double>(cells[i].own), -64) / static_cast<long double>(n);
      p[static_cast<std::size_t>(cells[i].other)] +=
          std::ldexp(static_cast<long double>(~cells[i].own) + 1, -64) / static_cast<long double>(n);
    }
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (w[i] == 0) BOOST_TEST(cells[i].own == 0u);
      if (w[i] == 0) BOOST_TEST(static_cast<double>(p[i]) == 0);
      worst = std::max(worst, static_cast<double>(std::abs(p[i] - static_cast<long double>(w[i]) / sum)));
    }
    BOOST_TEST(worst <= static_cast<double>(n) * 0x1p-52);
  }
  // Weights that would vanish in the mean.
  const double least[] = {5e-324, 0, 5e-324};
  alias_cell cells[3];
  build_alias_table(view(least, 3), view(cells, 3));
  BOOST_TEST(cells[1].own == 0u);
}

BOOST_AUTO_TEST_CASE(never_a_category_of_weight_0) {
  // u = 0 must pass over a leading 0, u next to 1 must not reach a trailing one.
  const double w[] = {0, 1, 0, 2, 0};
  BOOST_TEST(tessera::random::detail::inverse_of_sums(w, 5, 1, 0.0) == 1);
  BOOST_TEST(tessera::random::detail::inverse_of_sums(w, 5, 1, 1 - 0x1p-53) == 3);
  const double least[] = {0, 5e-324, 0};
  BOOST_TEST(tessera::random::detail::inverse_of_sums(least, 3, 1, 1 - 0x1p-53) == 1);
  const double l[] = {-infinity, 3, -infinity};
  for (std::uint64_t r = 0; r < 1000; ++r) BOOST_TEST(categorical(l, 3, 1, 2, r) == 1);
}

BOOST_AUTO_TEST_CASE(misuse) {
  std::vector<int> x(2, 3);
  const auto logits = [&](const char* text, double bad) {
    const double l[] = {1, 2, 3, 4, bad, 6};
    CHECK_REFUSED(text, fill_categorical(seq, view(x.data(), 2), view(l, 2, 3), 1, 2));
    CHECK_REFUSED("random::categorical: logits: ", (void)categorical(l, 6, 1, 2, 3));
  };
  logits("random::fill_categorical: logits: nan at row 1, column 1; needs finite numbers or -inf", not_a_number);
  logits("random::fill_categorical: logits: inf at row 1, column 1; needs finite numbers or -inf", infinity);
  const double none[] = {1, -infinity, -infinity, -infinity};
  CHECK_REFUSED("random::fill_categorical: logits: only -inf in row 1; needs a row with a finite entry",
                fill_categorical(seq, view(x.data(), 2), view(none, 2, 2), 1, 2));
  CHECK_REFUSED("random::categorical: logits: -inf; needs a row with a finite entry", (void)categorical(none + 1, 3, 1, 2, 3));
  CHECK_REFUSED("random::categorical: logits: -inf; needs a row with a finite entry", (void)categorical(none, 0, 1, 2, 3));
  CHECK_REFUSED("random::fill_categorical: logits: shape [3, 2] beside out of [2]",
                fill_categorical(seq, view(x.data(), 2), view(none, 3, 2), 1, 2));
  CHECK_REFUSED("random::fill_categorical: logits: shape [2, 0]; needs rows",
                fill_categorical(seq, view(x.data(), 2), view(none, 2, 0), 1, 2));
  CHECK_REFUSED("random::fill_categorical: logits: null data",
                fill_categorical(seq, view(x.data(), 2), view<double, 2>(nullptr, 2, 2), 1, 2));
  CHECK_REFUSED("random::fill_categorical: out: null data",
                fill_categorical(seq, view<int, 1>(nullptr, 2), view(none, 2, 2), 1, 2));
  std::vector<float> many(129);
  std::int8_t small = 3;
  CHECK_REFUSED("random::fill_categorical: out: an element type too small for 129 categories",
                fill_categorical(seq, view(&small, 1), view(many.data(), 1, 129), 1, 2));
  for (const double bad : {-1.0, not_a_number, infinity}) {
    const double w[] = {1, bad, 3};
    CHECK_REFUSED("random::categorical_of_weights: weights: ", (void)categorical_of_weights(w, 3, 1, 2, 3));
    CHECK_REFUSED("random::fill_categorical_of_weights: weights: ",
                  fill_categorical_of_weights(seq, view(x.data(), 1), view(w, 1, 3), 1, 2));
    std::vector<alias_cell> cells(3, alias_cell{5, 5});
    CHECK_REFUSED("random::build_alias_table: weights: ", build_alias_table(view(w, 3), view(cells.data(), 3)));
    BOOST_TEST(cells[0].own == 5u);
  }
  const double zeros[] = {0, 0};
  CHECK_REFUSED("random::fill_categorical_of_weights: weights: sum 0 of row 0; needs a positive finite sum",
                fill_categorical_of_weights(seq, view(x.data(), 1), view(zeros, 1, 2), 1, 2));
  std::vector<alias_cell> cells(2);
  CHECK_REFUSED("random::build_alias_table: weights: sum 0;", build_alias_table(view(zeros, 2), view(cells.data(), 2)));
  CHECK_REFUSED("random::build_alias_table: cells: shape [1]", build_alias_table(view(three, 2), view(cells.data(), 1)));
  CHECK_REFUSED("random::fill_alias_draws: cells: ", fill_alias_draws(seq, view(x.data(), 2), view(cells.data(), 0), 1, 2));
  for (const int v : x) BOOST_TEST(v == 3);
  BOOST_TEST(small == 3);
}

BOOST_AUTO_TEST_SUITE_END()
