// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// nearest with arrays of the host, on the device.
#pragma once

#include <cstdint>

#include "mirror.hpp"
#include "on_device.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/nearest.cuh"
#include "tessera/tile/score.hpp"
#include "tessera/tile/view.hpp"

namespace support {

template <tessera::mdspan_like Queries, tessera::mdspan_like Keys, tessera::mdspan_like Indices, tessera::mdspan_like Distances,
          class Metric = tessera::squared_distance>
void nearest(const on_device&, const Queries& queries, const Keys& keys, std::int64_t k, const Indices& indices,
             const Distances& distances, const Metric& metric = {}) {
  using namespace tessera;
  mirror memory;
  tessera::nearest(cuda::on(), memory(view<const value_type_of<Queries>, 2>(queries)),
                   memory(view<const value_type_of<Keys>, 2>(keys)), k, memory(view<value_type_of<Indices>, 2>(indices)),
                   memory(view<value_type_of<Distances>, 2>(distances)), metric);
  memory.bring_back();
}

}  // namespace support
