// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// What lanes of a warp do together.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <tuple>

#include "support.hpp"

namespace {

using shuffled_types = std::tuple<int, unsigned long long, float, double>;

struct pair {
  double a;
  int b;
};

template <class T>
__global__ void shuffles(T* out, int width) {
  const T mine = static_cast<T>(threadIdx.x);
  T* const row = out + threadIdx.x * 5;
  row[0] = __shfl_sync(0xFFFFFFFFu, mine, static_cast<int>(threadIdx.x * 7 + 3), width);
  row[1] = __shfl_up_sync(0xFFFFFFFFu, mine, 3, width);
  row[2] = __shfl_down_sync(0xFFFFFFFFu, mine, 3, width);
  row[3] = __shfl_xor_sync(0xFFFFFFFFu, mine, 5, width);
  row[4] = static_cast<T>(__shfl_sync(0xFFFFFFFFu, pair{static_cast<double>(mine), 7}, 31).a);
}

__global__ void votes(unsigned* out) {
  const unsigned lane = threadIdx.x;
  unsigned* const row = out + lane * 11;
  row[0] = __ballot_sync(0xFFFFFFFFu, lane % 3 == 0);
  row[1] = static_cast<unsigned>(__any_sync(0xFFFFFFFFu, lane == 9));
  row[2] = static_cast<unsigned>(__all_sync(0xFFFFFFFFu, lane != 9));
  row[3] = __match_any_sync(0xFFFFFFFFu, lane % 4);
  row[4] = __reduce_add_sync(0xFFFFFFFFu, lane);
  row[5] = __reduce_min_sync(0xFFFFFFFFu, lane + 3);
  row[6] = static_cast<unsigned>(__reduce_max_sync(0xFFFFFFFFu, -static_cast<int>(lane)));
  row[7] = __reduce_and_sync(0xFFFFFFFFu, lane | 64u);
  row[8] = __reduce_or_sync(0xFFFFFFFFu, 1u << lane);
  row[9] = __reduce_xor_sync(0xFFFFFFFFu, lane);
  int all = 7;
  row[10] = __match_all_sync(0xFFFFFFFFu, lane / 32, &all) + static_cast<unsigned>(all);
}

/// The halves of a warp go through different code, each with its own mask, at the same time.
__global__ void halves(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int sum = 0;
  if (lane < 16) {
    for (int i = 0; i < 5; ++i) sum += __shfl_sync(0x0000FFFFu, lane, i);
  } else {
    for (int i = 0; i < 3; ++i) sum += __shfl_sync(0xFFFF0000u, lane, 16 + i);
  }
  __syncwarp();
  out[lane] = sum + 1000 * __reduce_add_sync(0xFFFFFFFFu, 1);
}

__global__ void last_warp_is_short(unsigned* out) { out[threadIdx.x] = __ballot_sync(0xFFFFFFFFu, 1); }

__global__ void some_have_ended(unsigned* out) {
  if (threadIdx.x % 2 == 1) return;
  out[threadIdx.x] = __ballot_sync(0xFFFFFFFFu, 1);
}

__global__ void different_lines(int* out) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] = __shfl_sync(0xFFFFFFFFu, 1, 0);
  } else {
    out[threadIdx.x] = __shfl_sync(0xFFFFFFFFu, 2, 0);
  }
}
__global__ void different_masks(int* out) { out[threadIdx.x] = __any_sync(threadIdx.x == 3 ? 0xFFu : 0xFFFFFFFFu, 1); }
__global__ void not_in_the_mask(int* out) { out[threadIdx.x] = __any_sync(0xFFFFu, 1); }
__global__ void lane_that_never_comes(int* out) {
  if (threadIdx.x == 31) {
    __syncthreads();
  } else {
    out[threadIdx.x] = __any_sync(0xFFFFFFFFu, 1);
  }
}
__global__ void reads_an_absent_lane(int* out) { out[threadIdx.x] = __shfl_down_sync(0xFFFFFFFFu, 1, 8); }
__global__ void different_lines_may_meet_at_syncwarp(int* out) {
  if (threadIdx.x < 16) {
    __syncwarp();
  } else {
    __syncwarp();
  }
  out[threadIdx.x] = 1;
}

