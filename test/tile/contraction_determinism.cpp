// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The bits of a row: the same for every team, every neighbour and alone. And where scratch comes from.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "oracle.hpp"

namespace {

using oracle::matrix;
using tessera::contract;
using tessera::par;
using tessera::seq;
using tessera::view;

constexpr std::int64_t rows = 331;
constexpr std::int64_t keys_count = 500;
constexpr std::int64_t depth = 21;
constexpr std::int64_t value_dim = 11;

struct data {
  matrix<float> queries{{rows, depth}};
  matrix<float> keys{{keys_count, depth}};
  matrix<float> values{{keys_count, value_dim}};
  explicit data(double offset) {
    queries.fill([=](std::uint64_t n) { return offset + support::normal(1, n); });
    keys.fill([=](std::uint64_t n) { return offset + support::normal(2, n); });
    values.fill([=](std::uint64_t n) { return support::normal(3, n); });
  }
};

/// Results of a block of rows as bytes, one entry a row.
using bytes = std::vector<unsigned char>;
template <class T>
bytes bytes_of(const T& x) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes result(sizeof(T));
  std::memcpy(result.data(), &x, sizeof(T));
  return result;
}

template <class Score, class Reducer>
auto fold(const data& d, const Score& score, const Reducer& reducer) {
  return [&d, score, reducer](const auto& exec, const view<const float, 2>& queries) {
    std::vector<bytes> result(static_cast<std::size_t>(queries.extent(0)));
    contract(exec, queries, d.keys.view(), score, reducer,
             [&](std::int64_t i, const auto& got) { result[static_cast<std::size_t>(i)] = bytes_of(got); });
    return result;
  };
}

template <class Score>
auto mean(const data& d, const Score& score) {
  return [&d, score](const auto& exec, const view<const float, 2>& queries) {
    struct row {
      float mean[value_dim];
      float lse;
    };
    std::vector<row> out(static_cast<std::size_t>(queries.extent(0)));
    const view<float, 2> means(out[0].mean, {queries.extent(0), value_dim}, {value_dim + 1, 1});
    contract(exec, queries, d.keys.view(), d.values.view(), score, tessera::softmax{}, means,
             [&](std::int64_t i, float lse) { out[static_cast<std::size_t>(i)].lse = lse; });
    std::vector<bytes> result;
    for (const row& r : out) result.push_back(bytes_of(r));
    return result;
  };
}

template <class Run>
void check_bits(const data& d, const Run& run) {
  const view<const float, 2> all = d.queries.view();
  const std::vector<bytes> want = run(seq, all);
  BOOST_TEST((run(par, all) == want));
  BOOST_TEST((run(par.threads(1), all) == want));
  BOOST_TEST((run(par.threads(2), all) == want));
  BOOST_TEST((run(par.threads(3), all) == want));
  BOOST_TEST((run(par.threads(17), all) == want));
  BOOST_TEST((run(par.on(support::thread_per_call{}), all) == want));
  BOOST_TEST((run(par.on(support::one_by_one{}), all) == want));

  int wrong = 0;
  const auto part = [&](std::int64_t first, std::int64_t count) {
    const std::vector<bytes> got = run(seq, view<const float, 2>(&d.queries(first, 0), count, depth));
    for (std::size_t i = 0; i < got.size(); ++i) wrong += got[i] != want[static_cast<std::size_t>(first) + i];
  };
  for (std::int64_t i = 0; i < rows; i += 7) part(i, 1);
  for (const std::int64_t count : {2, 15, 16, 17, 31, 33, 47, 48, 49, 96, 100})
    part(support::below(5, static_cast<std::uint64_t>(count), rows - count), count);
  BOOST_TEST(wrong == 0);

  // A row among copies of itself, and among neighbours that are not finite, huge and tiny.
  matrix<float> strange({100, depth});
  for (const std::int64_t i : {0, 200}) {
    strange.fill([&](std::uint64_t n) { return d.queries(i, static_cast<std::int64_t>(n) % depth); });
    for (const bytes& got : run(seq, strange.view())) wrong += got != want[static_cast<std::size_t>(i)];
    for (std::int64_t row = 1; row < 100; ++row) {
      const float marks[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38f, 1e-40f,
                             -1e25f};
      strange(row, row % depth) = marks[row % 5];
    }
    const std::vector<bytes> got = run(seq, strange.view());
    wrong += got[0] != want[static_cast<std::size_t>(i)];
  }
  BOOST_TEST(wrong == 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_contraction_determinism)

BOOST_AUTO_TEST_CASE(bits_of_products) {
  const data d(0);
  check_bits(d, fold(d, tessera::dot{}, tessera::argmax{}));
  check_bits(d, fold(d, tessera::scaled_dot{0.3}, tessera::logsumexp{}));
  check_bits(d, fold(d, tessera::dot{}, tessera::moments{}));
  check_bits(d, mean(d, tessera::scaled_dot{0.3}));
}

BOOST_AUTO_TEST_CASE(bits_of_distances) {
  for (const double offset : {0.0, 300.0}) {
    const data d(offset);
    check_bits(d, fold(d, tessera::squared_distance{}, tessera::argmin{}));
    check_bits(d, fold(d, tessera::squared_distance{}, tessera::top_k<4>{}));
    check_bits(d, mean(d, tessera::gaussian{0.3}));
    check_bits(d, mean(d, tessera::gaussian{0.01}));
  }
}

BOOST_AUTO_TEST_CASE(bits_of_a_lambda_and_a_kernel_sum) {
  const data d(0);
  const auto score = [](auto product, auto i, auto) {
    return product * decltype(product)(0.7f) + select(i > decltype(i)(-1), product, product);
  };
  check_bits(d, fold(d, score, tessera::kernel_sum{[](auto x) { return x * x + x; }}));
}

BOOST_AUTO_TEST_CASE(scratch_is_taken_once_from_the_given_resource) {
  const data d(0);
  matrix<float> out({rows, value_dim});
  support::counting_resource memory;
  contract(par.threads(3).scratch(&memory), d.queries.view(), d.keys.view(), d.values.view(), tessera::gaussian{1},
           tessera::softmax{}, out.view());
  BOOST_TEST(memory.allocations() == 1);
  BOOST_TEST(memory.all_returned());

  matrix<float> untouched({rows, value_dim});
  support::exhausted_resource none;
  BOOST_CHECK_THROW(contract(seq.scratch(&none), d.queries.view(), d.keys.view(), d.values.view(), tessera::dot{},
                             tessera::softmax{}, untouched.view()),
                    std::bad_alloc);
  BOOST_TEST(untouched.untouched());
}

BOOST_AUTO_TEST_CASE(what_emit_throws_reaches_the_caller_and_scratch_is_returned) {
  const data d(0);
  support::counting_resource memory;
  const auto run = [&](const auto& exec) {
    contract(exec, d.queries.view(), d.keys.view(), tessera::dot{}, tessera::argmax{}, [](std::int64_t i, const auto&) {
      if (i == 200) throw std::runtime_error("row 200");
    });
  };
  BOOST_CHECK_THROW(run(seq.scratch(&memory)), std::runtime_error);
  BOOST_CHECK_THROW(run(par.threads(2).scratch(&memory)), std::runtime_error);
  BOOST_CHECK_THROW(run(par.on(support::thread_per_call{}).scratch(&memory)), std::runtime_error);
  BOOST_TEST(memory.all_returned());
}

BOOST_AUTO_TEST_SUITE_END()
