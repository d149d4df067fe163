// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// options.rotary in attention::backward and jvp: the bits of a call on arrays that were rotated before, and the specification's bound.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "backward_oracle.hpp"
#include "rotary_tables.hpp"
#include "tessera/attention/jvp.hpp"

namespace {

using oracle::inputs;
using rotary_test::layouts;
using rotary_test::tables;
using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;
using attention::rotary;

struct shape {
  std::int64_t batch, heads, kv_heads, len_q, len_k, head_dim, value_dim, dims;
};
// Chunks of 96 queries and 192 keys, whole or not; heads that are shared among workers.
constexpr shape shapes[] = {{1, 4, 2, 20, 50, 16, 9, 16}, {2, 1, 1, 97, 200, 33, 16, 32}, {1, 2, 1, 130, 130, 20, 5, 8},
                            {1, 1, 1, 5, 400, 9, 8, 6},   {1, 2, 2, 200, 90, 64, 8, 64},  {1, 1, 1, 3, 0, 4, 4, 4}};

auto normal(std::uint64_t seed) {
  return [=](std::uint64_t n) { return support::normal(seed, n); };
}

oracle::backward_call<float> call_of(const shape& x, std::uint64_t seed) {
  const support::placement where{static_cast<std::int64_t>(seed % 3), seed % 2 == 1};
  inputs<float> in(x.batch, x.heads, x.kv_heads, x.len_q, x.len_k, x.head_dim, x.value_dim, where);
  in.q.fill(normal(10 * seed));
  in.k.fill(normal(10 * seed + 1));
  in.v.fill(normal(10 * seed + 2));
  oracle::backward_call<float> call(in, where);
  call.dout.fill(normal(10 * seed + 3));
  return call;
}

/// `first_key` that gives every query a position.
std::int64_t first_of(const shape& x) { return x.len_q > x.len_k ? x.len_q - x.len_k : 0; }

rotary rotary_of(const tables& of, const shape& x, std::uint64_t seed) {
  rotary by = of.with(layouts[seed % 2]);
  by.first_key = first_of(x);
  if (seed % 4 < 2) by.first_dim = x.head_dim - x.dims;
  return by;
}

/// x rotated as queries, or as keys, are; or back.
void rotate_as(const rotary& by, bool queries, std::int64_t len_q, std::int64_t len_k, array<float, 4>& x, bool back = false) {
  if (!(queries ? by.queries : by.keys)) return;
  const std::int64_t first = queries ? by.query_position(len_q, len_k) : by.first_key;
  if (back) {
    attention::rotate_back(seq, x.view(), x.view(), by, first);
  } else {
    attention::rotate(seq, x.view(), x.view(), by, first);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_rotary_gradients)

BOOST_AUTO_TEST_CASE(gradients_have_the_bits_of_rotated_arrays_rotated_back) {
  std::uint64_t seed = 0;
  for (const shape& x : shapes) {
    const tables of(first_of(x) + x.len_q + x.len_k, x.dims);
    for (const int which : {0, 1, 2, 3}) {
      auto call = call_of(x, ++seed);
      attention::options<> options{.mask = attention::causal, .rotary = rotary_of(of, x, seed)};
      options.rotary.queries = which != 1;
      options.rotary.keys = which != 2;
      if (which == 3) options.dropout = {.rate = 0.3, .seed = seed};
      call.run(par.threads(which + 1), options);
      BOOST_TEST((call.in.untouched() && call.gaps_untouched()));
      auto rotated = call;
      const rotary& by = options.rotary;
      rotate_as(by, true, x.len_q, x.len_k, rotated.in.q);
      rotate_as(by, false, x.len_q, x.len_k, rotated.in.k);
      rotated.run(seq, attention::options<>{.mask = attention::causal, .dropout = options.dropout});
      BOOST_TEST(rotated.out.same_elements(call.out));
      rotate_as(by, true, x.len_q, x.len_k, rotated.dq, true);
      rotate_as(by, false, x.len_q, x.len_k, rotated.dk, true);
      BOOST_TEST_INFO("shape " << seed);
      BOOST_TEST(call.same_gradients(rotated));
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_within_the_bound_of_the_specification) {
  oracle::gradient_errors errors;
  const float slopes[] = {0.5F, 0.03F, 0.1F, 0.01F};
  std::uint64_t seed = 30;
  for (const shape& x : shapes) {
    const tables of(first_of(x) + x.len_q + x.len_k, x.dims);
    auto call = call_of(x, ++seed);
    const attention::options<> options{.mask = attention::causal, .rotary = rotary_of(of, x, seed)};
    call.run(seq, options);
    oracle::compare(errors, call, options);
    const auto score = attention::softcap{20} >> attention::alibi{view<const float, 1>(slopes, x.heads)};
    const attention::options scored{.score = score, .rotary = rotary_of(of, x, seed + 1)};
    call.run(seq, scored);
    oracle::compare(errors, call, scored);
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// Gradients of ALiBi's slopes come from a pass of their own, which rotates, too.
BOOST_AUTO_TEST_CASE(gradients_of_slopes_have_the_bits_of_rotated_arrays) {
  const shape x{1, 4, 2, 100, 250, 20, 8, 20};
  const tables of(500, x.dims);
  const float slopes[] = {0.5F, 0.03F, 0.1F, 0.01F};
  const attention::options options{.score = attention::softcap{20} >> attention::alibi{view<const float, 1>(slopes, 4)},
                                   .rotary = rotary_of(of, x, 0)};
  auto call = call_of(x, 50);
  call.run(seq, options);
  float gradients[2][4];
  const auto run = [&](auto& c, const auto& how, float* to) {
    attention::backward(seq, c.in.q.view(), c.in.k.view(), c.in.v.view(), c.out.view(), c.lse.view(), c.dout.view(), c.dq.view(),
                        c.dk.view(), c.dv.view(), how, attention::more_gradients<>{.slopes = view<float, 1>(to, 4)});
  };
  run(call, options, gradients[0]);
  auto rotated = call;
  rotate_as(options.rotary, true, x.len_q, x.len_k, rotated.in.q);
  rotate_as(options.rotary, false, x.len_q, x.len_k, rotated.in.k);
  auto plain = options;
  plain.rotary = {};
  run(rotated, plain, gradients[1]);
  BOOST_TEST(std::memcmp(gradients[0], gradients[1], sizeof(gradients[0])) == 0);
}

BOOST_AUTO_TEST_CASE(jvp_has_the_bits_of_rotated_arrays_and_rotated_tangents) {
  std::uint64_t seed = 60;
  for (const shape& x : shapes) {
    const tables of(first_of(x) + x.len_q + x.len_k, x.dims);
    for (const int which : {0, 1, 2}) {
      inputs<float> at = call_of(x, ++seed).in;
      inputs<float> along = call_of(x, seed + 100).in;
      attention::options<> options{.mask = attention::causal, .rotary = rotary_of(of, x, seed)};
      options.rotary.queries = which != 1;
      options.rotary.keys = which != 2;
      const auto run = [&](const auto& exec, array<float, 4>& out, array<float, 4>& dout) {
        attention::jvp(exec, at.q.view(), at.k.view(), at.v.view(), along.q.view(), along.k.view(), along.v.view(), out.view(),
                       dout.view(), options);
      };
      array<float, 4> out(at.out_extents());
      array<float, 4> dout(at.out_extents());
      run(par.threads(which + 1), out, dout);
      BOOST_TEST((at.untouched() && along.untouched()));
      // The specification; against it no bound is stated but that of rotated arrays.
      double error = 0;
      tessera::reference::attention_jvp(
          at.q.view(), at.k.view(), at.v.view(), along.q.view(), along.k.view(), along.v.view(), options,
          [&](auto b, auto h, auto i, const std::vector<double>& want_out, const std::vector<double>& want) {
            for (std::size_t c = 0; c < want.size(); ++c) {
              const auto column = static_cast<std::int64_t>(c);
              error = std::fmax(error, std::fabs(static_cast<double>(out(b, h, i, column)) - want_out[c]));
              error = std::fmax(error, std::fabs(static_cast<double>(dout(b, h, i, column)) - want[c]));
            }
          });
      BOOST_TEST(error < 1e-4);
      for (inputs<float>* const in : {&at, &along}) {
        rotate_as(options.rotary, true, x.len_q, x.len_k, in->q);
        rotate_as(options.rotary, false, x.len_q, x.len_k, in->k);
      }
      options.rotary = {};
      array<float, 4> want(at.out_extents());
      array<float, 4> dwant(at.out_extents());
      run(seq, want, dwant);
      BOOST_TEST(out.same_elements(want));
      BOOST_TEST(dout.same_elements(dwant));
    }
  }
}

// The specification's gradient of a rotated call is a derivative: float64, central differences.
BOOST_AUTO_TEST_CASE(the_specification_is_differentiated_rightly) {
  const tables of(40, 6);
  for (const auto layout : layouts) {
    inputs<double> in(1, 2, 1, 4, 7, 7, 3);
    in.q.fill(normal(1));
    in.k.fill(normal(2));
    in.v.fill(normal(3));
    array<double, 4> dout(in.out_extents());
    dout.fill(normal(4));
    attention::options<> options{.mask = attention::causal, .rotary = of.with(layout)};
    options.rotary.first_key = 5;
    const auto loss = [&] {
      double sum = 0;
      tessera::reference::attention(in.q.view(), in.k.view(), in.v.view(), options,
                                    [&](auto b, auto h, auto i, const std::vector<double>& row, double) {
                                      for (std::size_t c = 0; c < row.size(); ++c)
                                        sum += row[c] * dout(b, h, i, static_cast<std::int64_t>(c));
                                    });
      return sum;
    };
    const auto gradients = tessera::reference::attention_backward(in.q.view(), in.k.view(), in.v.view(), dout.view(), options);
    const auto check = [&](array<double, 4>& x, const std::vector<double>& gradient) {
      const auto v = x.view();
      for (std::int64_t n = 0; n < v.size(); ++n) {
        double& element = x(0, n / v.extent(3) / v.extent(2), n / v.extent(3) % v.extent(2), n % v.extent(3));
        const double kept = element;
        element = kept + 1e-6;
        const double above = loss();
        element = kept - 1e-6;
        const double below = loss();
        element = kept;
        BOOST_TEST(std::fabs((above - below) / 2e-6 - gradient[static_cast<std::size_t>(n)]) < 1e-7);
      }
    };
    check(in.q, gradients.dq);
    check(in.k, gradients.dk);
  }
}

BOOST_AUTO_TEST_SUITE_END()
