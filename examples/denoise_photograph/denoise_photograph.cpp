// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A noisy photograph of a cat, restored with patches of a clean photograph that shows something else.
///
/// Every overlapping 8 x 8 patch of the noisy picture is a query, patches of the clean one are the data set, and
///   E[y | x] = sum_j softmax_j(-|x - y_j|^2 / 2 sigma^2) y_j
/// is one row of a contraction. The estimates that cover a pixel are averaged. A patch is compared after its mean colour is taken
/// away: noise is independent of the mean there, so the formula stays exact, and a patch fits wherever its structure does. The
/// mean of the noisy patch, of which averaging 64 pixels has removed most noise, is put back.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "support/image.hpp"
#include "support/machine.hpp"
#include "support/matrix.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/diffusion/exact_denoiser.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/online/top_k.hpp"
#include "tessera/tile/contraction.hpp"

using example::image;
using example::matrix;
using tessera::par;

namespace {

constexpr std::int64_t side = 8;
constexpr std::int64_t depth = side * side * 3;
constexpr double sigma = 25.0 / 255;

/// Patches without their mean colour, a row each, and the mean colours.
struct patch_set {
  matrix<float> structure;  ///< [count, depth]
  matrix<float> mean;       ///< [count, 3]

  [[nodiscard]] std::int64_t count() const { return structure.rows(); }
};

/// How many patches start in a line of `length` pixels when every `step`-th is taken.
std::int64_t starts(std::int64_t length, std::int64_t step = 1) { return (length - side) / step + 1; }

/// Cuts the patches whose upper left corners are at every `step`-th row of [top, bottom) and every `step`-th column.
patch_set cut(const image& picture, std::int64_t top, std::int64_t bottom, std::int64_t step = 1) {
  const std::int64_t columns = starts(picture.width, step);
  const std::int64_t count = (bottom - top + step - 1) / step * columns;
  patch_set set{matrix<float>(count, depth), matrix<float>(count, 3)};
  par.for_each(count, [&](int, std::int64_t i) {
    for (std::int64_t e = 0; e < depth; ++e) {
      const float value = picture.view()(top + i / columns * step + e / (3 * side), i % columns * step + e / 3 % side, e % 3);
      set.structure(i, e) = value;
      set.mean(i, e % 3) += value / (side * side);
    }
    for (std::int64_t e = 0; e < depth; ++e) set.structure(i, e) -= set.mean(i, e % 3);
  });
  return set;
}

struct restoration {
  image picture;
  std::int64_t patches = 0;
  double seconds = 0;        ///< in the denoiser
  double total_seconds = 0;  ///< with cutting and averaging the patches
};

restoration denoise(const image& noisy, const patch_set& data) {
  constexpr std::int64_t band = 16;  // rows of patches at a time: for the progress line, and to hold few patches at once
  const std::int64_t rows = starts(noisy.height);
  const std::int64_t columns = starts(noisy.width);
  restoration result{.picture = {.height = noisy.height, .width = noisy.width}, .patches = rows * columns};
  image covering = result.picture;  // how many patches lie over a pixel
  example::progress progress("denoising", rows);
  const example::stopwatch total;
  for (std::int64_t top = 0; top < rows; top += band) {
    const std::int64_t bottom = std::min(top + band, rows);
    const patch_set queries = cut(noisy, top, bottom);
    matrix<float> estimates(queries.count(), depth);
    const example::stopwatch clock;
    tessera::diffusion::exact_denoiser(par, queries.structure.view(), data.structure.view(), sigma, estimates.view());
    result.seconds += clock.seconds();
    for (std::int64_t i = 0; i < queries.count(); ++i) {
      for (std::int64_t e = 0; e < depth; ++e) {
        const std::int64_t y = top + i / columns + e / (3 * side);
        const std::int64_t x = i % columns + e / 3 % side;
        result.picture.view()(y, x, e % 3) += estimates(i, e) + queries.mean(i, e % 3);
        covering.view()(y, x, e % 3) += 1;
      }
    }
    progress.show(bottom);
  }
  for (std::size_t i = 0; i < covering.pixels.size(); ++i) result.picture.pixels[i] /= covering.pixels[i];
  result.total_seconds = total.seconds();
  return result;
}

/// What opencv_peer.py found out, if there is an OpenCV for Python.
struct opencv_result {
  bool installed = false;
  char version[32] = "";
  int threads = 0;
  int h = 0;
  double seconds = 0;
  image picture;
};

opencv_result run_opencv(const std::string& folder) {
  opencv_result peer;
  const std::string command = "python3 '" EXAMPLES_DIR "/denoise_photograph/opencv_peer.py' " + folder + " 2>/dev/null";
  FILE* const answer = popen(command.c_str(), "r");
  if (answer == nullptr) return peer;
  peer.installed = std::fscanf(answer, "%31s %d %d %lf", peer.version, &peer.threads, &peer.h, &peer.seconds) == 4;
  pclose(answer);
  if (peer.installed) peer.picture = example::read_png(folder + "/opencv.png");
  return peer;
}

/// Shows some queries with the data that explain them: two more folds of the same contraction, top-k and log-sum-exp.
void explain(example::section& page, const image& clean, const image& noisy, const image& restored, const patch_set& data) {
  constexpr int shown = 4;
  struct place {
    std::int64_t y, x;
    const char* name;
  };
  const std::vector<place> places = {{94, 140, "eyelid"}, {238, 284, "nose"}, {244, 110, "whisker"}, {30, 232, "forehead"}};

  page.heading("Which patches of the portrait explain the cat");
  page.text(
      "Four noisy patches, the four nearest of the portrait with their weights in the mean (in the mean colour of the noisy "
      "patch), "
      "and what came out once all overlapping estimates were averaged.");
  for (const place& p : places) {
    const auto part = [&](const image& picture) { return example::crop(picture, p.y, p.x, side, side); };
    const patch_set query = cut(part(noisy), 0, 1);
    tessera::top_k<shown>::state<float> nearest;
    tessera::contract(par, query.structure.view(), data.structure.view(), tessera::squared_distance{}, tessera::top_k<shown>{},
                      [&](std::int64_t, const auto& found) { nearest = found; });
    double log_sum = 0;
    tessera::contract(par, query.structure.view(), data.structure.view(), tessera::gaussian{sigma}, tessera::logsumexp{},
                      [&](std::int64_t, float found) { log_sum = static_cast<double>(found); });

    std::vector<example::figure> row = {{part(noisy), std::string("<b>") + p.name + "</b>, noisy", true}};
    for (int k = 0; k < shown; ++k) {
      image patch = part(noisy);
      for (std::int64_t e = 0; e < depth; ++e) {
        patch.view()(e / (3 * side), e / 3 % side, e % 3) = data.structure(nearest.where[k], e) + query.mean(0, e % 3);
      }
      const double weight = std::exp(-static_cast<double>(nearest.score[k]) / (2 * sigma * sigma) - log_sum);
      row.push_back({patch, example::format("weight %.2f", weight), true});
    }
    row.push_back({part(restored), "<b>restored</b>", true});
    row.push_back({part(clean), "clean", true});
    page.figures(row, 3 + shown);
  }
}

}  // namespace

