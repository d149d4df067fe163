// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/reduce.cuh"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "orders.hpp"
#include "support/error.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/normal.hpp"

namespace gpu = tessera::cuda;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;

namespace {

struct product {
  template <class T>
  TESSERA_HD T operator()(T x, T y) const {
    return x * y;
  }
};

/// Normal numbers, which cancel, or their magnitudes.
template <class T>
std::vector<T> numbers(std::int64_t size, std::uint64_t stream, bool magnitudes) {
  std::vector<T> x(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float z = tessera::random::normal<float>(1, stream, i);
    x[i] = static_cast<T>(magnitudes ? std::fabs(z) : z);
  }
  return x;
}

template <class Out, class In>
Out sum(const std::vector<In>& values, std::int64_t offset = 0) {
  const support::device_array<In> in(values, offset);
  const support::device_array<Out> out(1, 1);
  gpu::sum(gpu::on(), in.view(), out.view());
  BOOST_TEST(out.borders_intact());
  return out.get()[0];
}

template <class Out, class In>
void check_sums(support::worst& errors, double unit) {
  for (const std::int64_t size : {0, 1, 2, 5, 63, 257, 4096, 40001, 1100003}) {
    for (const bool magnitudes : {false, true}) {
      const auto x = numbers<In>(size, 3, magnitudes);
      long double want = 0;
      long double scale = 0;
      for (const In v : x) {
        want += static_cast<long double>(static_cast<double>(v));
        scale += std::fabs(static_cast<long double>(static_cast<double>(v)));
      }
      const double bound = (static_cast<double>(size) / 262144 + 48) * unit * static_cast<double>(scale) +
                           support::rounding<Out>(static_cast<double>(want));
      errors(static_cast<double>(sum<Out>(x)), want, bound, size, magnitudes);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_reduce)

BOOST_AUTO_TEST_CASE(sums_are_within_their_bound) {
  support::worst errors;
  check_sums<float, float>(errors, 0x1p-24);
  check_sums<float, bfloat16>(errors, 0x1p-24);
  check_sums<float, float16>(errors, 0x1p-24);
  check_sums<double, float>(errors, 0x1p-53);
  check_sums<double, double>(errors, 0x1p-53);
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(integers_are_exact) {
  std::vector<std::int32_t> x(100001);
  std::int64_t want = 0;
  for (std::size_t i = 0; i < x.size(); ++i) want += x[i] = static_cast<std::int32_t>(i * 2654435761u % 2000003u) - 1000001;
  BOOST_TEST(sum<std::int64_t>(x, 3) == want);
}

BOOST_AUTO_TEST_CASE(the_bits_depend_on_the_size_alone) {
  const auto x = numbers<float>(70001, 5, false);
  const float want = sum<float>(x);
  for (const std::int64_t offset : {1, 2, 3}) BOOST_TEST(sum<float>(x, offset) == want);
  support::in_several_orders([&] { BOOST_TEST(sum<float>(x) == want); });
  const support::device_array<float> in(x);
  const support::device_array<float> out(1);
  gpu::sum(support::on_one_multiprocessor(), in.view(), out.view());
  BOOST_TEST(out.get()[0] == want);
}

BOOST_AUTO_TEST_CASE(extrema_and_what_is_not_a_number) {
  const auto check = [](const std::vector<float>& values, float least, float most) {
    const support::device_array<float> in(values, 1);
    const support::device_array<float> out(1);
    gpu::minimum(gpu::on(), in.view(), out.view());
    const float got_least = out.get()[0];
    gpu::maximum(gpu::on(), in.view(), out.view());
    const float got_most = out.get()[0];
    BOOST_TEST((got_least == least || (std::isnan(got_least) && std::isnan(least))));
    BOOST_TEST((got_most == most || (std::isnan(got_most) && std::isnan(most))));
  };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  check({}, infinity, -infinity);
  check({3}, 3, 3);
  check({infinity, infinity}, infinity, infinity);
  for (const std::size_t at : {std::size_t{0}, std::size_t{777}, std::size_t{49999}}) {
    std::vector<float> x(50000, 0.5f);
    x[at] = -7;
    check(x, -7, 0.5f);
    x[at] = 9;
    check(x, 0.5f, 9);
    x[at] = nan;
    check(x, nan, nan);
  }
}

BOOST_AUTO_TEST_CASE(strides_and_two_inputs, *boost::unit_test::label("small")) {
  const auto values = numbers<float>(4000, 7, false);
  const support::device_array<float> x(values, 2);
  const support::device_array<double> out(1);
  const auto check = [&](const std::int64_t(&a)[2], const std::int64_t(&b)[2]) {
    gpu::reduce(gpu::on(), product{}, gpu::add{}, out.view(), view<float, 2>(x.data(), {9, 31}, a),
                view<const float, 2>(x.data(), {9, 31}, b));
    double want = 0;
    double scale = 0;
    for (std::int64_t i = 0; i < 9; ++i) {
      for (std::int64_t j = 0; j < 31; ++j) {
        const float term =
            values[static_cast<std::size_t>(i * a[0] + j * a[1])] * values[static_cast<std::size_t>(i * b[0] + j * b[1])];
        want += static_cast<double>(term);
        scale += std::fabs(static_cast<double>(term));
      }
    }
    BOOST_TEST_INFO("strides " << a[0] << ' ' << a[1] << ", " << b[0] << ' ' << b[1]);
    BOOST_TEST(std::fabs(out.get()[0] - want) <= 0x1p-53 * 300 * scale);
  };
  check({31, 1}, {31, 1});
  check({40, 1}, {33, 1});
  check({31, 1}, {1, 9});
  check({31, 1}, {0, 1});
  check({70, 2}, {31, 1});
}

BOOST_AUTO_TEST_CASE(the_callers_workspace_serves) {
  const auto x = numbers<float>(70001, 5, false);
  const support::device_array<float> in(x);
  const support::device_array<float> out(1);
  const support::device_array<std::byte> block(8 * 1024 + 256, 5);
  gpu::sum(gpu::on().workspace(block.data(), static_cast<std::size_t>(block.size())), in.view(), out.view());
  BOOST_TEST(out.get()[0] == sum<float>(x));
  BOOST_TEST(block.borders_intact());
  CHECK_REFUSED("cuda::sum: workspace: null", gpu::sum(gpu::on().workspace(nullptr, 0), in.view(), out.view()));
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  const support::device_array<float> in(8);
  const support::device_array<float> out(1);
  const auto before = out.get();
  std::vector<float> host(8);
  CHECK_REFUSED("cuda::sum: in: host memory", gpu::sum(gpu::on(), view<float, 1>(host.data(), 8), out.view()));
  CHECK_REFUSED("cuda::sum: out: host memory", gpu::sum(gpu::on(), in.view(), view<float, 1>(host.data(), 1)));
  CHECK_REFUSED("cuda::sum: out: shape [8]; needs one number",
                gpu::sum(gpu::on(), in.view(), support::device_array<float>(8).view()));
  CHECK_REFUSED("cuda::maximum: out: overlaps in", gpu::maximum(gpu::on(), in.view(), view<float, 1>(in.data() + 3, 1)));
  CHECK_REFUSED("cuda::reduce: second in: shape [7]; needs the shape of in, [8]",
                gpu::reduce(gpu::on(), product{}, gpu::add{}, out.view(), in.view(), view<float, 1>(in.data(), 7)));
  BOOST_TEST(support::same_bits(out.get(), before));
}

BOOST_AUTO_TEST_SUITE_END()
