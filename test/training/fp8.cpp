// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Tensors into 8 bits and back, the scales that bring them there, and what the report says of it.
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
#include "golden_fp8.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float4.hpp"
#include "tessera/reference/quantize.hpp"
#include "tessera/training/amax_scale.hpp"
#include "tessera/training/quantize.hpp"

namespace {

namespace training = tessera::training;
using support::array;
using tessera::bfloat16;
using tessera::float16;
using tessera::float4_e2m1;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::par;
using tessera::seq;
using tessera::view;
using training::amax_choice;
using training::amax_scale_options;
using training::amax_scale_state;
using training::quantize_report;
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

bool same(const auto& a, const auto& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

/// Values, midpoints and their neighbours in T of a format, of both signs, and specials.
template <class S, class T>
std::vector<T> hard_numbers() {
  std::vector<T> result{
      0, T(-0.0), T(inf), -T(inf), T(nan), -T(nan), std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::max()};
  using format = tessera::format_of_t<S>;
  using bits = typename format::bits_type;
  for (int code = 0; code <= format::max_finite; ++code) {
    const auto value = static_cast<T>(tessera::from_bits<S>(static_cast<bits>(code)));
    const auto below = code == 0 ? -value : static_cast<T>(tessera::from_bits<S>(static_cast<bits>(code - 1)));
    const T above = code == format::max_finite ? value + (value - below) / 2 : value;
    for (const T x : {(value + below) / 2, value, above}) {
      for (const T y : {x, std::nextafter(x, T(inf)), std::nextafter(x, T(0))}) {
        result.push_back(y);
        result.push_back(-y);
      }
    }
  }
  return result;
}

/// What quantize should report and write, one number after the other.
template <class S, class T>
quantize_report expected(const std::vector<T>& x, T scale, std::vector<S>& codes) {
  quantize_report r{.elements = static_cast<std::int64_t>(x.size())};
  const double most = static_cast<double>(tessera::max_finite<S>());
  T amax = 0;
  for (const T v : x) {
    const T y = v * scale;
    codes.push_back(tessera::reference::nearest_number<S>(static_cast<double>(y)));
    const bool zero = static_cast<double>(codes.back()) == 0;
    r.zeros += v == 0 ? 1 : 0;
    r.underflows += zero && v != 0 ? 1 : 0;
    // Beyond: nearer to the number that would follow the largest, were there one more.
    const auto last = static_cast<double>(tessera::from_bits<S>(tessera::format_of_t<S>::max_finite - 1));
    const double half = most + (most - last) / 2;
    const bool odd = tessera::format_of_t<S>::max_finite % 2 == 1;
    const double magnitude = std::fabs(static_cast<double>(y));
    r.overflows += magnitude > half || (odd && magnitude == half) ? 1 : 0;
    if (std::isnan(v) || std::fabs(v) > amax) amax = std::fabs(v);
  }
  r.amax = static_cast<float>(amax);
  return r;
}

template <class S, class T>
void check_numbers(const std::vector<T>& x, T scale) {
  const auto n = static_cast<std::int64_t>(x.size());
  array<S, 1> out({n});
  std::vector<S> want;
  const quantize_report r = expected<S>(x, scale, want);
  const auto got = training::quantize(par.threads(2), view<const T, 1>(x.data(), n), out.view(), static_cast<float>(scale));
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const S one = training::quantized<S>(x[at], scale);
    const bool bad = std::isnan(x[at]) && tessera::format_of_t<S>::has_nan;
    wrong += bad ? !tessera::isnan(out(i)) : !same(out(i), want[at]);
    wrong += same(one, out(i)) ? 0 : 1;
  }
  BOOST_TEST_CONTEXT(sizeof(T) << " bytes to format of maximum " << static_cast<float>(tessera::max_finite<S>()) << " scale "
                               << scale) {
    BOOST_TEST(wrong == 0);
    BOOST_TEST(out.gaps_untouched());
    BOOST_TEST((got.amax == r.amax || (std::isnan(got.amax) && std::isnan(r.amax))));
    BOOST_TEST(got.elements == r.elements);
    BOOST_TEST(got.zeros == r.zeros);
    BOOST_TEST(got.underflows == r.underflows);
    BOOST_TEST(got.overflows == r.overflows);
  }
}

template <class T>
std::vector<T> spread_numbers(std::int64_t n, int low, int high, std::uint64_t seed) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = support::below(seed, i, 7) == 0 ? T(0) : static_cast<T>(support::spread(seed, i, low, high));
  }
  return x;
}

