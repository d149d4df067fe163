// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A network learns handwritten digits four times: in float32, in bfloat16, in float16 with a scaled loss, and in float16 without.
///
/// Activations, their gradients and those of the weights are stored in the type that is tried; sums are made in float32, and weights updated
/// in float32 masters. The loss is a mean over as many terms as one of ten masks of a million pixels would be: each term's gradient is 10^-7
/// times its slope, and float16 ends at 2^-24, 6 10^-8. Whoever averages over fewer terms loses less: the second table.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <type_traits>
#include <vector>

#include "support/digits.hpp"
#include "support/matrix.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random/permutation.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/training.hpp"

using example::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::view;
namespace training = tessera::training;
namespace activation = training::activation;

namespace {

constexpr std::size_t layers = 4;  // hidden ones
constexpr std::int64_t width = 64;
constexpr std::int64_t classes = 10;
constexpr std::int64_t batch = 128;
constexpr std::int64_t taught = 1408;  // digits to learn from; the other 389 are asked afterwards
constexpr int epochs = 30;
constexpr double many_terms = 1e7;

struct data_set {
  example::digits digits = example::read_digits();
  data_set() { example::standardize(digits.pixels, 1); }
};

/// Views of the matrices of a list, each as one dimension: what optimisers take.
template <class T>
std::vector<view<T, 1>> flat(std::vector<matrix<T>>& list) {
  std::vector<view<T, 1>> result;
  for (matrix<T>& m : list) result.emplace_back(m.row(0), m.rows() * m.columns());
  return result;
}

/// The network with everything but its masters stored as S.
template <class S>
class network {
 public:
  explicit network(std::uint64_t seed) {
    for (std::size_t l = 0; l <= layers; ++l) {
      const std::int64_t out = l < layers ? width : classes;
      const float bound = 1.6F / std::sqrt(static_cast<float>(width));  // keeps the sizes of activations and gradients, about
      for (const std::int64_t rows : {out, std::int64_t{1}}) {          // weights, then biases
        matrix<float> master(rows, rows == 1 ? out : width);
        std::uint64_t i = 0;
        for (float& w : master) w = bound * (2 * tessera::random::uniform<float>(seed, masters_.size(), i++) - 1);
        copies_.push_back(master.template as<S>());
        gradients_.emplace_back(master.rows(), master.columns());
        unscaled_.emplace_back(master.rows(), master.columns());
        velocity_.emplace_back(master.rows(), master.columns());
        masters_.push_back(std::move(master));
      }
      hidden_.emplace_back(batch, width);
      before_.emplace_back(batch, width);
    }
    for (matrix<S>& g : slopes_) g = matrix<S>(batch, width);
  }

  /// The mean loss of a batch, whose gradients times `factor` stay behind.
  float learn(const matrix<float>& pixels, const std::int64_t* target, float factor) {
    float loss = 0;
    std::array<float, batch> lse{};
    const view<const std::int64_t, 1> targets(target, batch);
    forward(pixels);
    training::linear_cross_entropy(par, hidden_[layers].view(), weight(layers), bias(layers), targets, view<float, 1>(&loss, 1),
                                   view<float, 1>(lse.data(), batch));
    training::linear_cross_entropy_backward(par, hidden_[layers].view(), weight(layers), bias(layers), targets,
                                            view<const float, 1>(lse.data(), batch), view<const float, 1>(&factor, 1),
                                            slopes_[0].view(), gradients_[2 * layers].view(), row_of(gradients_[2 * layers + 1]));
    for (std::size_t l = layers; l-- > 0;) {
      training::activate_backward(par, activation::gelu{}, before_[l].view(), slopes_[0].view(), slopes_[0].view());
      training::linear_backward(
          par, hidden_[l].view(), weight(l), slopes_[0].view(),
          training::linear_gradients{
              .x = slopes_[1].view(), .weight = gradients_[2 * l].view(), .bias = row_of(gradients_[2 * l + 1])});
      std::swap(slopes_[0], slopes_[1]);
    }
    return loss;
  }

  /// Gradients as they are stored, and as float32.
  std::vector<view<S, 1>> scaled() { return flat(gradients_); }
  std::vector<view<float, 1>> unscaled() { return flat(unscaled_); }

  /// A step of gradient descent, as long as if the loss were the mean of the batch.
  void step(std::int64_t number, double terms) {
    const training::sgd_options options{.rate = 0.05 * terms / batch, .momentum = 0.9};
    if constexpr (std::is_same_v<S, float>) {
      training::sgd(par, flat(copies_), flat(unscaled_), flat(velocity_), number, options);
    } else {
      std::vector<training::master_weights<S>> weights;
      const auto masters = flat(masters_);
      const auto copies = flat(copies_);
      for (std::size_t t = 0; t < masters.size(); ++t) weights.push_back({masters[t], copies[t]});
      training::sgd(par, weights, flat(unscaled_), flat(velocity_), number, options);
    }
  }

