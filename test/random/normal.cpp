// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/normal.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "statistics.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/ulp.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::random::normal;
using tessera::random::normal_block;
using tessera::random::values_per_block;
namespace detail = tessera::random::detail;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16, bfloat16>;

// Radius and direction of float, and the product's own rounding, in units of 2^-24 relative to the value; those of double in 2^-53.
constexpr double radius_bound = 1.99;
constexpr double direction_bound = 1.83;
constexpr double value_bound = 5;
static_assert(radius_bound + direction_bound + 1 < value_bound);

BOOST_AUTO_TEST_SUITE(random_normal)

// Golden values: computed in the compiler, where fused multiply-add is emulated, they fix the bits for every machine.
static_assert(normal<float>(0, 0, 0) == 0x1.fb7662p-1f && normal<double>(0, 0, 0) == -0x1.973628c131c06p-2);
static_assert(normal<float>(1, 2, 3) == 0x1.a25512p-2f && normal<double>(1, 2, 3) == 0x1.8292ad3d6a207p-3);
static_assert(normal<float>(42, 0, 1000001) == -0x1.481a6ap-7f && normal<double>(42, 0, 1000001) == 0x1.37293a3132fe7p-2);

BOOST_AUTO_TEST_CASE(golden_values_at_run_time) {
  volatile std::uint64_t all = ~std::uint64_t{0};  // volatile: the compiler must not do this in advance
  BOOST_TEST(normal<float>(all, all, all) == 0x1.3062bep+0f);
  BOOST_TEST(normal<double>(all, all, all) == 0x1.6ca465b3cd8dep-2);
  volatile std::uint64_t at = 42;
  BOOST_TEST(normal<float>(at, 0, 1000001) == -0x1.481a6ap-7f);
  BOOST_TEST(normal<double>(at, 0, 1000001) == 0x1.37293a3132fe7p-2);
}

/// Error of the radius of words (a, b), and of the direction of b.
double radius_error(std::uint32_t a, std::uint32_t b) {
  const double want = a >= 0x10000 ? tessera::reference::normal_radius<double>(a | 1, 32)
                                   : tessera::reference::normal_radius<double>((std::uint64_t{a} << 16 | (b & 0xFFFF)) | 1, 48);
  return relative_error(detail::normal_radius(a, b), want);
}
double direction_error(std::uint32_t b) {
  const auto want = tessera::reference::normal_direction<double>(b, 32);
  const auto got = detail::normal_direction(b);
  return std::max(relative_error(got.cosine, want[0]), relative_error(got.sine, want[1]));
}
double radius_error(std::uint64_t a) {
  return relative_error(detail::normal_radius(a, a), tessera::reference::normal_radius<long double>(a | 1, 64));
}
double direction_error(std::uint64_t b) {
  const auto want = tessera::reference::normal_direction<long double>(b, 64);
  const auto got = detail::normal_direction(b);
  return std::max(relative_error(got.cosine, want[0]), relative_error(got.sine, want[1]));
}

/// Sweeps every `step`-th radius and direction of float, from `from`.
void sweep_float(std::uint64_t from, std::uint64_t step) {
  double radius = 0;
  double deep = 0;
  double direction = 0;
  for (std::uint64_t w = from; w >> 32 == 0; w += step) {
    const auto word = static_cast<std::uint32_t>(w);
    if (word >= 0x10000) radius = std::max(radius, radius_error(word, 0));
    deep = std::max(deep, radius_error(word >> 16, word));
    direction = std::max(direction, direction_error(word));
  }
  BOOST_TEST(radius < radius_bound);
  BOOST_TEST(deep < radius_bound);
  BOOST_TEST(direction < direction_bound);
  BOOST_TEST(radius > 1);  // neither is correctly rounded, so a sweep that sees nothing is broken
  BOOST_TEST(direction > 1);
}

BOOST_AUTO_TEST_CASE(float_radius_and_direction) { sweep_float(17, 6151); }

// Odd words are all there are: a and a | 1 have one radius, b and ~b are mirror images (see symmetry).
BOOST_AUTO_TEST_CASE(float_radius_and_direction_whole, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  sweep_float(1, 2);
}

