// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Digits drawn from pure noise: EDM's Heun sampler over the exact denoiser of 1797 handwritten digits.
///
/// The denoiser needs no network: E[y | x] is one contraction of the noisy images with the data set. What the sampler reaches is
/// known, too: an image of the data set, each with the same probability. That makes this a test as well as a demonstration.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/image.hpp"
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
using tessera::par;

namespace {

constexpr std::int64_t side = 8;
constexpr std::int64_t depth = side * side;
constexpr std::int64_t samples = 8192;
constexpr std::int64_t shown = 40;

/// Images [count, depth], shifted and scaled to mean 0 and standard deviation 0.5, for which EDM's noise levels are made.
struct digits {
  std::vector<float> pixels;
  std::vector<int> labels;
  float mean = 0;
  float scale = 1;  ///< grey value = mean + scale * pixel

  std::int64_t count() const { return static_cast<std::int64_t>(labels.size()); }
};

digits read_digits(const std::string& path) {
  digits set;
  std::ifstream file(path);
  for (int value = 0; file >> value; file.ignore(1)) {
    const std::size_t column = (set.pixels.size() + set.labels.size()) % (depth + 1);
    if (column < depth) {
      set.pixels.push_back(static_cast<float>(value));
    } else {
      set.labels.push_back(value);
    }
  }
  if (set.labels.empty()) throw std::runtime_error(path + ": cannot read");
  double sum = 0;
  double squares = 0;
  for (const float p : set.pixels) {
    sum += static_cast<double>(p);
    squares += static_cast<double>(p * p);
  }
  const auto n = static_cast<double>(set.pixels.size());
  set.mean = static_cast<float>(sum / n);
  set.scale = static_cast<float>(2 * std::sqrt(squares / n - sum / n * sum / n));
  for (float& p : set.pixels) p = (p - set.mean) / set.scale;
  return set;
}

/// Dark ink on white paper.
image picture(const digits& set, const float* pixels) {
  image result{.height = side, .width = side, .channels = 1};
  for (std::size_t e = 0; e < depth; ++e) result.pixels[e] = 1 - (set.mean + set.scale * pixels[e]) / 16;
  return result;
}

struct run {
  std::vector<float> state = std::vector<float>(samples * depth);
  std::vector<tessera::extremum<float>> nearest = std::vector<tessera::extremum<float>>(samples);  ///< in the data set
  double seconds = 0;
  int calls = 0;  ///< of the denoiser

  const float* sample(std::int64_t i) const { return state.data() + i * depth; }
};

/// Samples with the data set stored as Storage. `observer` sees every step.
template <class Storage, class Observer>
run draw(const digits& set, Observer observer) {
  const std::vector<Storage> stored(set.pixels.begin(), set.pixels.end());
  const tessera::view data(stored.data(), set.count(), depth);
  const std::vector<double> sigmas = tessera::diffusion::sigma_grid(18);
  run result;
  example::progress progress("sampling", static_cast<std::int64_t>(sigmas.size()) - 1);
  const auto denoiser = [&](const auto& noisy, double sigma, const auto& out) {
    tessera::diffusion::exact_denoiser(par, noisy, data, sigma, out);
    ++result.calls;
  };
  const tessera::view state(result.state.data(), samples, depth);
  const example::stopwatch clock;
  tessera::diffusion::initial_noise(par, sigmas.front(), state, {.seed = 2022});
  tessera::diffusion::heun(par, denoiser, sigmas, state, {}, [&](const auto& step) {
    observer(step);
    progress.show(step.index + 1);
  });
  result.seconds = clock.seconds();

  const tessera::view images(set.pixels.data(), set.count(), depth);
  tessera::contract(par, state, images, tessera::squared_distance{}, tessera::argmin{},
                    [&](std::int64_t i, const auto& found) { result.nearest[static_cast<std::size_t>(i)] = found; });
  return result;
}

/// Root mean squared difference of a sample and the nearest image of the data set, in grey values of 0 … 16.
double distance(const digits& set, const tessera::extremum<float>& nearest) {
  return std::sqrt(static_cast<double>(nearest.score) / depth) * static_cast<double>(set.scale);
}

/// Samples on the left, the nearest image of the data set on the right.
void show_pairs(example::section& page, const digits& set, const run& drawn) {
  std::vector<image> pairs(shown);
  std::vector<example::figure> figures;
  for (std::int64_t i = 0; i < shown; ++i) {
    const auto& nearest = drawn.nearest[static_cast<std::size_t>(i)];
    image& pair = pairs[static_cast<std::size_t>(i)] = {.height = side, .width = 2 * side + 1};
    std::fill(pair.pixels.begin(), pair.pixels.end(), 0.6F);
    paste(pair, picture(set, drawn.sample(i)), 0, 0);
    paste(pair, picture(set, set.pixels.data() + nearest.where * depth), 0, side + 1);
    figures.push_back({&pair, example::format("%d · %.3f", set.labels[static_cast<std::size_t>(nearest.where)], distance(set, nearest)), 0, true});
  }
  page.figures(figures, 8);
}

}  // namespace

