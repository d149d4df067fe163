// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// What only the device has to prove of a contraction: every multiplication and alignment, slices of values, splits of keys, orders of threads, and
/// memory that is not its own.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "../tile/oracle.hpp"
#include "mirror.hpp"
#include "on_device.hpp"
#include "orders.hpp"
#include "tessera/cuda/tile/nearest.cuh"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/nearest.hpp"

namespace {

using oracle::matrix;
using support::on_device;
using tessera::bfloat16;
using tessera::float16;
using tessera::view;
namespace reference = tessera::reference;

struct shape {
  std::int64_t n, m, depth, value_dim, gap;
};
// Around tiles (64 keys, 64 or 128 queries), what shared memory holds (64 or 128 columns), and rows that are copied or converted.
constexpr shape shapes[] = {{1, 1, 1, 1, 0},        {3, 65, 8, 8, 0},      {17, 64, 64, 64, 0},   {130, 200, 72, 40, 8},
                            {64, 129, 128, 128, 0}, {20, 70, 136, 136, 0}, {33, 100, 264, 24, 0}, {5, 300, 0, 8, 0},
                            {40, 0, 8, 8, 0},       {70, 130, 31, 129, 1}, {9, 90, 130, 260, 3},  {129, 63, 16, 9, 0}};

/// Products of one storage type, with and without values.
template <class S>
void check_products(int generation) {
  using T = tessera::compute_t<S>;
  constexpr bool narrow = sizeof(S) == 2;
  support::worst best;
  support::worst means;
  support::worst lses;
  std::uint64_t seed = 0;
  for (const shape& s : shapes) {
    ++seed;
    matrix<S> queries({s.n, s.depth}, {s.gap});
    matrix<S> keys({s.m, s.depth}, {s.gap});
    matrix<S> values({s.m, s.value_dim}, {s.gap});
    matrix<S> out({s.n, s.value_dim}, {s.gap});
    queries.fill([=](std::uint64_t e) { return support::normal(3 * seed, e); });
    keys.fill([=](std::uint64_t e) { return support::normal(3 * seed + 1, e); });
    values.fill([=](std::uint64_t e) { return support::normal(3 * seed + 2, e); });
    const double scale = 0.4;
    const double chain = (narrow ? 4 : 1) * static_cast<double>(s.depth + 16) + 3;
    const auto want = oracle::expect<T>(queries, keys, reference::scaled_dot{scale}, oracle::product_size{scale}, chain);
    contract(on_device{generation}, queries.view(), keys.view(), tessera::scaled_dot{scale}, tessera::argmax{},
             [&](std::int64_t i, const auto& got) { oracle::check_extremum<false>(best, want, i, got); });
    // Weights of 16 bits are rounded; in float16 those below 2^-25 are gone.
    const double of_weights =
        narrow ? 2 * tessera::unit_roundoff<S> + (std::is_same_v<S, float16> ? 0x1p-22 * static_cast<double>(s.m) : 0.0) : 0.0;
    const auto wide_values = reference::rows<oracle::wide_of<T>>(values.view());
    contract(on_device{generation}, queries.view(), keys.view(), values.view(), tessera::scaled_dot{scale}, tessera::softmax{},
             out.view(), [&](std::int64_t i, T lse) { oracle::check_lse(lses, want, i, lse, of_weights); });
    for (std::int64_t i = 0; i < s.n; ++i) {
      oracle::check_mean<T>(means, want, wide_values, i, &out(i, 0), static_cast<std::size_t>(s.value_dim), of_weights);
    }
    BOOST_TEST((out.gaps_untouched() && queries.untouched() && keys.untouched() && values.untouched()));
  }
  CHECK_WITHIN_BOUND(best);
  CHECK_WITHIN_BOUND(means);
  CHECK_WITHIN_BOUND(lses);
}

struct nearest_rows {
  std::vector<std::int32_t> where;
  std::vector<float> distances;
  bool operator==(const nearest_rows&) const = default;
};

nearest_rows find(const tessera::cuda::executor& exec, const view<const float, 2>& queries, const view<const float, 2>& keys,
                  std::int64_t k) {
  matrix<std::int32_t> where({queries.extent(0), k});
  matrix<float> distances({queries.extent(0), k});
  support::mirror memory;
  tessera::nearest(exec, memory(queries), memory(keys), k, memory(where.view()), memory(distances.view()));
  memory.bring_back();
  return {where.elements(), distances.elements()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_contraction_types)

BOOST_AUTO_TEST_CASE(float32_products) { check_products<float>(9); }
BOOST_AUTO_TEST_CASE(float64_products_on_the_tensor_cores) { check_products<double>(9); }
BOOST_AUTO_TEST_CASE(float16_products_on_the_tensor_cores) { check_products<float16>(8); }
BOOST_AUTO_TEST_CASE(bfloat16_products_on_the_tensor_cores) { check_products<bfloat16>(8); }
BOOST_AUTO_TEST_CASE(float16_products_on_hopper, *boost::unit_test::label("small")) { check_products<float16>(9); }

// Long rows of values go through memory; their bits are those of short ones.
#if !TESSERA_CUDA_COMPILER  // which takes no kernel of the CPU's

BOOST_AUTO_TEST_CASE(the_cpu_agrees_within_both_bounds) {
  const shape s = {70, 200, 31, 65, 0};
  matrix<float> queries({s.n, s.depth});
  matrix<float> keys({s.m, s.depth});
  matrix<float> values({s.m, s.value_dim});
  matrix<float> there({s.n, s.value_dim});
  matrix<float> here({s.n, s.value_dim});
  queries.fill([](std::uint64_t e) { return support::normal(1, e); });
  keys.fill([](std::uint64_t e) { return support::normal(2, e); });
  values.fill([](std::uint64_t e) { return support::normal(3, e); });
  const tessera::scaled_dot score{0.4};
  contract(on_device{}, queries.view(), keys.view(), values.view(), score, tessera::softmax{}, there.view());
  contract(tessera::seq, queries.view(), keys.view(), values.view(), score, tessera::softmax{}, here.view());
  const auto want = oracle::expect<float>(queries, keys, reference::scaled_dot{0.4}, oracle::product_size{0.4},
                                          static_cast<double>(s.depth + 19));
  const auto wide_values = reference::rows<oracle::wide_of<float>>(values.view());
  support::worst errors;
  support::worst difference;
  for (std::int64_t i = 0; i < s.n; ++i) {
    const auto value_dim = static_cast<std::size_t>(s.value_dim);
    std::vector<double> of_device;
    std::vector<double> of_cpu;
    oracle::check_mean<float>(errors, want, wide_values, i, &there(i, 0), value_dim, 0, &of_device);
    oracle::check_mean<float>(errors, want, wide_values, i, &here(i, 0), value_dim, 0, &of_cpu);
    for (std::size_t c = 0; c < value_dim; ++c) {
      const auto column = static_cast<std::int64_t>(c);
      difference(static_cast<double>(there(i, column)), here(i, column), of_device[c] + of_cpu[c], "row", i, "column", c);
    }
  }
  CHECK_WITHIN_BOUND(errors);
  CHECK_WITHIN_BOUND(difference);
}

#endif

BOOST_AUTO_TEST_CASE(values_in_slices_have_the_bits_of_columns_alone) {
  const auto check = [](auto zero, std::int64_t step) {
    using S = decltype(zero);
    matrix<S> queries({70, 24});
    matrix<S> keys({200, 24});
    matrix<S> values({200, 320});
    matrix<S> out({70, 320});
    matrix<S> part({70, step});
    queries.fill([](std::uint64_t e) { return support::normal(1, e); });
    keys.fill([](std::uint64_t e) { return support::normal(2, e); });
    values.fill([](std::uint64_t e) { return support::normal(3, e); });
    values(190, 300) = std::numeric_limits<S>::infinity();  // seen by the last rows alone
    const tessera::band_mask mask{.low = -90, .high = 125};
    contract(on_device{}, queries.view(), keys.view(), values.view(), tessera::dot{}, tessera::softmax{}, out.view(),
             tessera::no_emit{}, mask);
    for (std::int64_t c = 0; c < 320; c += step) {
      const view<const S, 2> some(&values(0, c), {200, step}, {320, 1});
      contract(on_device{}, queries.view(), keys.view(), some, tessera::dot{}, tessera::softmax{}, part.view(),
               tessera::no_emit{}, mask);
      int differences = 0;
      for (std::int64_t i = 0; i < 70; ++i)
        differences += std::memcmp(&part(i, 0), &out(i, c), sizeof(S) * static_cast<std::size_t>(step)) != 0;
      BOOST_TEST(differences == 0);
    }
    BOOST_TEST(!std::isfinite(static_cast<double>(out(69, 300))));
    BOOST_TEST(std::isfinite(static_cast<double>(out(0, 300))));
  };
  check(float{}, 64);
  check(double{}, 64);
}

BOOST_AUTO_TEST_CASE(no_order_of_threads_and_no_split_changes_a_bit) {
  matrix<float> queries({70, 20});
  matrix<float> keys({1500, 20});
  queries.fill([](std::uint64_t e) { return support::normal(1, e); });
  keys.fill([](std::uint64_t e) { return support::normal(2, e % (20 * 900)); });  // some come twice
  const view<const float, 2> q = std::as_const(queries).view();
  const view<const float, 2> k = std::as_const(keys).view();
  for (const std::int64_t count : {1, 5, 40}) {
    const nearest_rows want = find(support::on_one_multiprocessor(), q, k, count);
    support::in_several_orders([&] { BOOST_TEST((find(tessera::cuda::on(), q, k, count) == want)); });
    const nearest_rows alone = find(tessera::cuda::on(), view<const float, 2>(&queries(33, 0), 1, 20), k, count);
    for (std::int64_t j = 0; j < count; ++j) {
      const auto at = static_cast<std::size_t>(33 * count + j);
      BOOST_TEST((alone.where[static_cast<std::size_t>(j)] == want.where[at]));
      BOOST_TEST((alone.distances[static_cast<std::size_t>(j)] == want.distances[at]));
    }
  }
}

// Products of terms that float16 holds, so that rows are not moved at all; but their sums in float32 lose what tells the keys apart.
BOOST_AUTO_TEST_CASE(sums_that_lose_the_difference_find_the_largest) {
  const std::int64_t depth = 48;
  const std::int64_t m = 307;
  matrix<double> queries({4, depth});
  matrix<double> keys({m, depth});
  queries.fill([](std::uint64_t e) { return e / 48 % 2 == 0 ? 2047 : -2047; });
  int wrong = 0;
  for (const std::uint64_t stride : {7, 29, 101, 150, 211, 300}) {
    keys.fill([&](std::uint64_t e) {
      const auto row = e / static_cast<std::uint64_t>(depth);
      const auto column = e % static_cast<std::uint64_t>(depth);
      if (column == 18 + row % 5) return 0x1p-12 * static_cast<double>(row * stride % 307);  // all that exact products differ by
      if (column == 47) return 0.0;
      return column < 24 ? 2047.0 : -2047.0;
    });
    matrix<std::int32_t> where({4, 3});
    matrix<double> products({4, 3});
    support::mirror memory;
    tessera::nearest(support::on_one_multiprocessor(), memory(std::as_const(queries).view()), memory(std::as_const(keys).view()),
                     3, memory(where.view()), memory(products.view()), tessera::dot{});
    memory.bring_back();
    reference::nearest(queries.view(), keys.view(), 3, reference::dot{}, [&](std::int64_t i, const auto& best) {
      for (std::size_t j = 0; j < 3; ++j) {
        const auto at = static_cast<std::int64_t>(j);
        wrong += where(i, at) != best[j].key || products(i, at) != best[j].score;
      }
    });
  }
  BOOST_TEST(wrong == 0);
}

// Rows that float16 does not reach in the frame of the others: out of range, or lost below it. Nothing is found but by exact scores.
BOOST_AUTO_TEST_CASE(rows_of_any_size_find_their_nearest) {
  matrix<float> queries({40, 6});
  matrix<float> keys({700, 6});
  keys.fill([](std::uint64_t e) {
    const auto row = e / 6;
    const double size = row % 97 == 5 ? 1e18 : (row % 3 == 0 ? 1e-12 : 1.0);
    return size * support::normal(1, e);
  });
  queries.fill([](std::uint64_t e) {
    const auto row = e / 6;
    return (row % 4 == 0 ? 1e18 : (row % 4 == 1 ? 1e-12 : 1.0)) * support::normal(2, e);
  });
  keys(650, 3) = std::numeric_limits<float>::infinity();
  support::worst errors;
  const auto want = oracle::expect<float>(queries, keys, reference::squared_distance{}, reference::squared_distance{}, 8);
  contract(on_device{}, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
           [&](std::int64_t i, const auto& got) { oracle::check_extremum<true>(errors, want, i, got); });
  contract(on_device{}, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmax{},
           [&](std::int64_t i, const auto& got) {
             errors(static_cast<double>(got.where), 650, 0, "row", i);
             errors(static_cast<double>(got.score), std::numeric_limits<double>::infinity(), 0, "row", i);
           });
  keys(651, 0) = std::numeric_limits<float>::quiet_NaN();
  contract(on_device{}, queries.view(), keys.view(), tessera::squared_distance{}, tessera::argmin{},
           [&](std::int64_t i, const auto& got) { errors(static_cast<double>(got.where), 651, 0, "row", i); });
  CHECK_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(memory_of_the_host_is_refused) {
  matrix<float> queries({4, 3});
  matrix<float> keys({6, 3});
  matrix<float> values({6, 5});
  matrix<float> out({4, 5});
  matrix<std::int32_t> where({4, 2});
  matrix<float> distances({4, 2});
  for (matrix<float>* const x : {&queries, &keys, &values}) x->fill([](std::uint64_t n) { return static_cast<double>(n); });
  const auto exec = tessera::cuda::on();
  support::mirror memory;
  const view<const float, 2> q = std::as_const(queries).view();
  const view<const float, 2> k = std::as_const(keys).view();
  const view<const float, 2> v = std::as_const(values).view();
  const auto dq = memory(q);
  const auto dk = memory(k);
  const auto dv = memory(v);
  using tessera::contract;
  using tessera::nearest;
  using tessera::no_emit;
  using tessera::softmax;
  CHECK_REFUSED("contract: queries: host memory", contract(exec, q, dk, tessera::dot{}, tessera::argmax{}, no_emit{}));
  CHECK_REFUSED("contract: keys: host memory", contract(exec, dq, k, tessera::squared_distance{}, tessera::argmin{}, no_emit{}));
  CHECK_REFUSED("contract: values: host memory", contract(exec, dq, dk, v, tessera::dot{}, softmax{}, out.view()));
  CHECK_REFUSED("contract: out: host memory", contract(exec, dq, dk, dv, tessera::dot{}, softmax{}, out.view()));
  matrix<float> bias({4, 6});
  bias.fill([](std::uint64_t) { return 0; });
  CHECK_REFUSED("contract: score.bias: host memory",
                contract(exec, dq, dk, tessera::scaled_dot_bias<float>{1, bias.view()}, tessera::argmax{}, no_emit{}));
  CHECK_REFUSED("nearest: indices: host memory", nearest(exec, dq, dk, 2, where.view(), distances.view()));
  CHECK_REFUSED("nearest: k: 0", nearest(exec, dq, dk, 0, where.view(), distances.view()));
  CHECK_REFUSED("nearest: distances: host memory", nearest(exec, dq, dk, 2, memory(where.view()), distances.view()));
  CHECK_REFUSED("contract: workspace: ", contract(exec.workspace(const_cast<float*>(dq.data_handle()), 16), dq, dk,
                                                  tessera::squared_distance{}, tessera::argmin{}, no_emit{}));
  BOOST_TEST((out.untouched() && where.untouched() && distances.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
