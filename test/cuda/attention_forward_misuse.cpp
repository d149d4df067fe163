// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What attention::forward refuses on a device, by the name of the argument, before anything is put in the stream.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "attention_on_device.hpp"
#include "device_array.hpp"
#include "tessera/attention/mapped.hpp"
#include "tessera/cuda/attention/block_map.cuh"

namespace {

using support::device_array;
using tessera::view;
namespace attention = tessera::attention;

/// The argument that a refusal names, or "accepted".
template <class F>
std::string named(const F& f) {
  const std::string text = support::refusal(f);
  const std::string function = "attention::forward: ";
  if (text == "accepted") return text;
  BOOST_TEST(text.substr(0, function.size()) == function);
  return text.substr(function.size(), text.find(": ", function.size()) - function.size());
}

bool all_poisoned(const device_array<float>& x) {
  for (const float element : x.get()) {
    if (__builtin_bit_cast(std::uint32_t, element) != 0xA5A5A5A5U) return false;
  }
  return x.borders_intact();
}

struct memory {
  device_array<float> q{std::vector<float>(200, 1)};
  device_array<float> k{std::vector<float>(200, 1)};
  device_array<float> v{std::vector<float>(400, 1)};
  device_array<float> out{400};
  device_array<float> lse{100};
  device_array<float> extra{std::vector<float>(300, 1)};
  std::vector<float> host = std::vector<float>(400, 1);
  [[nodiscard]] bool untouched() const { return all_poisoned(out) && all_poisoned(lse); }
};

struct arguments {
  view<const float, 4> q;
  view<const float, 4> k;
  view<const float, 4> v;
  view<float, 4> o;
  view<float, 3> l;
  explicit arguments(const memory& m)
      : q(m.q.data(), 2, 4, 6, 3),
        k(m.k.data(), 2, 2, 5, 3),
        v(m.v.data(), 2, 2, 5, 7),
        o(m.out.data(), 2, 4, 6, 7),
        l(m.lse.data(), 2, 4, 6) {}
  template <class Options = attention::options<>>
  void run(const Options& options = {}) const {
    attention::forward(tessera::cuda::on(), q, k, v, o, l, options);
  }
};

const float* past(const float* p, std::uintptr_t bytes) {
  return reinterpret_cast<const float*>(reinterpret_cast<std::uintptr_t>(p) + bytes);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_misuse)

BOOST_AUTO_TEST_CASE(shapes_strides_and_memory) {
  const memory m;
  const auto refused = [&](const auto& change) {
    arguments x(m);
    change(x);
    const std::string name = named([&] { x.run(); });
    BOOST_TEST(m.untouched());
    return name;
  };
  const auto of = [](const auto& v, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return std::remove_cvref_t<decltype(v)>(v.data_handle(), a, b, c, d);
  };
  BOOST_TEST(refused([&](auto& x) { x.k = of(x.k, 1, 2, 5, 3); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.k = of(x.k, 2, 2, 5, 2); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.k = of(x.k, 2, 2, 4, 3); }) == "v");
  BOOST_TEST(refused([&](auto& x) { x.v = of(x.v, 1, 2, 5, 7); }) == "v");
  BOOST_TEST(refused([&](auto& x) { x.o = of(x.o, 2, 4, 6, 6); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(x.l.data_handle(), 2, 4, 5); }) == "lse");
  BOOST_TEST(refused([&](auto& x) { x.k = of(x.k, 2, 3, 3, 3), x.v = of(x.v, 2, 3, 3, 7); }) == "k");  // 4 heads, 3 kv_heads
  BOOST_TEST(refused([&](auto& x) { x.k = of(x.k, 2, 0, 5, 3), x.v = of(x.v, 2, 0, 5, 7); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.q = of(x.q, 2, -4, 6, 3); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.q = view<const float, 4>(nullptr, 2, 4, 6, 3); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.k = view<const float, 4>(nullptr, 2, 2, 5, 3); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.v = view<const float, 4>(nullptr, 2, 2, 5, 7); }) == "v");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(nullptr, 2, 4, 6, 7); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(nullptr, 2, 4, 6); }) == "lse");
  BOOST_TEST(refused([&](auto& x) { x.q = view<const float, 4>(x.q.data_handle(), {2, 4, 6, 3}, {72, 18, 1, 6}); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(x.o.data_handle(), {2, 4, 6, 7}, {0, 42, 7, 1}); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(m.q.data(), 2, 4, 6, 7); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(m.v.data(), 2, 4, 6, 7); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(m.k.data(), 2, 4, 6); }) == "lse");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(x.o.data_handle() + 300, 2, 4, 6); }) == "lse");
  // The host's memory, and addresses between elements.
  float* const host = const_cast<float*>(m.host.data());
  BOOST_TEST(refused([&](auto& x) { x.q = view<const float, 4>(host, 2, 4, 6, 3); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.k = view<const float, 4>(host, 2, 2, 5, 3); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.v = view<const float, 4>(host, 2, 2, 5, 7); }) == "v");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(host, 2, 4, 6, 7); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(host, 2, 4, 6); }) == "lse");
  BOOST_TEST(refused([&](auto& x) { x.q = view<const float, 4>(past(m.q.data(), 2), 2, 4, 6, 3); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.k = view<const float, 4>(past(m.k.data(), 1), 2, 2, 5, 3); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.v = view<const float, 4>(past(m.v.data(), 3), 2, 2, 5, 7); }) == "v");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(const_cast<float*>(past(m.out.data(), 2)), 2, 4, 6, 7); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(const_cast<float*>(past(m.lse.data(), 2)), 2, 4, 6); }) == "lse");
  arguments(m).run();
  BOOST_TEST((!all_poisoned(m.out) && m.out.borders_intact() && m.lse.borders_intact()));
}

