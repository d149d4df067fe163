// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../attention/backward_oracle.hpp"
#include "../support/random.hpp"
#include "attention_gradients.hpp"

namespace {

using oracle::backward_call;
using oracle::inputs;
using oracle::shape;
using support::array;
using support::normals;
namespace attention = tessera::attention;
constexpr attention::options<> causal{.mask = attention::causal};
constexpr attention::options<> causal_top_left{.mask = {.right = 0, .alignment = attention::alignment::top_left}};
const support::gradients_on_device device;

// Lengths around tiles of keys (64) and queries (32); dims around slices (64, 128), aligned or not; GQA and MQA; more queries than keys.
constexpr shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1},    {1, 2, 1, 3, 2, 4, 4},     {1, 4, 2, 8, 95, 16, 16},   {2, 2, 1, 33, 64, 64, 64},
    {1, 1, 1, 65, 63, 8, 60}, {1, 3, 1, 31, 65, 7, 9},   {1, 1, 1, 64, 32, 128, 72}, {1, 1, 1, 40, 70, 65, 129},
    {1, 1, 1, 0, 50, 8, 8},   {2, 2, 2, 20, 0, 8, 8},    {0, 2, 2, 5, 5, 5, 5},      {1, 1, 1, 20, 30, 0, 5},
    {1, 1, 1, 20, 30, 5, 0},  {1, 1, 1, 130, 3, 132, 4}, {1, 2, 2, 1, 200, 12, 8},
};

backward_call<float> normal_call(const shape& x, std::uint64_t seed, support::placement where = {}, double query_size = 2) {
  inputs<float> in(x, where);
  in.q.fill(normals(seed, query_size));
  in.k.fill(normals(seed + 100));
  in.v.fill(normals(seed + 200));
  backward_call<float> call(in, where);
  call.dout.fill(normals(seed + 300));
  return call;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_backward_types)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound_for_every_shape_and_mask) {
  oracle::gradient_errors errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s % 3 * 4), s % 2 == 1};
    for (const auto& options : {attention::options<>{}, causal, causal_top_left}) {
      backward_call<float> call = normal_call(shapes[s], s, where);
      call.run(device, options);
      BOOST_TEST((call.in.untouched() && call.dout.untouched() && call.gaps_untouched()));
      compare(errors, call, options);
    }
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_SUITE_END()
