// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Rounding by chance in bulk: the bits of the single function whatever the split, the strides and the threads; and right chances.
#include "tessera/tile/convert_stochastic.hpp"

#include <algorithm>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../support/error.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"
#include "tessera/random/stochastic_rounding.hpp"

using tessera::bfloat16;
using tessera::convert_stochastic;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::overflow;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace random_numbers = tessera::random;

namespace {

template <class Source, class Target>
struct pair {
  using in = Source;
  using out = Target;
};
using pairs =
    boost::mpl::list<pair<float, bfloat16>, pair<float, float16>, pair<float, float8_e4m3>, pair<float, float8_e5m2>,
                     pair<double, bfloat16>, pair<double, float16>, pair<bfloat16, float16>, pair<float16, float8_e5m2>>;

/// Any bits, or a number of middling size.
template <class T>
T number(std::uint64_t i) {
  const std::uint64_t random = support::bits(7, i);
  if (i % 2 == 0) return tessera::from_bits<T>(static_cast<typename tessera::format_of_t<T>::bits_type>(random >> 3));
  return static_cast<T>(static_cast<float>(support::spread(8, i, -20, 20)));
}

template <class T>
std::vector<T> numbers(std::size_t n) {
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = number<T>(i);
  return x;
}

template <class Out, class In>
std::vector<Out> converted(const std::vector<In>& in, std::uint64_t stream, std::uint64_t first, overflow how = overflow::ieee) {
  std::vector<Out> out(in.size());
  convert_stochastic(seq, view(in.data(), in.size()), view(out.data(), out.size()), 3, stream, first, {.overflow = how});
  return out;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         std::memcmp(static_cast<const void*>(a.data()), static_cast<const void*>(b.data()), a.size() * sizeof(T)) == 0;
}

/// What a narrower type than float widens to, and a double.
float wide(float x) { return x; }
double wide(double x) { return x; }
template <class Format>
float wide(tessera::small_float<Format> x) {
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_convert_stochastic)

BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single, Pair, pairs) {
  using In = typename Pair::in;
  using Out = typename Pair::out;
  constexpr std::size_t sizes[] = {1, 2, 3, 7, 8, 9, 31, 33, 63, 65, 511, 512, 513, 1200, 16383, 16385, 40000};
  for (const std::size_t n : sizes) {
    const std::vector<In> in = numbers<In>(n);
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{509}, std::uint64_t{16380},
                                      (std::uint64_t{1} << 35) - 70, ~std::uint64_t{0} - 100}) {
      const std::vector<Out> out = converted<Out>(in, 4, first);
      const std::vector<Out> held = converted<Out>(in, 4, first, overflow::saturate);
      std::size_t differing = 0;
      const std::size_t step = n > 1300 ? 7 : 1;
      for (std::size_t i = 0; i < n; i += step) {
        differing += out[i].bits != random_numbers::round_stochastic<Out>(wide(in[i]), 3, 4, first + i).bits;
        differing += held[i].bits != random_numbers::round_stochastic<Out, overflow::saturate>(wide(in[i]), 3, 4, first + i).bits;
      }
      BOOST_TEST(differing == 0u, "n " << n << ", first " << first << ": " << differing << " differ");
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(any_number_of_threads, Pair, pairs) {
  using In = typename Pair::in;
  using Out = typename Pair::out;
  const std::vector<In> in = numbers<In>(500001);
  const std::vector<Out> want = converted<Out>(in, 1, 3);
  const auto check = [&](const auto& exec) {
    std::vector<Out> out(in.size());
    convert_stochastic(exec, view(in.data(), in.size()), view(out.data(), out.size()), 3, 1, 3);
    BOOST_TEST(same_bits(out, want));
  };
  check(par.threads(3));
  check(par.on(support::one_by_one{}));
  check(par.on(support::thread_per_call{}));
}

// A range rounded in pieces, in any order, is the range rounded at once.
BOOST_AUTO_TEST_CASE_TEMPLATE(any_split, Pair, pairs) {
  using In = typename Pair::in;
  using Out = typename Pair::out;
  constexpr std::size_t n = 3000;
  const std::vector<In> in = numbers<In>(n);
  const std::vector<Out> whole = converted<Out>(in, 8, 100);
  constexpr std::size_t pieces[] = {1, 3, 64, 513, 1999};
  for (const std::size_t piece : pieces) {
    std::vector<Out> out(n);
    for (std::size_t begin = (n - 1) / piece * piece;; begin -= piece) {
      const std::size_t length = std::min(piece, n - begin);
      convert_stochastic(seq, view(in.data() + begin, length), view(out.data() + begin, length), 3, 8, 100 + begin);
      if (begin == 0) break;
    }
    BOOST_TEST(same_bits(out, whole));
  }
}

// The index is the row-major position, however the elements lie; nothing else is written.
BOOST_AUTO_TEST_CASE(shapes_and_strides) {
  constexpr std::int64_t reach = 20000;
  const std::vector<float> from = numbers<float>(2 * reach + 1);
  const auto check = [&](const auto& extents, const auto& in_strides, const auto& out_strides) {
    constexpr std::size_t rank = std::extent_v<std::remove_cvref_t<decltype(extents)>>;
    std::vector<bfloat16> to(2 * reach + 1, bfloat16(-77.0F));
    std::vector<bfloat16> want = to;
    const view<const float, rank> in(from.data() + reach, extents, in_strides);
    const view<bfloat16, rank> out(to.data() + reach, extents, out_strides);
    convert_stochastic(par.threads(2), in, out, 1, 2, 5);
    for (std::int64_t i = 0; i < out.size(); ++i) {
      std::int64_t rest = i;
      std::int64_t in_at = 0;
      std::int64_t out_at = 0;
      for (std::size_t r = rank; r-- > 0;) {
        in_at += rest % extents[r] * in_strides[r];
        out_at += rest % extents[r] * out_strides[r];
        rest /= extents[r];
      }
      want[static_cast<std::size_t>(reach + out_at)] = random_numbers::round_stochastic<bfloat16>(
          from[static_cast<std::size_t>(reach + in_at)], 1, 2, static_cast<std::uint64_t>(5 + i));
    }
    BOOST_TEST(same_bits(to, want));
  };
  using one = const std::int64_t[1];
  using two = const std::int64_t[2];
  using three = const std::int64_t[3];
  check(two{30, 41}, two{41, 1}, two{41, 1});
  check(two{30, 41}, two{50, 1}, two{47, 1});
  check(two{30, 41}, two{1, 30}, two{1, 30});
  check(two{30, 41}, two{1, 30}, two{41, 1});
  check(two{30, 41}, two{0, 1}, two{-41, 1});
  check(one{3000}, one{3}, one{1});
  check(one{3000}, one{-1}, one{-1});
  check(one{3000}, one{1}, one{2});
  check(three{5, 3, 3}, three{-1000, 9, 2}, three{9, 3, 1});
  check(three{1, 70, 1}, three{0, 2, 0}, three{7, 3, 9});
}

BOOST_AUTO_TEST_CASE(in_place) {
  for (const std::size_t n : {1u, 500u, 70001u}) {
    const std::vector<bfloat16> in = numbers<bfloat16>(n);
    const std::vector<float16> want = converted<float16>(in, 9, 0);
    std::vector<bfloat16> memory = in;
    convert_stochastic(seq, view(memory.data(), n), view(reinterpret_cast<float16*>(memory.data()), n), 3, 9);
    BOOST_TEST(std::memcmp(static_cast<const void*>(memory.data()), static_cast<const void*>(want.data()), 2 * n) == 0);
  }
}

// For every lower half of a float, the count of all 65,536 random halves that round up is the lower half itself: the mean is exact.
BOOST_AUTO_TEST_CASE(float_to_bfloat16_has_no_bias) {
  using P = tessera::simd::pack<float>;
  constexpr int both = 2 * P::lanes;
  const std::uint32_t upper_halves[] = {0x3f80, 0xc123, 0x0000, 0x8001, 0x7f7f};  // 1, a negative, subnormals, the largest
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t h = 0; h < halves.size(); ++h) halves[h] = static_cast<std::uint16_t>(h);
  std::int64_t wrong = 0;
  for (const std::uint32_t upper : upper_halves) {
    for (std::uint32_t lower = 0; lower < 65536; lower += upper == 0x3f80 ? 1 : 257) {
      const P x(tessera::from_bits<float>(upper << 16 | lower));
      bfloat16 out[both];
      std::uint32_t up = 0;
      for (std::size_t h = 0; h < halves.size(); h += both) {
        tessera::simd::store_stochastic(out, x, x, halves.data() + h);
        std::uint16_t sum = 0;
        for (const bfloat16 y : out) sum = static_cast<std::uint16_t>(sum + (y.bits - upper));
        up += sum;
      }
      wrong += up != lower;
    }
  }
  BOOST_TEST(wrong == 0);
}

