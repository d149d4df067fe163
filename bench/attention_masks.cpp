// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// attention/: what masks cost. Beside the time of a masked call stands that of the call without a mask, times the share of its 64 x 64 tiles of
/// which some pair is seen: what a kernel would take that skipped hidden tiles and lost nothing at the edges.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "support/oracle.hpp"
#include "tessera/attention/block_map.hpp"
#include "tessera/attention/forward.hpp"

namespace {

using bench::array;
using bench::contest;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t d = 64;

/// Pairs that are seen, of one head.
template <class Mask>
double pairs(const Mask& mask, std::int64_t len) {
  const auto head = attention::detail::head_of(mask, 0, 0, len, len);
  double seen = 0;
  for (std::int64_t i = 0; i < len; ++i) {
    const tessera::key_range keys = head.keys(i, i + 1, len);
    for (std::int64_t j = keys.first; j < keys.last; ++j) seen += head.visible(i, j) ? 1 : 0;
  }
  return seen;
}

/// make() gives the mask, which may refer to what lives as long as the bench.
template <class Make>
void add_masked(bench::family& family, const std::string& name, std::int64_t heads, std::int64_t len, const Make& make) {
  const double flops = 4.0 * static_cast<double>(heads * d) * pairs(make(), len);
  family.add({name + " H" + std::to_string(heads) + " S" + std::to_string(len) + " D64", flops}, [=](contest& c) {
    const auto q = bench::normal<float>(1, 1, heads, len, d);
    const auto k = bench::normal<float>(2, 1, heads, len, d);
    const auto v = bench::normal<float>(3, 1, heads, len, d);
    array<float, 4> out(1, heads, len, d);
    array<float, 4> full(1, heads, len, d);
    const auto mask = make();
    const auto head = attention::detail::head_of(mask, 0, 0, len, len);
    c.result(out, [&] {
      const double scale = 1 / std::sqrt(static_cast<double>(d));
      const auto visible = [&](std::int64_t i, std::int64_t j) { return bool{head.visible(i, j)}; };
      return bench::attention_error<float>(q[0][0], k[0][0], v[0][0], scale, visible, out[0][0], 8);
    });
    const attention::options options{.mask = mask};
    c.tessera([&] { attention::forward(c.par, q, k, v, out, options); });

    array<tessera::tile_class, 4> blocks(1, 1, attention::map_extent(len), attention::map_extent(len));
    attention::map_blocks(tessera::par, mask, len, len, blocks);
    const auto hidden = std::count(blocks.data_handle(), blocks.data_handle() + blocks.size(), tessera::tile_class::none);
    const double share = 1 - static_cast<double>(hidden) / static_cast<double>(blocks.size());
    if (len > 16384) {
      c.peer("all tiles: too long", {});
    } else {
      const peers::side whole = peers::timed([&] { attention::forward(c.par, q, k, v, full); });
      c.peer("all tiles x " + std::to_string(share).substr(0, 6), {[&, whole, share](int calls) {
               const double seconds = share * whole.seconds(calls);
               attention::forward(c.par, q, k, v, out, options);  // its result, which takes part in nothing
               return seconds;
             }});
    }
    c.run();
  });
}

/// Sequences of 1 to 1023 tokens in one.
std::vector<std::int32_t> document_ids(std::int64_t len) {
  std::vector<std::int32_t> ids;
  for (std::int32_t n = 0; static_cast<std::int64_t>(ids.size()) < len; ++n) {
    ids.insert(ids.end(), static_cast<std::size_t>(1 + (n * 619 + 200) % 1023), n);
  }
  ids.resize(static_cast<std::size_t>(len));
  return ids;
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family family("attention_masks");
  constexpr std::int64_t len = 8192;
  static const std::vector<std::int32_t> ids = document_ids(len);
  const auto documents = [] {
    const view<const std::int32_t, 2> of(ids.data(), 1, len);
    return attention::documents(of, of);
  };
  add_masked(family, "causal", 2, len, [] { return attention::causal; });
  add_masked(family, "window of 256", 2, len, [] { return attention::sliding_window(255, 0); });
  add_masked(family, "documents", 2, len, documents);
  add_masked(family, "documents, causal", 2, len, [=] { return documents() & attention::causal; });
  // A function that says nothing of tiles, with its map made once.
  static array<tessera::tile_class, 4> blocks(1, 1, attention::map_extent(len), attention::map_extent(len));
  const auto strided = [] {
    return attention::visible_if{
        [](std::int64_t, std::int64_t, auto i, auto j) { return (j <= i) & (j > i - decltype(i)(256)); }};
  };
  attention::map_blocks(tessera::par, strided(), len, len, blocks);
  add_masked(family, "the same window as a function, mapped", 2, len, [=] {
    return attention::mapped(strided(),
                             view<const tessera::tile_class, 4>(blocks.data_handle(), {1, 2, blocks.extent(2), blocks.extent(3)},
                                                                {blocks.stride(0), 0, blocks.stride(2), 1}));
  });
  add_masked(family, "window of 1024", 1, 65536, [] { return attention::sliding_window(1023, 0); });
  return family.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_attention_masks: %s\n", error.what());
  return 1;
}
