// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/matmul.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/matmul.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::seq
#define TESSERA_TESTED_TEAM tessera::par.threads(2)
#define TESSERA_TESTED_REFUSAL tessera::seq
#define TESSERA_TESTED_ON_CPU 1
#else
#define TESSERA_TESTED_TEAM TESSERA_TESTED_EXECUTOR
#endif

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::matmul;
using tessera::par;
using tessera::seq;
using tessera::view;

const auto exec = TESSERA_TESTED_EXECUTOR;
const auto team = TESSERA_TESTED_TEAM;

/// The roundings of a sum of k products, in units of u: as the docs have it for operands of 16 bits on the device, and for all others.
template <class TA, class TB>
double roundings_of(std::int64_t k) {
#if !defined(TESSERA_TESTED_ON_CPU)
  if (sizeof(TA) == 2 && std::is_same_v<TA, TB>) return 4 * static_cast<double>(k);
#endif
  return static_cast<double>(std::min<std::int64_t>(k, 128)) + static_cast<double>(k) / 128;
}

/// Which data: ordinary numbers, or numbers of 40 binades of which every sum keeps a few.
enum class data { normal, spread };

template <class T>
auto numbers(data which, std::uint64_t seed) {
  const int reach =
      std::is_same_v<T, float16> ? 4 : 20;  // squares of float16's smallest numbers would test float16, not the product
  return [=](std::uint64_t n) {
    return static_cast<T>(which == data::normal ? support::normal(seed, n) : support::spread(seed, n, -reach, reach));
  };
}

/// The transposed view: what was stored by rows is seen by columns.
template <class T>
view<T, 2> transposed(const view<T, 2>& v) {
  return {v.data_handle(), {v.extent(1), v.extent(0)}, {v.stride(1), v.stride(0)}};
}

/// One product against three loops in a wider type, with the bound of the docs. `kind` bit 0: a by columns, bit 1: b by columns.
template <class TA, class TB, class TC>
void check_product(support::worst& errors, std::int64_t m, std::int64_t n, std::int64_t k, int kind, data which,
                   std::int64_t gap) {
  using T = std::common_type_t<tessera::compute_t<TA>, tessera::compute_t<TB>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  const auto seed = static_cast<std::uint64_t>(m * 7919 + n * 104729 + k);
  matrix<TA> a_stored({kind & 1 ? k : m, kind & 1 ? m : k}, {gap});
  matrix<TB> b_stored({kind & 2 ? n : k, kind & 2 ? k : n}, {gap});
  matrix<TC> c({m, n}, {gap});
  a_stored.fill(numbers<TA>(which, seed));
  b_stored.fill(numbers<TB>(which, seed + 1));
  const view<TA, 2> a = kind & 1 ? transposed(a_stored.view()) : a_stored.view();
  const view<TB, 2> b = kind & 2 ? transposed(b_stored.view()) : b_stored.view();
  matmul(exec, a, b, c.view());

  const double roundings = roundings_of<TA, TB>(k);
  tessera::reference::matmul<Real>(a, b, [&](std::int64_t i, std::int64_t j, Real want) {
    double size = 0;
    for (std::int64_t s = 0; s < k; ++s) size += std::fabs(static_cast<double>(a(i, s)) * static_cast<double>(b(s, j)));
    const double last = std::is_same_v<T, TC> ? 0 : support::rounding<TC>(want) * 1.01;
    errors(static_cast<double>(c(i, j)), want, roundings * tessera::unit_roundoff<T> * size + last, m, n, k, "kind", kind, "at",
           i, j);
  });
  BOOST_TEST(c.gaps_untouched());
  BOOST_TEST((a_stored.untouched() && b_stored.untouched()));
}

struct size {
  std::int64_t m, n, k;
};