// The sixteenths of a last place tell in which sixteenth of its range the random half at an address lies: each is equally likely, also
// given the one before.
BOOST_AUTO_TEST_CASE(chances_are_uniform_and_independent) {
  constexpr std::size_t n = 1 << 18;
  std::vector<int> bin(n, 0);
  for (int part = 1; part < 16; ++part) {
    const std::vector<float> in(n, 1.0F + static_cast<float>(part) * 0x1p-11F);
    const std::vector<bfloat16> out = converted<bfloat16>(in, 12, 0);
    for (std::size_t i = 0; i < n; ++i) bin[i] += out[i].bits != 0x3f80;
  }
  std::vector<double> single(16, 0.0);
  std::vector<double> serial(256, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    single[static_cast<std::size_t>(bin[i])] += 1;
    serial[static_cast<std::size_t>(16 * bin[i] + bin[(i + 1) % n])] += 1;
  }
  const auto chi_square = [](const std::vector<double>& count) {
    const double expected = static_cast<double>(n) / static_cast<double>(count.size());
    double sum = 0;
    for (const double c : count) sum += (c - expected) * (c - expected) / expected;
    return sum;
  };
  // Five standard deviations of chi-square with 15 and 255 degrees of freedom, on both sides.
  BOOST_TEST(chi_square(single) > 1.0);
  BOOST_TEST(chi_square(single) < 15 + 5 * std::sqrt(30.0));
  BOOST_TEST(chi_square(serial) > 255 - 5 * std::sqrt(510.0));
  BOOST_TEST(chi_square(serial) < 255 + 5 * std::sqrt(510.0));
}

