// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Reducers of a user that only weigh and join, in front of values.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/random.hpp"
#include "on_device.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/exp.hpp"
#include "tessera/online/reducer.hpp"
#include "tessera/reference/contraction.hpp"

namespace {

using support::matrix;
using tessera::bfloat16;
using tessera::join_factors;
namespace reference = tessera::reference;

/// w_j = 2^(s_j - max), joined by factors: the softmax without a step of its own for the device.
struct powers_of_two {
  template <class T>
  struct state {
    T max;
    T mass;
  };
  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return -tessera::infinity<V>();
  }
  template <class T>
  TESSERA_HD state<T> identity() const {
    return {excluded<T>(), T(0)};
  }
  template <class Tile>
  TESSERA_HD auto weigh(const Tile& tile) const {
    using T = typename Tile::value_type;
    state<T> s = identity<T>();
    for (int j = 0; j < tile.size(); ++j) s.max = tessera::max(s.max, tile[j]);
    const T base = s.max == excluded<T>() ? T(0) : s.max;
    for (int j = 0; j < tile.size(); ++j) {
      tile.set(j, tessera::exp2_nonpositive(tile[j] - base));
      s.mass += tile[j];
    }
    return s;
  }
  template <class T>
  TESSERA_HD join_factors<T> join(state<T>& s, const state<T>& t) const {
    const T top = tessera::max(s.max, t.max);
    const T base = top == excluded<T>() ? T(0) : top;
    const join_factors<T> f{tessera::exp2_nonpositive(s.max - base), tessera::exp2_nonpositive(t.max - base)};
    s = {top, s.mass * f.kept + t.mass * f.joined};
    return f;
  }
  template <class T>
  TESSERA_HD state<T> merge(state<T> a, const state<T>& b) const {
    join(a, b);
    return a;
  }
  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    join(s, weigh(tile));
  }
  template <class T>
  TESSERA_HD T normalizer(const state<T>& s) const {
    return s.mass;
  }
  template <class T>
  TESSERA_HD T finish(const state<T>& s) const {
    return s.max;
  }
};

/// w_j = max(0, 4 - s_j), as many neighbours weigh a mean; nothing is rescaled. Also counts them.
struct tent {
  template <class T>
  struct state {
    T mass;
    T count;
  };
  template <class V>
  TESSERA_HD static constexpr V excluded() {
    return tessera::infinity<V>();
  }
  template <class T>
  TESSERA_HD state<T> identity() const {
    return {T(0), T(0)};
  }
  template <class Tile>
  TESSERA_HD auto weigh(const Tile& tile) const {
    using T = typename Tile::value_type;
    state<T> s = identity<T>();
    for (int j = 0; j < tile.size(); ++j) {
      tile.set(j, tessera::max(T(0), T(4) - tile[j]));
      s.mass += tile[j];
      s.count += tile[j] > T(0) ? T(1) : T(0);
    }
    return s;
  }
  template <class T>
  TESSERA_HD join_factors<T> join(state<T>& s, const state<T>& t) const {
    s = {s.mass + t.mass, s.count + t.count};
    return {T(1), T(1)};
  }
  template <class T>
  TESSERA_HD state<T> merge(state<T> a, const state<T>& b) const {
    join(a, b);
    return a;
  }
  template <class T, class Tile>
  TESSERA_HD void absorb(state<T>& s, const Tile& tile) const {
    join(s, weigh(tile));
  }
  template <class T>
  TESSERA_HD T normalizer(const state<T>& s) const {
    return s.mass;
  }
  template <class T>
  TESSERA_HD T finish(const state<T>& s) const {
    return s.count;
  }
};

struct shape {
  std::int64_t n, m, depth, value_dim;
};
constexpr shape shapes[] = {{1, 1, 1, 1}, {3, 64, 8, 5}, {17, 65, 16, 64}, {70, 200, 31, 65}, {130, 7, 5, 129}, {4, 0, 4, 4}};

