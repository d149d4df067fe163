// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/microkernel.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../support/random.hpp"
#include "tessera/simd/pack.hpp"
#include "tessera/tile/shape.hpp"

namespace {

using P = tessera::simd::pack<float>;
using shape = tessera::tile::block_shape<float, P::arch>;

static_assert(tessera::tile::fold_chunk % shape::rows == 0 && tessera::tile::value_chunk % shape::rows == 0);
static_assert(tessera::tile::fold_chunk % 6 == 0 && tessera::tile::fold_chunk % 8 == 0 && tessera::tile::value_chunk % 24 == 0,
              "chunks decide bits, so they are the same for every register file");

/// Panels of small integers, whose sums are exact in any order.
template <int Rows, int Packs>
struct block {
  static constexpr int width = Packs * P::lanes;
  std::int64_t depth;
  std::vector<float> a;
  alignas(64) float b[20 * width];

  explicit block(std::int64_t depth_) : depth(depth_), a(static_cast<std::size_t>(depth * Rows)) {
    for (std::size_t n = 0; n < a.size(); ++n) a[n] = static_cast<float>(support::below(1, n, 9) - 4);
    for (std::size_t n = 0; n < std::size(b); ++n) b[n] = static_cast<float>(support::below(2, n, 9) - 4);
  }

  template <class Kernel, class Term>
  int wrong(const Kernel& kernel, const Term& term) const {
    P sums[Rows][Packs];
    tessera::tile::clear(sums);
    sums[Rows - 1][Packs - 1] = P(1000.0f);  // what is there is added to
    kernel(depth, a.data(), std::int64_t{Rows}, b, std::int64_t{width}, sums);
    int result = 0;
    for (int r = 0; r < Rows; ++r) {
      for (int p = 0; p < Packs; ++p) {
        alignas(64) float lanes[P::lanes];
        sums[r][p].store(lanes);
        for (int l = 0; l < P::lanes; ++l) {
          float want = r == Rows - 1 && p == Packs - 1 ? 1000 : 0;
          for (std::int64_t k = 0; k < depth; ++k) {
            want += term(a[static_cast<std::size_t>(k * Rows + r)], b[k * width + p * P::lanes + l]);
          }
          result += lanes[l] != want;
        }
      }
    }
    return result;
  }
};

template <int Rows, int Packs>
int wrong_sums() {
  int wrong = 0;
  for (const std::int64_t depth : {0, 1, 2, 3, 4, 5, 7, 8, 19}) {
    const block<Rows, Packs> x(depth);
    wrong += x.wrong([](std::int64_t d, const float* a, std::int64_t as, const float* b, std::int64_t bs,
                        P(&sums)[Rows][Packs]) { tessera::tile::multiply_add<Rows, Packs, P>(d, a, as, b, bs, sums); },
                     [](float a, float b) { return a * b; });
    wrong += x.wrong([](std::int64_t d, const float* a, std::int64_t as, const float* b, std::int64_t bs,
                        P(&sums)[Rows][Packs]) { tessera::tile::add_squared_differences<Rows, Packs, P>(d, a, as, b, bs, sums); },
                     [](float a, float b) { return (a - b) * (a - b); });
  }
  return wrong;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_microkernel)

BOOST_AUTO_TEST_CASE(sums_of_every_block_shape) {
  BOOST_TEST((wrong_sums<1, 1>()) == 0);
  BOOST_TEST((wrong_sums<6, 2>()) == 0);
  BOOST_TEST((wrong_sums<8, 3>()) == 0);
  BOOST_TEST((wrong_sums<shape::rows, 1>()) == 0);
}

// One chain in rising order: the same number comes out of every lane and every block.
BOOST_AUTO_TEST_CASE(a_sum_has_the_same_bits_wherever_it_stands) {
  constexpr int depth = 100;
  float alone = 0;
  std::vector<float> a(depth);
  std::vector<float> b(depth);
  for (std::size_t k = 0; k < depth; ++k) {
    a[k] = static_cast<float>(support::normal(1, k));
    b[k] = static_cast<float>(support::normal(2, k));
    alone = tessera::simd::compat::has_fma<P::arch> ? std::fmaf(a[k], b[k], alone) : alone + a[k] * b[k];
  }
  const auto check = [&]<int Rows, int Packs>(P(&sums)[Rows][Packs]) {
    std::vector<float> rows(static_cast<std::size_t>(depth * Rows));
    alignas(64) static float panel[depth * 3 * P::lanes];
    constexpr int width = Packs * P::lanes;
    for (int k = 0; k < depth; ++k) {
      for (int r = 0; r < Rows; ++r) rows[static_cast<std::size_t>(k * Rows + r)] = a[static_cast<std::size_t>(k)];
      for (int c = 0; c < width; ++c) panel[k * width + c] = b[static_cast<std::size_t>(k)];
    }
    tessera::tile::clear(sums);
    tessera::tile::multiply_add(depth, rows.data(), std::int64_t{Rows}, panel, std::int64_t{width}, sums);
    int wrong = 0;
    for (auto& row : sums) {
      for (const P& sum : row) {
        alignas(64) float lanes[P::lanes];
        sum.store(lanes);
        for (const float x : lanes) wrong += x != alone;
      }
    }
    return wrong;
  };
  P tall[8][3];
  P flat[1][1];
  P middle[6][2];
  BOOST_TEST(check(tall) == 0);
  BOOST_TEST(check(flat) == 0);
  BOOST_TEST(check(middle) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
