// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Blocks of a row with a scale of their own, against the search for the nearest number of a format, and others' MX codes.
#include "tessera/training/quantize_blocks.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/random.hpp"
#include "golden_mx.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/reference/quantize.hpp"

namespace {

namespace training = tessera::training;
using support::array;
using tessera::bfloat16;
using tessera::e8m0;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::par;
using tessera::seq;
using tessera::view;
using training::block_options;
using training::block_rule;
using training::quantize_report;
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Rows of numbers of any size; blocks of zeros, of subnormals, and with an infinity or NaN.
double some_number(std::uint64_t seed, std::uint64_t i, std::int64_t columns) {
  const auto row = static_cast<std::int64_t>(i) / columns;
  const auto column = static_cast<std::int64_t>(i) % columns;
  if (row % 4 == 1 && column / 32 == 1) return support::below(seed, i, 2) == 0 ? 0.0 : -0.0;
  if (row % 4 == 2 && column == 5) return inf;
  if (row % 4 == 3 && column == columns - 1) return nan;
  if (row % 4 == 3 && column / 32 == 0) return support::spread(seed, i, -149, -120);
  const int low = static_cast<int>(support::below(seed + 9, static_cast<std::uint64_t>(row * 1000 + column / 16), 200)) - 110;
  return support::spread(seed, i, low, low + 12);
}

std::int64_t rounded_up(std::int64_t n, std::int64_t block) { return (n + block - 1) / block; }

template <class In, class S>
void check_mx(std::int64_t rows, std::int64_t columns, const block_options& options, std::uint64_t seed) {
  const std::int64_t block = options.block == 0 ? 32 : options.block;
  array<In, 2> x({rows, columns}, {.gap = 3});
  x.fill([&](std::uint64_t i) { return some_number(seed, i, columns); });
  array<S, 2> codes({rows, columns}, {.gap = 1});
  array<e8m0, 2> scales({rows, rounded_up(columns, block)}, {.gap = 2});
  array<float, 2> back({rows, columns});
  const auto report = training::quantize_blocks(par.threads(2), x.view(), codes.view(), scales.view(), options);
  training::dequantize_blocks(par.threads(2), codes.view(), scales.view(), back.view(), options);
  std::int64_t wrong_codes = 0;
  std::int64_t wrong_scales = 0;
  std::int64_t wrong_back = 0;
  quantize_report want{.elements = rows * columns};
  double amax = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<double> row;
    for (std::int64_t j = 0; j < columns; ++j) row.push_back(static_cast<double>(x(r, j)));
    std::vector<S> row_codes;
    std::vector<double> row_scales;
    tessera::reference::quantize_mx(row, block, options.rule == block_rule::ceil, row_codes, row_scales);
    for (std::int64_t b = 0; b < rounded_up(columns, block); ++b) {
      const auto scale = row_scales[static_cast<std::size_t>(b)];
      const bool bad = std::isnan(scale);
      want.bad_blocks += bad ? 1 : 0;
      wrong_scales += bad ? !tessera::isnan(scales(r, b)) : static_cast<double>(scales(r, b)) != scale;
    }
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double scale = row_scales[static_cast<std::size_t>(j / block)];
      const S code = row_codes[at];
      wrong_codes += std::memcmp(&code, &codes(r, j), sizeof(S)) == 0 ? 0 : 1;
      const auto product = static_cast<float>(static_cast<double>(code) * scale);
      wrong_back += std::isnan(product) ? !std::isnan(back(r, j)) : product != back(r, j);
      amax = std::isnan(row[at]) || std::fabs(row[at]) > amax ? std::fabs(row[at]) : amax;
      if (std::isnan(scale)) continue;
      want.zeros += row[at] == 0 ? 1 : 0;
      want.underflows += row[at] != 0 && static_cast<double>(code) == 0 ? 1 : 0;
      const auto most = static_cast<double>(tessera::max_finite<S>());
      const double half = most + (most - static_cast<double>(tessera::from_bits<S>(tessera::format_of_t<S>::max_finite - 1))) / 2;
      const bool odd = tessera::format_of_t<S>::max_finite % 2 == 1;
      const double magnitude = std::fabs(row[at] / scale);
      want.overflows += magnitude > half || (odd && magnitude == half) ? 1 : 0;
    }
  }
  BOOST_TEST_CONTEXT("shape " << rows << " x " << columns << " block " << block << " format of maximum "
                              << static_cast<float>(tessera::max_finite<S>())) {
    BOOST_TEST(wrong_codes == 0);
    BOOST_TEST(wrong_scales == 0);
    BOOST_TEST(wrong_back == 0);
    BOOST_TEST(report.elements == want.elements);
    BOOST_TEST(report.zeros == want.zeros);
    BOOST_TEST(report.underflows == want.underflows);
    BOOST_TEST(report.overflows == want.overflows);
    BOOST_TEST((options.rule == block_rule::floor || report.overflows == 0));
    BOOST_TEST(report.bad_blocks == want.bad_blocks);
    BOOST_TEST((static_cast<double>(report.amax) == amax || std::isnan(amax) || (std::isinf(report.amax))));
    BOOST_TEST(std::isnan(report.amax) == std::isnan(amax));
    BOOST_TEST(codes.gaps_untouched());
    BOOST_TEST(scales.gaps_untouched());
    BOOST_TEST(back.gaps_untouched());
  }
}

