// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// tile/: the matrix product, and the contraction with its two commonest folds.
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
#include "tessera/online/extremum.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/contraction.hpp"
#include "tessera/tile/convert.hpp"
#include "tessera/tile/matmul.hpp"
#include "tessera/tile/nearest.hpp"
#include "tessera/tile/softmax_rows.hpp"
#include "tessera/tile/softmax_rows_backward.hpp"

namespace {

using bench::array;
using bench::contest;
using bench::view;

/// c [m, n] = a [m, k] b [k, n], all stored as T.
template <class T>
void add_matmul(bench::family& tile, const std::string& type, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::string size = std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k);
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  tile.add(
      {"matmul " + type + " " + size, flops, std::is_same_v<T, double> ? machine::resource::float64 : machine::resource::float32},
      [=](contest& c) {
        const auto a = bench::normal<T>(1, m, k);
        const auto b = bench::normal<T>(2, k, n);
        array<T, 2> out(m, n);
        c.result(out, [&] { return bench::product_error<T, T>(a, b, out); });
        c.tessera([&] { tessera::matmul(c.par, a, b, out); });
        if constexpr (sizeof(T) > 2) {
          c.peer("OpenBLAS", peers::openblas_matmul(c.threads, a, b, out));
          if constexpr (sizeof(T) == 4) c.peer("oneDNN", peers::onednn_matmul(c.threads, a, b, out));
          c.run();
        } else {
          array<float, 2> wide_a(m, k);
          array<float, 2> wide_b(k, n);
          array<float, 2> wide_out(m, n);
          const auto widen = [&] { tessera::convert(c.par, a, wide_a), tessera::convert(c.par, b, wide_b); };
          const auto narrow = [&] { tessera::convert(c.par, wide_out, out); };
          c.peer("widen + OpenBLAS sgemm",
                 peers::between(widen, peers::openblas_matmul(c.threads, wide_a, wide_b, wide_out), narrow));
          c.peer("oneDNN", peers::onednn_matmul(c.threads, a, b, out));
          c.run();
        }
      });
}

std::string size_name(std::int64_t n, std::int64_t m, std::int64_t d) {
  return std::to_string(n) + " x " + std::to_string(m) + " d" + std::to_string(d);
}

/// The nearest of m keys for each of n queries: a vector quantizer, a step of k-means.
void add_argmin(bench::family& tile, std::int64_t n, std::int64_t m, std::int64_t d) {
  const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(d);
  tile.add({"contract argmin float32 " + size_name(n, m, d), flops}, [=](contest& c) {
    const auto queries = bench::normal<float>(1, n, d);
    const auto keys = bench::normal<float>(2, m, d);
    array<std::int32_t, 1> where(n);
    c.result(where, [&] { return bench::nearest_error(queries, keys, where); });
    c.tessera([&] {
      tessera::contract(c.par, queries, keys, tessera::squared_distance{}, tessera::argmin{},
                        [&](std::int64_t i, const auto& nearest) { where(i) = nearest.where; });
    });
    c.peer("OpenBLAS sgemm + argmin", peers::openblas_nearest(c.threads, queries, keys, where));
    c.peer("faiss", peers::faiss_nearest(c.threads, queries, keys, where));
    c.run();
  });
}

/// The k nearest of m keys for each of n queries.
void add_nearest(bench::family& tile, std::int64_t n, std::int64_t m, std::int64_t d, std::int64_t k) {
  const double flops = 2.0 * static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(d);
  tile.add({"nearest " + std::to_string(k) + " float32 " + size_name(n, m, d), flops}, [=](contest& c) {
    const auto queries = bench::normal<float>(1, n, d);
    const auto keys = bench::normal<float>(2, m, d);
    array<std::int32_t, 2> where(n, k);
    array<float, 2> distances(n, k);
    const auto error = [&] {
      array<std::int32_t, 1> best(n);
      for (std::int64_t i = 0; i < n; ++i) best(i) = where(i, 0);
      return bench::nearest_error(queries, keys, best);
    };
    c.result(where, error);
    c.tessera([&] { tessera::nearest(c.par, queries, keys, k, where, distances); });
    c.peer("faiss", peers::faiss_k_nearest(c.threads, queries, keys, where));
    c.run();
  });
}

/// The mean of m values under the softmax of n queries' scaled dot products with m keys.
void add_softmax(bench::family& tile, std::int64_t n, std::int64_t m, std::int64_t d) {
  const double flops = 4.0 * static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(d);
  tile.add({"contract softmax float32 " + size_name(n, m, d), flops}, [=](contest& c) {
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    const auto queries = bench::normal<float>(1, n, d);
    const auto keys = bench::normal<float>(2, m, d);
    const auto values = bench::normal<float>(3, m, d);
    array<float, 2> out(n, d);
    c.result(out, [&] { return bench::attention_error<float>(queries, keys, values, scale, false, out); });
    c.tessera([&] { tessera::contract(c.par, queries, keys, values, tessera::scaled_dot{scale}, tessera::softmax{}, out); });
    const auto one_head = [](const auto& x) { return view(x.data_handle(), 1, 1, x.extent(0), x.extent(1)); };
    c.peer("OpenBLAS sgemm + softmax",
           peers::openblas_attention(c.threads, {one_head(queries), one_head(keys), one_head(values), one_head(out)}));
    c.run();
  });
}

