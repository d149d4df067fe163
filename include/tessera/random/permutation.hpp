// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Random orders: a permutation whose elements are computed alone, and a shuffle in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/random/detail/fill.hpp"
#include "tessera/random/detail/parameters.hpp"
#include "tessera/random/philox.hpp"
#include "tessera/random/streams.hpp"
#include "tessera/random/uniform_int.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::random {

/// A permutation of 0 … n - 1 that is computed element by element, forwards and backwards, in no memory.
///
/// A Feistel network of twelve rounds over the smallest 4^h >= n (h from 3 on), each round with a 64-bit key of its own from
/// {seed, stream}.child(n), and, for one key in two, an exchange of 0 and 1, since such networks are even permutations only; values from
/// n on are sent through again until one is below n (cycle walking).
/// Range          n in [1, 2^63]; i and v in [0, n). Another n is another permutation, not part of this one
/// Accuracy       a bijection, exactly. Which one: 2^128 addresses choose, far fewer than n! from n = 35 on; for n up to 5 all n! are
///                equally likely as far as chi-square over 100,000 streams sees, and so are images and pairs of images for larger n
///                (test/random/permutation.cpp), parity included. Not for secrets. shuffle takes independent integers, for whoever wants
///                a proof instead of a test
/// Cost           12 rounds of two multiplications, 4^h / n times on average: less than 4 from n = 17 on, 64 / n below
/// Determinism    integers: the same everywhere
/// Errors         argument_error of the constructor on the host: n = 0 or above 2^63. In device code such an n is taken as 1
/// Backends       host, device, constant expressions
/// Source         Luby, Rackoff, SIAM J. Computing 17 (1988); Black, Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002
class permutation {
 public:
  TESSERA_HD constexpr TESSERA_ALWAYS_INLINE permutation(std::uint64_t n, std::uint64_t seed, std::uint64_t stream) : n_(n) {
    if (n == 0 || n > std::uint64_t{1} << 63) {
#if !TESSERA_DEVICE_PASS
      detail::refuse("random::permutation", "n", static_cast<double>(n), "needs 1 to 2^63 elements");
#endif
      n_ = 1;
    }
    while (half_ < 32 && (n_ - 1) >> (2 * half_) != 0) ++half_;
    const stream_key key = stream_key{seed, stream}.child(n_);
    for (int r = 0; r < rounds; r += 2) {
      const philox_block bits = philox(key.seed, key.stream, static_cast<std::uint64_t>(r / 2));
      key_[r] = bits.pair(0);
      key_[r + 1] = bits.pair(1);
    }
    exchange_ = philox(key.seed, key.stream, rounds / 2).pair(0) & 1u;
  }

  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t size() const noexcept { return n_; }

  /// Element i.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t operator()(std::uint64_t i) const noexcept {
    do {
      std::uint64_t left = i >> half_;
      std::uint64_t right = i & mask();
      for (int r = 0; r < rounds; ++r) {
        const std::uint64_t next = left ^ mixed(right, key_[r]);
        left = right;
        right = next;
      }
      i = exchanged(left << half_ | right);
    } while (i >= n_);
    return i;
  }

  /// The i whose element is v.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t inverse(std::uint64_t v) const noexcept {
    do {
      v = exchanged(v);
      std::uint64_t left = v >> half_;
      std::uint64_t right = v & mask();
      for (int r = rounds; r-- > 0;) {
        const std::uint64_t before = right ^ mixed(left, key_[r]);
        right = left;
        left = before;
      }
      v = left << half_ | right;
    } while (v >= n_);
    return v;
  }

 private:
  static constexpr int rounds = 12;

  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t mask() const noexcept {
    return (std::uint64_t{1} << half_) - 1;
  }
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t exchanged(std::uint64_t x) const noexcept {
    return x < 2 ? x ^ exchange_ : x;
  }
  /// A hash of the half word to as many bits: multiply, fold, multiply, the top bits.
  [[nodiscard]] TESSERA_HD constexpr TESSERA_ALWAYS_INLINE std::uint64_t mixed(std::uint64_t x,
                                                                               std::uint64_t key) const noexcept {
    std::uint64_t h = (x ^ key) * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 32)) * 0xD2511F53CD9E8D57u;
    return h >> (64 - half_);
  }

  std::uint64_t n_;
  int half_ = 3;
  std::uint64_t key_[rounds] = {};
  std::uint64_t exchange_ = 0;
};