BOOST_AUTO_TEST_CASE(mx_blocks) {
  for (const std::int64_t columns : {1, 31, 32, 33, 64, 100, 257}) {
    check_mx<float, float8_e4m3>(9, columns, {}, 1);
    check_mx<float, float4_e2m1>(9, columns, {.block = 16}, 2);
    check_mx<float, float8_e4m3>(9, columns, {.block = 5, .rule = block_rule::ceil}, 3);
  }
  check_mx<bfloat16, float8_e5m2>(200, 1000, {}, 4);
  check_mx<bfloat16, float8_e5m2>(5, 1000, {.block = 1000, .rule = block_rule::ceil}, 5);
  check_mx<double, float8_e4m3>(8, 70, {.rule = block_rule::ceil}, 6);
  check_mx<float, float4_e2m1>(9, 65, {.rule = block_rule::ceil}, 7);
}

// A block around each power of two, and the place where its largest number is held down.
BOOST_AUTO_TEST_CASE(scales_around_powers_of_two) {
  std::int64_t wrong = 0;
  for (int e = -149; e <= 127; ++e) {
    for (const double factor : {1.0, 1.25, 1.4999999, 1.5, 1.5000001, 1.7499999, 1.75, 1.7500001, 1.9999999}) {
      const auto amax = static_cast<float>(std::ldexp(factor, e));
      if (std::isinf(amax)) continue;
      for (const bool up : {false, true}) {
        const auto rule = up ? block_rule::ceil : block_rule::floor;
        const auto a = training::power_scale_of_block<float8_e4m3>(amax, rule);
        const auto b = training::power_scale_of_block<float8_e5m2>(amax, rule);
        const auto c = training::power_scale_of_block<float4_e2m1>(amax, rule);
        namespace reference = tessera::reference;
        wrong +=
            std::ldexp(1.0, reference::mx_exponent<float8_e4m3>(static_cast<double>(amax), up)) != static_cast<double>(a.scale);
        wrong +=
            std::ldexp(1.0, reference::mx_exponent<float8_e5m2>(static_cast<double>(amax), up)) != static_cast<double>(b.scale);
        wrong +=
            std::ldexp(1.0, reference::mx_exponent<float4_e2m1>(static_cast<double>(amax), up)) != static_cast<double>(c.scale);
        wrong += static_cast<double>(a.scale) * static_cast<double>(a.factor) != 1;
        wrong += static_cast<double>(c.scale) * static_cast<double>(c.factor) != 1;
      }
    }
  }
  BOOST_TEST(wrong == 0);
  const auto one = training::power_scale_of_block<float8_e4m3>(1.0, block_rule::floor);
  BOOST_TEST(static_cast<float>(one.scale) == 0x1p-8F);
  BOOST_TEST(static_cast<double>(training::power_scale_of_block<float8_e4m3>(1e300, block_rule::floor).scale) == 0x1p127);
}

