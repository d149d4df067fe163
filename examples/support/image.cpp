// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "support/image.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace example {
namespace {

unsigned char byte_of(float value) { return static_cast<unsigned char>(std::lrintf(255 * std::clamp(value, 0.0F, 1.0F))); }

std::vector<unsigned char> bytes_of(const image& picture) {
  std::vector<unsigned char> bytes(picture.pixels.size());
  std::transform(picture.pixels.begin(), picture.pixels.end(), bytes.begin(), byte_of);
  return bytes;
}

}  // namespace

image read_png(const std::string& path) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&header, path.c_str()) == 0) throw std::runtime_error(path + ": " + header.message);
  header.format = PNG_FORMAT_RGB;
  std::vector<unsigned char> bytes(PNG_IMAGE_SIZE(header));
  if (png_image_finish_read(&header, nullptr, bytes.data(), 0, nullptr) == 0) {
    throw std::runtime_error(path + ": " + header.message);
  }
  image result{.height = header.height, .width = header.width};
  std::transform(bytes.begin(), bytes.end(), result.pixels.begin(), [](unsigned char b) { return static_cast<float>(b) / 255; });
  return result;
}

std::vector<unsigned char> png_bytes(const image& picture) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(picture.width);
  header.height = static_cast<png_uint_32>(picture.height);
  header.format = picture.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  const std::vector<unsigned char> bytes = bytes_of(picture);
  png_alloc_size_t size = 0;
  png_image_write_get_memory_size(header, size, 0, bytes.data(), 0, nullptr);
  std::vector<unsigned char> file(size);
  if (png_image_write_to_memory(&header, file.data(), &size, 0, bytes.data(), 0, nullptr) == 0) {
    throw std::runtime_error(std::string("PNG: ") + header.message);
  }
  file.resize(size);
  return file;
}

void write_png(const std::string& path, const image& picture) {
  const std::vector<unsigned char> bytes = png_bytes(picture);
  std::filesystem::create_directories(std::filesystem::absolute(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw std::runtime_error(path + ": cannot write");
}

image as_8_bit(image picture) {
  for (float& value : picture.pixels) value = static_cast<float>(byte_of(value)) / 255;
  return picture;
}

image crop(const image& picture, std::int64_t top, std::int64_t left, std::int64_t height, std::int64_t width) {
  image part{.height = height, .width = width, .channels = picture.channels};
  for (std::int64_t y = 0; y < height; ++y) {
    std::copy_n(&picture.view()(top + y, left, 0), width * picture.channels, &part.view()(y, 0, 0));
  }
  return part;
}

void paste(image& canvas, const image& part, std::int64_t top, std::int64_t left) {
  for (std::int64_t y = 0; y < part.height; ++y) {
    for (std::int64_t x = 0; x < part.width; ++x) {
      for (std::int64_t c = 0; c < canvas.channels; ++c) {
        canvas.view()(top + y, left + x, c) = part.view()(y, x, std::min(c, part.channels - 1));
      }
    }
  }
}

double psnr(const image& a, const image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = static_cast<double>(a.pixels[i]) - static_cast<double>(b.pixels[i]);
    sum += difference * difference;
  }
  return -10 * std::log10(sum / static_cast<double>(a.pixels.size()));
}

}  // namespace example