int main() try {
  const digits set = read_digits(EXAMPLES_DIR "/data/digits.csv");

  // What the first samples look like on their way, and what the denoiser makes of them.
  constexpr std::int64_t strips = 3;
  struct frame {
    double sigma = 0;
    std::array<image, strips> state, denoised;  ///< x and D(x; sigma)
  };
  std::vector<frame> film(1);
  const run wide = draw<float>(set, [&](const auto& step) {
    film.back().sigma = step.sigma;
    film.emplace_back();
    for (std::int64_t s = 0; s < strips; ++s) {
      film[film.size() - 2].denoised[static_cast<std::size_t>(s)] = picture(set, &step.denoised(s, 0));
      film.back().state[static_cast<std::size_t>(s)] = picture(set, &step.state(s, 0));
    }
  });
  film.pop_back();                              // the end: sigma = 0
  film.erase(film.begin(), film.begin() + 6);   // from sigma = 8.4
  const run narrow = draw<tessera::bfloat16>(set, [](const auto&) {});

  std::vector<double> drawn_labels(10);
  std::vector<double> expected(10);
  std::vector<int> hits(set.labels.size());
  double farthest_wide = 0;
  double farthest_narrow = 0;
  std::int64_t same = 0;
  for (std::size_t i = 0; i < samples; ++i) {
    const auto image_of = static_cast<std::size_t>(wide.nearest[i].where);
    ++hits[image_of];
    drawn_labels[static_cast<std::size_t>(set.labels[image_of])] += 1;
    farthest_wide = std::max(farthest_wide, distance(set, wide.nearest[i]));
    farthest_narrow = std::max(farthest_narrow, distance(set, narrow.nearest[i]));
    same += wide.nearest[i].where == narrow.nearest[i].where ? 1 : 0;
  }
  const auto count = static_cast<double>(set.count());
  const auto distinct = std::count_if(hits.begin(), hits.end(), [](int h) { return h > 0; });
  double chi_squared = 0;
  for (const int h : hits) chi_squared += (h - samples / count) * (h - samples / count) / (samples / count);
  const double expected_distinct = count * (1 - std::pow(1 - 1 / count, samples));
  const double same_share = 100.0 * static_cast<double>(same) / samples;

  std::printf("sample_digits  %lld samples, %d denoiser calls: float32 %.2f s, bfloat16 data %.2f s\n",
              static_cast<long long>(samples), wide.calls, wide.seconds, narrow.seconds);
  std::printf("  farthest from the data (grey values of 0 … 16): %.4f, %.4f; %.2f %% end at the same image in both\n", farthest_wide,
              farthest_narrow, same_share);
  std::printf("  %lld of %lld images reached, %.0f expected of a uniform draw; chi squared per degree of freedom %.2f\n",
              static_cast<long long>(distinct), static_cast<long long>(set.count()), expected_distinct, chi_squared / (count - 1));

  example::section page("sample_digits", "Digits, drawn from pure noise");
  page.text(example::format(
      "EDM's sampler (Heun, 18 steps from σ = 80 down to 0, %d denoiser calls) over the exact denoiser of 1797 handwritten digits: "
      "each call is one contraction of the noisy images with the data set. There is no network, so the end is known: the ideal "
      "denoiser of a finite data set leads back to its images, each as often as any other. A sampler that misses one, or prefers "
      "some, has a bug that a network would have hidden.",
      wide.calls));
  page.numbers({{example::format("%.2f s", wide.seconds), example::format("%lld samples, data in float32", static_cast<long long>(samples))},
                {example::format("%.2f s", narrow.seconds), "the same with data in bfloat16"},
                {example::format("%.4f, %.4f", farthest_wide, farthest_narrow),
                 "farthest sample from its image, float32 and bfloat16: RMS in grey values of 0 … 16"},
                {example::format("%.1f %%", same_share), "of the samples end at the same image in both"},
                {example::format("%lld of %lld", static_cast<long long>(distinct), static_cast<long long>(set.count())),
                 example::format("images reached; a uniform draw reaches %.0f", expected_distinct)},
                {example::format("%.2f", chi_squared / (count - 1)), "χ² per degree of freedom of the draws, 1 for a uniform draw"}});

  page.heading("On the way");
  page.text(
      "Three samples at falling noise levels. Above what the sampler holds, below what the denoiser sees in it: first the mean of "
      "all digits, then of ever fewer, then one.");
  for (std::size_t s = 0; s < strips; ++s) {
    std::vector<example::figure> row;
    for (const frame& f : film) row.push_back({&f.state[s], "", 0, true});
    for (const frame& f : film) row.push_back({&f.denoised[s], s + 1 < strips ? "" : example::format("σ %.2g", f.sigma), 0, true});
    page.figures(row, static_cast<int>(film.size()));
  }
  page.heading("Samples, data in float32");
  page.text(
      "Left the sample, right the nearest image of the data set, found by the same contraction with <code>argmin</code>; the label "
      "of that image and the RMS difference in grey values of 0 … 16.");
  show_pairs(page, set, wide);
  page.heading("Samples from the same noise, data in bfloat16");
  page.text(
      "Half the memory for the data set; sums stay in float32. The samples end at images rounded to 8 bits of mantissa. Where the "
      "noise lies between two images, that rounding can decide which of them it becomes.");
  show_pairs(page, set, narrow);
  for (std::size_t d = 0; d < 10; ++d) {
    expected[d] = samples / count * static_cast<double>(std::count(set.labels.begin(), set.labels.end(), static_cast<int>(d)));
  }
  page.bars(example::format("How often each digit was drawn among %lld samples (float32). The data set holds %.0f to %.0f of each, "
                            "which gives %.0f to %.0f here.",
                            static_cast<long long>(samples), *std::min_element(expected.begin(), expected.end()) * count / samples,
                            *std::max_element(expected.begin(), expected.end()) * count / samples,
                            *std::min_element(expected.begin(), expected.end()), *std::max_element(expected.begin(), expected.end())),
            {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, drawn_labels, samples / 10.0, "a tenth");
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "sample_digits: %s\n", error.what());
  return 1;
}
