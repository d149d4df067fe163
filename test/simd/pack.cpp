// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Packs against the scalar operations, lane by lane and bit by bit, with every pair of special values.
#include "tessera/simd/pack.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

namespace simd = tessera::simd;

template <class T>
using bits_of = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <class T>
bits_of<T> bits(T x) {
  return __builtin_bit_cast(bits_of<T>, x);
}

/// The same bits, or two NaNs (of whatever sign and payload).
template <class T>
bool same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return bits(a) == bits(b) || (std::isnan(a) && std::isnan(b));
  } else {
    return a == b;
  }
}

template <class T>
std::vector<T> values() {
  using limits = std::numeric_limits<T>;
  if constexpr (std::is_floating_point_v<T>) {
    std::vector<T> v = {T(0),
                        T(1),
                        T(0.5),
                        T(2.5),
                        T(3.5),
                        T(1e30),
                        T(0.1),
                        T(7),
                        limits::min(),
                        limits::max(),
                        limits::infinity(),
                        limits::denorm_min(),
                        limits::epsilon(),
                        T(1) - limits::epsilon()};
    for (std::size_t i = 0, n = v.size(); i < n; ++i) v.push_back(-v[i]);
    v.push_back(limits::quiet_NaN());
    return v;
  } else {
    return {T(0), T(1), T(2), T(-1), T(-2), T(12345), T(-777), T(1) << (8 * sizeof(T) - 2), limits::max(), limits::min()};
  }
}

/// Calls f(pack a, pack b, first, second) for all pairs of special values, `lanes` pairs at a time, arrays of the numbers beside them.
template <class T, class F>
void for_pairs(F f) {
  using P = simd::pack<T>;
  const std::vector<T> v = values<T>();
  std::vector<T> first, second;
  for (const T a : v) {
    for (const T b : v) {
      first.push_back(a);
      second.push_back(b);
    }
  }
  while (first.size() % static_cast<std::size_t>(P::lanes) != 0) {
    first.push_back(T(1));
    second.push_back(T(2));
  }
  for (std::size_t i = 0; i < first.size(); i += static_cast<std::size_t>(P::lanes)) {
    f(P::load_unaligned(&first[i]), P::load_unaligned(&second[i]), &first[i], &second[i]);
  }
}

template <class T, class Pack, class Scalar>
void check(const char* name, Pack on_packs, Scalar on_numbers) {
  using P = simd::pack<T>;
  for_pairs<T>([&](P a, P b, const T* first, const T* second) {
    T got[P::lanes];
    on_packs(a, b).store_unaligned(got);
    for (int i = 0; i < P::lanes; ++i) {
      const T want = on_numbers(first[i], second[i]);
      BOOST_TEST(same(got[i], want), name << "(" << first[i] << ", " << second[i] << ") = " << got[i] << ", not " << want);
    }
  });
}

/// A mask seen through select.
template <class T, class Pack, class Scalar>
void check_mask(const char* name, Pack on_packs, Scalar on_numbers) {
  using P = simd::pack<T>;
  check<T>(
      name, [&](P a, P b) { return tessera::select(on_packs(a, b), P(T(1)), P(T(0))); },
      [&](T a, T b) { return on_numbers(a, b) ? T(1) : T(0); });
}

/// Integer overflow wraps in packs; in numbers it is undefined, so the oracle computes without sign.
template <class T, class F>
T wrapped(T a, T b, F f) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return f(a, b);
  }
}

