// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The CPU's tests of masks, on the device.
#include "on_device.hpp"
#define TESSERA_TESTED_EXECUTOR \
  support::on_device {}
#include "../tile/contraction_mask.cpp"
