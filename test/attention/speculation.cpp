// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Speculative decoding at the level of attention: trees of candidates verified in one call give the tokens of one query after another.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "calls.hpp"
#include "tessera/attention/part.hpp"

namespace {

using calls::plain_score;
using tessera::view;
namespace attention = tessera::attention;

/// A transformer of one or two layers of grouped attention with random weights, and its cache of keys and values.
class model {
 public:
  static constexpr std::int64_t vocabulary = 24;
  static constexpr std::int64_t heads = 4;
  static constexpr std::int64_t kv_heads = 2;
  static constexpr std::int64_t head_dim = 6;
  static constexpr std::int64_t width = heads * head_dim;
  static constexpr std::int64_t kv_width = kv_heads * head_dim;

  /// Keys and values of a layer, [len, kv_heads, head_dim] each.
  struct layer_cache {
    std::vector<float> k;
    std::vector<float> v;
    bool operator==(const layer_cache& other) const { return same(k, other.k) && same(v, other.v); }

   private:
    static bool same(const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    }
  };
  using cache = std::vector<layer_cache>;

  model(std::uint64_t seed, int layers) : seed_(seed), layers_(layers) {}

  [[nodiscard]] cache empty() const { return cache(static_cast<std::size_t>(layers_)); }

  /// Appends keys and values of tokens at positions to the cache, each seeing what the mask of the call shows; the next token of each.
  std::vector<int> run(cache& past, const std::vector<int>& tokens, const std::vector<std::int64_t>& positions,
                       const any::mask& mask, int threads) const {
    const auto rows = static_cast<std::int64_t>(tokens.size());
    std::vector<float> x;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      for (std::int64_t d = 0; d < width; ++d) {
        x.push_back(weight(0, tokens[i] * width + d) + weight(1, positions[i] * width + d));
      }
    }
    for (int l = 0; l < layers_; ++l) {
      layer_cache& kept = past[static_cast<std::size_t>(l)];
      const auto stream = static_cast<std::uint64_t>(10 * (l + 1));
      const std::vector<float> q = linear(x, width, stream);
      const std::vector<float> k = linear(x, kv_width, stream + 1);
      const std::vector<float> v = linear(x, kv_width, stream + 2);
      kept.k.insert(kept.k.end(), k.begin(), k.end());
      kept.v.insert(kept.v.end(), v.begin(), v.end());
      const auto len = static_cast<std::int64_t>(kept.k.size()) / kv_width;
      std::vector<float> out(q.size());
      std::vector<float> lse(static_cast<std::size_t>(heads * rows));
      const auto keys = [&](const std::vector<float>& data) {
        return view<const float, 4>(data.data(), {1, kv_heads, len, head_dim}, {0, head_dim, kv_width, 1});
      };
      const std::int64_t strides[] = {0, head_dim, width, 1};
      calls::forward(tessera::par.threads(threads), view<const float, 4>(q.data(), {1, heads, rows, head_dim}, strides),
                     keys(kept.k), keys(kept.v), view<float, 4>(out.data(), {1, heads, rows, head_dim}, strides),
                     view<float, 3>(lse.data(), std::int64_t{1}, heads, rows), calls::options<plain_score>{.mask = mask});
      const std::vector<float> added = linear(out, width, stream + 3);
      for (std::size_t n = 0; n < x.size(); ++n) x[n] += added[n];
    }
    const std::vector<float> logits = linear(x, vocabulary, 2);
    std::vector<int> next;
    for (auto row = logits.begin(); row != logits.end(); row += vocabulary) {
      next.push_back(static_cast<int>(std::max_element(row, row + vocabulary) - row));
    }
    return next;
  }

