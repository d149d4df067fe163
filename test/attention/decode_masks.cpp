// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Masks, scores and sinks on the path of few queries, where keys stand in the lanes: the bits are those of blocks of queries.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/attention/block_map.hpp"
#include "two_paths.hpp"

namespace {

using oracle::inputs;
using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
using two_paths::differences;
using two_paths::fill;
namespace attention = tessera::attention;

struct shape {
  std::int64_t heads, kv_heads, len_q, len_k;
};
constexpr shape shapes[] = {{4, 1, 1, 400}, {2, 2, 5, 37}, {6, 2, 9, 500}, {1, 1, 30, 201}, {3, 1, 64, 64}, {2, 1, 7, 3}};

/// Calls with a mask or a score that knows the sizes: options(shape).
template <class Options>
void check(const Options& options) {
  std::uint64_t n = 0;
  for (const shape& s : shapes) {
    inputs<float> in(1, s.heads, s.kv_heads, s.len_q, s.len_k, 20, 18);
    fill(in, ++n);
    BOOST_TEST_INFO("shape " << n);
    BOOST_TEST(differences<float>(par.threads(static_cast<int>(n % 3) + 1), in, 0.3, options(s)) == 0);
  }
}

/// A rule without structure.
constexpr auto some_pairs = [](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
  return support::bits(static_cast<std::uint64_t>(b * 8 + h), static_cast<std::uint64_t>(i * 1000 + j)) % 3 == 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_decode_masks)

BOOST_AUTO_TEST_CASE(bands) {
  for (const auto& mask :
       {attention::causal, attention::sliding_window(20, 0), attention::sliding_window(3, 40), attention::causal_with_prefix(30),
        attention::band{.left = 2, .right = 2, .alignment = attention::alignment::top_left}}) {
    check([&](const shape&) { return attention::options{.mask = mask}; });
  }
}

BOOST_AUTO_TEST_CASE(functions_of_pairs_and_their_map) {
  check([](const shape&) { return attention::options{.mask = some_pairs}; });
  check([](const shape&) {
    return attention::options{.mask = attention::causal & !attention::visible_if([](auto, auto h, auto i, auto j) {
                                        using I = decltype(j);
                                        return (i + j) < I(static_cast<typename I::value_type>(10 + h));
                                      })};
  });
  std::vector<tessera::tile_class> blocks;
  check([&](const shape& s) {
    const std::int64_t rows = attention::map_extent(s.len_q);
    const std::int64_t columns = attention::map_extent(s.len_k);
    blocks.resize(static_cast<std::size_t>(s.heads * rows * columns));
    const view<tessera::tile_class, 4> map(blocks.data(), 1, s.heads, rows, columns);
    attention::map_blocks(seq, attention::causal, s.len_q, s.len_k, map);
    return attention::options{.mask = attention::mapped{attention::causal, map}};
  });
}

BOOST_AUTO_TEST_CASE(trees_and_documents) {
  std::vector<std::uint64_t> rows;
  check([&](const shape& s) {
    rows.assign(static_cast<std::size_t>(s.len_q), 0);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = (i > 0 ? rows[(i - 1) / 2] : 0) | std::uint64_t{1} << i;
    // More keys than nodes are wanted: the last shape has fewer.
    return attention::options{.mask = attention::tree{view<const std::uint64_t, 2>(rows.data(), s.len_q, 1)}};
  });
  std::vector<int> of_query;
  std::vector<int> of_key;
  check([&](const shape& s) {
    of_query.clear();
    of_key.clear();
    for (std::int64_t i = 0; i < s.len_q; ++i) of_query.push_back(static_cast<int>((i + s.len_k - s.len_q) / 25));
    for (std::int64_t j = 0; j < s.len_k; ++j) of_key.push_back(static_cast<int>(j / 25));
    return attention::options{.mask = attention::documents{view<const int, 2>(of_query.data(), 1, s.len_q),
                                                           view<const int, 2>(of_key.data(), 1, s.len_k)}};
  });
}

BOOST_AUTO_TEST_CASE(scores_and_sinks) {
  const float slopes[] = {0.5F, 0.25F, 0.125F, 1.0F, 2.0F, 0.0F};
  const float sinks[] = {0.5F, -3.0F, 40.0F, 1.0F, -std::numeric_limits<float>::infinity(), 2.0F};
  check([&](const shape& s) {
    return attention::options{.mask = attention::causal, .sinks = view<const float, 1>(sinks, s.heads)};
  });
  check([&](const shape& s) {
    return attention::options{.mask = attention::causal,
                              .score = attention::softcap{3} >> attention::alibi{view<const float, 1>(slopes, s.heads)},
                              .sinks = view<const float, 1>(sinks, s.heads)};
  });
  check([&](const shape&) {
    return attention::options{.score = [](float s, std::int64_t, std::int64_t h, std::int64_t i, std::int64_t j) {
      return s + 0.01F * static_cast<float>((i * 7 + j * 3 + h) % 11);
    }};
  });
}

// No pair is asked for whose key does not exist.
BOOST_AUTO_TEST_CASE(functions_are_asked_of_pairs_that_are_there) {
  for (const shape& s : shapes) {
    inputs<float> in(1, s.heads, s.kv_heads, s.len_q, s.len_k, 20, 18);
    fill(in, 1);
    array<float, 4> out(in.out_extents());
    bool outside = false;
    const auto mask = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
      outside = outside || b != 0 || h < 0 || h >= s.heads || i < 0 || i >= s.len_q || j < 0 || j >= s.len_k;
      return j % 2 == 0;
    };
    const auto score = [&](float x, std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) {
      outside = outside || i < 0 || i >= s.len_q || j < 0 || j >= s.len_k;
      return x;
    };
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), attention::options{.mask = mask, .score = score});
    BOOST_TEST(!outside);
  }
}