BOOST_AUTO_TEST_CASE(beyond_the_largest_value) {
  std::vector<float> in(2000,
                        tessera::from_bits<float>(0x7f7fffff));  // all but a 65,536th of the way from the largest to infinity
  const std::vector<bfloat16> out = converted<bfloat16>(in, 0, 0);
  BOOST_TEST(std::count_if(out.begin(), out.end(), [](bfloat16 x) { return x.bits == 0x7f80; }) >= 1998);
  const std::vector<bfloat16> held = converted<bfloat16>(in, 0, 0, overflow::saturate);
  BOOST_TEST(std::all_of(held.begin(), held.end(), [](bfloat16 x) { return x.bits == 0x7f7f; }));
}

// Made outside, with rational numbers and a Philox of its own (Python); the same for every compiler, instruction set and machine.
BOOST_AUTO_TEST_CASE(golden_bits) {
  std::vector<float> in(100000);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = tessera::from_bits<float>(static_cast<std::uint32_t>(i) * 2654435761U);
  const auto hash = [](const auto& x) {
    std::uint64_t h = 14695981039346656037u;
    for (const auto& y : x) h = (h ^ y.bits) * 1099511628211u;
    return h;
  };
  BOOST_TEST(hash(converted<bfloat16>(in, 7, 3)) == 10710050592664296447u);
  BOOST_TEST(hash(converted<float16>(in, 7, 3)) == 11123415369560224541u);
  BOOST_TEST(hash(converted<float8_e4m3>(in, 7, 3)) == 10942393967955831752u);
}

BOOST_AUTO_TEST_CASE(misuse) {
  std::vector<float> x(100, 1.0F);
  std::vector<float16> y(100, float16(7.0F));
  const view<const float, 1> in(x.data(), 50);
  const auto round = [&](const auto& from, const auto& to) { convert_stochastic(par, from, to, 1, 2); };
  CHECK_REFUSED("convert_stochastic: out: shape [40] for in of shape [50]; needs the shape of in", round(in, view(y.data(), 40)));
  CHECK_REFUSED("convert_stochastic: in: null data", round(view<const float, 1>(nullptr, 5), view(y.data(), 5)));
  CHECK_REFUSED("convert_stochastic: out: null data", round(in, view<float16, 1>(nullptr, 50)));
  CHECK_REFUSED("convert_stochastic: out: stride 0", round(in, view<float16, 1>(y.data(), {50}, {0})));
  CHECK_REFUSED("convert_stochastic: in: shape [-1]", round(view<const float, 1>(x.data(), -1), view(y.data(), -1)));
  void* const raw = x.data();
  CHECK_REFUSED("convert_stochastic: out: overlaps in", round(in, view(static_cast<float16*>(raw), 50)));
  BOOST_TEST((x == std::vector<float>(100, 1.0F)));
  BOOST_TEST(std::all_of(y.begin(), y.end(), [](float16 v) { return static_cast<float>(v) == 7.0F; }));
  float16 untouched(3.0F);
  round(view<const float, 2>(nullptr, 0, 5), view(&untouched, 0, 5));
  BOOST_TEST(static_cast<float>(untouched) == 3.0F);
}

BOOST_AUTO_TEST_SUITE_END()
