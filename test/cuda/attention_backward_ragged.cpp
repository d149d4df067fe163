// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of the backward pass of ragged batches, on the device.
#include "attention_gradients.hpp"
#define TESSERA_TESTED_ON_DEVICE
#define TESSERA_TESTED_EXECUTOR support::gradients_on_device()
#define TESSERA_REFUSING_EXECUTOR tessera::cuda::on()
#include "../attention/ragged_backward.cpp"
