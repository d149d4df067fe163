// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Pieces of keys and values on their way to the ranks that want them: each rank takes them in rising order, two of them ahead.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tessera/attention/mask.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/mpi/communicator.hpp"
#include "tessera/mpi/shards.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/view.hpp"

namespace tessera::mpi::detail {

/// Rows [first, first + count) of every head.
template <class T>
view<T, 4> rows_of(const view<T, 4>& x, std::int64_t first, std::int64_t count) {
  return {count > 0 ? x.data_handle() + first * x.stride(2) : x.data_handle(),
          {x.extent(0), x.extent(1), count, x.extent(3)},
          {x.stride(0), x.stride(1), x.stride(2), x.stride(3)}};
}
template <class T>
view<T, 3> rows_of(const view<T, 3>& x, std::int64_t first, std::int64_t count) {
  return {count > 0 ? x.data_handle() + first * x.stride(2) : x.data_handle(),
          {x.extent(0), x.extent(1), count},
          {x.stride(0), x.stride(1), x.stride(2)}};
}

/// Messages are counted in units of so many bytes: the int that counts them reaches 128 GiB.
inline constexpr std::size_t message_unit = tessera::detail::bump::alignment;

inline constexpr std::int64_t whole_units(std::int64_t bytes) {
  constexpr auto unit = static_cast<std::int64_t>(message_unit);
  return (bytes + unit - 1) / unit * unit;
}

class message_type {
 public:
  explicit message_type(const char* function) {
    check(function, "MPI_Type_contiguous", MPI_Type_contiguous(static_cast<int>(message_unit), MPI_BYTE, &type_));
    check(function, "MPI_Type_commit", MPI_Type_commit(&type_));
  }
  message_type(const message_type&) = delete;
  message_type& operator=(const message_type&) = delete;
  ~message_type() { MPI_Type_free(&type_); }

  [[nodiscard]] MPI_Datatype handle() const { return type_; }
  [[nodiscard]] static int units(std::int64_t bytes) {
    return static_cast<int>(whole_units(bytes) / static_cast<std::int64_t>(message_unit));
  }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

/// One message that may be under way. Whoever is interrupted by an error does not wait for it.
class transfer {
 public:
  transfer() = default;
  transfer(const transfer&) = delete;
  transfer& operator=(const transfer&) = delete;
  ~transfer() {
    if (request_ == MPI_REQUEST_NULL) return;
    MPI_Cancel(&request_);
    MPI_Request_free(&request_);
  }

  void send(const char* function, const void* data, std::int64_t bytes, const message_type& type, int to, int tag,
            MPI_Comm comm) {
    check(function, "MPI_Isend", MPI_Isend(data, message_type::units(bytes), type.handle(), to, tag, comm, &request_));
  }
  void receive(const char* function, void* data, std::int64_t bytes, const message_type& type, int from, int tag, MPI_Comm comm) {
    check(function, "MPI_Irecv", MPI_Irecv(data, message_type::units(bytes), type.handle(), from, tag, comm, &request_));
  }
  /// Whether it has arrived, or nothing is under way.
  bool done(const char* function) {
    int flag = 1;
    if (request_ != MPI_REQUEST_NULL) check(function, "MPI_Test", MPI_Test(&request_, &flag, MPI_STATUS_IGNORE));
    return flag != 0;
  }
  void wait(const char* function) {
    if (request_ != MPI_REQUEST_NULL) check(function, "MPI_Wait", MPI_Wait(&request_, MPI_STATUS_IGNORE));
  }

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;
};

/// What rank `rank` sees of each piece of keys with each of its two pieces of queries: sees[which * pieces + t].
template <class Mask>
std::vector<char> visible_pieces(const Mask& mask, std::int64_t batch, std::int64_t heads, const shards& s, int rank) {
  const int pieces = s.keys.pieces();
  std::vector<char> sees(static_cast<std::size_t>(2 * pieces));
  for (int which = 0; which < 2; ++which) {
    const key_range rows = s.queries.piece(s.queries.piece_of(rank, which));
    for (int t = 0; t < pieces && rows.first < rows.last; ++t) {
      const key_range keys = s.keys.piece(t);
      bool seen = false;
      for (std::int64_t item = 0; item < batch * heads && keys.first < keys.last && !seen; ++item) {
        const auto head = attention::detail::head_of(mask, item / heads, item % heads, s.queries.length(), s.keys.length());
        const key_range range = head.keys(rows.first, rows.last, s.keys.length());
        seen = range.first < keys.last && keys.first < range.last &&
               head.classify(rows.first, rows.last, keys.first, keys.last) != tile_class::none;
      }
      sees[static_cast<std::size_t>(which * pieces + t)] = seen ? 1 : 0;
    }
  }
  return sees;
}

/// The pieces of keys and values that this rank wants, one after another, while it sends its own to whoever wants them.
template <class K, class V>
class key_pieces {
 public:
  /// wants[rank * pieces + t]: who wants what. Memory: the rank's own pieces to be sent, and two pieces that arrive.
  key_pieces(tessera::detail::bump& memory, const communicator& ranks, const zigzag& plan, const view<const K, 4>& k,
             const view<const V, 4>& v)
      : ranks_(ranks), plan_(plan), k_(k), v_(v) {
    std::int64_t largest = 0;
    for (int t = 0; t < plan.pieces(); ++t) largest = std::max(largest, bytes(t));
    const bool alone = ranks.size() == 1;
    for (int which = 0; which < 2; ++which) {
      sent_[which] = memory.take<std::byte>(alone ? 0 : bytes(plan.piece_of(ranks.rank(), which)));
      arriving_[which].data = memory.take<std::byte>(alone ? 0 : largest);
    }
  }