/// The largest error in units of what the types allow.
template <class T, class Reducer, class Score, class Weight>
void check(const Reducer& reducer, const Score& score, const Weight& weight_of, double unit, bool masked) {
  support::worst errors;
  for (std::size_t at = 0; at < std::size(shapes); ++at) {
    const shape& s = shapes[at];
#if TESSERA_CUDA_EMULATOR
    tessera::emulator::seed(at + 1);
#endif
    matrix<T> queries({s.n, s.depth});
    matrix<T> keys({s.m, s.depth}, {static_cast<std::int64_t>(at % 2)});
    matrix<T> values({s.m, s.value_dim});
    matrix<T> out({s.n, s.value_dim}, {3});
    queries.fill([=](std::uint64_t n) { return 0.5 * support::normal(1 + at, n); });
    keys.fill([=](std::uint64_t n) { return 0.5 * support::normal(2 + at, n); });
    values.fill([=](std::uint64_t n) { return support::normal(3 + at, n); });
    const auto run = [&](const auto& mask) {
      contract(support::on_device{}, queries.view(), keys.view(), values.view(), score, reducer, out.view(), tessera::no_emit{},
               mask);
    };
    if (masked) {
      run(tessera::causal_mask(2));
    } else {
      run(tessera::no_mask{});
    }
    const auto q = reference::rows(queries.view());
    const auto k = reference::rows(keys.view());
    const auto v = reference::rows(values.view());
    for (std::size_t i = 0; i < q.size(); ++i) {
      std::vector<double> weights;
      double top = -std::numeric_limits<double>::infinity();
      for (std::size_t j = 0; j < k.size(); ++j) {
        weights.push_back(reference::dot{}(q[i], k[j], 0, 0));
        if constexpr (tessera::distance_score<Score>) weights.back() = reference::squared_distance{}(q[i], k[j], 0, 0);
        if (!masked || j <= i + 2) top = std::fmax(top, weights.back());
      }
      double mass = 0;
      for (std::size_t j = 0; j < k.size(); ++j) {
        weights[j] = masked && j > i + 2 ? 0 : weight_of(weights[j], top);
        mass += weights[j];
      }
      for (std::int64_t c = 0; c < s.value_dim; ++c) {
        double sum = 0;
        double size = 0;
        for (std::size_t j = 0; j < k.size(); ++j) {
          sum += weights[j] * v[j][static_cast<std::size_t>(c)];
          size += weights[j] * (std::fabs(v[j][static_cast<std::size_t>(c)]) + std::fabs(sum / (mass + 1e-300)));
        }
        const double mean = mass > 0 ? sum / mass : 0;
        errors(static_cast<double>(out(static_cast<std::int64_t>(i), c)), mean,
               unit * (mass > 0 ? size / mass : 0) + support::rounding<T>(mean), "row", i, "column", c, "shape", at);
      }
    }
    BOOST_TEST(out.gaps_untouched());
  }
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_weighing_reducers)

BOOST_AUTO_TEST_CASE(weights_that_are_rescaled) {
  const auto weight = [](double s, double top) { return std::exp2(s - top); };
  for (const bool masked : {false, true}) {
    check<float>(powers_of_two{}, tessera::dot{}, weight, 0x1p-18, masked);
    check<double>(powers_of_two{}, tessera::dot{}, weight, 0x1p-46, masked);
    check<bfloat16>(powers_of_two{}, tessera::dot{}, weight, 0x1p-7, masked);
  }
}

BOOST_AUTO_TEST_CASE(weights_that_are_not, *boost::unit_test::label("small")) {
  const auto weight = [](double s, double) { return std::fmax(0, 4 - s); };
  for (const bool masked : {false, true}) {
    check<float>(tent{}, tessera::squared_distance{}, weight, 0x1p-16, masked);
    check<double>(tent{}, tessera::squared_distance{}, weight, 0x1p-44, masked);
  }
}

BOOST_AUTO_TEST_SUITE_END()
