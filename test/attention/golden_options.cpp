// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Masks, scores, sinks and grouped heads of attention, forward, backward and along tangents, against values of PyTorch.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "calls.hpp"
#include "golden.hpp"

namespace {

using golden::distance;
using golden::ramp;
using support::array;
using tessera::view;
namespace attention = tessera::attention;

/// The masks of the golden values, with what they look at.
class masks {
 public:
  explicit masks(const golden::every_option& x) : len_q_(x.sizes[3]), len_k_(x.sizes[4]) {
    constexpr std::int64_t parents[] = {0, 0, 0, 1, 1};
    for (std::int64_t i = 0; i < len_q_; ++i) {
      of_query_.push_back(static_cast<int>((i + len_k_ - len_q_) / 3));
      rows_.push_back(std::uint64_t{1} << i);
      if (x.mask == "tree" && i > 0) rows_.back() |= rows_[static_cast<std::size_t>(parents[i])];
      for (std::int64_t j = 0; j < len_k_; ++j) seen_.push_back((5 * i + 3 * j) % 4 != 1);
    }
    for (std::int64_t j = 0; j < len_k_; ++j) of_key_.push_back(static_cast<int>(j / 3));
    const std::int64_t batch = x.sizes[0];
    if (x.mask == "causal_top_left") {
      mask_.a = attention::band{.right = 0, .alignment = attention::alignment::top_left};
    } else if (x.mask == "causal") {
      mask_.a = attention::causal;
    } else if (x.mask == "window") {
      mask_.a = attention::sliding_window(2, 1);
    } else if (x.mask == "prefix") {
      mask_.a = attention::causal_with_prefix(3);
    } else if (x.mask == "documents") {
      mask_.a = attention::documents<int>{view<const int, 2>(of_query_.data(), {batch, len_q_}, {0, 1}),
                                          view<const int, 2>(of_key_.data(), {batch, len_k_}, {0, 1})};
      mask_.b = attention::causal;
      mask_.how = any::join::both;
    } else if (x.mask == "tree") {
      mask_.a = attention::tree{view<const std::uint64_t, 2>(rows_.data(), len_q_, std::int64_t{1})};
    } else if (x.mask == "dense") {
      mask_.a = attention::dense_mask<std::uint8_t>{
          view<const std::uint8_t, 4>(seen_.data(), {batch, x.sizes[1], len_q_, len_k_}, {0, 0, len_k_, 1})};
    } else {
      BOOST_TEST((x.mask == "everything"));
    }
  }
  [[nodiscard]] const any::mask& mask() const { return mask_; }

 private:
  std::int64_t len_q_;
  std::int64_t len_k_;
  std::vector<int> of_query_;
  std::vector<int> of_key_;
  std::vector<std::uint64_t> rows_;
  std::vector<std::uint8_t> seen_;
  any::mask mask_;
};

template <class S>
void check(double bound) {
  for (const golden::every_option& x : golden::torch_options) {
    const auto& n = x.sizes;
    oracle::inputs<S> in(n[0], n[1], n[2], n[3], n[4], n[5], n[6]);
    in.q.fill(ramp(1));
    in.k.fill(ramp(2));
    in.v.fill(ramp(3));
    oracle::backward_call<S> call(in);
    call.dout.fill(ramp(4));

    // A bias of the axes that it has; the others have stride 0.
    const std::int64_t full[] = {n[0], n[1], n[3], n[4]};
    std::array<std::int64_t, 4> kept{1, 1, 1, 1};
    std::int64_t strides[4] = {};
    std::int64_t step = 1;
    for (std::size_t r = 4; r-- > 0;) {
      const bool has = !x.bias.empty() && x.bias[r];
      kept[r] = has ? full[r] : 1;
      strides[r] = has ? step : 0;
      step *= kept[r];
    }
    array<float, 4> bias(kept);
    bias.fill(ramp(5));
    array<float, 4> dbias(kept);
    array<float, 1> dslopes({n[1]});
    array<float, 1> dsinks({n[1]});
    calls::score_parts parts(n[0], n[1], n[3], n[4]);
    attention::more_gradients<float> more;
    if (x.cap != 0) parts.cap = x.cap;
    if (!x.slopes.empty()) parts.slopes = x.slopes, more.slopes = dslopes.view();
    if (!x.bias.empty()) {
      parts.bias = view<const float, 4>(std::as_const(bias).view().data_handle(), full, strides);
      more.bias = view<float, 4>(dbias.view().data_handle(), full, strides);
    }
    const masks mask(x);
    calls::options<calls::every_score> options{.mask = mask.mask(), .score = parts.score()};
    if (x.scale != 0) options.scale = x.scale;
    if (!x.sinks.empty()) options.sinks = view<const float, 1>(x.sinks.data(), n[1]), more.sinks = dsinks.view();

    calls::run(tessera::par.threads(2), call, options, more);
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(distance(call.out.elements(), x.out) <= bound);
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(distance(call.lse.elements(), x.lse) <= bound);
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(distance(call.dq.elements(), x.dq) <= bound);
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(distance(call.dk.elements(), x.dk) <= bound);
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(distance(call.dv.elements(), x.dv) <= bound);
    // Gradients of what is float32 are float32.
    const double rounded = std::fmax(bound, 2e-7);
    BOOST_TEST_INFO(x.name);
    if (!x.slopes.empty()) BOOST_TEST(distance(dslopes.elements(), x.dslopes) <= rounded);
    if (!x.sinks.empty()) BOOST_TEST(distance(dsinks.elements(), x.dsinks) <= rounded);
    if (!x.bias.empty()) BOOST_TEST(distance(dbias.elements(), x.dbias) <= rounded);

    oracle::inputs<S> along = in;
    along.q.fill(ramp(6));
    along.k.fill(ramp(7));
    along.v.fill(ramp(8));
    array<S, 4> out(in.out_extents());
    array<S, 4> tangent(in.out_extents());
    const auto& at = std::as_const(call.in);
    const auto& to = std::as_const(along);
    calls::jvp(tessera::par.threads(1), at.q.view(), at.k.view(), at.v.view(), to.q.view(), to.k.view(), to.v.view(), out.view(),
               tangent.view(), options);
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(out.same_elements(call.out));
    BOOST_TEST_INFO(x.name);
    BOOST_TEST(distance(tangent.elements(), x.tangent) <= bound);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_golden_options)

BOOST_AUTO_TEST_CASE(float64_is_that_of_torch) { check<double>(1e-14); }
BOOST_AUTO_TEST_CASE(float32_is_that_of_torch) { check<float>(2e-6); }

BOOST_AUTO_TEST_SUITE_END()
