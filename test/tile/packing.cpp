// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/packing.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/array.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/simd/pack.hpp"

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::simd::pack;
namespace tile = tessera::tile;

/// [depth][Width] out of `count` neighbours; what is not there is 0, and nothing beyond is written.
template <int Width, class T, class S, class Pack, class Map>
int wrong_blocks(const Pack& run, const Map& map) {
  int wrong = 0;
  for (const std::int64_t depth : {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 50}) {
    for (std::int64_t count = 1; count <= Width; count += 1 + Width / 5) {
      matrix<S> source({count, depth}, {3});
      source.fill([](std::uint64_t n) { return support::below(1, n, 200) - 100; });
      const auto size = static_cast<std::size_t>(depth * Width);
      std::vector<T> to(size + 5, T(-7));
      run(to.data(), source, count, depth);
      for (std::int64_t k = 0; k < depth; ++k) {
        for (std::int64_t i = 0; i < Width; ++i) {
          const T want = i < count ? map(static_cast<T>(source(i, k)), k) : T(0);
          wrong += to[static_cast<std::size_t>(k * Width + i)] != want;
        }
      }
      for (std::size_t n = size; n < to.size(); ++n) wrong += to[n] != T(-7);
    }
  }
  return wrong;
}

/// Adds the position in depth, as centring does.
template <class P>
struct plus_depth {
  P operator()(P x, std::int64_t k) const { return x + P::iota(static_cast<typename P::value_type>(k)); }
};

template <int Width, class T, class S>
void check_transposed() {
  using P = pack<T>;
  const auto run = [](const auto& map) {
    return [map](T* to, const matrix<S>& source, std::int64_t count, std::int64_t depth) {
      tile::pack_transposed<Width, P>(to, source.view().data_handle(), source.view().stride(0), count, depth, map);
    };
  };
  BOOST_TEST((wrong_blocks<Width, T, S>(run(tile::as_stored{}), [](T x, std::int64_t) { return x; })) == 0);
  BOOST_TEST((wrong_blocks<Width, T, S>(run(plus_depth<P>{}), [](T x, std::int64_t k) { return x + static_cast<T>(k); })) == 0);
}

template <int Width, class T, class S>
void check_straight() {
  const auto run = [](T* to, const matrix<S>& source, std::int64_t count, std::int64_t depth) {
    // The same numbers by columns, with other columns beside them.
    matrix<S> columns({depth, count}, {5});
    columns.fill([&](std::uint64_t n) {
      return static_cast<double>(source(static_cast<std::int64_t>(n) % count, static_cast<std::int64_t>(n) / count));
    });
    tile::pack_straight<Width, pack<T>>(to, columns.view().data_handle(), columns.view().stride(0), count, depth);
  };
  BOOST_TEST((wrong_blocks<Width, T, S>(run, [](T x, std::int64_t) { return x; })) == 0);
}

/// Blocks of Width columns; columns of a last block that are not there are 0, and nothing beyond its rows is written.
template <int Width, class T, class S>
void check_blocks() {
  int wrong = 0;
  for (const std::int64_t width : {1, 2, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 50}) {
    for (const std::int64_t count : {0, 1, 2, 7, 13}) {
      for (const bool finite : {true, false}) {
        matrix<S> source({count, width}, {3});
        source.fill([](std::uint64_t n) { return support::below(1, n, 200) - 100; });
        if (!finite && count > 0) source(count - 1, width - 1) = static_cast<S>(std::numeric_limits<float>::quiet_NaN());
        const std::int64_t blocks = (width + Width - 1) / Width;
        const std::int64_t step = (count + 2) * Width;
        std::vector<T> to(static_cast<std::size_t>(blocks * step), T(-7));
        wrong += finite != tile::pack_blocks<Width, pack<T>>(to.data(), step, source.view().data_handle(),
                                                             source.view().stride(0), count, width) &&
                 count > 0;
        for (std::int64_t n = 0; n < blocks * step; ++n) {
          const std::int64_t row = n % step / Width;
          const std::int64_t column = n / step * Width + n % Width;
          const T want = row >= count ? T(-7) : column < width ? static_cast<T>(source(row, column)) : T(0);
          const T is = to[static_cast<std::size_t>(n)];
          wrong += is != want && !(std::isnan(is) && std::isnan(want));
        }
      }
    }
  }
  BOOST_TEST(wrong == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_packing)

BOOST_AUTO_TEST_CASE(rows_are_transposed) {
  check_transposed<6, float, float>();
  check_transposed<8, float, bfloat16>();
  check_transposed<48, float, float16>();
  check_transposed<16, double, double>();
  check_transposed<4, double, float>();
}

BOOST_AUTO_TEST_CASE(columns_are_copied) {
  check_straight<6, float, float>();
  check_straight<48, float, bfloat16>();
  check_straight<16, float, float16>();
  check_straight<8, double, double>();
}

BOOST_AUTO_TEST_CASE(columns_are_cut_into_blocks) {
  check_blocks<6, float, float>();
  check_blocks<8, float, bfloat16>();
  check_blocks<8, float, float>();
  check_blocks<6, double, float16>();
  check_blocks<16, float, float16>();
}

BOOST_AUTO_TEST_CASE(rows_are_stored_rounded_and_nothing_beyond) {
  for (std::int64_t n = 0; n < 70; ++n) {
    std::vector<float> from(80);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(support::normal(3, i));
    matrix<bfloat16> narrow({1, n});
    matrix<float> same({1, n});
    tile::store_row<pack<float>>(narrow.view().data_handle(), from.data(), n);
    tile::store_row<pack<float>>(same.view().data_handle(), from.data(), n);
    int wrong = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = from[static_cast<std::size_t>(i)];
      wrong += narrow(0, i).bits != bfloat16(x).bits || same(0, i) != x;
    }
    BOOST_TEST((wrong == 0 && narrow.gaps_untouched() && same.gaps_untouched()));
  }
}

BOOST_AUTO_TEST_CASE(squared_norms_of_a_block) {
  const std::int64_t depth = 40;
  std::vector<float> block(static_cast<std::size_t>(depth * 6));
  for (std::size_t n = 0; n < block.size(); ++n) block[n] = static_cast<float>(support::normal(4, n));
  float sums[6];
  tile::squared_norms<6, pack<float>>(sums, block.data(), depth);
  for (std::size_t i = 0; i < 6; ++i) {
    double want = 0;
    for (std::size_t k = 0; k < 40; ++k) want += static_cast<double>(block[k * 6 + i]) * static_cast<double>(block[k * 6 + i]);
    BOOST_TEST(std::fabs(static_cast<double>(sums[i]) - want) <= 41 * 0x1p-24 * want);
  }
}

BOOST_AUTO_TEST_SUITE_END()