BOOST_AUTO_TEST_CASE(codes_of_others_in_blocks) {
  const std::int64_t rows = golden::mx_rows;
  array<float, 2> x({rows, 32});
  x.fill([](std::uint64_t i) { return golden::mx_numbers[i]; });
  array<e8m0, 2> scales({rows, 1});
  const auto check = [&](auto s, const int* want_scales, const int* want_codes) {
    array<decltype(s), 2> codes({rows, 32});
    training::quantize_blocks(seq, x.view(), codes.view(), scales.view());
    std::int64_t wrong = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      wrong += static_cast<int>(scales(r, 0).bits) == want_scales[r] ? 0 : 1;
      for (std::int64_t j = 0; j < 32; ++j) wrong += static_cast<int>(codes(r, j).bits) == want_codes[r * 32 + j] ? 0 : 1;
    }
    BOOST_TEST(wrong == 0);
  };
  check(float8_e4m3{}, golden::mx_e4m3_scales, golden::mx_e4m3);
  check(float8_e5m2{}, golden::mx_e5m2_scales, golden::mx_e5m2);
  check(float4_e2m1{}, golden::mx_e2m1_scales, golden::mx_e2m1);
}

BOOST_AUTO_TEST_CASE(blocks_with_scales_of_float) {
  for (const bool power : {false, true}) {
    const block_options options{.power_of_two = power};
    array<float, 2> x({9, 300});
    x.fill([](std::uint64_t i) { return some_number(1, i, 300); });
    array<float8_e4m3, 2> codes({9, 300});
    array<float, 2> scales({9, 3});
    array<float, 2> back({9, 300});
    const auto report = training::quantize_blocks(par.threads(2), x.view(), codes.view(), scales.view(), options);
    training::dequantize_blocks(seq, codes.view(), scales.view(), back.view(), options);
    std::int64_t wrong = 0;
    std::int64_t bad = 0;
    for (std::int64_t r = 0; r < 9; ++r) {
      for (std::int64_t b = 0; b < 3; ++b) {
        float amax = 0;
        bool finite = true;
        for (std::int64_t j = 128 * b; j < std::min<std::int64_t>(300, 128 * (b + 1)); ++j) {
          finite = finite && std::isfinite(x(r, j));
          amax = std::fmax(amax, std::fabs(x(r, j)));
        }
        float factor = amax == 0 ? 1 : 448 / amax;
        if (std::isinf(factor)) factor = std::numeric_limits<float>::max();
        if (power) {
          int exponent = 0;
          static_cast<void>(std::frexp(factor, &exponent));
          factor = std::ldexp(1.0F, exponent - 1);
        }
        bad += finite ? 0 : 1;
        wrong += finite ? scales(r, b) != 1 / factor : !std::isnan(scales(r, b));
        for (std::int64_t j = 128 * b; j < std::min<std::int64_t>(300, 128 * (b + 1)); ++j) {
          const float8_e4m3 code =
              tessera::reference::nearest_number<float8_e4m3>(finite ? static_cast<double>(x(r, j) * factor) : nan);
          wrong += std::memcmp(&code, &codes(r, j), 1) == 0 ? 0 : 1;
          const float y = static_cast<float>(code) * scales(r, b);
          wrong += finite ? y != back(r, j) : !std::isnan(back(r, j));
        }
      }
    }
    BOOST_TEST(wrong == 0);
    BOOST_TEST(report.bad_blocks == bad);
    BOOST_TEST(report.overflows == 0);
  }
}

