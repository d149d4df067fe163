// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Random calls of attention: shapes, strides, masks and their combinations, scores, sinks, factors, dropout, grouped heads, types and threads,
/// forward, backward and along tangents, against the references with the bounds of the docs. A failure names the seed of its call.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "calls.hpp"
#include "jvp_oracle.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float8.hpp"

namespace {

using calls::every_score;
using calls::plain_score;
using oracle::shape;
using support::array;
using tessera::view;
namespace attention = tessera::attention;

/// Random choices of one call.
class chance {
 public:
  explicit chance(std::uint64_t seed) : seed_(seed) {}
  std::int64_t below(std::int64_t n) { return support::below(seed_, ++at_, n); }
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
  bool one_in(std::int64_t n) { return below(n) == 0; }
  template <class X>
  X one_of(std::initializer_list<X> choices) {
    return choices.begin()[below(static_cast<std::int64_t>(choices.size()))];
  }

 private:
  std::uint64_t seed_;
  std::uint64_t at_ = 0;
};

shape random_shape(chance& random) {
  shape x{};
  const auto length = [&] {
    switch (random.below(10)) {
      case 0:
        return random.between(0, 1);
      case 1:
        return random.one_of<std::int64_t>({1, 15, 16, 17, 31, 33, 47, 48, 49, 95, 96, 97, 128, 129, 191, 192, 193});
      case 2:
      case 3:
        return random.between(100, 300);
      default:
        return random.between(1, 60);
    }
  };
  const auto dim = [&] { return random.one_in(12) ? 0 : random.one_in(3) ? random.between(30, 80) : random.between(1, 30); };
  x.len_q = random.one_in(4) ? 1 : length();
  x.len_k = random.one_in(4) ? random.between(150, 420) : length();
  x.head_dim = dim();
  x.value_dim = dim();
  x.kv_heads = random.between(1, 3);
  x.heads = x.kv_heads * random.one_of<std::int64_t>({1, 1, 2, 3, 5});
  x.batch = random.one_in(40) ? 0 : random.between(1, 2);
  // The references are slow: long rows have few heads.
  while (x.batch * x.heads * (x.len_q + 1) * (x.len_k + 1) > 60000 && x.batch * x.heads > 1) {
    if (x.batch > 1) {
      x.batch = 1;
    } else if (x.kv_heads > 1) {
      x.heads = x.heads / x.kv_heads;
      x.kv_heads = 1;
    } else {
      x.heads = 1;
    }
  }
  return x;
}

support::placement random_placement(chance& random) { return {random.below(4), random.one_in(2)}; }

/// An array some of whose axes may be one element seen again and again: all its elements, for the references, and the view of stride 0.
template <class T, std::size_t Rank>
class spread_array {
 public:
  array<T, Rank> all;
  std::array<bool, Rank> repeated{};

  spread_array(chance& random, const std::array<std::int64_t, Rank>& extents, bool may_repeat)
      : all(extents, random_placement(random)) {
    for (std::size_t r = 0; r + 1 < Rank; ++r) repeated[r] = may_repeat && random.one_in(8);
  }
  template <class F>
  void fill(const F& f) {
    const auto v = all.view();
    all.fill([&](std::uint64_t n) {
      std::int64_t rest = static_cast<std::int64_t>(n);
      std::int64_t index = 0;
      std::int64_t step = 1;
      for (std::size_t r = Rank; r-- > 0;) {
        index += (repeated[r] ? 0 : rest % v.extent(r)) * step;
        step *= v.extent(r);
        rest /= v.extent(r);
      }
      return f(static_cast<std::uint64_t>(index));
    });
  }
  [[nodiscard]] bool repeats() const { return std::find(repeated.begin(), repeated.end(), true) != repeated.end(); }
  [[nodiscard]] view<const T, Rank> seen() const {
    const auto v = all.view();
    std::int64_t extents[Rank];
    std::int64_t strides[Rank];
    for (std::size_t r = 0; r < Rank; ++r) extents[r] = v.extent(r), strides[r] = repeated[r] ? 0 : v.stride(r);
    return {v.data_handle(), extents, strides};
  }
};

/// Random masks and what they look at.
class random_masks {
 public:
  any::mask mask;