BOOST_AUTO_TEST_CASE(bad_options) {
  const memory m;
  const arguments x(m);
  const float* const host = m.host.data();
  const auto refused = [&](const auto& options) {
    const std::string name = named([&] { x.run(options); });
    BOOST_TEST(m.untouched());
    return name;
  };
  const double inf = std::numeric_limits<double>::infinity();
  for (const double scale : {std::numeric_limits<double>::quiet_NaN(), inf, -inf, 1e39}) {
    BOOST_TEST(refused(attention::options<>{.scale = scale}) == "options.scale");
  }
  using floats = view<const float, 1>;
  BOOST_TEST(refused(attention::options<>{.sinks = floats(m.extra.data(), 3)}) == "options.sinks");
  BOOST_TEST(refused(attention::options<>{.sinks = floats(host, 4)}) == "options.sinks");
  BOOST_TEST(refused(attention::options<>{.key_scales = floats(m.extra.data(), 4)}) == "options.key_scales");
  BOOST_TEST(refused(attention::options<>{.key_scales = floats(host, 2)}) == "options.key_scales");
  BOOST_TEST(refused(attention::options<>{.value_scales = floats(host, 2)}) == "options.value_scales");
  BOOST_TEST(refused(attention::options<>{.mask = {.left = -3, .right = 1}}) == "options.mask");
  BOOST_TEST(refused(attention::options<>{.mask = {.prefix = -1}}) == "options.mask");
  BOOST_TEST(refused(attention::options<>{.dropout = {.rate = 1}}) == "options.dropout.rate");
  // Tables of a rotary embedding: on the host, of another shape, or without the positions of the call.
  const view<const float, 2> table(m.extra.data(), 8, 1);
  const view<const float, 2> on_host(host, 8, 1);
  const auto rotated = [&](attention::rotary by) { return refused(attention::options<>{.rotary = by}); };
  BOOST_TEST(rotated({.cos = on_host, .sin = table, .first_query = 0}) == "options.rotary.cos");
  BOOST_TEST(rotated({.cos = table, .sin = on_host, .first_query = 0}) == "options.rotary.sin");
  BOOST_TEST(rotated({.cos = table, .sin = {}, .first_query = 0}) == "options.rotary.sin");
  BOOST_TEST(rotated({.cos = table, .sin = table, .first_dim = 2, .first_query = 0}) == "options.rotary.first_dim");
  BOOST_TEST(rotated({.cos = table, .sin = table, .first_key = 4, .first_query = 0}) == "options.rotary.first_key");
  BOOST_TEST(rotated({.cos = table, .sin = table}) == "options.rotary.first_query");  // 5 - 6
  const attention::alibi slopes{floats(host, 4)};
  BOOST_TEST(refused(attention::options<attention::band, attention::alibi>{.score = slopes}) == "options.score.slopes");
  const attention::dense_mask<float> seen{view<const float, 4>(host, {2, 4, 6, 5}, {0, 0, 5, 1})};
  BOOST_TEST(refused(attention::options<attention::dense_mask<float>>{.mask = seen}) == "options.mask.seen");
  const attention::dense_mask<float> hidden = seen;
  BOOST_TEST(refused(attention::options{.mask = attention::causal & (!hidden)}) == "options.mask.seen");
  BOOST_TEST(refused(attention::options{.mask = (!hidden) | attention::causal}) == "options.mask.seen");
  const attention::dense_mask<float> fewer{view<const float, 4>(m.extra.data(), {2, 4, 6, 4}, {0, 0, 5, 1})};
  BOOST_TEST(refused(attention::options<attention::dense_mask<float>>{.mask = fewer}) == "options.mask.seen");
  // Maps: of other lengths, in the host's memory, and of masks that are wrong themselves.
  using map = view<const tessera::tile_class, 4>;
  const device_array<tessera::tile_class> blocks(std::vector<tessera::tile_class>(4, tessera::tile_class::all));
  const tessera::tile_class says[] = {tessera::tile_class::all};
  const map one(blocks.data(), {2, 4, 1, 1}, {0, 0, 1, 1});
  const map of_host(says, {2, 4, 1, 1}, {0, 0, 1, 1});
  const map longer(blocks.data(), {2, 4, 1, 2}, {0, 0, 1, 1});
  const attention::dense_mask<float> there{view<const float, 4>(m.extra.data(), {2, 4, 6, 5}, {0, 0, 5, 1})};
  BOOST_TEST(refused(attention::options{.mask = attention::mapped{there, longer}}) == "options.mask.blocks");
  BOOST_TEST(refused(attention::options{.mask = attention::mapped{there, of_host}}) == "options.mask.blocks");
  BOOST_TEST(refused(attention::options{.mask = attention::mapped{seen, one}}) == "options.mask.seen");
  BOOST_TEST(refused(attention::options{.mask = attention::mapped{fewer, one}}) == "options.mask.seen");
}

