// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Exponents counted as the fields of floats, eight at a time in tables of their own.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/simd/detail/codes.hpp"
#include "tessera/simd/fold.hpp"
#include "tessera/simd/load.hpp"
#include "tessera/training/exponent_counts.hpp"

namespace tessera::training::detail {

/// Counts one number that is finite and not 0, and no normal number of float.
TESSERA_ALWAYS_INLINE void count_subnormal(float x, exponent_counts& counted) {
  const std::uint32_t magnitude = to_bits(x) & binary32::magnitude_mask;
  counted.counts[31 - __builtin_clz(magnitude)] += 1;  // the last place is 2^-149
}

/// The counts of one thread. Eight tables, so that neighbours of one exponent do not wait for one another's sum.
template <class Arch, class In>
class exponent_counter {
 public:
  TESSERA_ALWAYS_INLINE void clear() {
    for (auto& table : tables_) {
      for (auto& n : table) n = 0;
    }
    pending_ = 0;
    counted_ = {};
  }

  TESSERA_NOINLINE void count(const In* in, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += block) count_block(in + i, n - i < block ? n - i : block);
    pending_ += n;
    if (pending_ >= most_pending) flush();
  }

  /// Moves what the tables hold to the counts. The fields 0 and 255 are counted elsewhere.
  TESSERA_NOINLINE void flush() {
    for (int field = 1; field < 255; ++field) {
      std::int64_t sum = 0;
      for (const auto& table : tables_) sum += table[field];
      counted_.counts[field - binary32::bias - exponent_counts::lowest] += sum;
    }
    for (auto& table : tables_) {
      for (auto& n : table) n = 0;
    }
    pending_ = 0;
  }

  [[nodiscard]] const exponent_counts& counted() const { return counted_; }

 private:
  using P = simd::pack<float, Arch>;
  using I = simd::pack<std::int32_t, Arch>;
  using bytes = simd::detail::code_transport_for<1, Arch>;
  static constexpr std::int64_t block = 1024;
  static constexpr std::int64_t most_pending = std::int64_t{1} << 31;

  TESSERA_ALWAYS_INLINE void count_block(const In* in, std::int64_t n) {
    alignas(64) std::uint8_t fields[block + 64];
    I specials(0);  // lanes that were 0 or 255
    const auto take = [&](P x, std::int64_t i) {
      const I field = (simd::bit_cast<std::int32_t>(x) >> binary32::mantissa_bits) & I(0xFF);
      bytes::store(fields + i, field);
      // 255 and 0 become 0 and 1: everything else is at least 2.
      specials = select(((field + I(1)) & I(0xFF)) < I(2), I(1), specials);
    };
    std::int64_t i = 0;
    for (; i + P::lanes <= n; i += P::lanes) take(simd::load_as<P>(in + i), i);
    if (i < n) take(simd::load_partial<P>(in + i, static_cast<int>(n - i)), i);
    for (std::int64_t k = n; k < (n + 7) / 8 * 8; ++k) fields[k] = 0;  // whose count is never read
    for (std::int64_t k = 0; k < n; k += 8) {
      std::uint64_t eight;
      __builtin_memcpy(&eight, fields + k, sizeof eight);
      for (int j = 0; j < 8; ++j) tables_[j][(eight >> (8 * j)) & 0xFF] += 1;
    }
    if (lane<I>::any(specials > I(0))) count_specials(in, n);
  }

  TESSERA_NOINLINE void count_specials(const In* in, std::int64_t n) {
    P zeros(0.0F);
    P others(0.0F);
    const P least(tessera::min_normal<float>());
    const P most(tessera::max_finite<float>());
    std::int64_t i = 0;
    for (; i + P::lanes <= n; i += P::lanes) {
      const P x = simd::load_as<P>(in + i);
      const P magnitude = lane<P>::abs(x);
      zeros += select(x == P(0.0F), P(1.0F), P(0.0F));
      others += select((magnitude >= least) & (magnitude <= most), P(0.0F), P(1.0F));
    }
    const auto all_zeros = static_cast<std::int64_t>(simd::fold_add(zeros));
    counted_.zeros += all_zeros;
    const bool none = static_cast<std::int64_t>(simd::fold_add(others)) == all_zeros;
    for (std::int64_t k = none ? i : 0; k < n; ++k) {
      const float x = static_cast<float>(in[k]);
      const std::uint32_t magnitude = to_bits(x) & binary32::magnitude_mask;
      if (magnitude == 0) {
        counted_.zeros += k < i ? 0 : 1;
      } else if (magnitude < binary32::min_normal) {
        count_subnormal(x, counted_);
      } else if (magnitude == binary32::infinity) {
        counted_.infinities += 1;
      } else if (magnitude > binary32::infinity) {
        counted_.nans += 1;
      }
    }
  }

  std::uint32_t tables_[8][256];
  std::int64_t pending_;
  exponent_counts counted_;
};

/// Numbers of double, one after the other.
template <class Arch>
class exponent_counter<Arch, double> {
 public:
  TESSERA_ALWAYS_INLINE void clear() {
    for (auto& table : tables_) {
      for (auto& n : table) n = 0;
    }
    counted_ = {};
  }

  TESSERA_NOINLINE void count(const double* in, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint64_t magnitude = to_bits(in[i]) & binary64::magnitude_mask;
      const auto field = static_cast<std::uint32_t>(magnitude >> binary64::mantissa_bits);
      if (magnitude == 0) {
        counted_.zeros += 1;
      } else if (magnitude >= binary64::infinity) {
        (magnitude == binary64::infinity ? counted_.infinities : counted_.nans) += 1;
      } else {
        tables_[i % 4][field] += 1;
      }
    }
  }

  TESSERA_NOINLINE void flush() {
    for (auto& table : tables_) {
      for (int field = 0; field < 2048; ++field) {
        const int exponent = field - binary64::bias;
        if (exponent < exponent_counts::lowest) {
          counted_.below += table[field];
        } else if (exponent > exponent_counts::highest) {
          counted_.above += table[field];
        } else {
          counted_.counts[exponent - exponent_counts::lowest] += table[field];
        }
        table[field] = 0;
      }
    }
  }

  [[nodiscard]] const exponent_counts& counted() const { return counted_; }

 private:
  std::int64_t tables_[4][2048];
  exponent_counts counted_;
};

}  // namespace tessera::training::detail
