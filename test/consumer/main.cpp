// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What somebody does first: a matrix of their own, and one call.
#include "tessera/tile/view.hpp"

int main() {
  float numbers[] = {1, 2, 3, 4, 5, 6};
  const tessera::view<float, 2> matrix(numbers, 2, 3);
  return matrix(1, 2) == 6 ? 0 : 1;
}