BOOST_AUTO_TEST_CASE(same_bits_for_any_threads_and_a_row_alone) {
  const std::int64_t rows = 37;
  const std::int64_t columns = 40000;
  array<float, 2> x({rows, columns});
  x.fill([&](std::uint64_t i) { return some_number(3, i, columns); });
  array<float8_e4m3, 2> want({rows, columns});
  array<e8m0, 2> want_scales({rows, 1250});
  quantize_report first;
  for (const int threads : {1, 2, 5}) {
    array<float8_e4m3, 2> codes({rows, columns});
    array<e8m0, 2> scales({rows, 1250});
    support::counting_resource memory;
    const auto report = training::quantize_blocks(par.threads(threads).scratch(&memory), x.view(), codes.view(), scales.view());
    if (threads == 1) {
      want = codes;
      want_scales = scales;
      first = report;
    }
    BOOST_TEST(codes.same_elements(want));
    BOOST_TEST(scales.same_elements(want_scales));
    BOOST_TEST(report.underflows == first.underflows);
    BOOST_TEST(report.overflows == first.overflows);
    BOOST_TEST(report.bad_blocks == first.bad_blocks);
    BOOST_TEST(memory.all_returned());
  }
  std::vector<float8_e4m3> one(static_cast<std::size_t>(columns));
  std::vector<e8m0> its(1250);
  const view<const float, 2> row(&x(20, 0), 1, columns);
  training::quantize_blocks(seq, row, view<float8_e4m3, 2>(one.data(), 1, columns), view<e8m0, 2>(its.data(), 1, 1250));
  BOOST_TEST(std::memcmp(one.data(), &want(20, 0), one.size()) == 0);
  BOOST_TEST(std::memcmp(its.data(), &want_scales(20, 0), its.size()) == 0);
}

BOOST_AUTO_TEST_CASE(misuse_of_blocks_is_named) {
  array<float, 2> x({3, 40});
  x.fill(support::normals(1));
  array<float8_e4m3, 2> out({3, 40});
  out.fill([](std::uint64_t) { return 1.0F; });
  array<e8m0, 2> scales({3, 2});
  scales.fill([](std::uint64_t) { return 1.0F; });
  array<e8m0, 2> few({3, 1});
  array<float8_e4m3, 2> turned({40, 3});
  array<float, 2> back({3, 40});
  back.fill([](std::uint64_t) { return 1.0F; });
  const auto call = [&](const auto& in, const auto& to, const auto& s, const block_options& options = {}) {
    training::quantize_blocks(seq, in, to, s, options);
  };
  CHECK_REFUSED("training::quantize_blocks: options.block: -1; ", call(x.view(), out.view(), scales.view(), {.block = -1}));
  CHECK_REFUSED("training::quantize_blocks: options.block: 1048577; ",
                call(x.view(), out.view(), scales.view(), {.block = 1048577}));
  CHECK_REFUSED("training::quantize_blocks: scales: shape [3, 2]; needs one scale for each 16 numbers of a row: [3, 3]",
                call(x.view(), out.view(), scales.view(), {.block = 16}));
  CHECK_REFUSED("training::quantize_blocks: scales: shape [3, 1]; ", call(x.view(), out.view(), few.view()));
  CHECK_REFUSED("training::quantize_blocks: out: shape [40, 3] ", call(x.view(), turned.view(), scales.view()));
  CHECK_REFUSED("training::quantize_blocks: in: null data", call(view<float, 2>(nullptr, 3, 40), out.view(), scales.view()));
  CHECK_REFUSED("training::quantize_blocks: in: innermost stride 2; ",
                call(view<float, 2>(x.view().data_handle(), {3, 20}, {40, 2}), out.view(), scales.view()));
  CHECK_REFUSED("training::quantize_blocks: out: ",
                call(x.view(), view<float8_e4m3, 2>(out.view().data_handle(), {3, 40}, {0, 1}), scales.view()));
  auto* const within = reinterpret_cast<e8m0*>(out.view().data_handle());
  CHECK_REFUSED("training::quantize_blocks: out: overlaps scales", call(x.view(), out.view(), view<e8m0, 2>(within, 3, 2)));
  CHECK_REFUSED("training::dequantize_blocks: scales: shape [3, 1]; ",
                training::dequantize_blocks(seq, out.view(), few.view(), back.view()));
  CHECK_REFUSED("training::dequantize_blocks: out: shape [3, 40] ",
                training::dequantize_blocks(seq, turned.view(), scales.view(), back.view()));
  BOOST_TEST(x.untouched());
  BOOST_TEST(out.untouched());
  BOOST_TEST(scales.untouched());
  BOOST_TEST(back.untouched());
  const auto none = training::quantize_blocks(seq, view<const float, 2>(nullptr, 0, 40), view<float8_e4m3, 2>(nullptr, 0, 40),
                                              view<e8m0, 2>(nullptr, 0, 2));
  BOOST_TEST(none.elements == 0);
}

}  // namespace
