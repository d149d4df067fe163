// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// OpenBLAS, and what people build on it.
#include "peers/peers.hpp"

#if BENCH_OPENBLAS

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "peers/passes.hpp"
#include "tessera/exec/exec.hpp"

namespace peers {
namespace {

int size(std::int64_t n) { return static_cast<int>(n); }

/// c = scale a b^T (b [n, k]) or a b (b [k, n]); m, n, k as in BLAS.
void sgemm(CBLAS_TRANSPOSE transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float scale, const float* a,
           const float* b, float* c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, transpose_b, size(m), size(n), size(k), scale, a, size(k), b,
              size(transpose_b == CblasTrans ? k : n), 0, c, size(n));
}

}  // namespace

std::string openblas_version() { return std::string(openblas_get_config()) + ", kernels for " + openblas_get_corename(); }

side openblas_matmul(int threads, view<const float, 2> a, view<const float, 2> b, view<float, 2> c) {
  return timed([=] {
    openblas_set_num_threads(threads);
    sgemm(CblasNoTrans, c.extent(0), c.extent(1), a.extent(1), 1, a.data_handle(), b.data_handle(), c.data_handle());
  });
}

side openblas_matmul(int threads, view<const double, 2> a, view<const double, 2> b, view<double, 2> c) {
  return timed([=] {
    openblas_set_num_threads(threads);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(c.extent(0)), size(c.extent(1)), size(a.extent(1)), 1,
                a.data_handle(), size(a.extent(1)), b.data_handle(), size(b.extent(1)), 0, c.data_handle(), size(c.extent(1)));
  });
}

// Below, the threads share out blocks of queries and each calls a sequential sgemm: the passes between run in parallel, too, and
// nobody waits for the others after each of them.

side openblas_nearest(int threads, view<const float, 2> x, view<const float, 2> y, view<std::int32_t, 1> where) {
  return timed([=, par = tessera::par.threads(threads)] {
    constexpr std::int64_t tall = 4096;
    constexpr std::int64_t wide = 1024;
    const std::int64_t n = x.extent(0);
    const std::int64_t m = y.extent(0);
    const std::int64_t d = x.extent(1);
    openblas_set_num_threads(1);
    std::vector<float> half_squares(static_cast<std::size_t>(m));
    for (std::int64_t j = 0; j < m; ++j) half_squares[static_cast<std::size_t>(j)] = sum_of_squares(&y(j, 0), d) / 2;
    std::vector<float> tiles(static_cast<std::size_t>(threads * tall * wide));
    std::vector<float> bests(static_cast<std::size_t>(n), std::numeric_limits<float>::infinity());
    par.for_each((n + tall - 1) / tall, [&](int worker, std::int64_t block) {
      float* const tile = tiles.data() + worker * tall * wide;
      const std::int64_t i0 = block * tall;
      const std::int64_t rows = std::min(tall, n - i0);
      for (std::int64_t j0 = 0; j0 < m; j0 += wide) {
        const std::int64_t columns = std::min(wide, m - j0);
        sgemm(CblasTrans, rows, columns, d, 1, &x(i0, 0), &y(j0, 0), tile);
        for (std::int64_t i = 0; i < rows; ++i) {
          keep_smallest(half_squares.data() + j0, tile + i * columns, columns, static_cast<std::int32_t>(j0),
                        bests[static_cast<std::size_t>(i0 + i)], where(i0 + i));
        }
      }
    });
  });
}

side openblas_linear_cross_entropy(int threads, const linear_cross_entropy& job) {
  const std::int64_t n = job.hidden.extent(0);
  const std::int64_t classes = job.weight.extent(0);
  // The logits stay from call to call: new pages would cost more than the pass.
  const auto logits = std::make_shared<std::vector<float>>(static_cast<std::size_t>(n * classes));
  return timed([=, par = tessera::par.threads(threads)] {
    openblas_set_num_threads(threads);
    sgemm(CblasTrans, n, classes, job.hidden.extent(1), 1, job.hidden.data_handle(), job.weight.data_handle(), logits->data());
    std::vector<float> losses(static_cast<std::size_t>(n));
    par.for_each(n, [&](int, std::int64_t i) {
      const float* const z = logits->data() + i * classes;
      losses[static_cast<std::size_t>(i)] = log_sum_of_exponentials(z, classes) - z[job.target(i)];
    });
    double sum = 0;
    for (const float loss : losses) sum += static_cast<double>(loss);
    job.loss(0) = static_cast<float>(sum / static_cast<double>(n));
  });
}