// Around the register blocks (6 or 8 rows; 16, 32 or 48 columns), the items (64 to 528 rows; up to 288 columns), the step of depth
// (128) and, for products with many columns, the slabs of depth (768 and more).
constexpr size sizes[] = {
    {1, 1, 1},     {1, 7, 2},     {2, 3, 127},   {3, 5, 128},   {5, 8, 129},     {6, 15, 16},    {7, 16, 17},     {8, 17, 3},
    {9, 31, 31},   {12, 32, 33},  {13, 33, 64},  {15, 47, 65},  {16, 48, 5},     {17, 49, 384},  {31, 63, 100},   {33, 64, 385},
    {47, 65, 7},   {48, 95, 96},  {49, 96, 97},  {64, 97, 8},   {65, 127, 15},   {96, 128, 47},  {97, 129, 48},   {100, 1, 257},
    {1, 100, 255}, {191, 9, 63},  {192, 24, 9},  {193, 25, 10}, {385, 2, 21},    {2, 255, 20},   {3, 256, 19},    {4, 257, 18},
    {10, 384, 6},  {11, 385, 4},  {7, 767, 11},  {6, 768, 12},  {5, 769, 13},    {3, 3071, 1},   {2, 5, 3071},    {5, 2, 3072},
    {7, 3, 3073},  {9, 17, 6145}, {1, 1, 10000}, {191, 31, 97}, {1, 7000, 1000}, {6900, 2, 800}, {3, 5000, 1931}, {200, 200, 40},
};

template <class TA, class TB, class TC>
void check_products(int first, int step, data which) {
  support::worst errors;
  for (std::size_t s = static_cast<std::size_t>(first); s < std::size(sizes); s += static_cast<std::size_t>(step)) {
#if !defined(TESSERA_TESTED_ON_CPU)
    if ((sizes[s].m + sizes[s].n) * sizes[s].k > 1000000) continue;  // cut into slabs on the CPU, and slow elsewhere
#endif
    const int kind = static_cast<int>(s) % 4;
    check_product<TA, TB, TC>(errors, sizes[s].m, sizes[s].n, sizes[s].k, kind, which,
                              s % 3 == 0 ? 0 : static_cast<std::int64_t>(s % 5));
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_matmul)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) {
  check_products<float, float, float>(0, 1, data::normal);
  check_products<float, float, float>(0, 2, data::spread);
}

BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) {
  check_products<double, double, double>(0, 2, data::normal);
  check_products<double, double, double>(1, 2, data::spread);
}

BOOST_AUTO_TEST_CASE(sixteen_bit_storage_is_within_its_bound) {
  check_products<bfloat16, bfloat16, bfloat16>(0, 2, data::normal);
  check_products<float16, float16, float16>(1, 2, data::spread);
}

BOOST_AUTO_TEST_CASE(mixtures_are_within_their_bound) {
  check_products<bfloat16, float, float>(0, 3, data::normal);
  check_products<float, float16, bfloat16>(1, 3, data::normal);
  check_products<double, bfloat16, float>(2, 3, data::spread);
}

// 1 + 127 numbers that each just fail to change it: every rounding of the chain is lost to the same side.
BOOST_AUTO_TEST_CASE(bound_holds_where_every_rounding_goes_the_same_way) {
  for (const double tiny : {0x0.ffp-24, 0x1.01p-24}) {
    const std::int64_t k = 128;
    matrix<float> a({1, k});
    matrix<float> b({k, 1});
    matrix<float> c({1, 1});
    a.fill([](std::uint64_t) { return 1.0; });
    b.fill([&](std::uint64_t n) { return n == 0 ? 1.0 : tiny; });
    matmul(exec, a.view(), b.view(), c.view());
    const double want = 1 + static_cast<double>(k - 1) * tiny;
    const double error = std::fabs(static_cast<double>(c(0, 0)) - want);
    BOOST_TEST(error <= 129 * 0x1p-24 * want);
    BOOST_TEST(error >= 100 * 0x1p-24);  // so the bound cannot be much lower
  }
}

BOOST_AUTO_TEST_CASE(depth_zero_gives_zeros) {
  matrix<float> a({5, 0});
  matrix<bfloat16> b({0, 50});
  matrix<float> c({5, 50}, {3});
  matmul(exec, a.view(), b.view(), c.view());
  for (const float x : c.elements()) BOOST_TEST(x == 0);
  BOOST_TEST(c.gaps_untouched());
  matrix<float16> narrow({5, 50});
  matmul(team, a.view(), b.view(), narrow.view());
  for (const float16 x : narrow.elements()) BOOST_TEST(float(x) == 0);
}

