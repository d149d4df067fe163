// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// One pass over gradients against one number after the other: what is written, counted, summed and found.
#include "tessera/training/unscale.hpp"

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
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

namespace training = tessera::training;
using support::array;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::view;
using training::gradient_report;
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Tensors of these sizes.
template <class T>
struct list {
  std::vector<array<T, 1>> tensors;

  explicit list(const std::vector<std::int64_t>& sizes) {
    for (const std::int64_t n : sizes) tensors.emplace_back(std::array<std::int64_t, 1>{n});
  }
  template <class F>
  void fill(const F& f) {
    for (std::size_t t = 0; t < tensors.size(); ++t) tensors[t].fill([&](std::uint64_t i) { return f(t, i); });
  }
  std::vector<view<T, 1>> views() {
    std::vector<view<T, 1>> result;
    for (auto& t : tensors) result.push_back(t.view());
    return result;
  }
};

const std::vector<std::int64_t> some_sizes{1, 0, 31, 64, 65, 2048, 2049, 5000, 16384, 16385, 40000, 3};

/// unscale against the formula; whether it may be in place.
template <class In, class Out>
void check(const std::vector<std::int64_t>& sizes, float scale, std::uint64_t seed, int low, int high, bool in_place = false) {
  using T = std::conditional_t<std::is_same_v<In, double> || std::is_same_v<Out, double>, double, float>;
  list<In> in(sizes);
  in.fill([&](std::size_t t, std::uint64_t i) {
    const std::uint64_t s = seed + 100 * t;
    return support::below(s, i, 9) == 0 ? 0.0 : support::spread(s, i, low, high);
  });
  list<In> before = in;
  list<Out> out(sizes);
  gradient_report got;
  if constexpr (std::is_same_v<In, Out>) {
    got = training::unscale(par.threads(2), in.views(), in_place ? in.views() : out.views(), scale);
    if (in_place) out = in;
  } else {
    got = training::unscale(par.threads(2), in.views(), out.views(), scale);
  }
  const auto inverse = static_cast<T>(static_cast<float>(1.0 / static_cast<double>(scale)));
  const double readable = static_cast<double>(tessera::min_normal<In>());
  const double writable = static_cast<double>(tessera::from_bits<Out>(1)) / static_cast<double>(inverse);
  gradient_report want;
  long double squares = 0;
  std::int64_t wrong = 0;
  for (std::size_t t = 0; t < sizes.size(); ++t) {
    for (std::int64_t i = 0; i < sizes[t]; ++i) {
      const auto x = static_cast<T>(before.tensors[t](i));
      const Out y = static_cast<Out>(x * inverse);
      const Out z = out.tensors[t](i);
      wrong += std::memcmp(&y, &z, sizeof y) != 0 ? 1 : 0;
      const auto wide = static_cast<long double>(static_cast<double>(y));
      squares += wide * wide;
      want.elements += 1;
      want.zeros += x == 0 ? 1 : 0;
      want.underflows += x != 0 && static_cast<double>(std::fabs(x)) < std::max(readable, writable) ? 1 : 0;
      if (!std::isfinite(static_cast<double>(y)) && want.bad_tensor < 0) {
        want.bad_tensor = static_cast<std::int64_t>(t);
        want.bad_index = i;
      }
    }
    BOOST_TEST(out.tensors[t].gaps_untouched());
  }
  BOOST_TEST_CONTEXT("scale " << scale << " seed " << seed) {
    BOOST_TEST(wrong == 0);
    BOOST_TEST(got.elements == want.elements);
    BOOST_TEST(got.zeros == want.zeros);
    BOOST_TEST(got.underflows == want.underflows);
    BOOST_TEST(got.bad_tensor == want.bad_tensor);
    BOOST_TEST(got.bad_index == want.bad_index);
    support::worst errors;
    errors(got.squares, squares, 40 * tessera::unit_roundoff<T> * static_cast<double>(squares));
    CHECK_WITHIN_BOUND(errors);
  }
}

BOOST_AUTO_TEST_CASE(every_type) {
  for (const float scale : {1.0F, 65536.0F, 3.0F}) {
    check<float16, float>(some_sizes, scale, 1, -20, 15);
    check<float16, bfloat16>(some_sizes, scale, 2, -20, 15);
    check<bfloat16, float>(some_sizes, scale, 3, -130, 60);
    check<bfloat16, bfloat16>(some_sizes, scale, 4, -10, 10, true);
    check<float, float>(some_sizes, scale, 5, -20, 20);
    check<float, float>(some_sizes, scale, 6, -140, 0, true);
    check<float, double>(some_sizes, scale, 7, -20, 20);
    check<double, double>(some_sizes, scale, 8, -20, 20, true);
    check<double, float>(some_sizes, scale, 9, -20, 20);
  }
}

// Squares that float cannot hold, from below and above; and those of double.
BOOST_AUTO_TEST_CASE(norms_of_any_magnitude) {
  check<float, float>(some_sizes, 2, 1, -120, -100);
  check<float, float>(some_sizes, 2, 2, -60, -40);
  check<float, float>(some_sizes, 2, 3, 62, 66);
  check<float, float>(some_sizes, 2, 4, 100, 120, true);
  check<float16, float>({300}, 0x1p100F, 5, -20, 10);
  check<double, double>(some_sizes, 2, 6, -530, -500);
}

