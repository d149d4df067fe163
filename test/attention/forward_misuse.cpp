// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What attention::forward refuses, before out or lse is touched.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>

#include "oracle.hpp"

namespace {

using support::array;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;

struct arguments {
  oracle::inputs<float> in{2, 4, 2, 6, 5, 3, 7};
  array<float, 4> out{in.out_extents()};
  array<float, 3> lse{in.lse_extents()};
  view<float, 4> q = in.q.view();
  view<float, 4> k = in.k.view();
  view<float, 4> v = in.v.view();
  view<float, 4> o = out.view();
  view<float, 3> l = lse.view();

  arguments() {
    in.q.fill([](std::uint64_t n) { return static_cast<double>(n); });
    in.k.fill([](std::uint64_t n) { return static_cast<double>(n); });
    in.v.fill([](std::uint64_t n) { return static_cast<double>(n); });
  }
  [[nodiscard]] bool untouched() const { return in.untouched() && out.untouched() && lse.untouched(); }
  void run(const attention::options<>& options = {}) const { attention::forward(seq, q, k, v, o, l, options); }
};

view<float, 4> of_shape(const view<float, 4>& v, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return view<float, 4>(v.data_handle(), a, b, c, d);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_forward_misuse)

BOOST_AUTO_TEST_CASE(shapes) {
  const arguments good;
  const auto refused = [&](const auto& change) {
    arguments x = good;
    change(x);
    const std::string text = support::refusal([&] { x.run(); });
    BOOST_TEST(good.untouched());
    return text.substr(0, text.find(": ", std::string("attention::forward: ").size()));
  };
  BOOST_TEST(refused([](auto& x) { x.k = of_shape(x.k, 1, 2, 5, 3); }) == "attention::forward: k");
  BOOST_TEST(refused([](auto& x) { x.k = of_shape(x.k, 2, 2, 5, 2); }) == "attention::forward: k");
  BOOST_TEST(refused([](auto& x) { x.k = of_shape(x.k, 2, 2, 4, 3); }) == "attention::forward: v");
  BOOST_TEST(refused([](auto& x) { x.v = of_shape(x.v, 1, 2, 5, 7); }) == "attention::forward: v");
  BOOST_TEST(refused([](auto& x) { x.v = of_shape(x.v, 2, 1, 5, 7); }) == "attention::forward: v");
  BOOST_TEST(refused([](auto& x) { x.o = of_shape(x.o, 2, 4, 6, 6); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.o = of_shape(x.o, 2, 4, 5, 7); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.o = of_shape(x.o, 2, 3, 6, 7); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.l = view<float, 3>(x.l.data_handle(), 2, 4, 5); }) == "attention::forward: lse");
  BOOST_TEST(refused([](auto& x) {
               x.k = of_shape(x.k, 2, 3, 3, 3);  // 4 heads, 3 kv_heads
               x.v = of_shape(x.v, 2, 3, 3, 7);
             }) == "attention::forward: k");
  BOOST_TEST(refused([](auto& x) {
               x.k = of_shape(x.k, 2, 0, 5, 3);
               x.v = of_shape(x.v, 2, 0, 5, 7);
             }) == "attention::forward: k");
  BOOST_TEST(refused([](auto& x) { x.q = of_shape(x.q, 2, -4, 6, 3); }) == "attention::forward: q");
}

BOOST_AUTO_TEST_CASE(pointers_and_strides) {
  const arguments good;
  const auto refused = [&](const auto& change) {
    arguments x = good;
    change(x);
    const std::string text = support::refusal([&] { x.run(); });
    BOOST_TEST(good.untouched());
    return text.substr(0, text.find(": ", std::string("attention::forward: ").size()));
  };
  BOOST_TEST(refused([](auto& x) { x.q = view<float, 4>(nullptr, 2, 4, 6, 3); }) == "attention::forward: q");
  BOOST_TEST(refused([](auto& x) { x.k = view<float, 4>(nullptr, 2, 2, 5, 3); }) == "attention::forward: k");
  BOOST_TEST(refused([](auto& x) { x.v = view<float, 4>(nullptr, 2, 2, 5, 7); }) == "attention::forward: v");
  BOOST_TEST(refused([](auto& x) { x.o = view<float, 4>(nullptr, 2, 4, 6, 7); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.l = view<float, 3>(nullptr, 2, 4, 6); }) == "attention::forward: lse");
  BOOST_TEST(refused([](auto& x) { x.q = view<float, 4>(x.q.data_handle(), {2, 4, 6, 3}, {72, 18, 1, 6}); }) ==
             "attention::forward: q");
  BOOST_TEST(refused([](auto& x) { x.o = view<float, 4>(x.o.data_handle(), {2, 4, 6, 7}, {168, 42, 1, 6}); }) ==
             "attention::forward: out");
  // Outputs that lie on inputs, on one another, on themselves.
  BOOST_TEST(refused([](auto& x) { x.o = of_shape(x.q, 2, 4, 6, 7); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.o = of_shape(x.k, 2, 4, 6, 7); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.o = of_shape(x.v, 2, 4, 6, 7); }) == "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.l = view<float, 3>(x.q.data_handle(), 2, 4, 6); }) == "attention::forward: lse");
  BOOST_TEST(refused([](auto& x) { x.l = view<float, 3>(x.o.data_handle() + 300, 2, 4, 6); }) == "attention::forward: lse");
  BOOST_TEST(refused([](auto& x) { x.o = view<float, 4>(x.o.data_handle(), {2, 4, 6, 7}, {0, 42, 7, 1}); }) ==
             "attention::forward: out");
  BOOST_TEST(refused([](auto& x) { x.l = view<float, 3>(x.l.data_handle(), {2, 4, 6}, {24, 0, 1}); }) ==
             "attention::forward: lse");
}

BOOST_AUTO_TEST_CASE(scales_that_are_not_finite) {
  const arguments x;
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  for (const double scale : {not_a_number, inf, -inf, 1e39}) {  // the last is not finite in float32
    CHECK_REFUSED("attention::forward: options.scale: ", x.run({.scale = scale}));
  }
  BOOST_TEST(x.untouched());
}

BOOST_AUTO_TEST_CASE(errors_say_what_was_given_and_what_is_needed) {
  arguments x;
  x.o = of_shape(x.o, 2, 4, 6, 6);
  BOOST_TEST(support::refusal([&] { x.run(); }) ==
             "attention::forward: out: shape [2, 4, 6, 6]; needs [batch, heads, len_q, value_dim]");
}

// Inputs may share memory: self-attention, keys that are values, one head seen by all.
BOOST_AUTO_TEST_CASE(inputs_that_share_memory_are_no_misuse) {
  arguments x;
  x.k = view<float, 4>(x.q.data_handle(), {2, 2, 5, 3}, {0, 0, 3, 1});
  x.v = view<float, 4>(x.q.data_handle(), {2, 2, 5, 7}, {0, 0, 1, 1});
  x.run();
  BOOST_TEST(!x.out.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