 private:
  [[nodiscard]] float weight(std::uint64_t stream, std::int64_t n) const {
    return static_cast<float>(support::normal(1000 * seed_ + stream, static_cast<std::uint64_t>(n)));
  }
  /// Row by row, in one order: a row's result does not depend on its neighbours.
  [[nodiscard]] std::vector<float> linear(const std::vector<float>& x, std::int64_t columns, std::uint64_t stream) const {
    std::vector<float> w;
    for (std::int64_t n = 0; n < columns * width; ++n) w.push_back(weight(stream, n) * 0.2F);
    std::vector<float> y;
    for (auto row = x.begin(); row != x.end(); row += width) {
      for (auto column = w.begin(); column != w.end(); column += width) {
        float sum = 0;
        for (std::int64_t d = 0; d < width; ++d) sum += row[d] * column[d];
        y.push_back(sum);
      }
    }
    return y;
  }

  std::uint64_t seed_;
  int layers_;
};

constexpr any::mask causal{.a = attention::causal};

std::vector<std::int64_t> positions(std::int64_t first, std::size_t count) {
  std::vector<std::int64_t> result;
  for (std::size_t n = 0; n < count; ++n) result.push_back(first + static_cast<std::int64_t>(n));
  return result;
}

/// The prompt, and so many tokens after it, one query at a time.
std::vector<int> sequential(const model& m, const std::vector<int>& prompt, std::size_t count) {
  auto cache = m.empty();
  std::vector<int> tokens = prompt;
  tokens.push_back(m.run(cache, prompt, positions(0, prompt.size()), causal, 2).back());
  while (tokens.size() < prompt.size() + count) {
    const auto at = static_cast<std::int64_t>(tokens.size()) - 1;
    tokens.push_back(m.run(cache, {tokens.back()}, {at}, causal, 1).back());
  }
  return tokens;
}

/// Candidates: node 0 is the last token, which has no keys yet; a node's parent has a lower number.
struct candidates {
  std::vector<int> tokens;
  std::vector<std::size_t> parents;
  std::vector<std::int64_t> depths;
  std::vector<std::uint64_t> rows;  ///< ancestors, two words each
};

/// A random tree whose drafts are right more often than not.
candidates draft(std::uint64_t seed, const std::vector<int>& truth, std::size_t at) {
  candidates tree;
  const auto nodes = static_cast<std::size_t>(support::below(seed, 0, 80) + 1);
  for (std::size_t n = 0; n < nodes; ++n) {
    const std::uint64_t random = support::bits(seed, n + 1);
    // A chain now and then, a bush otherwise.
    const std::size_t parent = n == 0 ? 0 : random % 3 == 0 ? n - 1 : (random >> 8) % n;
    const std::int64_t depth = n == 0 ? 0 : tree.depths[parent] + 1;
    const std::size_t place = at + static_cast<std::size_t>(depth);
    const bool right = n == 0 || (random >> 32) % 3 != 0;
    tree.tokens.push_back(right && place < truth.size() ? truth[place] : static_cast<int>((random >> 40) % model::vocabulary));
    tree.parents.push_back(parent);
    tree.depths.push_back(depth);
    for (const std::size_t word : {0U, 1U}) {
      const std::uint64_t above = n == 0 ? 0 : tree.rows[2 * parent + word];
      tree.rows.push_back(above | (n / 64 == word ? std::uint64_t{1} << (n % 64) : 0));
    }
  }
  return tree;
}

float largest_difference(const model::cache& a, const model::cache& b) {
  float largest = 0;
  for (std::size_t l = 0; l < a.size(); ++l) {
    BOOST_TEST_REQUIRE((a[l].k.size() == b[l].k.size() && a[l].v.size() == b[l].v.size()));
    for (std::size_t n = 0; n < a[l].k.size(); ++n) {
      largest = std::max({largest, std::abs(a[l].k[n] - b[l].k[n]), std::abs(a[l].v[n] - b[l].v[n])});
    }
  }
  return largest;
}

struct statistics {
  std::size_t rounds = 0;
  std::size_t accepted = 0;
};

