// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The two products of a warp, each multiplication against float64: where every element of a fragment stands, and what its sums lose.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "../support/error.hpp"
#include "../support/random.hpp"
#include "device_array.hpp"
#include "orders.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/kernel.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/tile/load_tile.cuh"
#include "tessera/cuda/tile/product.cuh"
#include "tessera/cuda/tile/shared_tile.cuh"
#include "tessera/cuda/tile/swizzle.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/traits.hpp"

namespace {

using namespace tessera::cuda::tile;
using support::device_array;

constexpr int keys = 16;
constexpr int warps = 2;

template <class M, int RowBlocks, int Depth>
struct tiles {
  using element = typename multiplication<M>::element;
  static constexpr int rows = 16 * RowBlocks * warps;
  using left = shared_tile<element, rows, Depth>;
  using right = shared_tile<element, keys, Depth>;
  static constexpr std::size_t bytes = left::bytes + right::bytes;
};

/// scores = left . right; then values = weights . right, the weights being the scores (rounded as M rounds them).
template <class M, int RowBlocks, int Depth>
TESSERA_KERNEL void products_kernel(const typename multiplication<M>::element* left,
                                    const typename multiplication<M>::element* right, typename multiplication<M>::sum* scores,
                                    typename multiplication<M>::sum* values) {
  using namespace tessera::cuda;
  using all = tiles<M, RowBlocks, Depth>;
  using element = typename all::element;
  shared_cursor cursor(dynamic_shared_memory());
  const typename all::left a(cursor.take<element>(all::left::size));
  const typename all::right b(cursor.take<element>(all::right::size));
  load_tile<32 * warps, true>(a, [&](int r) { return left + r * Depth; }, Depth);
  load_tile<32 * warps, true>(b, [&](int r) { return right + r * Depth; }, Depth);
  commit_copies();
  wait_copies<0>();
  __syncthreads();
  warp_sums<M, RowBlocks, keys / 8> s;
  warp_sums<M, RowBlocks, Depth / 8> v;
  tessera::cuda::tile::detail::set_zero<M, RowBlocks, keys / 8>(s);
  tessera::cuda::tile::detail::set_zero<M, RowBlocks, Depth / 8>(v);
  const int row = 16 * RowBlocks * warp_id();
  add_scores<M, RowBlocks, keys / 8>(s, a, row, b);
  add_values<M, RowBlocks, keys / 8, Depth / 8>(v, s, b);
  for (int m = 0; m < RowBlocks; ++m) {
    for (int i = 0; i < 4; ++i) {
      const int r = row + 16 * m + fragment_row() + 8 * (i / 2);
      for (int n = 0; n < keys / 8; ++n) scores[r * keys + 8 * n + 2 * fragment_column() + i % 2] = s[m][n][i];
      for (int n = 0; n < Depth / 8; ++n) values[r * Depth + 8 * n + 2 * fragment_column() + i % 2] = v[m][n][i];
    }
  }
}

template <class X, class F>
std::vector<X> filled(int size, const F& f) {
  std::vector<X> result;
  for (int i = 0; i < size; ++i) result.push_back(static_cast<X>(static_cast<float>(f(static_cast<std::uint64_t>(i)))));
  return result;
}

/// `rounding` is what an operand loses on its way into a product, `weight_rounding` what a weight does, `u` the sums' unit roundoff.
template <class M, int RowBlocks, int Depth>
void check(double u, double rounding, double weight_rounding) {
  using all = tiles<M, RowBlocks, Depth>;
  using element = typename all::element;
  using sum = typename multiplication<M>::sum;
  constexpr bool differences = !std::is_same_v<M, element> && multiplication<M>::one_by_one;
  const auto a = filled<element>(all::rows * Depth, [](std::uint64_t n) { return support::normal(1, n); });
  const auto b = filled<element>(keys * Depth, [](std::uint64_t n) { return support::normal(2, n); });
  support::worst errors;
  support::in_several_orders([&] {
    const device_array<element> left(a);
    const device_array<element> right(b);
    const device_array<sum> scores(all::rows * keys);
    const device_array<sum> values(all::rows * Depth);
    tessera::cuda::launch(tessera::cuda::on(), {.block = dim3(32 * warps), .shared_bytes = all::bytes},
                          products_kernel<M, RowBlocks, Depth>, left.data(), right.data(), scores.data(), values.data());
    const auto s = scores.get();
    const auto v = values.get();
    const auto at = [](const auto& x, int i) { return static_cast<double>(x[static_cast<std::size_t>(i)]); };
    for (int r = 0; r < all::rows; ++r) {
      for (int j = 0; j < keys; ++j) {
        double exact = 0;
        double size = 0;
        for (int k = 0; k < Depth; ++k) {
          const double x = at(a, r * Depth + k);
          const double y = at(b, j * Depth + k);
          const double term = differences ? (x - y) * (x - y) : x * y;
          exact += term;
          size += std::fabs(term);
        }
        errors(at(s, r * keys + j), exact, size * (2 * rounding + 4 * Depth * u), "score", r, j);
      }
      for (int c = 0; c < Depth; ++c) {
        double exact = 0;
        double size = 0;
        for (int j = 0; j < keys; ++j) {
          const double term = at(s, r * keys + j) * at(b, j * Depth + c);
          exact += term;
          size += std::fabs(term);
        }
        errors(at(v, r * Depth + c), exact, size * (rounding + weight_rounding + 4 * keys * u), "value", r, c);
      }
    }
  });
  CHECK_WITHIN_BOUND(errors);
}

template <class M>
void check_depths(double u, double rounding, double weight_rounding) {
  check<M, 1, 16>(u, rounding, weight_rounding);
  check<M, 2, 64>(u, rounding, weight_rounding);
  check<M, 1, 48>(u, rounding, weight_rounding);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_fragments)

BOOST_AUTO_TEST_CASE(float16_products, *boost::unit_test::label("small")) {
  check_depths<tessera::float16>(0x1p-24, 0, 0x1.01p-11);
}
BOOST_AUTO_TEST_CASE(bfloat16_products) { check_depths<tessera::bfloat16>(0x1p-24, 0, 0x1.01p-8); }
BOOST_AUTO_TEST_CASE(tf32_products) { check_depths<tf32>(0x1p-24, 0x1.01p-11, 0x1.01p-11); }
BOOST_AUTO_TEST_CASE(float64_products) { check_depths<double>(0x1p-53, 0, 0); }
BOOST_AUTO_TEST_CASE(float32_products) { check_depths<float>(0x1p-24, 0, 0); }
BOOST_AUTO_TEST_CASE(squared_differences_in_float32) { check_depths<squared_differences<float>>(0x1p-24, 0, 0); }
BOOST_AUTO_TEST_CASE(squared_differences_in_float64) { check_depths<squared_differences<double>>(0x1p-53, 0, 0); }

// Eight rows that a matrix load reads at one chunk stand in different banks, whatever the length of rows.
BOOST_AUTO_TEST_CASE(swizzled_rows_meet_no_bank_twice) {
  const auto conflicts = [](auto chunks) {
    constexpr int count = decltype(chunks)::value;
    int met = 0;
    for (int chunk = 0; chunk < count; ++chunk) {
      for (int row = 0; row < 8; ++row) {
        for (int other = 0; other < row; ++other) {
          const auto bank = [&](int r) { return (r * count + swizzled_chunk<count>(r, chunk)) % 8; };
          met += bank(row) == bank(other);
        }
      }
    }
    return met;
  };
  BOOST_TEST(conflicts(std::integral_constant<int, 2>{}) == 0);
  BOOST_TEST(conflicts(std::integral_constant<int, 4>{}) == 0);
  BOOST_TEST(conflicts(std::integral_constant<int, 8>{}) == 0);
  BOOST_TEST(conflicts(std::integral_constant<int, 16>{}) == 0);
  BOOST_TEST(conflicts(std::integral_constant<int, 32>{}) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
