// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What users pick today, behind one face. All arrays are row-major and contiguous.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/tile/view.hpp"

namespace peers {

using tessera::bfloat16;
using tessera::float16;
using tessera::view;

/// Somebody who can do the job: seconds(n) does it n times and says how long once took. Empty when nobody is there.
struct side {
  std::function<double(int calls)> seconds{};
  std::string absence = "missing";  ///< in place of the time when `seconds` is empty
};

/// The side that does its job by calling f.
template <class F>
side timed(F f) {
  return {[f](int calls) mutable {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) {
      f();
      asm volatile("" : : : "memory");  // every call does its job anew
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
  }};
}

/// The side that needs something done before and after.
template <class Before, class After>
side between(const Before& before, const side& what, const After& after) {
  if (!what.seconds) return what;
  return timed([before, what, after] {
    before();
    what.seconds(1);
    after();
  });
}

/// Name, version and settings, or "NAME: missing".
std::string openblas_version();
std::string onednn_version();
std::string eigen_version();
std::string sleef_version();
std::vector<std::string> python_versions();

/// c [m, n] = a [m, k] b [k, n]
side openblas_matmul(int threads, view<const float, 2> a, view<const float, 2> b, view<float, 2> c);
side openblas_matmul(int threads, view<const double, 2> a, view<const double, 2> b, view<double, 2> c);
side onednn_matmul(int threads, view<const float, 2> a, view<const float, 2> b, view<float, 2> c);
side onednn_matmul(int threads, view<const bfloat16, 2> a, view<const bfloat16, 2> b, view<bfloat16, 2> c);
side onednn_matmul(int threads, view<const float16, 2> a, view<const float16, 2> b, view<float16, 2> c);

/// where[i] = argmin_j |x_i - y_j|^2; x [n, d], y [m, d]. On OpenBLAS the way of FAISS: tiles of 4096 x 1024 products from sgemm, then
/// a pass that adds the norms and looks for the smallest.
side openblas_nearest(int threads, view<const float, 2> x, view<const float, 2> y, view<std::int32_t, 1> where);
side faiss_nearest(int threads, view<const float, 2> x, view<const float, 2> y, view<std::int32_t, 1> where);

/// out = softmax(q k^T / sqrt(d)) v; q, out [batch, heads, len_q, d], k, v [batch, heads, len_k, d]; causal: key j is seen by the queries
/// i >= j. On OpenBLAS: sgemm, softmax, sgemm on blocks of queries, the keys that no query of the block sees left out.
template <class T>
struct attention {
  view<const T, 4> q, k, v;
  view<T, 4> out;
  bool causal = false;
};
side openblas_attention(int threads, const attention<float>& job);
side torch_attention(int threads, const attention<float>& job);
side torch_attention(int threads, const attention<bfloat16>& job);
side torch_attention(int threads, const attention<float16>& job);
side onnxruntime_attention(int threads, const attention<float>& job);

/// The gradients of the same from dout and what the forward pass gave: gradients [3, batch, heads, len, d] of q, k and v, queries and keys
/// as many. On OpenBLAS: five sgemm on blocks of queries, with passes between them; threads share out the heads.
template <class T>
struct attention_backward {
  view<const T, 4> q, k, v, out, dout;
  view<const float, 3> lse;
  view<T, 5> gradients;
  bool causal = false;
};
side openblas_attention_backward(int threads, const attention_backward<float>& job);
side torch_attention_backward(int threads, const attention_backward<float>& job);
side torch_attention_backward(int threads, const attention_backward<bfloat16>& job);
/// The same in layers, one call after another: q, out [layers, heads, len_q, d], k, v [layers, kv_heads, len_k, d]. Every key is seen, or, with
/// `tree` [len_q], of the last len_q keys those whose bit is set in the query's word.
template <class T>
struct grouped_attention {
  view<const T, 4> q, k, v;
  view<T, 4> out;
  view<const std::uint64_t, 1> tree{};
};
side torch_grouped_attention(int threads, const grouped_attention<float>& job);
side torch_grouped_attention(int threads, const grouped_attention<bfloat16>& job);
side onnxruntime_grouped_attention(int threads, const grouped_attention<float>& job);

/// An array of any type, contiguous: how elementwise jobs go to peers that are asked by name.
struct flat {
  const char* type;  ///< float64, float32, float16, bfloat16, float8_e4m3, float8_e5m2, int64, int32, uint32, bool
  void* data;
  std::int64_t length;
  std::int64_t bytes;