template <class T>
void check_operators() {
  using P = simd::pack<T>;
  const auto plus = [](auto a, auto b) { return a + b; };
  const auto minus = [](auto a, auto b) { return a - b; };
  const auto times = [](auto a, auto b) { return a * b; };
  check<T>("+", plus, [&](T a, T b) { return wrapped(a, b, plus); });
  check<T>("-", minus, [&](T a, T b) { return wrapped(a, b, minus); });
  check<T>("+=", [](P a, P b) { return a += b; }, [&](T a, T b) { return wrapped(a, b, plus); });
  check<T>("-=", [](P a, P b) { return a -= b; }, [&](T a, T b) { return wrapped(a, b, minus); });
  check<T>(
      "negate", [](P a, P) { return -a; },
      [&](T a, T) { return std::is_integral_v<T> ? wrapped(T(0), a, minus) : static_cast<T>(-a); });
  if constexpr (std::is_floating_point_v<T>) {
    check<T>("*", times, times);
    check<T>("*=", [](P a, P b) { return a *= b; }, times);
    check<T>("/", [](P a, P b) { return a / b; }, [](T a, T b) { return a / b; });
    check<T>("/=", [](P a, P b) { return a /= b; }, [](T a, T b) { return a / b; });
    check<T>("abs", [](P a, P) { return abs(a); }, [](T a, T) { return std::abs(a); });
    check<T>("sqrt", [](P a, P) { return tessera::sqrt(a); }, [](T a, T) { return std::sqrt(a); });
  }
  check_mask<T>("<", [](P a, P b) { return a < b; }, [](T a, T b) { return a < b; });
  check_mask<T>("<=", [](P a, P b) { return a <= b; }, [](T a, T b) { return a <= b; });
  check_mask<T>(">", [](P a, P b) { return a > b; }, [](T a, T b) { return a > b; });
  check_mask<T>(">=", [](P a, P b) { return a >= b; }, [](T a, T b) { return a >= b; });
  check_mask<T>("==", [](P a, P b) { return a == b; }, [](T a, T b) { return a == b; });
  check_mask<T>("!=", [](P a, P b) { return a != b; }, [](T a, T b) { return a != b; });
  check_mask<T>("and", [](P a, P b) { return (a < b) & (a == a); }, [](T a, T b) { return a < b; });
  check_mask<T>("or", [](P a, P b) { return (a < b) | (a == b); }, [](T a, T b) { return a <= b; });
  check_mask<T>("not", [](P a, P b) { return !(a < b); }, [](T a, T b) { return !(a < b); });
  // The scalar lane is the definition: a NaN in b comes out, a NaN in a does not, and of two zeros b comes out.
  check<T>("max", [](P a, P b) { return tessera::max(a, b); }, [](T a, T b) { return a > b ? a : b; });
  check<T>("min", [](P a, P b) { return tessera::min(a, b); }, [](T a, T b) { return a < b ? a : b; });
}

/// Numbers by their codes, in which NaNs are not all alike.
template <class T, class Pack, class Scalar>
void check_codes(const char* name, Pack on_packs, Scalar on_numbers) {
  using P = simd::pack<T>;
  using B = typename tessera::lane<T>::bits;
  for_pairs<T>([&](P a, P b, const T* first, const T* second) {
    B got[P::lanes];
    tessera::lane<P>::to_bits(tessera::lane<P>::from_bits(tessera::lane<P>::to_bits(on_packs(a, b)))).store_unaligned(got);
    for (int i = 0; i < P::lanes; ++i) {
      const B want = tessera::lane<T>::to_bits(on_numbers(first[i], second[i]));
      BOOST_TEST(got[i] == want, name << "(" << first[i] << ", " << second[i] << ")");
    }
  });
}

