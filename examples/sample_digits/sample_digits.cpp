// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Digits drawn from pure noise: EDM's Heun sampler over the exact denoiser of 1797 handwritten digits.
///
/// The denoiser needs no network: E[y | x] is one contraction of the noisy images with the data set. Where the sampler ends is
/// known, too: at an image of the data set, at each with the same probability. So this is a test as well as a demonstration.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "support/digits.hpp"
#include "support/image.hpp"
#include "support/matrix.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/diffusion/exact_denoiser.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/diffusion/sampler.hpp"
#include "tessera/diffusion/sigma_grid.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/online/extremum.hpp"
#include "tessera/tile/contraction.hpp"

using example::image;
using example::matrix;
using tessera::par;

namespace {

constexpr std::int64_t side = 8;
constexpr std::int64_t samples = 8192;

/// Digits of mean 0 and standard deviation 0.5, for which EDM's noise levels are made.
struct data_set {
  example::digits digits = example::read_digits();
  example::standardization units = example::standardize(digits.pixels, 0.5);

  [[nodiscard]] std::int64_t count() const { return digits.pixels.rows(); }

  /// Dark ink on white paper.
  [[nodiscard]] image picture(const float* pixels) const {
    image result{.height = side, .width = side, .channels = 1};
    for (std::size_t p = 0; p < result.pixels.size(); ++p) result.pixels[p] = 1 - (units.mean + units.scale * pixels[p]) / 16;
    return result;
  }
};

struct sampling {
  matrix<float> state;
  std::vector<std::int64_t> nearest;  ///< image of the data set
  std::vector<double> distance;       ///< from it: RMS of a pixel, in the grey values 0 … 16
  double seconds = 0;
  int calls = 0;  ///< of the denoiser
};

/// Draws samples with the data set stored as Storage; `observer` sees every step.
template <class Storage, class Observer>
sampling draw(const data_set& set, Observer observer) {
  const matrix<Storage> data = set.digits.pixels.as<Storage>();
  sampling result{.state = matrix<float>(samples, side * side),
                  .nearest = std::vector<std::int64_t>(samples),
                  .distance = std::vector<double>(samples)};
  const auto denoiser = [&](const auto& noisy, double sigma, const auto& out) {
    tessera::diffusion::exact_denoiser(par, noisy, data.view(), sigma, out);
    ++result.calls;
  };
  const std::vector<double> sigmas = tessera::diffusion::sigma_grid(18);
  example::progress progress("sampling", static_cast<std::int64_t>(sigmas.size()) - 1);
  const example::stopwatch clock;
  tessera::diffusion::initial_noise(par, sigmas.front(), result.state.view(), {.seed = 2022});
  tessera::diffusion::heun(par, denoiser, sigmas, result.state.view(), {}, [&](const auto& step) {
    observer(step);
    progress.show(step.index + 1);
  });
  result.seconds = clock.seconds();

  tessera::contract(par, result.state.view(), set.digits.pixels.view(), tessera::squared_distance{}, tessera::argmin{},
                    [&](std::int64_t row, const auto& found) {
                      const auto i = static_cast<std::size_t>(row);
                      result.nearest[i] = found.where;
                      result.distance[i] = static_cast<double>(set.units.scale * std::sqrt(found.score)) / side;
                    });
  return result;
}

/// Samples on the left, the nearest image of the data set on the right.
void show_pairs(example::section& page, const data_set& set, const sampling& drawn) {
  std::vector<example::figure> figures;
  for (std::size_t i = 0; i < 24; ++i) {
    image pair{.height = side, .width = 2 * side + 1};
    std::fill(pair.pixels.begin(), pair.pixels.end(), 0.6F);
    paste(pair, set.picture(drawn.state.row(static_cast<std::int64_t>(i))), 0, 0);
    paste(pair, set.picture(set.digits.pixels.row(drawn.nearest[i])), 0, side + 1);
    figures.push_back({pair, example::format("%d · %.3f", set.digits.label(drawn.nearest[i]), drawn.distance[i]), true});
  }
  page.figures(figures, 8);
}

/// A few samples at one noise level: what the sampler holds, and what the denoiser makes of it.
struct frame {
  double sigma = 0;
  std::array<image, 3> state, denoised;
};

}  // namespace

