// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Poisson numbers by inversion and by Hörmann's transformed rejection, at one address and at a group of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/detail/arithmetic.hpp"
#include "tessera/random/detail/attempts.hpp"
#include "tessera/random/detail/elementary.hpp"
#include "tessera/random/detail/lane_list.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/uniform.hpp"

namespace tessera::random::detail {

/// From this rate on, numbers come from rejection, whose proof begins there.
inline constexpr double least_rejected_rate = 10;

/// The sums P(0) + … + P(k), one after the other, until they no longer grow.
class poisson_sums {
 public:
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE explicit poisson_sums(double rate) noexcept
      : rate_(rate), term_(exponential_of(-rate)), sum_(term_) {}

  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double sum() const noexcept { return sum_; }
  /// Goes to the next sum; false if it is the same.
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool next() noexcept {
    k_ += 1.0;
    const double ratio = rate_ / k_;
    const double sum = fma(term_, ratio, sum_);  // in one operation, lest a compiler fuse it here and not there
    term_ = term_ * ratio;
    const bool grows = sum != sum_ && term_ > 1e-60;
    sum_ = sum;
    return grows;
  }

 private:
  double rate_;
  double term_;
  double sum_;
  double k_ = 0;
};

TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double poisson_by_inversion(double rate, double u) noexcept {
  poisson_sums sums(rate);
  double k = 0;
  while (u >= sums.sum()) {
    k += 1.0;
    if (!sums.next()) break;
  }
  return k;
}

/// All the sums: k is the number of those that are at most u.
struct poisson_table {
  double sum[64];
  int size = 0;

  TESSERA_ALWAYS_INLINE explicit poisson_table(double rate) noexcept {
    poisson_sums sums(rate);
    do {
      sum[size++] = sums.sum();
    } while (sums.next() && size < 64);
  }
};

/// The constants of PTRS.
struct poisson_ptrs {
  double rate;
  double a;
  double b;
  double inverse_alpha;
  double squeeze;
};
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE poisson_ptrs poisson_constants(double rate) noexcept {
  const double b = fma(2.53, square_root(rate), 0.931);
  return {rate, fma(0.02483, b, -0.059), b, 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)};
}

/// log n! - log(sqrt(2 pi n) (n/e)^n) for integers n >= 1, absolute error 2^-57: Stirling's series in shape, the coefficients fitted to
/// n times the rest as a polynomial of 1/n^2 on the integers alone (iteratively reweighted least squares, mpmath).
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double stirling_rest(double n) noexcept {
  const double r = 1.0 / (n * n);
  double p = 0x1.28e089628451ap-4;
  p = fma(p, r, -0x1.ffaa346cd967ap-4);
  p = fma(p, r, 0x1.2036b69fc35f8p-4);
  p = fma(p, r, -0x1.739243badbff1p-6);
  p = fma(p, r, 0x1.91a9fd0911156p-8);
  p = fma(p, r, -0x1.f4cc86f71e185p-10);
  p = fma(p, r, 0x1.b94374af3e298p-11);
  p = fma(p, r, -0x1.3813620dde079p-11);
  p = fma(p, r, 0x1.a01a017ea3f9ap-11);
  p = fma(p, r, -0x1.6c16c16c1351dp-9);
  p = fma(p, r, 0x1.5555555555555p-4);
  return p / n;
}

/// log P(k), without cancellation: -rest(k) - rate phi((k - rate) / rate) - log(2 pi k) / 2 with phi(t) = (1 + t) log(1 + t) - t.
/// Without branches, for loops. Source: Loader, "Fast and accurate computation of binomial probabilities", 2000.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double log_poisson_probability(double rate, double k) noexcept {
  const double n = chosen(k > 1.0, k, 1.0);
  const double t = (n - rate) / rate;
  const double w = 1.0 + t;
  const double off = t - 0.06;
  const double off2 = off * off;
  const double close = -0.5 * twice_log1p_gap(t);
  const double distant = natural_log(w) - t;
  const double gap = chosen(off2 < 0.1225, close, distant);
  const double phi = fma(w, gap, t * t);
  const double log_p = fma(-rate, phi, -stirling_rest(n)) - 0.5 * natural_log(6.283185307179586 * n);
  return chosen(k < 0.5, -rate, log_p);
}

/// What an attempt proposes: k is taken where v <= squeeze, and refused where v > limit.
struct poisson_candidate {
  double k;
  double us;
  double v;
  double squeeze;
  double limit;
};
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE poisson_candidate poisson_try(poisson_ptrs c, std::uint64_t a,
                                                                         std::uint64_t b) noexcept {
  // The midpoints of 2^52 cells.
  const double u = half_open_grid<double>(a | 0x800u) - 0.5;
  const double v = half_open_grid<double>(b | 0x800u);
  const double minus_u = -u;
  const double us = 0.5 - (u < 0.0 ? minus_u : u);
  const double x = fma(2.0 * c.a / us + c.b, u, c.rate + 0.43);
  // The largest integer not above x, for |x| below 2^51; beyond, x is refused or has a probability of 0.
  const double n = (x + 0x1.8p52) - 0x1.8p52;
  const double less = n - 1.0;
  const double k = n > x ? less : n;
  const double squeeze = c.squeeze;
  const double limit = us < 0.013 ? us : 1.0;
  return {k, us, v, us >= 0.07 ? squeeze : 0.0, k < 0.0 ? 0.0 : limit};
}
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE bool poisson_accepts(poisson_ptrs c, double k, double us, double v) noexcept {
  const double hat = c.a / (us * us) + c.b;
  return natural_log(v * c.inverse_alpha / hat) <= log_poisson_probability(c.rate, k);
}

