// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// A noisy photograph, restored by attention among its own pixels (non-local means), which are sharded among the ranks of an MPI job:
///
///   mpirun -n 4 build/demo/examples/ring_attention
///
/// Query and key of a pixel are the 5 x 5 patch around it, with one more number each so that q . k = x . y - |y|^2 / 2: the softmax over keys
/// is then that of -|x - y|^2 / 2. The value is the pixel. A pixel looks 30 rows up and down; what no pixel of a rank sees is not sent to
/// it. For any number of ranks the picture has the same bits.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "support/image.hpp"
#include "support/progress.hpp"
#include "tessera/attention/forward.hpp"
#include "tessera/diffusion/noise.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/mpi/attention.hpp"

using example::image;
using tessera::par;
using tessera::view;

namespace {

constexpr std::int64_t height = 160;
constexpr std::int64_t width = 200;
constexpr std::int64_t pixels = height * width;
constexpr std::int64_t reach = 2;  // of a patch
constexpr std::int64_t depth = (2 * reach + 1) * (2 * reach + 1) * 3;
constexpr double sigma = 25.0 / 255;
constexpr double bandwidth = 4 * sigma;  // of patches that count as alike: their noise alone sets them apart by 12 sigma

/// Queries, keys and values of the pixels in `rows`.
struct tokens {
  std::vector<float> queries;
  std::vector<float> keys;
  std::vector<float> values;

  tokens(const image& picture, const std::vector<std::int64_t>& rows) {
    for (const std::int64_t pixel : rows) {
      float square = 0;
      for (std::int64_t e = 0; e < depth; ++e) {
        const std::int64_t y = pixel / width + e / 3 / (2 * reach + 1) - reach;
        const std::int64_t x = pixel % width + e / 3 % (2 * reach + 1) - reach;
        const float color =
            picture.view()(std::clamp<std::int64_t>(y, 0, height - 1), std::clamp<std::int64_t>(x, 0, width - 1), e % 3);
        queries.push_back(color);
        keys.push_back(color);
        square += color * color;
      }
      queries.push_back(1);
      keys.push_back(-square / 2);
      for (std::int64_t c = 0; c < 3; ++c) values.push_back(picture.view()(pixel / width, pixel % width, c));
    }
  }
  [[nodiscard]] static view<const float, 4> as_head(const std::vector<float>& numbers, std::int64_t dim) {
    return view<const float, 4>(numbers.data(), 1, 1, static_cast<std::int64_t>(numbers.size()) / dim, dim);
  }
  [[nodiscard]] view<const float, 4> q() const { return as_head(queries, depth + 1); }
  [[nodiscard]] view<const float, 4> k() const { return as_head(keys, depth + 1); }
  [[nodiscard]] view<const float, 4> v() const { return as_head(values, 3); }
};

int restore() {
  const tessera::mpi::communicator ranks(MPI_COMM_WORLD);
  const tessera::mpi::zigzag plan(pixels, ranks.size());
  const std::int64_t mine = plan.rows(ranks.rank());
  const image clean = example::crop(example::read_png(EXAMPLES_DIR "/data/chelsea.png"), 60, 90, height, width);
  image noisy = clean;
  tessera::diffusion::add_noise(par, sigma, noisy.view(), {.seed = 25});

  // This rank's pixels, and their attention.
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < mine; ++i) rows.push_back(plan.row(ranks.rank(), i));
  const tokens shard(noisy, rows);
  std::vector<float> result(static_cast<std::size_t>(mine * 3));
  const tessera::attention::options<> options{.scale = 1 / (bandwidth * bandwidth),
                                              .mask = tessera::attention::sliding_window(30 * width, 30 * width)};
  MPI_Barrier(MPI_COMM_WORLD);
  const example::stopwatch clock;
  tessera::mpi::attention_forward(par, ranks, plan, shard.q(), shard.k(), shard.v(), view<float, 4>(result.data(), 1, 1, mine, 3),
                                  options);
  const double seconds = clock.seconds();

  // Everybody's rows at rank 0, which computes all of it alone, too.
  std::vector<int> counts;
  std::vector<int> begins;
  for (int r = 0, begin = 0; r < ranks.size(); begin += counts.back(), ++r) {
    counts.push_back(static_cast<int>(plan.rows(r) * 3));
    begins.push_back(begin);
  }
  std::vector<float> gathered(static_cast<std::size_t>(pixels * 3));
  MPI_Gatherv(result.data(), static_cast<int>(result.size()), MPI_FLOAT, gathered.data(), counts.data(), begins.data(), MPI_FLOAT,
              0, MPI_COMM_WORLD);
  std::vector<double> times(static_cast<std::size_t>(ranks.size()));
  MPI_Gather(&seconds, 1, MPI_DOUBLE, times.data(), 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  if (ranks.rank() != 0) return 0;

  image restored{.height = height, .width = width};
  for (int r = 0; r < ranks.size(); ++r) {
    for (std::int64_t i = 0; i < plan.rows(r); ++i) {
      std::memcpy(&restored.pixels[static_cast<std::size_t>(3 * plan.row(r, i))],
                  &gathered[static_cast<std::size_t>(begins[static_cast<std::size_t>(r)] + 3 * i)], 3 * sizeof(float));
    }
  }
  rows.resize(static_cast<std::size_t>(pixels));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  const tokens whole(noisy, rows);
  image alone{.height = height, .width = width};
  const example::stopwatch lonely;
  tessera::attention::forward(par, whole.q(), whole.k(), whole.v(), view<float, 4>(alone.pixels.data(), 1, 1, pixels, 3),
                              options);
  const double alone_seconds = lonely.seconds();
  const bool same = std::memcmp(alone.pixels.data(), restored.pixels.data(), alone.pixels.size() * sizeof(float)) == 0;

  image page{.height = height, .width = 3 * width};
  example::paste(page, noisy, 0, 0);
  example::paste(page, restored, 0, width);
  example::paste(page, clean, 0, 2 * width);
  example::write_png("out/ring_attention/ring_attention.png", page);
  std::printf("ring_attention: %ld pixels on %d ranks of %d threads, PSNR %.2f dB -> %.2f dB; bits of one process: %s\n",
              static_cast<long>(pixels), ranks.size(), par.workers(), psnr(noisy, clean), psnr(restored, clean),
              same ? "the same" : "others");
  std::printf("  %.2f s alone; seconds of each rank:", alone_seconds);
  for (const double t : times) std::printf(" %.2f", t);
  std::printf("\n  out/ring_attention/ring_attention.png: noisy, restored, clean\n");
  return same ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  int status = 1;
  try {
    status = restore();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ring_attention: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);  // the others wait for nobody
  }
  MPI_Finalize();
  return status;
}
