// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The backward pass of float32 on the tensor cores and off them, of float64, and of mixed types; memory that it is given, or should not be.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "../attention/rotary_tables.hpp"
#include "../support/random.hpp"
#include "attention_gradients.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

using oracle::backward_call;
using oracle::inputs;
using oracle::shape;
using support::normals;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace attention = tessera::attention;
constexpr attention::options<> causal{.mask = attention::causal};
const support::gradients_on_device device;

/// Copied rows of up to 64, up to 128 and more elements, and such as are not.
constexpr shape shapes[] = {
    {1, 4, 2, 70, 130, 64, 64}, {1, 2, 1, 66, 34, 128, 128}, {1, 1, 1, 33, 70, 72, 104}, {1, 2, 1, 20, 40, 132, 136},
    {1, 2, 2, 40, 65, 65, 33},  {1, 1, 1, 1, 1, 8, 8},       {1, 1, 1, 20, 30, 0, 5},    {2, 1, 1, 31, 9, 16, 100},
};

template <class Call>
Call normal_call(const shape& x, std::uint64_t seed, support::placement where = {}) {
  decltype(Call::in) in(x, where);
  in.q.fill(normals(seed, 2));
  in.k.fill(normals(seed + 100));
  in.v.fill(normals(seed + 200));
  Call call(in, where);
  call.dout.fill(normals(seed + 300));
  return call;
}