// Words at which something changes: ends, powers of two, the limits of the reduced logarithm, quarter and half quarter turns.
BOOST_AUTO_TEST_CASE(adversarial_words) {
  std::vector<std::uint64_t> words;
  for (int bit = 0; bit < 64; ++bit) {
    const auto root_half = static_cast<std::uint64_t>(std::ldexp(std::sqrt(0.5L), bit));
    for (const std::uint64_t at : {std::uint64_t{1} << bit, root_half, std::uint64_t{3} << bit, std::uint64_t{5} << bit}) {
      for (std::uint64_t d = 0; d < 40; ++d) {
        for (const std::uint64_t w : {at + d, at - d}) words.insert(words.end(), {w, ~w});
      }
    }
  }
  double radius = 0;
  double direction = 0;
  double wide_radius = 0;
  double wide_direction = 0;
  for (const std::uint64_t w : words) {
    const auto word = static_cast<std::uint32_t>(w);
    radius = std::max({radius, radius_error(word, 0), radius_error(word, word), radius_error(word >> 16, word)});
    direction = std::max(direction, direction_error(word));
    wide_radius = std::max(wide_radius, radius_error(w));
    wide_direction = std::max(wide_direction, direction_error(w));
  }
  BOOST_TEST(radius < radius_bound);
  BOOST_TEST(direction < direction_bound);
  BOOST_TEST(wide_radius < radius_bound);
  BOOST_TEST(wide_direction < direction_bound);
}

BOOST_AUTO_TEST_CASE(double_radius_and_direction) {
  mixer random;
  double radius = 0;
  double direction = 0;
  for (int i = 0; i < 300000; ++i) {
    const std::uint64_t w = random();
    const int shift = i % 4 == 0 ? static_cast<int>(random() % 64) : 0;
    radius = std::max({radius, radius_error(w >> shift), radius_error(~(w >> shift))});
    direction = std::max(direction, direction_error(w >> shift));
  }
  BOOST_TEST(radius < radius_bound);
  BOOST_TEST(direction < direction_bound);
  BOOST_TEST(radius > 1);
  BOOST_TEST(direction > 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, wide_types) {
  mixer random;
  double worst = 0;
  double worst_ulp = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    const T got = normal<T>(seed, stream, index);
    worst = std::max(worst, relative_error(got, tessera::reference::normal<T, long double>(seed, stream, index)));
    worst_ulp = std::max(worst_ulp, tessera::ulp_error(got, tessera::reference::normal<T>(seed, stream, index)));
  }
  BOOST_TEST(worst < value_bound);
  BOOST_TEST(worst_ulp < (std::is_same_v<T, float> ? 4.0 : 5.0));  // the float64 reference adds an ulp of its own to double
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_block, T, types) {
  constexpr std::uint64_t n = values_per_block<T>;
  using wide = detail::made_as<T>;
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random();
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    const T one = normal<T>(seed, stream, index);
    const T of_block = normal_block<T>(seed, stream, index / n)[static_cast<int>(index % n)];
    const T rounded = static_cast<T>(normal<wide>(seed, stream, index));
    wrong += static_cast<wide>(one) != static_cast<wide>(of_block) || static_cast<wide>(one) != static_cast<wide>(rounded);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(range) {
  BOOST_TEST(detail::normal_radius(0u, 0u) == static_cast<float>(std::sqrt(96 * std::log(2.0))),
             boost::test_tools::tolerance(1e-6f));
  BOOST_TEST(detail::normal_radius(0u, 0u) < 8.16f);
  BOOST_TEST(detail::normal_radius(std::uint64_t{0}, std::uint64_t{0}) < 9.42);
  BOOST_TEST(detail::normal_radius(std::uint64_t{0}, std::uint64_t{0}) > 9.41);
  BOOST_TEST(detail::normal_radius(~0u, 0u) > 0);
  BOOST_TEST(detail::normal_radius(~std::uint64_t{0}, std::uint64_t{0}) > 0);
  // The radius falls as its word grows, across the change to 48 bits too.
  BOOST_TEST(detail::normal_radius(0x10000u, 0u) < detail::normal_radius(0xFFFFu, 0xFFFFu));
  BOOST_TEST(detail::normal_radius(0x1FFFFu, 0u) < detail::normal_radius(0x10001u, 0u));
  BOOST_TEST(detail::normal_radius(0u, 0xFFFFu) < detail::normal_radius(0u, 0x7FFFu));
  for (std::uint32_t quarter = 0; quarter < 4; ++quarter) {
    for (std::uint32_t d = 0; d < 3; ++d) {
      const auto at = detail::normal_direction((quarter << 30) + d - 1);
      BOOST_TEST(at.cosine != 0.0f);
      BOOST_TEST(at.sine != 0.0f);
    }
  }
}

// (a, b) and (a, ~b) are mirror images, as are the four quarters: the law is symmetric to the last bit.
BOOST_AUTO_TEST_CASE(symmetry) {
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t wide = random();
    const auto word = static_cast<std::uint32_t>(wide);
    const auto p = detail::normal_direction(word);
    const auto mirrored = detail::normal_direction(~word);
    const auto opposite = detail::normal_direction(word + 0x80000000u);
    const auto next = detail::normal_direction(word + 0x40000000u);
    wrong += mirrored.cosine != p.cosine || mirrored.sine != -p.sine || opposite.cosine != -p.cosine || opposite.sine != -p.sine;
    wrong += next.cosine != -p.sine || next.sine != p.cosine;
    const auto q = detail::normal_direction(wide);
    const auto wide_next = detail::normal_direction(wide + 0x4000000000000000u);
    wrong += wide_next.cosine != -q.sine || wide_next.sine != q.cosine || detail::normal_direction(~wide).sine != -q.sine;
  }
  BOOST_TEST(wrong == 0);
}

