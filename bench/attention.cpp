// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention/: the forward pass of 8 heads.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <type_traits>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "support/oracle.hpp"
#include "tessera/attention/forward.hpp"

namespace {

using bench::array;
using bench::contest;

constexpr std::int64_t heads = 8;

template <class T>
void add_forward(bench::family& attention, const std::string& type, std::int64_t len, std::int64_t d, bool causal) {
  const std::string name = "forward " + type + " B1 H8 S" + std::to_string(len) + " D" + std::to_string(d);
  const double pairs = static_cast<double>(causal ? len * (len + 1) / 2 : len * len);
  const double flops = 4.0 * heads * pairs * static_cast<double>(d);
  attention.add({name + (causal ? " causal" : ""), flops}, [=](contest& c) {
    const auto q = bench::normal<T>(1, 1, heads, len, d);
    const auto k = bench::normal<T>(2, 1, heads, len, d);
    const auto v = bench::normal<T>(3, 1, heads, len, d);
    array<T, 4> out(1, heads, len, d);
    c.result(out, [&] {
      double error = 0;
      for (std::int64_t h = 0; h < heads; ++h) {
        const double scale = 1 / std::sqrt(static_cast<double>(d));
        error = bench::worse(error, bench::attention_error<T>(q[0][h], k[0][h], v[0][h], scale, causal, out[0][h], 8));
      }
      return error;
    });
    const auto mask = causal ? tessera::attention::causal : tessera::attention::everything;
    c.tessera([&] { tessera::attention::forward(c.par, q, k, v, out, {.mask = mask}); });
    if constexpr (std::is_same_v<T, float>) {
      c.peer("OpenBLAS sgemm + softmax", peers::openblas_attention(c.threads, {q, k, v, out, causal}));
      c.peer("torch", peers::torch_attention(c.threads, {q, k, v, out, causal}));
      c.peer("onnxruntime", peers::onnxruntime_attention(c.threads, {q, k, v, out, causal}));
      c.run();
    } else {
      array<float, 4> wide_q(1, heads, len, d);
      array<float, 4> wide_k(1, heads, len, d);
      array<float, 4> wide_v(1, heads, len, d);
      array<float, 4> wide_out(1, heads, len, d);
      const auto widen = [&] { convert(c.par, q, wide_q), convert(c.par, k, wide_k), convert(c.par, v, wide_v); };
      const auto narrow = [&] { convert(c.par, wide_out, out); };
      c.peer("widen + OpenBLAS",
             peers::between(widen, peers::openblas_attention(c.threads, {wide_q, wide_k, wide_v, wide_out, causal}), narrow));
      c.peer("torch", peers::torch_attention(c.threads, {q, k, v, out, causal}));
      c.run();
    }
  });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family attention("attention");
  for (const std::int64_t d : {64, 128}) {
    for (const std::int64_t len : {512, 1024, 2048, 4096}) {
      for (const bool causal : {false, true}) add_forward<float>(attention, "float32", len, d, causal);
    }
  }
  for (const std::int64_t d : {64, 128}) {
    for (const bool causal : {false, true}) {
      add_forward<tessera::bfloat16>(attention, "bfloat16", 2048, d, causal);
      add_forward<tessera::float16>(attention, "float16", 2048, d, causal);
    }
  }
  return attention.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_attention: %s\n", error.what());
  return 1;
}
