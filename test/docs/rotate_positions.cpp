// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The text of docs/how-to/rotate-positions.md: a prompt at once, and the same prompt with a token after it from a cache.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../support/random.hpp"
#include "tessera/attention/append.hpp"
#include "tessera/attention/rotary_tables.hpp"
#include "tessera/attention/rotate.hpp"

BOOST_AUTO_TEST_CASE(rotate_positions) {
  const auto numbers_of = [](std::uint64_t seed, std::size_t n) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(support::normal(seed, i));
    return x;
  };
  constexpr std::int64_t batch = 2;
  constexpr std::int64_t heads = 4;
  constexpr std::int64_t kv_heads = 2;
  constexpr std::int64_t n = 24;
  constexpr std::int64_t dim = 16;
  const auto query_size = static_cast<std::size_t>(batch * heads * n * dim);
  const auto key_size = static_cast<std::size_t>(batch * kv_heads * n * dim);
  const std::vector<float> queries = numbers_of(1, query_size);
  std::vector<float> keys = numbers_of(2, key_size);
  const std::vector<float> values = numbers_of(3, key_size);
  std::vector<float> result(query_size);
  std::vector<float> cached_result(query_size);
  std::vector<float> cached_keys(static_cast<std::size_t>(batch * kv_heads * 64 * dim));
  std::vector<float> cached_values(cached_keys.size());
  std::vector<float> cos_numbers(64 * dim / 2);
  std::vector<float> sin_numbers(64 * dim / 2);
  std::int64_t held[batch] = {};
  const tessera::view<float, 2> cos(cos_numbers.data(), 64, dim / 2);
  const tessera::view<float, 2> sin(sin_numbers.data(), 64, dim / 2);
  const tessera::view<const float, 4> q(queries.data(), batch, heads, n, dim);
  const tessera::view<float, 4> k(keys.data(), batch, kv_heads, n, dim);
  const tessera::view<const float, 4> v(values.data(), batch, kv_heads, n, dim);
  const tessera::view<float, 4> out(result.data(), batch, heads, n, dim);
  const auto new_q = q;
  const auto new_k = k;
  const auto new_v = v;
  const tessera::view<float, 4> out_of_new(cached_result.data(), batch, heads, n, dim);
  const tessera::view<std::int64_t, 1> lengths(held, batch);
  const tessera::attention::paged<float> cache{.keys = tessera::view<float, 4>(cached_keys.data(), batch, kv_heads, 64, dim),
                                               .values = tessera::view<float, 4>(cached_values.data(), batch, kv_heads, 64, dim),
                                               .lengths = lengths};
  const std::vector<float> as_they_were = keys;
  {
#include "docs/how-to/rotate-positions_1.inc"
#include "docs/how-to/rotate-positions_2.inc"
#include "docs/how-to/rotate-positions_3.inc"
#include "docs/how-to/rotate-positions_4.inc"
  }
  BOOST_TEST(std::memcmp(result.data(), cached_result.data(), result.size() * sizeof(float)) == 0);
  for (std::size_t e = 0; e < keys.size(); ++e) BOOST_TEST(std::fabs(keys[e] - as_they_were[e]) < 1e-5F);
}