  random_masks(chance& random, const shape& x) : x_(x) {
    mask.a = one(random);
    mask.b = one(random);
    mask.how = random.one_of({any::join::first, any::join::first, any::join::both, any::join::either, any::join::inverted});
  }

 private:
  any::one_mask one(chance& random) {
    switch (random.below(6)) {
      case 0: {  // documents, in order or scattered
        const bool scattered = random.one_in(3);
        const std::int64_t length = random.between(1, 90);
        const auto ids = [&](std::int64_t len, std::int64_t offset) -> const std::vector<int>& {
          ids_.emplace_back();
          for (std::int64_t n = 0; n < x_.batch * len; ++n) {
            ids_.back().push_back(
                static_cast<int>(scattered ? random.below(3) : (n % std::max<std::int64_t>(len, 1) + offset) / length));
          }
          return ids_.back();
        };
        const std::int64_t ahead = std::max<std::int64_t>(x_.len_k - x_.len_q, 0);
        const view<const int, 2> of_query(ids(x_.len_q, ahead).data(), x_.batch, x_.len_q);
        const view<const int, 2> of_key(ids(x_.len_k, 0).data(), x_.batch, x_.len_k);
        return attention::documents<int>{of_query, of_key};
      }
      case 1: {  // a tree, where there are keys enough
        if (x_.len_q > x_.len_k) return attention::causal;
        const std::int64_t words = (x_.len_q + 63) / 64;
        bits_.emplace_back(static_cast<std::size_t>(x_.len_q * words + 1));
        std::vector<std::uint64_t>& rows = bits_.back();
        for (std::int64_t i = 0; i < x_.len_q; ++i) {
          const std::int64_t parent = i > 0 ? random.below(i) : 0;
          for (std::int64_t w = 0; i > 0 && w < words; ++w) {
            rows[static_cast<std::size_t>(i * words + w)] = rows[static_cast<std::size_t>(parent * words + w)];
          }
          rows[static_cast<std::size_t>(i * words + i / 64)] |= std::uint64_t{1} << (i % 64);
        }
        return attention::tree{view<const std::uint64_t, 2>(rows.data(), x_.len_q, words)};
      }
      case 2: {  // any pairs, over all of some axes
        seen_.emplace_back();
        const std::int64_t extents[] = {x_.batch, x_.heads, x_.len_q, x_.len_k};
        std::int64_t strides[4];
        std::int64_t step = 1;
        for (std::size_t r = 4; r-- > 0;) {
          const bool repeated = random.one_in(3);
          strides[r] = repeated ? 0 : step;
          step *= repeated ? 1 : extents[r];
        }
        const std::int64_t percent = random.one_of<std::int64_t>({0, 3, 50, 97, 100});
        for (std::int64_t n = 0; n < std::max<std::int64_t>(step, 1); ++n) seen_.back().push_back(random.below(100) < percent);
        return attention::dense_mask<std::uint8_t>{view<const std::uint8_t, 4>(seen_.back().data(), extents, strides)};
      }
      case 3:
        return random.one_of({attention::everything, attention::causal});
      default: {
        attention::band band;
        if (random.one_in(2)) band.left = random.between(-10, x_.len_k);
        if (random.one_in(2)) band.right = random.between(-10, x_.len_k);
        if (band.left + band.right < -1) band.right = -1 - band.left;
        if (random.one_in(3)) band.prefix = random.below(x_.len_k + 2);
        if (random.one_in(3)) band.alignment = attention::alignment::top_left;
        return band;
      }
    }
  }

