// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The inputs of the golden values, and how far something is from them.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "golden_torch.hpp"

namespace golden {

/// As in tools/torch_golden.py: exact in bfloat16.
inline auto ramp(std::uint64_t seed) {
  return [=](std::uint64_t n) { return (static_cast<double>((37 * n + 11 * seed) % 61) - 30) / 32; };
}

/// Largest |got - want| / max |want|; of equal infinities nothing.
template <class T>
double distance(const std::vector<T>& got, const std::vector<double>& want) {
  BOOST_TEST_REQUIRE(got.size() == want.size());
  double error = 0;
  double size = 0;
  for (std::size_t n = 0; n < want.size(); ++n) {
    if (std::isinf(want[n]) && static_cast<double>(got[n]) == want[n]) continue;
    const double difference = std::fabs(static_cast<double>(got[n]) - want[n]);
    error = difference <= error ? error : difference;
    size = std::fmax(size, std::fabs(want[n]));
  }
  return error == 0 ? 0 : error / size;
}

}  // namespace golden
