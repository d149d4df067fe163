// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What somebody does first: numbers of their own, and a call or two.
#include <vector>

#include "tessera/online/extremum.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/matmul.hpp"

int main() {
  const std::vector<float> points = {0, 0, 3, 4, 1, 1};
  const std::vector<float> codes = {1, 2, 3, 3};
  const tessera::view points_view(points.data(), 3, 2);
  const tessera::view codes_view(codes.data(), 2, 2);

  std::vector<int> nearest(3);
  tessera::contract(tessera::seq, points_view, codes_view, tessera::squared_distance{}, tessera::argmin{},
                    [&](std::int64_t i, const auto& best) { nearest[static_cast<std::size_t>(i)] = best.where; });

  std::vector<float> product(6);
  tessera::matmul(tessera::seq, points_view, codes_view, tessera::view(product.data(), 3, 2));

  const bool right = nearest == std::vector<int>{0, 1, 0} && product == std::vector<float>{0, 0, 15, 18, 4, 5};
  return right ? 0 : 1;
}
