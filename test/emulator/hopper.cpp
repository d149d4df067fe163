// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Barriers that count bytes, the copy engine and products of warpgroups: a product of matrices in the manner of Hopper, right and with mistakes.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "support.hpp"
#include "tessera/cuda/barrier.cuh"
#include "tessera/cuda/hopper/mbarrier.cuh"
#include "tessera/cuda/hopper/tensor_copy.cuh"
#include "tessera/cuda/hopper/warpgroup_mma.cuh"
#include "tessera/numeric/float16.hpp"

namespace {

namespace hopper = tessera::cuda::hopper;
using tessera::float16;

constexpr int rows = 64;   // of a
constexpr int depth = 64;  // of one stage
constexpr int stages = 2;
constexpr int tile_bytes = rows * depth * 2;

enum class mistake {
  none,
  reads_at_once,        // does not wait for the copy
  waits_for_the_other,  // waits for the barrier of another stage
  overwrites,           // the producer does not wait for the consumer
  lets_go_too_early,    // the consumer lets go before its product is done
  reads_sums_at_once,   // takes the sums before the wait
  expects_less,
  expects_more,
  forgets_a_warp,  // a barrier of more arrivals than arrive
  no_init,
  no_fence,
  inits_too_late,
};

/// out [64, 64] = a [64, k] b [64, k]^T: thread 128 hands tiles to the copy engine, a warpgroup multiplies.
__global__ void multiply(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, float* out, int steps,
                         mistake m) {
  std::byte* const memory = tessera::cuda::dynamic_shared_memory();
  auto* const words = reinterpret_cast<std::uint64_t*>(memory + stages * 2 * tile_bytes);
  const auto full = [&](int stage) { return hopper::mbarrier(words + stage); };
  const auto empty = [&](int stage) { return hopper::mbarrier(words + stages + stage); };
  if (threadIdx.x == 0 && m != mistake::no_init) {
    for (int s = 0; s < stages; ++s) {
      full(s).init(1);
      empty(s).init(m == mistake::forgets_a_warp ? 2 : 1);
    }
    if (m != mistake::no_fence) hopper::mbarrier::fence_init();
  }
  if (m != mistake::inits_too_late) __syncthreads();
  hopper::pipeline_position<stages> at;
  if (threadIdx.x >= 128) {
    if (threadIdx.x != 128) return;
    for (int step = 0; step < steps; ++step, at.advance()) {
      if (m != mistake::overwrites) empty(at.stage).wait(at.parity ^ 1u);
      const unsigned bytes = 2 * tile_bytes;
      full(at.stage).arrive_and_expect(m == mistake::expects_less   ? bytes - 128
                                       : m == mistake::expects_more ? bytes + 128
                                                                    : bytes);
      std::byte* const tile = memory + at.stage * 2 * tile_bytes;
      hopper::copy_box(tile, a, full(at.stage), step * depth, 0, 0, 0);
      hopper::copy_box(tile + tile_bytes, b, full(at.stage), step * depth, 0, 0, 0);
    }
    return;
  }
  float sums[8][4] = {};
  for (int step = 0; step < steps; ++step, at.advance()) {
    if (m == mistake::waits_for_the_other) {
      if (step + 1 < steps) full(1 - at.stage).wait(step / 2 % 2 == 0 || at.stage == 0 ? at.parity : at.parity ^ 1u);
    } else if (m != mistake::reads_at_once) {
      full(at.stage).wait(at.parity);
    }
    const std::byte* const tile = memory + at.stage * 2 * tile_bytes;
    const auto left = hopper::operand_descriptor::of(tile, 0);
    const auto right = hopper::operand_descriptor::of(tile + tile_bytes, 0);
    hopper::fence_operands();
    for (int k = 0; k < depth / 16; ++k) {
      hopper::multiply<float16, hopper::operand::rows>(sums, left.after(32 * k), right.after(32 * k), true);
    }
    hopper::commit_products();
    if (m == mistake::lets_go_too_early && threadIdx.x == 7) empty(at.stage).arrive();
    if (m != mistake::reads_sums_at_once) hopper::wait_products<0>();
    hopper::settle(sums);
    if (m != mistake::lets_go_too_early && m != mistake::reads_sums_at_once && threadIdx.x == 7) empty(at.stage).arrive();
  }
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4;
  for (int n = 0; n < 8; ++n) {
    for (int i = 0; i < 4; ++i) out[(row + 8 * (i / 2)) * 64 + 8 * n + 2 * (lane % 4) + i % 2] = sums[n][i];
  }
}

std::vector<float16> numbers(int count, std::uint32_t seed) {
  std::vector<float16> x(static_cast<std::size_t>(count));
  for (auto& v : x) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<float16>(static_cast<float>(seed >> 24) / 256.0f - 0.5f);
  }
  return x;
}

