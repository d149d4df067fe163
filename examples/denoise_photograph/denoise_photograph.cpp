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
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "support/image.hpp"
#include "support/machine.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/diffusion/exact_denoiser.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/online/top_k.hpp"
#include "tessera/tile/contraction.hpp"

using example::image;
using tessera::par;

namespace {

constexpr std::int64_t side = 8;
constexpr std::int64_t depth = side * side * 3;
constexpr double sigma = 25.0 / 255;

/// Patches as rows [count, depth], each without its mean colour, which stands in `mean` [count, 3].
struct patch_set {
  std::int64_t count;
  std::vector<float> rows = std::vector<float>(static_cast<std::size_t>(count * depth));
  std::vector<float> mean = std::vector<float>(static_cast<std::size_t>(count * 3));

  tessera::view<const float, 2> view() const { return tessera::view(rows.data(), count, depth); }
  float* row(std::int64_t i) { return rows.data() + i * depth; }
};

/// How many patches start in a line of `length` pixels when every `step`-th is taken.
std::int64_t starts(std::int64_t length, std::int64_t step) { return (length - side) / step + 1; }

/// Cuts the patches whose upper left corners are at every `step`-th row in [top, bottom) and every `step`-th column.
patch_set cut(const image& picture, std::int64_t top, std::int64_t bottom, std::int64_t step) {
  const std::int64_t columns = starts(picture.width, step);
  patch_set set{.count = (bottom - top + step - 1) / step * columns};
  par.for_each(set.count, [&](int, std::int64_t i) {
    float* const mean = set.mean.data() + 3 * i;
    for (std::int64_t e = 0; e < depth; ++e) {
      const float value = picture.view()(top + i / columns * step + e / (3 * side), i % columns * step + e / 3 % side, e % 3);
      set.row(i)[e] = value;
      mean[e % 3] += value / static_cast<float>(side * side);
    }
    for (std::int64_t e = 0; e < depth; ++e) set.row(i)[e] -= mean[e % 3];
  });
  return set;
}

struct restored {
  image picture;
  double seconds;  ///< in the denoiser
  std::int64_t patches;
};

restored denoise(const image& noisy, const patch_set& data) {
  constexpr std::int64_t band = 16;  // rows of patches at a time: for the progress line, and to hold few patches at once
  const std::int64_t columns = starts(noisy.width, 1);
  const std::int64_t rows = starts(noisy.height, 1);
  image sum{.height = noisy.height, .width = noisy.width};
  std::vector<float> estimates(static_cast<std::size_t>(band * columns * depth));
  example::progress progress("denoising", rows);
  double seconds = 0;
  for (std::int64_t top = 0; top < rows; top += band) {
    const patch_set queries = cut(noisy, top, std::min(top + band, rows), 1);
    const example::stopwatch clock;
    tessera::diffusion::exact_denoiser(par, queries.view(), data.view(), sigma, tessera::view(estimates.data(), queries.count, depth));
    seconds += clock.seconds();
    for (std::int64_t i = 0; i < queries.count; ++i) {
      for (std::int64_t e = 0; e < depth; ++e) {
        sum.view()(top + i / columns + e / (3 * side), i % columns + e / 3 % side, e % 3) +=
            estimates[static_cast<std::size_t>(i * depth + e)] + queries.mean[static_cast<std::size_t>(3 * i + e % 3)];
      }
    }
    progress.show(std::min(top + band, rows));
  }
  // Pixel x lies in the patches that start at x - 7 … x, as far as these exist.
  const auto covering = [](std::int64_t x, std::int64_t length) {
    return std::min(x, length - side) - std::max<std::int64_t>(x - side + 1, 0) + 1;
  };
  for (std::int64_t y = 0; y < sum.height; ++y) {
    for (std::int64_t x = 0; x < sum.width; ++x) {
      const auto count = static_cast<float>(covering(y, sum.height) * covering(x, sum.width));
      for (std::int64_t c = 0; c < 3; ++c) sum.view()(y, x, c) /= count;
    }
  }
  return {sum, seconds, rows * columns};
}

/// Shows some queries with the data that explain them: two more folds of the same contraction, top_k and log-sum-exp.
void explain(example::section& page, const image& clean, const image& noisy, const image& result, const patch_set& data) {
  constexpr int shown = 4;
  struct place {
    std::int64_t y, x;
    const char* name;
  };
  const std::vector<place> places = {{108, 164, "eye"}, {238, 247, "nose"}, {217, 60, "whisker"}, {20, 230, "forehead"}};
  const auto count = static_cast<std::int64_t>(places.size());
  patch_set queries{.count = count};
  for (std::int64_t i = 0; i < count; ++i) {
    const place& p = places[static_cast<std::size_t>(i)];
    const patch_set one = cut(example::crop(noisy, p.y, p.x, side, side), 0, 1, 1);
    std::copy(one.rows.begin(), one.rows.end(), queries.row(i));
    std::copy(one.mean.begin(), one.mean.end(), queries.mean.begin() + 3 * i);
  }
  std::vector<tessera::top_k<shown>::state<float>> nearest(places.size());
  tessera::contract(par, queries.view(), data.view(), tessera::squared_distance{}, tessera::top_k<shown>{},
                    [&](std::int64_t i, const auto& found) { nearest[static_cast<std::size_t>(i)] = found; });
  std::vector<float> log_sum(places.size());
  tessera::contract(par, queries.view(), data.view(), tessera::gaussian{sigma}, tessera::logsumexp{},
                    [&](std::int64_t i, float lse) { log_sum[static_cast<std::size_t>(i)] = lse; });

  page.heading("Which patches of the portrait explain the cat");
  page.text(
      "Four noisy patches, the four nearest of the portrait with their weights in the mean (the mean colour of the query is added "
      "back), and what came out once all overlapping patches were averaged.");
  for (std::size_t i = 0; i < places.size(); ++i) {
    const place& p = places[i];
    std::array<image, 3 + shown> cell;
    cell[0] = example::crop(noisy, p.y, p.x, side, side);
    cell[shown + 1] = example::crop(result, p.y, p.x, side, side);
    cell[shown + 2] = example::crop(clean, p.y, p.x, side, side);
    std::vector<example::figure> row{{&cell[0], std::string("<b>") + p.name + "</b>, noisy", 0, true}};
    for (std::size_t k = 0; k < shown; ++k) {
      cell[k + 1] = cell[0];
      for (std::size_t e = 0; e < depth; ++e) {
        cell[k + 1].pixels[e] = data.rows[static_cast<std::size_t>(nearest[i].where[k]) * depth + e] + queries.mean[3 * i + e % 3];
      }
      const double exponent = -static_cast<double>(nearest[i].score[k]) / (2 * sigma * sigma) - static_cast<double>(log_sum[i]);
      row.push_back({&cell[k + 1], example::format("weight %.2f", std::exp(exponent)), 0, true});
    }
    row.push_back({&cell[shown + 1], "<b>restored</b>", 0, true});
    row.push_back({&cell[shown + 2], "clean", 0, true});
    page.figures(row, 3 + shown);
  }
}

/// What opencv_peer.py found out, if there is an OpenCV for Python.
struct opencv {
  bool installed = false;
  char version[32] = "";
  int threads = 0;
  int h = 0;
  double seconds = 0;
  image picture;
};

opencv run_opencv(const std::string& folder) {
  opencv peer;
  const std::string command = "python3 " EXAMPLES_DIR "/denoise_photograph/opencv_peer.py " + folder + " 2>/dev/null";
  FILE* const answer = popen(command.c_str(), "r");
  if (answer == nullptr) return peer;
  peer.installed = std::fscanf(answer, "%31s %d %d %lf", peer.version, &peer.threads, &peer.h, &peer.seconds) == 4;
  pclose(answer);
  if (peer.installed) peer.picture = example::read_png(folder + "/opencv.png");
  return peer;
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

  const patch_set data = cut(portrait, 0, starts(portrait.height, 1), 2);
  double peak = machine::fma_peak(par);
  const restored ours = denoise(noisy, data);
  peak = std::max(peak, machine::fma_peak(par));
  const image result = example::as_8_bit(ours.picture);
  example::write_png(folder + "/tessera.png", result);
  const opencv peer = run_opencv(folder);

  const double pairs = static_cast<double>(ours.patches) * static_cast<double>(data.count);
  const double flops = 2 * pairs * (depth + depth);
  const double before = psnr(noisy, clean);
  const double after = psnr(result, clean);
  const double memory = example::peak_memory();
  std::printf("denoise_photograph  %lld patches against %lld: PSNR %.2f dB -> %.2f dB in %.1f s\n",
              static_cast<long long>(ours.patches), static_cast<long long>(data.count), before, after, ours.seconds);
  std::printf("  %.0f GFLOP/s, %.0f %% of the FMA peak (%.0f GFLOP/s, %d threads); peak memory %.0f MB, the matrix would be %.1f GB\n",
              flops / ours.seconds / 1e9, 100 * flops / ours.seconds / peak, peak / 1e9, par.workers(), memory / 1e6, 4e-9 * pairs);
  if (peer.installed) {
    std::printf("  OpenCV %s fastNlMeansDenoisingColored, h = %d: %.2f dB in %.1f s\n", peer.version, peer.h,
                psnr(peer.picture, clean), peer.seconds);
  } else {
    std::printf("  OpenCV for Python is not installed: no comparison\n");
  }

  example::section page("denoise_photograph", "A photograph, denoised with another photograph");
  page.text(example::format(
      "Gaussian noise of σ = 25/255 on every pixel of a cat. Each of its %lld overlapping 8 × 8 patches is compared with %lld "
      "patches of a clean portrait of an astronaut, and replaced by what it most probably was: the mean of all of them under the "
      "weights softmax(−‖x − y‖²/2σ²), the exact denoiser of that data set. The estimates that cover a pixel are averaged. Nothing "
      "was trained, and the only parameter is the σ of the noise.",
      static_cast<long long>(ours.patches), static_cast<long long>(data.count)));
  const std::string opencv_caption =
      peer.installed ? example::format("<b>OpenCV non-local means</b>, %.2f dB", psnr(peer.picture, clean)) : "";
  const std::string noisy_caption = example::format("<b>Noisy</b>, %.2f dB", before);
  const std::string our_caption = example::format("<b>Tessera</b>, %.2f dB", after);
  page.figures({{&noisy, noisy_caption}, {&result, our_caption}}, 2);
  page.numbers({{example::format("%.2f dB", before), "PSNR before"},
                {example::format("%.2f dB", after), "PSNR after"},
                {example::format("%.1f s", ours.seconds), example::format("in the denoiser, %d threads", par.workers())},
                {example::format("%.0f GFLOP/s", flops / ours.seconds / 1e9), "2 n m (192 + 192) flops; exponentials not counted"},
                {example::format("%.0f %%", 100 * flops / ours.seconds / peak),
                 example::format("of this run's FMA peak, %.0f GFLOP/s", peak / 1e9)},
                {example::format("%.0f MB", memory / 1e6), "peak memory of the process"},
                {example::format("%.1f GB", 4e-9 * pairs), "matrix of weights in float32, never built"}});
  page.heading("A closer look");
  const std::array<image, 2> source = {example::crop(clean, 66, 116, 100, 120), portrait};
  const image noisy_eye = example::crop(noisy, 66, 116, 100, 120);
  const image our_eye = example::crop(result, 66, 116, 100, 120);
  std::vector<example::figure> eyes{
      {&source[0], "<b>Clean</b>", 0, true}, {&noisy_eye, noisy_caption, 0, true}, {&our_eye, our_caption, 0, true}};
  image opencv_eye;
  if (peer.installed) {
    opencv_eye = example::crop(peer.picture, 66, 116, 100, 120);
    eyes.push_back({&opencv_eye, opencv_caption, 0, true});
  }
  page.figures(eyes, 2);
  if (peer.installed) {
    page.text(example::format(
        "The peer is <code>fastNlMeansDenoisingColored</code> of OpenCV %s, %d threads, %.1f s, on the same 8-bit file. Its strength "
        "h = hColor = %d is the one of 5, 10 … 30 that comes closest to the clean picture. The two do not do the same: OpenCV "
        "averages patches of the noisy picture in a window of 21 × 21, here every patch meets all %lld clean ones of the portrait.",
        peer.version, peer.threads, peer.seconds, peer.h, static_cast<long long>(data.count)));
  } else {
    page.text("OpenCV for Python is not installed, so its <code>fastNlMeansDenoisingColored</code> was not run for comparison.");
  }
  explain(page, clean, noisy, result, data);
  page.figures({{&clean, "The clean cat, which only the PSNR is computed from"},
                {&source[1], "The data set: 8 × 8 patches at every second row and column of this portrait"}}, 2);
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "denoise_photograph: %s\n", error.what());
  return 1;
}
