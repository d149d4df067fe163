// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What a contraction refuses, before anything is written or emitted.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

#include "oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using oracle::matrix;
using tessera::argmin;
using tessera::contract;
using tessera::seq;
using tessera::softmax;
using tessera::view;

struct arguments {
  matrix<float> queries{{4, 3}};
  matrix<float> keys{{6, 3}};
  matrix<float> values{{6, 5}};
  matrix<float> out{{4, 5}};
  arguments() {
    for (matrix<float>* const x : {&queries, &keys, &values}) x->fill([](std::uint64_t n) { return static_cast<double>(n); });
  }
  [[nodiscard]] bool untouched() const {
    return queries.untouched() && keys.untouched() && values.untouched() && out.untouched();
  }
};

const auto never = [](std::int64_t, const auto&) { BOOST_ERROR("emitted"); };
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_contraction_misuse)

BOOST_AUTO_TEST_CASE(queries_and_keys) {
  arguments x;
  float* const data = &x.queries(0, 0);
  const auto q = x.queries.view();
  const auto k = x.keys.view();
  CHECK_REFUSED("contract: keys: ", contract(seq, q, view<float, 2>(&x.keys(0, 0), 3, 6), tessera::dot{}, argmin{}, never));
  CHECK_REFUSED("contract: queries: ", contract(seq, view<float, 2>(nullptr, 4, 3), k, tessera::dot{}, argmin{}, never));
  CHECK_REFUSED("contract: keys: ", contract(seq, q, view<float, 2>(nullptr, 6, 3), tessera::dot{}, argmin{}, never));
  CHECK_REFUSED("contract: queries: ", contract(seq, view<float, 2>(data, -1, 3), k, tessera::dot{}, argmin{}, never));
  CHECK_REFUSED("contract: keys: ",
                contract(seq, q, view<float, 2>(&x.keys(0, 0), {3, 3}, {1, 3}), tessera::dot{}, argmin{}, never));
  CHECK_REFUSED("contract: queries: ", contract(seq, view<float, 2>(data, {2, 3}, {6, 2}), k, tessera::dot{}, argmin{}, never));
  const std::int64_t many = std::int64_t{1} << 31;  // an index of a float's lane has 32 bits
  CHECK_REFUSED("contract: ", contract(seq, q, view<float, 2>(data, {many, 3}, {0, 1}), tessera::dot{}, argmin{}, never));
  CHECK_REFUSED("contract: ", contract(seq, view<float, 2>(data, {many, 3}, {0, 1}), k, tessera::dot{}, argmin{}, never));
  BOOST_TEST(x.untouched());
}

BOOST_AUTO_TEST_CASE(values_and_out) {
  arguments x;
  const auto q = x.queries.view();
  const auto k = x.keys.view();
  const auto v = x.values.view();
  const auto o = x.out.view();
  const auto run = [&](const view<float, 2>& values, const view<float, 2>& out) {
    contract(seq, q, k, values, tessera::dot{}, softmax{}, out, never);
  };
  float* const values = &x.values(0, 0);
  float* const out = &x.out(0, 0);
  CHECK_REFUSED("contract: values: ", run(view<float, 2>(values, 5, 5), o));
  CHECK_REFUSED("contract: values: ", run(view<float, 2>(nullptr, 6, 5), o));
  CHECK_REFUSED("contract: values: ", run(view<float, 2>(values, {6, 2}, {5, 2}), view<float, 2>(out, 4, 2)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(out, 4, 4)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(out, 3, 5)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(nullptr, 4, 5)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(out, {4, 5}, {1, 4})));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(values + 10, 4, 5)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(values + 29, 4, 5)));  // one shared element
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(&x.queries(3, 2), 4, 5)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(&x.keys(0, 0) - 19, 4, 5)));
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(out, {4, 5}, {0, 1})));  // rows on one another
  CHECK_REFUSED("contract: out: ", run(v, view<float, 2>(out, {4, 5}, {4, 1})));
  const tessera::scaled_dot_bias<float> bias_in_out{1, {out, {4, 6}, {0, 1}}};
  CHECK_REFUSED("contract: out: overlaps score.bias", contract(seq, q, k, v, bias_in_out, softmax{}, o, never));
  BOOST_TEST(x.untouched());
}

BOOST_AUTO_TEST_CASE(parameters_of_scores) {
  arguments x;
  const auto q = x.queries.view();
  const auto k = x.keys.view();
  for (const double bad : {not_a_number, inf, -inf}) {
    CHECK_REFUSED("contract: score.scale: ", contract(seq, q, k, tessera::scaled_dot{bad}, argmin{}, never));
    CHECK_REFUSED("contract: score.sigma: ", contract(seq, q, k, tessera::gaussian{bad}, argmin{}, never));
  }
  CHECK_REFUSED("contract: score.scale: ", contract(seq, q, k, tessera::scaled_dot{1e300}, argmin{}, never));  // inf in float32
  CHECK_REFUSED("contract: score.sigma: ", contract(seq, q, k, tessera::gaussian{0}, argmin{}, never));
  CHECK_REFUSED("contract: score.sigma: ", contract(seq, q, k, tessera::gaussian{-1}, argmin{}, never));
  CHECK_REFUSED("contract: score.sigma: ", contract(seq, q, k, tessera::gaussian{1e-30}, argmin{}, never));

  matrix<tessera::bfloat16> bias({4, 6});
  bias.fill([](std::uint64_t) { return 0; });
  using bias_of = view<const tessera::bfloat16, 2>;
  const auto run = [&](const bias_of& b) {
    contract(seq, q, k, tessera::scaled_dot_bias<tessera::bfloat16>{1, b}, argmin{}, never);
  };
  CHECK_REFUSED("contract: score.bias: ", run(bias_of(&bias(0, 0), 4, 5)));
  CHECK_REFUSED("contract: score.bias: ", run(bias_of(&bias(0, 0), 3, 6)));
  CHECK_REFUSED("contract: score.bias: ", run(bias_of(nullptr, 4, 6)));
  BOOST_TEST(x.untouched());
}

BOOST_AUTO_TEST_CASE(empty_inputs_are_no_misuse) {
  arguments x;
  int emitted = 0;
  contract(seq, view<float, 2>(nullptr, 0, 3), x.keys.view(), tessera::dot{}, argmin{}, never);
  contract(
      seq, x.queries.view(), view<float, 2>(nullptr, 0, 3), tessera::squared_distance{}, argmin{},
      [&](std::int64_t, const auto& got) { emitted += got.where == -1 && got.score == std::numeric_limits<float>::infinity(); });
  BOOST_TEST(emitted == 4);
  contract(seq, x.queries.view(), view<float, 2>(nullptr, 0, 3), view<float, 2>(nullptr, 0, 5), tessera::dot{}, softmax{},
           x.out.view());
  for (const float e : x.out.elements()) BOOST_TEST(e == 0);
  contract(seq, view<float, 2>(nullptr, 4, 0), view<float, 2>(nullptr, 6, 0), tessera::dot{}, tessera::argmax{},
           [&](std::int64_t, const auto& got) { emitted += got.where == 0 && got.score == 0; });
  BOOST_TEST(emitted == 8);
  contract(seq, view<float, 2>(nullptr, 0, 3), view<float, 2>(nullptr, 0, 3), view<float, 2>(nullptr, 0, 0), tessera::dot{},
           softmax{}, view<float, 2>(nullptr, 0, 0), never);
}

BOOST_AUTO_TEST_SUITE_END()