BOOST_AUTO_TEST_CASE(the_nearest_number_of_each_format) {
  for (const float scale : {1.0F, 0x1p-3F, 3.0F}) {
    check_numbers<float8_e4m3>(hard_numbers<float8_e4m3, float>(), scale);
    check_numbers<float8_e5m2>(hard_numbers<float8_e5m2, float>(), scale);
    check_numbers<float4_e2m1>(hard_numbers<float4_e2m1, float>(), scale);
  }
  check_numbers<float8_e4m3>(hard_numbers<float8_e4m3, double>(), 1.0);
  check_numbers<float8_e5m2>(hard_numbers<float8_e5m2, double>(), 5.0);
  for (const std::int64_t n : {1, 2, 15, 16, 17, 63, 64, 65, 200, 2047, 2049, 70001}) {
    check_numbers<float8_e4m3>(spread_numbers<float>(n, -30, 20, 3), 0.7F);
  }
}

BOOST_AUTO_TEST_CASE(codes_of_others) {
  for (std::size_t i = 0; i < std::size(golden::numbers); ++i) {
    const float x = golden::numbers[i];
    BOOST_TEST_CONTEXT(x) {
      BOOST_TEST(static_cast<int>(training::quantized<float8_e4m3>(x, 1.0F).bits) == golden::e4m3[i]);
      BOOST_TEST(static_cast<int>(training::quantized<float8_e5m2>(x, 1.0F).bits) == golden::e5m2[i]);
      BOOST_TEST(static_cast<int>(training::quantized<float4_e2m1>(x, 1.0F).bits) == golden::e2m1[i]);
    }
  }
}

template <class In, class S, class Out>
void check_there_and_back(float scale) {
  array<In, 3> x({5, 7, 33}, {.gap = 3, .exchanged = true});
  x.fill(support::normals(1));
  array<S, 3> codes({5, 7, 33});
  array<Out, 3> back({5, 7, 33}, {.gap = 1});
  training::quantize(seq, x.view(), codes.view(), scale);
  training::dequantize(par.threads(2), codes.view(), back.view(), scale);
  using T = tessera::compute_t<In>;
  using B = tessera::compute_t<Out>;
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < 5; ++i) {
    for (std::int64_t j = 0; j < 7; ++j) {
      for (std::int64_t k = 0; k < 33; ++k) {
        const S code = training::quantized<S>(static_cast<T>(x(i, j, k)), static_cast<T>(scale));
        const Out y = static_cast<Out>(static_cast<B>(code) * (B(1) / static_cast<B>(scale)));
        wrong += same(code, codes(i, j, k)) && same(y, back(i, j, k)) ? 0 : 1;
      }
    }
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(codes.gaps_untouched());
  BOOST_TEST(back.gaps_untouched());
}

