// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What 16 bits cost in attention: softmax(q k^T / 8) v stored in float32, bfloat16 and float16 against plain float64 loops.
///
/// Two errors are told apart. That of the arithmetic: the result against float64 on the very numbers that are stored, which has
/// a proven bound (attention/forward.hpp). And that of the storage: the same result against float64 on the numbers before they
/// were rounded to 16 bits, which no kernel can avoid. Both are relative to sum_j p_ij |v_j|, so that results near zero do not count
/// more than others.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "support/digits.hpp"
#include "support/machine.hpp"
#include "support/matrix.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/reference/attention.hpp"

using example::matrix;
using tessera::par;

namespace {

constexpr std::int64_t head_dim = 64;
constexpr double scale = 0.125;  // 1 / sqrt(head_dim), the default

/// One head: q, k and v are [length, head_dim].
template <class T>
struct head {
  matrix<T> q, k, v;
};

/// [length, width] as [batch, heads, length, width].
template <class T>
tessera::view<T, 4> one_head(const tessera::view<T, 2>& x) {
  return tessera::view(x.data_handle(), 1, 1, x.extent(0), x.extent(1));
}

/// The result in float64, and sum_j p_ij |v_j| beside it, both [length, head_dim].
struct exact_result {
  matrix<double> out, magnitude;
};

exact_result exact(const head<double>& h) {
  const std::int64_t length = h.q.rows();
  // Values with their magnitudes beside them: one pass over the scores for both.
  matrix<double> values(length, 2 * head_dim);
  for (std::int64_t j = 0; j < length; ++j) {
    for (std::int64_t e = 0; e < head_dim; ++e) {
      values(j, e) = h.v(j, e);
      values(j, head_dim + e) = std::abs(h.v(j, e));
    }
  }
  exact_result result{matrix<double>(length, head_dim), matrix<double>(length, head_dim)};
  constexpr std::int64_t block = 64;
  par.for_each((length + block - 1) / block, [&](int, std::int64_t b) {
    const std::int64_t first = b * block;
    const tessera::view queries(h.q.row(first), std::min(block, length - first), head_dim);
    tessera::reference::attention(one_head(queries), one_head(h.k.view()), one_head(std::as_const(values).view()),
                                  {.scale = scale}, [&](std::int64_t, std::int64_t, std::int64_t i, const auto& row, double) {
                                    std::copy_n(row.begin(), head_dim, result.out.row(first + i));
                                    std::copy_n(row.begin() + head_dim, head_dim, result.magnitude.row(first + i));
                                  });
  });
  return result;
}

/// Largest errors of a result, relative to sum_j p_ij |v_j|.
struct errors {
  double arithmetic = 0;  ///< against float64 on the stored numbers
  double bound = 0;       ///< what attention/forward.hpp allows for that
  double share = 0;       ///< largest part of its own allowance that an element took
  double total = 0;       ///< against float64 on the numbers before rounding
};

template <class T>
errors measure(const head<double>& unrounded, const exact_result& wanted) {
  const head<T> stored{unrounded.q.as<T>(), unrounded.k.as<T>(), unrounded.v.as<T>()};
  matrix<T> out(stored.q.rows(), head_dim);
  tessera::attention::forward(par, one_head(stored.q.view()), one_head(stored.k.view()), one_head(stored.v.view()),
                              one_head(out.view()));

  const head<double> rounded{stored.q.template as<double>(), stored.k.template as<double>(), stored.v.template as<double>()};
  const exact_result truth = exact(rounded);
  const auto length_of = [](const double* row) { return std::sqrt(std::inner_product(row, row + head_dim, row, 0.0)); };
  double longest_key = 0;
  for (std::int64_t j = 0; j < rounded.k.rows(); ++j) longest_key = std::max(longest_key, length_of(rounded.k.row(j)));
  constexpr double u = 0x1p-24;
  constexpr double u_out = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
  errors found;
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    const double size = scale * length_of(rounded.q.row(i)) * longest_key;  // no sum of |scale q||k| is larger
    for (std::int64_t e = 0; e < head_dim; ++e) {
      const auto result = static_cast<double>(out(i, e));
      const double error = std::abs(result - truth.out(i, e)) / truth.magnitude(i, e);
      const double allowed = 2 * (head_dim + 4) * u * size + 0x1p-21 + (192 + static_cast<double>(out.rows()) / 192) * u +
                             u_out * std::abs(result) / truth.magnitude(i, e);
      found.arithmetic = std::max(found.arithmetic, error);
      found.bound = std::max(found.bound, allowed);
      found.share = std::max(found.share, error / allowed);
      found.total = std::max(found.total, std::abs(result - wanted.out(i, e)) / wanted.magnitude(i, e));
    }
  }
  return found;
}

/// 1024 normal tokens.
matrix<double> normals(std::uint64_t stream, double factor = 1, double offset = 0) {
  matrix<double> x(1024, head_dim);
  tessera::random::fill_normal(par, x.view(), 64, stream);
  for (double& e : x) e = factor * e + offset;
  return x;
}

constexpr std::int64_t heads = 8;
constexpr std::int64_t length = 2048;

