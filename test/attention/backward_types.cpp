// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Storage types of attention::backward: float64, float32, bfloat16, float16 and mixtures.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>

#include "../support/random.hpp"
#include "backward_oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

using oracle::backward_call;
using oracle::inputs;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
namespace attention = tessera::attention;

struct shape {
  std::int64_t len_q, len_k, head_dim, value_dim;
};
constexpr shape shapes[] = {{1, 1, 1, 1},      {3, 95, 5, 7},     {17, 97, 8, 15},  {33, 192, 16, 17}, {50, 193, 31, 33},
                            {65, 257, 33, 31}, {97, 100, 64, 64}, {30, 600, 65, 3}, {129, 130, 17, 9}, {7, 31, 100, 129}};

template <class Q, class K, class V, class O, class D>
void check_type() {
  oracle::gradient_errors errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s % 4), s % 2 == 0};
    inputs<Q, K, V> in(1, 2, 1, shapes[s].len_q, shapes[s].len_k, shapes[s].head_dim, shapes[s].value_dim, where);
    in.q.fill([=](std::uint64_t n) { return 2 * support::normal(s, n); });
    in.k.fill([=](std::uint64_t n) { return support::normal(s + 50, n); });
    in.v.fill([=](std::uint64_t n) { return support::spread(s + 70, n, -10, 10); });
    backward_call<Q, K, V, O, D> call(in, where);
    call.dout.fill([=](std::uint64_t n) { return support::normal(s + 90, n); });
    const attention::options<> options{.mask = s % 2 == 0 ? attention::everything : attention::causal};
    call.run(par.threads(static_cast<int>(1 + s % 3)), options);
    BOOST_TEST(call.gaps_untouched());
    compare(errors, call, options);
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_backward_types)

BOOST_AUTO_TEST_CASE(float64) { check_type<double, double, double, double, double>(); }
BOOST_AUTO_TEST_CASE(all_bfloat16) { check_type<bfloat16, bfloat16, bfloat16, bfloat16, bfloat16>(); }
BOOST_AUTO_TEST_CASE(all_float16_with_float32_gradients) { check_type<float16, float16, float16, float16, float>(); }
BOOST_AUTO_TEST_CASE(a_mixture) { check_type<float, bfloat16, float16, float, float16>(); }
BOOST_AUTO_TEST_CASE(float64_queries_over_float16_keys) { check_type<double, float16, float, bfloat16, double>(); }

// Sums of a thousand like terms: an accumulator of bfloat16 would stop at 256.
BOOST_AUTO_TEST_CASE(bfloat16_gradients_are_float32_sums_rounded_once) {
  inputs<bfloat16> in(1, 2, 1, 1000, 300, 16, 16);
  in.q.fill([](std::uint64_t n) { return support::normal(1, n); });
  in.k.fill([](std::uint64_t n) { return support::normal(2, n); });
  in.v.fill([](std::uint64_t n) { return support::normal(3, n); });
  backward_call<bfloat16> narrow(in);
  narrow.dout.fill([](std::uint64_t) { return 1; });
  narrow.run(par);
  backward_call<bfloat16, bfloat16, bfloat16, bfloat16, float> wide(in);
  wide.dout = narrow.dout;
  wide.run(par);
  int wrong = 0;
  const auto compare_bits = [&](const auto& one, const auto& other) {
    const auto rounded = one.elements();
    const auto sums = other.elements();
    for (std::size_t n = 0; n < sums.size(); ++n) wrong += bfloat16(sums[n]).bits != rounded[n].bits;
  };
  compare_bits(narrow.dq, wide.dq);
  compare_bits(narrow.dk, wide.dk);
  compare_bits(narrow.dv, wide.dv);
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
