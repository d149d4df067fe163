// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The text of docs/how-to/run-on-a-gpu.md, and the line of README.md, on the emulator.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../cuda/device_array.hpp"
#include "docs/how-to/run-on-a-gpu_1.inc"
#include "docs/how-to/run-on-a-gpu_2.inc"
#include "tessera/cuda/attention/forward.cuh"
#include "tessera/diffusion/sigma_grid.hpp"

BOOST_AUTO_TEST_CASE(run_on_a_gpu) {
  BOOST_TEST(std::fabs(mean_square(20000, nullptr) - 1) < 0.05);

  support::device_array<float> gradients(std::vector<float>{2, 4, 8});
  const support::device_array<float> scale(std::vector<float>{4});
  const support::device_array<float> found(std::vector<float>{0});
  unscale(tessera::cuda::on(), {gradients.view()}, scale.data(), found.data());
  BOOST_TEST(gradients.get()[2] == 2.0f);
  BOOST_TEST(found.get()[0] == 0.0f);

  // A network that says nothing: what is left is the skip connection, and the level falls from 80 to 0.
  const support::device_array<float> images(4 * 16);
  const auto silence = [](const auto&, double, const auto& out) {
    tessera::cuda::check(cudaMemset(out.data_handle(), 0, static_cast<std::size_t>(out.size()) * sizeof(*out.data_handle())),
                         "cudaMemset");
  };
  sample(tessera::cuda::on(), silence, tessera::diffusion::sigma_grid(4), tessera::view<float, 2>(images.data(), 4, 16));
  for (const float x : images.get()) BOOST_TEST((std::isfinite(x) && std::fabs(x) < 80));
}

BOOST_AUTO_TEST_CASE(readme_attends_on_a_gpu) {
  const std::int64_t length = 70;
  const std::int64_t dim = 16;
  std::vector<float> numbers(static_cast<std::size_t>(length * dim));
  for (std::size_t n = 0; n < numbers.size(); ++n) numbers[n] = static_cast<float>(n % 7) - 3;
  const support::device_array<float> in(numbers);
  const support::device_array<float> out(numbers.size());
  const tessera::view<const float, 4> query(in.data(), 1, 1, length, dim);
  const tessera::view<const float, 4> key = query;
  const tessera::view<const float, 4> value = query;
  const tessera::view<float, 4> result(out.data(), 1, 1, length, dim);
  const cudaStream_t stream = nullptr;
#include "README_3.inc"
  const std::vector<float> got = out.get();
  for (std::size_t c = 0; c < static_cast<std::size_t>(dim); ++c)
    BOOST_TEST(got[c] == numbers[c]);  // the first row sees itself alone
}
