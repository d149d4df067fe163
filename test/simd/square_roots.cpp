// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/simd/detail/square_roots.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <limits>

namespace {

template <int Bytes, class T>
int wrong_roots() {
  constexpr std::size_t size = 192;
  alignas(64) T x[size];
  int wrong = 0;
  for (std::size_t start = 0; start < 1000; ++start) {
    const auto number = [&](std::size_t i) {
      return std::ldexp(T(1) + static_cast<T>(start * size + i) * T(0x1p-18), static_cast<int>(start * size + i) % 60 - 30);
    };
    for (std::size_t i = 0; i < size; ++i) x[i] = number(i);
    tessera::simd::detail::square_roots<Bytes>(x);
    for (std::size_t i = 0; i < size; ++i) wrong += x[i] != std::sqrt(number(i));
  }
  return wrong;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd_square_roots)

using types = boost::mpl::list<float, double>;

BOOST_AUTO_TEST_CASE_TEMPLATE(equal_the_library_in_every_width, T, types) {
  BOOST_TEST((wrong_roots<8, T>()) == 0);
  BOOST_TEST((wrong_roots<16, T>()) == 0);
  BOOST_TEST((wrong_roots<32, T>()) == 0);
  BOOST_TEST((wrong_roots<64, T>()) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
