// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/bits.hpp"

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>

#include "statistics.hpp"
#include "tessera/random/detail/block_group.hpp"
#include "tessera/reference/random.hpp"

using random_test::mixer;
using tessera::random::bits;
namespace detail = tessera::random::detail;

namespace {

/// An instruction set of so many bytes a register, as an executor names it.
template <int Bytes>
struct with_registers {
  struct arch {
    static constexpr std::size_t alignment() { return Bytes; }
  };
};

}  // namespace

BOOST_AUTO_TEST_SUITE(random_bits)

static_assert(bits<std::uint32_t>(0, 0, 0) == 0x6627e8d5u && bits<std::uint32_t>(0, 0, 3) == 0x9b00dbd8u);
static_assert(bits<std::uint64_t>(0, 0, 0) == 0xe169c58d6627e8d5u && bits<std::uint64_t>(0, 0, 1) == 0x9b00dbd8bc57ac4cu);

BOOST_AUTO_TEST_CASE(equals_the_reference) {
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t seed = random();
    const std::uint64_t stream = random() >> (i % 64);
    const std::uint64_t index = random() >> (i % 61);
    wrong += bits<std::uint32_t>(seed, stream, index) != tessera::reference::random_word<float>(seed, stream, index);
    wrong += bits<std::uint64_t>(seed, stream, index) != tessera::reference::random_word<double>(seed, stream, index);
    const std::uint64_t k = 1 + random() % 100;
    const detail::further_blocks further(seed, stream, index / 4);
    const detail::further_words<std::uint32_t> words(further, static_cast<int>(index % 4));
    wrong += words(k) != tessera::reference::further_word<float>(seed, stream, index, k);
  }
  BOOST_TEST(wrong == 0);
}

// Every register width that the compiler's flags allow, at blocks whose counter, stream and key have bits everywhere.
template <int Bytes>
void check_groups() {
  constexpr std::size_t blocks = detail::group_blocks;
  alignas(64) std::uint32_t words[4 * blocks];
  alignas(64) std::uint64_t wide[2 * blocks];
  alignas(64) std::uint32_t a[2 * blocks];
  alignas(64) std::uint32_t b[2 * blocks];
  alignas(64) std::uint64_t wide_a[blocks];
  alignas(64) std::uint64_t wide_b[blocks];
  mixer random;
  int wrong = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t seed = i == 0 ? ~std::uint64_t{0} : random();
    const std::uint64_t stream = i == 1 ? ~std::uint64_t{0} : random() >> (i % 64);
    const std::uint64_t first = (i == 2 ? ~std::uint64_t{0} : random() >> (i % 63)) / blocks * blocks;
    const detail::block_source<with_registers<Bytes>> source(seed, stream);
    source.words_of(first, words);
    source.words_of(first, wide);
    source.pairs_of(first, a, b);
    source.pairs_of(first, wide_a, wide_b);
    for (std::size_t k = 0; k < blocks; ++k) {
      const auto want = tessera::reference::philox(seed, stream, first + k);
      const auto low = want[0] + 0x100000000u * std::uint64_t{want[1]};
      const auto high = want[2] + 0x100000000u * std::uint64_t{want[3]};
      for (std::size_t w = 0; w < 4; ++w) wrong += words[4 * k + w] != want[w];
      wrong += wide[2 * k] != low || wide[2 * k + 1] != high || wide_a[k] != low || wide_b[k] != high;
      wrong += a[2 * k] != want[0] || b[2 * k] != want[1] || a[2 * k + 1] != want[2] || b[2 * k + 1] != want[3];
    }
  }
  BOOST_TEST(wrong == 0);
}
BOOST_AUTO_TEST_CASE(groups_of_blocks) {
  check_groups<8>();
  check_groups<16>();
  check_groups<32>();
  check_groups<64>();
}

BOOST_AUTO_TEST_SUITE_END()
