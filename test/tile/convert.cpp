// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Bulk conversion: the bits of static_cast for every pair of types, every length and stride, and nothing written beside them.
#include "tessera/tile/convert.hpp"

#include <algorithm>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../support/error.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"

using tessera::bfloat16;
using tessera::convert;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::overflow;
using tessera::par;
using tessera::seq;
using tessera::view;

using types = boost::mpl::list<float, double, float16, bfloat16, float8_e4m3, float8_e5m2>;
/// One pair for each way through the code: wider, narrower, a copy, in equal bytes, and by way of double.
template <class Source, class Target>
struct pair {
  using in = Source;
  using out = Target;
};
using pairs = boost::mpl::list<pair<float, bfloat16>, pair<float16, float>, pair<float, float>, pair<float8_e4m3, float8_e5m2>,
                               pair<double, float16>>;

namespace {

template <class F>
void for_each_type(F f) {
  f(float{});
  f(double{});
  f(float16{});
  f(bfloat16{});
  f(float8_e4m3{});
  f(float8_e5m2{});
}

template <class T>
constexpr bool native = std::is_floating_point_v<T>;

/// static_cast<Out>(x), and what saturation makes of it.
template <class Out, class In>
Out wanted(In x, overflow how = overflow::ieee) {
  const Out y = static_cast<Out>(x);
  const bool number = x == x;
  if (how == overflow::ieee) return y;
  if (!number) return native<In> ? y : static_cast<Out>(static_cast<float>(x));  // a copy would keep a NaN signalling
  // Beyond the largest value of Out, an infinity, or a NaN of a number where Out has no infinity.
  const bool beyond = !(static_cast<double>(y) <= static_cast<double>(tessera::max_finite<Out>()) &&
                        static_cast<double>(y) >= -static_cast<double>(tessera::max_finite<Out>()));
  if (!beyond) return y;
  return x > In(0.0F) ? tessera::max_finite<Out>() : static_cast<Out>(-static_cast<double>(tessera::max_finite<Out>()));
}

/// The same bits. A compiler may fold the scalar float(double(x)) to x and so leave a NaN signalling: between float and double the quiet
/// bit of a NaN is not compared.
template <class In, class Out>
bool same(Out got, Out want) {
  if constexpr (native<In> && native<Out>) {
    constexpr auto quiet = tessera::format_of_t<Out>::quiet_bit;
    if (want != want) return (tessera::to_bits(got) | quiet) == (tessera::to_bits(want) | quiet);
  }
  return tessera::to_bits(got) == tessera::to_bits(want);
}

/// Numbers that are hard to convert: any bits, and neighbours of the values and midpoints of the narrow formats.
template <class T>
T number(std::uint64_t i) {
  const std::uint64_t random = support::bits(3, i);
  if constexpr (sizeof(T) <= 2) {
    return tessera::from_bits<T>(static_cast<typename tessera::format_of_t<T>::bits_type>(random));
  } else {
    using bits = typename tessera::format_of_t<T>::bits_type;
    if (i % 4 == 0) return tessera::from_bits<T>(static_cast<bits>(random));
    const float narrow = i % 4 == 1   ? static_cast<float>(float16::from_bits(static_cast<std::uint16_t>(random)))
                         : i % 4 == 2 ? static_cast<float>(bfloat16::from_bits(static_cast<std::uint16_t>(random)))
                                      : static_cast<float>(float8_e4m3::from_bits(static_cast<std::uint8_t>(random)));
    const int cut = i % 4 == 1 ? 13 : i % 4 == 2 ? 16 : 20;
    const bits half = random >> 62 != 0 ? bits{1} << (cut - 1 + (sizeof(T) == 8 ? 29 : 0)) : 0;
    const bits near = tessera::to_bits(static_cast<T>(narrow)) + half + static_cast<bits>(random >> 40) % 3 - 1;
    return tessera::from_bits<T>(near);
  }
}

/// Bytes that a conversion may write only in part.
template <class T>
struct watched {
  explicit watched(std::size_t n) : bytes(n * sizeof(T), 0xa5) {}
  T* data() { return reinterpret_cast<T*>(bytes.data()); }
  std::vector<unsigned char> bytes;
};

template <class T, std::size_t Rank>
std::int64_t offset(const view<T, Rank>& v, std::int64_t i) {
  std::int64_t at = 0;
  for (std::size_t r = Rank; r-- > 0;) {
    at += i % v.extent(r) * v.stride(r);
    i /= v.extent(r);
  }
  return at;
}

/// Converts between views of `size` elements of watched memory, `in` and `out` starting at their middle, and counts what is wrong.
template <class In, class Out, std::size_t Rank, class Exec>
std::int64_t wrong(const Exec& exec, const std::int64_t (&extents)[Rank], const std::int64_t (&in_strides)[Rank],
                   const std::int64_t (&out_strides)[Rank], std::size_t reach, overflow how = overflow::ieee) {
  std::vector<In> from(2 * reach + 1);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = number<In>(i);
  watched<Out> to(2 * reach + 1);
  watched<Out> want(2 * reach + 1);
  const view<const In, Rank> in(from.data() + reach, extents, in_strides);
  const view<Out, Rank> out(to.data() + reach, extents, out_strides);
  convert(exec, in, out, {.overflow = how});
  std::int64_t result = 0;
  for (std::int64_t i = 0; i < out.size(); ++i) {
    const Out w = wanted<Out>(in.data_handle()[offset(in, i)], how);
    const Out got = out.data_handle()[offset(out, i)];
    result += !same<In>(got, w);
    want.data()[static_cast<std::int64_t>(reach) + offset(out, i)] = got;
  }
  return result + (to.bytes != want.bytes);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_convert)

BOOST_AUTO_TEST_CASE_TEMPLATE(every_pair_of_types_and_every_length, In, types) {
  for_each_type([]<class Out>(Out) {
    for (std::int64_t n = 1; n < 150; ++n) {
      BOOST_TEST((wrong<In, Out, 1>(seq, {n}, {1}, {1}, 200)) == 0, "length " << n);
    }
    for (const std::int64_t n : {1000, 65535, 65536, 65537, 200003}) {
      BOOST_TEST((wrong<In, Out, 1>(seq, {n}, {1}, {1}, static_cast<std::size_t>(n))) == 0, "length " << n);
    }
    BOOST_TEST((wrong<In, Out, 1>(seq, {100003}, {1}, {1}, 100003, overflow::saturate)) == 0);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(all_codes_of_the_narrow_formats, Out, types) {
  const auto check = []<class In>(In) {
    constexpr std::size_t codes = std::size_t{1} << (8 * sizeof(In));
    std::vector<In> in(codes);
    std::vector<Out> out(codes);
    for (std::size_t i = 0; i < codes; ++i) in[i] = In::from_bits(static_cast<typename In::bits_type>(i));
    for (const overflow how : {overflow::ieee, overflow::saturate}) {
      convert(seq, view(in.data(), codes), view(out.data(), codes), {.overflow = how});
      std::size_t bad = 0;
      for (std::size_t i = 0; i < codes; ++i) {
        // A copy keeps a signalling NaN as it is.
        bad += how == overflow::saturate && std::is_same_v<In, Out> && in[i] != in[i]
                   ? out[i] == out[i]
                   : !same<In>(out[i], wanted<Out>(in[i], how));
      }
      BOOST_TEST(bad == 0u);
    }
  };
  check(float16{});
  check(bfloat16{});
  check(float8_e4m3{});
  check(float8_e5m2{});
}

// Every 131st float, an odd step, so that the low bits take every value; all of them would be 131 times as long.
BOOST_AUTO_TEST_CASE(a_shard_of_all_floats) {
  std::vector<float> in;
  for (std::uint64_t code = 0; code < std::uint64_t{1} << 32; code += 131) {
    in.push_back(tessera::from_bits<float>(static_cast<std::uint32_t>(code)));
  }
  for_each_type([&]<class Out>(Out) {
    std::vector<Out> out(in.size());
    convert(par, view(in.data(), in.size()), view(out.data(), out.size()));
    std::size_t bad = 0;
    for (std::size_t i = 0; i < in.size(); ++i) bad += !same<float>(out[i], static_cast<Out>(in[i]));
    BOOST_TEST(bad == 0u);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(shapes_and_strides, Pair, pairs) {
  const auto check = [](const auto& extents, const auto& in_strides, const auto& out_strides) {
    constexpr std::size_t rank = std::extent_v<std::remove_cvref_t<decltype(extents)>>;
    BOOST_TEST((wrong<typename Pair::in, typename Pair::out, rank>(seq, extents, in_strides, out_strides, 20000)) == 0);
  };
  using one = const std::int64_t[1];
  using two = const std::int64_t[2];
  using three = const std::int64_t[3];
  using four = const std::int64_t[4];
  check(two{30, 41}, two{41, 1}, two{41, 1});                           // one run
  check(two{30, 41}, two{50, 1}, two{41, 1});                           // rows with a gap in one
  check(two{30, 41}, two{41, 1}, two{50, 1});                           // in the other
  check(two{30, 41}, two{47, 1}, two{47, 1});                           // in both
  check(two{30, 41}, two{1, 30}, two{1, 30});                           // both by columns: one run
  check(two{30, 41}, two{1, 30}, two{41, 1});                           // turned
  check(two{30, 41}, two{41, 1}, two{1, 30});                           // the other way round
  check(one{3000}, one{3}, one{1});                                     // every third
  check(one{3000}, one{1}, one{2});                                     // to every second
  check(one{3000}, one{-1}, one{-1});                                   // backwards in both
  check(one{3000}, one{1}, one{-1});                                    // turned round
  check(two{30, 41}, two{-41, 1}, two{41, 1});                          // bottom up
  check(two{30, 41}, two{0, 1}, two{41, 1});                            // one row for all
  check(two{30, 41}, two{1, 0}, two{41, 1});                            // one column for all
  check(one{700}, one{0}, one{1});                                      // one number for all
  check(three{5, 3, 3}, three{-1000, 9, 2}, three{9, 3, 1});            // short runs
  check(four{4, 3, 5, 20}, four{1, 4, 12, 60}, four{300, 100, 20, 1});  // all axes reversed
  check(four{4, 3, 5, 20}, four{300, 20, 60, 1},
        four{300, 20, 60, 1});                             // [batch, len, heads, dim] seen as [batch, heads, len, dim]
  check(three{1, 70, 1}, three{0, 2, 0}, three{7, 3, 9});  // strides of axes of length 1 mean nothing
  check(one{1}, one{0}, one{0});
}

// Outputs of many megabytes go past the caches, from the first whole cache line to the last.
BOOST_AUTO_TEST_CASE(large_outputs) {
  constexpr std::int64_t n = 3000017;
  const auto check = [](auto source, auto target) {
    using In = decltype(source);
    using Out = decltype(target);
    std::vector<In> in(n + 64);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = number<In>(i);
    for (const std::int64_t start : {0, 1, 31}) {
      watched<Out> out(n + 64);
      convert(seq, view(in.data() + start, n), view(out.data() + start, n));
      std::size_t bad = 0;
      for (std::int64_t i = start; i < start + n; ++i)
        bad += !same<In>(out.data()[i], static_cast<Out>(in[static_cast<std::size_t>(i)]));
      BOOST_TEST(bad == 0u);
      const watched<Out> fresh(n + 64);
      const auto before = static_cast<std::size_t>(start) * sizeof(Out);
      const auto after = static_cast<std::size_t>(start + n) * sizeof(Out);
      BOOST_TEST(std::memcmp(out.bytes.data(), fresh.bytes.data(), before) == 0);
      BOOST_TEST(std::memcmp(out.bytes.data() + after, fresh.bytes.data() + after, fresh.bytes.size() - after) == 0);

      watched<Out> rows(n + 64);  // long rows with a gap
      const std::int64_t extents[] = {3, 900001};
      const std::int64_t strides[] = {1000001, 1};
      convert(par.threads(2), view<const In, 2>(in.data() + start, extents, strides),
              view<Out, 2>(rows.data() + start, extents, strides));
      bad = 0;
      for (std::int64_t r = 0; r < 3; ++r) {
        for (std::int64_t c = 0; c < 900001 + (r < 2 ? 100000 : 0); ++c) {
          const std::int64_t at = start + r * 1000001 + c;
          const Out want = c < 900001 ? static_cast<Out>(in[static_cast<std::size_t>(at)]) : watched<Out>(1).data()[0];
          bad += !same<In>(rows.data()[at], want);
        }
      }
      BOOST_TEST(bad == 0u);
    }
  };
  check(float{}, bfloat16{});
  check(bfloat16{}, float{});
  check(double{}, float16{});
  check(float16{}, float16{});
  check(float{}, float8_e4m3{});
  check(float8_e5m2{}, double{});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(any_number_of_threads, Pair, pairs) {
  using In = typename Pair::in;
  using Out = typename Pair::out;
  constexpr std::size_t n = 1500001;
  std::vector<In> in(n);
  for (std::size_t i = 0; i < n; ++i) in[i] = number<In>(i % 5000);
  std::vector<Out> want(n);
  convert(seq, view(in.data(), n), view(want.data(), n));
  const auto check = [&](const auto& exec) {
    std::vector<Out> out(n);
    convert(exec, view(in.data(), n), view(out.data(), n));
    BOOST_TEST(std::memcmp(static_cast<const void*>(out.data()), static_cast<const void*>(want.data()), n * sizeof(Out)) == 0);
  };
  check(par.threads(3));
  check(par.on(support::one_by_one{}));
  check(par.on(support::thread_per_call{}));
}

BOOST_AUTO_TEST_CASE(in_place) {
  const auto check = [](auto source, auto target, std::int64_t n) {
    using In = decltype(source);
    using Out = decltype(target);
    static_assert(sizeof(In) == sizeof(Out));
    const auto size = static_cast<std::size_t>(n);
    for (const std::int64_t step : {1, 2}) {
      std::vector<In> before(2 * size);
      for (std::size_t i = 0; i < before.size(); ++i) before[i] = number<In>(i);
      watched<In> memory(2 * size);
      std::memcpy(memory.bytes.data(), static_cast<const void*>(before.data()), memory.bytes.size());
      const std::int64_t extents[] = {n};
      const std::int64_t strides[] = {step};
      convert(par.threads(2), view<const In, 1>(memory.data(), extents, strides),
              view<Out, 1>(reinterpret_cast<Out*>(memory.bytes.data()), extents, strides));
      std::size_t bad = 0;
      for (std::size_t i = 0; i < before.size(); ++i) {
        const bool touched = i % static_cast<std::size_t>(step) == 0 && i / static_cast<std::size_t>(step) < size;
        Out got;
        std::memcpy(static_cast<void*>(&got), memory.bytes.data() + i * sizeof(Out), sizeof(Out));
        bad += touched ? !same<In>(got, static_cast<Out>(before[i]))
                       : std::memcmp(static_cast<const void*>(&got), &before[i], sizeof(In)) != 0;
      }
      BOOST_TEST(bad == 0u);
    }
  };
  for (const std::int64_t n : {1, 77, 70001, 2500001}) {
    check(float16{}, bfloat16{}, n);
    check(bfloat16{}, float16{}, n);
    check(float8_e4m3{}, float8_e5m2{}, n);
    check(float8_e5m2{}, float8_e4m3{}, n);
    check(float{}, float{}, n);
  }
}

BOOST_AUTO_TEST_CASE(golden_values) {
  const float in[] = {1.0F, 65520.0F, 464.0F, 464.00003F, -1e30F, 0x1p-25F, 0x1.8p-25F, -0.0F, __builtin_inff(), 3.0e38F};
  float16 half[10];
  bfloat16 brain[10];
  float8_e4m3 e4m3[10];
  float8_e5m2 e5m2[10];
  const auto run = [&](overflow how) {
    convert(seq, view(in, 10), view(half, 10), {.overflow = how});
    convert(seq, view(in, 10), view(brain, 10), {.overflow = how});
    convert(seq, view(in, 10), view(e4m3, 10), {.overflow = how});
    convert(seq, view(in, 10), view(e5m2, 10), {.overflow = how});
  };
  run(overflow::ieee);
  const std::uint16_t half_bits[] = {0x3c00, 0x7c00, 0x5f40, 0x5f40, 0xfc00, 0x0000, 0x0001, 0x8000, 0x7c00, 0x7c00};
  const std::uint16_t brain_bits[] = {0x3f80, 0x4780, 0x43e8, 0x43e8, 0xf14a, 0x3300, 0x3340, 0x8000, 0x7f80, 0x7f62};
  const std::uint8_t e4m3_bits[] = {0x38, 0x7f, 0x7e, 0x7f, 0xff, 0x00, 0x00, 0x80, 0x7f, 0x7f};
  const std::uint8_t e5m2_bits[] = {0x3c, 0x7c, 0x5f, 0x5f, 0xfc, 0x00, 0x00, 0x80, 0x7c, 0x7c};
  for (int i = 0; i < 10; ++i) {
    BOOST_TEST(half[i].bits == half_bits[i]);
    BOOST_TEST(brain[i].bits == brain_bits[i]);
    BOOST_TEST(e4m3[i].bits == e4m3_bits[i]);
    BOOST_TEST(e5m2[i].bits == e5m2_bits[i]);
  }
  run(overflow::saturate);
  BOOST_TEST(half[1].bits == 0x7bff);
  BOOST_TEST(half[4].bits == 0xfbff);
  BOOST_TEST(brain[8].bits == 0x7f7f);
  BOOST_TEST(e4m3[3].bits == 0x7e);
  BOOST_TEST(e4m3[4].bits == 0xfe);
  BOOST_TEST(e5m2[8].bits == 0x7b);
}

BOOST_AUTO_TEST_CASE(nothing_to_convert) {
  float x = 3;
  float16 h = float16(5.0F);
  convert(seq, view<const float, 1>(nullptr, 0), view<float16, 1>(nullptr, 0));
  convert(par, view<const float, 2>(&x, 0, 7), view<float16, 2>(&h, 0, 7));
  convert(par, view<const float, 2>(&x, 7, 0), view<float16, 2>(&h, 7, 0));
  BOOST_TEST(static_cast<float>(h) == 5.0F);
}

BOOST_AUTO_TEST_CASE(misuse) {
  std::vector<float> x(100, 1.0F);
  std::vector<float16> y(100, float16(7.0F));
  float16* const p = y.data();
  const view<const float, 1> in(x.data(), 50);
  CHECK_REFUSED("convert: out: shape [40] for in of shape [50]; needs the shape of in", convert(seq, in, view(p, 40)));
  CHECK_REFUSED("convert: out: shape [51] for in of shape [50]", convert(seq, in, view(p, 51)));
  CHECK_REFUSED("convert: in: null data of shape [50]", convert(seq, view<const float, 1>(nullptr, 50), view(p, 50)));
  CHECK_REFUSED("convert: out: null data of shape [50]", convert(seq, in, view<float16, 1>(nullptr, 50)));
  CHECK_REFUSED("convert: in: shape [-1]", convert(seq, view<const float, 1>(x.data(), -1), view(p, -1)));
  CHECK_REFUSED("convert: out: stride 0 in shape [50]", convert(seq, in, view<float16, 1>(p, {50}, {0})));
  CHECK_REFUSED("convert: out: stride 2 in shape [5, 5]",
                convert(seq, view<const float, 2>(x.data(), 5, 5), view<float16, 2>(p, {5, 5}, {2, 1})));
  // Overlap: the same memory for types of different size, the same start with other strides, a shifted start.
  void* const raw = x.data();
  CHECK_REFUSED("convert: out: overlaps in", convert(seq, in, view(static_cast<float16*>(raw), 50)));
  CHECK_REFUSED("convert: out: overlaps in", convert(seq, in, view<float, 1>(x.data(), {50}, {2})));
  CHECK_REFUSED("convert: out: overlaps in", convert(seq, in, view(x.data() + 1, 50)));
  CHECK_REFUSED("convert: out: overlaps in", convert(seq, in, view<float, 1>(x.data() + 49, {50}, {-1})));
  BOOST_TEST((x == std::vector<float>(100, 1.0F)));
  BOOST_TEST(std::all_of(y.begin(), y.end(), [](float16 v) { return v == float16(7.0F); }));
}

/// What a user's mdspan looks like.
struct foreign_span {
  using element_type = bfloat16;
  bfloat16* data;
  [[nodiscard]] bfloat16* data_handle() const { return data; }
  static constexpr std::size_t rank() { return 2; }
  [[nodiscard]] int extent(std::size_t r) const { return r == 0 ? 3 : 4; }
  [[nodiscard]] int stride(std::size_t r) const { return r == 0 ? 5 : 1; }
};

BOOST_AUTO_TEST_CASE(any_mdspan) {
  std::vector<bfloat16> out(15, bfloat16(-77.0F));
  std::vector<double> in(12);
  for (std::size_t i = 0; i < 12; ++i) in[i] = static_cast<double>(i);
  convert(seq, view(in.data(), 3, 4), foreign_span{out.data()});
  for (std::size_t i = 0; i < 15; ++i) {
    BOOST_TEST(static_cast<float>(out[i]) == (i % 5 == 4 ? -77.0F : static_cast<float>(i / 5 * 4 + i % 5)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
