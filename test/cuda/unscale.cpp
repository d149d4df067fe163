// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/training/unscale.cuh"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "orders.hpp"
#include "support/error.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/classify.hpp"
#include "tessera/numeric/float16.hpp"

namespace gpu = tessera::cuda;
namespace training = tessera::training;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Tensors of given sizes, each at another alignment.
template <class In, class Out>
struct model {
  explicit model(const std::vector<std::int64_t>& sizes) {
    int number = 0;
    for (const std::int64_t size : sizes) {
      std::vector<In> x(static_cast<std::size_t>(size));
      for (In& value : x) value = static_cast<In>(static_cast<float>(++number * 37 % 1001 - 500) * 0.125f);
      const auto offset = static_cast<std::int64_t>(values.size() % 4);
      values.push_back(x);
      in.push_back(std::make_unique<support::device_array<In>>(x, offset));
      out.push_back(std::make_unique<support::device_array<Out>>(size, offset * 3 % 5));
      in_views.push_back(in.back()->view());
      out_views.push_back(out.back()->view());
    }
  }

  void set(std::size_t tensor, std::size_t element, float x) {
    values[tensor][element] = static_cast<In>(x);
    in[tensor]->set(values[tensor]);
  }

  /// What found was set to; the tensors are checked to be what one thread of a CPU would make of them.
  float unscale(float scale_value, const gpu::executor& exec = gpu::on()) {
    const support::device_array<float> scale(std::vector<float>{scale_value});
    const support::device_array<float> found(std::vector<float>{0});
    training::unscale(exec, in_views, out_views, scale.constant(), found.view());
    bool right = true;
    const auto inverse = static_cast<float>(1 / static_cast<double>(scale_value));
    for (std::size_t t = 0; t < values.size(); ++t) {
      const auto got = out[t]->get();
      for (std::size_t i = 0; i < got.size(); ++i) {
        using Number = training::detail::unscaled_in<Out>;
        const auto want = static_cast<Out>(static_cast<Number>(values[t][i]) * static_cast<Number>(inverse));
        right = right && (tessera::isnan(want) ? tessera::isnan(got[i]) : got[i] == want);
      }
      right = right && out[t]->borders_intact() && support::same_bits(in[t]->get(), values[t]);
    }
    BOOST_TEST(right);
    return found.get()[0];
  }

  std::vector<std::vector<In>> values;
  std::vector<std::unique_ptr<support::device_array<In>>> in;
  std::vector<std::unique_ptr<support::device_array<Out>>> out;
  std::vector<view<In, 1>> in_views;
  std::vector<view<Out, 1>> out_views;
};

const std::vector<std::int64_t> odd_sizes{1, 0, 7, 5000, 3, 20000, 0, 64, 1, 9001, 0};

template <class In, class Out>
void unscale_odd_sizes() {
  model<In, Out> m(odd_sizes);
  BOOST_TEST(m.unscale(65536) == 0.0f);
  BOOST_TEST(m.unscale(3) == 0.0f);
  BOOST_TEST(m.unscale(1) == 0.0f);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_unscale)

BOOST_AUTO_TEST_CASE(every_type_and_size) {
  unscale_odd_sizes<float, float>();
  unscale_odd_sizes<double, double>();
  unscale_odd_sizes<float16, float>();
  unscale_odd_sizes<bfloat16, float>();
  unscale_odd_sizes<bfloat16, bfloat16>();
  unscale_odd_sizes<float, double>();
}

BOOST_AUTO_TEST_CASE(one_bad_number_anywhere_is_found_and_written) {
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const auto& [tensor, element] :
         std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {2, 6}, {3, 4999}, {5, 0}, {5, 19999}, {9, 4500}, {8, 0}}) {
      model<float16, float> m(odd_sizes);
      m.set(tensor, element, bad);
      BOOST_TEST_INFO(bad << " in " << tensor << ' ' << element);
      BOOST_TEST(m.unscale(2) == 1.0f);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_finite_number_that_a_small_scale_makes_infinite_is_found) {
  model<float, float> m({100});
  m.set(0, 50, 3e38f);
  BOOST_TEST(m.unscale(1) == 0.0f);
  BOOST_TEST(m.unscale(0.5f) == 1.0f);
  model<float, bfloat16> narrow({100});
  narrow.set(0, 50, std::numeric_limits<float>::max());  // rounds to infinity
  BOOST_TEST(narrow.unscale(1) == 1.0f);
}

