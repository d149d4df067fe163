// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Pictures in memory, and PNG files through libpng.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tessera/tile/view.hpp"

namespace example {

/// Pixels [height, width, channels], 0 black … 1 full; 1 channel is grey, 3 are red, green, blue.
struct image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 3;
  std::vector<float> pixels = std::vector<float>(static_cast<std::size_t>(height * width * channels));

  tessera::view<float, 3> view() { return tessera::view(pixels.data(), height, width, channels); }
  tessera::view<const float, 3> view() const { return tessera::view(pixels.data(), height, width, channels); }
};

/// An 8-bit PNG file as red, green, blue. Throws std::runtime_error with the file's name.
image read_png(const std::string& path);

/// The bytes of an 8-bit PNG file; values beyond [0, 1] are clipped.
std::vector<unsigned char> png_bytes(const image& picture);
void write_png(const std::string& path, const image& picture);

/// What an 8-bit file keeps of a picture: rounded to multiples of 1/255 and clipped to [0, 1].
image as_8_bit(image picture);

/// The `height` x `width` part whose upper left corner is (top, left).
image crop(const image& picture, std::int64_t top, std::int64_t left, std::int64_t height, std::int64_t width);

/// Copies `part` (of 1 or 3 channels) into `canvas` (of 3) with its upper left corner at (top, left).
void paste(image& canvas, const image& part, std::int64_t top, std::int64_t left);

/// Peak signal-to-noise ratio in dB, the peak being 1: -10 log10 of the mean squared difference.
double psnr(const image& a, const image& b);

}  // namespace example
