// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention on data that one already has: pointers become views, and one call does the work.
#include <iostream>
#include <vector>

#include "tessera/attention/forward.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/random/fill.hpp"

int main() {
  const int batch = 1, heads = 8, length = 1024, head_dim = 64;
  std::vector<float> numbers(4 * batch * heads * length * head_dim);
  float* const data = numbers.data();
  const tessera::view q(data, batch, heads, length, head_dim);
  const tessera::view k(data + q.size(), batch, heads, length, head_dim);
  const tessera::view v(data + 2 * q.size(), batch, heads, length, head_dim);
  const tessera::view out(data + 3 * q.size(), batch, heads, length, head_dim);
  for (unsigned stream = 0; const auto& x : {q, k, v}) tessera::random::fill_normal(tessera::par, x, 1, stream++);

  tessera::attention::forward(tessera::par, q, k, v, out, {.mask = tessera::attention::causal});

  std::cout << "The first token sees itself only: " << out(0, 0, 0, 0) << " = " << v(0, 0, 0, 0) << '\n';
}
