// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The specification of random/: the same integers, then the textbook formulas with the standard library's functions.
/// `Real` is the type of the arithmetic; what it rounds is never the random integer, so that double is enough for float.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>

namespace tessera::reference {

/// Philox4x32-10: ten rounds on the counter, the key growing by the Weyl constants between them.
inline std::array<std::uint32_t, 4> philox4x32_10(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    const std::uint64_t even = counter[0] * std::uint64_t{0xD2511F53u};
    const std::uint64_t odd = counter[2] * std::uint64_t{0xCD9E8D57u};
    counter = {static_cast<std::uint32_t>(odd >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(odd),
               static_cast<std::uint32_t>(even >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(even)};
  }
  return counter;
}

/// The four words at an address.
inline std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x % 0x100000000u); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x / 0x100000000u); };
  return philox4x32_10({low(index), high(index), low(stream), high(stream)}, {low(seed), high(seed)});
}

inline std::uint64_t join(std::uint32_t low, std::uint32_t high) { return low + 0x100000000u * std::uint64_t{high}; }

/// The {seed, stream} of the child of a stream that has a number (domain 0xBB67AE8584CAA73B), or of one step of a text
/// (0xA54FF53A5F1D36F1).
inline std::array<std::uint64_t, 2> child(std::uint64_t seed, std::uint64_t stream, std::uint64_t label,
                                          std::uint64_t domain = 0xBB67AE8584CAA73Bu) {
  const auto w = philox(seed ^ domain, stream, label);
  return {join(w[0], w[1]), join(w[2], w[3])};
}

/// The random word of number `index` of type T: one of four 32-bit words of block index / 4, or, for types of more than 24 digits,
/// one of two 64-bit words of block index / 2.
template <class T>
std::uint64_t random_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  if (std::numeric_limits<T>::digits <= 24) return philox(seed, stream, index / 4)[index % 4];
  const auto x = philox(seed, stream, index / 2);
  return join(x[2 * (index % 2)], x[2 * (index % 2) + 1]);
}

/// The multiple of 2^-digits at or below word / 2^bits.
template <class T>
double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const int digits = std::numeric_limits<T>::digits;
  const int bits = digits <= 24 ? 32 : 64;
  return std::ldexp(static_cast<double>(random_word<T>(seed, stream, index) >> (bits - digits)), -digits);
}

/// The midpoint of the cell of width 2^(1 - digits) that holds word / 2^bits.
template <class T>
double uniform_open(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const int digits = std::numeric_limits<T>::digits;
  const int bits = digits <= 24 ? 32 : 64;
  const std::uint64_t cell = random_word<T>(seed, stream, index) >> (bits - digits + 1);
  return std::ldexp(static_cast<double>(2 * cell + 1), -digits);
}

/// sqrt(-2 ln u) for u = n 2^-bits, n odd; from 1 - u where u is above 1/2: the integers have both exactly.
template <class Real>
Real normal_radius(std::uint64_t n, int bits) {
  const std::uint64_t rest = bits == 64 ? 0 - n : (std::uint64_t{1} << bits) - n;
  const Real log_u =
      n > rest ? std::log1p(-std::ldexp(static_cast<Real>(rest), -bits)) : std::log(std::ldexp(static_cast<Real>(n), -bits));
  return std::sqrt(-2 * log_u);
}

/// Cosine and sine of 2 pi (n + 1/2) 2^-bits. The quarter turns are taken off as integers, so that small results are right too.
template <class Real>
std::array<Real, 2> normal_direction(std::uint64_t n, int bits) {
  const std::uint64_t quarters = (n + (std::uint64_t{1} << (bits - 3))) >> (bits - 2);
  const auto rest = static_cast<std::int64_t>(n - (quarters << (bits - 2)));
  const Real angle = std::ldexp(static_cast<Real>(2 * rest + 1), -bits) * std::numbers::pi_v<Real>;
  const Real c = std::cos(angle);
  const Real s = std::sin(angle);
  switch (quarters % 4) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

/// The standard normal number at an address, before the rounding to T.
template <class T, class Real = double>
Real normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const std::uint64_t a = random_word<T>(seed, stream, index / 2 * 2);
  const std::uint64_t b = random_word<T>(seed, stream, index / 2 * 2 + 1);
  Real radius{};
  std::array<Real, 2> direction{};
  if (std::numeric_limits<T>::digits <= 24) {
    radius = a >= 0x10000 ? normal_radius<Real>(a | 1, 32) : normal_radius<Real>((a * 0x10000 + b % 0x10000) | 1, 48);
    direction = normal_direction<Real>(b, 32);
  } else {
    radius = normal_radius<Real>(a | 1, 64);
    direction = normal_direction<Real>(b, 64);
  }
  return radius * direction[index % 2];
}