struct product {
  static constexpr int k = 5 * depth - 8;  // the last stage is not full
  std::vector<float16> a = numbers(rows * k, 1);
  std::vector<float16> b = numbers(rows * k, 2);
  device_array<float16> on_device_a{a};
  device_array<float16> on_device_b{b};
  device_array<float> out{64 * 64};

  static CUtensorMap map(const device_array<float16>& x) {
    const std::int64_t n = k;
    return hopper::map_rows<float16>(tessera::view<const float16, 4>(x.data(), 1, 1, rows, n), rows);
  }
  void run(mistake m, int steps = 5) const {
    const auto kernel = reinterpret_cast<const void*>(multiply);
    const int bytes = stages * 2 * tile_bytes + 1024;
    BOOST_REQUIRE(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) == cudaSuccess);
    BOOST_REQUIRE((emulator::launch(1, 160, static_cast<std::size_t>(bytes), multiply, map(on_device_a), map(on_device_b),
                                    out.data(), steps, m) == cudaSuccess));
  }
  /// The greatest error by the bound of a float32 sum.
  [[nodiscard]] double error() const {
    const auto got = out.host();
    double worst = 0;
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < 64; ++j) {
        double sum = 0;
        double size = 0;
        for (int x = 0; x < k; ++x) {
          const double term = static_cast<double>(static_cast<float>(a[static_cast<std::size_t>(i * k + x)])) *
                              static_cast<double>(static_cast<float>(b[static_cast<std::size_t>(j * k + x)]));
          sum += term;
          size += std::abs(term);
        }
        const double e = std::abs(static_cast<double>(got[static_cast<std::size_t>(i * 64 + j)]) - sum) / (size * k * 0x1p-24);
        worst = e > worst || std::isnan(e) ? e : worst;
      }
    }
    return worst;
  }
};

// ---- Boxes ----

__global__ void fetch(const __grid_constant__ CUtensorMap map, std::uint8_t* out, int bytes, int x, int y, int z) {
  std::byte* const memory = emulator::dynamic_shared_memory();
  void* const barrier = memory + bytes;
  if (threadIdx.x == 0) {
    emulator::mbarrier_init(barrier, 1);
    emulator::fence_async();
    emulator::mbarrier_arrive_expect(barrier, static_cast<unsigned>(bytes));
    const int at[3] = {x, y, z};
    emulator::tensor_copy(memory, &map, barrier, at);
    emulator::mbarrier_wait(barrier, 0);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += 32) {
    emulator::check_shared(memory + i, 1, emulator::access::read);
    out[i] = static_cast<std::uint8_t>(memory[i]);
  }
}

__global__ void bulk(const float* in, float* out, int n, bool wait) {
  std::byte* const memory = emulator::dynamic_shared_memory();
  void* const barrier = memory + 4 * n;
  if (threadIdx.x == 0) {
    emulator::mbarrier_init(barrier, 2);
    emulator::fence_async();
    emulator::mbarrier_expect(barrier, static_cast<unsigned>(4 * n));
    emulator::bulk_copy(memory, in, static_cast<unsigned>(4 * n), barrier);
  }
  __syncthreads();
  if (threadIdx.x % 32 == 0) emulator::mbarrier_arrive(barrier);
  if (threadIdx.x == 40 && wait) {
    while (!emulator::mbarrier_test(barrier, 0)) {
    }
  }
  __syncthreads();  // what one thread has waited for, all of them may read
  for (int i = static_cast<int>(threadIdx.x); i < n; i += 64) {
    emulator::check_shared(memory + 4 * i, 4, emulator::access::read);
    std::memcpy(out + i, memory + 4 * i, 4);
  }
}
__global__ void ends_too_early(const float* in) {
  std::byte* const memory = emulator::dynamic_shared_memory();
  emulator::mbarrier_init(memory + 1024, 1);
  emulator::fence_async();
  emulator::bulk_copy(memory, in, 64, memory + 1024);
}
__global__ void arrives_too_often() {
  void* const barrier = emulator::dynamic_shared_memory();
  emulator::mbarrier_init(barrier, 1);
  emulator::mbarrier_arrive_expect(barrier, 16);
  emulator::mbarrier_arrive(barrier);
}
/// A product of what threads have written themselves.
__global__ void multiply_written(float* out, bool fence) {
  std::byte* const memory = tessera::cuda::dynamic_shared_memory();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * tile_bytes / 16; i += 128) {
    emulator::check_shared(memory + 16 * i, 16, emulator::access::write);
    std::memset(memory + 16 * i, 0, 16);
  }
  if (fence) emulator::fence_async();
  __syncthreads();
  float sums[8][4] = {};
  hopper::multiply<float16, hopper::operand::rows>(sums, hopper::operand_descriptor::of(memory, 0),
                                                   hopper::operand_descriptor::of(memory + tile_bytes, 0), true);
  hopper::commit_products();
  hopper::wait_products<0>();
  out[threadIdx.x] = sums[0][0];
}
__global__ void elects(int* out) { out[threadIdx.x] = emulator::elect_one() ? 1 : 0; }

