// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Every distribution's fill is its single values; what fills have in common is in fill.cpp.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "laws.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random.hpp"

using random_test::error_of;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace numbers = tessera::random;

using types = boost::mpl::list<float, double, float16, bfloat16>;

namespace {

constexpr float infinite = std::numeric_limits<float>::infinity();

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// fill(exec, view, seed, stream, first) against one(seed, stream, index), from a single number to several chunks, across the end of the
/// index and of a group, by rows, and with threads.
template <class T, class Fill, class One>
void check_fill(Fill fill, One one) {
  const auto wanted = [&](std::size_t n, std::uint64_t first) {
    std::vector<T> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<T>(one(std::uint64_t{11}, std::uint64_t{22}, first + i));
    return x;
  };
  for (const std::size_t n : {std::size_t{1}, std::size_t{12}, std::size_t{13}, std::size_t{257}, std::size_t{1000}}) {
    for (const std::uint64_t first :
         {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{8190}, (std::uint64_t{1} << 34) - 70, ~std::uint64_t{0} - 100}) {
      std::vector<T> x(n);
      fill(seq, view(x.data(), n), 11, 22, first);
      BOOST_TEST(same_bits(x, wanted(n, first)), "n " << n << ", first " << first);
    }
  }
  constexpr std::size_t many = 17000;
  std::vector<T> x(many);
  fill(par.threads(3), view(x.data(), many), 11, 22, 5);
  BOOST_TEST(same_bits(x, wanted(many, 5)));
  std::vector<T> rows(30 * 50, static_cast<T>(1));
  fill(seq, view<T, 2>(rows.data(), {30, 40}, {50, 1}), 11, 22, 0);
  const std::vector<T> want = wanted(30 * 40, 0);
  std::size_t differing = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const T expected = i % 50 < 40 ? want[i / 50 * 40 + i % 50] : static_cast<T>(1);
    differing += std::memcmp(&rows[i], &expected, sizeof(T)) != 0;
  }
  BOOST_TEST(differing == 0u);
}

}  // namespace

