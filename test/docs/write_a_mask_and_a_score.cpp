// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The code of docs/how-to/write-a-mask-and-a-score.md: the build cuts it out, this file compiles and runs it.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tessera/attention/block_map.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/numeric/log.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/reference/attention.hpp"

BOOST_AUTO_TEST_SUITE(docs_mask_and_score)

namespace {

struct data {
  static constexpr std::int64_t size = 2 * 8 * 1024 * 16;
  std::vector<float> numbers[4];
  data() {
    for (std::uint64_t n = 0; n < 4; ++n) {
      numbers[n].resize(static_cast<std::size_t>(size));
      tessera::random::fill_normal(tessera::seq, tessera::view(numbers[n].data(), size), 1, n);
    }
  }
  tessera::view<float, 4> operator[](int n) { return tessera::view(numbers[n].data(), 2, 8, 1024, 16); }
};

/// The largest difference from the reference over some rows of a head.
template <class Visible, class Score>
double difference(const tessera::view<float, 4>& q, const tessera::view<float, 4>& k, const tessera::view<float, 4>& v,
                  const tessera::view<float, 4>& out, std::int64_t b, std::int64_t h, const Visible& visible,
                  const Score& score) {
  double worst = 0;
  for (std::int64_t i = 0; i < 1024; i += 37) {
    tessera::reference::scored_row<double> row;
    for (std::int64_t j = 0; j < 1024; ++j) {
      double s = 0;
      for (std::int64_t d = 0; d < 16; ++d) s += static_cast<double>(q(b, h, i, d)) * static_cast<double>(k(b, h, j, d)) / 4;
      if (visible(i, j)) row.push_back({j, score(s, i, j)});
    }
    const auto want = tessera::reference::weighted_mean(row, tessera::reference::rows<double>(v[b][h]), 16);
    for (std::int64_t c = 0; c < 16; ++c) {
      worst = std::fmax(worst, std::fabs(static_cast<double>(out(b, h, i, c)) - want[static_cast<std::size_t>(c)]));
    }
  }
  return worst;
}

}  // namespace

BOOST_AUTO_TEST_CASE(its_masks_and_scores_attend) {
  data all;
  const auto q = all[0];
  const auto k = all[1];
  const auto v = all[2];
  const auto out = all[3];
  const auto in_column = [](std::int64_t i, std::int64_t j) { return j <= i && (i - j) % 32 == 0; };
  const auto penalised = [](double s, std::int64_t i, std::int64_t j) {
    return s - 0.01 * std::log(1 + static_cast<double>(i - j));
  };
#include "docs/how-to/write-a-mask-and-a-score_1.inc"
  BOOST_TEST(difference(q, k, v, out, 1, 3, in_column, penalised) < 1e-5);
  const auto unmapped = all.numbers[3];
#include "docs/how-to/write-a-mask-and-a-score_2.inc"
  const auto capped = [](double s, std::int64_t, std::int64_t) { return 30 * std::tanh(s / 30); };
  const auto even = [](std::int64_t i, std::int64_t j) { return j <= i && (i + j + 5) % 2 == 0; };
  BOOST_TEST(difference(q, k, v, out, 0, 5, even, capped) < 1e-5);
#include "docs/how-to/write-a-mask-and-a-score_3.inc"
  BOOST_TEST(all.numbers[3] == unmapped);
}

BOOST_AUTO_TEST_SUITE_END()
