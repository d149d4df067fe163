// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The text of docs/how-to/batch-sequences.md, against one call for each sequence.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"
#include "tessera/attention/append.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

std::vector<float> numbers_of(std::uint64_t seed, std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(tessera::bfloat16(support::normal(seed, i)));
  return x;
}

/// Whether `out` [heads][len] is causal attention of a sequence alone, whose rows are `step` apart and heads `head`.
bool is_forward(const float* q, const float* k, const float* v, const float* out, std::int64_t len_q, std::int64_t len_k,
                std::int64_t q_head, std::int64_t q_row, std::int64_t k_head, std::int64_t k_row) {
  std::vector<float> want(static_cast<std::size_t>(4 * len_q * 32));
  const tessera::view<const float, 4> keys(k, {1, 2, len_k, 32}, {0, k_head, k_row, 1});
  const tessera::view<const float, 4> values(v, {1, 2, len_k, 32}, {0, k_head, k_row, 1});
  tessera::attention::forward(tessera::seq, tessera::view<const float, 4>(q, {1, 4, len_q, 32}, {0, q_head, q_row, 1}), keys,
                              values, tessera::view<float, 4>(want.data(), 1, 4, len_q, 32),
                              {.mask = tessera::attention::causal});
  bool same = true;
  for (std::int64_t n = 0; n < 4 * len_q; ++n) {
    same = same && std::memcmp(&want[static_cast<std::size_t>(n * 32)], out + n / len_q * q_head + n % len_q * q_row,
                               32 * sizeof(float)) == 0;
  }
  return same;
}

}  // namespace

BOOST_AUTO_TEST_CASE(batch_sequences_one_after_another) {
  const std::vector<float> queries = numbers_of(1, 345 * 4 * 32);
  const std::vector<float> keys = numbers_of(2, 345 * 2 * 32);
  const std::vector<float> values = numbers_of(3, 345 * 2 * 32);
  std::vector<float> result(345 * 4 * 32);
  const float* const q = queries.data();
  const float* const k = keys.data();
  const float* const v = values.data();
  float* const out = result.data();
  {
#include "docs/how-to/batch-sequences_1.inc"
  }
  for (const auto& [first, len] : {std::pair<std::int64_t, std::int64_t>{0, 5}, {5, 300}, {305, 40}}) {
    BOOST_TEST(is_forward(q + first * 128, k + first * 64, v + first * 64, out + first * 128, len, len, 32, 128, 32, 64));
  }
}

BOOST_AUTO_TEST_CASE(batch_sequences_in_a_cache) {
  const std::vector<float> numbers = numbers_of(4, 53 * 8 * 32);
  const std::vector<float> later = numbers_of(5, 2 * 8 * 32);
  std::vector<float> prompt_result(53 * 4 * 32);
  std::vector<float> result(2 * 4 * 32);
  std::vector<tessera::bfloat16> key_memory(8 * 2 * 16 * 32);
  std::vector<tessera::bfloat16> value_memory(key_memory);
  tessera::bfloat16* const keys = key_memory.data();
  tessera::bfloat16* const values = value_memory.data();
  const float* const first = numbers.data();
  const tessera::view<const float, 3> prompt_q(first, 4, 53, 32);
  const tessera::view<const float, 3> prompt_k(first + 53 * 4 * 32, 2, 53, 32);
  const tessera::view<const float, 3> prompt_v(first + 53 * 6 * 32, 2, 53, 32);
  const tessera::view<float, 3> prompt_out(prompt_result.data(), 4, 53, 32);
  const tessera::view<const float, 4> q(later.data(), 2, 4, 1, 32);
  const tessera::view<const float, 4> k(later.data() + 2 * 4 * 32, 2, 2, 1, 32);
  const tessera::view<const float, 4> v(later.data() + 2 * 6 * 32, 2, 2, 1, 32);
  const tessera::view<float, 4> out(result.data(), 2, 4, 1, 32);
  {
#include "docs/how-to/batch-sequences_2.inc"
  }
  for (const std::int64_t b : {0, 1}) {
    const std::int64_t begin = b == 0 ? 0 : 20;
    const std::int64_t len = b == 0 ? 20 : 33;
    BOOST_TEST(is_forward(&prompt_q(0, begin, 0), &prompt_k(0, begin, 0), &prompt_v(0, begin, 0), &prompt_out(0, begin, 0), len,
                          len, 53 * 32, 32, 53 * 32, 32));
    std::vector<float> all_k;
    std::vector<float> all_v;
    for (std::int64_t h = 0; h < 2; ++h) {
      all_k.insert(all_k.end(), &prompt_k(h, begin, 0), &prompt_k(h, begin, 0) + len * 32);
      all_k.insert(all_k.end(), &k(b, h, 0, 0), &k(b, h, 0, 0) + 32);
      all_v.insert(all_v.end(), &prompt_v(h, begin, 0), &prompt_v(h, begin, 0) + len * 32);
      all_v.insert(all_v.end(), &v(b, h, 0, 0), &v(b, h, 0, 0) + 32);
    }
    BOOST_TEST(is_forward(&q(b, 0, 0, 0), all_k.data(), all_v.data(), &out(b, 0, 0, 0), 1, len + 1, 32, 32, (len + 1) * 32, 32));
  }
}
