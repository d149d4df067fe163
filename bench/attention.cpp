// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention/: the forward and the backward pass of 8 heads; the forward pass of few queries a head: decoding, a tree of candidates, many small
/// heads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <type_traits>
#include <vector>

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
using tessera::view;

template <class T>
void add_forward(bench::family& attention, const std::string& type, std::int64_t len, std::int64_t d, bool causal,
                 std::int64_t heads = 8) {
  const std::string name =
      "forward " + type + " B1 H" + std::to_string(heads) + " S" + std::to_string(len) + " D" + std::to_string(d);
  const double pairs = static_cast<double>(causal ? len * (len + 1) / 2 : len * len);
  const double flops = 4.0 * static_cast<double>(heads * d) * pairs;
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
  constexpr std::int64_t heads = 8;
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

constexpr std::int64_t grouped_heads = 32;
constexpr std::int64_t key_heads = 8;
constexpr std::int64_t grouped_d = 128;

/// A call for each of as many layers as hold keys and values that no cache keeps: what a model's step does.
template <class T>
void add_grouped(bench::family& attention, const std::string& type, std::int64_t len_q, std::int64_t len_k) {
  const bool tree = len_q > 1;
  const std::int64_t layer_bytes = 2 * key_heads * len_k * grouped_d * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t layers = tree ? 1 : std::max<std::int64_t>(1, machine::meter::beyond_caches / layer_bytes);
  const std::string name = (tree ? "tree of " + std::to_string(len_q) : std::string("decode")) + " " + type + " H32/8 kv" +
                           std::to_string(len_k) + " D128" + (layers > 1 ? " x" + std::to_string(layers) : "");
  const double flops = 4.0 * static_cast<double>(grouped_heads * len_q * len_k * grouped_d);
  const bench::work work =
      tree ? bench::work{name, flops} : bench::work{name, static_cast<double>(layers * layer_bytes), machine::resource::read};
  attention.add(work, [=](contest& c) {
    const auto q = bench::normal<T>(1, layers, grouped_heads, len_q, grouped_d);
    const auto k = bench::normal<T>(2, layers, key_heads, len_k, grouped_d);
    const auto v = bench::normal<T>(3, layers, key_heads, len_k, grouped_d);
    array<T, 4> out(layers, grouped_heads, len_q, grouped_d);
    // A binary tree: a node sees itself and what its parent sees.
    std::vector<std::uint64_t> nodes(static_cast<std::size_t>(len_q));
    for (std::size_t i = 0; i < nodes.size(); ++i) nodes[i] = (i > 0 ? nodes[(i - 1) / 2] : 0) | std::uint64_t{1} << i;
    const auto visible = [&](std::int64_t i, std::int64_t j) {
      const std::int64_t node = j - (len_k - len_q);
      return !tree || node < 0 || (nodes[static_cast<std::size_t>(i)] >> node & 1U) != 0;
    };
    c.result(out, [&] {
      double error = 0;
      for (std::int64_t l = 0; l < layers; l += 3) {
        for (const std::int64_t h : {0, 3, 31}) {
          const double scale = 1 / std::sqrt(static_cast<double>(grouped_d));
          error = bench::worse(error, bench::attention_error<T>(q[l][h], k[l][h / 4], v[l][h / 4], scale, visible, out[l][h], 4));
        }
      }
      return error;
    });
    const auto layer = [](const auto& x, std::int64_t l) {
      using E = std::remove_pointer_t<decltype(x.data_handle())>;
      return view<E, 4>(x.data_handle() + l * x.stride(0), 1, x.extent(1), x.extent(2), x.extent(3));
    };
    const view<const std::uint64_t, 2> rows(nodes.data(), len_q, 1);
    c.tessera([&] {
      for (std::int64_t l = 0; l < layers; ++l) {
        if (tree) {
          tessera::attention::forward(c.par, layer(q, l), layer(k, l), layer(v, l), layer(out, l),
                                      tessera::attention::options{.mask = tessera::attention::tree{rows}});
        } else {
          tessera::attention::forward(c.par, layer(q, l), layer(k, l), layer(v, l), layer(out, l));
        }
      }
    });
    peers::grouped_attention<T> job{q, k, v, out};
    if (tree) job.tree = view<const std::uint64_t, 1>(nodes.data(), len_q);
    c.peer("torch", peers::torch_grouped_attention(c.threads, job));
    if constexpr (std::is_same_v<T, float>) {
      c.peer("onnxruntime GroupQueryAttention", peers::onnxruntime_grouped_attention(c.threads, job));
    }
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
  for (const std::int64_t d : {64, 128}) add_forward<float>(attention, "float32", 8192, d, false, 2);
  for (const std::int64_t d : {64, 128}) {
    for (const bool causal : {false, true}) {
      add_forward<tessera::bfloat16>(attention, "bfloat16", 2048, d, causal);
      add_forward<tessera::float16>(attention, "float16", 2048, d, causal);
    }
    add_forward<tessera::bfloat16>(attention, "bfloat16", 8192, d, false, 2);
    add_forward<tessera::float16>(attention, "float16", 8192, d, false, 2);
  }
  for (const std::int64_t d : {64, 128}) {
    for (const std::int64_t len : {1024, 2048, 4096}) {
      for (const bool causal : {false, true}) {
        add_backward<float>(attention, "float32", len, d, causal);
        if (len == 2048) add_backward<tessera::bfloat16>(attention, "bfloat16", len, d, causal);
      }
    }
  }
  add_forward<float>(attention, "float32", 64, 32, false, 256);
  for (const std::int64_t len_k : {4096, 8192, 16384, 32768}) {
    add_grouped<float>(attention, "float32", 1, len_k);
    add_grouped<tessera::bfloat16>(attention, "bfloat16", 1, len_k);
  }
  add_grouped<float>(attention, "float32", 64, 4096);
  add_grouped<tessera::bfloat16>(attention, "bfloat16", 64, 4096);
  return attention.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_attention: %s\n", error.what());
  return 1;
}