CUresult encode(CUtensorMap* map, void* base, std::uint64_t row_bytes, unsigned width, CUtensorMapSwizzle swizzle) {
  const cuuint64_t extents[3] = {100, 7, 3};
  const cuuint64_t strides[2] = {row_bytes, 7 * row_bytes};
  const cuuint32_t box[3] = {width, 6, 3};
  const cuuint32_t steps[3] = {1, 1, 1};
  return hopper::detail::tensor_map_encoder()(map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, base, extents, strides, box, steps,
                                              CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                                              CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_hopper)

BOOST_AUTO_TEST_CASE(a_pipelined_product_is_right_in_any_order) {
  const product p;
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    p.run(mistake::none);
    BOOST_TEST(p.error() < 1);
  }
}

BOOST_AUTO_TEST_CASE(mistakes_in_a_pipeline_are_caught) {
  const product p;
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    check_fault([&] { p.run(mistake::reads_at_once); }, {"hopper.cpp:"});
    check_fault([&] { p.run(mistake::waits_for_the_other); }, {"hopper.cpp:"});
    check_fault([&] { p.run(mistake::overwrites); }, {"hopper.cpp:"});
    check_fault([&] { p.run(mistake::lets_go_too_early); },
                {"nothing waits for the product of a warpgroup that reads what this writes"});
    check_fault([&] { p.run(mistake::expects_less); }, {"deadlock", "wait at an mbarrier", "lacks 0 arrivals and -128 bytes"});
    check_fault([&] { p.run(mistake::expects_more); }, {"deadlock", "lacks 0 arrivals and 128 bytes"});
    check_fault([&] { p.run(mistake::forgets_a_warp); },
                {"deadlock", "threads 128 wait at an mbarrier", "lacks 1 arrivals and 0 bytes"});
    check_fault([&] { p.run(mistake::no_init); }, {"nobody has written this"});
    check_fault([&] { p.run(mistake::no_fence); },
                {"no fence between this copy and the initialisation of its mbarrier by thread (0,0,0)"});
    check_fault([&] { p.run(mistake::inits_too_late); }, {"hopper.cpp:"});
    p.run(mistake::reads_sums_at_once, stages);
    BOOST_TEST(std::isnan(p.error()));
  }
}

