// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Which rank holds which rows of a sequence. Needs no MPI.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/core/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tile/mask.hpp"

namespace tessera::mpi {

/// Rows that are summed in one chain: attention::part_keys. Pieces are made of whole ones.
inline constexpr std::int64_t shard_rows = 192;

/// A sequence of `length` rows in two pieces a rank: of the 2 R pieces rank r holds number r and number 2 R - 1 - r.
///
/// Under a causal mask a row costs as much as there are rows before it: an early and a late piece together cost the same on every rank. A
/// piece holds a multiple of `shard_rows` rows, the last one the rest; pieces differ by one such chunk at most. A rank's rows stand in its
/// arrays piece after piece. With less than 2 R chunks some pieces are empty.
class zigzag {
 public:
  zigzag(std::int64_t length, int ranks) : length_(length), ranks_(ranks) {
    tessera::detail::expects(length >= 0, "mpi::zigzag", "length", [&] { return std::to_string(length); }, "needs at least 0");
    tessera::detail::expects(ranks >= 1, "mpi::zigzag", "ranks", [&] { return std::to_string(ranks); }, "needs at least 1");
  }

  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int pieces() const { return 2 * ranks_; }

  /// Rows of the sequence that piece t holds.
  [[nodiscard]] key_range piece(int t) const { return {cut(t), cut(t + 1)}; }
  [[nodiscard]] std::int64_t piece_rows(int t) const { return cut(t + 1) - cut(t); }
  [[nodiscard]] int owner(int t) const { return t < ranks_ ? t : pieces() - 1 - t; }
  /// The two pieces of a rank: which is 0 or 1.
  [[nodiscard]] int piece_of(int rank, int which) const { return which == 0 ? rank : pieces() - 1 - rank; }
  /// Rows of a rank.
  [[nodiscard]] std::int64_t rows(int rank) const { return piece_rows(piece_of(rank, 0)) + piece_rows(piece_of(rank, 1)); }
  /// Where piece t begins among the rows of its owner.
  [[nodiscard]] std::int64_t offset(int t) const { return t < ranks_ ? 0 : piece_rows(pieces() - 1 - t); }
  /// The row of the sequence that row i of a rank is.
  [[nodiscard]] std::int64_t row(int rank, std::int64_t i) const {
    const std::int64_t early = piece_rows(piece_of(rank, 0));
    return i < early ? cut(piece_of(rank, 0)) + i : cut(piece_of(rank, 1)) + i - early;
  }
  [[nodiscard]] bool operator==(const zigzag&) const = default;

 private:
  [[nodiscard]] std::int64_t cut(int t) const {
    const std::int64_t chunks = (length_ + shard_rows - 1) / shard_rows;
    const std::int64_t row = chunks * t / pieces() * shard_rows;
    return row < length_ ? row : length_;
  }

  std::int64_t length_;
  int ranks_;
};

/// Shards of queries and keys; the same where a sequence attends to itself.
struct shards {
  zigzag queries;
  zigzag keys;

  shards(const zigzag& both) : queries(both), keys(both) {}  // implicit: self-attention is what calls are made for
  shards(const zigzag& of_queries, const zigzag& of_keys) : queries(of_queries), keys(of_keys) {}
};

}  // namespace tessera::mpi