int main() try {
  const std::string folder = "out/denoise_photograph";
  const image clean = example::read_png(EXAMPLES_DIR "/data/chelsea.png");
  const image portrait = example::read_png(EXAMPLES_DIR "/data/astronaut.png");
  image noisy = clean;
  tessera::diffusion::add_noise(par, sigma, noisy.view(), {.seed = 25});
  noisy = example::as_8_bit(noisy);  // OpenCV takes nothing else, and both shall get the same
  example::write_png(folder + "/clean.png", clean);
  example::write_png(folder + "/noisy.png", noisy);

  const patch_set data = cut(portrait, 0, starts(portrait.height), 2);
  double peak = machine::fma_peak(par);
  const restoration run = denoise(noisy, data);
  peak = std::max(peak, machine::fma_peak(par));
  const image restored = example::as_8_bit(run.picture);
  example::write_png(folder + "/tessera.png", restored);
  const double memory = example::peak_memory();
  const opencv_result opencv = run_opencv(folder);

  const double pairs = static_cast<double>(run.patches) * static_cast<double>(data.count());
  const double flops = 2 * pairs * (depth + depth);
  const double rate = flops / run.seconds;
  const double before = psnr(noisy, clean);
  const double after = psnr(restored, clean);
  std::printf("denoise_photograph: %ld patches against %ld, PSNR %.2f dB -> %.2f dB in %.1f s\n", static_cast<long>(run.patches),
              static_cast<long>(data.count()), before, after, run.seconds);
  std::printf("  %.0f GFLOP/s, %.0f %% of the FMA peak of %d threads (%.0f GFLOP/s)\n", rate / 1e9, 100 * rate / peak,
              par.workers(), peak / 1e9);
  std::printf("  peak memory %.0f MB; the matrix never built: %.1f GB\n", memory / 1e6, 4e-9 * pairs);
  if (opencv.installed) {
    std::printf("  OpenCV %s, fastNlMeansDenoisingColored with its best h (%d): %.2f dB in %.1f s\n", opencv.version, opencv.h,
                psnr(opencv.picture, clean), opencv.seconds);
  } else {
    std::printf("  OpenCV for Python is not installed: no comparison\n");
  }

  example::section page("denoise_photograph", "A photograph, denoised with another photograph");
  page.text(
      example::format("A cat under Gaussian noise of σ = 25/255. Each of the %ld overlapping 8 × 8 patches is compared with %ld "
                      "patches of a clean "
                      "portrait of an astronaut and replaced by its expectation: their mean under the weights softmax(−‖x − "
                      "y‖²/2σ²), which is the "
                      "exact denoiser of that data set. The estimates that cover a pixel are averaged. Nothing was trained; the "
                      "one parameter is the "
                      "σ of the noise.",
                      static_cast<long>(run.patches), static_cast<long>(data.count())));
  const std::string noisy_caption = example::format("<b>Noisy</b>, %.2f dB", before);
  const std::string restored_caption = example::format("<b>Tessera</b>, %.2f dB", after);
  page.figures({{noisy, noisy_caption}, {restored, restored_caption}}, 2);
  page.numbers(
      {{example::format("%.2f dB", before), "PSNR before"},
       {example::format("%.2f dB", after), "PSNR after"},
       {example::format("%.1f s", run.seconds),
        example::format("in the denoiser, %d threads; %.1f s with cutting and averaging the patches", par.workers(),
                        run.total_seconds)},
       {example::format("%.0f GFLOP/s", rate / 1e9), "2 n m (192 + 192) flops; exponentials are not counted"},
       {example::format("%.0f %%", 100 * rate / peak), example::format("of the FMA peak of this run, %.0f GFLOP/s", peak / 1e9)},
       {example::format("%.0f MB", memory / 1e6), "peak memory of the process"},
       {example::format("%.1f GB", 4e-9 * pairs), "float32 matrix of weights, never built"}});

  page.heading("A closer look");
  const auto eye = [](const image& picture) { return example::crop(picture, 66, 116, 100, 120); };
  std::vector<example::figure> eyes = {
      {eye(clean), "<b>Clean</b>", true}, {eye(noisy), noisy_caption, true}, {eye(restored), restored_caption, true}};
  if (opencv.installed) {
    eyes.push_back({eye(opencv.picture), example::format("<b>OpenCV</b>, %.2f dB", psnr(opencv.picture, clean)), true});
  }
  page.figures(eyes, 2);
  if (opencv.installed) {
    page.text(example::format(
        "OpenCV is <code>fastNlMeansDenoisingColored</code> of version %s, %d threads, %.1f s, on the same 8-bit file. Of its "
        "strengths h = hColor = 5, 10 … 30 the one nearest to the clean picture was kept: %d. The two do not do the same. OpenCV "
        "compares a patch with those around it in the noisy picture, a window of 21 × 21; here it meets %ld clean ones of "
        "another "
        "picture.",
        opencv.version, opencv.threads, opencv.seconds, opencv.h, static_cast<long>(data.count())));
  } else {
    page.text("OpenCV for Python is not installed, so its <code>fastNlMeansDenoisingColored</code> was not run for comparison.");
  }
  explain(page, clean, noisy, restored, data);
  page.heading("What was given");
  page.figures({{clean, "The cat without noise; only the PSNR is computed from it"},
                {portrait, "The data set: the 8 × 8 patches at every second row and column of this portrait"}},
               2);
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "denoise_photograph: %s\n", error.what());
  return 1;
}