  shape x_;
  std::vector<std::vector<int>> ids_;
  std::vector<std::vector<std::uint64_t>> bits_;
  std::vector<std::vector<std::uint8_t>> seen_;
};

/// How much of their bounds all calls together reach.
struct totals {
  double out = 0;
  double lse = 0;
  double gradients = 0;
  double tangents = 0;
};

template <class T, std::size_t Rank>
view<const T, Rank> constant(const array<T, Rank>& x) {
  return x.view();
}

/// One random call of queries and results S, keys K, values V.
template <class S, class K, class V, class Score>
void check(std::uint64_t seed, totals& reached) {
  constexpr bool scored = std::is_same_v<Score, every_score>;
  using T = std::common_type_t<tessera::compute_t<S>, tessera::compute_t<K>, tessera::compute_t<V>>;
  chance random(seed);
  const shape x = random_shape(random);
  const auto threads = [&] { return tessera::par.threads(static_cast<int>(random.between(1, 4))); };

  // Inputs.
  const bool may_repeat = random.one_in(3);
  const std::array<std::int64_t, 4> of_q{x.batch, x.heads, x.len_q, x.head_dim};
  const std::array<std::int64_t, 4> of_k{x.batch, x.kv_heads, x.len_k, x.head_dim};
  const std::array<std::int64_t, 4> of_v{x.batch, x.kv_heads, x.len_k, x.value_dim};
  const std::array<std::int64_t, 4> of_out{x.batch, x.heads, x.len_q, x.value_dim};
  spread_array<S, 4> q(random, of_q, may_repeat);
  spread_array<K, 4> k(random, of_k, may_repeat);
  spread_array<V, 4> v(random, of_v, may_repeat);
  spread_array<S, 4> dout(random, of_out, may_repeat);
  const double query_size = random.one_of({0.1, 1.0, 3.0, 30.0, 1000.0});
  const bool alike = random.one_in(8);  // keys that repeat: maxima that repeat
  const bool wide = random.one_in(4);
  q.fill([&](std::uint64_t n) { return query_size * support::normal(seed, n); });
  k.fill([&](std::uint64_t n) {
    return support::normal(seed + 1, alike && x.head_dim > 0 ? n % static_cast<std::uint64_t>(2 * x.head_dim) : n);
  });
  v.fill([&](std::uint64_t n) { return wide ? support::spread(seed + 2, n, -8, 8) : support::normal(seed + 2, n); });
  dout.fill([&](std::uint64_t n) { return wide ? support::spread(seed + 3, n, -8, 8) : support::normal(seed + 3, n); });

  // Options.
  const random_masks masks(random, x);
  calls::options<Score> options{.mask = masks.mask};
  if (random.one_in(4)) options.scale = random.one_of({0.0, -0.3, 0.05, 1.0});
  std::vector<float> sinks;
  std::vector<float> factors;
  for (std::int64_t h = 0; h < x.heads; ++h) {
    sinks.push_back(random.one_in(8) ? -std::numeric_limits<float>::infinity() : static_cast<float>(random.between(-40, 40)) / 4);
    factors.push_back(static_cast<float>(random.between(-20, 60)) / 16);
  }
  if (random.one_in(3)) options.sinks = view<const float, 1>(sinks.data(), x.heads);
  if (random.one_in(4)) options.key_scales = view<const float, 1>(factors.data(), x.kv_heads);
  if (random.one_in(4)) options.value_scales = view<const float, 1>(factors.data(), x.kv_heads);
  if (random.one_in(5)) {
    options.dropout = {.rate = random.one_of({0.1, 0.5, 0.95}), .seed = seed, .stream = static_cast<std::uint64_t>(seed % 7)};
  }
  spread_array<float, 4> bias(random, {x.batch, x.heads, x.len_q, x.len_k}, true);
  calls::score_parts parts(x.batch, x.heads, x.len_q, x.len_k);
  if constexpr (scored) {
    if (random.one_in(2)) parts.cap = random.one_of({0.5, 5.0, 50.0});
    if (random.one_in(2)) parts.slopes = factors;
    if (random.one_in(2)) {
      const bool hiding = random.one_in(2);
      bias.fill([&](std::uint64_t n) {
        return hiding && n % 5 == 2 ? -std::numeric_limits<double>::infinity() : 3 * support::normal(seed + 9, n);
      });
      parts.bias = bias.seen();
    }
    options.score = parts.score();
  }

  // What nobody sees may be NaN.
  const auto visible = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
    return tessera::reference::visible(options.mask, b, h, i, j, x.len_q, x.len_k);
  };
  oracle::inputs<S, K, V> in(x);
  oracle::inputs<S> along(x, random_placement(random));
  along.q.fill([&](std::uint64_t n) { return support::normal(seed + 4, n); });
  along.k.fill([&](std::uint64_t n) { return support::normal(seed + 5, n); });
  along.v.fill([&](std::uint64_t n) { return support::normal(seed + 6, n); });
  if (random.one_in(3)) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::int64_t group = x.heads / x.kv_heads;
    for (std::int64_t b = 0; b < x.batch; ++b) {
      for (std::int64_t h = 0; h < x.kv_heads; ++h) {
        for (std::int64_t j = 0; j < x.len_k; ++j) {
          bool hidden = true;
          for (std::int64_t g = 0; g < group; ++g) {
            for (std::int64_t i = 0; hidden && i < x.len_q; ++i) hidden = !visible(b, h * group + g, i, j);
          }
          if (!hidden) continue;
          for (std::int64_t d = 0; d < x.head_dim; ++d) {
            if (!k.repeats()) k.all(b, h, j, d) = K(nan);
            along.k(b, h, j, d) = S(nan);
          }
          for (std::int64_t c = 0; c < x.value_dim; ++c) {
            if (!v.repeats()) v.all(b, h, j, c) = V(nan);
            along.v(b, h, j, c) = S(nan);
          }
        }
      }
    }
  }
  in.q = q.all;
  in.k = k.all;
  in.v = v.all;

  BOOST_TEST_INFO_SCOPE(x.batch << " x " << x.heads << " heads over " << x.kv_heads << ", " << x.len_q << " queries, " << x.len_k
                                << " keys, " << x.head_dim << " and " << x.value_dim << " columns, masks " << masks.mask.a.index()
                                << " and " << masks.mask.b.index() << " joined by " << static_cast<int>(masks.mask.how)
                                << ", dropout " << options.dropout.rate);

  // Forward.
  oracle::backward_call<S, K, V, S, S> call(in, random_placement(random));
  call.dq = array<S, 4>(of_q, random_placement(random));
  call.dv = array<S, 4>(of_v, random_placement(random));
  call.lse = array<T, 3>({x.batch, x.heads, x.len_q}, {random.below(4), false});
  call.dout = dout.all;
  calls::forward(threads(), q.seen(), k.seen(), v.seen(), call.out.view(), call.lse.view(), options);
  support::worst out;
  support::worst lse;
  oracle::compare(out, lse, in, call.out, call.lse, options);
  BOOST_TEST_INFO(out.text());
  BOOST_TEST(out.ratio() <= 1);
  BOOST_TEST_INFO(lse.text());
  BOOST_TEST(lse.ratio() <= 1);
  BOOST_TEST((call.out.gaps_untouched() && call.lse.gaps_untouched()));
  reached.out = std::max(reached.out, out.ratio());
  reached.lse = std::max(reached.lse, lse.ratio());

  // A row alone, under a list of what it sees, has the same bits.
  if constexpr (!scored) {
    if (x.batch > 0 && x.len_q > 0 && !options.dropout.active()) {
      const std::int64_t b = random.below(x.batch);
      const std::int64_t h = random.below(x.heads);
      const std::int64_t i = random.below(x.len_q);
      const std::int64_t kv_h = h * x.kv_heads / x.heads;
      std::vector<std::uint8_t> seen(1);
      for (std::int64_t j = 0; j < x.len_k; ++j) seen.push_back(visible(b, h, i, j));
      const auto slice = [](const auto& y, std::int64_t at_b, std::int64_t at_h, std::int64_t at, std::int64_t len) {
        using element = typename std::remove_cvref_t<decltype(y)>::element_type;
        return view<element, 4>(y.data_handle() + at_b * y.stride(0) + at_h * y.stride(1) + at * y.stride(2),
                                {1, 1, len, y.extent(3)}, {0, 0, y.stride(2), 1});
      };
      array<S, 4> row({1, 1, 1, x.value_dim});
      array<T, 3> row_lse({1, 1, 1});
      calls::options<Score> alone = options;
      alone.mask = {.a = attention::dense_mask<std::uint8_t>{view<const std::uint8_t, 4>(seen.data() + 1, 1, 1, 1, x.len_k)}};
      const auto of_head = [](view<const float, 1>& numbers, std::int64_t at) {
        if (numbers.data_handle() != nullptr) numbers = view<const float, 1>(numbers.data_handle() + at, std::int64_t{1});
      };
      of_head(alone.sinks, h);
      of_head(alone.key_scales, kv_h);
      of_head(alone.value_scales, kv_h);
      calls::forward(threads(), slice(q.seen(), b, h, i, 1), slice(k.seen(), b, kv_h, 0, x.len_k),
                     slice(v.seen(), b, kv_h, 0, x.len_k), row.view(), row_lse.view(), alone);
      bool same = std::memcmp(&row_lse(0, 0, 0), &call.lse(b, h, i), sizeof(T)) == 0;
      for (std::int64_t c = 0; c < x.value_dim; ++c) {
        same = same && std::memcmp(&row(0, 0, 0, c), &call.out(b, h, i, c), sizeof(S)) == 0;
      }
      BOOST_TEST(same);
    }
  }

  // Backward, twice.
  const auto run_backward = [&] {
    calls::backward(threads(), q.seen(), k.seen(), v.seen(), constant(call.out), constant(call.lse), dout.seen(), call.dq.view(),
                    call.dk.view(), call.dv.view(), options);
  };
  run_backward();
  oracle::gradient_errors errors;
  oracle::compare(errors, call, options);
  for (const support::worst* const worst : {&errors.dq, &errors.dk, &errors.dv}) {
    BOOST_TEST_INFO(worst->text());
    BOOST_TEST(worst->ratio() <= 1);
    reached.gradients = std::max(reached.gradients, worst->ratio());
  }
  BOOST_TEST(call.gaps_untouched());
  const auto first = call;
  run_backward();
  BOOST_TEST(call.same_gradients(first));

  // Along tangents.
  if constexpr (std::is_same_v<S, K> && std::is_same_v<S, V>) {
    array<S, 4> again(of_out, random_placement(random));
    array<S, 4> tangent(of_out, random_placement(random));
    calls::jvp(threads(), q.seen(), k.seen(), v.seen(), constant(along.q), constant(along.k), constant(along.v), again.view(),
               tangent.view(), options);
    BOOST_TEST(again.same_elements(call.out));
    BOOST_TEST((again.gaps_untouched() && tangent.gaps_untouched()));
    support::worst tangents;
    oracle::compare_jvp(tangents, in, along, tangent, options);
    BOOST_TEST_INFO(tangents.text());
    BOOST_TEST(tangents.ratio() <= 1);
    reached.tangents = std::max(reached.tangents, tangents.ratio());
  }
}

