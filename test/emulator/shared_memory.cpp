// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Shared memory: bounds, alignment, what is read before it is written, deferred copies, and races.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>

#include "support.hpp"
#include "tessera/cuda/memory/copy_async.cuh"
#include "tessera/cuda/memory/shared.cuh"

namespace {

using tessera::cuda::shared_array;

template <class T>
shared_array<T> all_as(int count) {
  return {reinterpret_cast<T*>(emulator::dynamic_shared_memory()), count};
}
int thread() { return static_cast<int>(threadIdx.x); }

// ---- Bounds, alignment, contents ----

__global__ void touch(int element, int size, bool write) {
  const auto x = all_as<float>(size);
  if (thread() != 7) return;
  if (write) {
    x.store(element, 1.0f);
  } else {
    static_cast<void>(x.load(element));
  }
}
__global__ void unaligned(int byte) {
  emulator::check_shared(emulator::dynamic_shared_memory() + byte, 8, emulator::access::write);
}
__global__ void raw_write_behind(int byte) { emulator::dynamic_shared_memory()[byte] = std::byte{1}; }
__global__ void poison(std::uint32_t* out) { std::memcpy(out, emulator::dynamic_shared_memory(), 4); }
__global__ void leaves_something() { all_as<int>(1).store(0, 1); }

__global__ void own_variables(int* out) {
  __shared__ int table[64];
  static __shared__ __align__(16) float other[2];
  emulator::check_shared(table + threadIdx.x, 4, emulator::access::write);
  table[threadIdx.x] = thread();
  if (thread() == 0) other[1] = 3;
  __syncthreads();
  out[thread()] = table[63 - threadIdx.x] + static_cast<int>(other[1]);
}

// ---- Races: each kernel has an order that holds, and one that does not ----

enum class order { none, warp, half_warps, block, named };
void pass(order how) {
  if (how == order::warp) __syncwarp();
  if (how == order::half_warps) __syncwarp(thread() % 32 < 16 ? 0xFFFFu : 0xFFFF0000u);
  if (how == order::block) __syncthreads();
  if (how == order::named) emulator::named_barrier(1, static_cast<int>(blockDim.x));
}

/// Each writes its own and then reads one `distance` further.
__global__ void neighbours(order how, int distance) {
  const auto x = all_as<int>(static_cast<int>(blockDim.x));
  x.store(thread(), thread());
  pass(how);
  static_cast<void>(x.load((thread() ^ distance) % static_cast<int>(blockDim.x)));
}
/// Reads first, then writes where another one has read.
__global__ void write_after_read(order how, int distance) {
  const auto x = all_as<int>(static_cast<int>(blockDim.x));
  x.store(thread(), thread());
  __syncthreads();
  static_cast<void>(x.load(thread() ^ distance));
  pass(how);
  x.store(thread(), 1);
}
/// Everybody reads element 0, then thread 33 writes it.
__global__ void many_readers(order how) {
  const auto x = all_as<int>(1);
  if (thread() == 0) x.store(0, 1);
  __syncthreads();
  static_cast<void>(x.load(0));
  __syncwarp();
  static_cast<void>(x.load(0));
  pass(how);
  if (thread() == 33) x.store(0, 2);
}
__global__ void same_value_by_all(order how) {
  const auto x = all_as<int>(1);
  if (thread() == 0) x.store(0, 1);
  pass(how);
  if (thread() == 1) x.store(0, 1);
}
/// Two threads write the halves of one word, which is right, or the same half.
__global__ void halves_of_a_word(bool same) {
  const auto x = all_as<std::uint16_t>(64);
  x.store(same ? thread() / 2 : thread(), 1);
  __syncthreads();
  static_cast<void>(all_as<std::uint32_t>(32).load(thread() / 2));
  static_cast<void>(x.load(63 - thread()));
  __syncthreads();
  if (thread() < 32) all_as<std::uint32_t>(32).store(thread(), 7);
  __syncthreads();
  static_cast<void>(all_as<std::uint8_t>(128).load(127 - thread()));
}
/// Half of a word is read while another thread writes the other half: right; or the same half.
__global__ void reads_beside_writes(bool same) {
  const auto x = all_as<std::uint16_t>(2);
  if (thread() == 0) {
    x.store(0, 1);
    x.store(1, 1);
  }
  __syncthreads();
  if (thread() == 1) static_cast<void>(x.load(0));
  if (thread() == 2) static_cast<void>(x.load(0));
  if (thread() == 3) x.store(same ? 0 : 1, 2);
}
/// A shuffle brings lanes together, and orders no memory.
__global__ void shuffle_is_no_barrier() {
  const auto x = all_as<int>(32);
  x.store(thread(), 1);
  static_cast<void>(__shfl_sync(0xFFFFFFFFu, 1, 0));
  static_cast<void>(x.load(31 - thread()));
}
/// What one lane learns at a barrier of its warp and another, all lanes know after __syncwarp.
__global__ void knowledge_is_passed_on(bool sync) {
  const auto x = all_as<int>(64);
  if (thread() >= 64) x.store(thread() - 64, 1);
  if (thread() >= 64 || thread() < 32) emulator::named_barrier(1, 96);  // warps 0, 2, 3
  if (thread() < 64) {
    if (sync || thread() < 32) emulator::named_barrier(2, sync ? 64 : 32);
    static_cast<void>(x.load(thread()));
  }
}
/// An arrival lets go what came before it, and not what comes after.
__global__ void arrives_too_early(bool early) {
  const auto x = all_as<int>(32);
  if (thread() < 32) {
    if (!early) x.store(thread(), 1);
    emulator::named_barrier_arrive(1, 64);
    if (early) x.store(thread(), 1);
  } else {
    if (early) __nanosleep(1);
    emulator::named_barrier(1, 64);
    x.store(thread() - 32, 2);
  }
}
__global__ void atomics(order how, int* out) {
  const auto sum = all_as<int>(1);
  if (thread() == 0) sum.store(0, 0);
  __syncthreads();
  atomicAdd(sum.address(0), thread());
  pass(how);
  if (thread() == 5) *out = sum.load(0);
}

// ---- Deferred copies ----

enum class mistake {
  none,
  no_wait,
  no_barrier,
  no_commit,
  waits_for_too_few,
  reused_too_early,
  written_meanwhile,
  waits_elsewhere
};

/// Two stages of 16 bytes a thread: load the next one while the last is in use.
__global__ void pipeline(const float* in, float* out, int steps, mistake m) {
  using tessera::cuda::commit_copies;
  using tessera::cuda::copy_async_16;
  using tessera::cuda::wait_copies;
  const int n = static_cast<int>(blockDim.x);
  const auto stages = all_as<float>(2 * 4 * n);
  const auto start = [&](int step) {
    copy_async_16(stages.address(4 * n * (step % 2) + 4 * thread()), in + 4 * (step * n + thread()), 16);
    if (m != mistake::no_commit) commit_copies();
  };
  start(0);
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      start(step + 1);
      if (m == mistake::waits_for_too_few) {
        wait_copies<2>();
      } else if (m != mistake::no_wait && !(m == mistake::waits_elsewhere && thread() == 3)) {
        wait_copies<1>();
      }
    } else {
      wait_copies<0>();
    }
    if (m == mistake::written_meanwhile && step == 0) stages.store(4 * n + 4 * thread(), 1.0f);
    if (m != mistake::no_barrier) __syncthreads();
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += stages.load(4 * n * (step % 2) + 4 * (n - 1 - thread()) + i);
    out[step * n + thread()] = sum;
    if (m != mistake::reused_too_early) __syncthreads();
  }
}
__global__ void short_source(const float* in, float* out) {
  const auto x = all_as<float>(4);
  tessera::cuda::copy_async_16(x.address(0), in, 8);
  tessera::cuda::commit_copies();
  tessera::cuda::wait_copies<0>();
  for (int i = 0; i < 4; ++i) out[i] = x.load(i);
}
__global__ void by_cudas_own_names(const float* in, float* out) {
  const auto x = all_as<float>(8);
  __pipeline_memcpy_async(x.address(0), in, 16, 4);
  __pipeline_commit();
  __pipeline_memcpy_async(x.address(4), in + 4, 16);
  __pipeline_commit();
  __pipeline_wait_prior(1);
  for (int i = 0; i < 4; ++i) out[i] = x.load(i);
  static_cast<void>(x.load(4));
}
__global__ void copies_into_variables(const float* in, float* out) {
  __shared__ __align__(16) float first[4];
  __shared__ __align__(16) float second[4];
  __shared__ std::uint64_t barrier;
  if (thread() == 0) {
    emulator::mbarrier_init(&barrier, 1);
    emulator::fence_async();
    emulator::mbarrier_arrive_expect(&barrier, 16);
    emulator::bulk_copy(second, in + 4, 16, &barrier);
    __pipeline_memcpy_async(first, in, 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    emulator::mbarrier_wait(&barrier, 0);
  }
  __syncthreads();
  out[thread()] = thread() < 4 ? first[thread()] : second[thread() - 4];
}
__global__ void odd_source(const float* in) { tessera::cuda::copy_async_16(emulator::dynamic_shared_memory(), in + 1, 16); }

void each_seed(auto f) {
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    f();
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_shared_memory)

BOOST_AUTO_TEST_CASE(planted_out_of_bounds_is_caught) {
  emulator::launch(1, 32, 400, touch, 99, 100, true);
  check_fault([] { emulator::launch(1, 32, 400, touch, 100, 100, true); },
              {"kernel block (0,0,0) thread (7,0,0) ", "shared_memory.cpp:", "out of bounds: element 100 of an array of 100"});
  check_fault([] { emulator::launch(1, 32, 400, touch, -1, 100, false); }, {"element -1 of an array of 100"});
  // The array is right and the launch has given too little.
  check_fault([] { emulator::launch(1, 32, 396, touch, 99, 100, true); }, {"bytes 396 to 400 of 396 bytes of shared memory"});
  check_fault([] { emulator::launch(1, 32, 0, touch, 0, 100, false); }, {"of 0 bytes of shared memory"});
  if (!TESSERA_EMULATOR_ADDRESS_SANITIZER) {
    check_fault([] { emulator::launch(1, 32, 64, raw_write_behind, 64); }, {"written behind the end of shared memory"});
  }
}

BOOST_AUTO_TEST_CASE(alignment_is_checked) {
  emulator::launch(1, 1, 64, unaligned, 8);
  check_fault([] { emulator::launch(1, 1, 64, unaligned, 4); }, {"misaligned: 8 bytes at byte 4"});
}

BOOST_AUTO_TEST_CASE(memory_is_poisoned_and_reading_it_is_a_fault) {
  device_array<std::uint32_t> out(1);
  emulator::launch(1, 1, 64, leaves_something);
  emulator::launch(1, 1, 64, poison, out.data());
  BOOST_TEST(out.host()[0] == 0xFFFFFFFFu);
  emulator::launch(1, 1, 64, leaves_something);
  check_fault([] { emulator::launch(1, 32, 400, touch, 0, 100, false); },
              {"thread (7,0,0)", "nobody has written this", "byte 0 "});
}

BOOST_AUTO_TEST_CASE(variables_of_a_kernel_work) {
  device_array<int> out(64);
  each_seed([&] {
    emulator::launch(3, 64, 0, own_variables, out.data());
    for (int i = 0; i < 64; ++i) BOOST_TEST(out.host()[static_cast<std::size_t>(i)] == 63 - i + 3);
  });
}

BOOST_AUTO_TEST_CASE(planted_missing_barrier_is_caught) {
  each_seed([] {
    // Within half a warp, within a warp, between warps: which barriers are enough.
    for (const order how : {order::half_warps, order::warp, order::block, order::named})
      emulator::launch(2, 128, 512, neighbours, how, 1);
    for (const order how : {order::warp, order::block, order::named}) emulator::launch(2, 128, 512, neighbours, how, 16);
    for (const order how : {order::block, order::named}) emulator::launch(2, 128, 512, neighbours, how, 64);
    emulator::launch(2, 128, 512, neighbours, order::none, 0);
    for (const auto& [how, distance] :
         {std::pair(order::none, 1), {order::half_warps, 16}, {order::half_warps, 64}, {order::warp, 64}}) {
      try {
        emulator::launch(2, 128, 512, neighbours, how, distance);
        BOOST_ERROR("no fault");
      } catch (const emulator::fault& e) {
        // Who comes first is not said: it has read what is not written yet, or wrote what has been read.
        const std::string text = e.what();
        BOOST_CHECK_MESSAGE(
            text.find("a race: no barrier between") != std::string::npos || text.find("nobody has written") != std::string::npos,
            text);
      }
      check_fault([&, d = distance, h = how] { emulator::launch(2, 128, 512, write_after_read, h, d); },
                  {"a race: no barrier between this ", " by thread (", "shared_memory.cpp:"});
    }
    emulator::launch(2, 128, 512, write_after_read, order::half_warps, 1);
    emulator::launch(2, 128, 512, write_after_read, order::warp, 16);
    emulator::launch(2, 128, 512, write_after_read, order::block, 64);
    emulator::launch(2, 128, 512, write_after_read, order::named, 64);
  });
}

BOOST_AUTO_TEST_CASE(a_write_is_compared_with_every_reader) {
  each_seed([] {
    emulator::launch(1, 128, 4, many_readers, order::block);
    emulator::launch(1, 128, 4, many_readers, order::named);
    emulator::launch(1, 33, 4, many_readers, order::block);
    check_fault([] { emulator::launch(1, 128, 4, many_readers, order::warp); }, {"a race", "by thread ("});
    check_fault([] { emulator::launch(1, 128, 4, many_readers, order::none); }, {"a race"});
    check_fault([] { emulator::launch(1, 2, 4, same_value_by_all, order::none); },
                {"a race: no barrier between this write and the write by thread ("});
    emulator::launch(1, 2, 4, same_value_by_all, order::warp);
  });
}

BOOST_AUTO_TEST_CASE(parts_of_a_word_are_told_apart) {
  each_seed([] {
    emulator::launch(1, 64, 128, halves_of_a_word, false);
    check_fault([] { emulator::launch(1, 64, 128, halves_of_a_word, true); }, {"a race"});
    emulator::launch(1, 32, 4, reads_beside_writes, false);
    check_fault([] { emulator::launch(1, 32, 4, reads_beside_writes, true); }, {"a race"});
  });
}

BOOST_AUTO_TEST_CASE(only_barriers_order_memory) {
  each_seed([] {
    check_fault([] { emulator::launch(1, 32, 128, shuffle_is_no_barrier); }, {"a race"});
    emulator::launch(1, 128, 256, knowledge_is_passed_on, true);
    check_fault([] { emulator::launch(1, 128, 256, knowledge_is_passed_on, false); }, {""});
    emulator::launch(1, 64, 128, arrives_too_early, false);
    check_fault([] { emulator::launch(1, 64, 128, arrives_too_early, true); },
                {"a race: no barrier between this write and the write by"});
  });
}

BOOST_AUTO_TEST_CASE(atomics_do_not_race_with_each_other) {
  device_array<int> out(1);
  each_seed([&] {
    emulator::launch(1, 64, 4, atomics, order::block, out.data());
    BOOST_TEST(out.host()[0] == 64 * 63 / 2);
    check_fault([&] { emulator::launch(1, 64, 4, atomics, order::none, out.data()); }, {"a race"});
  });
}

BOOST_AUTO_TEST_CASE(races_can_be_left_unchecked) {
  with_options o({.races = false});
  emulator::launch(1, 2, 4, same_value_by_all, order::none);
}

BOOST_AUTO_TEST_CASE(copies_land_when_they_are_waited_for) {
  constexpr int steps = 5;
  constexpr int n = 64;
  std::vector<float> in(4 * steps * n);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  const device_array<float> device_in(in);
  const device_array<float> out(steps * n);
  each_seed([&] {
    emulator::launch(1, n, 2 * 16 * n, pipeline, device_in.data(), out.data(), steps, mistake::none);
    const auto got = out.host();
    for (int step = 0; step < steps; ++step) {
      for (int t = 0; t < n; ++t) {
        const int from = 4 * (step * n + n - 1 - t);
        BOOST_REQUIRE_EQUAL(got[static_cast<std::size_t>(step * n + t)], static_cast<float>(4 * from + 6));
      }
    }
    for (const mistake m : {mistake::no_wait, mistake::waits_for_too_few, mistake::no_commit, mistake::waits_elsewhere}) {
      check_fault([&] { emulator::launch(1, n, 2 * 16 * n, pipeline, device_in.data(), out.data(), steps, m); },
                  {"a copy that has not been waited for is under way here, started by thread ("});
    }
    check_fault(
        [&] { emulator::launch(1, n, 2 * 16 * n, pipeline, device_in.data(), out.data(), steps, mistake::written_meanwhile); },
        {"a copy that has not been waited for"});
    check_fault([&] { emulator::launch(1, n, 2 * 16 * n, pipeline, device_in.data(), out.data(), steps, mistake::no_barrier); },
                {""});
    check_fault(
        [&] { emulator::launch(1, n, 2 * 16 * n, pipeline, device_in.data(), out.data(), steps, mistake::reused_too_early); },
        {""});
  });
}

BOOST_AUTO_TEST_CASE(copies_into_variables_of_a_kernel_work) {
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6, 7, 8};
  const device_array<float> in(numbers);
  const device_array<float> out(8);
  each_seed([&] {
    emulator::launch(2, 8, 0, copies_into_variables, in.data(), out.data());
    BOOST_CHECK(out.host() == numbers);
  });
}

BOOST_AUTO_TEST_CASE(a_short_copy_is_filled_with_zeros) {
  const device_array<float> in(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  const device_array<float> out(4);
  emulator::launch(1, 1, 16, short_source, in.data(), out.data());
  BOOST_CHECK((out.host() == std::vector<float>{1, 2, 0, 0}));
  check_fault([&] { emulator::launch(1, 1, 32, by_cudas_own_names, in.data(), out.data()); }, {"byte 16 of shared memory"});
  BOOST_CHECK((out.host() == std::vector<float>{1, 2, 3, 0}));
  check_fault([&] { emulator::launch(1, 1, 16, odd_source, in.data()); },
              {"misaligned: copy_async of 16 bytes from global memory"});
}

BOOST_AUTO_TEST_SUITE_END()
