// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The text of docs/how-to/attend-in-parts.md, against one call for each sequence.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "tessera/attention/accumulate.hpp"

BOOST_AUTO_TEST_CASE(attend_in_parts) {
  const auto numbers_of = [](std::uint64_t seed, std::size_t n) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(support::normal(seed, i));
    return x;
  };
  constexpr std::size_t row = 32;
  const std::vector<float> queries = numbers_of(1, 8 * 4 * row);
  const std::vector<float> prefix_k = numbers_of(2, 4 * 1536 * row);
  const std::vector<float> prefix_v = numbers_of(3, 4 * 1536 * row);
  const std::vector<float> suffix_k = numbers_of(4, 8 * 4 * 64 * row);
  const std::vector<float> suffix_v = numbers_of(5, 8 * 4 * 64 * row);
  std::vector<float> result(8 * 4 * row);
  std::vector<float> state_numbers(2 * 8 * 4 + 8 * 4 * row);
  float* const max = state_numbers.data();
  float* const mass = max + 8 * 4;
  float* const sums = mass + 8 * 4;
  const tessera::view<const float, 4> q(queries.data(), 8, 4, 1, 32);
  const tessera::view<const float, 4> shared_k(prefix_k.data(), 1, 4, 1536, 32);
  const tessera::view<const float, 4> shared_v(prefix_v.data(), 1, 4, 1536, 32);
  const tessera::view<const float, 4> own_k(suffix_k.data(), 8, 4, 64, 32);
  const tessera::view<const float, 4> own_v(suffix_v.data(), 8, 4, 64, 32);
  const tessera::view<float, 4> out(result.data(), 8, 4, 1, 32);
  {
#include "docs/how-to/attend-in-parts_1.inc"
  }
  for (std::size_t n = 0; n < 32; ++n) {  // a head of a sequence
    const auto whole = [&](const std::vector<float>& prefix, const std::vector<float>& suffix) {
      std::vector<float> x(prefix.begin() + static_cast<std::ptrdiff_t>(n % 4 * 1536 * row),
                           prefix.begin() + static_cast<std::ptrdiff_t>((n % 4 + 1) * 1536 * row));
      x.insert(x.end(), suffix.begin() + static_cast<std::ptrdiff_t>(n * 64 * row),
               suffix.begin() + static_cast<std::ptrdiff_t>((n + 1) * 64 * row));
      return x;
    };
    const std::vector<float> k = whole(prefix_k, suffix_k);
    const std::vector<float> v = whole(prefix_v, suffix_v);
    std::vector<float> want(row);
    tessera::attention::forward(tessera::seq, tessera::view<const float, 4>(&queries[n * row], 1, 1, 1, 32),
                                tessera::view<const float, 4>(k.data(), 1, 1, 1600, 32),
                                tessera::view<const float, 4>(v.data(), 1, 1, 1600, 32),
                                tessera::view<float, 4>(want.data(), 1, 1, 1, 32));
    BOOST_TEST(std::memcmp(want.data(), &result[n * row], row * sizeof(float)) == 0);
  }
}