void check_all(std::uint64_t first, std::uint64_t count) {
  totals reached[4];
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      switch (seed % 4) {
        case 0:
          check<float, float, float, plain_score>(seed, reached[0]);
          break;
        case 1:
          check<float, float, float, every_score>(seed, reached[1]);
          break;
        case 2:
          check<double, double, double, every_score>(seed, reached[2]);
          break;
        default:
          check<tessera::bfloat16, tessera::float8_e5m2, tessera::float8_e4m3, plain_score>(seed, reached[3]);
      }
    }
  }
  constexpr const char* names[] = {"float32", "float32 with scores", "float64 with scores", "bfloat16 over float8"};
  for (std::size_t n = 0; n < 4; ++n) {
    BOOST_TEST_MESSAGE(names[n] << " reaches " << reached[n].out << " (out), " << reached[n].lse << " (lse), "
                                << reached[n].gradients << " (gradients), " << reached[n].tangents
                                << " (tangents) of the bounds");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_fuzz)

BOOST_AUTO_TEST_CASE(random_calls) { check_all(0, 240); }
BOOST_AUTO_TEST_CASE(many_random_calls, *boost::unit_test::disabled() * boost::unit_test::label("full")) {
  check_all(1000000, 20000);
}

BOOST_AUTO_TEST_SUITE_END()
