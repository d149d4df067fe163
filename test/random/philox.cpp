// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/philox.hpp"

#include <array>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <set>
#include <vector>

#include "statistics.hpp"
#include "tessera/reference/random.hpp"

using random_test::mixer;
using tessera::random::philox;
using tessera::random::philox4x32_10;
using tessera::random::philox_block;

BOOST_AUTO_TEST_SUITE(random_philox)

// The known answers for philox4x32 with 10 rounds that Random123 is distributed with.
static_assert(philox4x32_10({{0, 0, 0, 0}}, {{0, 0}}) == philox_block{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
static_assert(philox4x32_10({{~0u, ~0u, ~0u, ~0u}}, {{~0u, ~0u}}) ==
              philox_block{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
static_assert(philox4x32_10({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, {{0xa4093822, 0x299f31d0}}) ==
              philox_block{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});

// The last of them through the address: which words the seed, the stream and the index are.
static_assert(philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
              philox_block{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});

BOOST_AUTO_TEST_CASE(known_answers_at_run_time) {
  // volatile: the compiler must not do this in advance.
  volatile std::uint32_t pi[] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0};
  const philox_block block = philox4x32_10({{pi[0], pi[1], pi[2], pi[3]}}, {{pi[4], pi[5]}});
  BOOST_TEST(block[0] == 0xd16cfe09u);
  BOOST_TEST(block[1] == 0x94fdccebu);
  BOOST_TEST(block[2] == 0x5001e420u);
  BOOST_TEST(block[3] == 0x24126ea1u);
  BOOST_TEST(block.pair(0) == 0x94fdccebd16cfe09u);
  BOOST_TEST(block.pair(1) == 0x24126ea15001e420u);
}

BOOST_AUTO_TEST_CASE(equals_the_reference) {
  mixer random;
  int differing = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = i % 3 == 0 ? 0 : random();
    const std::uint64_t index = i % 2 == 0 ? static_cast<std::uint64_t>(i) : random();
    const auto want = tessera::reference::philox(seed, stream, index);
    differing += !(philox(seed, stream, index) == philox_block{{want[0], want[1], want[2], want[3]}});
  }
  BOOST_TEST(differing == 0);
}

// Flipping any bit of the address flips each bit of the block with probability one half.
BOOST_AUTO_TEST_CASE(every_bit_of_the_address_reaches_every_bit) {
  constexpr int trials = 4000;
  mixer random;
  std::vector<std::array<int, 128>> flips(192);
  for (int t = 0; t < trials; ++t) {
    const std::uint64_t address[3] = {random(), random(), random()};
    const philox_block base = philox(address[0], address[1], address[2]);
    for (std::size_t bit = 0; bit < 192; ++bit) {
      std::uint64_t other[3] = {address[0], address[1], address[2]};
      other[bit / 64] ^= std::uint64_t{1} << bit % 64;
      const philox_block block = philox(other[0], other[1], other[2]);
      for (std::size_t out = 0; out < 128; ++out) {
        flips[bit][out] += static_cast<int>((base.word[out / 32] ^ block.word[out / 32]) >> out % 32 & 1);
      }
    }
  }
  double worst = 0;
  for (const auto& row : flips) {
    for (const int count : row) worst = std::max(worst, std::abs(count - trials / 2.0) / std::sqrt(trials / 4.0));
  }
  BOOST_TEST(worst < 5.5);  // of 24,576 standard normal deviations: 1 in 1000
  BOOST_TEST(worst > 3.0);  // and surely not all of them small
}

// Addresses whose parts are small and alike are the ones that people use.
BOOST_AUTO_TEST_CASE(near_addresses_share_no_words) {
  std::set<std::uint64_t> seen;
  std::size_t pairs = 0;
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    for (std::uint64_t stream = 0; stream < 16; ++stream) {
      for (std::uint64_t index = 0; index < 64; ++index) {
        const philox_block block = philox(seed, stream, index);
        seen.insert(block.pair(0));
        seen.insert(block.pair(1));
        pairs += 2;
      }
    }
  }
  BOOST_TEST(seen.size() == pairs);
  BOOST_TEST(!(philox(1, 2, 3) == philox(1, 3, 2)));
  BOOST_TEST(!(philox(1, 2, 3) == philox(2, 1, 3)));
  BOOST_TEST(!(philox(0, 0, std::uint64_t{1} << 32) == philox(0, 1, 0)));
}

BOOST_AUTO_TEST_CASE(bits_of_consecutive_blocks) {
  std::vector<std::int64_t> bytes(256);
  std::array<int, 128> ones{};
  constexpr int blocks = 100000;
  for (std::uint64_t index = 0; index < blocks; ++index) {
    const philox_block block = philox(20, 7, index);
    for (std::size_t i = 0; i < 16; ++i) bytes[block.word[i / 4] >> 8 * (i % 4) & 0xFF] += 1;
    for (std::size_t i = 0; i < 128; ++i) ones[i] += static_cast<int>(block.word[i / 32] >> i % 32 & 1);
  }
  BOOST_TEST(std::abs(random_test::chi_square(bytes)) < 4);
  double worst = 0;
  for (const int count : ones) worst = std::max(worst, std::abs(count - blocks / 2.0) / std::sqrt(blocks / 4.0));
  BOOST_TEST(worst < 4.5);

  bytes[0] += 1000;  // 16 parts in 10,000 of the bytes are zeros that should not be
  BOOST_TEST(random_test::chi_square(bytes) > 4);
}

BOOST_AUTO_TEST_SUITE_END()