BOOST_AUTO_TEST_CASE(bad_maps) {
  const device_array<tessera::tile_class> blocks{4};
  const device_array<std::uint8_t> answers(std::vector<std::uint8_t>(12, 1));
  tessera::tile_class on_host[4] = {};
  const std::uint8_t answers_on_host[12] = {};
  const auto refused = [&](tessera::tile_class* to, std::int64_t rows, const auto& mask) {
    const std::string text = support::refusal(
        [&] { attention::map_blocks(tessera::cuda::on(), mask, 66, 3, view<tessera::tile_class, 4>(to, 1, 1, rows, 1)); });
    return text.substr(0, text.find(": ", text.find(": ") + 2));
  };
  const auto of = [](const std::uint8_t* seen) {
    return attention::dense_mask<std::uint8_t>{view<const std::uint8_t, 4>(seen, {1, 1, 66, 3}, {0, 0, 0, 1})};
  };
  const auto mask = of(answers.data());
  BOOST_TEST(refused(blocks.data(), 1, mask) == "attention::map_blocks: blocks");
  BOOST_TEST(refused(nullptr, 2, mask) == "attention::map_blocks: blocks");
  BOOST_TEST(refused(on_host, 2, mask) == "attention::map_blocks: blocks");
  BOOST_TEST(refused(blocks.data(), 2, of(answers_on_host)) == "attention::map_blocks: options.mask.seen");
  // A map inside of other masks, and around them.
  const attention::mapped of_host{attention::causal & !of(answers.data()),
                                  view<const tessera::tile_class, 4>(on_host, 1, 1, 2, 1)};
  const attention::mapped of_mask_of_host{attention::causal & !of(answers_on_host),
                                          view<const tessera::tile_class, 4>(blocks.data(), 1, 1, 2, 1)};
  BOOST_TEST(refused(blocks.data(), 2, attention::causal | of_host) == "attention::map_blocks: options.mask.blocks");
  BOOST_TEST(refused(blocks.data(), 2, attention::causal | of_mask_of_host) == "attention::map_blocks: options.mask.seen");
  BOOST_TEST(refused(blocks.data(), 2, mask) == "accepted");
  BOOST_TEST((blocks.get()[0] == tessera::tile_class::all && blocks.get()[1] == tessera::tile_class::all));
}