BOOST_AUTO_TEST_CASE(there_and_back_in_any_type_and_shape) {
  check_there_and_back<float, float8_e4m3, float>(100.0F);
  check_there_and_back<bfloat16, float8_e5m2, bfloat16>(0x1p10F);
  check_there_and_back<float16, float8_e4m3, bfloat16>(90.5F);
  check_there_and_back<double, float8_e4m3, double>(3.0F);
  // A transposed copy, as the other product of a backward pass wants it; and an empty one.
  array<float, 2> x({65, 130});
  x.fill(support::normals(2));
  array<float8_e4m3, 2> codes({130, 65});
  const view<const float, 2> turned(x.view().data_handle(), {130, 65}, {1, 130});
  training::quantize(par.threads(3), turned, codes.view(), 10.0F);
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < 130; ++i) {
    for (std::int64_t j = 0; j < 65; ++j) wrong += same(codes(i, j), training::quantized<float8_e4m3>(x(j, i), 10.0F)) ? 0 : 1;
  }
  BOOST_TEST(wrong == 0);
  const auto none = training::quantize(seq, view<const float, 1>(nullptr, 0), view<float8_e4m3, 1>(nullptr, 0), 1.0F);
  BOOST_TEST(none.elements == 0);
  BOOST_TEST(none.amax == 0.0F);
}

BOOST_AUTO_TEST_CASE(same_codes_for_any_threads_and_memory) {
  const std::int64_t n = 5000003;  // large enough to be written past the caches
  std::vector<float16> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = float16(support::normal(1, i));
  array<float8_e5m2, 1> want({n});
  quantize_report first;
  for (const int threads : {1, 2, 5}) {
    array<float8_e5m2, 1> out({n});
    support::counting_resource memory;
    const auto got =
        training::quantize(par.threads(threads).scratch(&memory), view<const float16, 1>(x.data(), n), out.view(), 300.0F);
    if (threads == 1) {
      want = out;
      first = got;
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        wrong +=
            same(out(i), training::quantized<float8_e5m2>(static_cast<float>(x[static_cast<std::size_t>(i)]), 300.0F)) ? 0 : 1;
      }
      BOOST_TEST(wrong == 0);
    }
    BOOST_TEST(out.same_elements(want));
    BOOST_TEST(memory.all_returned());
    BOOST_TEST(got.amax == first.amax);
    BOOST_TEST(got.underflows == first.underflows);
    BOOST_TEST(got.overflows == first.overflows);
  }
}

/// TransformerEngine's update, transcribed: a history that rolls, slot 0 of which is this step's.
struct rolling {
  std::vector<float> history;
  float scale = 1;

  void update(float largest, bool max) {
    const float last = history[0];
    float amax = 0;
    for (std::size_t i = 0; i < history.size(); ++i) {
      const float a = i + 1 < history.size() ? history[i + 1] : last;
      amax = std::fmax(amax, a);
      if (i > 0) history[i] = a;
    }
    history[0] = 0;
    if (!max) amax = last;
    if (std::isfinite(amax) && amax > 0) scale = largest / amax;
    if (std::isinf(scale)) scale = std::numeric_limits<float>::max();
  }
};

