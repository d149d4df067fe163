// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/cuda/random.cuh"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "device_array.hpp"
#include "orders.hpp"
#include "support/error.hpp"
#include "tessera/exec/seq.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/fill.hpp"

namespace {

using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace numbers = tessera::random;

// CUDA's fill and the CPU's, by one name.
#define FILLS(X)                                                                     \
  X(uniform, numbers::fill_uniform(exec, out, 5, 6, first))                          \
  X(uniform_range, numbers::fill_uniform(exec, out, -1, 3, 5, 6, first))             \
  X(uniform_open, numbers::fill_uniform_open(exec, out, 5, 6, first))                \
  X(uniform_dense, numbers::fill_uniform_dense(exec, out, 5, 6, first))              \
  X(normal, numbers::fill_normal(exec, out, 5, 6, first))                            \
  X(scaled_normal, numbers::fill_normal(exec, out, 1, 2, 5, 6, first))               \
  X(truncated_normal, numbers::fill_truncated_normal(exec, out, -1, 2, 5, 6, first)) \
  X(exponential, numbers::fill_exponential(exec, out, 2, 5, 6, first))               \
  X(gumbel, numbers::fill_gumbel(exec, out, 5, 6, first))                            \
  X(scaled_gumbel, numbers::fill_gumbel(exec, out, 1, 2, 5, 6, first))               \
  X(logistic, numbers::fill_logistic(exec, out, 5, 6, first))                        \
  X(scaled_logistic, numbers::fill_logistic(exec, out, 1, 2, 5, 6, first))           \
  X(laplace, numbers::fill_laplace(exec, out, 5, 6, first))                          \
  X(scaled_laplace, numbers::fill_laplace(exec, out, 1, 2, 5, 6, first))             \
  X(bernoulli, numbers::fill_bernoulli(exec, out, 0.3, 5, 6, first))

#define FILLER(name, call)                                                         \
  struct name {                                                                    \
    template <class Exec, class Out>                                               \
    void operator()(const Exec& exec, const Out& out, std::uint64_t first) const { \
      call;                                                                        \
    }                                                                              \
  };
FILLS(FILLER)
FILLER(uniform_int, numbers::fill_uniform_int(exec, out, 3, 77, 5, 6, first))
FILLER(bits, numbers::fill_bits(exec, out, 5, 6, first))
FILLER(gamma_numbers, numbers::fill_gamma(exec, out, 2.5, 3, 5, 6, first))
FILLER(small_gamma_numbers, numbers::fill_gamma(exec, out, 0.25, 3, 5, 6, first))
FILLER(log_gamma_numbers, numbers::fill_log_gamma_variate(exec, out, 0.01, 3, 5, 6, first))
FILLER(beta_numbers, numbers::fill_beta(exec, out, 2.5, 0.5, 5, 6, first))
FILLER(poisson_numbers, numbers::fill_poisson(exec, out, 4, 5, 6, first))
FILLER(many_poisson_numbers, numbers::fill_poisson(exec, out, 400, 5, 6, first))

/// The numbers first … first + size - 1, on the device and on the CPU, bit for bit.
template <class T, class Fill>
void compare(const char* name, std::int64_t size, std::int64_t offset, std::uint64_t first, const Fill& fill,
             const tessera::cuda::executor& exec = tessera::cuda::on()) {
  support::device_array<T> out(size, offset);
  fill(exec, out.view(), first);
  std::vector<T> want(static_cast<std::size_t>(size));
  fill(tessera::seq, view<T, 1>(want.data(), size), first);
  BOOST_TEST_INFO(name << ": " << size << " numbers from " << first << ", misaligned by " << offset);
  BOOST_TEST(support::same_bits(out.get(), want));
  BOOST_TEST(out.borders_intact());
}

template <class T, class Fill>
void compare_sizes(const char* name, const Fill& fill) {
  for (const std::int64_t size : {0, 1, 2, 3, 5, 31, 1000}) {
    for (const std::int64_t offset : {0, 1, 2, 3}) compare<T>(name, size, offset, 7u * static_cast<std::uint64_t>(offset), fill);
  }
  compare<T>(name, 300, 0, ~std::uint64_t{0} - 100, fill);  // the index passes 2^64
  compare<T>(name, 300, 1, ~std::uint64_t{0} - 101, fill);
}

#define COMPARE(name, call)            \
  compare_sizes<float>(#name, name()); \
  compare_sizes<double>(#name, name());

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_random)

BOOST_AUTO_TEST_CASE(fills_have_the_bits_of_the_cpu){FILLS(COMPARE)}

BOOST_AUTO_TEST_CASE(integers_are_those_of_the_cpu) {
  compare_sizes<std::uint32_t>("bits", bits());
  compare_sizes<std::uint64_t>("bits", bits());
  compare_sizes<int>("uniform_int", uniform_int());
  compare_sizes<std::int64_t>("uniform_int", uniform_int());
  compare_sizes<std::int8_t>("bernoulli", bernoulli());
}

BOOST_AUTO_TEST_CASE(numbers_by_rejection_are_those_of_the_cpu) {
  compare_sizes<float>("gamma", gamma_numbers());
  compare_sizes<double>("gamma", gamma_numbers());
  compare_sizes<bfloat16>("gamma", gamma_numbers());
  compare_sizes<float>("gamma of a small shape", small_gamma_numbers());
  compare_sizes<double>("gamma of a small shape", small_gamma_numbers());
  compare_sizes<double>("log gamma", log_gamma_numbers());
  compare_sizes<float>("beta", beta_numbers());
  compare_sizes<double>("beta", beta_numbers());
  compare_sizes<int>("Poisson", poisson_numbers());
  compare_sizes<double>("Poisson", many_poisson_numbers());
}

BOOST_AUTO_TEST_CASE(the_order_of_threads_and_blocks_is_no_matter) {
  support::in_several_orders([] { compare<float>("normal", 5000, 1, 3, normal()); });
}

BOOST_AUTO_TEST_CASE(more_chunks_than_a_grid_holds_are_walked) {
  // A grid of one multiprocessor is 32 blocks of 256 threads of 4 numbers.
  compare<float>("three rounds", 3 * 32 * 256 * 4 + 5, 1, 2, uniform(), support::on_one_multiprocessor());
}

BOOST_AUTO_TEST_CASE(strides_are_followed, *boost::unit_test::label("small")) {
  const auto check = [](const std::int64_t(&extents)[3], const std::int64_t(&strides)[3], std::int64_t elements) {
    support::device_array<float> out(elements, 1);
    std::vector<float> want = out.get();
    numbers::fill_normal(tessera::cuda::on(), view<float, 3>(out.data(), extents, strides), 5, 6, 9);
    numbers::fill_normal(tessera::seq, view<float, 3>(want.data(), extents, strides), 5, 6, 9);
    BOOST_TEST_INFO("strides " << strides[0] << ' ' << strides[1] << ' ' << strides[2]);
    BOOST_TEST(support::same_bits(out.get(), want));
    BOOST_TEST(out.borders_intact());
  };
  check({3, 5, 7}, {35, 7, 1}, 105);
  check({3, 5, 7}, {41, 7, 1}, 3 * 41);     // gaps between matrices: rows of 35
  check({3, 5, 7}, {45, 9, 1}, 3 * 45);     // one stride for all rows of 7
  check({3, 5, 7}, {50, 9, 1}, 3 * 50);     // two
  check({3, 5, 2}, {20, 4, 1}, 3 * 20);     // rows shorter than a chunk
  check({3, 5, 7}, {1, 3, 15}, 105);        // columns first
  check({3, 5, 7}, {105, 14, 2}, 3 * 105);  // no element beside another
}

BOOST_AUTO_TEST_CASE(bad_input_is_named_and_nothing_written) {
  const auto exec = tessera::cuda::on();
  support::device_array<float> out(8);
  const std::vector<float> before = out.get();
  std::vector<float> host(8);
  CHECK_REFUSED("random::fill_normal: out: host memory; needs memory of the GPU (device 0)",
                numbers::fill_normal(exec, view<float, 1>(host.data(), 8), 1, 2));
  CHECK_REFUSED("random::fill_normal: out: null data of shape [8]", numbers::fill_normal(exec, view<float, 1>(nullptr, 8), 1, 2));
  CHECK_REFUSED("random::fill_normal: out: shape [-1]", numbers::fill_normal(exec, view<float, 1>(out.data(), -1), 1, 2));
  CHECK_REFUSED("random::fill_normal: stddev: -1", numbers::fill_normal(exec, out.view(), 0, -1, 1, 2));
  CHECK_REFUSED("random::fill_bernoulli: p: 2", numbers::fill_bernoulli(exec, out.view(), 2, 1, 2));
  CHECK_REFUSED("random::fill_gamma: shape: 0", numbers::fill_gamma(exec, out.view(), 0, 1, 1, 2));
  CHECK_REFUSED("random::fill_poisson: rate: -1", numbers::fill_poisson(exec, out.view(), -1, 1, 2));
  CHECK_REFUSED("random::fill_beta: out: host memory", numbers::fill_beta(exec, view<float, 1>(host.data(), 8), 1, 1, 1, 2));
  CHECK_REFUSED("random::fill_uniform: out: stride 0 in shape [8]",
                numbers::fill_uniform(exec, view<float, 1>(out.data(), {8}, {0}), 1, 2));
  CHECK_REFUSED(
      "random::fill_uniform: out: an address 2 bytes past one of an element; needs a multiple of 4",
      numbers::fill_uniform(exec, view<float, 1>(reinterpret_cast<float*>(reinterpret_cast<char*>(out.data()) + 2), 7), 1, 2));
  BOOST_TEST(support::same_bits(out.get(), before));
  numbers::fill_normal(exec, view<float, 1>(host.data(), 0), 1, 2);  // nothing to fill is nothing to refuse
}

BOOST_AUTO_TEST_SUITE_END()