template <class T>
void check_bits() {
  using I = tessera::lane_index<T>;
  using U = std::make_unsigned_t<I>;
  using P = simd::pack<T>;
  check<T>("bit_cast there and back", [](P a, P) { return simd::bit_cast<T>(simd::bit_cast<I>(a)); }, [](T a, T) { return a; });
  check<I>(
      ">> without a sign", [](auto a, auto) { return simd::bit_cast<I>(simd::bit_cast<U>(a) >> 3); },
      [](I a, I) { return static_cast<I>(static_cast<U>(a) >> 3); });
  using B = typename tessera::lane<T>::bits;
  static_assert(std::is_same_v<typename tessera::lane<P>::bits, simd::pack<B>>);
  check<I>("&", [](auto a, auto b) { return a & b; }, [](I a, I b) { return a & b; });
  check<I>("|", [](auto a, auto b) { return a | b; }, [](I a, I b) { return a | b; });
  check<I>("^", [](auto a, auto b) { return a ^ b; }, [](I a, I b) { return a ^ b; });
  check<I>("~", [](auto a, auto) { return ~a; }, [](I a, I) { return ~a; });
  check<I>("<<", [](auto a, auto) { return a << 5; }, [](I a, I) { return static_cast<I>(static_cast<U>(a) << 5); });
  check<I>(">> keeps the sign", [](auto a, auto) { return a >> 3; }, [](I a, I) { return static_cast<I>(a >> 3); });
  check<I>(
      "operators without a sign",
      [](auto a, auto b) {
        const auto x = simd::bit_cast<B>(a), y = simd::bit_cast<B>(b);
        return simd::bit_cast<I>(((x >> 3) ^ ~y) + ((x & y) | (y << 7)) - x);
      },
      [](I a, I b) {
        const auto x = static_cast<B>(a), y = static_cast<B>(b);
        return static_cast<I>(((x >> 3) ^ ~y) + ((x & y) | (y << 7)) - x);
      });
  check_codes<T>("to_bits", [](P a, P) { return a; }, [](T a, T) { return a; });
  check_codes<T>("lane abs", [](P a, P) { return tessera::lane<P>::abs(a); }, [](T a, T) { return tessera::lane<T>::abs(a); });
  const auto copy = [](auto a, auto b) { return tessera::copysign(a, b); };
  const auto flip = [](auto a, auto b) { return tessera::flip_sign(a, b); };
  check_codes<T>("copysign", copy, copy);
  check_codes<T>("flip_sign", flip, flip);
  // A mask of floating-point lanes selects positions and codes.
  for_pairs<T>([](P a, P b, const T* first, const T* second) {
    using Q = simd::index_pack<T>;
    static_assert(Q::lanes == P::lanes);
    I got[Q::lanes];
    tessera::select(a < b, Q::iota(I(100)), Q(I(-1))).store_unaligned(got);
    for (int i = 0; i < Q::lanes; ++i) BOOST_TEST(got[i] == (first[i] < second[i] ? I(100 + i) : I(-1)));
    B codes[Q::lanes];
    tessera::select(a < b, tessera::lane<P>::to_bits(a), simd::pack<B>(B(7))).store_unaligned(codes);
    for (int i = 0; i < Q::lanes; ++i) BOOST_TEST(codes[i] == (first[i] < second[i] ? B(bits(first[i])) : B(7)));
  });
}

template <class T>
void check_each() {
  using P = simd::pack<T>;
  using B = typename tessera::lane<P>::bits;
  P a = P::iota(T(3));
  B b = B::iota(10);
  int calls = 0;
  tessera::lane<P>::each(
      [&](T& x, typename B::value_type& y) {
        BOOST_TEST(x == static_cast<T>(3 + calls));
        x *= T(2);
        y += static_cast<typename B::value_type>(calls++);
      },
      a, b);
  BOOST_TEST(calls == P::lanes);
  T numbers[P::lanes];
  typename B::value_type codes[P::lanes];
  a.store_unaligned(numbers);
  b.store_unaligned(codes);
  for (int l = 0; l < P::lanes; ++l) {
    BOOST_TEST(numbers[l] == static_cast<T>(6 + 2 * l));
    BOOST_TEST(codes[l] == static_cast<typename B::value_type>(10 + 2 * l));
  }
}

template <class T>
void check_lane_functions() {
  using P = simd::pack<T>;
  using lane = tessera::lane<P>;
  using number = tessera::lane<T>;
  const auto compare = [](const char* name, T x, P got, T want) {
    T lanes[P::lanes];
    got.store_unaligned(lanes);
    for (const T g : lanes) BOOST_TEST(bits(g) == bits(want), name << "(" << x << ") = " << g << ", not " << want);
  };
  for (int i = -40; i <= 40; ++i) {
    for (const T d : {T(0), T(0.25), T(0.5) - std::numeric_limits<T>::epsilon() / 4}) {
      const T x = static_cast<T>(i) / 2 + d;
      compare("floor", x, lane::floor(P(x)) + P(T(0)), std::floor(x) + T(0));
      BOOST_TEST(number::floor(x) == std::floor(x));
      compare("round", x, lane::round(P(x)) + P(T(0)), std::nearbyint(x) + T(0));
      BOOST_TEST(number::round(x) == std::nearbyint(x));
    }
  }
  constexpr int bias = sizeof(T) == 4 ? 127 : 1023;
  for (int n = -bias; n <= bias; ++n) {
    const T x = static_cast<T>(n);
    const T want = n == -bias ? T(0) : std::ldexp(T(1), n);
    compare("power_of_two", x, lane::power_of_two(P(x)), want);
    BOOST_TEST(bits(number::power_of_two(x)) == bits(want));
    P rounded;
    const P power = lane::template round_and_power<1>(P(x - T(1)) + P(T(0.25)), rounded);
    compare("round_and_power", x, power, want);
    compare("round_and_power's n", x, rounded, x - T(1));
    T r = 0;
    BOOST_TEST(bits(number::template round_and_power<1>(x - T(1) - T(0.25), r)) == bits(want));
    BOOST_TEST(r == x - T(1));
  }
  const int smallest = sizeof(T) == 4 ? -149 : -1074;
  for (int n = smallest; n <= bias; ++n) {
    for (const T m :
         {T(1), T(1.25), T(1.5) - std::numeric_limits<T>::epsilon(), T(1.5), T(1.75), T(2) - std::numeric_limits<T>::epsilon()}) {
      const T x = std::ldexp(m, n);
      if (std::isinf(x)) continue;
      int e = 0;
      T s = 2 * std::frexp(x, &e);
      --e;
      if (s >= T(1.5)) {
        s /= 2;
        ++e;
      }
      P significand, exponent;
      lane::split(P(x), significand, exponent);
      compare("significand", x, significand, s);
      compare("exponent", x, exponent + P(T(0)), static_cast<T>(e) + T(0));
      T number_s, number_e;
      number::split(x, number_s, number_e);
      BOOST_TEST(bits(number_s) == bits(s));
      BOOST_TEST(number_e == static_cast<T>(e));
    }
  }
}