BOOST_AUTO_TEST_CASE(boxes_are_swizzled_and_filled_with_zeros) {
  constexpr std::uint64_t row_bytes = 112;
  std::vector<std::uint8_t> data(3 * 7 * row_bytes);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(1 + i % 251);
  const device_array<std::uint8_t> in(data);
  for (const auto& [swizzle, width] : {std::pair(CU_TENSOR_MAP_SWIZZLE_NONE, 48u),
                                       {CU_TENSOR_MAP_SWIZZLE_32B, 32u},
                                       {CU_TENSOR_MAP_SWIZZLE_64B, 64u},
                                       {CU_TENSOR_MAP_SWIZZLE_128B, 128u}}) {
    CUtensorMap map;
    BOOST_REQUIRE(encode(&map, in.data(), row_bytes, width, swizzle) == CUDA_SUCCESS);
    const int bytes = static_cast<int>(width) * 18;
    const device_array<std::uint8_t> out(static_cast<std::size_t>(bytes));
    for (const int x : {0, 16, 80, -3}) {
      for (const int y : {0, 5, -1}) {
        emulator::launch(1, 32, static_cast<std::size_t>(bytes) + 8, fetch, map, out.data(), bytes, x, y, 1);
        const auto got = out.host();
        for (int r = 0; r < 18; ++r) {
          for (int c = 0; c < static_cast<int>(width); ++c) {
            const int column = x + c;
            const int row = y + r % 6;
            const int plane = 1 + r / 6;
            const bool inside = column >= 0 && column < 100 && row >= 0 && row < 7 && plane < 3;
            const int expected =
                inside ? data[static_cast<std::size_t>((plane * 7 + row) * static_cast<int>(row_bytes) + column)] : 0;
            // As the CUDA programming guide draws it: within 128 bytes, chunks of 16 change places with the number of the line of 128 bytes.
            int at = r * static_cast<int>(width) + c;
            const int line = at / 128;
            if (swizzle == CU_TENSOR_MAP_SWIZZLE_128B) at ^= (line % 8) * 16;
            if (swizzle == CU_TENSOR_MAP_SWIZZLE_64B) at ^= (line % 4) * 16;
            if (swizzle == CU_TENSOR_MAP_SWIZZLE_32B) at ^= (line % 2) * 16;
            BOOST_REQUIRE_EQUAL(static_cast<int>(got[static_cast<std::size_t>(at)]), expected);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(maps_are_checked_as_the_driver_does) {
  const device_array<std::uint8_t> in(4096);
  CUtensorMap map;
  BOOST_TEST((encode(&map, in.data(), 112, 128, CU_TENSOR_MAP_SWIZZLE_128B) == CUDA_SUCCESS));
  BOOST_TEST((encode(&map, in.data() + 8, 112, 128, CU_TENSOR_MAP_SWIZZLE_128B) == CUDA_ERROR_INVALID_VALUE));
  BOOST_TEST((encode(&map, in.data(), 104, 128, CU_TENSOR_MAP_SWIZZLE_128B) == CUDA_ERROR_INVALID_VALUE));
  BOOST_TEST((encode(&map, in.data(), 112, 144, CU_TENSOR_MAP_SWIZZLE_128B) == CUDA_ERROR_INVALID_VALUE));
  BOOST_TEST((encode(&map, in.data(), 112, 40, CU_TENSOR_MAP_SWIZZLE_NONE) == CUDA_ERROR_INVALID_VALUE));
  BOOST_TEST((encode(&map, in.data(), 112, 272, CU_TENSOR_MAP_SWIZZLE_NONE) == CUDA_ERROR_INVALID_VALUE));
  const device_array<std::uint8_t> out(64);
  check_fault([&] { emulator::launch(1, 32, 72, fetch, CUtensorMap{}, out.data(), 64, 0, 0, 0); }, {"no tensor map here"});
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSuccess;
  BOOST_TEST((cudaGetDriverEntryPointByVersion("cuNothing", &function, 12000, 0, &found) == cudaSuccess));
  BOOST_TEST((found == cudaDriverEntryPointSymbolNotFound));
}

BOOST_AUTO_TEST_CASE(bulk_copies_are_counted_by_their_barrier) {
  std::vector<float> numbers_in(256);
  for (std::size_t i = 0; i < 256; ++i) numbers_in[i] = static_cast<float>(i);
  const device_array<float> in(numbers_in);
  const device_array<float> out(256);
  for (const unsigned s : seeds) {
    with_options o({.seed = s});
    emulator::launch(1, 64, 1024 + 8, bulk, in.data(), out.data(), 256, true);
    BOOST_CHECK(out.host() == numbers_in);
    check_fault([&] { emulator::launch(1, 64, 1024 + 8, bulk, in.data(), out.data(), 256, false); }, {"hopper.cpp:"});
    check_fault([&] { emulator::launch(1, 1, 2048, ends_too_early, in.data()); },
                {"the block ends while this copy is under way"});
  }
  check_fault([] { emulator::launch(1, 1, 64, arrives_too_often); }, {"nobody else may arrive"});
}

BOOST_AUTO_TEST_CASE(what_threads_write_goes_to_the_tensor_cores_through_a_fence) {
  const device_array<float> out(128);
  emulator::launch(1, 128, 2 * tile_bytes, multiply_written, out.data(), true);
  BOOST_TEST(out.host()[0] == 0.0f);
  check_fault([&] { emulator::launch(1, 128, 2 * tile_bytes, multiply_written, out.data(), false); },
              {"no fence between this read by the tensor cores and the write by thread ("});
}

BOOST_AUTO_TEST_CASE(one_lane_is_elected) {
  const device_array<int> out(64);
  emulator::launch(1, 64, 0, elects, out.data());
  int sum = 0;
  for (const int x : out.host()) sum += x;
  BOOST_TEST(sum == 2);
}

BOOST_AUTO_TEST_SUITE_END()
