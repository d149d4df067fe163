// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A progress line on stderr, a stopwatch, and the most memory that this process has held.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace example {

class stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// "denoising: 43 %, 12 s, about 16 s left", rewritten in place on a terminal, a new line every 5 s elsewhere. Nothing is shown
/// in the first second.
class progress {
 public:
  progress(std::string what, std::int64_t total) : what_(std::move(what)), total_(total) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() {
    if (shown_ > 0 && terminal_) std::fprintf(stderr, "\r\033[K");
  }

  void show(std::int64_t done) {
    const double now = clock_.seconds();
    if (now < shown_ + (terminal_ ? 0.2 : 5) || now < 1 || done == 0) return;
    shown_ = now;
    const double left = now * static_cast<double>(total_ - done) / static_cast<double>(done);
    std::fprintf(stderr, "%s%s: %d %%, %.0f s, about %.0f s left%s", terminal_ ? "\r\033[K" : "", what_.c_str(),
                 static_cast<int>(100 * done / total_), now, left, terminal_ ? "" : "\n");
  }

 private:
  std::string what_;
  std::int64_t total_;
  stopwatch clock_;
  double shown_ = 0;
  bool terminal_ = isatty(STDERR_FILENO) != 0;
};

/// Bytes.
inline double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  return static_cast<double>(usage.ru_maxrss);
#else
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
#endif
}

}  // namespace example