BOOST_AUTO_TEST_CASE(bad_ragged_batches) {
  const memory m;
  const device_array<int> offsets(std::vector<int>{0, 4, 4, 10});
  const std::vector<int> host{0, 4, 4, 10};
  struct ragged_arguments {
    view<const float, 3> q;
    view<const float, 3> k;
    view<const float, 3> v;
    view<float, 3> o;
    view<float, 2> l;
    attention::ragged at;
    attention::rotary by{};
  };
  const auto refused = [&](const auto& change) {
    ragged_arguments x{view<const float, 3>(m.q.data(), 4, 10, 3),
                       view<const float, 3>(m.k.data(), 2, 12, 3),
                       view<const float, 3>(m.v.data(), 2, 12, 5),
                       view<float, 3>(m.out.data(), 4, 10, 5),
                       view<float, 2>(m.lse.data(), 4, 10),
                       {view<const int, 1>(offsets.data(), 4), view<const int, 1>(offsets.data(), 4)}};
    change(x);
    const std::string name = named(
        [&] { attention::forward(tessera::cuda::on(), x.q, x.k, x.v, x.o, x.l, x.at, attention::options<>{.rotary = x.by}); });
    BOOST_TEST((name == "accepted" || m.untouched()));
    return name;
  };
  BOOST_TEST(refused([&](auto& x) { x.k = view<const float, 3>(m.k.data(), 2, 12, 2); }) == "k");
  BOOST_TEST(refused([&](auto& x) { x.v = view<const float, 3>(m.v.data(), 2, 11, 5); }) == "v");
  BOOST_TEST(refused([&](auto& x) { x.q = view<const float, 3>(nullptr, 4, 10, 3); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.q = view<const float, 3>(m.host.data(), 4, 10, 3); }) == "q");
  BOOST_TEST(refused([&](auto& x) { x.at.key_offsets = {}; }) == "ragged.key_offsets");
  BOOST_TEST(refused([&](auto& x) { x.at.key_offsets = view<const int, 1>(offsets.data(), 3); }) == "ragged.key_offsets");
  BOOST_TEST(refused([&](auto& x) { x.at.query_offsets = view<const int, 1>(offsets.data(), 0); }) == "ragged.query_offsets");
  BOOST_TEST(refused([&](auto& x) { x.at.query_offsets = view<const int, 1>(host.data(), 4); }) == "ragged.query_offsets");
  BOOST_TEST(refused([&](auto& x) { x.at.key_offsets = view<const int, 1>(host.data(), 4); }) == "ragged.key_offsets");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 3>(m.out.data(), 4, 10, 4); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 3>(m.k.data(), 4, 10, 5); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 2>(m.lse.data(), 4, 9); }) == "lse");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 2>(const_cast<float*>(m.host.data()), 4, 10); }) == "lse");
  const view<const float, 2> table(m.extra.data(), 8, 1);
  BOOST_TEST(refused([&](auto& x) { x.by = {.cos = table, .sin = table, .first_key = 8}; }) == "options.rotary.first_key");
  BOOST_TEST(refused([&](auto& x) { x.by = {.cos = table, .sin = table, .first_query = -1}; }) == "options.rotary.first_query");
  BOOST_TEST(refused([](auto&) {}) == "accepted");
}