namespace detail {

template <class Executor, class T, std::size_t Rank>
void check_order(const view<T, Rank>& out, std::uint64_t n, const char* function) {
  static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>, "random: an order is of integers");
  check_fill<Executor>(out, function);
  tessera::detail::expects(
      n - 1 <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()), function, "out",
      [&] { return "an element type too small for " + std::to_string(n) + " elements"; }, "needs a wider integer");
}

}  // namespace detail

/// Fills a view with elements of a permutation: out[i] = order(first + i), i the row-major position.
///
/// Range          first + out.size() at most order.size()
/// Determinism    the same for any executor, number of threads, strides, and split of a range over calls
/// Errors         argument_error: elements beyond the last, values that out's type does not hold, and what fill_uniform refuses
/// Backends       host
template <class Executor, mdspan_like Out>
void fill_permutation(const Executor& exec, const Out& out, const permutation& order, std::uint64_t first = 0) {
  using T = typename Out::element_type;
  const view<T, Out::rank()> to(out);
  detail::check_order<Executor>(to, order.size(), "random::fill_permutation");
  const auto count = static_cast<std::uint64_t>(to.size());
  tessera::detail::expects(
      first <= order.size() && count <= order.size() - first, "random::fill_permutation", "out",
      [&] { return std::to_string(count) + " elements from " + std::to_string(first) + " on"; },
      "needs at most the order's size");
  constexpr std::int64_t share = 256;
  const std::int64_t size = to.size();
  exec.for_each((size + share - 1) / share, [&](int, std::int64_t item) {
    T values[share];
    const std::int64_t begin = item * share;
    const std::int64_t length = size - begin < share ? size - begin : share;
    for (std::int64_t i = 0; i < length; ++i) values[i] = static_cast<T>(order(first + static_cast<std::uint64_t>(begin + i)));
    detail::scatter(to, begin, static_cast<const T*>(values), length);
  });
}

/// Shuffles elements in place: Fisher and Yates' algorithm, every order equally likely given independent uniform integers.
///
/// For i = n - 1 … 1, swaps elements i and uniform_int<std::uint64_t>(0, i, seed, stream, i).
/// Shapes         data: [n], any stride but 0; elements that can be swapped
/// Accuracy       the integers are unbiased; 2^128 addresses reach as many orders at most, of n! (from n = 35 on not all)
/// Cost           a 64-bit word, a multiplication and a swap an element, on the calling thread: steps depend on each other
/// Determinism    the same everywhere
/// Errors         argument_error: what fill_uniform refuses
/// Backends       host
/// Source         Durstenfeld, "Algorithm 235: random permutation", CACM 7 (1964)
template <class Executor, mdspan_like Data>
void shuffle(const Executor&, const Data& data, std::uint64_t seed, std::uint64_t stream) {
  static_assert(Data::rank() == 1, "random: a row is shuffled");
  using T = typename Data::element_type;
  const view<T, 1> x(data);
  detail::check_fill<Executor>(x, "random::shuffle");
  if (x.size() < 2) return;
  constexpr std::uint64_t group = 2 * detail::group_blocks;
  const detail::block_source<Executor> source(seed, stream);
  alignas(64) std::uint64_t word[group];
  std::uint64_t made = 1;  // no multiple of the group
  for (auto i = static_cast<std::uint64_t>(x.size() - 1); i > 0; --i) {
    const std::uint64_t begin = i - i % group;
    if (begin != made) {
      source.words_of(begin / 2, word);
      made = begin;
    }
    // Only where the lower half is below the count may the word be one too many.
    const auto p = detail::whole_product(word[i - begin], i + 1);
    const std::uint64_t j = p.low > i ? p.high : uniform_int<std::uint64_t>(0, i, seed, stream, i);
    T& here = x(static_cast<std::int64_t>(i));
    T& there = x(static_cast<std::int64_t>(j));
    T kept = static_cast<T&&>(here);
    here = static_cast<T&&>(there);
    there = static_cast<T&&>(kept);
  }
}

}  // namespace tessera::random
