// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A tree of streams: sub-sequences named by integers and texts, each with a (seed, stream) of its own.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "tessera/core/config.hpp"
#include "tessera/random/philox.hpp"

namespace tessera::random {
namespace detail {

// What is mixed into the key, so that children are neither random words of the parent nor children of the other kind. Any two
// constants that people do not choose as seeds would do; these are the fractions of the square roots of 3 and 7.
inline constexpr std::uint64_t number_domain = 0xBB67AE8584CAA73Bu;
inline constexpr std::uint64_t text_domain = 0xA54FF53A5F1D36F1u;

}  // namespace detail

/// A node of the tree of streams: the (seed, stream) that every function of this room takes, and the way to its children.
///
/// `constexpr stream_key root{seed};`, `root.child(3).child("dropout")`, `fill_normal(exec, out, key.seed, key.stream)`.
///
/// A child is Philox of (parent's stream, label) under the parent's seed mixed with a constant that no other use of Philox has.
/// Numbers and texts are different labels: child(7) is not child("7").
/// Collisions     children of nodes of one seed by number never collide, whatever their streams and labels: Philox is a bijection of
///                (stream, label) for a given seed, so the children of a node, and of a root's nodes, are as many as their labels. Any other two
///                nodes agree in all 128 bits with probability 2^-128: among n nodes once in 2^129 / n^2 trees (n = 2^40: 2^-49)
/// Cost           one Philox block a label; for a text of n characters 1 + ceil(n / 8)
/// Determinism    integers: the same everywhere, in constant expressions too
/// Backends       host, device, constant expressions
/// Source         splitting by a block cipher: Claessen, Palka, "Splittable pseudorandom number generators using cryptographic
///                hashing", Haskell 2013
struct stream_key {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;

  /// The child with a number: any integer; negative ones are taken modulo 2^64.
  template <std::integral Label>
  [[nodiscard]] TESSERA_HD constexpr stream_key child(Label label) const noexcept {
    return step(static_cast<std::uint64_t>(label), detail::number_domain);
  }

  /// The child with a name: a string literal.
  template <std::size_t Size>
  [[nodiscard]] TESSERA_HD constexpr stream_key child(const char (&name)[Size]) const noexcept {
    return child(name, Size - 1);
  }

  /// The child whose name is `length` characters, which may be any bytes.
  [[nodiscard]] TESSERA_HD constexpr stream_key child(const char* name, std::size_t length) const noexcept {
    stream_key key = step(length, detail::text_domain);
    for (std::size_t at = 0; at < length; at += 8) {
      std::uint64_t word = 0;
      for (std::size_t i = 0; i < 8 && at + i < length; ++i) {
        word |= static_cast<std::uint64_t>(static_cast<unsigned char>(name[at + i])) << (8 * i);
      }
      key = key.step(word, detail::text_domain);
    }
    return key;
  }

  friend TESSERA_HD constexpr bool operator==(const stream_key& a, const stream_key& b) noexcept {
    return a.seed == b.seed && a.stream == b.stream;
  }

 private:
  [[nodiscard]] TESSERA_HD constexpr stream_key step(std::uint64_t label, std::uint64_t domain) const noexcept {
    const philox_block bits = philox(seed ^ domain, stream, label);
    return {bits.pair(0), bits.pair(1)};
  }
};

}  // namespace tessera::random
