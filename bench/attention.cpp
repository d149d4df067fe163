// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention/: the forward and the backward pass of 8 heads.
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
#include "tessera/attention/backward.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/tile/convert.hpp"

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
      const auto widen = [&] {
        tessera::convert(c.par, q, wide_q), tessera::convert(c.par, k, wide_k), tessera::convert(c.par, v, wide_v);
      };
      const auto narrow = [&] { tessera::convert(c.par, wide_out, out); };
      c.peer("widen + OpenBLAS",
             peers::between(widen, peers::openblas_attention(c.threads, {wide_q, wide_k, wide_v, wide_out, causal}), narrow));
      c.peer("torch", peers::torch_attention(c.threads, {q, k, v, out, causal}));
      c.run();
    }
  });
}

template <class T>
void add_backward(bench::family& attention, const std::string& type, std::int64_t len, std::int64_t d, bool causal) {
  const std::string name = "backward " + type + " B1 H8 S" + std::to_string(len) + " D" + std::to_string(d);
  const double pairs = static_cast<double>(causal ? len * (len + 1) / 2 : len * len);
  const double flops = 10.0 * heads * pairs * static_cast<double>(d);
  attention.add({name + (causal ? " causal" : ""), flops}, [=](contest& c) {
    const auto q = bench::normal<T>(1, 1, heads, len, d);
    const auto k = bench::normal<T>(2, 1, heads, len, d);
    const auto v = bench::normal<T>(3, 1, heads, len, d);
    const auto dout = bench::normal<T>(4, 1, heads, len, d);
    array<T, 4> out(1, heads, len, d);
    array<float, 3> lse(1, heads, len);
    array<T, 5> gradients(3, 1, heads, len, d);
    const tessera::attention::options<> options{.mask = causal ? tessera::attention::causal : tessera::attention::everything};
    tessera::attention::forward(c.par, q, k, v, out, lse, options);
    const std::int64_t h = heads - 1;
    const bench::attention_gradients<T> want(q[0][h], k[0][h], v[0][h], dout[0][h], causal);
    c.result(gradients, [&] { return want.error(gradients[0][0][h], gradients[1][0][h], gradients[2][0][h]); });
    c.tessera(
        [&] { tessera::attention::backward(c.par, q, k, v, out, lse, dout, gradients[0], gradients[1], gradients[2], options); });
    if constexpr (std::is_same_v<T, float>) {
      c.peer("OpenBLAS five sgemm", peers::openblas_attention_backward(c.threads, {q, k, v, out, dout, lse, gradients, causal}));
    }
    c.peer("torch", peers::torch_attention_backward(c.threads, {q, k, v, out, dout, lse, gradients, causal}));
    c.run();
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
  for (const std::int64_t d : {64, 128}) {
    for (const std::int64_t len : {1024, 2048, 4096}) {
      for (const bool causal : {false, true}) {
        add_backward<float>(attention, "float32", len, d, causal);
        if (len == 2048) add_backward<tessera::bfloat16>(attention, "bfloat16", len, d, causal);
      }
    }
  }
  return attention.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_attention: %s\n", error.what());
  return 1;
}
