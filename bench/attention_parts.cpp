// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention/: what nobody else has on a CPU, beside the nearest call of ours: derivatives along tangents, parts and their merging, caches in
/// pages, ragged batches.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "support/oracle.hpp"
#include "tessera/attention/accumulate.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/attention/jvp.hpp"
#include "tessera/attention/merge.hpp"
#include "tessera/attention/paged.hpp"
#include "tessera/attention/ragged.hpp"

namespace {

using bench::array;
using bench::contest;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t heads = 8;
constexpr std::int64_t d = 64;

/// The error of the first head.
template <class Q, class K, class V, class Out>
double first_head_error(const Q& q, const K& k, const V& v, const Out& out, bool causal = false) {
  return bench::attention_error<float>(q[0][0], k[0][0], v[0][0], 1 / std::sqrt(static_cast<double>(q.extent(3))), causal,
                                       out[0][0], 8);
}

void add_jvp(bench::family& family, std::int64_t len) {
  const double flops = 12.0 * static_cast<double>(heads * len * len * d);
  family.add({"jvp float32 B1 H8 S" + std::to_string(len) + " D64", flops}, [=](contest& c) {
    const auto q = bench::normal<float>(1, 1, heads, len, d);
    const auto k = bench::normal<float>(2, 1, heads, len, d);
    const auto v = bench::normal<float>(3, 1, heads, len, d);
    const auto dq = bench::normal<float>(4, 1, heads, len, d);
    const auto dk = bench::normal<float>(5, 1, heads, len, d);
    const auto dv = bench::normal<float>(6, 1, heads, len, d);
    array<float, 4> out(1, heads, len, d);
    array<float, 4> dout(1, heads, len, d);
    c.result(out, [&] { return first_head_error(q, k, v, out); });
    c.tessera([&] { attention::jvp(c.par, q, k, v, dq, dk, dv, out, dout); });
    const peers::side forward = peers::timed([&] { attention::forward(c.par, q, k, v, out); });
    c.peer("forward x 3", {[=](int calls) { return 3 * forward.seconds(calls); }});
    c.run();
  });
}

/// All keys in parts of 960, as they would arrive from elsewhere.
void add_parts(bench::family& family, std::int64_t len) {
  const double flops = 4.0 * static_cast<double>(heads * len * len * d);
  family.add({"accumulate float32 H8 S" + std::to_string(len) + " D64, parts of 960", flops}, [=](contest& c) {
    const auto q = bench::normal<float>(1, 1, heads, len, d);
    const auto k = bench::normal<float>(2, 1, heads, len, d);
    const auto v = bench::normal<float>(3, 1, heads, len, d);
    array<float, 4> out(1, heads, len, d);
    array<float, 3> max(1, heads, len);
    array<float, 3> mass(1, heads, len);
    array<float, 4> sums(1, heads, len, d);
    c.result(out, [&] { return first_head_error(q, k, v, out); });
    const attention::states<float> states{max, mass, sums};
    c.tessera([&] {
      attention::reset(states);
      for (std::int64_t first = 0; first < len; first += 960) {
        const std::int64_t count = std::min<std::int64_t>(960, len - first);
        const auto part = [&](const auto& x) {
          return view<const float, 4>(x.data_handle() + first * d, {1, heads, count, d}, {heads * len * d, len * d, d, 1});
        };
        attention::accumulate(c.par, q, part(k), part(v), states, {.first_key = first, .len_q = len, .len_k = len});
      }
      attention::finish(c.par, states, out);
    });
    c.peer("forward", peers::timed([&] { attention::forward(c.par, q, k, v, out); }));
    c.run();
  });
}

void add_merge(bench::family& family, std::int64_t parts) {
  constexpr std::int64_t len = 4096;
  const double bytes = static_cast<double>((parts + 1) * heads * len * (d + 1)) * sizeof(float);
  family.add({"merge float32 of " + std::to_string(parts) + ", H8 S4096 D64", bytes, machine::resource::copy}, [=](contest& c) {
    const auto outs = bench::normal<float>(1, parts, 1, heads, len, d);
    const auto lses = bench::normal<float>(2, parts, 1, heads, len);
    array<float, 4> out(1, heads, len, d);
    array<float, 3> lse(1, heads, len);
    c.result(out, [&] {
      double error = 0;
      for (std::int64_t i = 0; i < len; i += 97) {
        double mass = 0;
        double sum = 0;
        for (std::int64_t p = 0; p < parts; ++p) {
          const double weight = std::exp(static_cast<double>(lses(p, 0, 3, i)));
          mass += weight;
          sum += weight * static_cast<double>(outs(p, 0, 3, i, 5));
        }
        error = bench::worse(error, std::abs(static_cast<double>(out(0, 3, i, 5)) - sum / mass));
      }
      return error;
    });
    c.tessera([&] { attention::merge(c.par, outs, lses, out, lse); });
    c.peer("nobody", {});
    c.run();
  });
}

/// A token for each of 8 sequences with caches of 4096 keys, 32 heads on 8; pages are dealt out at random.
template <class T>
void add_paged(bench::family& family, const std::string& type, std::int64_t page) {
  constexpr std::int64_t batch = 8;
  constexpr std::int64_t len = 4096;
  constexpr std::int64_t kv_heads = 8;
  constexpr std::int64_t dim = 128;
  const double bytes = 2.0 * batch * kv_heads * len * dim * sizeof(T);
  family.add({"decode " + type + " B8 H32/8 kv4096 D128, pages of " + std::to_string(page), bytes, machine::resource::read},
             [=](contest& c) {
               const auto q = bench::normal<T>(1, batch, 4 * kv_heads, 1, dim);
               const auto k = bench::normal<T>(2, batch, kv_heads, len, dim);
               const auto v = bench::normal<T>(3, batch, kv_heads, len, dim);
               const std::int64_t each = (len + page - 1) / page;
               array<T, 4> keys(batch * each, kv_heads, page, dim);
               array<T, 4> values(batch * each, kv_heads, page, dim);
               std::vector<std::int32_t> table(static_cast<std::size_t>(batch * each));
               for (std::size_t n = 0; n < table.size(); ++n) table[n] = static_cast<std::int32_t>(n);
               std::uint32_t state = 1;
               for (std::size_t n = table.size() - 1; n > 0; --n) {
                 state = state * 1664525U + 1013904223U;
                 std::swap(table[n], table[(state >> 8) % (n + 1)]);
               }
               for (std::int64_t b = 0; b < batch; ++b) {
                 for (std::int64_t h = 0; h < kv_heads; ++h) {
                   for (std::int64_t j = 0; j < len; ++j) {
                     const std::int64_t to = table[static_cast<std::size_t>(b * each + j / page)];
                     std::copy_n(&k(b, h, j, 0), dim, &keys(to, h, j % page, 0));
                     std::copy_n(&v(b, h, j, 0), dim, &values(to, h, j % page, 0));
                   }
                 }
               }
               const std::vector<std::int32_t> lengths(batch, static_cast<std::int32_t>(len));
               array<T, 4> out(batch, 4 * kv_heads, 1, dim);
               c.result(out, [&] {
                 const double scale = 1 / std::sqrt(static_cast<double>(dim));
                 return bench::attention_error<T>(q[1][5], k[1][1], v[1][1], scale, false, out[1][5], 1);
               });
               const attention::paged cache(keys, values, view<const std::int32_t, 2>(table.data(), batch, each),
                                            view<const std::int32_t, 1>(lengths.data(), batch));
               c.tessera([&] { attention::forward(c.par, q, cache, out); });
               c.peer("the same at one stride", peers::timed([&] { attention::forward(c.par, q, k, v, out); }));
               c.run();
             });
}

/// Sequences of 16 to 1039 tokens, causal, one after another; beside calls for each alone.
void add_ragged(bench::family& family) {
  std::vector<std::int32_t> offsets{0};
  double pairs = 0;
  for (std::int32_t n = 0; n < 32; ++n) {
    const std::int32_t len = 16 + n * 619 % 1024;
    offsets.push_back(offsets.back() + len);
    pairs += 0.5 * len * (len + 1);
  }
  const std::int64_t total = offsets.back();
  family.add({"ragged float32 32 sequences, 16..1039, H8 D64, causal", 4.0 * heads * d * pairs}, [=](contest& c) {
    const auto q = bench::normal<float>(1, heads, total, d);
    const auto k = bench::normal<float>(2, heads, total, d);
    const auto v = bench::normal<float>(3, heads, total, d);
    array<float, 3> out(heads, total, d);
    const view<const std::int32_t, 1> at(offsets.data(), static_cast<std::int64_t>(offsets.size()));
    const auto sequence = [&](const auto& x, std::size_t n) {
      return view(x.data_handle() + offsets[n] * d, {1, heads, offsets[n + 1] - offsets[n], d},
                  {heads * total * d, total * d, d, 1});
    };
    c.result(out, [&] { return first_head_error(sequence(q, 9), sequence(k, 9), sequence(v, 9), sequence(out, 9), true); });
    const attention::options<> options{.mask = attention::causal};
    c.tessera([&] { attention::forward(c.par, q, k, v, out, attention::ragged{at, at}, options); });
    c.peer("a call for each", peers::timed([&] {
             for (std::size_t n = 0; n + 1 < offsets.size(); ++n) {
               attention::forward(c.par, sequence(q, n), sequence(k, n), sequence(v, n), sequence(out, n), options);
             }
           }));
    c.run();
  });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family family("attention_parts");
  add_jvp(family, 1024);
  add_jvp(family, 4096);
  add_parts(family, 4096);
  add_merge(family, 2);
  add_merge(family, 8);
  for (const std::int64_t page : {1, 16, 256}) {
    add_paged<float>(family, "float32", page);
    add_paged<tessera::bfloat16>(family, "bfloat16", page);
  }
  add_ragged(family);
  return family.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_attention_parts: %s\n", error.what());
  return 1;
}
