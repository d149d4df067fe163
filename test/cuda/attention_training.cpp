// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Forward and backward, both on the device: the gradients of what the device's forward pass gives, within the bound.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "../attention/rotary_tables.hpp"
#include "../support/random.hpp"
#include "attention_gradients.hpp"
#include "tessera/cuda/attention/forward.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/traits.hpp"

namespace {

using oracle::backward_call;
using oracle::inputs;
using support::normals;
using tessera::bfloat16;
using tessera::view;
namespace attention = tessera::attention;

/// Both passes with one mirror of every array, as a program of its own would have them.
template <class S>
void train(backward_call<S>& x, const attention::options<>& options) {
  using support::read_only;
  support::mirror memory;
  const auto exec = support::gradients_on_device{3}.executor();
  const auto q = memory(read_only(x.in.q.view()));
  const auto k = memory(read_only(x.in.k.view()));
  const auto v = memory(read_only(x.in.v.view()));
  const auto out = memory(x.out.view());
  const auto lse = memory(x.lse.view());
  const auto on_device = support::options_on_device(memory, options);
  attention::forward(exec, q, k, v, out, lse, on_device);
  attention::backward(exec, q, k, v, out, lse, memory(read_only(x.dout.view())), memory(x.dq.view()), memory(x.dk.view()),
                      memory(x.dv.view()), on_device);
  memory.bring_back();
}

/// `weights`: what weights are rounded to in the forward pass, and with them lse.
template <class S>
void check(const oracle::coarseness& coarse) {
  oracle::gradient_errors errors;
  oracle::gradient_errors rotated_errors;
  const rotary_test::tables of(300, 48);
  const float sinks[] = {1.0f, -2.0f, 0.5f, 3.0f};
  for (const std::int64_t dim : {64, 128}) {
    inputs<S> in(1, 4, 2, 70, 150, dim, dim);
    in.q.fill(normals(1, 2));
    in.k.fill(normals(2));
    in.v.fill(normals(3));
    backward_call<S> call(in);
    call.dout.fill(normals(4));
    for (const auto& options :
         {attention::options<>{.mask = attention::causal},
          attention::options<>{.sinks = view<const float, 1>(sinks, 4), .dropout = {.rate = 0.25, .seed = 11, .stream = 5}}}) {
      train(call, options);
      compare(errors, call, options, coarse);
    }
    // Rotated copies have the arrays' type, and so have gradients before they are rotated back.
    attention::options<> options{.mask = attention::causal, .rotary = of.with(rotary_test::layouts[dim / 64 - 1])};
    options.rotary.first_key = dim;
    options.rotary.first_dim = 8;
    if (dim == 128) options.rotary.first_query = 5;
    auto coarser = coarse;
    coarser.stored = std::is_same_v<S, float> ? 0 : tessera::unit_roundoff<S>;
    coarser.products += 2 * coarser.stored;
    train(call, options);
    BOOST_TEST((call.in.untouched() && call.dout.untouched()));
    compare(rotated_errors, call, options, coarser);
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
  CHECK_GRADIENTS_WITHIN_BOUND(rotated_errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_training)

BOOST_AUTO_TEST_CASE(float32) { check<float>({.chain = 1}); }
// Weights and slopes are rounded here, and weights in the forward pass, whose sum is in lse.
BOOST_AUTO_TEST_CASE(bfloat16_on_the_tensor_cores, *boost::unit_test::label("small")) {
  check<bfloat16>({.operands = 2 * tessera::unit_roundoff<bfloat16>, .least = 0x1p-134, .chain = 4});
}

#if !TESSERA_CUDA_COMPILER  // which takes no kernel of the CPU's

BOOST_AUTO_TEST_CASE(the_cpu_agrees_within_both_bounds) {
  inputs<float> in(1, 4, 2, 70, 150, 64, 64);
  in.q.fill(normals(1, 2));
  in.k.fill(normals(2));
  in.v.fill(normals(3));
  backward_call<float> there(in);
  there.dout.fill(normals(4));
  backward_call<float> here = there;
  const attention::options<> options{.mask = attention::causal};
  train(there, options);
  here.run(tessera::seq, options);
  oracle::gradient_errors errors;
  std::vector<double> of_device;
  std::vector<double> of_cpu;
  compare(errors, there, options, {.chain = 1}, &of_device);
  compare(errors, here, options, {}, &of_cpu);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
  support::worst difference;
  std::size_t at = 0;
  const auto check = [&](const auto& device, const auto& cpu, const char* what) {
    const auto d = device.elements();
    const auto c = cpu.elements();
    for (std::size_t n = 0; n < d.size(); ++n, ++at) difference(d[n], c[n], of_device[at] + of_cpu[at], what, n);
  };
  check(there.dq, here.dq, "dq");
  check(there.dk, here.dk, "dk");
  check(there.dv, here.dv, "dv");
  BOOST_TEST(at == of_cpu.size());
  CHECK_WITHIN_BOUND(difference);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
