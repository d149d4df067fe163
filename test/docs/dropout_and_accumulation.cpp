// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The code of docs/how-to/dropout-and-accumulation.md.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../support/random.hpp"
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/random/streams.hpp"

BOOST_AUTO_TEST_CASE(dropout_and_accumulation) {
  constexpr std::int64_t heads = 2, len_q = 40, dim = 8;
  constexpr std::size_t size = heads * len_q * dim;
  const int step = 3, layer = 1;
  const std::int64_t head = 1, query = 30, key_index = 7;
  std::vector<float> numbers(8 * size + heads * len_q);
  for (std::size_t n = 0; n < 4 * size; ++n) numbers[n] = static_cast<float>(support::normal(1, n));
  const auto rows = [&](std::size_t n) { return tessera::view<float, 4>(numbers.data() + n * size, 1, heads, len_q, dim); };
  const auto q = rows(0), k = rows(1), v = rows(2), dout = rows(3), out = rows(4), dq = rows(5), dk = rows(6), dv = rows(7);
  const tessera::view<float, 3> lse(numbers.data() + 8 * size, 1, heads, len_q);
  std::vector<double> wide(size);
  const tessera::view<double, 4> wide_out(wide.data(), 1, heads, len_q, dim);
#include "docs/how-to/dropout-and-accumulation_1.inc"
  const attention::dropout same{0.1, key.seed, key.stream};
  BOOST_TEST(kept == same.keeps(0, 1, 30, 7, 2, 40));
  // A row that sees one key is its value, divided by the share that is kept, or 0.
  const bool first = options.dropout.keeps(0, 0, 0, 0, heads, len_q);
  BOOST_TEST(std::fabs(out(0, 0, 0, 0) - (first ? v(0, 0, 0, 0) / 0.9f : 0.0f)) < 1e-6f);
#include "docs/how-to/dropout-and-accumulation_2.inc"
  double worst = 0;
  for (std::int64_t i = 0; i < len_q; ++i)
    worst = std::fmax(worst, std::fabs(wide_out(0, 1, i, 3) - static_cast<double>(out(0, 1, i, 3))));
  BOOST_TEST((worst > 0 && worst < 1e-5));
}
