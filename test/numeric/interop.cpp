// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/interop.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "oracle.hpp"
#if __has_include(<eigen3/Eigen/Core>)
#include <eigen3/Eigen/Core>
#define TESSERA_TEST_EIGEN 1
#endif
#if __has_include(<cuda_fp16.h>) && __has_include(<cuda_bf16.h>) && __has_include(<cuda_fp8.h>)
// As PyTorch's builds have it.
#define __CUDA_NO_HALF_OPERATORS__
#define __CUDA_NO_HALF_CONVERSIONS__
#define __CUDA_NO_HALF2_OPERATORS__
#define __CUDA_NO_BFLOAT16_OPERATORS__
#define __CUDA_NO_BFLOAT16_CONVERSIONS__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#define TESSERA_TEST_CUDA 1
#endif

namespace {

struct foreign_half {
  unsigned short x;
};
struct foreign_brain {
  std::uint16_t raw = 0;
  constexpr foreign_brain() = default;
  constexpr explicit foreign_brain(std::uint16_t code) : raw(code) {}
};
struct foreign_quarter {
  unsigned char code;
};
struct unknown {
  std::uint16_t x;
};
struct not_copied_as_bits {
  std::uint16_t x;
  not_copied_as_bits(const not_copied_as_bits& other) : x(other.x) {}
};
struct too_large {
  std::uint32_t x;
};

}  // namespace

template <>
inline constexpr bool tessera::same_format<foreign_half, tessera::binary16> = true;
template <>
inline constexpr bool tessera::same_format<foreign_brain, tessera::brain16> = true;
template <>
inline constexpr bool tessera::same_format<foreign_quarter, tessera::ocp_e4m3> = true;
template <>
inline constexpr bool tessera::same_format<not_copied_as_bits, tessera::binary16> = true;
template <>
inline constexpr bool tessera::same_format<too_large, tessera::binary16> = true;
#if defined(TESSERA_TEST_EIGEN)
template <>
inline constexpr bool tessera::same_format<Eigen::half, tessera::binary16> = true;
template <>
inline constexpr bool tessera::same_format<Eigen::bfloat16, tessera::brain16> = true;
#endif

using numeric_test::of_code;
using numeric_test::oracle_of;
using numeric_test::tally;
using tessera::as;
using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;
using tessera::from_native;
using tessera::to_native;

BOOST_AUTO_TEST_SUITE(numeric_interop)

namespace {

static_assert(to_native<foreign_half>(float16(1.5)).x == 0x3e00);
static_assert(from_native(foreign_half{0x3e00}) == float16(1.5));
static_assert(from_native<float16>(foreign_half{0x3e00}) == float16(1.5));
static_assert(from_native(foreign_brain(0x3fc0)) == bfloat16(1.5) && to_native<foreign_brain>(bfloat16(1.5)).raw == 0x3fc0);
static_assert(from_native(foreign_quarter{0x7f}).bits == 0x7f && to_native<foreign_quarter>(float8_e4m3(448)).code == 0x7e);

template <class To, class From>
concept can_see_as = requires(From* p) { as<To>(p); };
template <class To, class From>
concept can_be_native = requires(From x) { to_native<To>(x); };
template <class From>
concept can_come_home = requires(From x) { from_native(x); };

static_assert(can_see_as<float16, foreign_half> && can_see_as<foreign_half, float16> && can_see_as<float16, std::uint16_t>);
static_assert(can_see_as<std::uint16_t, bfloat16> && can_see_as<std::uint8_t, float8_e5m2> && can_see_as<float16, float16>);
static_assert(!can_see_as<bfloat16, foreign_half> && !can_see_as<float16, float> && !can_see_as<float16, bfloat16>);
static_assert(!can_see_as<float16, unknown> && !can_see_as<float16, std::int16_t> && !can_see_as<float16, std::uint8_t>);
static_assert(!can_see_as<float16, not_copied_as_bits> && !can_see_as<float16, too_large> &&
              !can_see_as<float8_e4m3, float8_e5m2>);
static_assert(!can_be_native<foreign_half, bfloat16> && !can_be_native<unknown, float16> && !can_be_native<float, float16>);
static_assert(!can_come_home<unknown> && !can_come_home<std::uint16_t> && !can_come_home<float> && !can_come_home<too_large>);

static_assert(std::is_same_v<decltype(as<float16>(std::declval<foreign_half*>())), float16*>);
static_assert(std::is_same_v<decltype(as<float16>(std::declval<const foreign_half*>())), const float16*>);
static_assert(std::is_same_v<decltype(as<const float16>(std::declval<foreign_half*>())), const float16*>);
static_assert(std::is_same_v<decltype(as<const float16>(std::declval<const foreign_half*>())), const float16*>);

/// Every code to the foreign type and back, one by one and as an array.
template <class Foreign, class Ours>
void check_all_codes() {
  const std::uint32_t codes = oracle_of<Ours>().codes();
  tally wrong;
  std::vector<Foreign> foreign;
  for (std::uint32_t code = 0; code < codes; ++code) {
    const auto bits = static_cast<typename Ours::bits_type>(code);
    const Foreign there = to_native<Foreign>(of_code<Ours>(code));
    wrong.add(std::memcmp(&there, &bits, sizeof bits) == 0, code);
    wrong.add(from_native(there).bits == bits, code);
    wrong.add(from_native<Ours>(there).bits == bits, code);
    foreign.push_back(there);
  }
  Ours* const ours = as<Ours>(foreign.data());
  BOOST_TEST(static_cast<void*>(ours) == static_cast<void*>(foreign.data()));
  for (std::uint32_t code = 0; code < codes; ++code) {
    wrong.add(ours[code].bits == code, code);
    ours[code] = -ours[code];
  }
  Foreign* const again = as<Foreign>(ours);
  for (std::uint32_t code = 0; code < codes; ++code) wrong.add(from_native(again[code]).bits == (code ^ codes / 2), code);
  NUMERIC_CHECK_TALLY(wrong);
}

/// A value that the optimiser does not know.
template <class T>
T* opaque(T* p) {
  T* volatile hidden = p;
  return hidden;
}

}  // namespace

