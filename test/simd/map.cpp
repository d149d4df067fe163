// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Mapping over arrays: every number once, nothing outside, the same result at every place, whatever the types in memory.
#include "tessera/simd/map.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/simd/math.hpp"

namespace {

namespace simd = tessera::simd;
using tessera::bfloat16;
using tessera::float16;

/// 3 x + 1, which is not 0 at 0: what an absent number gives is seen if it is stored.
const auto affine = [](auto x) {
  using P = decltype(x);
  using T = typename P::value_type;
  return x * P(T(3)) + P(T(1));
};

template <class S, class D, class V>
void check_types() {
  constexpr int lanes = simd::pack<V>::lanes;
  for (int n = 0; n <= 9 * lanes + 3; ++n) {
    for (int shift = 0; shift < 3; ++shift) {
      const auto size = static_cast<std::size_t>(n + shift) + 1;
      std::vector<S> in(size, S(-7.0F));
      std::vector<D> out(size, D(-9.0F));
      for (int i = 0; i < n; ++i) in[static_cast<std::size_t>(i + shift)] = S(static_cast<float>(i % 37) * 0.25F);
      simd::transform(in.data() + shift, out.data() + shift, n, affine);
      for (int i = -shift; i <= n; ++i) {
        const float x = static_cast<float>(i % 37) * 0.25F;
        const D want = i >= 0 && i < n ? static_cast<D>(static_cast<V>(x) * V(3) + V(1)) : D(-9.0F);
        BOOST_TEST(static_cast<double>(out[static_cast<std::size_t>(i + shift)]) == static_cast<double>(want), n << ' ' << i);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_map)

BOOST_AUTO_TEST_CASE(all_lengths_places_and_types) {
  check_types<float, float, float>();
  check_types<double, double, double>();
  check_types<float16, float16, float>();
  check_types<bfloat16, bfloat16, float>();
  check_types<float16, float, float>();
  check_types<float, bfloat16, float>();
  check_types<float, double, double>();
  check_types<double, float, double>();
}

BOOST_AUTO_TEST_CASE(in_place) {
  std::vector<float> x(1000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  simd::transform(x.data(), x.data(), static_cast<std::int64_t>(x.size()), affine);
  for (std::size_t i = 0; i < x.size(); ++i) BOOST_TEST(x[i] == 3 * static_cast<float>(i) + 1);
}

BOOST_AUTO_TEST_CASE(the_bits_of_the_number_function_at_every_place) {
  if constexpr (!simd::compat::has_fma<tessera::default_arch>) return;
  std::vector<float> x(533);
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0.7F - 180;
  simd::transform(x.data(), y.data(), static_cast<std::int64_t>(x.size()), [](auto v) { return tessera::exp(v); });
  for (std::size_t i = 0; i < x.size(); ++i) BOOST_TEST(y[i] == tessera::exp(x[i]));
}

BOOST_AUTO_TEST_CASE(nothing_to_do_touches_nothing) {
  simd::transform(static_cast<const float*>(nullptr), static_cast<float*>(nullptr), 0, affine);
  float x = 1;
  BOOST_CHECK_EXCEPTION(simd::transform(&x, &x, -1, affine), tessera::argument_error, [](const tessera::argument_error& e) {
    return std::string(e.what()) == "simd::transform: n: -1; needs to be 0 or more";
  });
  BOOST_TEST(x == 1.0F);
}

BOOST_AUTO_TEST_SUITE_END()
