// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "peers/passes.hpp"

#include <algorithm>
#include <cmath>

namespace peers {

void keep_smallest(const float* half_squares, const float* dots, std::int64_t count, std::int32_t first, float& best,
                   std::int32_t& where) {
  // Two loops, because compilers turn a minimum into SIMD code but not a minimum with its place; the second seldom runs.
  float smallest = half_squares[0] - dots[0];
  for (std::int64_t j = 1; j < count; ++j) smallest = std::min(smallest, half_squares[j] - dots[j]);
  if (!(smallest < best)) return;
  best = smallest;
  std::int64_t j = 0;
  while (j + 1 < count && half_squares[j] - dots[j] != smallest) ++j;
  where = first + static_cast<std::int32_t>(j);
}

float exponentials(float* scores, std::int64_t count) {
  float largest = scores[0];
  for (std::int64_t j = 1; j < count; ++j) largest = std::max(largest, scores[j]);
  float sum = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    scores[j] = std::exp(scores[j] - largest);
    sum += scores[j];
  }
  return 1 / sum;
}

float sum_of_squares(const float* x, std::int64_t count) {
  float sum = 0;
  for (std::int64_t k = 0; k < count; ++k) sum += x[k] * x[k];
  return sum;
}

}  // namespace peers
