// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What the backward pass refuses on the CPU, refused on the device: before memory is looked at, so that the arrays may be the host's.
#include "attention_gradients.hpp"
#define TESSERA_TESTED_ON_DEVICE
#define TESSERA_TESTED_EXECUTOR tessera::cuda::on()
#include "../attention/backward_misuse.cpp"
