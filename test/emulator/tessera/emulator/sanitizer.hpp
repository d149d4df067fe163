// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tells AddressSanitizer which stack is in use, so that it follows fibers, and which bytes are nobody's; nothing without it.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define TESSERA_EMULATOR_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TESSERA_EMULATOR_ADDRESS_SANITIZER 1
#endif
#endif
#if !defined(TESSERA_EMULATOR_ADDRESS_SANITIZER)
#define TESSERA_EMULATOR_ADDRESS_SANITIZER 0
#endif

#if TESSERA_EMULATOR_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tessera::emulator::detail {

struct stack_bounds {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
};

/// Before leaving a stack for another one. Without a place to keep it, what the sanitizer holds of the old stack ends.
inline void leave_stack([[maybe_unused]] void** keep, [[maybe_unused]] const stack_bounds& to) {
#if TESSERA_EMULATOR_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(keep, to.bottom, to.bytes);
#endif
}
/// After coming to a stack; the bounds of the one left.
inline void enter_stack([[maybe_unused]] void* kept, [[maybe_unused]] stack_bounds* from = nullptr) {
#if TESSERA_EMULATOR_ADDRESS_SANITIZER
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(kept, &bottom, &bytes);
  if (from != nullptr) *from = {bottom, bytes};
#endif
}

/// Bytes that nobody may touch, and may again.
inline void forbid([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) {
#if TESSERA_EMULATOR_ADDRESS_SANITIZER
  __asan_poison_memory_region(p, bytes);
#endif
}
inline void allow([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) {
#if TESSERA_EMULATOR_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(p, bytes);
#endif
}

}  // namespace tessera::emulator::detail
