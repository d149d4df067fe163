// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/attention/jvp.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "jvp_oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using oracle::shape;
using support::array;
using support::normals;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace attention = tessera::attention;
namespace reference = tessera::reference;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

constexpr shape shapes[] = {{1, 1, 1, 1, 1, 1, 1},     {1, 2, 1, 3, 2, 2, 5},      {2, 2, 2, 16, 97, 17, 31},
                            {1, 4, 2, 49, 193, 65, 3}, {1, 1, 1, 129, 257, 9, 10}, {1, 1, 1, 60, 31, 8, 40},
                            {1, 1, 1, 3, 0, 4, 4},     {1, 1, 1, 50, 600, 32, 8}};

/// Arguments of a call and their tangents.
template <class T>
struct arguments {
  oracle::inputs<T> at;
  oracle::inputs<T> along;

  explicit arguments(const shape& x, support::placement where = {}, double size = 1) : at(x, where), along(x, where) {
    at.q.fill(normals(1, size));
    at.k.fill(normals(2, size));
    at.v.fill(normals(3));
    along.q.fill(normals(4));
    along.k.fill(normals(5));
    along.v.fill(normals(6));
  }
  template <class Exec, class Out, class Options>
  void run(const Exec& exec, Out& out, Out& dout, const Options& options) const {
    attention::jvp(exec, at.q.view(), at.k.view(), at.v.view(), along.q.view(), along.k.view(), along.v.view(), out.view(),
                   dout.view(), options);
  }
};

