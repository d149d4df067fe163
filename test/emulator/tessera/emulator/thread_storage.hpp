// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Whether an address lies in this OS thread's thread_local variables, which is where __shared__ ones are.
#pragma once

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>

namespace tessera::emulator::detail {

inline bool in_thread_storage(const void* p) {
  struct question {
    std::uintptr_t at;
    bool found;
  } ask{reinterpret_cast<std::uintptr_t>(p), false};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& q = *static_cast<question*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto begin = reinterpret_cast<std::uintptr_t>(info->dlpi_tls_data);
          if (info->dlpi_phdr[i].p_type != PT_TLS || begin == 0) continue;
          q.found = q.found || (q.at >= begin && q.at < begin + info->dlpi_phdr[i].p_memsz);
        }
        return q.found ? 1 : 0;
      },
      &ask);
  return ask.found;
}

}  // namespace tessera::emulator::detail