/// Word k (from 1) of those that belong to a number alone: the word at the number's place in a block that has the number's counter, but
/// a key from stream 2^64 - 1.
template <class T>
std::uint64_t further_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, std::uint64_t k) {
  const auto key = philox(seed, 0xFFFFFFFFFFFFFFFFu, k);
  return random_word<T>(join(key[0], key[1]), stream, index);
}

/// u = (n + 1/2) 2^-bits in (0, 1), which logarithms are taken of.
struct unit_number {
  std::uint64_t n;
  int bits;

  /// The distances from 0 and from 1: each exact where it is small.
  template <class Real>
  [[nodiscard]] Real above_zero() const {
    return std::ldexp(static_cast<Real>(n) + Real(0.5), -bits);
  }
  template <class Real>
  [[nodiscard]] Real below_one() const {
    const std::uint64_t all = bits == 64 ? 0xFFFFFFFFFFFFFFFFu : (std::uint64_t{1} << bits) - 1;
    return std::ldexp(static_cast<Real>(all - n) + Real(0.5), -bits);
  }
};

/// The number of a word: 32 bits of it, 48 where its upper half is all zeros or all ones, those from the lower half of the other word
/// of the pair; 64 for double.
template <class T>
unit_number unit_number_of(std::uint64_t word, std::uint64_t more) {
  if (std::numeric_limits<T>::digits > 24) return {word, 64};
  if (word < 0x10000 || word >= 0xFFFF0000u) return {word * 0x10000 + more % 0x10000, 48};
  return {word, 32};
}
template <class T>
unit_number unit_number_at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return unit_number_of<T>(random_word<T>(seed, stream, index), random_word<T>(seed, stream, index ^ 1));
}

/// -ln u.
template <class Real>
Real minus_log(unit_number u) {
  const Real rest = u.below_one<Real>();
  return rest < Real(0.5) ? -std::log1p(-rest) : -std::log(u.above_zero<Real>());
}

/// The standard numbers, before the rounding to T.
template <class T, class Real = double>
Real exponential(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return minus_log<Real>(unit_number_at<T>(seed, stream, index));
}
template <class T, class Real = double>
Real gumbel(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return -std::log(minus_log<Real>(unit_number_at<T>(seed, stream, index)));
}
/// ln(u / (1 - u)), next to the middle as 2 artanh(2 u - 1).
template <class Real>
Real logit(unit_number u) {
  const Real from_zero = u.above_zero<Real>();
  const Real from_one = u.below_one<Real>();
  if (from_zero > Real(0.25) && from_one > Real(0.25)) {
    const std::uint64_t half = std::uint64_t{1} << (u.bits - 1);
    const Real middle =
        u.n >= half ? static_cast<Real>(u.n - half) + Real(0.5) : -(static_cast<Real>(half - 1 - u.n) + Real(0.5));
    return 2 * std::atanh(std::ldexp(middle, 1 - u.bits));
  }
  return from_zero < from_one ? std::log(from_zero) - std::log1p(-from_zero) : std::log1p(-from_one) - std::log(from_one);
}
template <class T, class Real = double>
Real logistic(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return logit<Real>(unit_number_at<T>(seed, stream, index));
}
/// The sign from the top bit, -ln u from the others with bit 16 of the pair's other word below them.
template <class T, class Real = double>
Real laplace(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const int bits = std::numeric_limits<T>::digits > 24 ? 64 : 32;
  const std::uint64_t word = random_word<T>(seed, stream, index);
  const std::uint64_t more = random_word<T>(seed, stream, index ^ 1);
  const std::uint64_t top = std::uint64_t{1} << (bits - 1);
  const Real magnitude = minus_log<Real>(unit_number_of<T>(word % top * 2 + more / 0x10000 % 2, more));
  return word >= top ? -magnitude : magnitude;
}