BOOST_AUTO_TEST_CASE(a_scale_of_one_keeps_every_bit) {
  support::device_array<float> x(std::vector<float>{std::numeric_limits<float>::denorm_min(), -0.0f, 3});
  const auto before = x.get();
  const support::device_array<float> scale(std::vector<float>{1});
  const support::device_array<float> found(std::vector<float>{0});
  const std::vector<view<float, 1>> grads{x.view()};
  training::unscale(gpu::on(), grads, grads, scale.constant(), found.view());
  BOOST_TEST(support::same_bits(x.get(), before));
}

BOOST_AUTO_TEST_CASE(in_place_and_a_flag_that_is_only_ever_set, *boost::unit_test::label("small")) {
  support::device_array<float> x(std::vector<float>{2, 4, infinity});
  support::device_array<float> y(std::vector<float>{6, 8});
  const support::device_array<float> scale(std::vector<float>{2});
  const support::device_array<float> found(std::vector<float>{0});
  const std::vector<view<float, 1>> both{x.view(), y.view()};
  const std::vector<view<float, 1>> good{y.view()};
  training::unscale(gpu::on(), both, both, scale.constant(), found.view());
  training::unscale(gpu::on(), good, good, scale.constant(), found.view());
  BOOST_TEST(found.get()[0] == 1.0f);
  BOOST_TEST(y.get()[1] == 2.0f);
  BOOST_TEST(x.get()[0] == 1.0f);
  BOOST_TEST(x.get()[2] == infinity);
}

BOOST_AUTO_TEST_CASE(more_tensors_than_a_table_holds) {
  for (const int count : {137, 138, 1152, 2500}) {
    std::vector<std::int64_t> sizes;
    for (int t = 0; t < count; ++t) sizes.push_back(t % 50 == 3 || t == count - 1 ? 4 : 0);  // (each block copies the table)
    model<float, float> m(sizes);
    BOOST_TEST_INFO(count << " tensors");
    BOOST_TEST(m.unscale(4) == 0.0f);
    m.set(static_cast<std::size_t>(count - 1), 3, infinity);
    BOOST_TEST(m.unscale(4) == 1.0f);
  }
  model<float, float> none({});
  CHECK_REFUSED("training::unscale: scaled: an empty list; ", none.unscale(4));
  model<float, float> empty({0, 0});
  BOOST_TEST(empty.unscale(4) == 0.0f);
}

BOOST_AUTO_TEST_CASE(fewer_blocks_than_tiles_in_any_order) {
  support::in_several_orders([] {
    model<float, float> m({300000, 5, 100000});  // 50 tiles for 32 blocks
    m.set(0, 299999, infinity);
    BOOST_TEST(m.unscale(4, support::on_one_multiprocessor()) == 1.0f);
  });
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  model<float, float> m({4, 5});
  const support::device_array<float> scale(std::vector<float>{2});
  const support::device_array<float> found(std::vector<float>{0});
  const auto before = m.out[0]->get();
  std::vector<float> host(5);
  auto on_host = m.in_views;
  on_host[1] = view<float, 1>(host.data(), 5);
  auto short_list = m.in_views;
  short_list.pop_back();
  auto shifted = m.out_views;
  shifted[1] = view<float, 1>(m.in_views[1].data_handle() + 1, 5);
  auto longer = m.out_views;
  longer[0] = view<float, 1>(m.out_views[0].data_handle(), 5);
  const auto call = [&](const auto& in, const auto& out, const view<const float, 1>& s) {
    training::unscale(gpu::on(), in, out, s, found.view());
  };
  CHECK_REFUSED("training::unscale: scaled[1]: host memory", call(on_host, m.out_views, scale.constant()));
  CHECK_REFUSED("training::unscale: out: 2 tensors; needs as many as scaled, 1", call(short_list, m.out_views, scale.constant()));
  CHECK_REFUSED("training::unscale: out[1]: overlaps scaled in part", call(m.in_views, shifted, scale.constant()));
  CHECK_REFUSED("training::unscale: out[0]: 5 elements; needs as many as scaled[0], 4",
                call(m.in_views, longer, scale.constant()));
  CHECK_REFUSED("training::unscale: scale: shape [0]; needs one number",
                call(m.in_views, m.out_views, view<const float, 1>(scale.data(), 0)));
  CHECK_REFUSED("training::unscale: scale: host memory", call(m.in_views, m.out_views, view<const float, 1>(host.data(), 1)));
  BOOST_TEST(support::same_bits(m.out[0]->get(), before));
}

BOOST_AUTO_TEST_SUITE_END()
