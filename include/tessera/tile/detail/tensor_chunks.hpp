// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A list of tensors cut into chunks, so that threads share out large tensors and many small ones alike.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::detail {

/// Elements of a chunk: a constant of the algorithm, as sums are made of those of chunks.
inline constexpr std::int64_t tensor_chunk = 1 << 14;

/// Chunks of all tensors, numbered from the first tensor's first to the last tensor's last.
class tensor_chunks {
 public:
  /// In memory for sizes.size() + 1 numbers.
  template <class T>
  TESSERA_ALWAYS_INLINE tensor_chunks(std::span<const view<T, 1>> tensors, std::int64_t* first)
      : first_(first), tensors_(static_cast<std::int64_t>(tensors.size())) {
    first_[0] = 0;
    for (std::int64_t t = 0; t < tensors_; ++t) {
      const std::int64_t size = tensors[static_cast<std::size_t>(t)].size();
      first_[t + 1] = first_[t] + size / tensor_chunk + (size % tensor_chunk != 0 ? 1 : 0);
    }
  }

  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t count() const { return first_[tensors_]; }
  /// The first chunk of a tensor; that behind all chunks for the number behind all tensors.
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t first_of(std::int64_t tensor) const { return first_[tensor]; }
  /// The tensor that a chunk is of.
  [[nodiscard]] TESSERA_ALWAYS_INLINE std::int64_t tensor_of(std::int64_t chunk) const {
    return std::upper_bound(first_, first_ + tensors_ + 1, chunk) - first_ - 1;
  }

 private:
  std::int64_t* first_;
  std::int64_t tensors_;
};

/// f(chunk, tensor, first element, number of elements) for all chunks of a list, in any order, `operations` an element; or f(worker, chunk, …).
template <class Exec, class T, class F>
void for_each_tensor_chunk(const Exec& exec, const tensor_chunks& chunks, std::span<const view<T, 1>> tensors, double operations,
                           F f) {
  // Small tensors one by one would cost more to hand out than to compute: a thread takes several chunks that follow one another.
  const std::int64_t count = chunks.count();
  const std::int64_t together = std::clamp<std::int64_t>(count / (16 * exec.workers()), 1, 16);
  const auto run = [&]([[maybe_unused]] int worker, std::int64_t item) {
    const std::int64_t end = std::min(count, (item + 1) * together);
    std::int64_t chunk = item * together;
    std::int64_t tensor = chunks.tensor_of(chunk);
    for (; chunk < end; ++chunk) {
      while (chunk >= chunks.first_of(tensor + 1)) ++tensor;
      const std::int64_t begin = (chunk - chunks.first_of(tensor)) * tensor_chunk;
      const std::int64_t size = tensors[static_cast<std::size_t>(tensor)].size();
      const std::int64_t length = std::min(tensor_chunk, size - begin);
      if constexpr (std::is_invocable_v<F&, int, std::int64_t, std::int64_t, std::int64_t, std::int64_t>) {
        f(worker, chunk, tensor, begin, length);
      } else {
        f(chunk, tensor, begin, length);
      }
    }
  };
  for_each_worth(exec, operations * static_cast<double>(count) * static_cast<double>(tensor_chunk),
                 (count + together - 1) / together, run);
}

}  // namespace tessera::detail
