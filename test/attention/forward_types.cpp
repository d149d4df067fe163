// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Storage types of attention::forward: float64, float32, bfloat16, float16 and mixtures.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "../support/random.hpp"
#include "exact_results.hpp"
#include "storage_types.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

using oracle::inputs;
using support::array;
using tessera::bfloat16;
using tessera::float16;
using tessera::seq;
namespace attention = tessera::attention;

template <class Q, class K, class V, class O>
void check_type() {
  support::worst out;
  support::worst lse;
  for (std::size_t s = 0; s < std::size(storage_types::shapes); ++s) {
    const auto in = storage_types::inputs<Q, K, V>(s);
    oracle::check<O>(out, lse, seq, in, storage_types::options(s), storage_types::place(s));
  }
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
  exact::check<Q, K, V, O>();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_forward_types)

BOOST_AUTO_TEST_CASE(float64) { check_type<double, double, double, double>(); }
BOOST_AUTO_TEST_CASE(all_bfloat16) { check_type<bfloat16, bfloat16, bfloat16, bfloat16>(); }
BOOST_AUTO_TEST_CASE(all_float16) { check_type<float16, float16, float16, float16>(); }
BOOST_AUTO_TEST_CASE(float32_queries_over_bfloat16_keys_and_float16_values) { check_type<float, bfloat16, float16, float>(); }
BOOST_AUTO_TEST_CASE(float64_queries_over_float16_keys) { check_type<double, float16, float, bfloat16>(); }

// Products of 65504^2 * 64 are no problem in float32; the largest values come back as they are.
BOOST_AUTO_TEST_CASE(largest_float16_inputs) {
  support::worst out;
  support::worst lse;
  inputs<float16> in(1, 1, 1, 40, 130, 64, 6);
  const double most = 65504;
  in.q.fill([=](std::uint64_t n) { return support::uniform(1, n) < 0 ? most : -most; });
  in.k.fill([=](std::uint64_t n) { return support::uniform(2, n) < 0 ? most : -most; });
  in.v.fill([=](std::uint64_t n) { return n % 2 == 0 ? most : -most; });
  oracle::check<float16>(out, lse, seq, in);
  oracle::check<float16>(out, lse, seq, in, {.scale = 1e-9, .mask = attention::causal});
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(smallest_float16_inputs) {
  support::worst out;
  support::worst lse;
  inputs<float16> in(1, 1, 1, 20, 130, 16, 6);
  const double least = 0x1p-24;
  for (auto* const x : {&in.q, &in.k, &in.v})
    x->fill([=](std::uint64_t n) { return least * static_cast<double>(support::below(1, n, 5)); });
  oracle::check<float16>(out, lse, seq, in, {.scale = 0x1p50});
  CHECK_WITHIN_BOUND(out);
  CHECK_WITHIN_BOUND(lse);
}

BOOST_AUTO_TEST_CASE(narrow_results_are_the_wide_ones_rounded_once) {
  inputs<bfloat16> in(1, 2, 2, 60, 200, 32, 19);
  in.q.fill([](std::uint64_t n) { return support::normal(1, n); });
  in.k.fill([](std::uint64_t n) { return support::normal(2, n); });
  in.v.fill([](std::uint64_t n) { return support::normal(3, n); });
  array<float, 4> wide(in.out_extents());
  array<bfloat16, 4> narrow(in.out_extents(), {1, true});
  array<float, 3> lse(in.lse_extents());
  array<bfloat16, 3> narrow_lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), wide.view(), lse.view());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), narrow.view(), narrow_lse.view());
  const auto wide_elements = wide.elements();
  const auto narrow_elements = narrow.elements();
  int wrong = 0;
  for (std::size_t n = 0; n < wide_elements.size(); ++n) wrong += bfloat16(wide_elements[n]).bits != narrow_elements[n].bits;
  const auto wide_lse = lse.elements();
  const auto rounded_lse = narrow_lse.elements();
  for (std::size_t n = 0; n < wide_lse.size(); ++n) wrong += bfloat16(wide_lse[n]).bits != rounded_lse[n].bits;
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