template <class Call>
void check_shapes(const support::gradients_on_device& on, const oracle::coarseness& coarse) {
  oracle::gradient_errors errors;
  for (std::size_t n = 0; n < std::size(shapes); ++n) {
    const support::placement where{static_cast<std::int64_t>(n % 3 * 4), n % 2 == 1};
    auto call = normal_call<Call>(shapes[n], n, where);
    for (const auto& options : {attention::options<>{}, causal}) {
      call.run(on, options);
      BOOST_TEST((call.in.untouched() && call.dout.untouched() && call.gaps_untouched()));
      compare(errors, call, options, coarse);
      auto other = call;
      other.backward(on.threads(3), options);
      BOOST_TEST(other.same_gradients(call));
    }
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

/// Views of device memory that mirrors a call's.
struct views_of {
  support::mirror memory;
  view<const float, 4> q, k, v, out, dout;
  view<const float, 3> lse;
  view<float, 4> dq, dk, dv;

  explicit views_of(backward_call<float>& x)
      : q(memory(support::read_only(x.in.q.view()))),
        k(memory(support::read_only(x.in.k.view()))),
        v(memory(support::read_only(x.in.v.view()))),
        out(memory(support::read_only(x.out.view()))),
        dout(memory(support::read_only(x.dout.view()))),
        lse(memory(support::read_only(x.lse.view()))),
        dq(memory(x.dq.view())),
        dk(memory(x.dk.view())),
        dv(memory(x.dv.view())) {}

  void run(const tessera::cuda::executor& exec, const attention::options<>& options = {}) const {
    attention::backward(exec, q, k, v, out, lse, dout, dq, dk, dv, options);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_backward_wide)

BOOST_AUTO_TEST_CASE(float32_is_within_the_bound_for_every_way_that_rows_come) {
  check_shapes<backward_call<float>>(device, {.chain = 1});
}

BOOST_AUTO_TEST_CASE(tf32_is_within_its_bound_and_is_not_float32) {
  const support::gradients_on_device coarse{1, true};
  check_shapes<backward_call<float>>(coarse, {.products = 0x1p-10, .operands = 0x1p-10, .chain = 4});
  auto call = normal_call<backward_call<float>>({1, 1, 1, 40, 40, 64, 64}, 1);
  call.run(device);
  backward_call<float> other = call;
  other.backward(coarse);
  BOOST_TEST((!other.dq.same_elements(call.dq) && !other.dk.same_elements(call.dk) && !other.dv.same_elements(call.dv)));
}

BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_shapes<backward_call<double>>(device, {.chain = 1}); }

BOOST_AUTO_TEST_CASE(mixed_types_are_within_the_bound) {
  check_shapes<backward_call<float16, bfloat16, float, bfloat16, float>>(device, {.chain = 1});
}

BOOST_AUTO_TEST_CASE(float64_sums_of_float32_are_nearer) {
  const attention::options<attention::band, attention::plain_score, attention::float64_sums> options{.mask = attention::causal};
  auto call = normal_call<backward_call<float>>({1, 2, 1, 70, 70, 64, 64}, 1);
  call.run(device, options);
  const auto want =
      tessera::reference::attention_backward(call.in.q.view(), call.in.k.view(), call.in.v.view(), call.dout.view(), options);
  // lse and out are rounded to float32, the gradients once.
  const auto nearby = [](const support::array<float, 4>& got, const std::vector<double>& wanted, double size) {
    const auto elements = got.elements();
    double worst = 0;
    for (std::size_t n = 0; n < wanted.size(); ++n) {
      worst = std::fmax(worst, std::fabs(static_cast<double>(elements[n]) - wanted[n]));
    }
    return worst <= size;
  };
  BOOST_TEST((nearby(call.dq, want.dq, 3e-6) && nearby(call.dk, want.dk, 6e-6) && nearby(call.dv, want.dv, 3e-6)));
}

BOOST_AUTO_TEST_CASE(memory_of_the_host_is_named) {
  auto call = normal_call<backward_call<float>>({1, 2, 1, 6, 5, 8, 8}, 1);
  call.run(device);
  const views_of good(call);
  const auto refused = [&](const auto& change) {
    view<const float, 4> q = good.q, k = good.k, v = good.v, out = good.out, dout = good.dout;
    view<const float, 3> lse = good.lse;
    view<float, 4> dq = good.dq, dk = good.dk, dv = good.dv;
    attention::options<> options;
    change(q, k, v, out, dout, lse, dq, dk, dv, options);
    const std::string text =
        support::refusal([&] { attention::backward(tessera::cuda::on(), q, k, v, out, lse, dout, dq, dk, dv, options); });
    const std::string function = "attention::backward: ";
    BOOST_TEST(text.substr(0, function.size()) == function);
    return text.substr(function.size(), text.find(',') - function.size());
  };
  const auto host = [&](auto& x, auto& array) { x = array.view(); };
  const float numbers[] = {0, 0};
  const auto name = [&](const char* argument, const auto& change) {
    const std::string got = refused(change);
    BOOST_TEST(got.substr(0, got.find(": ")) == argument);
    BOOST_TEST(got.find("host memory") != std::string::npos);
  };
  name("q", [&](auto& q, auto&...) { host(q, call.in.q); });
  name("k", [&](auto&, auto& k, auto&...) { host(k, call.in.k); });
  name("v", [&](auto&, auto&, auto& v, auto&...) { host(v, call.in.v); });
  name("out", [&](auto&, auto&, auto&, auto& out, auto&...) { host(out, call.out); });
  name("dout", [&](auto&, auto&, auto&, auto&, auto& dout, auto&...) { host(dout, call.dout); });
  name("lse", [&](auto&, auto&, auto&, auto&, auto&, auto& lse, auto&...) { host(lse, call.lse); });
  name("dq", [&](auto&, auto&, auto&, auto&, auto&, auto&, auto& dq, auto&...) { host(dq, call.dq); });
  name("dk", [&](auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto& dk, auto&...) { host(dk, call.dk); });
  name("dv", [&](auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto& dv, auto&) { host(dv, call.dv); });
  name("options.key_scales", [&](auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto& options) {
    options.key_scales = view<const float, 1>(numbers, 1);
  });
  name("options.sinks", [&](auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto&, auto& options) {
    options.sinks = view<const float, 1>(numbers, 2);
  });
}

// The gradients of a call with rotary have the bits of those of rotated arrays, rotated back; of one or both, and their scratch is counted.
BOOST_AUTO_TEST_CASE(rotary_is_that_of_rotated_arrays) {
  const rotary_test::tables of(200, 12);
  const float sinks[] = {0.5F, -1.0F};
  for (const int which : {0, 1, 2}) {
    const shape x{2, 2, 1, 70, 90, 20, 16};
    auto call = normal_call<backward_call<float>>(x, 3, {which, which == 1});
    attention::options<> plain{.mask = attention::causal, .sinks = view<const float, 1>(sinks, 2)};
    attention::options<> options = plain;
    options.rotary = of.with(rotary_test::layouts[which % 2]);
    options.rotary.first_key = 33;
    options.rotary.first_dim = 5;
    options.rotary.queries = which != 1;
    options.rotary.keys = which != 2;
    auto rotated = call;
    const attention::rotary& by = options.rotary;
    const std::int64_t first = by.query_position(x.len_q, x.len_k);
    if (by.queries) attention::rotate(tessera::seq, call.in.q.view(), rotated.in.q.view(), by, first);
    if (by.keys) attention::rotate(tessera::seq, call.in.k.view(), rotated.in.k.view(), by, by.first_key);
    rotated.run(device, plain);
    if (by.queries) attention::rotate_back(tessera::seq, rotated.dq.view(), rotated.dq.view(), by, first);
    if (by.keys) attention::rotate_back(tessera::seq, rotated.dk.view(), rotated.dk.view(), by, by.first_key);
    call.out = rotated.out;
    call.lse = rotated.lse;
    call.backward(device, options);
    BOOST_TEST((call.in.untouched() && call.gaps_untouched()));
    BOOST_TEST(call.same_gradients(rotated));

    // 4 heads of 2 tiles of 64 queries: two numbers a query, and one a tile; rows of 20 numbers.
    const std::size_t numbers = 4 * 2 * 64 * 2 * sizeof(float) + 256;
    const std::size_t of_copies = (by.queries ? std::size_t{22528} : 0) + (by.keys ? std::size_t{14592} : 0);
    auto other = call;
    for (auto* const gradient : {&other.dq, &other.dk, &other.dv}) gradient->fill([](std::uint64_t) { return 7; });
    views_of there(other);
    const auto on_the_device = support::options_on_device(there.memory, options);
    void* block = nullptr;
    tessera::cuda::check(cudaMalloc(&block, numbers + of_copies), "cudaMalloc");
    CHECK_REFUSED("attention::backward: workspace: ",
                  there.run(tessera::cuda::on().workspace(block, numbers + of_copies - 1), on_the_device));
    there.memory.bring_back();
    BOOST_TEST(other.dq(0, 0, 0, 0) == 7);
    there.run(tessera::cuda::on().workspace(block, numbers + of_copies), on_the_device);
    there.memory.bring_back();
    BOOST_TEST(other.same_gradients(call));
    static_cast<void>(cudaFree(block));
  }
  auto call = normal_call<backward_call<float>>({1, 2, 1, 5, 6, 8, 8}, 1);
  call.run(device);
  const views_of there(call);
  const attention::options<> of_host{.rotary = {.cos = of.cos.view(), .sin = of.sin.view()}};
  CHECK_REFUSED("attention::backward: options.rotary.cos: ", there.run(tessera::cuda::on(), of_host));
}

// A block of its own serves a call when it is as large as the error says; nothing is taken from the pool then.
BOOST_AUTO_TEST_CASE(scratch_is_the_callers_where_it_is_given) {
  auto call = normal_call<backward_call<float>>({1, 2, 1, 70, 50, 16, 16}, 1);
  call.run(device, causal);
  backward_call<float> other = call;
  for (auto* const gradient : {&other.dq, &other.dk, &other.dv}) gradient->fill([](std::uint64_t) { return 7; });
  const views_of there(other);
  void* block = nullptr;
  // 2 heads of 2 tiles of 64 queries: two numbers a query, and one a tile.
  const std::size_t bytes = 2 * 2 * 64 * 2 * sizeof(float) + 256;
  tessera::cuda::check(cudaMalloc(&block, bytes), "cudaMalloc");
  CHECK_REFUSED("attention::backward: workspace: ", there.run(tessera::cuda::on().workspace(block, bytes - 1), causal));
  there.memory.bring_back();
  BOOST_TEST(other.dq(0, 0, 0, 0) == 7);
  there.run(tessera::cuda::on().workspace(block, bytes), causal);
  there.memory.bring_back();
  BOOST_TEST(other.same_gradients(call));
  static_cast<void>(cudaFree(block));
}

BOOST_AUTO_TEST_SUITE_END()
