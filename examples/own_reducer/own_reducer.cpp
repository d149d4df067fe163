// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A reducer of one's own: how many rows of a data set lie within a distance of a query. On 1797 handwritten digits it tells the
/// most ordinary from the oddest, in one contraction and without a matrix of distances.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "support/digits.hpp"
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
  const example::digits digits = example::read_digits();
  const float radius = 24;  // in 64 grey values of 0 … 16

  std::vector<int> neighbours(digits.labels.size());
  tessera::contract(tessera::par, digits.pixels.view(), digits.pixels.view(), tessera::squared_distance{},
                    count_within{radius * radius}, [&](std::int64_t i, float count) {
                      neighbours[static_cast<std::size_t>(i)] = static_cast<int>(count) - 1;  // without itself
                    });

  const auto show = [&](const char* name, std::int64_t i) {
    std::printf("%s: a %d with %d others within %.0f\n", name, digits.label(i), neighbours[static_cast<std::size_t>(i)],
                static_cast<double>(radius));
    for (std::int64_t p = 0; p < 64; ++p) {
      std::printf("%c%s", " .:-=+*#@"[static_cast<int>(digits.pixels(i, p) / 2)], p % 8 == 7 ? "\n" : " ");
    }
  };
  show("most ordinary", std::max_element(neighbours.begin(), neighbours.end()) - neighbours.begin());
  show("oddest", std::min_element(neighbours.begin(), neighbours.end()) - neighbours.begin());
}
