// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The text of docs/how-to/write-a-reducer.md: the build cuts its code blocks out, this file compiles and runs them.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../online/laws.hpp"
#include "../support/array.hpp"
#include "../support/random.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/reference/contraction.hpp"
#include "tessera/tile/contraction.hpp"

namespace {
#include "docs/how-to/write-a-reducer_1.inc"
}  // namespace

BOOST_AUTO_TEST_SUITE(docs_write_a_reducer)

BOOST_AUTO_TEST_CASE(its_reducer_obeys_the_laws_it_states) {
  static_assert(tessera::reducer<margin, float> && tessera::reducer<margin, tessera::simd::pack<double>>);
  BOOST_TEST((laws::identity_changes<float>(margin{})) == 0);
  BOOST_TEST((laws::pack_differences<float>(margin{})) == 0);
  int wrong = 0;
  laws::each_cut<float>(margin{},
                        [&](const auto& got, const auto& whole, const auto&) { wrong += !laws::same_bits(got, whole); });
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(its_use_gives_the_margin_of_every_row) {
  const std::int64_t n = 100;
  support::matrix<float> query_rows({n, 12});
  support::matrix<float> key_rows({500, 12});
  query_rows.fill([](std::uint64_t i) { return support::below(1, i, 10); });  // small integers: every distance is exact
  key_rows.fill([](std::uint64_t i) { return support::below(2, i, 10); });
  const auto queries = query_rows.view();
  const auto keys = key_rows.view();
  std::vector<float> margins(static_cast<std::size_t>(n), -1);
#include "docs/how-to/write-a-reducer_2.inc"

  int wrong = 0;
  tessera::reference::contract(queries, keys, tessera::reference::squared_distance{}, tessera::reference::top_k<>{2},
                               [&](std::int64_t i, const auto& best) {
                                 wrong +=
                                     static_cast<double>(margins[static_cast<std::size_t>(i)]) != best[1].score - best[0].score;
                               });
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