/// The real number whose binary digits are those of `word` and then of further(1), further(2) …, rounded down to T; where that is 0, those
/// of further(64), further(65) …, and so on.
template <class T, class Further>
double uniform_dense_from(std::uint64_t word, Further further) {
  const int bits = std::numeric_limits<T>::digits > 24 ? 64 : 32;
  const int lowest = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;  // the last place that a T may have
  for (std::uint64_t draw = 1;; ++draw) {
    double x = 0;
    std::uint64_t k = draw == 1 ? 1 : 64 * (draw - 1) + 1;
    for (int place = -1, left = std::numeric_limits<T>::digits; place >= lowest && left > 0; --place) {
      const int i = (-1 - place) % bits;
      if (i == 0 && place < -1) word = further(k++);
      if ((word >> (bits - 1 - i)) % 2 == 1) x += std::ldexp(1.0, place);
      if (x > 0) --left;
    }
    if (x > 0) return x;
    word = further(64 * draw);
  }
}
template <class T>
double uniform_dense(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return uniform_dense_from<T>(random_word<T>(seed, stream, index),
                               [&](std::uint64_t k) { return further_word<T>(seed, stream, index, k); });
}

/// Whether the word and the further word, as one number, are below p 2^64.
inline bool bernoulli(double p, std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const auto number = static_cast<long double>(random_word<float>(seed, stream, index)) * 0x1p32L +
                      static_cast<long double>(further_word<float>(seed, stream, index, 1));
  return number < std::floor(static_cast<long double>(p) * 0x1p64L);
}

/// low + floor(w count / 2^bits) for the first word w whose product leaves a lower part that every value has equally often.
template <class Integer>
Integer uniform_int(Integer low, Integer high, std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  using T = std::conditional_t<sizeof(Integer) == 8, double, float>;  // which words it reads
  __extension__ using wide = unsigned __int128;
  const wide words = wide{1} << (sizeof(Integer) == 8 ? 64 : 32);
  const wide count = static_cast<wide>(static_cast<__int128>(high) - static_cast<__int128>(low)) + 1;
  std::uint64_t word = random_word<T>(seed, stream, index);
  for (std::uint64_t k = 1; word * count % words < words % count; ++k) word = further_word<T>(seed, stream, index, k);
  return static_cast<Integer>(static_cast<__int128>(low) + static_cast<__int128>(word * count / words));
}

/// Rejection: block `index`, and then the further blocks, are proposals. `accepted` hears how much room each comparison left, so that a
/// test can leave out the numbers that hang on a rounding.
template <class T>
double truncated_normal(double low, double high, std::uint64_t seed, std::uint64_t stream, std::uint64_t index,
                        double* least_room = nullptr) {
  const bool mirrored = high <= 0 || (low < 0 && -low > high);
  const double left = mirrored ? -high : low;
  const double right = mirrored ? -low : high;
  const double rate = (left + std::sqrt(left * left + 4)) / 2;
  const bool exponential = left >= 0 && (right - left) * rate >= 1.5;
  const bool uniform = left >= 0 ? !exponential : right - left < 2.5;
  for (std::uint64_t k = 0;; ++k) {
    const auto block_word = [&](std::uint64_t i) {
      return k == 0 ? random_word<double>(seed, stream, 2 * index + i) : further_word<double>(seed, stream, 2 * index + i, k);
    };
    const std::uint64_t a = block_word(0);
    const std::uint64_t b = block_word(1);
    const unit_number u{a, 64};
    double x = 0;
    double room = 0;  // above 0: accepted
    if (exponential) {
      const double t = minus_log<double>(u);
      x = left + t / rate;
      room = minus_log<double>({b, 64}) - (x - rate) * (x - rate) / 2;
    } else if (uniform) {
      x = left + (right - left) * u.above_zero<double>();
      const double nearest = left > 0 ? left : 0;
      room = minus_log<double>({b, 64}) - (x * x - nearest * nearest) / 2;
    } else {
      x = normal_radius<double>(a | 1, 64) * normal_direction<double>(b, 64)[0];
      room = x - left;
    }
    const double end = uniform ? room : right - x < room ? right - x : room;
    if (least_room != nullptr) *least_room = k == 0 || std::abs(end) < *least_room ? std::abs(end) : *least_room;
    if (end > 0) return mirrored ? -x : x;
  }
}

}  // namespace tessera::reference