template <class T>
void check_memory_and_any() {
  using P = simd::pack<T>;
  static_assert(simd::is_pack<P> && !simd::is_pack<T>);
  static_assert(tessera::lane<P>::width == P::lanes);
  alignas(P::alignment) T x[2 * P::lanes];
  for (int i = 0; i < 2 * P::lanes; ++i) x[i] = static_cast<T>(i + 3);
  BOOST_TEST(simd::all(P::load(x) == P::iota(T(3))));
  BOOST_TEST(simd::all(P::load_unaligned(x + 1) == P::iota(T(4))));
  BOOST_TEST(P::load_unaligned(x + 1).first() == T(4));
  P::iota(T(50)).store(x + P::lanes);
  P(T(7)).store_unaligned(x + 1);
  for (int i = 0; i < 2 * P::lanes; ++i) {
    const T want = i == 0 ? T(3) : i <= P::lanes ? T(7) : static_cast<T>(50 + i - P::lanes);
    BOOST_TEST(x[i] == want);
  }
  for (int i = 0; i < P::lanes; ++i) {
    const auto one = P::iota(T(0)) == P(static_cast<T>(i));
    BOOST_TEST(simd::any(one));
    BOOST_TEST(tessera::lane<P>::any(one));
    BOOST_TEST(simd::all(one) == (P::lanes == 1));
    BOOST_TEST(!simd::all(!one));
    BOOST_TEST(simd::any(!one) == (P::lanes > 1));
  }
  BOOST_TEST(simd::all(P(T(1)) == P(T(1))));
  BOOST_TEST(!simd::any(P(T(1)) == P(T(2))));
}

template <class T, int Rows>
void check_transpose() {
  using P = simd::pack<T>;
  P x[Rows];
  for (int r = 0; r < Rows; ++r) x[r] = P::iota(static_cast<T>(100 * r));
  simd::transpose(x);
  alignas(P::alignment) T flat[Rows * P::lanes];
  for (int r = 0; r < Rows; ++r) x[r].store(flat + r * P::lanes);
  int wrong = 0;
  for (int l = 0; l < P::lanes; ++l) {
    for (int r = 0; r < Rows; ++r) wrong += flat[l * Rows + r] != static_cast<T>(100 * r + l);
  }
  BOOST_TEST(wrong == 0);
}

template <class T>
void check_lane_bits() {
  using P = simd::pack<T>;
  for (int l = 0; l < P::lanes; ++l) BOOST_TEST(simd::lane_bits(P::iota(T(0)) == P(static_cast<T>(l))) == 1U << l);
  BOOST_TEST(simd::lane_bits(P(T(1)) < P(T(0))) == 0U);
  BOOST_TEST(simd::lane_bits(P(T(1)) > P(T(0))) == (P::lanes == 32 ? ~0U : (1U << P::lanes) - 1));
}