struct in {
  int x;
};
struct out_of {
  int sum;
  int lane;
};
__global__ void collectives(int* out, int* calls) {
  for (int i = 0; i < 10; ++i) {
    const auto got =
        emulator::collective<out_of>(in{static_cast<int>(threadIdx.x % 32) + i}, [calls](const in* all, out_of* results) {
          ++*calls;
          int sum = 0;
          for (int l = 0; l < 32; ++l) sum += all[l].x;
          for (int l = 0; l < 32; ++l) results[l] = {sum, l};
        });
    out[threadIdx.x] = got.sum == 32 * 31 / 2 + 32 * i && got.lane == static_cast<int>(threadIdx.x % 32) ? 1 : -1;
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_warp)

BOOST_AUTO_TEST_CASE_TEMPLATE(shuffles_take_other_lanes_values, T, shuffled_types) {
  device_array<T> out(32 * 5);
  for (const int width : {32, 16, 8, 2}) {
    emulator::launch(1, 32, 0, shuffles<T>, out.data(), width);
    const auto got = out.host();
    for (int lane = 0; lane < 32; ++lane) {
      const int first = lane / width * width;
      const int last = first + width - 1;
      const T* const row = got.data() + lane * 5;
      BOOST_TEST(row[0] == static_cast<T>(first + (lane * 7 + 3) % width));
      BOOST_TEST(row[1] == static_cast<T>(lane - 3 < first ? lane : lane - 3));
      BOOST_TEST(row[2] == static_cast<T>(lane + 3 > last ? lane : lane + 3));
      BOOST_TEST(row[3] == static_cast<T>((lane ^ 5) > last ? lane : lane ^ 5));
      BOOST_TEST(row[4] == static_cast<T>(31));
    }
  }
}

BOOST_AUTO_TEST_CASE(votes_and_reductions) {
  device_array<unsigned> out(32 * 11);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    emulator::launch(1, 32, 0, votes, out.data());
    const auto got = out.host();
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned* const row = got.data() + lane * 11;
      BOOST_TEST(row[0] == 0x49249249u);
      BOOST_TEST(row[1] == 1u);
      BOOST_TEST(row[2] == 0u);
      BOOST_TEST(row[3] == 0x11111111u << (lane % 4));
      BOOST_TEST(row[4] == 496u);
      BOOST_TEST(row[5] == 3u);
      BOOST_TEST(row[6] == 0u);
      BOOST_TEST(row[7] == 64u);
      BOOST_TEST(row[8] == 0xFFFFFFFFu);
      BOOST_TEST(row[9] == 0u);
      BOOST_TEST(row[10] == 0u);  // all lanes and one more
    }
  }
}

BOOST_AUTO_TEST_CASE(parts_of_a_warp_meet_on_their_own) {
  device_array<int> out(32);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    emulator::launch(1, 32, 0, halves, out.data());
    const auto got = out.host();
    for (std::size_t i = 0; i < 32; ++i) BOOST_TEST(got[i] == 32000 + (i < 16 ? 10 : 51));
  }
}

BOOST_AUTO_TEST_CASE(lanes_that_are_not_there_do_not_vote) {
  device_array<unsigned> out(40);
  emulator::launch(1, 40, 0, last_warp_is_short, out.data());
  BOOST_TEST(out.host()[0] == 0xFFFFFFFFu);
  BOOST_TEST(out.host()[39] == 0xFFu);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    emulator::launch(1, 32, 0, some_have_ended, out.data());
    BOOST_TEST(out.host()[0] == 0x55555555u);
    BOOST_TEST(out.host()[30] == 0x55555555u);
  }
}

BOOST_AUTO_TEST_CASE(divergence_is_a_fault) {
  device_array<int> out(64);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    check_fault([&] { emulator::launch(1, 32, 0, different_lines, out.data()); },
                {"divergent __shfl_sync: lanes ", "wait at __shfl_sync ", "warp.cpp:"});
    check_fault([&] { emulator::launch(1, 32, 0, different_masks, out.data()); }, {"divergent __any_sync"});
    check_fault([&] { emulator::launch(1, 32, 0, not_in_the_mask, out.data()); }, {"not in its own mask"});
    check_fault([&] { emulator::launch(1, 32, 0, lane_that_never_comes, out.data()); },
                {"deadlock", "threads 0-30 wait at __any_sync", "threads 31 wait at __syncthreads"});
    check_fault([&] { emulator::launch(1, 40, 0, reads_an_absent_lane, out.data()); },
                {"__shfl_down_sync", "which does not take part"});
  }
  emulator::launch(1, 32, 0, different_lines_may_meet_at_syncwarp, out.data());
}

BOOST_AUTO_TEST_CASE(a_collective_runs_once_a_warp) {
  device_array<int> out(96);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    int calls = 0;
    emulator::launch(2, 96, 0, collectives, out.data(), &calls);
    BOOST_TEST(calls == 2 * 3 * 10);
    for (const int x : out.host()) BOOST_TEST(x == 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
