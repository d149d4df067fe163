// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/uniform_dense.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "laws.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::bfloat16;
using tessera::float16;
using tessera::random::uniform;
using tessera::random::uniform_dense;
namespace detail = tessera::random::detail;

using wide_types = boost::mpl::list<float, double>;
using types = boost::mpl::list<float, double, float16, bfloat16>;

BOOST_AUTO_TEST_SUITE(random_uniform_dense)

static_assert(uniform_dense<float>(0, 0, 0) == 0x1.989fa2p-2f && uniform_dense<double>(0, 0, 0) == 0x1.c2d38b1acc4fdp-1);

/// What number_at makes of a word and the further words.
template <class T, class Further>
double of_words(detail::word_of<T> w, Further further) {
  const detail::uniform_dense_law<T> law;
  return static_cast<double>(static_cast<T>(law.accepts(w) ? law(w) : law.repaired(w, further)));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, T, types) {
  using word = detail::word_of<T>;
  mixer random;
  int wrong = 0;
  // Leading zeros up to the smallest numbers and beyond, which a generator shows once in 2^149.
  for (int zeros = 0; zeros < 1200; ++zeros) {
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t salt = random();
      const auto further = [&](std::uint64_t k) {
        constexpr int bits = std::numeric_limits<word>::digits;
        mixer words;
        for (std::uint64_t skip = 0; skip <= (salt + k) % 50; ++skip) (void)words();
        const auto noise = static_cast<word>(i == 0 ? ~std::uint64_t{0} : (words() ^ salt) + k);
        const int left = zeros - bits * static_cast<int>(k < 64 ? k : 64);
        return static_cast<word>(left >= bits ? 0 : left <= 0 ? noise : noise >> left);
      };
      const word w = further(0);
      const double got = of_words<T>(w, further);
      wrong += got != tessera::reference::uniform_dense_from<T>(w, further);
      wrong += !(got > 0 && got < 1);
    }
  }
  BOOST_TEST(wrong == 0);
  for (int i = 0; i < 50000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    const auto got = static_cast<double>(uniform_dense<T>(seed, stream, index));
    wrong += got != tessera::reference::uniform_dense<T>(seed, stream, index);
    // On uniform's grid it is uniform.
    const double cells = std::ldexp(1.0, std::numeric_limits<T>::digits);
    wrong += std::floor(got * cells) / cells != static_cast<double>(uniform<T>(seed, stream, index));
  }
  BOOST_TEST(wrong == 0);
}

// All words of the upper 24 bits of float16: every number of (0, 1), each as often as its step is wide.
BOOST_AUTO_TEST_CASE(every_float16_as_often_as_its_step) {
  std::vector<int> hits(0x3C00);
  const auto further = [](std::uint64_t) { return std::uint32_t{0x80000000u}; };
  for (std::uint32_t w = 0x100; w < 0x1000000; ++w) {  // below 2^-24: drawn again
    hits[tessera::to_bits(static_cast<float16>(static_cast<float>(of_words<float16>(w << 8, further))))] += 1;
  }
  for (std::uint32_t w = 1; w < 0x100; ++w)
    hits[tessera::to_bits(static_cast<float16>(static_cast<float>(of_words<float16>(w << 8, further))))] += 1;
  int wrong = hits[0] != 0;
  for (unsigned code = 1; code < 0x3C00; ++code) {
    const int step = code < 0x800 ? 1 : 1 << (code / 0x400 - 1);  // in 2^-24
    wrong += hits[code] != step;
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(distribution, T, wide_types) {
  const auto draw = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return uniform_dense<T>(seed, stream, index);
  };
  const std::vector<double> x = drawn(400000, 3, 1, draw);
  check_moments(x, 0.5, 1.0 / 12, 1.0 / 80);
  check_probabilities(x);
  check_independence(draw);
  // Leading zeros are geometric, and the last digit of the small numbers, too, is one for half of them: uniform's is not.
  std::map<int, double> binades;
  double odd = 0;
  double small = 0;
  double odd_on_grid = 0;
  for (std::uint64_t i = 0; i < 400000; ++i) {
    const T v = uniform_dense<T>(3, 1, i);
    binades[std::ilogb(v)] += 1;
    if (v < T(0.0625)) {
      small += 1;
      odd += tessera::to_bits(v) % 2 == 1;
      odd_on_grid += tessera::to_bits(uniform<T>(3, 1, i)) % 2 == 1;
    }
  }
  for (int e = -1; e > -12; --e) {
    const double want = 400000 * std::ldexp(1.0, e);
    BOOST_TEST(std::abs(binades[e] - want) / std::sqrt(want) < 4);
  }
  BOOST_TEST(std::abs(odd - small / 2) / std::sqrt(small / 4) < 4);
  BOOST_TEST(odd_on_grid == 0);
}

BOOST_AUTO_TEST_SUITE_END()
