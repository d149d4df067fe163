// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_80: 200 registers, of which two blocks of 128 threads share a multiprocessor's 65536
/// \file
/// Nearest codes and neighbours, as users get them.
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/cuda/tile/nearest.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/online/extremum.hpp"

namespace {

struct store_code {
  std::int64_t* where;
  TESSERA_HD void operator()(std::int64_t i, const tessera::extremum<float>& best) const { where[i] = best.where; }
};

}  // namespace

void nearest_code(const tessera::cuda::executor& exec, const tessera::view<const tessera::bfloat16, 2>& rows,
                  const tessera::view<const tessera::bfloat16, 2>& codes, std::int64_t* where) {
  tessera::contract(exec, rows, codes, tessera::squared_distance{}, tessera::argmin{}, store_code{where});
}
void neighbours(const tessera::cuda::executor& exec, const tessera::view<const float, 2>& queries,
                const tessera::view<const float, 2>& keys, std::int64_t k, const tessera::view<std::int64_t, 2>& indices,
                const tessera::view<float, 2>& distances) {
  tessera::nearest(exec, queries, keys, k, indices, distances);
}
void neighbours(const tessera::cuda::executor& exec, const tessera::view<const double, 2>& queries,
                const tessera::view<const double, 2>& keys, std::int64_t k, const tessera::view<std::int64_t, 2>& indices,
                const tessera::view<double, 2>& distances) {
  tessera::nearest(exec, queries, keys, k, indices, distances, tessera::dot{});
}