/// Median seconds of a call on 8 heads of 2048 tokens.
template <class T>
double seconds() {
  matrix<T> memory(4, heads * length * head_dim);
  tessera::random::fill_normal(par, memory.view(), 64, 0);
  const auto tensor = [&](std::int64_t i) { return tessera::view(memory.row(i), 1, heads, length, head_dim); };
  std::vector<double> times;
  for (int repeat = 0; repeat < 9; ++repeat) {
    const example::stopwatch clock;
    tessera::attention::forward(par, tensor(0), tensor(1), tensor(2), tensor(3));
    times.push_back(clock.seconds());
  }
  std::nth_element(times.begin(), times.begin() + 4, times.end());
  return times[4];
}

std::string scientific(double x) {
  const int exponent = static_cast<int>(std::floor(std::log10(x)));
  return example::format("%.1f · 10<sup>%s%d</sup>", x * std::pow(10.0, -exponent), exponent < 0 ? "−" : "", std::abs(exponent));
}

}  // namespace

int main() try {
  example::digits digits = example::read_digits();
  example::standardize(digits.pixels, 1);
  const matrix<double> tokens = digits.pixels.as<double>();
  struct problem {
    const char* name;
    head<double> input;
  };
  const std::vector<problem> problems = {{"digits", {tokens, tokens, tokens}},
                                         {"normal", {normals(0), normals(1), normals(2)}},
                                         {"sharp", {normals(0, 8), normals(1), normals(2)}},
                                         {"offset", {normals(0), normals(1, 1, 30), normals(2)}}};

  std::printf("attention_precision: largest error against float64, relative to sum p|v|\n");
  std::vector<std::vector<std::string>> rows;
  std::vector<example::mark> marks;
  const auto report = [&](const char* name, const char* type, const errors& e) {
    const std::string row = std::string(name) + ", " + type;
    rows.push_back(
        {row, scientific(e.arithmetic), scientific(e.bound), example::format("%.0f %%", 100 * e.share), scientific(e.total)});
    marks.insert(marks.end(), {{row, e.bound, 2}, {row, e.total, 1}, {row, e.arithmetic, 0}});
    std::printf("  %-16s  arithmetic %.1e (bound %.1e), with rounded inputs %.1e\n", row.c_str(), e.arithmetic, e.bound, e.total);
  };
  example::progress progress("attention in float64", static_cast<std::int64_t>(problems.size()));
  for (const problem& p : problems) {
    const exact_result wanted = exact(p.input);
    report(p.name, "float32", measure<float>(p.input, wanted));
    report(p.name, "bfloat16", measure<tessera::bfloat16>(p.input, wanted));
    report(p.name, "float16", measure<tessera::float16>(p.input, wanted));
    progress.show(static_cast<std::int64_t>(rows.size()) / 3);
  }

  const double peak = machine::fma_peak(par);
  const double flops = 4.0 * heads * length * length * head_dim;
  std::vector<std::vector<std::string>> speeds;
  const auto time = [&](const char* type, double bytes, double measured) {
    speeds.push_back({type, example::format("%.1f MB", 4e-6 * bytes * heads * length * head_dim),
                      example::format("%.1f ms", 1e3 * measured), example::format("%.0f", flops / measured / 1e9),
                      example::format("%.0f %%", 100 * flops / measured / peak)});
    std::printf("  %-8s  8 heads of 2048 tokens: %.1f ms, %.0f GFLOP/s, %.0f %% of the FMA peak\n", type, 1e3 * measured,
                flops / measured / 1e9, 100 * flops / measured / peak);
  };
  time("float32", 4, seconds<float>());
  time("bfloat16", 2, seconds<tessera::bfloat16>());
  time("float16", 2, seconds<tessera::float16>());

  example::section page("attention_precision", "Attention, and what 16 bits cost");
  page.text(
      "softmax(q kᵀ/8) v with q, k, v and the result stored in float32, bfloat16 or float16. Products and sums are float32 in "
      "all "
      "three, and the matrix of weights is never stored. Shown is the largest error of any element against plain float64 loops, "
      "relative to Σ p|v|.");
  page.marks(
      "<b>Arithmetic</b>: against float64 on the numbers as stored; the <b>bound</b> is what <code>attention/forward.hpp</code> "
      "proves for it. <b>With rounded inputs</b>: against float64 on the numbers before they were stored, which adds what q, k "
      "and "
      "v lose before any kernel sees them.",
      marks, {"arithmetic", "with rounded inputs", "bound"});
  page.text(
      "<b>digits</b>: 1797 handwritten digits of 64 pixels attend to each other. <b>normal</b>: q, k, v ~ N(0, 1), 1024 tokens. "
      "<b>sharp</b>: the same with q eight times larger, so that a few weights dominate. <b>offset</b>: 30 added to every key, "
      "which "
      "changes nothing in exact arithmetic, but makes large scores cancel and costs 16-bit keys most of their digits.");
  page.table({"", "arithmetic", "its bound", "an element’s largest<br>share of its bound", "with rounded inputs"}, rows);
  page.heading("Time of 8 heads, 2048 tokens, head_dim 64");
  page.table({"", "q, k, v and result", "median of 9", "GFLOP/s", "of the FMA peak"}, speeds);
  page.text(
      example::format("The FMA peak of this run was %.0f GFLOP/s, %d threads. The float32 matrix of weights would take %.0f MB.",
                      peak / 1e9, par.workers(), 4e-6 * heads * length * length));
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "attention_precision: %s\n", error.what());
  return 1;
}