  /// Sends what is wanted of ours, and asks for the first pieces of others.
  void start(const char* function, const std::vector<char>& wants, const message_type& type) {
    function_ = function;
    wants_ = &wants;
    type_ = &type;
    sends_ = std::vector<transfer>(static_cast<std::size_t>(2 * ranks_.size()));
    for (int which = 0; which < 2; ++which) {
      const int t = plan_.piece_of(ranks_.rank(), which);
      bool copied = false;
      // Whoever comes next first, so that not all ranks begin with the same one.
      for (int step = 1; step < ranks_.size(); ++step) {
        const int to = (ranks_.rank() + step) % ranks_.size();
        if (!wanted(to, t)) continue;
        if (!copied) copy(t, sent_[which]);
        copied = true;
        sends_[static_cast<std::size_t>(which * ranks_.size() + step)].send(function_, sent_[which], bytes(t), type, to, t,
                                                                            ranks_.handle());
      }
    }
    ask();
  }

  /// f(t, keys, values) for each piece that this rank wants, in rising order; the next ones are under way meanwhile. f may call progress.
  template <class F>
  void for_each(const F& f) {
    for (int t = 0; t < plan_.pieces(); ++t) {
      if (!wanted(ranks_.rank(), t)) continue;
      if (plan_.owner(t) == ranks_.rank()) {
        f(t, rows_of(k_, plan_.offset(t), plan_.piece_rows(t)), rows_of(v_, plan_.offset(t), plan_.piece_rows(t)));
        continue;
      }
      buffer& arrived = arriving_[arriving_[0].piece == t ? 0 : 1];
      arrived.message.wait(function_);
      const std::int64_t n = plan_.piece_rows(t);
      const auto* const keys = reinterpret_cast<const K*>(arrived.data);
      const auto* const values = reinterpret_cast<const V*>(arrived.data + key_bytes(t));
      f(t, view<const K, 4>(keys, k_.extent(0), k_.extent(1), n, k_.extent(3)),
        view<const V, 4>(values, v_.extent(0), v_.extent(1), n, v_.extent(3)));
      arrived.piece = none;
      ask();
    }
  }

  /// Lets MPI see to what is under way: most only move while they are called.
  void progress() {
    for (buffer& b : arriving_) b.message.done(function_);
    for (transfer& s : sends_) s.done(function_);
  }
  /// Until nobody reads our memory any more.
  void finish() {
    for (transfer& s : sends_) s.wait(function_);
  }

 private:
  static constexpr int none = -1;
  struct buffer {
    std::byte* data = nullptr;
    int piece = none;
    transfer message;
  };

  [[nodiscard]] bool wanted(int rank, int t) const { return (*wants_)[static_cast<std::size_t>(rank * plan_.pieces() + t)] != 0; }
  [[nodiscard]] std::int64_t key_bytes(int t) const {
    return whole_units(k_.extent(0) * k_.extent(1) * plan_.piece_rows(t) * k_.extent(3) * static_cast<std::int64_t>(sizeof(K)));
  }
  [[nodiscard]] std::int64_t bytes(int t) const {
    return key_bytes(t) +
           whole_units(v_.extent(0) * v_.extent(1) * plan_.piece_rows(t) * v_.extent(3) * static_cast<std::int64_t>(sizeof(V)));
  }

  /// Asks for the next pieces while there is room for them.
  void ask() {
    for (buffer& b : arriving_) {
      if (b.piece != none) continue;
      while (next_ < plan_.pieces() && (plan_.owner(next_) == ranks_.rank() || !wanted(ranks_.rank(), next_))) ++next_;
      if (next_ == plan_.pieces()) return;
      b.piece = next_++;
      b.message.receive(function_, b.data, bytes(b.piece), *type_, plan_.owner(b.piece), b.piece, ranks_.handle());
    }
  }

  void copy(int t, std::byte* to) const {
    const auto pack = [&](const auto& x, std::byte* at) {
      const auto size = static_cast<std::size_t>(x.extent(3)) * sizeof(*x.data_handle());
      for (std::int64_t b = 0; b < x.extent(0); ++b) {
        for (std::int64_t h = 0; h < x.extent(1); ++h) {
          for (std::int64_t i = 0; i < x.extent(2); ++i, at += size) {
            if (size > 0) std::memcpy(at, x.data_handle() + b * x.stride(0) + h * x.stride(1) + i * x.stride(2), size);
          }
        }
      }
    };
    pack(rows_of(k_, plan_.offset(t), plan_.piece_rows(t)), to);
    pack(rows_of(v_, plan_.offset(t), plan_.piece_rows(t)), to + key_bytes(t));
  }

  const communicator& ranks_;
  const zigzag& plan_;
  view<const K, 4> k_;
  view<const V, 4> v_;
  const char* function_ = nullptr;
  const std::vector<char>* wants_ = nullptr;
  const message_type* type_ = nullptr;
  std::byte* sent_[2] = {};
  buffer arriving_[2];
  std::vector<transfer> sends_;
  int next_ = 0;
};

}  // namespace tessera::mpi::detail
