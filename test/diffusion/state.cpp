// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/diffusion/state.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <tuple>
#include <vector>

#include "../support/error.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

namespace detail = tessera::diffusion::detail;
using tessera::par;
using tessera::view;

static_assert(tessera::diffusion::state_view<view<float, 2>> && tessera::diffusion::state_view<view<double, 4>>);
static_assert(!tessera::diffusion::state_view<view<float, 1>>, "samples need an axis of their own");
static_assert(!tessera::diffusion::state_view<view<tessera::bfloat16, 2>>, "a 16-bit state loses small steps");
static_assert(!tessera::diffusion::state_view<view<const float, 2>>, "samplers write their state");

}  // namespace

BOOST_AUTO_TEST_SUITE(diffusion_state)

BOOST_AUTO_TEST_CASE(states_are_dense_samples_at_any_distance) {
  std::vector<float> memory(100);
  const auto check = [](const view<float, 3>& x) { detail::check_state(x, "f", "x"); };
  check({memory.data(), {2, 3, 4}, {12, 4, 1}});
  check({memory.data(), {2, 3, 4}, {50, 4, 1}});
  check({memory.data(), {1, 3, 4}, {0, 4, 1}});
  check({nullptr, {0, 3, 4}, {12, 4, 1}});
  CHECK_REFUSED("f: x: ", check({memory.data(), {2, 3, 4}, {12, 5, 1}}));
  CHECK_REFUSED("f: x: ", check({memory.data(), {2, 3, 4}, {12, 1, 3}}));
  CHECK_REFUSED("f: x: ", check({memory.data(), {2, 3, 4}, {11, 4, 1}}));
  CHECK_REFUSED("f: x: ", check({memory.data(), {2, 3, 4}, {0, 4, 1}}));
  CHECK_REFUSED("f: x: ", check({nullptr, {2, 3, 4}, {12, 4, 1}}));
}

BOOST_AUTO_TEST_CASE(a_dense_copy_has_the_shape) {
  std::vector<double> memory(24);
  const view<float, 3> x(nullptr, {2, 3, 4}, {99, 4, 1});
  const auto copy = detail::dense_like(x, memory.data());
  BOOST_TEST((copy.extent(0) == 2 && copy.extent(1) == 3 && copy.extent(2) == 4));
  BOOST_TEST((copy.stride(0) == 12 && copy.stride(1) == 4 && copy.stride(2) == 1));
  BOOST_TEST(&copy(1, 2, 3) == memory.data() + 23);
}

// Runs cover every element once, by its number, whatever the gaps between samples and whoever runs them.
BOOST_AUTO_TEST_CASE(runs_cover_every_element_once) {
  for (const auto& [samples, size, gap] : {std::tuple<std::int64_t, std::int64_t, std::int64_t>{3, 5000, 7},
                                           {7, 1, 0},
                                           {1, 9001, 3},
                                           {5, 4096, 0},
                                           {1000, 13, 2},
                                           {0, 5, 0}}) {
    std::vector<std::int64_t> memory(static_cast<std::size_t>(samples * (size + gap)), -1);
    std::vector<double> other(static_cast<std::size_t>(samples * size), 0.5);
    const view<std::int64_t, 2> x(memory.data(), {samples, size}, {size + gap, 1});
    const view<double, 2> y(other.data(), samples, size);
    detail::for_each_run(
        par.threads(3),
        [](std::int64_t index, std::int64_t count, std::int64_t* a, double* b) {
          for (std::int64_t i = 0; i < count; ++i) a[i] = index + i, b[i] += static_cast<double>(index + i);
        },
        x, y);
    int wrong = 0;
    for (std::int64_t s = 0; s < samples; ++s) {
      for (std::int64_t i = 0; i < size; ++i) {
        wrong += x(s, i) != s * size + i || y(s, i) != static_cast<double>(s * size + i) + 0.5;
      }
      for (std::int64_t g = 0; g < gap; ++g) wrong += memory[static_cast<std::size_t>(s * (size + gap) + size + g)] != -1;
    }
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
