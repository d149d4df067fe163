// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of the gradients of linear_cross_entropy, on the device.
#include "tessera/cuda/training/linear_cross_entropy_backward.cuh"

#include "mirror.hpp"
#include "tessera/training/linear_cross_entropy.hpp"

namespace support {

struct gradients_of_loss_on_device {};

/// lse is the CPU's.
template <class... Arguments>
void linear_cross_entropy(const gradients_of_loss_on_device&, const Arguments&... arguments) {
  tessera::training::linear_cross_entropy(tessera::seq, arguments...);
}

template <class Hidden, class Weight, class Bias, class Target, class Lse, class GradLoss, class GradHidden, class GradWeight,
          class GradBias>
  requires(Bias::rank() == 1 && GradBias::rank() == 1)
void linear_cross_entropy_backward(const gradients_of_loss_on_device&, const Hidden& hidden, const Weight& weight,
                                   const Bias& bias, const Target& target, const Lse& lse, const GradLoss& grad_loss,
                                   const GradHidden& grad_hidden, const GradWeight& grad_weight, const GradBias& grad_bias,
                                   const tessera::training::cross_entropy_options& options) {
  using namespace tessera;
  mirror memory;
  training::linear_cross_entropy_backward(
      cuda::on(), memory(view<const value_type_of<Hidden>, 2>(hidden)), memory(view<const value_type_of<Weight>, 2>(weight)),
      memory(view<const value_type_of<Bias>, 1>(bias)), memory(view<const value_type_of<Target>, 1>(target)),
      memory(view<const value_type_of<Lse>, 1>(lse)), memory(view<const value_type_of<GradLoss>, 1>(grad_loss)),
      memory(grad_hidden), memory(grad_weight), memory(grad_bias), options);
  memory.bring_back();
}

template <class Hidden, class Weight, class Target, class Lse, class GradLoss, class GradHidden, class GradWeight>
void linear_cross_entropy_backward(const gradients_of_loss_on_device&, const Hidden& hidden, const Weight& weight,
                                   const Target& target, const Lse& lse, const GradLoss& grad_loss, const GradHidden& grad_hidden,
                                   const GradWeight& grad_weight, const tessera::training::cross_entropy_options& options) {
  using namespace tessera;
  mirror memory;
  training::linear_cross_entropy_backward(
      cuda::on(), memory(view<const value_type_of<Hidden>, 2>(hidden)), memory(view<const value_type_of<Weight>, 2>(weight)),
      memory(view<const value_type_of<Target>, 1>(target)), memory(view<const value_type_of<Lse>, 1>(lse)),
      memory(view<const value_type_of<GradLoss>, 1>(grad_loss)), memory(grad_hidden), memory(grad_weight), options);
  memory.bring_back();
}

}  // namespace support

// The oracle of attention's tests, in the same program, has types of the same names; that of the loss has other bounds.
#define oracle oracle_of_gradients
#define TESSERA_TESTED_GRADIENTS_ON_DEVICE 1
#define TESSERA_TESTED_EXECUTOR \
  support::gradients_of_loss_on_device {}
#define TESSERA_TESTED_REFUSAL tessera::cuda::on()
#include "../training/linear_cross_entropy_backward.cpp"