/// The number of an address whose own words are `own`, from attempt `attempt` on.
TESSERA_HD constexpr TESSERA_ALWAYS_INLINE double poisson_by_rejection(poisson_ptrs c, const philox_block& own,
                                                                       std::uint64_t attempt = 0) noexcept {
  for (;; ++attempt) {
    const philox_block bits = attempt == 0 ? own : private_block(own, attempt);
    const poisson_candidate x = poisson_try(c, bits.pair(0), bits.pair(1));
    if (x.v <= x.squeeze || (x.v <= x.limit && poisson_accepts(c, x.k, x.us, x.v))) return x.k;
  }
}

inline constexpr std::size_t poisson_group = 256;

using poisson_list = lane_list<poisson_group>;

/// Applies the exact condition to the batch of a list that begins at `begin`; what fails goes to `left`.
TESSERA_ALWAYS_INLINE void poisson_decide(poisson_ptrs c, const poisson_list& list, std::size_t begin,
                                          const double* TESSERA_RESTRICT k, const double* TESSERA_RESTRICT us,
                                          const double* TESSERA_RESTRICT v, poisson_list& left) noexcept {
  constexpr std::size_t n = poisson_list::batch;
  alignas(64) std::uint64_t accepted[n];
  for (std::size_t i = 0; i < n; ++i) accepted[i] = poisson_accepts(c, k[i], us[i], v[i]) ? 1u : 0u;
  const std::size_t count = list.size - begin < n ? list.size - begin : n;
  for (std::size_t i = 0; i < count; ++i) left.add_if(list.at[begin + i], accepted[i] == 0);
}

/// The numbers of poisson_group addresses whose words are a and b. The same operations as poisson_by_rejection, over lists of what is
/// left; loops of constant length without branches, which compilers turn into SIMD code.
TESSERA_ALWAYS_INLINE void poisson_numbers(poisson_ptrs c, const std::uint64_t* TESSERA_RESTRICT a,
                                           const std::uint64_t* TESSERA_RESTRICT b, double* TESSERA_RESTRICT k) noexcept {
  constexpr std::size_t n = poisson_list::batch;
  alignas(64) double us[poisson_group];
  alignas(64) double v[poisson_group];
  alignas(64) std::uint64_t state[poisson_group];  // 0 taken, 1 open, 2 refused
  for (std::size_t i = 0; i < poisson_group; ++i) {
    const poisson_candidate x = poisson_try(c, a[i], b[i]);
    k[i] = x.k;
    us[i] = x.us;
    v[i] = x.v;
    const std::uint64_t beyond = x.v > x.limit ? 2u : 1u;
    state[i] = x.v <= x.squeeze ? 0u : beyond;
  }
  poisson_list open;
  poisson_list left;
  for (std::size_t i = 0; i < poisson_group; ++i) {
    open.add_if(i, state[i] == 1);
    left.add_if(i, state[i] == 2);
  }
  open.pad();
  alignas(64) double bk[n], bu[n], bv[n];
  for (std::size_t begin = 0; begin < open.size; begin += n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t lane = open.at[begin + i];
      bk[i] = k[lane];
      bu[i] = us[lane];
      bv[i] = v[lane];
    }
    poisson_decide(c, open, begin, bk, bu, bv, left);
  }
  std::uint64_t attempt = 1;
  for (; left.size > n / 4; ++attempt) {
    left.pad();
    open.size = 0;
    poisson_list again;
    for (std::size_t begin = 0; begin < left.size; begin += n) {
      alignas(64) std::uint64_t wa[n], wb[n], sure[n];
      for (std::size_t i = 0; i < n; ++i) {
        wa[i] = a[left.at[begin + i]];
        wb[i] = b[left.at[begin + i]];
      }
      for (std::size_t i = 0; i < n; ++i) {
        const philox_block own{{static_cast<std::uint32_t>(wa[i]), static_cast<std::uint32_t>(wa[i] >> 32),
                                static_cast<std::uint32_t>(wb[i]), static_cast<std::uint32_t>(wb[i] >> 32)}};
        const philox_block bits = private_block(own, attempt);
        wa[i] = std::uint64_t{bits.word[1]} << 32 | bits.word[0];
        wb[i] = std::uint64_t{bits.word[3]} << 32 | bits.word[2];
      }
      for (std::size_t i = 0; i < n; ++i) {
        const poisson_candidate x = poisson_try(c, wa[i], wb[i]);
        bk[i] = x.k;
        bu[i] = x.us;
        bv[i] = x.v;
        const std::uint64_t beyond = x.v > x.limit ? 2u : 1u;
        sure[i] = x.v <= x.squeeze ? 0u : beyond;
      }
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t refused = poisson_accepts(c, bk[i], bu[i], bv[i]) ? 0u : 1u;
        wa[i] = (refused & sure[i]) | sure[i] >> 1;
      }
      const std::size_t count = left.size - begin < n ? left.size - begin : n;
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t lane = left.at[begin + i];
        k[lane] = bk[i];
        again.add_if(lane, wa[i] != 0);
      }
    }
    left = again;
  }
  for (std::size_t i = 0; i < left.size; ++i) {
    const std::size_t lane = left.at[i];
    const philox_block own{{static_cast<std::uint32_t>(a[lane]), static_cast<std::uint32_t>(a[lane] >> 32),
                            static_cast<std::uint32_t>(b[lane]), static_cast<std::uint32_t>(b[lane] >> 32)}};
    k[lane] = poisson_by_rejection(c, own, attempt);
  }
}

}  // namespace tessera::random::detail