BOOST_AUTO_TEST_CASE(nan_that_is_hidden_stays_hidden) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::int64_t group : {1, 4, 8, 20}) {
    for (const std::int64_t at : {0, 17, 191, 192, 290}) {
      for (const bool in_key : {true, false}) {
        inputs<float> in(1, group, 1, 3, 300, 20, 18);
        fill(in, 2);
        array<float, 4> clean(in.out_extents());
        array<float, 4> out(in.out_extents());
        const auto mask = [=](std::int64_t, std::int64_t h, std::int64_t i, std::int64_t j) {
          return (h + i) % 2 == 0 ? j != at : j % 2 == at % 2;
        };
        attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), clean.view(), attention::options{.mask = mask});
        (in_key ? in.k(0, 0, at, 5) : in.v(0, 0, at, 17)) = nan;
        attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), attention::options{.mask = mask});
        int wrong = 0;
        for (std::int64_t h = 0; h < group; ++h) {
          for (std::int64_t i = 0; i < 3; ++i) {
            for (std::int64_t c = 0; c < 18; ++c) {
              const bool reached = (h + i) % 2 == 1 && (in_key || c == 17);
              const float x = out(0, h, i, c);
              wrong += reached ? !std::isnan(x) : std::memcmp(&x, &clean(0, h, i, c), sizeof x) != 0;
            }
          }
        }
        BOOST_TEST_INFO("group " << group << " at " << at << " in_key " << in_key);
        BOOST_TEST(wrong == 0);
        BOOST_TEST(differences<float>(par.threads(2), in, 0.3, attention::options{.mask = mask}) == 0);
      }
    }
  }
}

// A row that sees nothing of a chunk stands in a block with one that does: what is there must not reach it.
BOOST_AUTO_TEST_CASE(nan_in_a_chunk_that_only_neighbours_see_does_not_leak) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float odd : {nan, std::numeric_limits<float>::infinity()}) {
    for (const std::int64_t group : {1, 3}) {
      inputs<float> in(1, group, 1, 6, 195, 20, 18);  // the last three queries alone see keys of the second chunk
      fill(in, 4);
      array<float, 4> clean(in.out_extents());
      array<float, 4> out(in.out_extents());
      const attention::options options{.mask = attention::causal};
      attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), clean.view(), options);
      in.v(0, 0, 192, 3) = odd;
      attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), options);
      int wrong = 0;
      for (std::int64_t h = 0; h < group; ++h) {
        for (std::int64_t i = 0; i < 6; ++i) {
          for (std::int64_t c = 0; c < 18; ++c) {
            const float x = out(0, h, i, c);
            wrong += i >= 3 && c == 3 ? std::isfinite(x) : std::memcmp(&x, &clean(0, h, i, c), sizeof x) != 0;
          }
        }
      }
      BOOST_TEST_INFO("group " << group << " value " << odd);
      BOOST_TEST(wrong == 0);
      BOOST_TEST(differences<float>(par.threads(2), in, 0.3, options) == 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