template <class T>
void check_stream() {
  using P = simd::pack<T>;
  alignas(64) T to[3 * P::lanes];
  for (T& x : to) x = T(-1);
  P::iota(T(5)).stream(to + P::lanes);
  simd::stream_fence();
  for (int l = 0; l < 3 * P::lanes; ++l) BOOST_TEST(to[l] == (l / P::lanes == 1 ? static_cast<T>(5 + l % P::lanes) : T(-1)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_pack)

BOOST_AUTO_TEST_CASE(operators_are_those_of_the_number) {
  check_operators<float>();
  check_operators<double>();
  check_operators<std::int32_t>();
  check_operators<std::int64_t>();
}

BOOST_AUTO_TEST_CASE(fma_rounds_once_where_the_machine_can) {
  const auto check_fma = [](auto one) {
    using T = decltype(one);
    using P = simd::pack<T>;
    const T e = std::numeric_limits<T>::epsilon();
    // (1 + e)^2 - (1 + 2e) = e^2, which a rounded product loses.
    const T got = tessera::fma(P(one + e), P(one + e), P(-(one + 2 * e))).first();
    BOOST_TEST(got == (simd::compat::has_fma<tessera::default_arch> ? e * e : T(0)));
    BOOST_TEST(tessera::fma(one + e, one + e, -(one + 2 * e)) == e * e);
  };
  check_fma(1.0F);
  check_fma(1.0);
#if defined(__FMA__)
  static_assert(simd::compat::has_fma<tessera::default_arch>);
#endif
}

BOOST_AUTO_TEST_CASE(bits_and_masks_across_element_types) {
  check_bits<float>();
  check_bits<double>();
}

BOOST_AUTO_TEST_CASE(each_lane_is_a_number) {
  check_each<float>();
  check_each<double>();
  static_assert(tessera::lane<simd::pack<float>>::fused == simd::compat::has_fma<tessera::default_arch>);
}

/// One odd lane among ordinary ones is found, wherever it is.
template <class T>
void check_ranges() {
  using P = simd::pack<T>;
  using lane = tessera::lane<P>;
  using number = tessera::lane<T>;
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  for (const T x : {T(0),
                    T(-0.0),
                    limits::denorm_min(),
                    -limits::denorm_min(),
                    limits::min(),
                    -limits::min(),
                    T(1),
                    T(-1),
                    T(-2),
                    std::nextafter(T(87), T(0)),
                    T(87),
                    T(-87),
                    T(1e30),
                    T(-1e30),
                    limits::max(),
                    limits::lowest(),
                    inf,
                    -inf,
                    limits::quiet_NaN(),
                    -limits::quiet_NaN(),
                    std::nextafter(limits::min(), T(0))}) {
    for (int at = 0; at < P::lanes; ++at) {
      T in[P::lanes];
      for (int i = 0; i < P::lanes; ++i) in[i] = i == at ? x : T(2);
      const P p = P::load_unaligned(in);
      BOOST_TEST(lane::any_outside(p, limits::min(), inf) == number::any_outside(x, limits::min(), inf), x);
      BOOST_TEST(lane::any_outside(p, T(1), T(87)) == number::any_outside(x, T(1), T(87)), x);
      BOOST_TEST(lane::any_beyond(p, T(87)) == number::any_beyond(x, T(87)), x);
    }
  }
}

BOOST_AUTO_TEST_CASE(ranges_of_all_lanes_in_one_test) {
  check_ranges<float>();
  check_ranges<double>();
}

BOOST_AUTO_TEST_CASE(numbers_are_taken_apart_and_put_together) {
  check_lane_functions<float>();
  check_lane_functions<double>();
}

BOOST_AUTO_TEST_CASE(memory_iota_any_all) {
  check_memory_and_any<float>();
  check_memory_and_any<double>();
  check_memory_and_any<std::int32_t>();
  check_memory_and_any<std::int64_t>();
}

BOOST_AUTO_TEST_CASE(a_transposition_puts_columns_one_after_another) {
  check_transpose<float, 1>();
  check_transpose<float, 2>();
  check_transpose<float, 4>();
  check_transpose<double, 2>();
  check_transpose<double, (simd::pack<double>::lanes >= 4 ? 4 : 2)>();
  check_transpose<float, (simd::pack<float>::lanes >= 8 ? 8 : 4)>();
}

BOOST_AUTO_TEST_CASE(bits_of_a_mask_are_its_lanes) {
  check_lane_bits<float>();
  check_lane_bits<double>();
}

// The end of what is streamed must not reach beyond, and what a thread streams it reads back at once.
BOOST_AUTO_TEST_CASE(streamed_numbers_arrive) {
  check_stream<float>();
  check_stream<double>();
}

BOOST_AUTO_TEST_SUITE_END()
