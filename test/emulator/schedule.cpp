// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Who runs when: indices, barriers, deadlocks, the orders a seed chooses, and how a fault ends a kernel.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <set>
#include <stdexcept>
#include <thread>

#include "support.hpp"

namespace {

__global__ void write_indices(uint3* out) {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * threads + thread] = {threadIdx.x + 100 * blockIdx.x, threadIdx.y + 100 * blockIdx.y,
                                   threadIdx.z + 100 * blockIdx.z};
}

__global__ void __launch_bounds__(1024, 1) nothing() {}

/// Each thread leaves after as many barriers as its number says.
__global__ void leave_early(int* passed) {
  for (unsigned i = 0; i < threadIdx.x; ++i) __syncthreads();
  passed[threadIdx.x] = 1;
}

__global__ void half_waits() {
  if (threadIdx.x < 32) __syncthreads();
  if (threadIdx.x == 40) emulator::named_barrier(1, 64);
}

__global__ void two_barriers() {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void votes(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  out[3 * t] = __syncthreads_count(t % 3 == 0);
  out[3 * t + 1] = __syncthreads_or(t == 70);
  out[3 * t + 2] = __syncthreads_and(t != 70);
}

__global__ void record_order(int* next, int* order) {
  order[atomicAdd(next, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

/// Two roles that hand a number to and fro: numbered barriers, one side only arrives.
__global__ void ping_pong(int* out, int rounds) {
  __shared__ int box;
  const bool producer = threadIdx.x < 32;
  for (int i = 0; i < rounds; ++i) {
    if (producer) {
      if (i > 0) emulator::named_barrier(2, 96);
      if (threadIdx.x == 0) box = i;
      emulator::named_barrier_arrive(1, 96);
    } else {
      emulator::named_barrier(1, 96);
      out[(threadIdx.x - 32) * static_cast<unsigned>(rounds) + static_cast<unsigned>(i)] = box;
      if (i + 1 < rounds) emulator::named_barrier_arrive(2, 96);
    }
  }
}

__global__ void wrong_count() { emulator::named_barrier(3, threadIdx.x < 32 ? 64 : 32); }
__global__ void odd_count() { emulator::named_barrier(3, 33); }
__global__ void no_such_barrier() { emulator::named_barrier(16, 32); }

__global__ void poll_for_ever(int* flag) {
  while (atomicAdd(flag, 0) == 0) {
  }
}
__global__ void poll_for_another(int* flag, int* out) {
  if (threadIdx.x != 5) {
    while (atomicCAS(flag, -1, -1) == 0) __nanosleep(100);
  } else {
    atomicExch(flag, 1);
  }
  out[threadIdx.x] = 1;
}

struct counts_its_end {
  explicit counts_its_end(int* ended) : n(ended) {}
  counts_its_end(const counts_its_end&) = delete;
  counts_its_end& operator=(const counts_its_end&) = delete;
  ~counts_its_end() { ++*n; }
  int* n;
};
__global__ void throws(int* ended, int which) {
  const counts_its_end guard(ended);
  __syncthreads();
  if (static_cast<int>(threadIdx.x) == which) throw std::runtime_error("from a kernel");
  __syncthreads();
}
__global__ void traps() {
  if (threadIdx.x == 3 && blockIdx.x == 1) __trap();
}
__global__ void launches() { emulator::launch(1, 1, 0, nothing); }

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_schedule)

BOOST_AUTO_TEST_CASE(every_thread_of_every_block_runs_once) {
  const dim3 grid(2, 3, 4);
  const dim3 block(5, 3, 7);  // no multiple of a warp
  device_array<uint3> out(24 * 105);
  BOOST_TEST((emulator::launch(grid, block, 0, write_indices, out.data()) == cudaSuccess));
  const auto got = out.host();
  std::size_t i = 0;
  for (unsigned bz = 0; bz < 4; ++bz)
    for (unsigned by = 0; by < 3; ++by)
      for (unsigned bx = 0; bx < 2; ++bx)
        for (unsigned z = 0; z < 7; ++z)
          for (unsigned y = 0; y < 3; ++y)
            for (unsigned x = 0; x < 5; ++x, ++i) {
              BOOST_REQUIRE(got[i].x == x + 100 * bx && got[i].y == y + 100 * by && got[i].z == z + 100 * bz);
            }
}

BOOST_AUTO_TEST_CASE(what_cuda_refuses_is_refused) {
  BOOST_TEST((emulator::launch(0, 32, 0, nothing) == cudaErrorInvalidConfiguration));
  BOOST_TEST((cudaGetLastError() == cudaErrorInvalidConfiguration));
  BOOST_TEST((cudaGetLastError() == cudaSuccess));
  BOOST_TEST((emulator::launch(1, 0, 0, nothing) == cudaErrorInvalidConfiguration));
  BOOST_TEST((emulator::launch(1, 1025, 0, nothing) == cudaErrorInvalidConfiguration));
  BOOST_TEST((emulator::launch(dim3(1, 65536), 32, 0, nothing) == cudaErrorInvalidConfiguration));
  BOOST_TEST((emulator::launch(1, 1024, 48 * 1024, nothing) == cudaSuccess));
  BOOST_TEST((emulator::launch(1, 32, 48 * 1024 + 1, nothing) == cudaErrorInvalidValue));
  BOOST_TEST((cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024) == cudaSuccess));
  BOOST_TEST((emulator::launch(1, 32, 227 * 1024, nothing) == cudaSuccess));
  BOOST_TEST((emulator::launch(1, 32, 227 * 1024 + 1, nothing) == cudaErrorInvalidValue));
  BOOST_TEST((cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 * 1024) == cudaErrorInvalidValue));
  BOOST_TEST((cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 0) == cudaSuccess));
  cudaGetLastError();
}

