// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Random programs of accesses and barriers: the emulator's answer, race or none and which access it is, against plain vector clocks that keep
// every access ever made.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <optional>

#include "support.hpp"

namespace {

constexpr int threads = 96;
constexpr int bytes = 8;
constexpr int warps = threads / 32;
constexpr int mbarriers = 8;

enum class act { access, syncthreads, syncwarp, named, arrive, wait };

/// One thing that happens. Accesses happen in the order of the program's list; whoever takes part in a barrier comes to it in that order too.
struct step {
  act what;
  int thread = 0;  // of an access, an arrival, a wait
  int place = 0;   // byte; warp; number of a barrier
  int size = 0;    // of an access
  bool write = false;
  unsigned mask = 0;  // lanes of __syncwarp; warps of a numbered barrier
  int turn = 0;       // number of the access
};
using program = std::vector<step>;

bool takes_part(const step& s, int t) {
  switch (s.what) {
    case act::syncthreads:
      return true;
    case act::syncwarp:
      return t / 32 == s.place && (s.mask >> (t % 32) & 1u) != 0;
    case act::named:
      return (s.mask >> (t / 32) & 1u) != 0;
    default:
      return t == s.thread;
  }
}

program random_program(emulator::dice& random, int length) {
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  program p;
  std::vector<int> arrived;
  int next_barrier = 0;
  int next_named = 1;
  int turn = 0;
  for (int i = 0; i < length; ++i) {
    step s{};
    // A few threads of each warp, so that they meet often.
    s.thread = 32 * below(warps) + below(3);
    const int kind = below(20);
    if (kind < 12) {
      s.what = act::access;
      s.size = 1 << below(3);
      s.place = below(bytes / s.size) * s.size;
      s.write = below(4) == 0;
      s.turn = turn++;
    } else if (kind < 13) {
      s.what = act::syncthreads;
    } else if (kind < 16) {
      s.what = act::syncwarp;
      s.place = below(warps);
      s.mask = below(2) == 0 ? 0xFFFFFFFFu : static_cast<unsigned>(1 + below(7));  // all, or some of the first three
    } else if (kind < 17 && next_named < 16) {
      s.what = act::named;
      s.place = next_named++;  // one that nobody runs ahead to
      s.mask = std::array{3u, 5u, 6u, 7u}[static_cast<std::size_t>(below(4))];
    } else if (kind < 18 && next_barrier < mbarriers) {
      s.what = act::arrive;
      s.place = next_barrier++;
      arrived.push_back(s.place);
    } else if (!arrived.empty()) {
      s.what = act::wait;
      s.place = arrived[static_cast<std::size_t>(below(static_cast<int>(arrived.size())))];
    } else {
      continue;
    }
    p.push_back(s);
  }
  return p;
}

/// The number of the first access that races with an earlier one.
std::optional<int> oracle(const program& p) {
  using clock = std::array<int, threads>;
  std::vector<clock> knows(threads, clock{});
  for (int t = 0; t < threads; ++t) knows[static_cast<std::size_t>(t)][static_cast<std::size_t>(t)] = 1;
  const auto join = [](clock& into, const clock& from) {
    for (std::size_t i = 0; i < threads; ++i) into[i] = std::max(into[i], from[i]);
  };
  struct past {
    std::size_t thread;
    int when;
    bool write;
  };
  std::array<std::vector<past>, bytes> history;
  std::array<clock, mbarriers> told{};
  for (const step& s : p) {
    const auto me = static_cast<std::size_t>(s.thread);
    if (s.what == act::access) {
      for (int b = s.place; b < s.place + s.size; ++b) {
        auto& h = history[static_cast<std::size_t>(b)];
        for (const past& x : h) {
          if (x.thread != me && (x.write || s.write) && x.when > knows[me][x.thread]) return s.turn;
        }
        h.push_back({me, knows[me][me], s.write});
      }
    } else if (s.what == act::arrive) {
      told[static_cast<std::size_t>(s.place)] = knows[me];
      ++knows[me][me];
    } else if (s.what == act::wait) {
      join(knows[me], told[static_cast<std::size_t>(s.place)]);
    } else {
      clock all{};
      for (int t = 0; t < threads; ++t) {
        if (takes_part(s, t)) join(all, knows[static_cast<std::size_t>(t)]);
      }
      for (int t = 0; t < threads; ++t) {
        if (!takes_part(s, t)) continue;
        join(knows[static_cast<std::size_t>(t)], all);
        ++knows[static_cast<std::size_t>(t)][static_cast<std::size_t>(t)];
      }
    }
  }
  return std::nullopt;
}

__global__ void play(const step* steps, int count, int* turn) {
  std::byte* const memory = emulator::dynamic_shared_memory();
  if (threadIdx.x == 0) {
    emulator::check_shared(memory, bytes, emulator::access::write);
    for (int i = 0; i < mbarriers; ++i) emulator::mbarrier_init(memory + bytes + 8 * i, 1);
  }
  __syncthreads();
  for (int i = 0; i < count; ++i) {
    const step& s = steps[i];
    if (!takes_part(s, static_cast<int>(threadIdx.x))) continue;
    switch (s.what) {
      case act::access:
        while (atomicAdd(turn, 0) != s.turn) {
        }
        emulator::check_shared(memory + s.place, static_cast<std::size_t>(s.size),
                               s.write ? emulator::access::write : emulator::access::read);
        atomicAdd(turn, 1);
        break;
      case act::syncthreads:
        __syncthreads();
        break;
      case act::syncwarp:
        __syncwarp(s.mask);
        break;
      case act::named:
        emulator::named_barrier(s.place, 32 * __popc(s.mask));
        break;
      case act::arrive:
        emulator::mbarrier_arrive(memory + bytes + 8 * s.place);
        break;
      case act::wait:
        emulator::mbarrier_wait(memory + bytes + 8 * s.place, 0);
        break;
    }
  }
}

std::optional<int> emulated(const program& p, std::string& text) {
  const device_array<step> steps(p);
  const device_array<int> turn(std::vector<int>{0});
  try {
    emulator::launch(1, threads, bytes + 8 * mbarriers, play, steps.data(), static_cast<int>(p.size()), turn.data());
  } catch (const emulator::fault& e) {
    text = e.what();
    return text.find("a race: ") != std::string::npos ? turn.host()[0] : -1;
  }
  return std::nullopt;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_random_programs)

BOOST_AUTO_TEST_CASE(the_first_race_is_found_and_no_other) {
  emulator::dice random(2024);
  int with_race = 0;
  constexpr int programs = 1500;
  for (int i = 0; i < programs; ++i) {
    with_options o({.seed = static_cast<std::uint64_t>(i)});
    // Short ones often have no race, long ones have seen much before their first.
    const program p = random_program(random, 4 + i % 40);
    std::string text;
    const auto expected = oracle(p);
    const auto got = emulated(p, text);
    with_race += expected ? 1 : 0;
    BOOST_REQUIRE_MESSAGE(expected == got, "program " << i << ": expected " << expected.value_or(-2) << ", got "
                                                      << got.value_or(-2) << " " << text);
  }
  BOOST_TEST_MESSAGE(with_race << " of " << programs << " programs have a race");
  BOOST_TEST(with_race > programs / 4);
  BOOST_TEST(with_race < programs * 9 / 10);
}

BOOST_AUTO_TEST_SUITE_END()