/// The same tokens by trees; every round the cache is compacted to the accepted path and compared with that of a fresh run.
std::vector<int> by_trees(const model& m, std::uint64_t seed, const std::vector<int>& truth, std::size_t prompt,
                          statistics& made) {
  auto cache = m.empty();
  std::vector<int> tokens(truth.begin(), truth.begin() + static_cast<std::ptrdiff_t>(prompt));
  tokens.push_back(m.run(cache, tokens, positions(0, prompt), causal, 1).back());
  bool straddled = false;
  for (std::uint64_t round = 0; tokens.size() < truth.size(); ++round, ++made.rounds) {
    const std::size_t past = tokens.size() - 1;  // keys in the cache
    candidates tree = draft(100 * seed + round, truth, past);
    tree.tokens[0] = tokens.back();
    const auto nodes = static_cast<std::int64_t>(tree.tokens.size());
    std::vector<std::int64_t> at;
    for (const std::int64_t depth : tree.depths) at.push_back(static_cast<std::int64_t>(past) + depth);
    const any::mask mask{.a = attention::tree{view<const std::uint64_t, 2>(tree.rows.data(), nodes, std::int64_t{2})}};
    const std::vector<int> next = m.run(cache, tree.tokens, at, mask, static_cast<int>(1 + round % 3));

    // Down the tree while a child is what the model says.
    std::vector<std::size_t> path{0};
    for (bool found = true; found;) {
      const int want = next[path.back()];
      tokens.push_back(want);
      found = false;
      for (std::size_t n = path.back() + 1; n < tree.tokens.size() && !found; ++n) {
        found = tree.parents[n] == path.back() && tree.tokens[n] == want;
        if (found) path.push_back(n);
      }
    }
    made.accepted += path.size() - 1;

    // The rows of the path move to where they would have been; a path rises, so that none is overwritten before it has moved.
    for (model::layer_cache& layer : cache) {
      for (std::vector<float>* const kept : {&layer.k, &layer.v}) {
        const auto row = [&](std::size_t n) { return kept->begin() + static_cast<std::ptrdiff_t>(n) * model::kv_width; };
        for (std::size_t n = 0; n < path.size(); ++n) {
          std::copy(row(past + path[n]), row(past + path[n] + 1), row(past + n));
        }
        kept->resize((past + path.size()) * model::kv_width);
      }
    }
    auto fresh = m.empty();
    m.run(fresh, {tokens.begin(), tokens.end() - 1}, positions(0, tokens.size() - 1), causal, 2);
    // Sums run over chunks of keys. While the candidates of every round end in the chunk in which they begin, bits are those of the fresh run.
    straddled = straddled || past / attention::part_keys != (past + tree.tokens.size() - 1) / attention::part_keys;
    BOOST_TEST_INFO("seed " << seed << " round " << round << " past " << past);
    if (!straddled) {
      BOOST_TEST((cache == fresh));
    } else {
      BOOST_TEST(largest_difference(cache, fresh) < 1e-4F);
    }
  }
  tokens.resize(truth.size());
  return tokens;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_speculation)

BOOST_AUTO_TEST_CASE(trees_give_the_tokens_of_one_query_after_another) {
  statistics made;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const model m(seed, seed % 2 == 0 ? 2 : 1);
    // The prompts of the first twenty end before the first chunk does, those of the others about there.
    const auto length = static_cast<std::int64_t>(seed <= 20 ? 5 + 2 * seed : 120 + 2 * seed);
    std::vector<int> prompt;
    for (std::int64_t n = 0; n < length; ++n) {
      prompt.push_back(static_cast<int>(support::below(seed, static_cast<std::uint64_t>(n), model::vocabulary)));
    }
    const std::vector<int> truth = sequential(m, prompt, 60);
    const std::vector<int> tokens = by_trees(m, seed, truth, prompt.size(), made);
    BOOST_TEST_INFO("seed " << seed);
    BOOST_TEST((tokens == truth));
  }
  BOOST_TEST_MESSAGE(made.accepted << " drafts accepted in " << made.rounds << " rounds");
  BOOST_TEST(made.accepted > made.rounds);  // trees that are never followed test nothing
}

BOOST_AUTO_TEST_SUITE_END()
