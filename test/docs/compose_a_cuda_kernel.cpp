// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The text of docs/how-to/compose-a-cuda-kernel.md: the build cuts its code blocks out, this file compiles them and runs them on the emulator.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "../cuda/mirror.hpp"
#include "../support/array.hpp"
#include "../support/random.hpp"
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/reference/contraction.hpp"

namespace {
#include "docs/how-to/compose-a-cuda-kernel_1.inc"
}  // namespace

BOOST_AUTO_TEST_SUITE(docs_compose_a_cuda_kernel)

BOOST_AUTO_TEST_CASE(its_use_gives_the_margin_of_every_row) {
  const std::int64_t n = 100;
  const std::int64_t m = 330;
  support::matrix<float> query_rows({n, 12});
  support::matrix<float> key_rows({m, 12});
  query_rows.fill([](std::uint64_t i) { return support::below(1, i, 10); });  // small integers: every distance is exact
  key_rows.fill([](std::uint64_t i) { return support::below(2, i, 10); });
  support::matrix<int> labels({1, n + m});
  labels.fill([](std::uint64_t i) { return support::below(3, i, 4); });
  support::matrix<float> result({1, n});
  support::mirror memory;
  const auto queries = memory(query_rows.view());
  const auto keys = memory(key_rows.view());
  const int* const query_labels = memory(labels.view()).data_handle();
  const int* const key_labels = query_labels + n;
  float* const margins = memory(result.view()).data_handle();
  const cudaStream_t stream = nullptr;
#include "docs/how-to/compose-a-cuda-kernel_2.inc"
  memory.bring_back();

  int wrong = 0;
  tessera::reference::contract(
      query_rows.view(), key_rows.view(), tessera::reference::squared_distance{}, tessera::reference::top_k<>{2},
      [&](std::int64_t i, const auto& best) { wrong += static_cast<double>(result(0, i)) != best[1].score - best[0].score; },
      [&](std::int64_t i, std::int64_t j) { return labels(0, i) != labels(0, n + j); });
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
