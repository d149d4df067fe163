// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/transform.cuh"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "support/error.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/launch.cuh"
#include "tessera/cuda/memory/vector.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/numeric/float8.hpp"

namespace gpu = tessera::cuda;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;

namespace {

// Functors, not lambdas: nvcc reads this file, too.
struct three_x_plus_y {
  template <class X, class Y>
  TESSERA_HD auto operator()(X x, Y y) const {
    return x * 3 + y;
  }
};
struct four {
  TESSERA_HD float operator()() const { return 4; }
};
struct weighted {
  TESSERA_HD float operator()(float x, float y, float z) const { return x + 2 * y + 4 * z; }
};
struct plus_one {
  TESSERA_HD float operator()(float x) const { return x + 1; }
};
struct twice {
  TESSERA_HD float operator()(float x) const { return 2 * x; }
};

TESSERA_KERNEL void widen_and_narrow(const float16* in, float* out, float16* copy) {
  const auto x = gpu::load_vector_as<float, 8>(in);
  gpu::store_vector(out, x);
  gpu::store_vector_as<gpu::cached::streaming>(copy, x);
}

/// Values that float8 holds, too.
template <class T>
std::vector<T> numbers(std::int64_t size, int first) {
  std::vector<T> x(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<T>(static_cast<float>((static_cast<int>(i) * 7 + first) % 15 - 7));
  return x;
}

template <class Out, class A, class B>
void compare(std::int64_t size, std::int64_t out_offset, std::int64_t a_offset, std::int64_t b_offset) {
  support::device_array<Out> out(size, out_offset);
  const auto a_values = numbers<A>(size, 1);
  const auto b_values = numbers<B>(size, 4);
  const support::device_array<A> a(a_values, a_offset);
  const support::device_array<B> b(b_values, b_offset);
  gpu::transform(gpu::on(), three_x_plus_y{}, out.view(), a.view(), b.constant());
  std::vector<Out> want(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < want.size(); ++i) {
    want[i] = static_cast<Out>(static_cast<gpu::widened_t<A>>(a_values[i]) * 3 + static_cast<gpu::widened_t<B>>(b_values[i]));
  }
  BOOST_TEST_INFO("size " << size << ", offsets " << out_offset << ' ' << a_offset << ' ' << b_offset);
  BOOST_TEST(support::same_bits(out.get(), want));
  BOOST_TEST(out.borders_intact());
}

template <class Out, class A, class B>
void compare_places() {
  for (const std::int64_t size : {0, 1, 3, 8, 17, 64, 1003}) {
    compare<Out, A, B>(size, 0, 0, 0);
    compare<Out, A, B>(size, 1, 1, 1);
    compare<Out, A, B>(size, 0, 1, 3);
    compare<Out, A, B>(size, 5, 0, 2);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_transform)

BOOST_AUTO_TEST_CASE(any_types_at_any_alignment) {
  compare_places<float, float, float>();
  compare_places<double, double, double>();
  compare_places<float16, float16, float16>();
  compare_places<bfloat16, float, bfloat16>();
  compare_places<float, float16, tessera::float8_e4m3>();
  compare_places<tessera::float8_e5m2, float, tessera::float8_e5m2>();
  compare_places<double, double, std::int32_t>();
  compare_places<std::int8_t, std::int8_t, std::int8_t>();
}

BOOST_AUTO_TEST_CASE(no_input_and_three_inputs) {
  support::device_array<float> out(101, 1);
  gpu::transform(gpu::on(), four{}, out.view());
  BOOST_TEST(support::same_bits(out.get(), std::vector<float>(101, 4.0f)));
  BOOST_TEST(out.borders_intact());
  gpu::transform(gpu::on(), weighted{}, out.view(), out.view(), out.view(), out.view());
  BOOST_TEST(support::same_bits(out.get(), std::vector<float>(101, 28.0f)));
}

BOOST_AUTO_TEST_CASE(in_place) {
  for (const std::int64_t offset : {0, 1, 2, 3}) {
    support::device_array<float> x(numbers<float>(777, 0), offset);
    gpu::transform(gpu::on(), plus_one{}, x.view(), x.view());
    auto want = numbers<float>(777, 0);
    for (float& v : want) v += 1;
    BOOST_TEST(support::same_bits(x.get(), want));
  }
}

BOOST_AUTO_TEST_CASE(strides_of_every_kind, *boost::unit_test::label("small")) {
  const auto check = [](std::int64_t rows, std::int64_t columns, const std::int64_t(&to)[2], const std::int64_t(&from)[2]) {
    support::device_array<float> out(4000, 1);
    const auto values = numbers<float>(4000, 3);
    const support::device_array<float> in(values, 2);
    auto want = out.get();
    gpu::transform(gpu::on(), twice{}, view<float, 2>(out.data(), {rows, columns}, to),
                   view<float, 2>(in.data(), {rows, columns}, from));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        want[static_cast<std::size_t>(i * to[0] + j * to[1])] = 2 * values[static_cast<std::size_t>(i * from[0] + j * from[1])];
      }
    }
    BOOST_TEST_INFO("to " << to[0] << ' ' << to[1] << ", from " << from[0] << ' ' << from[1]);
    BOOST_TEST(support::same_bits(out.get(), want));
    BOOST_TEST(out.borders_intact());
  };
  check(9, 31, {31, 1}, {31, 1});
  check(9, 31, {40, 1}, {31, 1});
  check(9, 31, {31, 1}, {37, 1});
  check(9, 31, {1, 9}, {31, 1});  // a transpose
  check(9, 31, {31, 1}, {0, 1});  // one row for all
  check(9, 31, {31, 1}, {1, 0});  // one number for a row
  check(9, 31, {62, 2}, {31, 1});
  check(1, 31, {5, 1}, {99, 1});  // the stride of one row is none
  check(31, 1, {7, 1}, {3, 1});
}

BOOST_AUTO_TEST_CASE(vectors_of_16_bytes_convert) {
  const auto values = numbers<float16>(8, 2);
  const support::device_array<float16> in(values);
  const support::device_array<float16> copy(8);
  const support::device_array<float> out(8);
  gpu::launch(gpu::on(), {}, widen_and_narrow, in.data(), out.data(), copy.data());
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(out.get()[i] == static_cast<float>(values[i]));
  BOOST_TEST(support::same_bits(copy.get(), values));
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  const auto exec = gpu::on();
  support::device_array<float> out(8);
  const support::device_array<float> in(8);
  const auto before = out.get();
  std::vector<float> host(8);
  const view<const float, 1> on_host(host.data(), 8);
  CHECK_REFUSED("cuda::transform: in: host memory; needs memory of the GPU", gpu::transform(exec, twice{}, out.view(), on_host));
  CHECK_REFUSED("cuda::transform: out: host memory", gpu::transform(exec, twice{}, view<float, 1>(host.data(), 8), in.view()));
  CHECK_REFUSED("cuda::transform: in: shape [7]; needs the shape of out, [8]",
                gpu::transform(exec, twice{}, out.view(), view<float, 1>(in.data(), 7)));
  CHECK_REFUSED("cuda::transform: in: null data", gpu::transform(exec, twice{}, out.view(), view<float, 1>(nullptr, 8)));
  CHECK_REFUSED("cuda::transform: in: overlaps out in part",
                gpu::transform(exec, twice{}, view<float, 1>(out.data(), 7), view<float, 1>(out.data() + 1, 7)));
  CHECK_REFUSED("cuda::transform: second in: host memory",
                gpu::transform(exec, three_x_plus_y{}, out.view(), in.view(), on_host));
  BOOST_TEST(support::same_bits(out.get(), before));
}

BOOST_AUTO_TEST_SUITE_END()