// https://github.com/pytorch/pytorch/issues/99640: finite gradients that a scale below 1 makes infinite, or a narrower type.
BOOST_AUTO_TEST_CASE(what_is_written_is_looked_at) {
  check<float16, float>(some_sizes, 0x1p-120F, 1, 0, 15);
  check<float, bfloat16>({5000}, 1, 2, 127, 128);
  std::vector<float> big{1, 3.4e38F};
  std::vector<bfloat16> out(2);
  const std::vector<view<const float, 1>> in{view<const float, 1>(big.data(), 2)};
  const std::vector<view<bfloat16, 1>> to{view<bfloat16, 1>(out.data(), 2)};
  const auto report = training::unscale(tessera::seq, in, to, 1.0F);
  BOOST_TEST(report.bad_index == 1);
}

BOOST_AUTO_TEST_CASE(the_first_bad_element_is_named) {
  for (const float bad : {inf, -inf, nan}) {
    for (const std::int64_t at : {0, 63, 64, 2047, 2048, 16383, 16384, 39999}) {
      list<float> x({5, 40000, 70});
      x.fill([](std::size_t, std::uint64_t) { return 1.5; });
      x.tensors[1](at) = bad;
      x.tensors[1](39999) = bad;
      x.tensors[2](3) = nan;
      list<float> out({5, 40000, 70});
      const auto report = training::unscale(par.threads(2), x.views(), out.views(), 2.0F);
      BOOST_TEST(!report.finite());
      BOOST_TEST(report.bad_tensor == 1);
      BOOST_TEST(report.bad_index == at);
      BOOST_TEST(!std::isfinite(report.norm()));
      BOOST_TEST(std::isnan(out.tensors[1](at)) == std::isnan(bad));
      BOOST_TEST(out.tensors[1](at == 1 ? 2 : 1) == 0.75F);
    }
  }
}

BOOST_AUTO_TEST_CASE(same_bits_for_any_threads_and_memory) {
  const std::vector<std::int64_t> sizes{1000003, 17, 2000000};  // large enough to be written past the caches
  list<float16> x(sizes);
  x.fill([](std::size_t t, std::uint64_t i) { return support::normal(t, i); });
  gradient_report want;
  for (const int threads : {1, 2, 3, 7}) {
    list<float> out(sizes);
    support::counting_resource memory;
    const auto got = training::unscale(par.threads(threads).scratch(&memory), x.views(), out.views(), 1024.0F);
    if (threads == 1) want = got;
    BOOST_TEST(std::memcmp(&got.squares, &want.squares, sizeof(double)) == 0);
    BOOST_TEST(memory.all_returned());
    std::int64_t wrong = 0;
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      for (std::int64_t i = 0; i < sizes[t]; ++i) {
        wrong += out.tensors[t](i) != static_cast<float>(x.tensors[t](i)) / 1024 ? 1 : 0;
      }
    }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(reports_join) {
  gradient_report a{.squares = 9, .elements = 4, .zeros = 1, .underflows = 2};
  a.add({.squares = 16, .elements = 5, .zeros = 2, .underflows = 1, .bad_tensor = 3, .bad_index = 7}, 10);
  BOOST_TEST(a.norm() == 5);
  BOOST_TEST(a.elements == 9);
  BOOST_TEST(a.zeros == 3);
  BOOST_TEST(a.underflows == 3);
  BOOST_TEST(a.bad_tensor == 13);
  BOOST_TEST(a.bad_index == 7);
  BOOST_TEST(training::clip_factor(2, 1) == 1 / (2 + 1e-6));
  BOOST_TEST(training::clip_factor(0.5, 1) == 1);
  BOOST_TEST(training::clip_factor(static_cast<double>(inf), 1) == 0);
  BOOST_TEST(std::isnan(training::clip_factor(static_cast<double>(nan), 1)));
}

BOOST_AUTO_TEST_CASE(misuse_of_unscale_is_named) {
  list<float> x({4, 6});
  list<float> out({4, 6});
  x.fill([](std::size_t, std::uint64_t i) { return static_cast<double>(i); });
  out.fill([](std::size_t, std::uint64_t) { return 7.0; });
  const auto call = [](const auto& in, const auto& to, float scale = 2) { training::unscale(tessera::seq, in, to, scale); };
  const std::vector<view<float, 1>> none;
  CHECK_REFUSED("training::unscale: scale: 0; ", call(x.views(), out.views(), 0));
  CHECK_REFUSED("training::unscale: scale: -1; ", call(x.views(), out.views(), -1));
  CHECK_REFUSED("training::unscale: scale: nan; ", call(x.views(), out.views(), nan));
  CHECK_REFUSED("training::unscale: scale: inf; ", call(x.views(), out.views(), inf));
  CHECK_REFUSED("training::unscale: scaled: an empty list; ", call(none, none));
  auto fewer = out.views();
  fewer.pop_back();
  CHECK_REFUSED("training::unscale: out: 1 tensors; ", call(x.views(), fewer));
  auto shorter = out.views();
  shorter[1] = view<float, 1>(shorter[1].data_handle(), 5);
  CHECK_REFUSED("training::unscale: out[1]: 5 elements; ", call(x.views(), shorter));
  auto null = x.views();
  null[0] = view<float, 1>(nullptr, 4);
  CHECK_REFUSED("training::unscale: scaled[0]: null data", call(null, out.views()));
  auto strided = x.views();
  strided[0] = view<float, 1>(strided[0].data_handle(), {2}, {2});
  CHECK_REFUSED("training::unscale: scaled[0]: innermost stride 2; ", call(strided, out.views()));
  auto shifted = x.views();
  shifted[1] = view<float, 1>(shifted[1].data_handle() + 1, 6);
  CHECK_REFUSED("training::unscale: out[1]: overlaps scaled in part; ", call(x.views(), shifted));
  for (const auto& t : x.tensors) BOOST_TEST(t.untouched());
  for (const auto& t : out.tensors) BOOST_TEST(t.untouched());
}

}  // namespace
