// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The handwritten digits of examples/data.
#pragma once

#include <cmath>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/matrix.hpp"

namespace example {

/// 1797 images of 8 x 8 grey values 0 … 16, a row each, and what they show.
struct digits {
  matrix<float> pixels;
  std::vector<int> labels;

  [[nodiscard]] int label(std::int64_t image) const { return labels[static_cast<std::size_t>(image)]; }
};

inline digits read_digits(const std::string& path = EXAMPLES_DIR "/data/digits.csv") {
  constexpr std::int64_t count = 1797;
  constexpr std::int64_t pixels = 64;
  digits set{matrix<float>(count, pixels), std::vector<int>(count)};
  std::ifstream file(path);
  char comma = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t p = 0; p < pixels; ++p) file >> set.pixels(i, p) >> comma;
    file >> set.labels[static_cast<std::size_t>(i)];
  }
  if (!file) throw std::runtime_error(path + ": cannot read 1797 rows of 65 numbers");
  return set;
}

/// Shifts and scales all numbers to mean 0 and the given standard deviation. Returns {mean, scale}: old = mean + scale * new.
struct standardization {
  float mean;
  float scale;
};

inline standardization standardize(matrix<float>& numbers, double standard_deviation) {
  double sum = 0;
  double squares = 0;
  for (const float x : numbers) {
    sum += static_cast<double>(x);
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  const auto n = static_cast<double>(numbers.rows() * numbers.columns());
  const double mean = sum / n;
  const double scale = std::sqrt(squares / n - mean * mean) / standard_deviation;
  for (float& x : numbers) x = static_cast<float>((static_cast<double>(x) - mean) / scale);
  return {static_cast<float>(mean), static_cast<float>(scale)};
}

}  // namespace example