side openblas_attention(int threads, const attention<float>& job) {
  return timed([=, par = tessera::par.threads(threads)] {
    constexpr std::int64_t tall = 256;
    const std::int64_t len_q = job.q.extent(2);
    const std::int64_t len_k = job.k.extent(2);
    const std::int64_t d = job.q.extent(3);
    const std::int64_t blocks = (len_q + tall - 1) / tall;
    const float scale = 1 / std::sqrt(static_cast<float>(d));
    openblas_set_num_threads(1);
    std::vector<float> tiles(static_cast<std::size_t>(threads * tall * len_k));
    par.for_each(job.q.extent(0) * job.q.extent(1) * blocks, [&](int worker, std::int64_t item) {
      float* const tile = tiles.data() + worker * tall * len_k;
      const std::int64_t head = item / blocks;
      const std::int64_t i0 = (blocks - 1 - item % blocks) * tall;  // the longest of a causal mask first
      const std::int64_t rows = std::min(tall, len_q - i0);
      const std::int64_t seen = job.causal ? i0 + rows : len_k;
      float* const out = job.out.data_handle() + (head * len_q + i0) * d;
      sgemm(CblasTrans, rows, seen, d, scale, job.q.data_handle() + (head * len_q + i0) * d,
            job.k.data_handle() + head * len_k * d, tile);
      float normalizer[tall];
      for (std::int64_t i = 0; i < rows; ++i) {
        const std::int64_t visible = job.causal ? i0 + i + 1 : len_k;
        normalizer[i] = exponentials(tile + i * seen, visible);
        std::fill(tile + i * seen + visible, tile + (i + 1) * seen, 0.0F);
      }
      sgemm(CblasNoTrans, rows, d, seen, 1, tile, job.v.data_handle() + head * len_k * d, out);
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t e = 0; e < d; ++e) out[i * d + e] *= normalizer[i];
      }
    });
  });
}

side openblas_attention_backward(int threads, const attention_backward<float>& job) {
  return timed([=, par = tessera::par.threads(threads)] {
    constexpr std::int64_t tall = 256;
    const std::int64_t heads = job.q.extent(0) * job.q.extent(1);
    const std::int64_t length = job.q.extent(2);
    const std::int64_t d = job.q.extent(3);
    const float scale = 1 / std::sqrt(static_cast<float>(d));
    openblas_set_num_threads(1);
    std::vector<float> tiles(static_cast<std::size_t>(2 * threads * tall * length));
    par.for_each(heads, [&](int worker, std::int64_t head) {
      float* const weights = tiles.data() + 2 * worker * tall * length;
      float* const slopes = weights + tall * length;
      const auto of_head = [&](const float* x, std::int64_t i) { return x + (head * length + i) * d; };
      float* const dq = job.gradients.data_handle() + head * length * d;
      float* const dk = dq + heads * length * d;
      float* const dv = dk + heads * length * d;
      const float* const k = of_head(job.k.data_handle(), 0);
      const float* const v = of_head(job.v.data_handle(), 0);
      std::fill_n(dk, length * d, 0.0F);
      std::fill_n(dv, length * d, 0.0F);
      for (std::int64_t i0 = 0; i0 < length; i0 += tall) {
        const std::int64_t rows = std::min(tall, length - i0);
        const std::int64_t seen = job.causal ? i0 + rows : length;
        const float* const q = of_head(job.q.data_handle(), i0);
        const float* const dout = of_head(job.dout.data_handle(), i0);
        sgemm(CblasTrans, rows, seen, d, scale, q, k, weights);
        sgemm(CblasTrans, rows, seen, d, 1, dout, v, slopes);
        for (std::int64_t i = 0; i < rows; ++i) {
          const std::int64_t visible = job.causal ? i0 + i + 1 : length;
          weights_of(weights + i * seen, visible, job.lse.data_handle()[head * length + i0 + i]);
          std::fill(weights + i * seen + visible, weights + (i + 1) * seen, 0.0F);
          slopes_of(slopes + i * seen, weights + i * seen, seen,
                    sum_of_products(dout + i * d, of_head(job.out.data_handle(), i0 + i), d));
        }
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, size(seen), size(d), size(rows), 1, weights, size(seen), dout,
                    size(d), 1, dv, size(d));
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, size(seen), size(d), size(rows), scale, slopes, size(seen), q,
                    size(d), 1, dk, size(d));
        sgemm(CblasNoTrans, rows, d, seen, scale, slopes, k, dq + i0 * d);
      }
    });
  });
}

}  // namespace peers

#else

namespace peers {

std::string openblas_version() { return "OpenBLAS: missing"; }
side openblas_matmul(int, view<const float, 2>, view<const float, 2>, view<float, 2>) { return {}; }
side openblas_matmul(int, view<const double, 2>, view<const double, 2>, view<double, 2>) { return {}; }
side openblas_nearest(int, view<const float, 2>, view<const float, 2>, view<std::int32_t, 1>) { return {}; }
side openblas_linear_cross_entropy(int, const linear_cross_entropy&) { return {}; }
side openblas_attention(int, const attention<float>&) { return {}; }
side openblas_attention_backward(int, const attention_backward<float>&) { return {}; }

}  // namespace peers

#endif
