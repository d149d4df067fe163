// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// target sm_80: 255 registers, of which two blocks of 128 threads share a multiprocessor's 65536
/// \file
/// The contraction's kernels for float32 and float64, as users get them.
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/online/extremum.hpp"
#include "tessera/online/softmax.hpp"

namespace {

template <class T>
void nearest(const tessera::cuda::executor& exec, const tessera::view<const T, 2>& queries, const tessera::view<const T, 2>& keys,
             std::int64_t* where) {
  tessera::contract(exec, queries, keys, tessera::dot{}, tessera::argmax{},
                    [=] TESSERA_HD(std::int64_t i, const tessera::extremum<float>& best) { where[i] = best.where; });
}

}  // namespace

void weigh(const tessera::cuda::executor& exec, const tessera::view<const double, 2>& queries,
           const tessera::view<const double, 2>& keys, const tessera::view<double, 2>& out) {
  tessera::contract(exec, queries, keys, keys, tessera::scaled_dot{0.125}, tessera::softmax{}, out,
                    [] TESSERA_HD(std::int64_t, double) {});
}
void nearest_code(const tessera::cuda::executor& exec, const tessera::view<const float, 2>& queries,
                  const tessera::view<const float, 2>& keys, std::int64_t* where) {
  nearest(exec, queries, keys, where);
}
