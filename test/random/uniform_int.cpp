// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/uniform_int.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "laws.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::random::uniform_int;
namespace detail = tessera::random::detail;

using types = boost::mpl::list<std::int8_t, std::uint8_t, std::int16_t, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t>;

BOOST_AUTO_TEST_SUITE(random_uniform_int)

static_assert(uniform_int<int>(-5, 1000, 0, 0, 0) == 396);                  // -5 + floor(0.39904 * 1006)
static_assert(uniform_int<std::int64_t>(-5, 1000, 0, 0, 0) == 880);         // -5 + floor(0.88052 * 1006)
static_assert(uniform_int<std::uint32_t>(0, ~0u, 0, 0, 1) == 0xe169c58du);  // every word is in the range
static_assert(uniform_int<int>(7, 7, 1, 2, 3) == 7);

BOOST_AUTO_TEST_CASE(whole_products) {
  __extension__ using wide = unsigned __int128;
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t a = i % 3 == 0 ? ~(random() >> (i % 64)) : random() >> (i % 64);
    const std::uint64_t b = i % 5 == 0 ? ~(random() >> (i % 61)) : random();
    const auto got = detail::whole_product(a, b);
    const wide want = static_cast<wide>(a) * b;
    wrong += got.low != static_cast<std::uint64_t>(want) || got.high != static_cast<std::uint64_t>(want >> 64);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(equals_the_reference, Integer, types) {
  constexpr Integer least = std::numeric_limits<Integer>::min();
  constexpr Integer most = std::numeric_limits<Integer>::max();
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = random();
    auto low = static_cast<Integer>(random());
    auto high = static_cast<Integer>(random());
    if (i % 3 == 0) high = static_cast<Integer>(low + static_cast<Integer>(random() % 100));
    if (i % 7 == 0) low = least;
    if (i % 11 == 0) high = most;
    if (low > high) std::swap(low, high);
    const Integer got = uniform_int<Integer>(low, high, seed, stream, index);
    wrong += got != tessera::reference::uniform_int<Integer>(low, high, seed, stream, index);
    wrong += got < low || got > high;
  }
  BOOST_TEST(wrong == 0);
}

// Over all words of a range, every value that the law keeps comes equally often: counted for words of 32 bits where counts are known,
// from the first and the last accepted word of each value.
BOOST_AUTO_TEST_CASE(every_value_has_as_many_words) {
  for (const std::uint32_t count : {1u, 2u, 3u, 6u, 10u, 1000u, 4096u, 65537u}) {
    const detail::uniform_int_law<std::uint32_t> law(0, count - 1);
    int wrong = 0;
    const std::uint64_t want = 0x100000000u / count;
    for (std::uint32_t v = 0; v < count; v += count / 100 + 1) {
      const std::uint64_t begin = (static_cast<std::uint64_t>(v) * 0x100000000u + count - 1) / count;
      const std::uint64_t end = (static_cast<std::uint64_t>(v + 1) * 0x100000000u + count - 1) / count;
      std::uint64_t kept = end - begin;
      for (const std::uint64_t at : {begin, begin + 1, end - 2, end - 1}) {  // refusals sit at the begin
        if (at >= begin && at < end && law(static_cast<std::uint32_t>(at)) != v) ++wrong;
      }
      for (std::uint64_t at = begin; at < end && !law.accepts(static_cast<std::uint32_t>(at)); ++at) --kept;
      wrong += kept != want;
    }
    BOOST_TEST(wrong == 0, "count " << count);
  }
}

BOOST_AUTO_TEST_CASE(distribution) {
  // 3 2^30 values: a modulus would give the lower third twice as often.
  const std::uint32_t last = 3u * (1u << 30) - 1;
  const auto draw = [&](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return uniform_int<std::uint32_t>(0, last, seed, stream, index);
  };
  const std::vector<double> x = drawn(300000, 3, 1, draw);
  const std::vector<double> p = mapped(x, [&](double v) { return (v + 0.5) / (static_cast<double>(last) + 1); });
  check_probabilities(p);
  check_independence(draw);
  std::vector<double> modulo(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) {
    modulo[i] = static_cast<double>(tessera::reference::random_word<float>(3, 1, i) % (std::uint64_t{last} + 1)) /
                (static_cast<double>(last) + 1);
  }
  BOOST_TEST(kolmogorov(modulo) > 2.2);
  const auto die = [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return uniform_int<std::int64_t>(1, 6, seed, stream, index);
  };
  std::vector<std::int64_t> faces(6);
  for (std::uint64_t i = 0; i < 600000; ++i) faces[static_cast<std::size_t>(die(1, 1, i) - 1)] += 1;
  double squares = 0;
  for (const std::int64_t f : faces) squares += std::pow(static_cast<double>(f) - 1e5, 2) / 1e5;
  BOOST_TEST(squares < 25.7);  // 5 degrees of freedom: once in 10,000
  BOOST_TEST(squares > 0.1);
  check_independence(die);
}

BOOST_AUTO_TEST_CASE(misuse) {
  BOOST_TEST(error_of([] { (void)uniform_int<int>(3, 2, 1, 2, 3); }) ==
             "random::uniform_int: high: 2 below low 3; needs a range that is not empty");
  BOOST_TEST(error_of([] { (void)uniform_int<std::uint64_t>(~0ull, 0, 1, 2, 3); }) ==
             "random::uniform_int: high: 0 below low 18446744073709551615; needs a range that is not empty");
  BOOST_TEST(error_of([] { (void)uniform_int<std::int8_t>(1, -1, 1, 2, 3); }) ==
             "random::uniform_int: high: -1 below low 1; needs a range that is not empty");
}

BOOST_AUTO_TEST_SUITE_END()