  template <class T>
  flat(const view<T, 1>& x)
      : type(name<std::remove_const_t<T>>()),
        data(const_cast<std::remove_const_t<T>*>(x.data_handle())),
        length(x.extent(0)),
        bytes(length * static_cast<std::int64_t>(sizeof(T))) {}

  template <class T>
  static constexpr const char* name() {
    if constexpr (std::is_same_v<T, bool>) return "bool";
    if constexpr (std::is_integral_v<T>) return sizeof(T) == 8 ? "int64" : std::is_signed_v<T> ? "int32" : "uint32";
    constexpr int digits = std::numeric_limits<T>::digits;
    constexpr const char* names[] = {"", "", "", "float8_e5m2", "float8_e4m3"};
    if constexpr (digits < 5) return names[digits];
    return digits == 8 ? "bfloat16" : digits == 11 ? "float16" : digits == 24 ? "float32" : "float64";
  }
};

/// The k nearest y of every x, nearest first: indices and squared distances.
side faiss_k_nearest(int threads, view<const float, 2> x, view<const float, 2> y, view<std::int32_t, 2> where);

/// The mean over rows of log sum_j exp(z_ij) - z_it, z = hidden weight^T. On OpenBLAS: sgemm, then a pass over all logits.
struct linear_cross_entropy {
  view<const float, 2> hidden, weight;
  view<const std::int64_t, 1> target;
  view<float, 1> loss;
  view<float, 2> grad_hidden{};
};
side openblas_linear_cross_entropy(int threads, const linear_cross_entropy& job);
side torch_linear_cross_entropy(int threads, const linear_cross_entropy& job);
/// Gradients of hidden and weight, with the forward call that they need (`both`), or from what that has stored.
side torch_linear_cross_entropy_backward(int threads, const linear_cross_entropy& job, bool both);

/// Rows of n x length numbers: f is softmax or log_softmax of x; or softmax_backward, log_softmax_backward of what these gave, x, and of the
/// gradient g.
struct rows {
  std::string f;
  std::int64_t n;
  std::int64_t length;
  flat x;
  flat g;  ///< x again where f takes none
  flat out;
};
side torch_rows(int threads, const rows& job);
side onednn_rows(int threads, const rows& job);  ///< forward only

/// out[i] = in[i], rounded to nearest.
side eigen_cast(flat in, flat out);
side python_cast(const std::string& package, int threads, flat in, flat out);

/// out[i] = f(x[i]) for a function f by its name in <cmath>, or sigmoid, silu, softplus, log_sigmoid, gelu, gelu_tanh, rsqrt, exp10; absent
/// where a peer has no such function.
side sleef_map(const std::string& f, flat x, flat out);    ///< the variants of 1.0 ulp, widest registers
side xsimd_map(const std::string& f, flat x, flat out);    ///< xsimd's own functions
side eigen_map(const std::string& f, flat x, flat out);    ///< Eigen::Array
side libmvec_map(const std::string& f, flat x, flat out);  ///< a plain loop under -ffast-math: glibc's vector functions
side python_map(const std::string& package, int threads, const std::string& f, flat x, flat out);

/// out[i] = a[i] * b[i] + c[i], of 16-bit types.
side eigen_fma(flat a, flat b, flat c, flat out);
side python_fma(const std::string& package, int threads, flat a, flat b, flat c, flat out);

/// out[i] = random numbers of a law, as bench/random.cpp names it with its parameters: normal, gamma(0.5), beta(2,3) …
/// dirichlet(a,k): rows of k numbers of alpha = a; integers(n): 0 … n - 1; zipf(n): those in proportion to 1 / (i + 1); permutation, shuffle:
/// an order of all of out.
side std_random(const std::string& law, flat out);  ///< mt19937 and the standard's distributions
side python_random(const std::string& package, int threads, const std::string& law, flat out);

/// out[r] = a category drawn from row r of the logits.
side torch_unscale(int threads, flat x, flat norm);       ///< x unscaled by 1 in place and checked, then its norm
side torch_adamw(int threads, flat x, flat g, flat out);  ///< the fused AdamW: weights after the first step

side std_categorical(flat logits, flat out);
side python_categorical(const std::string& package, int threads, flat logits, flat out);

}  // namespace peers