template <class T>
peers::flat flat(const array<T, 2>& x) {
  return view<T, 1>(x.data_handle(), x.size());
}

/// Softmax or log-softmax of n rows, stored as T.
template <class T>
void add_softmax_rows(bench::family& tile, const std::string& type, bool log, std::int64_t n, std::int64_t length) {
  const std::string f = log ? "log_softmax" : "softmax";
  const double bytes = 2.0 * static_cast<double>(n) * static_cast<double>(length) * sizeof(T);
  tile.add({f + "_rows " + type + " " + std::to_string(n) + " x " + std::to_string(length), bytes, machine::resource::copy},
           [=](contest& c) {
             const auto in = bench::normal<T>(1, n, length);
             array<T, 2> out(n, length);
             // Peers round 16 bits twice.
             c.result(out, [&] { return bench::softmax_error<T>(in, log, out); }, sizeof(T) == 2 ? 0.02 : 1e-5);
             c.tessera([&] { log ? tessera::log_softmax_rows(c.par, in, out) : tessera::softmax_rows(c.par, in, out); });
             const peers::rows job{f, n, length, flat(in), flat(in), flat(out)};
             c.peer("oneDNN", peers::onednn_rows(c.threads, job));
             c.peer("torch", peers::torch_rows(c.threads, job));
             c.run();
           });
}

/// The gradients of these.
template <class T>
void add_softmax_rows_backward(bench::family& tile, const std::string& type, bool log, std::int64_t n, std::int64_t length) {
  const std::string f = log ? "log_softmax" : "softmax";
  const double bytes = 3.0 * static_cast<double>(n) * static_cast<double>(length) * sizeof(T);
  tile.add(
      {f + "_rows_backward " + type + " " + std::to_string(n) + " x " + std::to_string(length), bytes, machine::resource::copy},
      [=](contest& c) {
        const auto in = bench::normal<T>(1, n, length);
        const auto g = bench::normal<T>(2, n, length);
        array<T, 2> y(n, length);
        log ? tessera::log_softmax_rows(c.par, in, y) : tessera::softmax_rows(c.par, in, y);
        array<T, 2> out(n, length);
        c.result(out, [&] { return bench::softmax_backward_error<T>(y, g, log, out); });
        c.tessera([&] {
          log ? tessera::log_softmax_rows_backward(c.par, y, g, out) : tessera::softmax_rows_backward(c.par, y, g, out);
        });
        c.peer("torch", peers::torch_rows(c.threads, {f + "_backward", n, length, flat(y), flat(g), flat(out)}));
        c.run();
      });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family tile("tile");
  for (const std::int64_t size : {256, 512, 2048}) add_matmul<float>(tile, "float32", size, size, size);
  add_matmul<float>(tile, "float32", 1000, 37, 2000);  // nothing divides anything
  add_matmul<float>(tile, "float32", 65536, 64, 64);   // tall and skinny
  add_matmul<float>(tile, "float32", 64, 64, 65536);   // long sums
  add_matmul<double>(tile, "float64", 2048, 2048, 2048);
  add_matmul<tessera::bfloat16>(tile, "bfloat16", 2048, 2048, 2048);
  add_matmul<tessera::float16>(tile, "float16", 2048, 2048, 2048);
  for (const std::int64_t d : {64, 192}) add_argmin(tile, 65536, 8192, d);
  for (const std::int64_t k : {1, 10, 100}) add_nearest(tile, 8192, 65536, 64, k);
  for (const std::int64_t d : {64, 192}) add_softmax(tile, 65536, 8192, d);
  for (const bool log : {false, true}) {
    add_softmax_rows<float>(tile, "float32", log, 65536, 64);
    add_softmax_rows<float>(tile, "float32", log, 8192, 1000);
    add_softmax_rows<float>(tile, "float32", log, 512, 32768);
    add_softmax_rows<float>(tile, "float32", log, 1, 262144);
    add_softmax_rows<float>(tile, "float32", log, 64, 262144);
    add_softmax_rows<tessera::bfloat16>(tile, "bfloat16", log, 512, 32768);
    add_softmax_rows_backward<float>(tile, "float32", log, 8192, 1000);
    add_softmax_rows_backward<float>(tile, "float32", log, 512, 32768);
  }
  return tile.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_tile: %s\n", error.what());
  return 1;
}
