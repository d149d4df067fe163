// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A reducer of one's own: how many rows of a data set lie within a distance of a query. Run on 1797 handwritten digits, it tells
/// the most ordinary digits from the odd ones, in one contraction and without a matrix of distances.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <vector>

#include "tessera/exec/exec.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/tile/contraction.hpp"

/// Counts the scores of a row up to a limit. T is a number, or a pack with a row in every lane.
struct count_within {
  float limit;

  template <class T>
  struct state {
    T count;
  };

  template <class T>
  state<T> identity() const {
    return {T(0)};
  }
  template <class T>
  void absorb(state<T>& s, const tessera::score_tile<T>& tile) const {
    for (int j = 0; j < tile.size(); ++j) s.count += tessera::select(tile[j] <= T(limit), T(1), T(0));
  }
  template <class T>
  state<T> merge(const state<T>& a, const state<T>& b) const {
    return {a.count + b.count};
  }
  template <class T>
  T finish(const state<T>& s) const {
    return s.count;
  }
};

int main() {
  std::vector<float> pixels;
  std::vector<int> labels;
  std::ifstream file(EXAMPLES_DIR "/data/digits.csv");
  for (int column = 0, value = 0; file >> value; file.ignore(1), column = (column + 1) % 65) {
    column < 64 ? pixels.push_back(static_cast<float>(value)) : labels.push_back(value);
  }
  const auto count = static_cast<std::int64_t>(labels.size());
  const tessera::view digits(pixels.data(), count, 64);

  const float radius = 24;  // grey values of 0 … 16 in 64 pixels
  std::vector<int> neighbours(labels.size());
  tessera::contract(tessera::par, digits, digits, tessera::squared_distance{}, count_within{radius * radius},
                    [&](std::int64_t i, float n) { neighbours[static_cast<std::size_t>(i)] = static_cast<int>(n) - 1; });

  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return neighbours[a] > neighbours[b]; });
  const auto show = [&](const char* name, std::size_t i) {
    std::printf("%s: digit %zu, a %d, with %d others within %.0f\n", name, i, labels[i], neighbours[i], static_cast<double>(radius));
    for (std::size_t p = 64 * i; p < 64 * i + 64; ++p) {
      std::printf("%c%s", " .:-=+*#%@"[static_cast<int>(pixels[p]) * 9 / 16], p % 8 == 7 ? "\n" : " ");
    }
  };
  show("most ordinary", order.front());
  show("oddest", order.back());
}