template <class T>
std::vector<double> sample(std::uint64_t seed, std::uint64_t stream, std::size_t size) {
  std::vector<double> x(size);
  constexpr std::size_t n = values_per_block<T>;
  for (std::size_t i = 0; i < size; ++i)
    x[i] = static_cast<double>(normal_block<T>(seed, stream, i / n)[static_cast<int>(i % n)]);
  return x;
}

template <class F>
std::vector<double> mapped(const std::vector<double>& x, F f) {
  std::vector<double> y(x);
  for (double& v : y) v = f(v);
  return y;
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const std::vector<double> x = sample<T>(3, 1, 1000000);
  // E x^k and Var x^k of the standard normal.
  const auto moment = [&](int k, double mean, double variance) {
    return mean_deviation(mapped(x, [&](double v) { return std::pow(v, k); }), mean, variance);
  };
  BOOST_TEST(std::abs(moment(1, 0, 1)) < 4);
  BOOST_TEST(std::abs(moment(2, 1, 2)) < 4);
  BOOST_TEST(std::abs(moment(3, 0, 15)) < 4);
  BOOST_TEST(std::abs(moment(4, 3, 96)) < 4);
  BOOST_TEST(std::abs(moment(5, 0, 945)) < 4);
  BOOST_TEST(std::abs(moment(6, 15, 10170)) < 4);

  const std::vector<double> p = mapped(x, normal_probability);
  BOOST_TEST(kolmogorov(p) < 2.2);
  BOOST_TEST(kolmogorov(p) > 0.33);
  BOOST_TEST(std::abs(chi_square(cells_of(p, 1000))) < 4);
  // Even and odd indices come from different functions.
  for (std::size_t parity = 0; parity < 2; ++parity) {
    std::vector<double> half;
    for (std::size_t i = parity; i < p.size(); i += 2) half.push_back(p[i]);
    BOOST_TEST(kolmogorov(half) < 2.2);
    BOOST_TEST(std::abs(chi_square(cells_of(half, 1000))) < 4);
  }
  for (const double limit : {2.0, 3.0, 4.0}) {
    const double expected = 1e6 * 2 * normal_probability(-limit);
    double beyond = 0;
    for (const double v : x) beyond += std::abs(v) > limit;
    BOOST_TEST(std::abs(beyond - expected) / std::sqrt(expected) < 4);
  }

  // Faults that these statistics are there to see: half a percent of scale, a hundredth of skew, a cut tail.
  BOOST_TEST(kolmogorov(mapped(x, [](double v) { return normal_probability(1.01 * v); })) > 2.2);
  BOOST_TEST(std::abs(mean_deviation(mapped(x, [](double v) { return 1.005 * 1.005 * v * v; }), 1, 2)) > 4);
  BOOST_TEST(std::abs(mean_deviation(mapped(x, [](double v) { return std::pow(v + 0.005 * v * v, 3); }), 0, 15)) > 4);
  BOOST_TEST(std::abs(mean_deviation(mapped(x, [](double v) { return std::abs(v) > 3.5 ? 15.0 : std::pow(v, 6); }), 15, 10170)) >
             4);
  const auto rough = mapped(p, [](double v) { return v > 0.2 && v < 0.2005 ? v + 0.001 : v; });
  BOOST_TEST(std::abs(chi_square(cells_of(rough, 1000))) > 4);
}