BOOST_AUTO_TEST_CASE(empty_products_touch_nothing) {
  matrix<float> a({4, 3});
  matrix<float> b({3, 4});
  matrix<float> c({4, 4});
  a.fill([](std::uint64_t) { return 1; });
  b.fill([](std::uint64_t) { return 1; });
  matmul(exec, view<float, 2>(nullptr, 0, 3), b.view(), view<float, 2>(nullptr, 0, 4));
  matmul(exec, a.view(), view<float, 2>(nullptr, 3, 0), view<float, 2>(nullptr, 4, 0));
  matmul(exec, view<float, 2>(), view<float, 2>(), view<float, 2>());
  BOOST_TEST(c.untouched());
}

BOOST_AUTO_TEST_CASE(nan_and_inf_stay_in_their_rows_and_columns) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  matrix<float> a({20, 37});
  matrix<float> b({37, 50});
  matrix<float> c({20, 50});
  a.fill([](std::uint64_t n) { return 1 + 0.01 * static_cast<double>(n % 7); });
  b.fill([](std::uint64_t n) { return 1 + 0.01 * static_cast<double>(n % 5); });
  a(3, 36) = nan;
  a(7, 0) = inf;
  b(5, 49) = nan;
  b(6, 17) = -inf;
  b(0, 20) = 0;
  matmul(exec, a.view(), b.view(), c.view());
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t j = 0; j < 50; ++j) {
      const bool is_nan = i == 3 || j == 49 || (i == 7 && (j == 17 || j == 20));  // inf - inf, inf * 0
      const bool is_inf = !is_nan && (i == 7 || j == 17);
      BOOST_TEST_INFO(i << ", " << j << ": " << c(i, j));
      BOOST_TEST((std::isnan(c(i, j)) == is_nan && std::isinf(c(i, j)) == is_inf));
    }
  }
}