int main() try {
  const data_set set;
  std::vector<frame> film(1);
  const sampling wide = draw<float>(set, [&](const auto& step) {
    frame next;
    for (std::size_t s = 0; s < next.state.size(); ++s) {
      film.back().denoised[s] = set.picture(&step.denoised(static_cast<std::int64_t>(s), 0));
      next.state[s] = set.picture(&step.state(static_cast<std::int64_t>(s), 0));
    }
    film.back().sigma = step.sigma;
    film.push_back(next);
  });
  const sampling narrow = draw<tessera::bfloat16>(set, [](const auto&) {});

  const auto count = static_cast<double>(set.count());
  std::vector<double> draws_of_image(static_cast<std::size_t>(set.count()));
  std::vector<double> draws_of_label(10);
  double agreeing = 0;
  for (std::size_t i = 0; i < samples; ++i) {
    draws_of_image[static_cast<std::size_t>(wide.nearest[i])] += 1;
    draws_of_label[static_cast<std::size_t>(set.digits.label(wide.nearest[i]))] += 1;
    agreeing += wide.nearest[i] == narrow.nearest[i] ? 1 : 0;
  }
  double chi_squared = 0;
  for (const double draws : draws_of_image)
    chi_squared += (draws - samples / count) * (draws - samples / count) / (samples / count);
  chi_squared /= count - 1;
  const auto reached = static_cast<double>(set.count() - std::count(draws_of_image.begin(), draws_of_image.end(), 0.0));
  const double reached_by_chance = count * (1 - std::pow(1 - 1 / count, samples));
  const double farthest = *std::max_element(wide.distance.begin(), wide.distance.end());
  const double farthest_narrow = *std::max_element(narrow.distance.begin(), narrow.distance.end());

  std::printf("sample_digits: %d samples, %d denoiser calls, %.2f s with float32 data, %.2f s with bfloat16\n",
              static_cast<int>(samples), wide.calls, wide.seconds, narrow.seconds);
  std::printf("  farthest from the data set: %.4f and %.4f of 16 grey values; %.2f %% end at the same image in both\n", farthest,
              farthest_narrow, 100 * agreeing / samples);
  std::printf("  %.0f of %.0f images reached, a uniform draw reaches %.0f; chi squared per degree of freedom %.2f\n", reached,
              count, reached_by_chance, chi_squared);

  example::section page("sample_digits", "Digits, drawn from pure noise");
  page.text(
      example::format("EDM’s sampler (Heun, 18 steps from σ = 80 to 0, %d denoiser calls) over the exact denoiser of 1797 "
                      "handwritten digits; each "
                      "call is one contraction of the noisy images with the data set. There is no network, so the end is known: "
                      "the ideal denoiser "
                      "of a finite data set leads back to its images, to each as often as to any other. A sampler that ends "
                      "elsewhere, or prefers "
                      "some of them, has an error that a network would have hidden.",
                      wide.calls));
  page.numbers(
      {{example::format("%.2f s", wide.seconds), example::format("%d samples, data in float32", static_cast<int>(samples))},
       {example::format("%.2f s", narrow.seconds), "the same with the data in bfloat16"},
       {example::format("%.1g", farthest), "farthest sample from an image, float32: RMS of its pixels in the grey values 0 … 16"},
       {example::format("%.1g", farthest_narrow), "the same for data in bfloat16"},
       {example::format("%.1f %%", 100 * agreeing / samples), "of the samples end at the same image in both"},
       {example::format("%.0f of %.0f", reached, count),
        example::format("images reached (float32); a uniform draw reaches %.0f", reached_by_chance)},
       {example::format("%.2f", chi_squared), "χ² per degree of freedom of how often each was; 1 for a uniform draw"}});

  page.heading("On the way");
  page.text(
      "Three samples as the noise falls. Above what the sampler holds, below what the denoiser sees in it: at first the mean of "
      "all "
      "digits, then of fewer and fewer, then one.");
  for (std::size_t s = 0; s < film[0].state.size(); ++s) {
    std::vector<example::figure> states;
    std::vector<example::figure> denoised;
    for (std::size_t f = 6; f + 1 < film.size(); ++f) {
      states.push_back({film[f].state[s], "", true});
      denoised.push_back({film[f].denoised[s], example::format("σ %.2g", film[f].sigma), true});
    }
    states.insert(states.end(), denoised.begin(), denoised.end());
    page.figures(states, static_cast<int>(denoised.size()));
  }

  page.heading("Samples, data in float32");
  page.text(
      "Left the sample, right the nearest image of the data set, found by a contraction with <code>argmin</code>. Below, the "
      "label "
      "of that image and its distance: the RMS of a pixel in the grey values 0 … 16.");
  show_pairs(page, set, wide);
  page.heading("Samples from the same noise, data in bfloat16");
  page.text(
      "Half the memory for the data; sums stay in float32. The samples end at images that are rounded to 8 bits. Where the noise "
      "lies between two images, the rounding can decide which of them it becomes.");
  show_pairs(page, set, narrow);

  page.heading("Which digits were drawn");
  page.bars(example::format("How often each digit was drawn among %d samples (float32). The data set holds 174 to 183 images of "
                            "each, so 793 to 834 are expected, give or take 27.",
                            static_cast<int>(samples)),
            {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, draws_of_label, samples / 10.0, "a tenth");
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "sample_digits: %s\n", error.what());
  return 1;
}