BOOST_AUTO_TEST_CASE(bad_caches) {
  const memory m;
  const device_array<int> table(std::vector<int>{3, 1, 0, 3, 2, 2});
  const device_array<int> held(std::vector<int>{9, 4});
  const std::vector<int> host{9, 4, 0, 0, 0, 0};
  struct paged_arguments {
    view<const float, 4> q;
    attention::paged<const float> cache;
    view<float, 4> o;
    view<float, 3> l;
  };
  const auto refused = [&](const auto& change) {
    paged_arguments x{view<const float, 4>(m.q.data(), 2, 4, 3, 6),
                      {view<const float, 4>(m.k.data(), 4, 2, 4, 6), view<const float, 4>(m.v.data(), 4, 2, 4, 5),
                       view<const int, 2>(table.data(), 2, 3), view<const int, 1>(held.data(), 2)},
                      view<float, 4>(m.out.data(), 2, 4, 3, 5),
                      view<float, 3>(m.lse.data(), 2, 4, 3)};
    change(x);
    const std::string name =
        named([&] { attention::forward(tessera::cuda::on(), x.q, x.cache, x.o, x.l, attention::options<>{}); });
    BOOST_TEST((name == "accepted" || m.untouched()));
    return name;
  };
  BOOST_TEST(refused([&](auto& x) { x.cache.keys = view<const float, 4>(m.k.data(), 4, 2, 4, 5); }) == "cache.keys");
  BOOST_TEST(refused([&](auto& x) { x.cache.keys = view<const float, 4>(nullptr, 4, 2, 4, 6); }) == "cache.keys");
  BOOST_TEST(refused([&](auto& x) { x.cache.keys = view<const float, 4>(m.host.data(), 4, 2, 4, 6); }) == "cache.keys");
  BOOST_TEST(refused([&](auto& x) { x.cache.values = view<const float, 4>(m.v.data(), 4, 2, 3, 5); }) == "cache.values");
  BOOST_TEST(refused([&](auto& x) { x.cache.values = view<const float, 4>(m.host.data(), 4, 2, 4, 5); }) == "cache.values");
  BOOST_TEST(refused([&](auto& x) { x.cache.lengths = {}; }) == "cache.lengths");
  BOOST_TEST(refused([&](auto& x) { x.cache.lengths = view<const int, 1>(host.data(), 2); }) == "cache.lengths");
  BOOST_TEST(refused([&](auto& x) { x.cache.lengths = view<const int, 1>(held.data(), 1); }) == "cache.lengths");
  BOOST_TEST(refused([&](auto& x) { x.cache.table = view<const int, 2>(host.data(), 2, 3); }) == "cache.table");
  BOOST_TEST(refused([&](auto& x) { x.cache.table = view<const int, 2>(table.data(), 3, 2); }) == "cache.table");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(m.out.data(), 2, 4, 3, 4); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.o = view<float, 4>(m.k.data(), 2, 4, 3, 5); }) == "out");
  BOOST_TEST(refused([&](auto& x) { x.l = view<float, 3>(m.lse.data(), 2, 4, 2); }) == "lse");
  BOOST_TEST(refused([](auto&) {}) == "accepted");
  const attention::ragged at{.query_offsets = view<const int, 1>(held.data(), 2)};
  BOOST_TEST(named([&] {
               attention::forward(tessera::cuda::on(), view<const float, 3>(m.q.data(), 4, 6, 6),
                                  attention::paged<const float>{
                                      view<const float, 4>(m.k.data(), 4, 2, 4, 6), view<const float, 4>(m.v.data(), 4, 2, 4, 5),
                                      view<const int, 2>(table.data(), 1, 3), view<const int, 1>(held.data(), 1)},
                                  view<float, 3>(m.out.data(), 4, 6, 5), attention::ragged{at.query_offsets, at.query_offsets},
                                  attention::options<>{});
             }) == "ragged.key_offsets");
}

BOOST_AUTO_TEST_SUITE_END()
