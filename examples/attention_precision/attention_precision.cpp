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
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/machine.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/reference/attention.hpp"

using tessera::par;

namespace {

constexpr std::int64_t head_dim = 64;
constexpr double scale = 0.125;  // 1 / sqrt(head_dim), the default

/// One head: q, k and v are [length, head_dim] in float64.
struct problem {
  std::string name;
  std::int64_t length;
  std::vector<double> q, k, v;
};

template <class T>
tessera::view<const T, 4> one_head(const std::vector<T>& x, std::int64_t width = head_dim) {
  return tessera::view(x.data(), 1, 1, static_cast<std::int64_t>(x.size()) / width, width);
}

std::vector<double> normals(std::int64_t length, std::uint64_t stream, double factor = 1, double offset = 0) {
  std::vector<double> x(static_cast<std::size_t>(length * head_dim));
  tessera::random::fill_normal(par, tessera::view(x.data(), length * head_dim), 64, stream);
  for (double& e : x) e = factor * e + offset;
  return x;
}

/// 1797 digits of 64 grey values, as tokens that attend to each other.
std::vector<double> digits() {
  std::vector<double> x;
  std::ifstream file(EXAMPLES_DIR "/data/digits.csv");
  for (int column = 0, value = 0; file >> value; file.ignore(1), column = (column + 1) % 65) {
    if (column < 64) x.push_back((value - 4.884) / 6.017);  // their mean and standard deviation
  }
  if (x.empty()) throw std::runtime_error("examples/data/digits.csv: cannot read");
  return x;
}

/// The result in float64, and A = sum_j p_ij |v_j|, both [length, head_dim].
struct exact_result {
  std::vector<double> out, magnitude;
};

exact_result exact(const problem& p) {
  // Values with their magnitudes beside them: one pass over the scores for both.
  std::vector<double> values;
  for (std::size_t row = 0; row < p.v.size(); row += head_dim) {
    values.insert(values.end(), p.v.begin() + static_cast<std::ptrdiff_t>(row), p.v.begin() + static_cast<std::ptrdiff_t>(row + head_dim));
    for (std::size_t e = row; e < row + head_dim; ++e) values.push_back(std::abs(p.v[e]));
  }
  exact_result result{std::vector<double>(p.q.size()), std::vector<double>(p.q.size())};
  constexpr std::int64_t block = 64;
  par.for_each((p.length + block - 1) / block, [&](int, std::int64_t b) {
    const std::int64_t first = b * block;
    const tessera::view queries(p.q.data() + first * head_dim, 1, 1, std::min(block, p.length - first), head_dim);
    tessera::reference::attention(queries, one_head(p.k), one_head(values, 2 * head_dim), {.scale = scale},
                                  [&](std::int64_t, std::int64_t, std::int64_t i, const auto& row, double) {
                                    const std::int64_t at = (first + i) * head_dim;
                                    std::copy_n(row.begin(), head_dim, result.out.begin() + at);
                                    std::copy_n(row.begin() + head_dim, head_dim, result.magnitude.begin() + at);
                                  });
  });
  return result;
}

struct errors {
  double arithmetic = 0;  ///< against float64 on the stored numbers
  double bound = 0;       ///< what attention/forward.hpp allows where the allowance is largest
  double share = 0;       ///< largest part of its own allowance that an element used
  double total = 0;       ///< against float64 on the numbers before rounding
};

template <class T>
errors measure(const problem& p, const exact_result& unrounded) {
  const auto round = [](const std::vector<double>& x) { return std::vector<T>(x.begin(), x.end()); };
  const std::vector<T> q = round(p.q);
  const std::vector<T> k = round(p.k);
  const std::vector<T> v = round(p.v);
  std::vector<T> out(q.size());
  tessera::attention::forward(par, one_head(q), one_head(k), one_head(v), tessera::view(out.data(), 1, 1, p.length, head_dim));

  const auto widen = [](const std::vector<T>& x) { return std::vector<double>(x.begin(), x.end()); };
  const problem stored{p.name, p.length, widen(q), widen(k), widen(v)};
  const exact_result truth = exact(stored);

  const double u = 0x1p-24;
  const double u_out = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
  const auto norm = [](const std::vector<double>& x, std::size_t row) {
    double sum = 0;
    for (std::size_t e = row; e < row + head_dim; ++e) sum += x[e] * x[e];
    return std::sqrt(sum);
  };
  double longest_key = 0;
  for (std::size_t row = 0; row < q.size(); row += head_dim) longest_key = std::max(longest_key, norm(stored.k, row));
  errors found;
  for (std::size_t e = 0; e < q.size(); ++e) {
    const double size = scale * norm(stored.q, e / head_dim * head_dim) * longest_key;  // at least S
    const double allowed = 2 * (head_dim + 4) * u * size + 0x1p-21 + (192 + static_cast<double>(p.length) / 192) * u +
                           u_out * std::abs(truth.out[e]) / truth.magnitude[e];
    const double difference = std::abs(static_cast<double>(out[e]) - truth.out[e]) / truth.magnitude[e];
    found.arithmetic = std::max(found.arithmetic, difference);
    found.bound = std::max(found.bound, allowed);
    found.share = std::max(found.share, difference / allowed);
    found.total = std::max(found.total, std::abs(static_cast<double>(out[e]) - unrounded.out[e]) / unrounded.magnitude[e]);
  }
  return found;
}

/// Median seconds of a call over 8 heads of 2048 tokens.
template <class T>
double seconds() {
  constexpr std::int64_t heads = 8;
  constexpr std::int64_t length = 2048;
  constexpr std::int64_t size = heads * length * head_dim;
  std::vector<T> memory(4 * size);
  tessera::random::fill_normal(par, tessera::view(memory.data(), 3 * size), 64, 0);
  const auto tensor = [&](std::int64_t i) { return tessera::view(memory.data() + i * size, 1, heads, length, head_dim); };
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
  const std::int64_t length = 1024;
  const std::vector<double> tokens = digits();
  const std::vector<problem> problems = {
      {"digits", static_cast<std::int64_t>(tokens.size()) / head_dim, tokens, tokens, tokens},
      {"normal", length, normals(length, 0), normals(length, 1), normals(length, 2)},
      {"sharp", length, normals(length, 0, 8), normals(length, 1), normals(length, 2)},
      {"offset", length, normals(length, 0), normals(length, 1, 1, 30), normals(length, 2)}};

  std::vector<std::vector<std::string>> rows;
  std::vector<example::mark> marks;
  double worst_share = 0;
  const auto report = [&](const problem& p, const char* type, const errors& e) {
    worst_share = std::max(worst_share, e.share);
    rows.push_back({p.name + ", " + type, scientific(e.arithmetic), scientific(e.bound), example::format("%.0f %%", 100 * e.share),
                    scientific(e.total)});
    const std::string row = p.name + ", " + type;
    marks.push_back({row, e.bound, 3});
    marks.push_back({row, e.total, 1});
    marks.push_back({row, e.arithmetic, 0});
    std::printf("  %-8s %-8s arithmetic %.1e (bound %.1e), with rounded inputs %.1e\n", p.name.c_str(), type, e.arithmetic, e.bound,
                e.total);
  };
  std::printf("attention_precision  error relative to sum p|v| against float64\n");
  example::progress progress("float64 reference", static_cast<std::int64_t>(problems.size()));
  for (const problem& p : problems) {
    const exact_result truth = exact(p);
    report(p, "float32", measure<float>(p, truth));
    report(p, "bfloat16", measure<tessera::bfloat16>(p, truth));
    report(p, "float16", measure<tessera::float16>(p, truth));
    progress.show(static_cast<std::int64_t>(rows.size() / 3));
  }

  const double peak = machine::fma_peak(par);
  const double flops = 4.0 * 8 * 2048 * 2048 * head_dim;
  std::vector<std::vector<std::string>> speeds;
  const auto time = [&](const char* type, double size, double measured) {
    speeds.push_back({type, example::format("%.1f MB", 4 * size * 8 * 2048 * head_dim / 1e6), example::format("%.1f ms", 1e3 * measured),
                      example::format("%.0f", flops / measured / 1e9), example::format("%.0f %%", 100 * flops / measured / peak)});
    std::printf("  %-8s 8 heads of 2048 tokens: %.1f ms, %.0f GFLOP/s, %.0f %% of the FMA peak\n", type, 1e3 * measured,
                flops / measured / 1e9, 100 * flops / measured / peak);
  };
  time("float32", 4, seconds<float>());
  time("bfloat16", 2, seconds<tessera::bfloat16>());
  time("float16", 2, seconds<tessera::float16>());

  example::section page("attention_precision", "Attention, and what 16 bits cost");
  page.text(
      "softmax(q kᵀ/8) v with q, k, v and the result stored in float32, bfloat16 or float16; products and sums are float32 in all "
      "three, and the matrix of weights is never stored. Errors are against plain float64 loops, relative to Σ p|v|, the largest of "
      "all elements.");
  page.marks(
      "The dot is the error of the arithmetic: against float64 on the numbers as stored. The stroke is the bound that "
      "<code>attention/forward.hpp</code> gives for it. The diamond adds what the inputs lost when they were rounded to the "
      "storage type, which happens before any kernel sees them.",
      marks, {"arithmetic", "with rounded inputs", "", "bound"});
  page.table({"", "arithmetic", "bound", "largest share of its bound", "with rounded inputs"}, rows);
  page.text(
      "<b>digits</b>: 1797 handwritten digits of 64 pixels attend to each other. <b>normal</b>: q, k, v ~ N(0, 1), 1024 tokens. "
      "<b>sharp</b>: q eight times larger, so that a few weights dominate. <b>offset</b>: 30 added to every key, which changes "
      "nothing in exact arithmetic, makes large scores cancel, and takes 16-bit keys most of their digits.");
  page.heading("Time, 8 heads of 2048 tokens, head_dim 64");
  page.table({"", "q, k, v and result", "median of 9", "GFLOP/s", "of this run's FMA peak"}, speeds);
  page.text(example::format("The FMA peak of %d threads was %.0f GFLOP/s. The matrix of weights would take %.0f MB.", par.workers(),
                            peak / 1e9, 4e-6 * 8 * 2048 * 2048));
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "attention_precision: %s\n", error.what());
  return 1;
}