template <class S>
void check_history(std::int64_t length, const amax_scale_options& options, std::uint64_t seed) {
  std::vector<float> history(static_cast<std::size_t>(length), 0.0F);
  amax_scale_state state;
  rolling other{history};
  const float largest = static_cast<float>(tessera::max_finite<S>()) * std::pow(2.0F, static_cast<float>(-options.margin));
  std::int64_t wrong = 0;
  for (std::uint64_t step = 0; step < 300; ++step) {
    const std::int64_t chance = support::below(seed, step, 20);
    const float amax = chance == 0   ? inf
                       : chance == 1 ? nan
                       : chance == 2 ? 0.0F
                       : chance == 3 ? 1e-40F
                                     : std::fabs(static_cast<float>(support::spread(seed + 1, step, -20, 20)));
    training::note_amax(state, history.data(), amax / 2);
    training::note_amax(state, history.data(), amax);
    training::note_amax(state, history.data(), 0);
    other.history[0] = amax;
    const view<const float, 1> slots(history.data(), length);
    training::check(state, slots, options, "check");
    training::update_scale<S>(state, history.data(), length, options);
    other.update(largest, options.choice == amax_choice::max);
    wrong += state.scale == other.scale ? 0 : 1;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(state.steps == 300);
}

BOOST_AUTO_TEST_CASE(scales_of_histories_are_those_of_transformer_engine) {
  for (const std::int64_t length : {1, 2, 3, 16, 1024}) {
    check_history<float8_e4m3>(length, {}, 1);
    check_history<float8_e5m2>(length, {.choice = amax_choice::most_recent, .margin = 2}, 2);
    check_history<float8_e4m3>(length, {.margin = -1}, 3);
  }
}

BOOST_AUTO_TEST_CASE(scales_of_an_amax) {
  using training::scale_of_amax;
  static_assert(scale_of_amax<float8_e4m3>(448) == 1);
  static_assert(scale_of_amax<float8_e5m2>(1) == 57344);
  static_assert(scale_of_amax<float4_e2m1>(3) == 2);
  static_assert(scale_of_amax<float8_e4m3>(1, {.margin = 3}) == 56);
  static_assert(scale_of_amax<float8_e4m3>(1, {.power_of_two = true}) == 256);
  for (const float amax : {0.0F, inf, nan, -1.0F}) {
    BOOST_TEST(scale_of_amax<float8_e4m3>(amax) == 1);
    BOOST_TEST(scale_of_amax<float8_e4m3>(amax, {}, 7.0F) == 7);
  }
  BOOST_TEST(scale_of_amax<float8_e4m3>(1e-45F) == std::numeric_limits<float>::max());
  BOOST_TEST(scale_of_amax<float8_e4m3>(1e-45F, {.power_of_two = true}) == 0x1p127F);
  // Around the smallest amax whose quotient is finite, and scales that are subnormal.
  for (float amax = 1.3e-36F; amax < 1.33e-36F; amax = std::nextafter(amax, inf) * 1.0001F) {
    const float quotient = 448 / amax;
    BOOST_TEST(scale_of_amax<float8_e4m3>(amax) == (std::isinf(quotient) ? std::numeric_limits<float>::max() : quotient));
  }
  const float edge = static_cast<float>(448 / 0x1.ffffffp127);
  for (const float amax : {std::nextafter(edge, 0.0F), edge, std::nextafter(edge, inf)}) {
    const float quotient = 448 / amax;
    BOOST_TEST(scale_of_amax<float8_e4m3>(amax) == (std::isinf(quotient) ? std::numeric_limits<float>::max() : quotient));
  }
  const amax_scale_options low{.margin = 16, .power_of_two = true};
  const float scale = scale_of_amax<float8_e4m3>(std::numeric_limits<float>::max(), low);
  BOOST_TEST(scale == 0x1p-136F);
}

// An infinite amax stands for the whole history, and the scale with it; forget_bad leaves it out at once.
BOOST_AUTO_TEST_CASE(bad_steps_can_be_forgotten) {
  for (const bool forget : {false, true}) {
    std::vector<float> history(4, 0.0F);
    amax_scale_state state;
    const amax_scale_options options{.forget_bad = forget};
    const auto step = [&](float amax) {
      training::note_amax(state, history.data(), amax);
      training::update_scale<float8_e4m3>(state, history.data(), 4, options);
      return state.scale;
    };
    BOOST_TEST(step(1) == 448);
    BOOST_TEST(step(inf) == 448);
    BOOST_TEST(step(2) == (forget ? 224 : 448));
    BOOST_TEST(step(nan) == (forget ? 224 : 448));
    BOOST_TEST(step(4) == (forget ? 112 : 448));
    BOOST_TEST(step(2) == 112);
  }
}

// Delayed scaling over steps whose tensors grow: the codes stay within the format but for the steps that grow beyond what was seen.
BOOST_AUTO_TEST_CASE(a_recipe_from_end_to_end) {
  std::vector<float> history(static_cast<std::size_t>(training::usual_amax_history), 0.0F);
  amax_scale_state state;
  array<float, 1> x({4096});
  array<training::forward_float8, 1> codes({4096});
  for (int step = 0; step < 20; ++step) {
    const double size = step < 10 ? 1 : 16;
    x.fill(support::normals(static_cast<std::uint64_t>(step), size));
    const auto report = training::quantize(seq, x.view(), codes.view(), state.scale);
    training::note_amax(state, history.data(), report.amax);
    training::update_scale<training::forward_float8>(state, history.data(), training::usual_amax_history);
    BOOST_TEST((report.overflows > 100) == (step == 10));
    BOOST_TEST(state.scale * report.amax <= 448.001F);
  }
}

BOOST_AUTO_TEST_CASE(reports_of_8_bits_join) {
  quantize_report a{.amax = 3, .elements = 10, .zeros = 1, .underflows = 2, .overflows = 3, .bad_blocks = 1};
  a.add({.amax = 2, .elements = 5, .zeros = 1, .underflows = 1, .overflows = 1, .bad_blocks = 2});
  BOOST_TEST(a.amax == 3);
  BOOST_TEST(a.elements == 15);
  BOOST_TEST(a.zeros + a.underflows + a.overflows + a.bad_blocks == 12);
  a.add({.amax = nan});
  a.add({.amax = 5});
  BOOST_TEST(std::isnan(a.amax));
}

BOOST_AUTO_TEST_CASE(misuse_of_8_bits_is_named) {
  array<float, 2> x({3, 4});
  x.fill(support::normals(1));
  array<float8_e4m3, 2> out({3, 4});
  out.fill([](std::uint64_t) { return 1.0F; });
  array<float8_e4m3, 2> other({4, 3});
  array<float, 2> back({3, 4});
  back.fill([](std::uint64_t) { return 7.0F; });
  for (const float scale : {0.0F, -1.0F, inf, nan}) {
    CHECK_REFUSED("training::quantize: scale: ", training::quantize(seq, x.view(), out.view(), scale));
    CHECK_REFUSED("training::dequantize: scale: ", training::dequantize(seq, out.view(), back.view(), scale));
  }
  CHECK_REFUSED("training::quantize: out: shape [4, 3] ", training::quantize(seq, x.view(), other.view(), 1.0F));
  CHECK_REFUSED("training::dequantize: out: shape [3, 4] ", training::dequantize(seq, other.view(), back.view(), 1.0F));
  CHECK_REFUSED("training::quantize: in: null data", training::quantize(seq, view<float, 2>(nullptr, 3, 4), out.view(), 1.0F));
  const view<float8_e4m3, 2> same_row(out.view().data_handle(), {3, 4}, {0, 1});
  CHECK_REFUSED("training::quantize: out: ", training::quantize(seq, x.view(), same_row, 1.0F));
  auto* const within = reinterpret_cast<float8_e4m3*>(x.view().data_handle());
  CHECK_REFUSED("training::quantize: out: overlaps in",
                training::quantize(seq, x.view(), view<float8_e4m3, 2>(within, 3, 4), 1.0F));
  BOOST_TEST(x.untouched());
  BOOST_TEST(out.untouched());
  BOOST_TEST(back.untouched());
  std::vector<float> history(4, 0.0F);
  const auto check = [&](const amax_scale_state& state, const amax_scale_options& options = {}, std::int64_t length = 4) {
    training::check(state, view<const float, 1>(history.data(), length), options, "load");
  };
  check({});
  CHECK_REFUSED("load: options.margin: 17; ", check({}, {.margin = 17}));
  CHECK_REFUSED("load: history: no slots; ", check({}, {}, 0));
  CHECK_REFUSED("load: state.current: 4; ", check({.current = 4}));
  CHECK_REFUSED("load: state.current: -1; ", check({.current = -1}));
  CHECK_REFUSED("load: state.scale: 0; ", check({.scale = 0}));
  CHECK_REFUSED("load: state.scale: nan; ", check({.scale = nan}));
  CHECK_REFUSED("load: state.steps: -1; ", check({.steps = -1}));
}

}  // namespace
