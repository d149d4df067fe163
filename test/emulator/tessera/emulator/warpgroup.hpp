// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the four warps of a warpgroup do together (wgmma), and registers whose contents come later.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>

#include "tessera/emulator/block.hpp"
#include "tessera/emulator/meeting.hpp"

namespace tessera::emulator {

/// When all 128 threads of the warpgroup have come, f(const In* in, Out* out) runs once, with 128 elements each. What f reads in shared memory
/// is read by the tensor cores: until the wait for it (wgmma_wait) nobody may write there.
template <class Out, class In, class F>
Out warpgroup_collective(const In& mine, const F& f, code_place place = code_place::current()) {
  static_assert(std::is_trivially_copyable_v<In> && std::is_trivially_copyable_v<Out>);
  detail::block& b = *detail::current;
  detail::thread& me = b.self();
  const unsigned number = me.rank / 128;
  detail::group_meeting& m = b.warpgroups[number];
  if (b.size() < 128 * (number + 1)) b.fail(place, "an instruction of a warpgroup in one that has less than 128 threads");
  if (m.agent < 0) m.agent = static_cast<int>(b.order.new_agent());
  if (m.arrived == 0) {
    m.place = place;
  } else if (!detail::same_place(m.place, place)) {
    b.fail(place, "divergent instruction of a warpgroup: others are at " + fault::text(m.place));
  }
  Out result;
  me.in = &mine;
  me.out = &result;
  if (++m.arrived < 128) {
    m.waiting[me.rank / 32 % 4] |= 1u << (me.rank % 32);
    b.wait("an instruction of the warpgroup", place);
    return result;
  }
  const auto in = std::make_unique_for_overwrite<In[]>(128);
  const auto out = std::make_unique_for_overwrite<Out[]>(128);
  for (unsigned i = 0; i < 128; ++i) std::memcpy(static_cast<void*>(&in[i]), b.at(128 * number + i).in, sizeof(In));
  b.agent = m.agent;
  b.agent_moment = b.order.moment();
  struct at_end {
    detail::block& b;
    ~at_end() { b.agent = -1; }
  };
  {
    const at_end own_again{b};
    f(static_cast<const In*>(in.get()), out.get());
  }
  for (unsigned i = 0; i < 128; ++i) {
    detail::thread& t = b.at(128 * number + i);
    std::memcpy(t.out, static_cast<const void*>(&out[i]), sizeof(Out));
    t.newest_product = b.agent_moment;
  }
  m.arrived = 0;
  for (unsigned w = 0; w < 4; ++w) b.release(4 * number + w, std::exchange(m.waiting[w], 0u));
  b.shuffle();
  return result;
}

/// Registers that a product is going to write: their bytes are put away, and poison is there until the wait.
inline void hide_until_wait(void* registers, std::size_t bytes, code_place = code_place::current()) {
  detail::thread& me = detail::current->self();
  const auto* const p = static_cast<const std::byte*>(registers);
  me.hidden.push_back({registers, std::vector<std::byte>(p, p + bytes), me.committed_products + 1});
  std::memset(registers, 0xFF, bytes);
}
/// Puts them back for the next product that adds to the same registers.
inline void reveal(void* registers, code_place = code_place::current()) {
  detail::thread& me = detail::current->self();
  for (auto h = me.hidden.begin(); h != me.hidden.end(); ++h) {
    if (h->at != registers) continue;
    std::memcpy(registers, h->bytes.data(), h->bytes.size());
    me.hidden.erase(h);
    return;
  }
}

/// wgmma.commit_group.
inline void wgmma_commit(code_place = code_place::current()) {
  detail::thread& me = detail::current->self();
  ++me.committed_products;
  me.product_groups.push_back(me.newest_product);
}
/// wgmma.wait_group: all but the newest groups are done.
inline void wgmma_wait(int pending, code_place = code_place::current()) {
  detail::block& b = *detail::current;
  detail::thread& me = b.self();
  const auto stay = static_cast<std::size_t>(pending);
  if (me.product_groups.size() <= stay) return;
  const std::size_t done = me.product_groups.size() - stay;
  const int agent = b.warpgroups[me.rank / 128].agent;
  if (agent >= 0) b.order.see(me.rank, static_cast<unsigned>(agent), me.product_groups[done - 1]);
  me.product_groups.erase(me.product_groups.begin(), me.product_groups.begin() + static_cast<std::ptrdiff_t>(done));
  const unsigned newest = me.committed_products - static_cast<unsigned>(stay);
  std::erase_if(me.hidden, [newest](const detail::hidden_registers& h) {
    if (h.group > newest) return false;
    std::memcpy(h.at, h.bytes.data(), h.bytes.size());
    return true;
  });
}

/// elect.sync: true for one lane of the warp, always the same.
inline bool elect_one(code_place place = code_place::current()) {
  return detail::meet<int>(
             0xFFFFFFFFu, "elect_one", detail::from::one_line, 0,
             [](const int*, int* out, std::uint32_t present) {
               for (std::uint32_t m = present; m != 0; m &= m - 1) out[std::countr_zero(m)] = m == present ? 1 : 0;
             },
             place) != 0;
}

}  // namespace tessera::emulator
