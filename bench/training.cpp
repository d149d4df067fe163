// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// training/: the cross-entropy of a linear layer without its logits, beside those that store them.
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
#include "tessera/tile/matmul.hpp"
#include "tessera/training/linear_cross_entropy.hpp"
#include "tessera/training/linear_cross_entropy_backward.hpp"

namespace {

using bench::array;
using bench::contest;
using bench::view;
namespace training = tessera::training;

/// Hidden states of size 1 and weights that make logits of size 1; targets anywhere.
struct problem {
  array<float, 2> hidden, weight;
  array<std::int64_t, 1> target;
  array<float, 1> loss{1};
  array<float, 1> lse;

  problem(std::int64_t n, std::int64_t depth, std::int64_t classes)
      : hidden(bench::normal<float>(1, n, depth)), weight(bench::normal<float>(2, classes, depth)), target(n), lse(n) {
    const float scale = 1 / std::sqrt(static_cast<float>(depth));
    for (std::int64_t e = 0; e < weight.size(); ++e) weight.data_handle()[e] *= scale;
    for (std::int64_t i = 0; i < n; ++i) target(i) = i * 7919 % classes;
  }

  /// The logits of row i.
  [[nodiscard]] std::vector<double> logits(std::int64_t i) const {
    std::vector<double> z(static_cast<std::size_t>(weight.extent(0)));
    for (std::int64_t j = 0; j < weight.extent(0); ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < weight.extent(1); ++k)
        sum += static_cast<double>(hidden(i, k)) * static_cast<double>(weight(j, k));
      z[static_cast<std::size_t>(j)] = sum;
    }
    return z;
  }
  /// In float64, of logits from a product in float64.
  [[nodiscard]] double mean_loss() const {
    constexpr std::int64_t block = 256;
    const std::int64_t n = hidden.extent(0);
    const std::int64_t depth = hidden.extent(1);
    const std::int64_t classes = weight.extent(0);
    array<double, 2> wide(classes, depth);
    array<double, 2> z(block, classes);
    std::copy_n(weight.data_handle(), weight.size(), wide.data_handle());
    double sum = 0;
    for (std::int64_t i0 = 0; i0 < n; i0 += block) {
      const std::int64_t rows = std::min(block, n - i0);
      tessera::matmul(tessera::par, view<const float, 2>(&hidden(i0, 0), rows, depth),
                      view<const double, 2>(wide.data_handle(), {depth, classes}, {1, depth}),
                      view<double, 2>(z.data_handle(), rows, classes));
      for (std::int64_t i = 0; i < rows; ++i) {
        double mass = 0;
        for (std::int64_t j = 0; j < classes; ++j) mass += std::exp(z(i, j));
        sum += std::log(mass) - z(i, target(i0 + i));
      }
    }
    return sum / static_cast<double>(n);
  }
  static double log_sum(const std::vector<double>& z) {
    double sum = 0;
    for (const double x : z) sum += std::exp(x);
    return std::log(sum);
  }
};

std::string size_name(std::int64_t n, std::int64_t depth, std::int64_t classes) {
  return "float32 " + std::to_string(n) + " x " + std::to_string(classes) + " d" + std::to_string(depth);
}

double product(std::int64_t n, std::int64_t depth, std::int64_t classes) {
  return 2.0 * static_cast<double>(n) * static_cast<double>(depth) * static_cast<double>(classes);
}

void add_forward(bench::family& family, std::int64_t n, std::int64_t depth, std::int64_t classes) {
  family.add({"linear_cross_entropy " + size_name(n, depth, classes), product(n, depth, classes)}, [=](contest& c) {
    const problem p(n, depth, classes);
    const double want = p.mean_loss();
    array<float, 1> loss(1);
    c.result(loss, [&] { return std::abs(static_cast<double>(loss(0)) - want) / want; }, 1e-5);
    c.tessera([&] { training::linear_cross_entropy(c.par, p.hidden, p.weight, p.target, loss, p.lse); });
    const peers::linear_cross_entropy job{p.hidden, p.weight, p.target, loss};
    c.peer("OpenBLAS sgemm + log-sum-exp", peers::openblas_linear_cross_entropy(c.threads, job));
    c.peer("torch", peers::torch_linear_cross_entropy(c.threads, job));
    c.run();
  });
}

/// Alone: from the lse of the forward call; the peer from all logits. Both: with the forward call.
void add_backward(bench::family& family, bool both, std::int64_t n, std::int64_t depth, std::int64_t classes) {
  const std::string name = both ? "linear_cross_entropy forward + backward " : "linear_cross_entropy_backward ";
  family.add({name + size_name(n, depth, classes), (both ? 4 : 3) * product(n, depth, classes)}, [=](contest& c) {
    const problem p(n, depth, classes);
    array<float, 1> grad_loss(1);
    grad_loss(0) = 1;
    array<float, 2> grad_hidden(n, depth);
    array<float, 2> grad_weight(classes, depth);
    const auto forward = [&] { training::linear_cross_entropy(c.par, p.hidden, p.weight, p.target, p.loss, p.lse); };
    const auto error = [&] {
      double worst = 0;
      bench::sample(n, 4, [&](std::int64_t i) {
        const std::vector<double> z = p.logits(i);
        const double lse = problem::log_sum(z);
        for (std::int64_t k = 0; k < depth; ++k) {
          double sum = 0;
          double size = 0;
          for (std::int64_t j = 0; j < classes; ++j) {
            const double g = std::exp(z[static_cast<std::size_t>(j)] - lse) - (j == p.target(i) ? 1 : 0);
            sum += g * static_cast<double>(p.weight(j, k));
            size += std::abs(g * static_cast<double>(p.weight(j, k)));
          }
          worst = bench::worse(worst, std::abs(static_cast<double>(grad_hidden(i, k)) * static_cast<double>(n) - sum) / size);
        }
      });
      return worst;
    };
    forward();
    c.result(grad_hidden, error, 1e-4);
    c.tessera([&] {
      if (both) forward();
      training::linear_cross_entropy_backward(c.par, p.hidden, p.weight, p.target, p.lse, grad_loss, grad_hidden, grad_weight);
    });
    c.peer("torch",
           peers::torch_linear_cross_entropy_backward(c.threads, {p.hidden, p.weight, p.target, p.loss, grad_hidden}, both));
    c.run();
  });
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family family("training");
  for (const std::int64_t depth : {128, 512, 2048}) add_forward(family, 2048, depth, 16384);
  add_forward(family, 32, 1024, 32768);
  for (const bool both : {false, true}) {
    for (const std::int64_t depth : {512, 1024}) add_backward(family, both, 1024, depth, 16384);
  }
  return family.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_training: %s\n", error.what());
  return 1;
}