BOOST_AUTO_TEST_CASE(subnormals_are_kept) {
  matrix<float> a({9, 3});
  matrix<float> b({3, 9});
  matrix<float> c({9, 9});
  a.fill([](std::uint64_t) { return 0x1p-100; });
  b.fill([](std::uint64_t) { return 0x1p-45; });
  matmul(exec, a.view(), b.view(), c.view());
  for (const float x : c.elements()) BOOST_TEST(x == 0x3p-145f);
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(same_bits_for_every_team_and_every_part_of_the_product) {
  const std::int64_t m = 203;
  const std::int64_t n = 391;
  const std::int64_t k = 401;
  matrix<float> a({m, k});
  matrix<bfloat16> b({k, n});
  matrix<float> whole({m, n});
  a.fill(numbers<float>(data::spread, 1));
  b.fill(numbers<bfloat16>(data::normal, 2));
  matmul(seq, a.view(), b.view(), whole.view());
  const auto same_with = [&](const auto& exec) {
    matrix<float> c({m, n}, {1});
    matmul(exec, a.view(), b.view(), c.view());
    return c.same_elements(whole);
  };
  BOOST_TEST(same_with(par.threads(1)));
  BOOST_TEST(same_with(par.threads(2)));
  BOOST_TEST(same_with(par.threads(3)));
  BOOST_TEST(same_with(par.on(support::thread_per_call{})));
  BOOST_TEST(same_with(par.on(support::one_by_one{})));

  const auto same_part = [&](std::int64_t i0, std::int64_t rows, std::int64_t j0, std::int64_t columns) {
    matrix<float> c({rows, columns});
    const view<float, 2> a_part(&a(i0, 0), {rows, k}, {k, 1});
    const view<bfloat16, 2> b_part(&b(0, j0), {k, columns}, {n, 1});
    matmul(seq, a_part, b_part, c.view());
    for (std::int64_t i = 0; i < rows; ++i) {
      if (std::memcmp(&c(i, 0), &whole(i0 + i, j0), static_cast<std::size_t>(columns) * sizeof(float)) != 0) return false;
    }
    return true;
  };
  BOOST_TEST(same_part(0, 1, 0, 1));
  BOOST_TEST(same_part(202, 1, 390, 1));
  BOOST_TEST(same_part(5, 13, 7, 100));
  BOOST_TEST(same_part(191, 7, 200, 17));
}

// Wide products are cut into slabs of depth, and how many depends on their size.
BOOST_AUTO_TEST_CASE(same_bits_for_every_number_of_slabs) {
  const std::int64_t n = 7000;
  const std::int64_t k = 1931;
  matrix<float> a({2, k});
  matrix<float> b({k, n});
  matrix<float> whole({2, n});
  matrix<bfloat16> narrow({2, n});
  a.fill(numbers<float>(data::spread, 9));
  b.fill([](std::uint64_t e) { return static_cast<double>(support::below(10, e, 2001)) / 1000 - 1; });
  matmul(seq, a.view(), b.view(), whole.view());
  matmul(seq, a.view(), b.view(), narrow.view());
  int wrong = 0;
  for (const std::int64_t j0 : {0, 1000, 6950}) {
    matrix<float> part({2, 50});
    matmul(seq, a.view(), view<const float, 2>(&b(0, j0), {k, 50}, {n, 1}), part.view());
    for (std::int64_t i = 0; i < 2; ++i) {
      for (std::int64_t j = 0; j < 50; ++j) {
        wrong += std::memcmp(&part(i, j), &whole(i, j0 + j), sizeof(float)) != 0 ||
                 narrow(i, j0 + j).bits != bfloat16(part(i, j)).bits;
      }
    }
  }
  BOOST_TEST(wrong == 0);
}

// A large c on cache lines is written past the caches, one beside them is not; both go on from slab to slab.
BOOST_AUTO_TEST_CASE(same_bits_wherever_a_large_result_lies) {
  const std::int64_t m = 160;
  const std::int64_t n = 7040;
  const std::int64_t k = 1931;
  matrix<float> a({m, k});
  matrix<float> b({k, n});
  a.fill(numbers<float>(data::spread, 11));
  b.fill([](std::uint64_t e) { return static_cast<double>(support::below(12, e, 2001)) / 1000 - 1; });
  std::vector<float> memory(static_cast<std::size_t>(m * n + 32), 7.0F);
  float* const line = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) / sizeof(float) % 16;
  matrix<float> part({3, 50});
  for (float* const c : {line, line + 1}) {
    std::fill(memory.begin(), memory.end(), 7.0F);
    matmul(par.threads(2), a.view(), b.view(), view<float, 2>(c, m, n));
    int wrong = 0;
    for (const std::int64_t j0 : {0, 3001, 6990}) {
      for (const std::int64_t i0 : {0, 64, 157}) {
        matmul(seq, view<const float, 2>(&a(i0, 0), {3, k}, {k, 1}), view<const float, 2>(&b(0, j0), {k, 50}, {n, 1}),
               part.view());
        for (std::int64_t i = 0; i < 3; ++i) wrong += std::memcmp(c + (i0 + i) * n + j0, &part(i, 0), 50 * sizeof(float)) != 0;
      }
    }
    BOOST_TEST(wrong == 0);
    BOOST_TEST((memory.front() == 7 || c == memory.data()));
    BOOST_TEST(c[m * n] == 7);
  }
}
#endif

