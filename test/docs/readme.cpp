// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The code of README.md: the build cuts it out, this file compiles and runs it.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "README_1.inc"
#include "tessera/online/extremum.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/tile/contraction.hpp"

BOOST_AUTO_TEST_SUITE(docs_readme)

BOOST_AUTO_TEST_CASE(its_first_example_attends) {
  const std::int64_t size = 2 * 8 * 1024 * 64;
  std::vector<float> q(size), k(size), v(size), out(size, -1);
  tessera::random::fill_normal(tessera::seq, tessera::view(q.data(), size), 1, 0);
  tessera::random::fill_normal(tessera::seq, tessera::view(k.data(), size), 1, 1);
  tessera::random::fill_normal(tessera::seq, tessera::view(v.data(), size), 1, 2);
  attend(q.data(), k.data(), v.data(), out.data());
  // Under the mask the first token of every head sees itself only.
  for (std::size_t head = 0; head < 16; ++head) {
    for (std::size_t c = 0; c < 64; ++c) BOOST_REQUIRE_EQUAL(out[head * 1024 * 64 + c], v[head * 1024 * 64 + c]);
  }
}

BOOST_AUTO_TEST_CASE(its_second_example_finds_every_code) {
  std::vector<float> rows(100 * 3);
  tessera::random::fill_normal(tessera::seq, tessera::view(rows.data(), 300), 1, 0);
  const tessera::view<const float, 2> points(rows.data(), 100, 3);
  const tessera::view<const float, 2> codebook = points;
  std::vector<int> codes(100, -1);
  int* const code = codes.data();
#include "README_2.inc"
  for (int i = 0; i < 100; ++i) BOOST_REQUIRE_EQUAL(code[i], i);
}

BOOST_AUTO_TEST_SUITE_END()
