// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "calls.cuh"
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/online/extremum.hpp"

namespace {

struct store_index {
  std::int64_t* where;
  TESSERA_HD void operator()(std::int64_t i, const tessera::extremum<float>& best) const { where[i] = best.where; }
};

}  // namespace

void bench::nearest(cudaStream_t stream, int type, const void* queries, const void* keys, std::int64_t n, std::int64_t m,
                    std::int64_t depth, std::int64_t* where) {
  with_type(type, [&]<class T>(T) {
    const tessera::view<const T, 2> q(static_cast<const T*>(queries), n, depth);
    const tessera::view<const T, 2> k(static_cast<const T*>(keys), m, depth);
    tessera::contract(tessera::cuda::on(stream), q, k, tessera::squared_distance{}, tessera::argmin{}, store_index{where});
  });
}