BOOST_AUTO_TEST_CASE(threads_that_have_ended_are_not_waited_for) {
  device_array<int> passed(100);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    cudaMemset(passed.data(), 0, 100 * sizeof(int));
    emulator::launch(1, 100, 0, leave_early, passed.data());
    const auto got = passed.host();
    BOOST_TEST(std::count(got.begin(), got.end(), 1) == 100);
  }
}

BOOST_AUTO_TEST_CASE(a_deadlock_names_who_waits_where) {
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    check_fault([] { emulator::launch(1, 64, 0, half_waits); },
                {"deadlock", "threads 0-31 wait at __syncthreads ", "schedule.cpp:", "threads 40 wait at a numbered barrier ",
                 "threads 32-39 41-63 have ended"});
  }
}

BOOST_AUTO_TEST_CASE(a_barrier_is_one_line) {
  check_fault([] { emulator::launch(1, 64, 0, two_barriers); }, {"divergent __syncthreads", "schedule.cpp:"});
}

BOOST_AUTO_TEST_CASE(a_barrier_counts) {
  device_array<int> out(3 * 100);
  emulator::launch(1, 100, 0, votes, out.data());
  const auto got = out.host();
  for (std::size_t i = 0; i < 100; ++i) {
    BOOST_TEST(got[3 * i] == 34);
    BOOST_TEST(got[3 * i + 1] == 1);
    BOOST_TEST(got[3 * i + 2] == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_seed_chooses_the_order_of_threads_and_repeats_it) {
  const auto order = [](unsigned s) {
    with_options o({.seed = s});
    device_array<int> next(std::vector<int>{0});
    device_array<int> ranks(128);
    emulator::launch(1, 128, 0, record_order, next.data(), ranks.data());
    return ranks.host();
  };
  std::set<std::vector<int>> orders;
  for (const unsigned s : seeds) {
    auto ranks = order(s);
    BOOST_CHECK(ranks == order(s));
    orders.insert(ranks);
    std::sort(ranks.begin(), ranks.end());
    for (int i = 0; i < 128; ++i) BOOST_REQUIRE_EQUAL(ranks[static_cast<std::size_t>(i)], i);
  }
  BOOST_TEST(orders.size() == std::size(seeds));
}

BOOST_AUTO_TEST_CASE(blocks_run_in_the_order_asked_for) {
  const auto order = [](emulator::block_order how) {
    with_options o({.seed = 5, .order = how});
    device_array<int> next(std::vector<int>{0});
    device_array<int> ranks(20);
    emulator::launch(20, 1, 0, record_order, next.data(), ranks.data());
    return ranks.host();
  };
  std::vector<int> expected(20);
  for (int i = 0; i < 20; ++i) expected[static_cast<std::size_t>(i)] = i;
  BOOST_CHECK(order(emulator::block_order::ascending) == expected);
  auto shuffled = order(emulator::block_order::shuffled);
  BOOST_CHECK(shuffled != expected);
  std::sort(shuffled.begin(), shuffled.end());
  BOOST_CHECK(shuffled == expected);
  std::reverse(expected.begin(), expected.end());
  BOOST_CHECK(order(emulator::block_order::descending) == expected);
}

BOOST_AUTO_TEST_CASE(numbered_barriers_hand_over) {
  constexpr int rounds = 7;
  device_array<int> out(64 * rounds);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    emulator::launch(1, 96, 0, ping_pong, out.data(), rounds);
    const auto got = out.host();
    for (std::size_t i = 0; i < got.size(); ++i) BOOST_REQUIRE_EQUAL(got[i], static_cast<int>(i % rounds));
  }
}

BOOST_AUTO_TEST_CASE(numbered_barriers_are_checked) {
  check_fault([] { emulator::launch(1, 64, 0, wrong_count); }, {"barrier 3", "where others wait for"});
  check_fault([] { emulator::launch(1, 64, 0, odd_count); }, {"barrier 3 of 33 threads", "multiple of 32"});
  check_fault([] { emulator::launch(1, 64, 0, no_such_barrier); }, {"barrier 16", "0 to 15"});
}

BOOST_AUTO_TEST_CASE(polling_lets_others_go) {
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    device_array<int> flag(std::vector<int>{0});
    device_array<int> out(40);
    emulator::launch(1, 40, 0, poll_for_another, flag.data(), out.data());
    const auto got = out.host();
    BOOST_TEST(std::count(got.begin(), got.end(), 1) == 40);
  }
  with_options o({.patience = 10000});
  device_array<int> flag(std::vector<int>{0});
  check_fault([&] { emulator::launch(1, 2, 0, poll_for_ever, flag.data()); }, {"atomicAdd polls for what nobody does"});
}

