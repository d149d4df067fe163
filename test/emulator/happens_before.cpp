// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Which barrier orders what: accesses in a fixed order of time, so that only the order which barriers make is left to decide.
#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "support.hpp"

namespace {

/// What a thread of a scene can do. `at(n)` waits for turn n and ends it; the turns are kept in global memory, which orders nothing here.
struct stage {
  int* turn;

  [[nodiscard]] int thread() const { return static_cast<int>(threadIdx.x); }
  void at(int n) const {
    while (atomicAdd(turn, 0) != n) {
    }
  }
  void next() const { atomicAdd(turn, 1); }

  static void read(int byte = 0, std::size_t bytes = 4) {
    emulator::check_shared(emulator::dynamic_shared_memory() + byte, bytes, emulator::access::read);
  }
  static void write(int byte = 0, std::size_t bytes = 4) {
    emulator::check_shared(emulator::dynamic_shared_memory() + byte, bytes, emulator::access::write);
  }
  /// Barriers in shared memory, each of one arrival.
  static void* barrier(int i) { return emulator::dynamic_shared_memory() + 64 + 8 * i; }
  static void arrive(int i) { emulator::mbarrier_arrive(barrier(i)); }
  static void wait(int i) { emulator::mbarrier_wait(barrier(i), 0); }
};

template <class F>
__global__ void play(F scene, int* turn) {
  if (threadIdx.x == 0) {
    stage::write(0, 16);
    for (int i = 0; i < 4; ++i) emulator::mbarrier_init(stage::barrier(i), 1);
    emulator::fence_async();
  }
  __syncthreads();
  scene(stage{turn});
}

enum class outcome { ordered, race };

/// Plays a scene of 128 threads under several seeds.
template <class F>
void expect(outcome expected, F scene, int line) {
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    const device_array<int> turn(std::vector<int>{0});
    std::string fault;
    try {
      emulator::launch(1, 128, 128, play<F>, scene, turn.data());
    } catch (const emulator::fault& e) {
      fault = e.what();
    }
    const bool race = fault.find("a race: ") != std::string::npos;
    BOOST_CHECK_MESSAGE(race == (expected == outcome::race) && (race || fault.empty()),
                        "scene of line " << line << ": " << fault);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_happens_before)

BOOST_AUTO_TEST_CASE(nothing_orders_by_itself) {
  const auto scene = [](bool barrier) {
    return [barrier](stage s) {
      if (s.thread() == 0) {
        s.write();
        s.next();
      }
      if (barrier) __syncthreads();
      if (s.thread() == 40) {
        s.at(1);
        s.read();
      }
    };
  };
  expect(outcome::race, scene(false), __LINE__);
  expect(outcome::ordered, scene(true), __LINE__);
}

BOOST_AUTO_TEST_CASE(a_part_of_a_warp_orders_that_part) {
  const auto scene = [](unsigned mask, int writer) {
    return [mask, writer](stage s) {
      if (s.thread() == 15) {
        s.read();
        s.next();
      }
      if (s.thread() < 32 && (mask >> s.thread() & 1u) != 0) {
        if (s.thread() != 15) s.at(1);
        __syncwarp(mask);
      }
      if (s.thread() == writer) {
        s.at(1);
        s.write();
      }
    };
  };
  expect(outcome::ordered, scene(0xFFFFu, 0), __LINE__);
  expect(outcome::race, scene(0x7FFFu, 0), __LINE__);
  expect(outcome::race, scene(0xFFFFu, 16), __LINE__);
  expect(outcome::ordered, scene(0xFFFFFFFFu, 16), __LINE__);
  expect(outcome::race, scene(0xFFFFFFFFu, 32), __LINE__);
}

BOOST_AUTO_TEST_CASE(what_a_lane_knows_it_passes_on) {
  // Lane 5 writes, its warp comes together, lane 0 tells thread 40.
  const auto tell = [](bool together) {
    return [together](stage s) {
      if (s.thread() == 5) {
        s.write();
        s.next();
      }
      if (s.thread() < 32 && together) __syncwarp();
      if (s.thread() == 0) {
        s.at(1);
        s.arrive(0);
      }
      if (s.thread() == 40) {
        s.wait(0);
        s.read();
      }
    };
  };
  expect(outcome::ordered, tell(true), __LINE__);
  expect(outcome::race, tell(false), __LINE__);
  // Thread 40 writes and tells lane 0; lane 7 learns of it from its warp.
  const auto learn = [](bool together) {
    return [together](stage s) {
      if (s.thread() == 40) {
        s.write();
        s.arrive(0);
      }
      if (s.thread() == 0) {
        s.wait(0);
        s.next();
      }
      if (s.thread() < 32 && together) __syncwarp();
      if (s.thread() == 7) {
        s.at(1);
        s.read();
      }
    };
  };
  expect(outcome::ordered, learn(true), __LINE__);
  expect(outcome::race, learn(false), __LINE__);
  // Along a chain of barriers, and not backwards.
  const auto chain = [](int reader) {
    return [reader](stage s) {
      if (s.thread() == 0) {
        s.write();
        s.arrive(0);
      }
      if (s.thread() == 40) {
        s.wait(0);
        s.arrive(1);
      }
      if (s.thread() == 80) {
        s.wait(1);
        s.next();
      }
      if (s.thread() == reader) {
        s.at(1);
        s.read();
      }
    };
  };
  expect(outcome::ordered, chain(80), __LINE__);
  expect(outcome::ordered, chain(40), __LINE__);
  expect(outcome::race, chain(81), __LINE__);
}

BOOST_AUTO_TEST_CASE(what_comes_after_an_arrival_is_not_covered_by_it) {
  const auto scene = [](bool before) {
    return [before](stage s) {
      if (s.thread() == 0) {
        if (before) s.write();
        s.arrive(0);
        if (!before) s.write();
        s.next();
      }
      if (s.thread() == 40) {
        s.wait(0);
        s.at(1);
        s.read();
      }
    };
  };
  expect(outcome::ordered, scene(true), __LINE__);
  expect(outcome::race, scene(false), __LINE__);
}

BOOST_AUTO_TEST_CASE(a_writer_must_know_all_readers) {
  // Threads 0, 33 and 70 read in turn; thread 100 hears of some of them.
  const auto scene = [](int heard_of) {
    return [heard_of](stage s) {
      const int readers[] = {0, 33, 70};
      for (int i = 0; i < 3; ++i) {
        if (s.thread() != readers[i]) continue;
        s.at(i);
        s.read();
        if ((heard_of >> i & 1) != 0) s.arrive(i);
        s.next();
      }
      if (s.thread() == 100) {
        s.at(3);
        for (int i = 0; i < 3; ++i) {
          if ((heard_of >> i & 1) != 0) s.wait(i);
        }
        s.write();
      }
    };
  };
  for (int heard_of = 0; heard_of < 8; ++heard_of)
    expect(heard_of == 7 ? outcome::ordered : outcome::race, scene(heard_of), __LINE__);
}

BOOST_AUTO_TEST_CASE(a_later_read_of_one_lane_does_not_hide_anothers) {
  const auto scene = [](bool told) {
    return [told](stage s) {
      if (s.thread() == 1) {
        s.read();
        if (told) s.arrive(1);
        s.next();
      }
      if (s.thread() == 0) {
        s.at(1);
        s.arrive(2);  // a new segment of its life
        s.read();
        s.arrive(0);
      }
      if (s.thread() == 40) {
        s.wait(0);
        if (told) s.wait(1);
        s.write();
      }
    };
  };
  expect(outcome::race, scene(false), __LINE__);
  expect(outcome::ordered, scene(true), __LINE__);
}

BOOST_AUTO_TEST_CASE(bytes_of_a_word_have_readers_of_their_own) {
  // Threads 0 and 33 read the word; thread 70 reads byte `other`; thread 100 has heard of the first two and writes byte 1.
  const auto scene = [](int other) {
    return [other](stage s) {
      if (s.thread() == 0) {
        s.read();
        s.arrive(0);
        s.next();
      }
      if (s.thread() == 33) {
        s.at(1);
        s.read();
        s.arrive(1);
        s.next();
      }
      if (s.thread() == 70) {
        s.at(2);
        s.read(other, 1);
        s.next();
      }
      if (s.thread() == 100) {
        s.at(3);
        s.wait(0);
        s.wait(1);
        s.write(1, 1);
      }
    };
  };
  expect(outcome::ordered, scene(0), __LINE__);
  expect(outcome::race, scene(1), __LINE__);
  expect(outcome::ordered, scene(3), __LINE__);
}

BOOST_AUTO_TEST_CASE(a_whole_write_after_partial_ones_counts_for_every_byte) {
  const auto scene = [](bool told) {
    return [told](stage s) {
      if (s.thread() == 0) {
        s.write(1, 1);
        s.write(0, 4);
        if (told) s.arrive(0);
        s.next();
      }
      if (s.thread() == 40) {
        s.at(1);
        if (told) s.wait(0);
        s.read(3, 1);
      }
    };
  };
  expect(outcome::race, scene(false), __LINE__);
  expect(outcome::ordered, scene(true), __LINE__);
}

BOOST_AUTO_TEST_CASE(a_bulk_copy_is_known_to_whoever_waits_and_whom_they_tell) {
  static const std::vector<float> numbers(4, 1.0f);
  const device_array<float> from(numbers);
  // Thread 0 waits for the copy; `reader` reads after one of the barriers.
  const auto scene = [in = from.data()](int reader, int barrier) {
    return [in, reader, barrier](stage s) {
      if (s.thread() == 0) {
        emulator::mbarrier_expect(s.barrier(0), 16);
        emulator::bulk_copy(emulator::dynamic_shared_memory(), in, 16, s.barrier(0));
        s.arrive(0);
        s.wait(0);
        s.next();
        s.arrive(1);
      }
      if (barrier == 1 && s.thread() < 32) __syncwarp();
      if (barrier == 2) __syncthreads();
      if (barrier == 3 && s.thread() == reader) s.wait(1);
      if (s.thread() == reader) {
        s.at(1);
        s.read();
      }
    };
  };
  expect(outcome::ordered, scene(0, 0), __LINE__);
  expect(outcome::race, scene(7, 0), __LINE__);
  expect(outcome::ordered, scene(7, 1), __LINE__);
  expect(outcome::race, scene(40, 1), __LINE__);
  expect(outcome::ordered, scene(40, 2), __LINE__);
  expect(outcome::ordered, scene(40, 3), __LINE__);
  // Nobody waits, and a barrier of the block does not either.
  const auto alone = [in = from.data()](stage s) {
    if (s.thread() == 0) {
      emulator::mbarrier_expect(s.barrier(0), 16);
      emulator::bulk_copy(emulator::dynamic_shared_memory(), in, 16, s.barrier(0));
      s.arrive(0);
    }
    for (int i = 0; i < 50; ++i) __nanosleep(1);  // the copy has landed by now
    __syncthreads();
    if (s.thread() == 40) s.read();
  };
  expect(outcome::race, alone, __LINE__);
}

BOOST_AUTO_TEST_SUITE_END()