// name(parameters…, seed, stream, index) beside fill_name(exec, out, parameters…, seed, stream, first).
#define CHECK_FILL(T, name, ...)                                                                                              \
  check_fill<T>([](const auto& exec, const auto& out, std::uint64_t seed, std::uint64_t stream,                               \
                   std::uint64_t first) { numbers::fill_##name(exec, out __VA_OPT__(, ) __VA_ARGS__, seed, stream, first); }, \
                [](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {                                           \
                  return numbers::name<T>(__VA_ARGS__ __VA_OPT__(, ) seed, stream, index);                                    \
                })

BOOST_AUTO_TEST_SUITE(random_fill_laws)

BOOST_AUTO_TEST_CASE_TEMPLATE(uniforms, T, types) {
  CHECK_FILL(T, uniform);
  CHECK_FILL(T, uniform, -1, 3);
  CHECK_FILL(T, uniform_open);
  CHECK_FILL(T, uniform_dense);
}
BOOST_AUTO_TEST_CASE_TEMPLATE(normals, T, types) {
  CHECK_FILL(T, normal);
  CHECK_FILL(T, normal, -3, 0.25f);
}
BOOST_AUTO_TEST_CASE_TEMPLATE(truncated_normals, T, types) {
  CHECK_FILL(T, truncated_normal, -2, 2);
  CHECK_FILL(T, truncated_normal, -infinite, -8);
  CHECK_FILL(T, truncated_normal, 0.5f, 1);
}
BOOST_AUTO_TEST_CASE_TEMPLATE(with_logarithms, T, types) {
  CHECK_FILL(T, exponential, 3);
  CHECK_FILL(T, gumbel);
  CHECK_FILL(T, gumbel, 2, 3);
  CHECK_FILL(T, logistic);
  CHECK_FILL(T, logistic, 2, 3);
  CHECK_FILL(T, laplace);
  CHECK_FILL(T, laplace, 2, 3);
}

BOOST_AUTO_TEST_CASE(words) {
  CHECK_FILL(std::uint32_t, bits);
  CHECK_FILL(std::uint64_t, bits);
}

// Ranges that refuse nothing, a word now and then, and nearly half of all.
BOOST_AUTO_TEST_CASE(integers) {
  CHECK_FILL(std::int32_t, uniform_int, -5, 1000);
  CHECK_FILL(std::uint8_t, uniform_int, 3, 200);
  CHECK_FILL(std::uint32_t, uniform_int, 0, (1u << 31));
  CHECK_FILL(std::int32_t, uniform_int, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max());
  CHECK_FILL(std::int64_t, uniform_int, -5, 1000);
  CHECK_FILL(std::uint64_t, uniform_int, 0, (std::uint64_t{3} << 62));
}

template <class T>
void check_bernoulli() {
  for (const double p : {0.0, 0.3, 1.0}) {
    check_fill<T>([p](const auto& exec, const auto& out, std::uint64_t seed, std::uint64_t stream,
                      std::uint64_t first) { numbers::fill_bernoulli(exec, out, p, seed, stream, first); },
                  [p](std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
                    return numbers::bernoulli(p, seed, stream, index) ? 1.0f : 0.0f;
                  });
  }
}
BOOST_AUTO_TEST_CASE(trials) {
  check_bernoulli<std::uint8_t>();
  check_bernoulli<std::int64_t>();
  check_bernoulli<float>();
  check_bernoulli<double>();
  check_bernoulli<float16>();
  constexpr std::size_t n = 1000;
  bool x[n];
  numbers::fill_bernoulli(seq, view(x, n), 0.3, 1, 2);
  int wrong = 0;
  for (std::uint64_t i = 0; i < n; ++i) wrong += x[i] != numbers::bernoulli(0.3, 1, 2, i);
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(misuse) {
  std::vector<float> x(20, 3);
  std::vector<int> k(20, 3);
  const view<float, 1> out(x.data(), 20);
  const view<int, 1> whole(k.data(), 20);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto starts = [](auto f, const char* text) {
    const std::string error = error_of(f);
    BOOST_TEST(error.starts_with(text), error);
  };
  starts([&] { numbers::fill_uniform(seq, out, 1, 1, 1, 2); }, "random::fill_uniform: high: 1; needs a number above low");
  starts([&] { numbers::fill_uniform(seq, out, nan, 1, 1, 2); }, "random::fill_uniform: low: nan; needs a finite number");
  starts([&] { numbers::fill_normal(seq, out, 0, -1, 1, 2); },
         "random::fill_normal: stddev: -1; needs a finite number of at least 0");
  starts([&] { numbers::fill_normal(seq, out, 0, nan, 1, 2); }, "random::fill_normal: stddev: nan; needs");
  starts([&] { numbers::fill_normal(seq, out, nan, 1, 1, 2); }, "random::fill_normal: mean: nan; needs a finite number");
  starts([&] { numbers::fill_truncated_normal(seq, out, 2, 1, 1, 2); },
         "random::fill_truncated_normal: high: 1; needs a number above low");
  starts([&] { numbers::fill_exponential(seq, out, -1, 1, 2); },
         "random::fill_exponential: rate: -1; needs a finite number above 0");
  starts([&] { numbers::fill_gumbel(seq, out, 0, -1, 1, 2); }, "random::fill_gumbel: scale: -1; needs");
  starts([&] { numbers::fill_logistic(seq, out, nan, 1, 1, 2); }, "random::fill_logistic: loc: nan; needs");
  starts([&] { numbers::fill_laplace(seq, out, 0, nan, 1, 2); }, "random::fill_laplace: scale: nan; needs");
  starts([&] { numbers::fill_bernoulli(seq, out, 1.5, 1, 2); }, "random::fill_bernoulli: p: 1.5; needs a probability");
  starts([&] { numbers::fill_uniform_int(seq, whole, 3, 2, 1, 2); }, "random::fill_uniform_int: high: 2 below low 3; needs");
  starts([&] { numbers::fill_gumbel(seq, view<float, 1>(nullptr, 5), 1, 2); }, "random::fill_gumbel: out: null data");
  BOOST_TEST((x == std::vector<float>(20, 3)));
  BOOST_TEST((k == std::vector<int>(20, 3)));
  BOOST_TEST(error_of([] { (void)numbers::normal<float>(0, -1, 1, 2, 3); }) ==
             "random::normal: stddev: -1; needs a finite number of at least 0");
}

BOOST_AUTO_TEST_SUITE_END()
