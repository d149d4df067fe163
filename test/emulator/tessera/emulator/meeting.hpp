// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the lanes of a warp do together: the last lane that comes computes for all.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/report.hpp"

namespace tessera::emulator {
namespace detail {

/// True for what may be called from different lines at once; the others are one instruction.
enum class from { one_line, any_line };

[[noreturn]] inline void diverge(block& b, const meeting& m, const code_place& place, const char* what) {
  b.fail(place, std::string("divergent ") + what + ": lanes " + ranges(m.arrived) + " of this warp wait at " + m.what + " " +
                    fault::text(m.place) + " for lanes " + ranges(m.mask & b.warp_of(b.self()).live) + ", this one among them");
}

inline bool same_place(const code_place& a, const code_place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

/// The meeting that this lane comes to, new or begun.
inline meeting& join_meeting(block& b, warp& w, std::uint32_t mask, const char* what, from lines, const code_place& place) {
  const std::uint32_t me = 1u << (b.self().rank % 32);
  if ((mask & me) == 0) b.fail(place, std::string(what) + ": this lane is not in its own mask");
  for (meeting& m : w.meetings) {
    if (m.mask == mask) {
      if (m.what != what || (lines == from::one_line && !same_place(m.place, place))) diverge(b, m, place, what);
      return m;
    }
    // Lanes that wait for this one, while this one waits for them somewhere else.
    if ((m.mask & me) != 0 && (m.arrived & mask) != 0) diverge(b, m, place, what);
  }
  meeting& m = w.meetings.emplace_back();
  m.mask = mask;
  m.what = what;
  m.place = place;
  return m;
}

/// f(const In* in, Out* out[, present]) runs once when all live lanes of the mask have come; each gets its element of out.
template <class Out, class In, class F>
Out meet(std::uint32_t mask, const char* what, from lines, const In& mine, const F& f, const code_place& place) {
  static_assert(std::is_trivially_copyable_v<In> && std::is_trivially_copyable_v<Out>);
  block& b = *current;
  thread& me = b.self();
  warp& w = b.warp_of(me);
  meeting& m = join_meeting(b, w, mask, what, lines, place);
  Out result;
  me.in = &mine;
  me.out = &result;
  m.arrived |= 1u << (me.rank % 32);
  m.function = &f;
  m.complete = [](block& of, unsigned warp_number, const meeting& done) {
    alignas(In) std::byte in_bytes[32 * sizeof(In)];
    alignas(Out) std::byte out_bytes[32 * sizeof(Out)];
    if (done.arrived != 0xFFFFFFFFu) std::memset(in_bytes, 0, sizeof in_bytes);
    if constexpr (sizeof(Out) == 1) std::memset(out_bytes, 0, sizeof out_bytes);  // what says nothing is not written
    for (std::uint32_t rest = done.arrived; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<unsigned>(std::countr_zero(rest));
      std::memcpy(in_bytes + lane * sizeof(In), of.at(warp_number * 32 + lane).in, sizeof(In));
    }
    const F& function = *static_cast<const F*>(done.function);
    const In* const in = reinterpret_cast<const In*>(in_bytes);
    Out* const out = reinterpret_cast<Out*>(out_bytes);
    if constexpr (std::is_invocable_v<const F&, const In*, Out*, std::uint32_t>) {
      function(in, out, done.arrived);
    } else {
      function(in, out);
    }
    for (std::uint32_t rest = done.arrived; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<unsigned>(std::countr_zero(rest));
      std::memcpy(of.at(warp_number * 32 + lane).out, out_bytes + lane * sizeof(Out), sizeof(Out));
    }
  };
  if (m.arrived == (mask & w.live)) {
    const meeting done = m;
    w.meetings.erase(w.meetings.begin() + (&m - w.meetings.data()));
    const unsigned number = me.rank / 32;
    done.complete(b, number, done);
    b.release(number, done.arrived);
    b.shuffle();
  } else {
    b.wait(what, place);
  }
  return result;
}

}  // namespace detail

/// What the whole warp does as one instruction (a product of fragments, a load of matrices): when all its live lanes have come,
/// f(const In* in, Out* out) runs once, with 32 elements each; every lane gets its own of out. Orders no memory, as on a device.
template <class Out, class In, class F>
Out collective(const In& mine, const F& f, code_place place = code_place::current()) {
  return detail::meet<Out>(0xFFFFFFFFu, "an instruction of the whole warp", detail::from::one_line, mine, f, place);
}

}  // namespace tessera::emulator