  /// How many of a batch are told right.
  std::int64_t right(const matrix<float>& pixels, const std::int64_t* target, std::int64_t asked) {
    forward(pixels);
    matrix<float> logits(batch, classes);
    training::linear(par, hidden_[layers].view(), weight(layers), bias(layers), logits.view());
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < asked; ++i) {
      count += std::max_element(logits.row(i), logits.row(i) + classes) - logits.row(i) == target[i] ? 1 : 0;
    }
    return count;
  }

 private:
  static std::size_t at(std::int64_t l) { return static_cast<std::size_t>(l); }
  static view<S, 1> row_of(matrix<S>& m) { return view<S, 1>(m.row(0), m.columns()); }
  view<const S, 2> weight(std::size_t l) { return copies_[2 * l].view(); }
  view<const S, 1> bias(std::size_t l) { return row_of(copies_[2 * l + 1]); }

  void forward(const matrix<float>& pixels) {
    hidden_[0] = pixels.as<S>();
    for (std::size_t l = 0; l < layers; ++l) {
      training::linear(par, hidden_[l].view(), weight(l), bias(l), hidden_[l + 1].view(),
                       training::linear_options{.activation = activation::gelu{}, .before_activation = before_[l].view()});
    }
  }

  std::vector<matrix<float>> masters_, unscaled_, velocity_;
  std::vector<matrix<S>> copies_, gradients_, hidden_, before_;
  std::array<matrix<S>, 2> slopes_;
};

struct run {
  example::curve loss;                  ///< mean of a digit, epoch by epoch
  double accuracy = 0;                  ///< of digits that were not taught, in percent
  double vanished = 0;                  ///< share of the gradients that were 0 in the first epoch, in percent
  std::int64_t skipped = 0;             ///< steps
  float scale = 1;                      ///< at the end
  training::exponent_counts exponents;  ///< of the unscaled gradients of the first epoch
};

template <class S>
run train(const data_set& set, const std::string& name, const training::loss_scale_options& scaling, double terms,
          std::uint64_t seed) {
  run result;
  result.loss.name = name;
  network<S> net(seed);
  training::loss_scaler scaler(scaling);
  matrix<float> pixels(batch, width);
  std::vector<std::int64_t> target(batch);
  const auto fetch = [&](std::int64_t place, std::int64_t image) {
    std::copy_n(set.digits.pixels.row(image), width, pixels.row(place));
    target[static_cast<std::size_t>(place)] = set.digits.label(image);
  };
  // The digits are those of 13 people, one after another: mixed, so that all are taught and asked about.
  const tessera::random::permutation mixed(static_cast<std::uint64_t>(set.digits.pixels.rows()), 2022, 0);
  const auto digit = [&](std::uint64_t i) { return static_cast<std::int64_t>(mixed(i)); };
  std::int64_t steps = 0;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const tessera::random::permutation order(taught, seed, static_cast<std::uint64_t>(epoch));
    double sum = 0;
    double zeros = 0;
    for (std::int64_t begin = 0; begin < taught; begin += batch) {
      for (std::int64_t i = 0; i < batch; ++i) fetch(i, digit(order(static_cast<std::uint64_t>(begin + i))));
      sum += static_cast<double>(net.learn(pixels, target.data(), static_cast<float>(batch / terms) * scaler.scale()));
      const training::gradient_report found = scaler.unscale(par, net.scaled(), net.unscaled());
      zeros += static_cast<double>(found.zeros) / static_cast<double>(found.elements);
      if (epoch == 0 && found.finite()) result.exponents.add(training::exponent_histogram(par, net.unscaled()));
      if (scaler.step([&] { net.step(steps + 1, terms); })) ++steps;
      result.skipped += scaler.update().skipped ? 1 : 0;
    }
    constexpr double batches = static_cast<double>(taught) / batch;
    result.loss.points.emplace_back(epoch + 1, sum / batches);
    if (epoch == 0) result.vanished = 100 * zeros / batches;
  }
  result.scale = scaler.scale();
  std::int64_t right = 0;
  const std::int64_t all = set.digits.pixels.rows();
  for (std::int64_t begin = taught; begin < all; begin += batch) {
    const std::int64_t asked = std::min(batch, all - begin);
    for (std::int64_t i = 0; i < asked; ++i) fetch(i, digit(static_cast<std::uint64_t>(begin + i)));
    right += net.right(pixels, target.data(), asked);
  }
  result.accuracy = 100 * static_cast<double>(right) / static_cast<double>(all - taught);
  return result;
}

const training::loss_scale_options unscaled{.initial = 1, .dynamic = false};
const training::loss_scale_options scaled{.interval = 100};

}  // namespace

