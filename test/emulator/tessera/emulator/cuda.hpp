// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The language of CUDA kernels for an ordinary compiler: every name a kernel uses, with each thread of a block as a fiber.
#pragma once

#include "tessera/emulator/atomics.hpp"
#include "tessera/emulator/attributes.hpp"
#include "tessera/emulator/barriers.hpp"
#include "tessera/emulator/device.hpp"
#include "tessera/emulator/fault.hpp"
#include "tessera/emulator/host_api.hpp"
#include "tessera/emulator/intrinsics.hpp"
#include "tessera/emulator/launch.hpp"
#include "tessera/emulator/mbarrier.hpp"
#include "tessera/emulator/meeting.hpp"
#include "tessera/emulator/options.hpp"
#include "tessera/emulator/shared.hpp"
#include "tessera/emulator/tensor.hpp"
#include "tessera/emulator/warp_builtins.hpp"
#include "tessera/emulator/warpgroup.hpp"
