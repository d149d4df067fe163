// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of linear_cross_entropy, on the device.
#include "tessera/cuda/training/linear_cross_entropy.cuh"

#include "on_device.hpp"

namespace support {

template <class Hidden, class Weight, class Bias, class Target, class Loss, class Lse>
  requires(Bias::rank() == 1 && Lse::rank() == 1)
void linear_cross_entropy(const on_device&, const Hidden& hidden, const Weight& weight, const Bias& bias, const Target& target,
                          const Loss& loss, const Lse& lse, const tessera::training::cross_entropy_options& options = {}) {
  using namespace tessera;
  mirror memory;
  training::linear_cross_entropy(cuda::on(), memory(view<const value_type_of<Hidden>, 2>(hidden)),
                                 memory(view<const value_type_of<Weight>, 2>(weight)),
                                 memory(view<const value_type_of<Bias>, 1>(bias)),
                                 memory(view<const value_type_of<Target>, 1>(target)), memory(loss), memory(lse), options);
  memory.bring_back();
}

template <class Hidden, class Weight, class Target, class Loss, class Lse>
void linear_cross_entropy(const on_device&, const Hidden& hidden, const Weight& weight, const Target& target, const Loss& loss,
                          const Lse& lse, const tessera::training::cross_entropy_options& options = {}) {
  using namespace tessera;
  mirror memory;
  training::linear_cross_entropy(cuda::on(), memory(view<const value_type_of<Hidden>, 2>(hidden)),
                                 memory(view<const value_type_of<Weight>, 2>(weight)),
                                 memory(view<const value_type_of<Target>, 1>(target)), memory(loss), memory(lse), options);
  memory.bring_back();
}

}  // namespace support

// The oracle of attention's tests, in the same program, has types of the same names.
#define oracle oracle_of_training
#define TESSERA_TESTED_EXECUTOR \
  support::on_device {}
#include "../training/linear_cross_entropy.cpp"