BOOST_AUTO_TEST_CASE(an_exception_ends_all_threads_and_arrives) {
  for (const int which : {0, 17, 99}) {
    int ended = 0;
    BOOST_CHECK_EXCEPTION(emulator::launch(3, 100, 0, throws, &ended, which), std::runtime_error,
                          [](const auto& e) { return std::string(e.what()) == "from a kernel"; });
    BOOST_TEST(ended == 100);  // of the first block; the others have not begun
  }
  check_fault([] { emulator::launch(2, 32, 0, traps); }, {"kernel block (1,0,0) thread (3,0,0) ", "schedule.cpp:", "__trap"});
  BOOST_TEST((emulator::launch(1, 1024, 0, nothing) == cudaSuccess));  // and all is as before
}

BOOST_AUTO_TEST_CASE(host_threads_launch_at_the_same_time) {
  std::vector<std::thread> hosts;
  std::array<bool, 4> right{};
  for (std::size_t h = 0; h < right.size(); ++h) {
    hosts.emplace_back([&, h] {
      emulator::seed(h);
      bool all = true;
      for (int turn = 0; turn < 20; ++turn) {
        std::vector<int> out(64 * 7, -1);
        emulator::launch(1, 96, 0, ping_pong, out.data(), 7);
        for (std::size_t i = 0; i < out.size(); ++i) all = all && out[i] == static_cast<int>(i % 7);
      }
      right[h] = all;
    });
  }
  for (auto& host : hosts) host.join();
  for (const bool r : right) BOOST_TEST(r);
}

BOOST_AUTO_TEST_CASE(a_kernel_launches_none) { BOOST_CHECK_THROW(emulator::launch(1, 1, 0, launches), std::logic_error); }

BOOST_AUTO_TEST_SUITE_END()
