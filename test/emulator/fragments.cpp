// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// A wrong index within a fragment breaks no rule of memory or order: it shows in the product, which leaves its bound.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "support.hpp"
#include "tessera/cuda/tile/mma.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

namespace tile = tessera::cuda::tile;

enum class planted { nothing, registers_of_a, halves_of_a, registers_of_b, rows_of_c };

/// out [16, 8] = a [16, 16] b [16, 8], fragments filled by hand as the PTX manual lays them out.
template <class M>
__global__ void product(const M* a, const M* b, float* out, planted mistake) {
  const int g = static_cast<int>(threadIdx.x) / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const auto pair = [](M low, M high) {
    std::uint16_t bits[2];
    std::memcpy(bits, &low, 2);
    std::memcpy(bits + 1, &high, 2);
    return static_cast<std::uint32_t>(bits[0] | bits[1] << 16);
  };
  tile::left_fragment<M> left;
  for (int i = 0; i < 4; ++i) {
    const M* const from = a + (g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2);
    left.r[i] = mistake == planted::halves_of_a ? pair(from[1], from[0]) : pair(from[0], from[1]);
  }
  if (mistake == planted::registers_of_a) std::swap(left.r[1], left.r[2]);
  tile::right_fragment<M> right;
  for (int i = 0; i < 2; ++i) right.r[i] = pair(b[(2 * t + 8 * i) * 8 + g], b[(2 * t + 1 + 8 * i) * 8 + g]);
  if (mistake == planted::registers_of_b) std::swap(right.r[0], right.r[1]);
  float c[4] = {};
  tile::multiply_add<M>(c, left, right);
  for (int i = 0; i < 4; ++i) {
    const int row = mistake == planted::rows_of_c ? 2 * g + i / 2 : g + 8 * (i / 2);
    out[row * 8 + 2 * t + i % 2] = c[i];
  }
}

/// The greatest error in units of the bound of a float32 sum of 16 exact products.
template <class M>
double error(planted mistake) {
  std::vector<M> a(16 * 16);
  std::vector<M> b(16 * 8);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<M>(static_cast<float>(i * 37 % 101) / 64.0f - 0.7f);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<M>(static_cast<float>(i * 53 % 97) / 64.0f - 0.8f);
  const device_array<M> on_device_a(a);
  const device_array<M> on_device_b(b);
  const device_array<float> out(16 * 8);
  emulator::launch(1, 32, 0, product<M>, on_device_a.data(), on_device_b.data(), out.data(), mistake);
  const auto got = out.host();
  double worst = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 8; ++j) {
      double sum = 0;
      double size = 0;
      for (std::size_t k = 0; k < 16; ++k) {
        const double term =
            static_cast<double>(static_cast<float>(a[i * 16 + k])) * static_cast<double>(static_cast<float>(b[k * 8 + j]));
        sum += term;
        size += std::abs(term);
      }
      worst = std::max(worst, std::abs(static_cast<double>(got[i * 8 + j]) - sum) / (16 * 0x1p-24 * size));
    }
  }
  return worst;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_fragments)

BOOST_AUTO_TEST_CASE(a_product_of_fragments_is_within_its_bound) {
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    BOOST_TEST(error<tessera::float16>(planted::nothing) <= 1);
    BOOST_TEST(error<tessera::bfloat16>(planted::nothing) <= 1);
  }
}

BOOST_AUTO_TEST_CASE(planted_fragment_index_is_caught) {
  for (const planted mistake : {planted::registers_of_a, planted::halves_of_a, planted::registers_of_b, planted::rows_of_c}) {
    BOOST_TEST(error<tessera::float16>(mistake) > 1000);
    BOOST_TEST(error<tessera::bfloat16>(mistake) > 1000);
  }
}

BOOST_AUTO_TEST_SUITE_END()
