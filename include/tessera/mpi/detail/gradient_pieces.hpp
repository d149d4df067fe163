// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Gradients of pieces of keys on their way to the ranks that own them, which add them up in a fixed order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tessera/core/scratch.hpp"
#include "tessera/mpi/communicator.hpp"
#include "tessera/mpi/detail/key_pieces.hpp"
#include "tessera/mpi/shards.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::mpi::detail {

/// What this rank adds to the gradients of keys and values, and what others add to those of its own two pieces.
///
/// A piece's sum begins with its owner's part; those of the other ranks follow in rising order, one message at a time. Ranks give their
/// parts in rising order of pieces, and see to messages wherever they wait, so the part that everybody waits for can always be given.
template <class P>
class gradient_pieces {
 public:
  using T = typename P::value_type;

  /// Extents of k and v. Memory: two pieces of its own and as many that arrive, two on their way, one besides.
  gradient_pieces(tessera::detail::bump& memory, const communicator& ranks, const zigzag& plan, std::int64_t batch,
                  std::int64_t kv_heads, std::int64_t head_dim, std::int64_t value_dim)
      : ranks_(ranks), plan_(plan), batch_(batch), kv_heads_(kv_heads), head_dim_(head_dim), value_dim_(value_dim) {
    std::int64_t largest = 0;
    for (int t = 0; t < plan.pieces(); ++t) largest = std::max(largest, size(t));
    for (int which = 0; which < 2; ++which) {
      own_[which].piece = plan.piece_of(ranks.rank(), which);
      own_[which].sum = memory.take<T>(size(own_[which].piece));
      own_[which].arriving = memory.take<T>(ranks.size() == 1 ? 0 : size(own_[which].piece));
      leaving_[which].data = memory.take<T>(ranks.size() == 1 ? 0 : largest);
    }
    second_ = memory.take<T>(largest);
  }

  /// wants[rank * pieces + t]: who adds to what.
  void start(const char* function, const std::vector<char>& wants, const message_type& type) {
    function_ = function;
    wants_ = &wants;
    type_ = &type;
    for (sum_of_piece& own : own_) {
      if (adds(ranks_.rank(), own.piece)) continue;
      if (size(own.piece) > 0) std::memset(own.sum, 0, static_cast<std::size_t>(size(own.piece)) * sizeof(T));
      own.begun = true;
    }
  }

  /// Where this rank's part of piece t goes; `second` for what is added to it by add_second.
  T* room(int t) {
    if (plan_.owner(t) == ranks_.rank()) return of(t).sum;
    const int n = leaving_[0].message.done(function_) ? 0 : 1;
    while (!leaving_[n].message.done(function_)) progress();
    last_ = n;
    return leaving_[n].data;
  }
  [[nodiscard]] T* second() const { return second_; }
  void add_second(int t, T* to) const { add(to, second_, size(t)); }
  [[nodiscard]] view<T, 4> keys(T* at, int t) const { return view<T, 4>(at, batch_, kv_heads_, plan_.piece_rows(t), head_dim_); }
  [[nodiscard]] view<T, 4> values(T* at, int t) const {
    return view<T, 4>(at + key_size(t), batch_, kv_heads_, plan_.piece_rows(t), value_dim_);
  }

  /// The part of piece t in room(t) is whole.
  void give(int t) {
    const int to = plan_.owner(t);
    if (to == ranks_.rank()) {
      of(t).begun = true;
    } else {
      leaving_[last_].message.send(function_, leaving_[last_].data, size(t) * static_cast<std::int64_t>(sizeof(T)), *type_, to,
                                   plan_.pieces() + t, ranks_.handle());
    }
    progress();
  }

  /// Adds what has arrived in its turn, and asks for the next.
  void progress() {
    for (sum_of_piece& own : own_) {
      while (own.begun && own.from < ranks_.size()) {
        if (!own.asked) {
          while (own.from < ranks_.size() && (own.from == ranks_.rank() || !adds(own.from, own.piece))) ++own.from;
          if (own.from == ranks_.size()) break;
          own.message.receive(function_, own.arriving, size(own.piece) * static_cast<std::int64_t>(sizeof(T)), *type_, own.from,
                              plan_.pieces() + own.piece, ranks_.handle());
          own.asked = true;
        }
        if (!own.message.done(function_)) break;
        add(own.sum, own.arriving, size(own.piece));
        own.asked = false;
        ++own.from;
      }
    }
    for (auto& l : leaving_) l.message.done(function_);
  }

  /// Until both pieces have all their parts, and all of ours have been given.
  void finish() {
    while (own_[0].from < ranks_.size() || own_[1].from < ranks_.size()) progress();
    for (auto& l : leaving_) l.message.wait(function_);
  }
  /// The sum of own piece number 0 or 1.
  [[nodiscard]] T* sum(int which) const { return own_[which].sum; }

 private:
  struct sum_of_piece {
    int piece = 0;
    T* sum = nullptr;
    T* arriving = nullptr;
    bool begun = false;  ///< our part is there
    bool asked = false;  ///< a message from rank `from` is awaited
    int from = 0;
    transfer message;
  };
  struct part_on_its_way {
    T* data = nullptr;
    transfer message;
  };

  [[nodiscard]] bool adds(int rank, int t) const { return (*wants_)[static_cast<std::size_t>(rank * plan_.pieces() + t)] != 0; }
  sum_of_piece& of(int t) { return own_[own_[0].piece == t ? 0 : 1]; }
  static std::int64_t whole(std::int64_t n) {
    return whole_units(n * static_cast<std::int64_t>(sizeof(T))) / static_cast<std::int64_t>(sizeof(T));
  }
  [[nodiscard]] std::int64_t key_size(int t) const { return whole(batch_ * kv_heads_ * plan_.piece_rows(t) * head_dim_); }
  [[nodiscard]] std::int64_t size(int t) const {
    return key_size(t) + whole(batch_ * kv_heads_ * plan_.piece_rows(t) * value_dim_);
  }
  static void add(T* to, const T* from, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += P::lanes) (P::load(to + i) + P::load(from + i)).store(to + i);
  }

  const communicator& ranks_;
  const zigzag& plan_;
  std::int64_t batch_;
  std::int64_t kv_heads_;
  std::int64_t head_dim_;
  std::int64_t value_dim_;
  const char* function_ = nullptr;
  const std::vector<char>* wants_ = nullptr;
  const message_type* type_ = nullptr;
  sum_of_piece own_[2];
  part_on_its_way leaving_[2];
  T* second_ = nullptr;
  int last_ = 0;
};

}  // namespace tessera::mpi::detail
