// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/uniform.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "statistics.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::random::uniform;
using tessera::random::uniform_block;
using tessera::random::uniform_from;
using tessera::random::uniform_open;
using tessera::random::uniform_open_block;
using tessera::random::uniform_open_from;
using tessera::random::values_per_block;

using types = boost::mpl::list<float, double, float16, bfloat16>;

template <class T>
using word = tessera::random::detail::word_of<T>;

template <class T>
constexpr double as_double(T x) {
  return static_cast<double>(x);
}

BOOST_AUTO_TEST_SUITE(random_uniform)

static_assert(values_per_block<double> == 2 && values_per_block<float> == 4 && values_per_block<float16> == 4);

// The ends of the grids, and golden values, in constant expressions.
static_assert(uniform_from<float>(0) == 0 && uniform_from<float>(~0u) == 1 - 0x1p-24f && uniform_from<float>(0x80000000) == 0.5f);
static_assert(uniform_from<double>(0) == 0 && uniform_from<double>(~0ull) == 1 - 0x1p-53);
static_assert(uniform_from<float16>(~0u).bits == 0x3bff && uniform_from<bfloat16>(~0u).bits == 0x3f7f);
static_assert(uniform_open_from<float>(0) == 0x1p-24f && uniform_open_from<float>(~0u) == 1 - 0x1p-24f);
static_assert(uniform_open_from<double>(0) == 0x1p-53 && uniform_open_from<double>(~0ull) == 1 - 0x1p-53);
static_assert(uniform<float>(0, 0, 0) == static_cast<float>(0x6627e8d5u >> 8) * 0x1p-24f);
static_assert(uniform<float>(0, 0, 3) == static_cast<float>(0x9b00dbd8u >> 8) * 0x1p-24f);
static_assert(uniform<double>(0, 0, 1) == static_cast<double>(0x9b00dbd8bc57ac4cull >> 11) * 0x1p-53);

BOOST_AUTO_TEST_CASE_TEMPLATE(every_value_is_on_the_grid, T, types) {
  constexpr int digits = std::numeric_limits<T>::digits;
  constexpr int bits = std::numeric_limits<word<T>>::digits;
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 200000; ++i) {
    const auto w = static_cast<word<T>>(i < 1000   ? static_cast<std::uint64_t>(i)
                                        : i < 2000 ? ~static_cast<std::uint64_t>(i)
                                                   : random());
    const double low = std::floor(std::ldexp(static_cast<double>(w >> (bits - digits)), 0)) * std::ldexp(1.0, -digits);
    const double middle = (2 * std::floor(static_cast<double>(w >> (bits - digits + 1))) + 1) * std::ldexp(1.0, -digits);
    const double half_open = as_double(uniform_from<T>(w));
    const double open = as_double(uniform_open_from<T>(w));
    wrong += half_open != low || !(half_open >= 0 && half_open < 1);
    wrong += open != middle || !(open > 0 && open < 1);
    // The two ends of the word are the two ends of the interval.
    wrong += as_double(uniform_open_from<T>(static_cast<word<T>>(~w))) != 1 - open;
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(all_values_of_16_bit_types_are_equally_likely) {
  std::vector<int> count16(2048);
  std::vector<int> count8(256);
  for (std::uint64_t high = 0; high < 0x10000; ++high) {
    count16[static_cast<std::size_t>(2048 * as_double(uniform_from<float16>(static_cast<std::uint32_t>(high << 16))))] += 1;
    count8[static_cast<std::size_t>(256 * as_double(uniform_from<bfloat16>(static_cast<std::uint32_t>(high << 16 | 0xFFFF))))] +=
        1;
  }
  BOOST_TEST((count16 == std::vector<int>(2048, 32)));
  BOOST_TEST((count8 == std::vector<int>(256, 256)));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference_and_the_block, T, types) {
  constexpr std::uint64_t n = values_per_block<T>;
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    const double half_open = as_double(uniform<T>(seed, stream, index));
    const double open = as_double(uniform_open<T>(seed, stream, index));
    wrong += half_open != tessera::reference::uniform<T>(seed, stream, index);
    wrong += open != tessera::reference::uniform_open<T>(seed, stream, index);
    wrong += half_open != as_double(uniform_block<T>(seed, stream, index / n)[static_cast<int>(index % n)]);
    wrong += open != as_double(uniform_open_block<T>(seed, stream, index / n)[static_cast<int>(index % n)]);
  }
  BOOST_TEST(wrong == 0);
}

template <class T>
std::vector<double> sample(std::uint64_t seed, std::uint64_t stream, std::size_t size) {
  std::vector<double> x(size);
  for (std::size_t i = 0; i < size; ++i) x[i] = as_double(uniform<T>(seed, stream, i));
  return x;
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, types) {
  const double cell = std::ldexp(1.0, -std::numeric_limits<T>::digits);
  std::vector<double> x = sample<T>(2, 3, 400000);
  for (double& v : x) v += cell / 2;  // the middle of what the grid value stands for
  BOOST_TEST(std::abs(mean_deviation(x, 0.5, 1.0 / 12)) < 4);
  std::vector<double> squares(x);
  for (double& v : squares) v = (v - 0.5) * (v - 0.5);
  BOOST_TEST(std::abs(mean_deviation(squares, 1.0 / 12 * (1 - cell * cell), 1.0 / 180)) < 4);
  BOOST_TEST(std::abs(chi_square(cells_of(x, 256))) < 4);
  if (cell < 1e-6) {  // the statistic is that of a continuous law
    const double distance = kolmogorov(x);
    BOOST_TEST(distance < 2.2);
    BOOST_TEST(distance > 0.33);
  }
  for (std::size_t lag = 1; lag <= 16; ++lag) BOOST_TEST(std::abs(serial_correlation(x, lag)) < 4.5);

  // Faults that these statistics are there to see.
  std::vector<double> bent(x);
  for (double& v : bent) v = std::pow(v, 1.02);
  BOOST_TEST(std::abs(mean_deviation(bent, 0.5, 1.0 / 12)) > 4);
  if (cell < 1e-6) BOOST_TEST(kolmogorov(bent) > 2.2);
  std::vector<double> gap(x);
  for (double& v : gap) v = v > 0.5 && v < 0.5 + 1.0 / 256 ? v + 1.0 / 256 : v;
  BOOST_TEST(std::abs(chi_square(cells_of(gap, 256))) > 4);
  std::vector<double> echo(x);
  for (std::size_t i = 7; i < x.size(); ++i) echo[i] += 0.02 * x[i - 7];
  BOOST_TEST(std::abs(serial_correlation(echo, 7)) > 4.5);
}

// Pairs and triples of neighbours fill the square and the cube evenly.
BOOST_AUTO_TEST_CASE(neighbours_are_independent) {
  const std::vector<double> x = sample<float>(5, 6, 600000);
  std::vector<std::int64_t> squares(1024);
  std::vector<std::int64_t> cubes(4096);
  const auto cell = [&](std::size_t i, int n) { return static_cast<std::size_t>(x[i] * n); };
  for (std::size_t i = 0; i + 1 < x.size(); i += 2) squares[cell(i, 32) * 32 + cell(i + 1, 32)] += 1;
  for (std::size_t i = 0; i + 2 < x.size(); i += 3) cubes[(cell(i, 16) * 16 + cell(i + 1, 16)) * 16 + cell(i + 2, 16)] += 1;
  BOOST_TEST(std::abs(chi_square(squares)) < 4);
  BOOST_TEST(std::abs(chi_square(cubes)) < 4);
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

BOOST_AUTO_TEST_SUITE_END()