// c in float32 is summed up in place, c in bfloat16 in scratch: the sums are the same, then rounded once.
BOOST_AUTO_TEST_CASE(narrow_results_are_the_wide_ones_rounded_once) {
  for (const std::int64_t k : {50, 3072, 3073, 7000}) {
    matrix<float> a({9, k});
    matrix<float> b({k, 70});
    matrix<float> wide({9, 70});
    matrix<bfloat16> narrow({9, 70}, {2});
    a.fill(numbers<float>(data::normal, 3));
    b.fill(numbers<float>(data::normal, 4));
    matmul(exec, a.view(), b.view(), wide.view());
    matmul(team, a.view(), b.view(), narrow.view());
    int wrong = 0;
    for (std::int64_t i = 0; i < 9; ++i) {
      for (std::int64_t j = 0; j < 70; ++j) wrong += narrow(i, j).bits != bfloat16(wide(i, j)).bits;
    }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(takes_strided_broadcast_and_reversed_operands) {
  matrix<float> a({1, 40});
  matrix<float> b({40, 30});
  matrix<float> c({5, 30});
  a.fill(numbers<float>(data::normal, 5));
  b.fill(numbers<float>(data::normal, 6));
  matmul(exec, view<float, 2>(&a(0, 0), {5, 40}, {0, 1}), b.view(), c.view());  // one row seen five times
  matrix<float> one({1, 30});
  matmul(exec, a.view(), b.view(), one.view());
  for (std::int64_t i = 0; i < 5; ++i) BOOST_TEST(std::memcmp(&c(i, 0), &one(0, 0), 30 * sizeof(float)) == 0);

  matrix<float> reversed({40, 30});
  reversed.fill([&](std::uint64_t n) { return b(39 - static_cast<std::int64_t>(n) / 30, static_cast<std::int64_t>(n) % 30); });
  matrix<float> again({1, 30});
  matmul(exec, a.view(), view<float, 2>(&reversed(39, 0), {40, 30}, {-30, 1}), again.view());
  BOOST_TEST(again.same_elements(one));
}

#if defined(TESSERA_TESTED_ON_CPU)
BOOST_AUTO_TEST_CASE(takes_scratch_once_from_the_given_resource) {
  matrix<float> a({70, 3100});
  matrix<float> b({3100, 90});
  matrix<bfloat16> c({70, 90});
  a.fill(numbers<float>(data::normal, 7));
  b.fill(numbers<float>(data::normal, 8));
  support::counting_resource memory;
  matmul(par.threads(2).scratch(&memory), a.view(), b.view(), c.view());
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.all_returned());
  // (n + 64 a worker) k numbers, m n sums between slabs and as many between steps, each rounded up to whole blocks.
  BOOST_TEST(memory.bytes() <= sizeof(float) * ((90 + 48 + 2 * 72) * 3100 + 70 * 90 + 2 * 72 * (90 + 48)) + 1024);

  matrix<bfloat16> untouched({70, 90});
  support::exhausted_resource none;
  BOOST_CHECK_THROW(matmul(seq.scratch(&none), a.view(), b.view(), untouched.view()), std::bad_alloc);
  BOOST_TEST(untouched.untouched());
}
#endif

BOOST_AUTO_TEST_CASE(refuses_bad_arguments_before_c_is_touched) {
  matrix<float> a({4, 3});
  matrix<float> b({3, 5});
  matrix<float> c({4, 5});
  a.fill([](std::uint64_t) { return 1; });
  b.fill([](std::uint64_t) { return 1; });
  float* const data = &a(0, 0);
  const auto refusing = TESSERA_TESTED_REFUSAL;
  CHECK_REFUSED("matmul: b: ", matmul(refusing, a.view(), a.view(), c.view()));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(&c(0, 0), 5, 4)));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(&c(0, 0), 4, 4)));
  CHECK_REFUSED("matmul: a: null data", matmul(refusing, view<float, 2>(nullptr, 4, 3), b.view(), c.view()));
  CHECK_REFUSED("matmul: b: ", matmul(refusing, a.view(), view<float, 2>(nullptr, 3, 5), c.view()));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(nullptr, 4, 5)));
  CHECK_REFUSED("matmul: a: shape [-4, 3]", matmul(refusing, view<float, 2>(data, -4, 3), b.view(), c.view()));
  CHECK_REFUSED("matmul: a: strides 6, 2", matmul(refusing, view<float, 2>(data, {4, 3}, {6, 2}), b.view(), c.view()));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(&c(0, 0), {4, 5}, {1, 4})));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(data, 4, 5)));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(&b(0, 0) - 19, 4, 5)));
  BOOST_TEST((a.untouched() && b.untouched() && c.untouched()));
}

// Rows of c that lie on one another would be written by several threads.
BOOST_AUTO_TEST_CASE(refuses_an_output_that_overlaps_itself) {
  matrix<float> a({4, 3});
  matrix<float> b({3, 5});
  matrix<float> c({4, 5});
  a.fill([](std::uint64_t) { return 1; });
  b.fill([](std::uint64_t) { return 1; });
  const auto refusing = TESSERA_TESTED_REFUSAL;
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(&c(0, 0), {4, 5}, {0, 1})));
  CHECK_REFUSED("matmul: c: ", matmul(refusing, a.view(), b.view(), view<float, 2>(&c(0, 0), {4, 5}, {3, 1})));
  BOOST_TEST(c.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