int main() try {
  const data_set set;
  constexpr std::uint64_t seeds = 5;
  std::vector<run> runs(4);
  const example::stopwatch clock;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const run all[] = {train<float>(set, "float32", unscaled, many_terms, seed),
                       train<bfloat16>(set, "bfloat16", unscaled, many_terms, seed),
                       train<float16>(set, "float16, loss scaled", scaled, many_terms, seed),
                       train<float16>(set, "float16", unscaled, many_terms, seed)};
    for (std::size_t k = 0; k < runs.size(); ++k) {
      const double before = runs[k].accuracy;
      if (seed == 1) runs[k] = all[k];
      runs[k].accuracy = before + all[k].accuracy / seeds;
    }
  }
  const double seconds = clock.seconds();

  std::printf("%-22s  %9s  %14s  %7s  %s\n", "mean over 10^7 terms", "right", "last loss", "zeros", "skipped steps, last scale");
  std::vector<std::vector<std::string>> rows;
  std::vector<example::curve> curves;
  for (const run& r : runs) {
    std::printf("%-22s  %7.2f %%  %14.5f  %5.1f %%  %d, %g\n", r.loss.name.c_str(), r.accuracy, r.loss.points.back().second,
                r.vanished, static_cast<int>(r.skipped), static_cast<double>(r.scale));
    rows.push_back({r.loss.name, example::format("%.2f %%", r.accuracy), example::format("%.5f", r.loss.points.back().second),
                    example::format("%.1f %%", r.vanished), example::format("%d", static_cast<int>(r.skipped)),
                    example::format("%g", static_cast<double>(r.scale))});
    curves.push_back(r.loss);
  }

  std::printf("\n%-12s  %20s  %20s\n", "terms", "float16, scaled", "float16");
  std::vector<std::vector<std::string>> sweep;
  for (const int power : {2, 4, 5, 6, 7}) {
    const double terms = std::pow(10.0, power);
    const run with = train<float16>(set, "", scaled, terms, 1);
    const run without = train<float16>(set, "", unscaled, terms, 1);
    std::printf("10^%-9d  %10.2f %% %7.1f %%  %10.2f %% %7.1f %%\n", power, with.accuracy, with.vanished, without.accuracy,
                without.vanished);
    sweep.push_back({example::format("10<sup>%d</sup>", power), example::format("%.2f %%", with.accuracy),
                     example::format("%.1f %%", with.vanished), example::format("%.2f %%", without.accuracy),
                     example::format("%.1f %%", without.vanished)});
  }

  // What float32 saw: where its gradients lie, and where float16 ends.
  const training::exponent_counts& seen = runs[0].exponents;
  const training::scale_outlook plain = training::outlook<float16>(seen, 1);
  const float proposed = training::proposed_scale<float16>(seen, 0.001);
  std::vector<std::string> labels;
  std::vector<double> shares;
  constexpr int group = 4;  // binades in a bar
  for (int exponent = -56; exponent < -4; exponent += group) {
    double share = 0;
    for (int e = exponent; e < exponent + group; ++e) share += static_cast<double>(seen.of(e));
    labels.push_back(example::format("2<tspan dy='-5' font-size='10'>−%d</tspan>", -exponent));
    shares.push_back(100 * share / static_cast<double>(seen.elements()));
  }

  example::section page("train_digits", "Digits learnt in sixteen bits");
  page.text(
      "A network of five layers learns 1408 handwritten digits, and is asked about 389 others. Activations, their gradients and "
      "those "
      "of the weights are stored in the type named; sums are made in float32, and gradient descent updates float32 masters. The "
      "loss is "
      "a mean over 10<sup>7</sup> terms, as many as ten masks of a million pixels have.");
  page.numbers({{example::format("%.1f %%", runs[3].vanished), "of float16's gradients are 0 without scaling"},
                {example::format("%.2f %%", runs[2].accuracy), "right in float16 with a scaled loss"},
                {example::format("%.2f %%", runs[0].accuracy), "right in float32"}});
  page.curves("Mean loss of a digit. Three lines lie on one another; float16 without scaling learns late, or not at all.",
              "epoch", curves, true);
  page.table({"stored as", "right, mean of 5 runs", "loss at the end", "gradients that are 0, first epoch", "steps skipped",
              "scale at the end"},
             rows);
  page.bars(
      example::format(
          "Where float32's gradients of the first epoch lie, in percent of all: each bar four binades. float16's normal numbers "
          "begin at 2<sup>−14</sup>, its last subnormal is 2<sup>−24</sup>: %.1f %% lie below its normal numbers. "
          "<code>proposed_scale</code> for one in a thousand: %g.",
          100 * plain.share_below(), static_cast<double>(proposed)),
      labels, shares, 0, "");
  page.heading("The more terms, the smaller the gradients");
  page.table({"terms in the mean", "float16, scaled: right", "zeros", "float16: right", "zeros"}, sweep);
  page.text(example::format("Twenty runs of %d steps took %.1f s.", static_cast<int>(epochs * taught / batch), seconds));
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "train_digits: %s\n", error.what());
  return 1;
}
