// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Device memory for the emulator's own tests, and what a test expects of a fault.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <vector>

#include "tessera/emulator/cuda.hpp"

namespace emulator = tessera::emulator;

template <class T>
class device_array {
 public:
  explicit device_array(std::size_t size) : size_(size) { BOOST_REQUIRE(cudaMalloc(&memory_, size * sizeof(T)) == cudaSuccess); }
  explicit device_array(const std::vector<T>& x) : device_array(x.size()) {
    BOOST_REQUIRE(cudaMemcpy(memory_, x.data(), x.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  device_array(const device_array&) = delete;
  device_array& operator=(const device_array&) = delete;
  ~device_array() { BOOST_CHECK(cudaFree(memory_) == cudaSuccess); }

  [[nodiscard]] T* data() const { return static_cast<T*>(memory_); }
  [[nodiscard]] std::vector<T> host() const {
    std::vector<T> x(size_);
    BOOST_REQUIRE(cudaMemcpy(x.data(), memory_, size_ * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
    return x;
  }

 private:
  std::size_t size_;
  void* memory_ = nullptr;
};

/// Options for the time of a test.
class with_options {
 public:
  explicit with_options(const emulator::options& o) : before_(emulator::settings()) { emulator::settings() = o; }
  with_options(const with_options&) = delete;
  with_options& operator=(const with_options&) = delete;
  ~with_options() { emulator::settings() = before_; }

 private:
  emulator::options before_;
};

/// Runs f, which must throw a fault whose text holds all parts.
template <class F>
void check_fault(F f, std::initializer_list<const char*> parts) {
  try {
    f();
  } catch (const emulator::fault& e) {
    for (const char* part : parts)
      BOOST_CHECK_MESSAGE(std::string(e.what()).find(part) != std::string::npos, e.what() << "\n  lacks: " << part);
    return;
  }
  BOOST_ERROR("no fault");
}

/// The seeds that a test of an order tries.
inline constexpr unsigned seeds[] = {1, 2, 3, 77, 1234567};