/// The bound of the docs, from the same loops on absolute values.
template <class T, class Options>
void check(support::worst& errors, const arguments<T>& in, const Options& options) {
  array<T, 4> out(in.at.out_extents());
  array<T, 4> dout(in.at.out_extents());
  in.run(par.threads(2), out, dout, options);
  BOOST_TEST((in.at.untouched() && in.along.untouched()));
  array<T, 4> plain(in.at.out_extents());
  attention::forward(seq, in.at.q.view(), in.at.k.view(), in.at.v.view(), plain.view(), options);
  BOOST_TEST(std::memcmp(plain.elements().data(), out.elements().data(), plain.elements().size() * sizeof(T)) == 0);

  oracle::compare_jvp(errors, in.at, in.along, dout, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_jvp)

BOOST_AUTO_TEST_CASE(is_within_its_bound) {
  support::worst errors;
  for (std::size_t s = 0; s < std::size(shapes); ++s) {
    const support::placement where{static_cast<std::int64_t>(s % 3), s % 2 == 1};
    check(errors, arguments<float>(shapes[s], where), attention::options<>{});
    check(errors, arguments<float>(shapes[s], where, 3), attention::options<>{.scale = 0.7, .mask = attention::causal});
    check(errors, arguments<float>(shapes[s]),
          attention::options{.mask = attention::sliding_window(30, 5), .score = attention::softcap{3}});
    check(errors, arguments<tessera::bfloat16>(shapes[s], where), attention::options<>{.mask = attention::causal});
  }
  CHECK_WITHIN_BOUND(errors);
  support::worst wide;
  for (const shape& x : shapes) check(wide, arguments<double>(x), attention::options<>{.mask = attention::causal});
  CHECK_WITHIN_BOUND(wide);
}

// The reference against differences of attention itself, in float64: formula against formula.
BOOST_AUTO_TEST_CASE(the_reference_is_the_derivative) {
  const arguments<double> in(shape{1, 2, 1, 6, 9, 5, 4});
  const std::vector<float> sinks = {0.5f, -1};
  const attention::options options{
      .mask = attention::causal, .score = attention::softcap{4}, .sinks = view<const float, 1>(sinks.data(), 2)};
  const auto moved = [&](double t) {
    arguments<double> x = in;
    const auto move = [t](auto& at, const auto& along) {
      const auto steps = along.elements();
      const auto from = at.elements();
      at.fill([&](std::uint64_t n) { return from[n] + t * steps[n]; });
    };
    move(x.at.q, x.along.q);
    move(x.at.k, x.along.k);
    move(x.at.v, x.along.v);
    std::vector<long double> result;
    reference::attention<long double>(x.at.q.view(), x.at.k.view(), x.at.v.view(), options,
                                      [&](auto, auto, auto, const std::vector<long double>& out, long double) {
                                        result.insert(result.end(), out.begin(), out.end());
                                      });
    return result;
  };
  const double step = 1e-4;
  const auto high = moved(step);
  const auto low = moved(-step);
  double worst = 0;
  std::size_t at = 0;
  reference::attention_jvp(
      in.at.q.view(), in.at.k.view(), in.at.v.view(), in.along.q.view(), in.along.k.view(), in.along.v.view(), options,
      [&](auto, auto, auto, const std::vector<double>&, const std::vector<double>& want) {
        for (const double x : want) {
          const auto slope = static_cast<double>((high[at] - low[at]) / (2 * static_cast<long double>(step)));
          worst = std::fmax(worst, std::fabs(x - slope));
          ++at;
        }
      });
  BOOST_TEST(worst < 1e-6);
  // And the call against the reference, sinks and all.
  array<double, 4> out(in.at.out_extents());
  array<double, 4> dout(in.at.out_extents());
  in.run(seq, out, dout, options);
  worst = 0;
  reference::attention_jvp(in.at.q.view(), in.at.k.view(), in.at.v.view(), in.along.q.view(), in.along.k.view(),
                           in.along.v.view(), options,
                           [&](auto b, auto h, auto i, const std::vector<double>&, const std::vector<double>& want) {
                             for (std::size_t c = 0; c < want.size(); ++c) {
                               worst = std::fmax(worst, std::fabs(dout(b, h, i, static_cast<std::int64_t>(c)) - want[c]));
                             }
                           });
  BOOST_TEST(worst < 1e-14);
}

BOOST_AUTO_TEST_CASE(same_bits_for_any_team_and_a_row_alone) {
  const arguments<float> in(shape{2, 2, 1, 130, 400, 24, 20});
  const attention::options<> options{.mask = attention::everything};
  array<float, 4> out(in.at.out_extents());
  array<float, 4> dout(in.at.out_extents());
  in.run(seq, out, dout, options);
  for (const int threads : {2, 3}) {
    array<float, 4> other(in.at.out_extents());
    array<float, 4> dother(in.at.out_extents());
    in.run(par.threads(threads), other, dother, options);
    BOOST_TEST(std::memcmp(dout.elements().data(), dother.elements().data(), dout.elements().size() * sizeof(float)) == 0);
  }
  for (const std::int64_t i : {0, 47, 48, 129}) {
    array<float, 4> one({2, 2, 1, 20});
    array<float, 4> done({2, 2, 1, 20});
    const auto slice = [i](auto v) {
      return view<const float, 4>(v.data_handle() + i * v.stride(2), {2, 2, 1, 24}, {v.stride(0), v.stride(1), v.stride(2), 1});
    };
    attention::jvp(seq, slice(in.at.q.view()), in.at.k.view(), in.at.v.view(), slice(in.along.q.view()), in.along.k.view(),
                   in.along.v.view(), one.view(), done.view(), options);
    for (std::int64_t c = 0; c < 20; ++c) BOOST_TEST(done(1, 1, 0, c) == dout(1, 1, i, c));
  }
}

BOOST_AUTO_TEST_CASE(what_is_hidden_does_not_leak) {
  arguments<float> in(shape{1, 1, 1, 60, 500, 8, 6});
  const auto hidden = [](std::int64_t j) { return j < 101 || j % 9 == 4; };
  const attention::options options{
      .mask = [=](std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) { return !hidden(j) && i != 7; }};
  array<float, 4> out(in.at.out_extents());
  array<float, 4> clean(in.at.out_extents());
  in.run(seq, out, clean, options);
  for (std::int64_t j = 0; j < 500; ++j) {
    if (!hidden(j)) continue;
    in.at.k(0, 0, j, 1) = in.at.v(0, 0, j, 2) = in.along.k(0, 0, j, 3) = in.along.v(0, 0, j, 4) = not_a_number;
  }
  array<float, 4> dout(in.at.out_extents());
  in.run(seq, out, dout, options);
  BOOST_TEST(std::memcmp(clean.elements().data(), dout.elements().data(), clean.elements().size() * sizeof(float)) == 0);
  for (std::int64_t c = 0; c < 6; ++c) BOOST_TEST((out(0, 0, 7, c) == 0 && dout(0, 0, 7, c) == 0));
  in.along.v(0, 0, 300, 5) = not_a_number;  // visible
  in.run(seq, out, dout, options);
  BOOST_TEST((std::isnan(dout(0, 0, 3, 5)) && !std::isnan(dout(0, 0, 3, 4)) && dout(0, 0, 7, 5) == 0));
}

BOOST_AUTO_TEST_CASE(misuse) {
  const arguments<float> good(shape{1, 2, 1, 5, 7, 4, 3});
  const auto refused = [&](const auto& change) {
    arguments<float> x = good;
    array<float, 4> out(x.at.out_extents());
    array<float, 4> dout(x.at.out_extents());
    struct {
      view<const float, 4> dq, dk, dv;
      view<float, 4> out, dout;
    } a{std::as_const(x.along.q).view(), std::as_const(x.along.k).view(), std::as_const(x.along.v).view(), out.view(),
        dout.view()};
    change(a);
    const std::string text = support::refusal(
        [&] { attention::jvp(seq, x.at.q.view(), x.at.k.view(), x.at.v.view(), a.dq, a.dk, a.dv, a.out, a.dout); });
    BOOST_TEST((out.untouched() && dout.untouched()));
    return text.substr(0, text.find(": ", std::string("attention::jvp: ").size()));
  };
  const auto of = [](auto v, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return decltype(v)(v.data_handle(), a, b, c, d);
  };
  BOOST_TEST(refused([&](auto& a) { a.dq = of(a.dq, 1, 2, 5, 3); }) == "attention::jvp: dq");
  BOOST_TEST(refused([&](auto& a) { a.dk = of(a.dk, 1, 2, 7, 4); }) == "attention::jvp: dk");
  BOOST_TEST(refused([&](auto& a) { a.dv = of(a.dv, 1, 1, 6, 3); }) == "attention::jvp: dv");
  BOOST_TEST(refused([&](auto& a) { a.dout = of(a.dout, 1, 2, 5, 2); }) == "attention::jvp: dout");
  BOOST_TEST(refused([&](auto& a) { a.out = of(a.out, 1, 2, 4, 3); }) == "attention::jvp: out");
  BOOST_TEST(refused([&](auto& a) { a.dout = a.out; }) == "attention::jvp: dout");
  BOOST_TEST(refused([&](auto& a) { a.dq = view<const float, 4>(nullptr, 1, 2, 5, 4); }) == "attention::jvp: dq");
}

BOOST_AUTO_TEST_SUITE_END()
