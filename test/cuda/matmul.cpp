// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of matmul, on the device.
#include "tessera/cuda/tile/matmul.cuh"

#include "mirror.hpp"

namespace support {

struct matmul_on_device {};

template <class A, class B, class C>
void matmul(const matmul_on_device&, const A& a, const B& b, const C& c) {
  using namespace tessera;
  mirror memory;
  tessera::matmul(cuda::on(), memory(view<const value_type_of<A>, 2>(a)), memory(view<const value_type_of<B>, 2>(b)), memory(c));
  memory.bring_back();
}

}  // namespace support

#define TESSERA_TESTED_EXECUTOR \
  support::matmul_on_device {}
#define TESSERA_TESTED_REFUSAL tessera::cuda::on()
#include "../tile/matmul.cpp"

namespace {

/// A matrix seen by rows or by columns, whose rows begin at chunks of 16 bytes and are followed by NaN.
template <class T>
struct padded {
  std::int64_t lines, depth, pitch;
  bool by_rows;
  matrix<T> memory;

  padded(std::int64_t rows, std::int64_t columns, bool rows_contiguous, std::uint64_t seed)
      : lines(rows),
        depth(columns),
        pitch(((rows_contiguous ? columns : rows) + 15) / 16 * 16 + 16),
        by_rows(rows_contiguous),
        memory({rows_contiguous ? rows : columns, pitch}) {
    const std::int64_t used = by_rows ? depth : lines;
    memory.fill([&](std::uint64_t e) {
      const bool inside = static_cast<std::int64_t>(e) % pitch < used;
      return inside ? support::normal(seed, e) : std::numeric_limits<double>::quiet_NaN();
    });
  }
  [[nodiscard]] view<const T, 2> operator()() const {
    return by_rows ? view<const T, 2>(&memory(0, 0), {lines, depth}, {pitch, 1})
                   : view<const T, 2>(&memory(0, 0), {lines, depth}, {1, pitch});
  }
};

/// The device is of compute capability 8 meanwhile.
struct before_hopper {
#if TESSERA_CUDA_EMULATOR
  int major = tessera::emulator::properties(0).major;
  before_hopper() { tessera::emulator::properties(0).major = 8; }
  ~before_hopper() { tessera::emulator::properties(0).major = major; }
#endif
};

/// Operands that are copied in chunks, in every order, against the CPU.
template <class T>
void check_copied(const tessera::cuda::executor& on_device, bool to_the_bit, double roundings) {
  support::worst errors;
  int different = 0;
  for (const auto& [m, n, k] : {size{133, 70, 45}, size{5, 300, 290}, size{140, 3, 129}}) {
    for (int kind = 0; kind < 4; ++kind) {
      const padded<T> a(m, k, (kind & 1) == 0, 1);
      const padded<T> b(k, n, (kind & 2) == 0, 2);
      matrix<tessera::compute_t<T>> want({m, n});
      matrix<tessera::compute_t<T>> got({m, n}, {3});
      matmul(seq, a(), b(), want.view());
      support::mirror memory;
      matmul(on_device, memory(a()), memory(b()), memory(got.view()));
      memory.bring_back();
      BOOST_TEST(got.gaps_untouched());
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          different += std::memcmp(&got(i, j), &want(i, j), sizeof got(i, j)) != 0;
          double sum = 0;
          for (std::int64_t s = 0; s < k; ++s) sum += std::fabs(static_cast<double>(a()(i, s)) * static_cast<double>(b()(s, j)));
          errors(static_cast<double>(got(i, j)), want(i, j), roundings * static_cast<double>(k) * sum, "kind", kind, "at", i, j);
        }
      }
    }
  }
  CHECK_WITHIN_BOUND(errors);
  BOOST_TEST((different == 0) == to_the_bit);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_matmul)

BOOST_AUTO_TEST_CASE(float32_has_the_bits_of_the_cpu_in_every_layout) { check_copied<float>(tessera::cuda::on(), true, 0); }
BOOST_AUTO_TEST_CASE(float64_is_close_in_every_layout) { check_copied<double>(tessera::cuda::on(), false, 0x1p-52); }
BOOST_AUTO_TEST_CASE(sixteen_bits_are_close_in_every_layout_on_hopper) {
  check_copied<bfloat16>(tessera::cuda::on(), false, 0x1p-22);
  check_copied<float16>(tessera::cuda::on(), false, 0x1p-22);
}
// Blocks go from tile to tile, and stages from slice to slice.
BOOST_AUTO_TEST_CASE(hopper_goes_from_tile_to_tile) {
  tessera::cuda::device_properties device = tessera::cuda::on().device();
  device.multiprocessors = 2;
  const tessera::cuda::executor two(nullptr, device);
  matrix<bfloat16> a({600, 200});
  matrix<bfloat16> b({200, 400});
  matrix<float> want({600, 400});
  matrix<float> got({600, 400});
  a.fill([](std::uint64_t e) { return support::below(1, e, 5); });
  b.fill([](std::uint64_t e) { return support::below(2, e, 5); });
  matmul(seq, a.view(), b.view(), want.view());
  support::mirror memory;
  matmul(two, memory(view<const bfloat16, 2>(a.view())), memory(view<const bfloat16, 2>(b.view())), memory(got.view()));
  memory.bring_back();
  BOOST_TEST(got.same_elements(want));  // small integers: exact
}
BOOST_AUTO_TEST_CASE(sixteen_bits_are_close_in_every_layout) {
  [[maybe_unused]] const before_hopper older;
  check_copied<bfloat16>(tessera::cuda::on(), false, 0x1p-22);
  check_copied<float16>(tessera::cuda::on(), false, 0x1p-22);
}
BOOST_AUTO_TEST_CASE(tf32_is_close_in_every_layout_where_it_is_allowed) {
  check_copied<float>(tessera::cuda::on().tf32(), false, 0x1p-10 / 45 + 0x1p-22);
}

BOOST_AUTO_TEST_CASE(every_tile_of_several_bands_is_there) {
  matrix<float> a({1300, 2});
  matrix<float> b({2, 300});
  matrix<bfloat16> c({1300, 300});
  a.fill([](std::uint64_t e) { return support::below(1, e, 9); });
  b.fill([](std::uint64_t e) { return support::below(2, e, 9); });
  matmul(exec, a.view(), b.view(), c.view());
  int wrong = 0;
  for (std::int64_t i = 0; i < 1300; ++i) {
    for (std::int64_t j = 0; j < 300; ++j) wrong += float(c(i, j)) != a(i, 0) * b(0, j) + a(i, 1) * b(1, j);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(memory_of_the_host_is_refused) {
  matrix<float> a({4, 3});
  matrix<float> b({3, 5});
  matrix<float> c({4, 5});
  a.fill([](std::uint64_t) { return 1; });
  b.fill([](std::uint64_t) { return 1; });
  support::mirror memory;
  const auto da = memory(a.view());
  const auto db = memory(b.view());
  const auto dc = memory(c.view());
  const auto on_device = tessera::cuda::on();
  CHECK_REFUSED("matmul: a: host memory", matmul(on_device, a.view(), db, dc));
  CHECK_REFUSED("matmul: b: host memory", matmul(on_device, da, b.view(), dc));
  CHECK_REFUSED("matmul: c: host memory", matmul(on_device, da, db, c.view()));
  BOOST_TEST(c.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
