// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A transformer of 0.8 million weights learns to write like Shakespeare, character by character: stored in bfloat16, with float32 masters.
///
/// learn_shakespeare [STEPS]. 20 steps before the end a checkpoint is written, out/shakespeare.checkpoint, from which a second model goes on: both
/// end with the same bits. What the file holds afterwards is the end.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/character_model.hpp"
#include "support/page.hpp"
#include "support/progress.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using example::character_model;
using example::text_batch;
constexpr std::uint64_t seed = 1623;  // the First Folio

/// Rises over 100 steps, then falls as a cosine to a tenth.
double rate_of(std::int64_t step, std::int64_t steps) {
  constexpr double highest = 2e-3;
  constexpr double rising = 100;
  const auto k = static_cast<double>(step);
  if (k < rising) return highest * (k + 1) / rising;
  const double done = (k - rising) / std::max(1.0, static_cast<double>(steps) - rising);
  return highest * (0.1 + 0.45 * (1 + std::cos(std::numbers::pi * done)));
}

/// Text in HTML.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<' || c == '&') {
      result += c == '<' ? "&lt;" : "&amp;";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::int64_t steps = argc > 1 ? std::strtoll(argv[1], nullptr, 10) : 1500;
  constexpr std::int64_t after_checkpoint = 20;
  if (steps <= after_checkpoint) throw std::runtime_error("needs more than 20 steps");
  const example::characters text(example::read_text(EXAMPLES_DIR "/data/shakespeare.txt"));
  const auto length = static_cast<std::int64_t>(text.ids.size());
  const std::int64_t taught = length * 9 / 10;
  const auto alphabet = static_cast<std::int64_t>(text.alphabet.size());
  const example::character_model_shape shape;
  using model = character_model<tessera::bfloat16>;
  model net(shape, alphabet, seed);

  const auto learn = [&](model& m) {
    const std::int64_t step = m.steps();
    const text_batch batch(text.ids, 0, taught, shape, seed, step);
    const float loss = m.learn(batch.ids.data(), batch.next.data());
    m.step(rate_of(step, steps));
    return static_cast<double>(loss);
  };
  const auto held_out = [&](model& m, std::int64_t batches) {
    double sum = 0;
    for (std::int64_t k = 0; k < batches; ++k) {
      const text_batch batch(text.ids, taught, length, shape, seed + 1, k);
      sum += static_cast<double>(m.loss(batch.ids.data(), batch.next.data()));
    }
    return sum / static_cast<double>(batches);
  };

  const std::filesystem::path checkpoint = "out/shakespeare.checkpoint";
  std::filesystem::create_directories("out");
  example::curve taught_curve{"taught", {}};
  example::curve held_out_curve{"held out", {}};
  example::progress progress("learning", steps);
  const example::stopwatch clock;
  double seconds = 0;
  double mean = 0;
  constexpr std::int64_t every = 50;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (step == steps - after_checkpoint) net.save(checkpoint.string());
    const double before = clock.seconds();
    mean += learn(net) / every;
    seconds += clock.seconds() - before;
    progress.show(step + 1);
    if ((step + 1) % every == 0) {
      taught_curve.points.emplace_back(step + 1, mean);
      mean = 0;
      held_out_curve.points.emplace_back(step + 1, held_out(net, 4));
    }
  }
  const double last = held_out(net, 32);

  model resumed(shape, alphabet, seed + 7);  // begun with other weights
  resumed.load(checkpoint.string());
  for (std::int64_t k = 0; k < after_checkpoint; ++k) learn(resumed);
  const bool same = resumed.same_bits(net);
  if (!same) throw std::runtime_error("a resumed run ends with other bits");

  net.save(checkpoint.string());
  model writer({.batch = 1}, alphabet, seed);
  writer.load(checkpoint.string());
  const std::string written = writer.write(text, "ROMEO:\n", 600, 0.8F, seed);
  const double tokens = static_cast<double>(steps * net.rows());
  std::printf(
      "%d steps of %d characters in %.1f s (%.0f characters a second): %.3f nats a character on text that was held out\n%s\n",
      static_cast<int>(steps), static_cast<int>(net.rows()), seconds, tokens / seconds, last, written.c_str());

  example::section page("learn_shakespeare", "Shakespeare, character by character");
  page.text(example::format(
      "A transformer of %d layers, %d heads and %.2f million weights reads a million characters of Shakespeare in pieces of %d. "
      "Weights, activations and gradients are bfloat16, masters and moments of AdamW float32; attention, norms, linear "
      "layers and the cross-entropy are the library's, forward and backward.",
      static_cast<int>(shape.layers), static_cast<int>(shape.heads), static_cast<double>(net.size()) / 1e6,
      static_cast<int>(shape.context)));
  page.numbers({{example::format("%.3f", last), "nats a character, on the tenth that was held out"},
                {example::format("%.0f s", seconds),
                 example::format("for %d steps of %d characters", static_cast<int>(steps), static_cast<int>(net.rows()))},
                {"the same bits", "after a checkpoint was loaded and the last 20 steps were taken again"}});
  if (!held_out_curve.points.empty()) {
    page.curves("Loss in nats a character. A uniform guess: 4.17.", "step", {taught_curve, held_out_curve}, false);
  }
  page.text("<pre>" + escaped(written) + "</pre>");
  page.save();
} catch (const std::exception& error) {
  std::fprintf(stderr, "learn_shakespeare: %s\n", error.what());
  return 1;
}
