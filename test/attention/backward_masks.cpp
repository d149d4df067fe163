// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Masks of attention::backward.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "backward_oracle.hpp"
#include "tessera/attention/block_map.hpp"

// test/cuda includes this file and runs it on the device.
#if !defined(TESSERA_TESTED_EXECUTOR)
#define TESSERA_TESTED_EXECUTOR tessera::par
#endif

namespace {

using oracle::backward_call;
using oracle::inputs;
using support::normals;
using tessera::view;
namespace attention = tessera::attention;

const auto exec = TESSERA_TESTED_EXECUTOR;

#if defined(TESSERA_TESTED_ON_DEVICE)  // a few tiles: the emulator takes its time
constexpr std::int64_t batch = 1;
#else
constexpr std::int64_t batch = 2;
#endif

template <class S = float>
backward_call<S> normal_call(std::int64_t heads, std::int64_t kv_heads, std::int64_t len_q, std::int64_t len_k,
                             std::int64_t head_dim, std::int64_t value_dim) {
  inputs<S> in(batch, heads, kv_heads, len_q, len_k, head_dim, value_dim);
  in.q.fill(normals(1));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  backward_call<S> call(in);
  call.dout.fill(normals(4));
  return call;
}

/// Within the bound, and with the same bits for every team.
template <class Options>
void check(const Options& options, std::int64_t len_q = 150, std::int64_t len_k = 290) {
  oracle::gradient_errors errors;
  backward_call<float> call = normal_call(4, 2, len_q, len_k, 20, 9);
  call.run(exec.threads(1), options);
  compare(errors, call, options);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
  backward_call<float> other = call;
  other.backward(exec.threads(3), options);
  BOOST_TEST(other.same_gradients(call));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_backward_masks)

BOOST_AUTO_TEST_CASE(bands_are_within_the_bound) {
  check(attention::options<>{.mask = attention::sliding_window(30, 5)});
  check(attention::options<>{.mask = attention::sliding_window(0, 0)});
  check(attention::options<>{.mask = attention::sliding_window(100, -50)});
  check(attention::options<>{.mask = attention::causal_with_prefix(100)}, 290, 150);
}

BOOST_AUTO_TEST_CASE(documents_are_within_the_bound) {
  std::vector<int> ids(290);
  for (std::size_t n = 0; n < ids.size(); ++n) ids[n] = static_cast<int>(n / 70);
  const view<const int, 2> of_all(ids.data(), {batch, 290}, {0, 1});
  const attention::documents mask{of_all, of_all};
  check(attention::options<decltype(mask & attention::causal)>{.mask = mask & attention::causal}, 290, 290);
}

// A checkerboard with holes: no tile is all or nothing, and ranges say nothing.
BOOST_AUTO_TEST_CASE(functions_are_within_the_bound) {
  const auto mask = [](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
    return (i + j + b) % 3 != 0 && (j < 100 || j > 120) && !(h == 1 && i == 7);
  };
  check(attention::options<decltype(mask)>{.mask = mask});
}

// Blocks that the map decides are not looked at by pairs: where tiles lie inside of them, a map may say other than its mask.
BOOST_AUTO_TEST_CASE(maps_of_blocks_are_within_the_bound) {
  const auto mask = [](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) {
    return i / 64 != j / 64 && ((i + j) % 3 != 0 || j >= 192);
  };
  std::vector<tessera::tile_class> answers(3 * 5);
  attention::map_blocks(tessera::seq, mask, 150, 290, view(answers.data(), 1, 1, 3, 5));
  BOOST_TEST((answers[0] == tessera::tile_class::none && answers[1] == tessera::tile_class::some));
  BOOST_TEST((answers[3] == tessera::tile_class::all));
  const attention::mapped map{mask, view<const tessera::tile_class, 4>(answers.data(), {batch, 4, 3, 5}, {0, 0, 5, 1})};
  check(attention::options{.mask = map});
#if defined(TESSERA_TESTED_ON_DEVICE)
  backward_call<float> call = normal_call(4, 2, 150, 290, 20, 9);
  call.run(exec, attention::options{.mask = map});
  answers[1] = answers[6] = answers[11] = tessera::tile_class::none;
  answers[2] = tessera::tile_class::all;
  backward_call<float> other = call;
  other.backward(exec, attention::options{.mask = map});
  bool gone = true;
  bool there = false;
  for (std::int64_t j = 64; j < 128; ++j) {
    gone = gone && other.dk(0, 1, j, 7) == 0 && other.dv(0, 1, j, 7) == 0;
    there = there || call.dk(0, 1, j, 7) != 0;
  }
  BOOST_TEST((gone && there));
  BOOST_TEST(other.dv(0, 0, 130, 0) != call.dv(0, 0, 130, 0));
  BOOST_TEST(other.dv(0, 0, 200, 0) == call.dv(0, 0, 200, 0));
#endif
}

// What a function hides may be NaN.
BOOST_AUTO_TEST_CASE(nan_that_a_function_hides_does_not_leak) {
  const auto mask = [](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) { return i != 100 && j % 5 != 2; };
  const attention::options<decltype(mask)> options{.mask = mask};
  backward_call<float> clean = normal_call(2, 1, 150, 290, 20, 9);
  clean.run(exec, options);
  backward_call<float> call = clean;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t j = 2; j < 290; j += 5) call.in.k(0, 0, j, 3) = nan, call.in.v(batch - 1, 0, j, 4) = nan;
  call.in.q(0, 1, 100, 5) = nan;
  call.dout(batch - 1, 1, 100, 6) = nan;
  call.run(exec, options);
  BOOST_TEST(call.same_gradients(clean));
}

BOOST_AUTO_TEST_SUITE_END()