BOOST_AUTO_TEST_CASE(foreign_types_keep_every_code) {
  check_all_codes<foreign_half, float16>();
  check_all_codes<foreign_brain, bfloat16>();
  check_all_codes<foreign_quarter, float8_e4m3>();
}

// Two pointers to one place: a load of one type is hoisted over stores of the other, unless there is a border between them.
BOOST_AUTO_TEST_CASE(a_border_orders_stores_and_loads) {
  foreign_half array[1] = {{0}};
  foreign_half* const left = opaque(array);
  foreign_half* const right = opaque(array);
  unsigned sum = 0;
  for (unsigned short i = 0; i < 10; ++i) {
    *left = foreign_half{i};
    sum += as<float16>(right)->bits;
  }
  BOOST_TEST(sum == 45u);

  *left = foreign_half{1};
  *as<float16>(right) = float16::from_bits(2);
  BOOST_TEST(as<foreign_half>(left)->x == 2u);
}

BOOST_AUTO_TEST_CASE(the_compilers_own_half_is_known) {
#if defined(__FLT16_MANT_DIG__) && (!defined(__clang__) || __clang_major__ >= 15)
  static_assert(to_native<_Float16>(float16(1.5)) == _Float16(1.5f) && from_native(_Float16(0.1f)) == float16(0.1f));
  check_all_codes<_Float16, float16>();
  tally wrong;
  for (std::uint32_t code = 0; code <= 0x7c00; ++code) {
    wrong.add(static_cast<double>(to_native<_Float16>(of_code<float16>(code))) == static_cast<double>(of_code<float16>(code)),
              code);
  }
  NUMERIC_CHECK_TALLY(wrong);
#endif
#if defined(__STDCPP_FLOAT16_T__)
  static_assert(to_native<decltype(1.5f16)>(float16(1.5)) == 1.5f16);
#endif
#if defined(__STDCPP_BFLOAT16_T__)
  static_assert(to_native<decltype(1.5bf16)>(bfloat16(1.5)) == 1.5bf16);
#endif
#if defined(__clang__) && __clang_major__ >= 17 && defined(__SSE2__)
  check_all_codes<__bf16, bfloat16>();
#endif
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(eigens_types_need_one_line) {
#if defined(TESSERA_TEST_EIGEN)
  check_all_codes<Eigen::half, float16>();
  check_all_codes<Eigen::bfloat16, bfloat16>();
  Eigen::Matrix<Eigen::half, 2, 2> m;
  m << Eigen::half(1), Eigen::half(2), Eigen::half(3), Eigen::half(4);
  BOOST_TEST((as<float16>(m.data())[3] == 4));
#else
  BOOST_TEST_MESSAGE("Eigen is missing");
#endif
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(cudas_types_are_known_without_their_operators) {
#if defined(TESSERA_TEST_CUDA)
  check_all_codes<__half, float16>();
  check_all_codes<__nv_bfloat16, bfloat16>();
  check_all_codes<__nv_fp8_e4m3, float8_e4m3>();
  check_all_codes<__nv_fp8_e5m2, float8_e5m2>();
  BOOST_TEST(__half2float(to_native<__half>(float16(0.1))) == static_cast<float>(float16(0.1)));
  BOOST_TEST(from_native(__double2bfloat16(1 + 0x1.001p-8)).bits == bfloat16(1 + 0x1.001p-8).bits);
#else
  BOOST_TEST_MESSAGE("CUDA's headers are missing");
#endif
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
