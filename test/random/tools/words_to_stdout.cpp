// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Writes 32-bit words without end to standard output, for batteries of statistical tests that read them:
//   c++ -std=c++20 -O2 -march=native -Iinclude test/random/tools/words_to_stdout.cpp -o words && ./words counter 1 | dieharder -a -g 200
// The second argument is the seed; the first names the words:
//   counter   words 0, 1, 2 … of stream 0
//   streams   word 0 of streams 0, 1, 2 …, then word 1 of them, and so on: 2^16 streams side by side
//   seeds     the same with seeds in place of streams
//   uniform   the lower 16 of the 24 bits of two uniform numbers of float
//   dense     the mantissas of dense uniform numbers of float, bits 0 to 15 of two numbers
//   normal    32 bits of Phi(z) for normal numbers of double: the top 16 and the 16 after them are exchanged, so that tests look at the low ones
//   gumbel    the same of exp(-exp(-g)) for Gumbel numbers of double
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tessera/exec/seq.hpp"
#include "tessera/random.hpp"

namespace {

using tessera::seq;
using tessera::view;
namespace numbers = tessera::random;

constexpr std::size_t batch = std::size_t{1} << 16;

std::uint32_t bits_of(float x) {
  std::uint32_t code = 0;
  static_assert(sizeof code == sizeof x);
  __builtin_memcpy(&code, &x, sizeof x);
  return code;
}

/// The halves of the top 32 bits of p, the lower one first.
std::uint32_t low_first(double p) {
  const auto word = static_cast<std::uint32_t>(static_cast<std::uint64_t>(p * 0x1p32) & 0xFFFFFFFFu);
  return word << 16 | word >> 16;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc > 1 ? argv[1] : "counter";
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  std::vector<std::uint32_t> words(batch);
  std::vector<float> x(2 * batch);
  std::vector<double> y(batch);
  for (std::uint64_t round = 0;; ++round) {
    const std::uint64_t first = round * batch;
    if (kind == "counter") {
      numbers::fill_bits(seq, view(words.data(), batch), seed, 0, first);
    } else if (kind == "streams") {
      for (std::size_t i = 0; i < batch; ++i) words[i] = numbers::bits<std::uint32_t>(seed, i, round);
    } else if (kind == "seeds") {
      for (std::size_t i = 0; i < batch; ++i) words[i] = numbers::bits<std::uint32_t>(seed + i, 0, round);
    } else if (kind == "uniform") {
      numbers::fill_uniform(seq, view(x.data(), 2 * batch), seed, 0, 2 * first);
      const auto low = [](float u) { return static_cast<std::uint32_t>(u * 0x1p24f) & 0xFFFFu; };
      for (std::size_t i = 0; i < batch; ++i) words[i] = low(x[2 * i]) << 16 | low(x[2 * i + 1]);
    } else if (kind == "dense") {
      numbers::fill_uniform_dense(seq, view(x.data(), 2 * batch), seed, 0, 2 * first);
      for (std::size_t i = 0; i < batch; ++i) words[i] = bits_of(x[2 * i]) << 16 | (bits_of(x[2 * i + 1]) & 0xFFFFu);
    } else if (kind == "normal") {
      numbers::fill_normal(seq, view(y.data(), batch), seed, 0, first);
      for (std::size_t i = 0; i < batch; ++i) words[i] = low_first(0.5 * std::erfc(-y[i] / std::sqrt(2.0)));
    } else if (kind == "gumbel") {
      numbers::fill_gumbel(seq, view(y.data(), batch), seed, 0, first);
      for (std::size_t i = 0; i < batch; ++i) words[i] = low_first(std::exp(-std::exp(-y[i])));
    } else {
      std::fprintf(stderr, "words_to_stdout: %s is none of counter, streams, seeds, uniform, dense, normal, gumbel\n",
                   kind.c_str());
      return 1;
    }
    if (std::fwrite(words.data(), sizeof words[0], batch, stdout) != batch) return 0;
  }
}