// Far beyond what a sample of millions reaches: the words themselves, all radii beyond r together have probability exp(-r^2/2).
BOOST_AUTO_TEST_CASE(tail) {
  for (const float r : {5.0f, 5.5f, 6.0f, 6.5f, 7.0f, 7.5f, 8.0f}) {
    // The largest 48-bit word whose radius is beyond r, by bisection.
    std::uint64_t low = 0;
    std::uint64_t high = std::uint64_t{1} << 48;
    while (high - low > 1) {
      const std::uint64_t middle = (low + high) / 2;
      const bool beyond =
          detail::normal_radius(static_cast<std::uint32_t>(middle >> 16), static_cast<std::uint32_t>(middle & 0xFFFF)) > r;
      (beyond ? low : high) = middle;
    }
    const double probability = std::ldexp(static_cast<double>(high), -48);
    const double want = std::exp(-0.5 * static_cast<double>(r) * static_cast<double>(r));
    BOOST_TEST(std::abs(probability / want - 1) < 1e-4 + 0x1p-47 / want);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(neighbours_are_independent, T, wide_types) {
  const std::vector<double> x = sample<T>(8, 4, 1000000);
  const auto magnitude = mapped(x, [](double v) { return std::abs(v); });
  const auto square = mapped(x, [](double v) { return v * v; });
  double worst = 0;
  for (std::size_t lag = 1; lag <= 16; ++lag) {
    for (const auto* y : {&x, &magnitude, &square}) worst = std::max(worst, std::abs(serial_correlation(*y, lag)));
  }
  BOOST_TEST(worst < 4.5);

  // The two values of a pair: their quarter turn and their radius, on a grid of equal cells.
  std::vector<std::int64_t> cells(32 * 32);
  std::vector<std::int64_t> squares(32 * 32);
  for (std::size_t i = 0; i + 1 < x.size(); i += 2) {
    const double angle = std::atan2(x[i + 1], x[i]) / (2 * std::acos(-1.0)) + 0.5;
    const double radius = std::exp(-0.5 * (square[i] + square[i + 1]));
    const auto at = [](double v) { return std::min(static_cast<std::size_t>(v * 32), std::size_t{31}); };
    cells[at(angle) * 32 + at(radius)] += 1;
    squares[at(normal_probability(x[i])) * 32 + at(normal_probability(x[i + 1]))] += 1;
  }
  BOOST_TEST(std::abs(chi_square(cells)) < 4);
  BOOST_TEST(std::abs(chi_square(squares)) < 4);

  std::vector<double> echo(x);
  for (std::size_t i = 5; i < x.size(); ++i) echo[i] += 0.01 * x[i - 5];
  BOOST_TEST(std::abs(serial_correlation(echo, 5)) > 4.5);
  // Uncorrelated, and yet one value's size tells the other's.
  std::vector<double> wave(x);
  for (std::size_t i = 1; i < x.size(); ++i) wave[i] *= 1 + 0.02 * magnitude[i - 1];
  BOOST_TEST(std::abs(serial_correlation(mapped(wave, [](double v) { return std::abs(v); }), 1)) > 4.5);
}

BOOST_AUTO_TEST_CASE(streams_and_seeds_are_independent) {
  constexpr std::size_t n = 100000;
  const std::vector<double> x = sample<float>(1, 0, n);
  double worst = 0;
  for (int bit = 0; bit < 64; bit += 7) {
    worst = std::max(worst, std::abs(correlation(x.data(), sample<float>(1, std::uint64_t{1} << bit, n).data(), n)));
    worst = std::max(worst, std::abs(correlation(x.data(), sample<float>(1 ^ std::uint64_t{1} << (63 - bit), 0, n).data(), n)));
  }
  BOOST_TEST(worst < 4.5);
  BOOST_TEST(correlation(x.data(), sample<float>(1, 0, n).data(), n) > 4.5);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(mean_and_deviation, T, types) {
  using value = detail::made_as<T>;
  int wrong = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const auto z = static_cast<double>(normal<value>(1, 2, i));
    const auto x = static_cast<double>(normal<T>(-3, value(0.25), 1, 2, i));
    // One rounding in the type of the sum, and one to T: each half of a step of a number below 4.
    const double step = std::ldexp(4.0, -std::numeric_limits<value>::digits) +
                        (sizeof(T) == 2 ? std::ldexp(4.0, -std::numeric_limits<T>::digits) : 0);
    wrong += std::abs(x - (0.25 * z - 3)) > 0.5 * step * (std::abs(x) > 4 ? 2 : 1);
    wrong += static_cast<double>(normal<T>(0, 1, 1, 2, i)) != static_cast<double>(normal<T>(1, 2, i));
    wrong += static_cast<double>(normal<T>(7, 0, 1, 2, i)) != 7;
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
