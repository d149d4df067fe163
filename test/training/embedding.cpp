// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/training/embedding.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

#include "../support/array.hpp"
#include "../support/error.hpp"
#include "../support/memory.hpp"
#include "../support/pools.hpp"
#include "../support/random.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/reference/layers.hpp"

namespace {

using support::array;
using support::matrix;
using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
using tessera::training::embedding;
using tessera::training::embedding_backward;
using tessera::training::embedding_options;

/// Every other id is 2, so that its sum is long; ids from `rows` / 2 on do not occur.
template <class Id>
array<Id, 1> some_ids(std::int64_t n, std::int64_t rows) {
  array<Id, 1> ids({n});
  ids.fill([=](std::uint64_t i) { return static_cast<Id>(i % 2 == 0 && rows > 2 ? 2 : support::below(5, i, (rows + 1) / 2)); });
  return ids;
}

template <class S, class O, class Id>
void check(support::worst& errors, std::int64_t rows, std::int64_t d, std::int64_t n, std::optional<std::int64_t> ignored) {
  using T = std::common_type_t<tessera::compute_t<S>, tessera::compute_t<O>>;
  using Real = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  matrix<S> table({rows, d}, {1});
  matrix<O> out({n, d}, {2});
  matrix<O> grad_out({n, d}, {1});
  matrix<S> grad_table({rows, d}, {3});
  table.fill(support::normals(1));
  grad_out.fill([](std::uint64_t k) { return support::spread(2, k, -3, 3); });
  const auto ids = some_ids<Id>(n, rows);
  const embedding_options options{.ignore_id = ignored};
  embedding(seq, table.view(), ids.view(), out.view(), options);
  const auto want = tessera::reference::embedding<Real>(table.view(), ids.view(), grad_out.view(), ignored);
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t k = 0; k < d; ++k) {
      errors(static_cast<double>(out(i, k)), want.out[at(i)][at(k)], support::rounding<O>(want.out[at(i)][at(k)]), "out", i, k);
    }
  }
  for (const bool add : {false, true}) {
    if (add) grad_table.fill(support::normals(3));
    const auto before = grad_table;
    embedding_backward(seq, ids.view(), grad_out.view(), grad_table.view(), options, {.add_to_parameters = add});
    BOOST_TEST((out.gaps_untouched() && grad_table.gaps_untouched() && table.untouched() && grad_out.untouched()));
    matrix<double> sizes({rows, d});
    sizes.fill([](std::uint64_t) { return 0; });
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t k = 0; k < d; ++k)
        sizes(static_cast<std::int64_t>(ids(i)), k) += std::fabs(static_cast<double>(grad_out(i, k)));
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t k = 0; k < d; ++k) {
        const Real wanted =
            want.grad_table[at(r)][at(k)] + (add ? static_cast<Real>(static_cast<double>(before(r, k))) : Real(0));
        const double bound = 66 * tessera::unit_roundoff<T> * sizes(r, k);
        errors(static_cast<double>(grad_table(r, k)), wanted, bound + (wanted == 0 ? 0 : 1.01 * support::rounding<S>(wanted)),
               "gradient", r, k);
      }
    }
  }
}

template <class S, class O, class Id>
void check_shapes() {
  support::worst errors;
  check<S, O, Id>(errors, 1, 1, 3, {});
  check<S, O, Id>(errors, 9, 5, 40, 2);
  check<S, O, Id>(errors, 70, 130, 1000, {});
  check<S, O, Id>(errors, 6, 0, 4, {});
  check<S, O, Id>(errors, 3, 300, 0, {});
  CHECK_WITHIN_BOUND(errors);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(training_embedding)

BOOST_AUTO_TEST_CASE(float32_is_within_its_bound) { check_shapes<float, float, std::int64_t>(); }
BOOST_AUTO_TEST_CASE(float64_is_within_its_bound) { check_shapes<double, double, std::int32_t>(); }
BOOST_AUTO_TEST_CASE(narrow_storage_is_within_its_bound) { check_shapes<bfloat16, float16, std::uint8_t>(); }

BOOST_AUTO_TEST_CASE(ignored_ids_give_zeros_and_are_not_read) {
  matrix<float> table({3, 4});
  table.fill(support::normals(1));
  array<std::int64_t, 1> ids({3});
  ids.fill([](std::uint64_t i) { return i == 1 ? -100 : 2; });
  matrix<float> out({3, 4});
  embedding(seq, table.view(), ids.view(), out.view(), {.ignore_id = -100});
  for (std::int64_t k = 0; k < 4; ++k) BOOST_TEST((out(1, k) == 0 && out(0, k) == table(2, k) && out(2, k) == table(2, k)));
  for (std::int64_t k = 0; k < 4; ++k) out(1, k) = std::numeric_limits<float>::quiet_NaN();
  embedding_backward(seq, ids.view(), out.view(), table.view(), {.ignore_id = -100});
  for (std::int64_t k = 0; k < 4; ++k) BOOST_TEST((table(0, k) == 0 && table(1, k) == 0 && table(2, k) == 2 * out(0, k)));
}

BOOST_AUTO_TEST_CASE(same_bits_for_every_team) {
  constexpr std::int64_t n = 5000;
  constexpr std::int64_t rows = 500;
  constexpr std::int64_t d = 400;
  const auto ids = some_ids<std::int32_t>(n, rows);
  matrix<float> grad_out({n, d});
  grad_out.fill(support::normals(1));
  matrix<float> grad({rows, d});
  matrix<float> out({n, d});
  support::counting_resource memory;
  embedding_backward(par.threads(1).scratch(&memory), ids.view(), grad_out.view(), grad.view());
  BOOST_TEST((memory.allocations() == 1 && memory.all_returned()));
  const auto once = grad;
  embedding_backward(par.threads(3), ids.view(), grad_out.view(), grad.view());
  BOOST_TEST(grad.same_elements(once));
  embedding_backward(par.on(support::one_by_one{}), ids.view(), grad_out.view(), grad.view());
  BOOST_TEST(grad.same_elements(once));
  embedding(par.threads(3), grad.view(), ids.view(), out.view());
  for (std::int64_t i = 0; i < n; i += 7) BOOST_TEST(out(i, d - 1) == grad(ids(i), d - 1));
}

BOOST_AUTO_TEST_CASE(misuse_is_refused_and_nothing_written) {
  matrix<float> table({5, 3});
  matrix<float> out({4, 3});
  array<std::int64_t, 1> ids({4});
  table.fill(support::normals(1));
  out.fill(support::normals(2));
  ids.fill([](std::uint64_t i) { return i; });
  const view<float, 2> t = table.view();
  const view<float, 2> o = out.view();
  const view<std::int64_t, 1> i = ids.view();
#define REFUSED(argument, ...) CHECK_REFUSED("training::embedding: " argument ": ", embedding(seq, __VA_ARGS__))
  REFUSED("table", view<float, 2>(nullptr, 5, 3), i, o);
  REFUSED("table", view<float, 2>(t.data_handle(), {5, 3}, {1, 5}), i, o);
  REFUSED("ids", t, view<std::int64_t, 1>(nullptr, 4), o);
  REFUSED("out", t, i, view<float, 2>(o.data_handle(), 4, 2));
  REFUSED("out", t, i, view<float, 2>(o.data_handle(), 3, 3));
  REFUSED("out", t, i, view<float, 2>(nullptr, 4, 3));
  REFUSED("out", t, i, view<float, 2>(t.data_handle(), 4, 3));
#undef REFUSED
  CHECK_REFUSED("training::embedding_backward: grad_out: ", embedding_backward(seq, i, view<float, 2>(o.data_handle(), 3, 3), t));
  CHECK_REFUSED("training::embedding_backward: grad_table: ", embedding_backward(seq, i, o, view<float, 2>(nullptr, 5, 3)));
  CHECK_REFUSED("training::embedding_backward: grad_table: ",
                embedding_backward(seq, i, o, view<float, 2>(o.data_handle(), 4, 3)));
  for (const std::int64_t wrong : {-1, 5}) {
    ids(2) = wrong;
    CHECK_REFUSED("training::embedding_backward: ids: ", embedding_backward(seq, i, o, t));
    CHECK_REFUSED("training::embedding: ids: ", embedding(seq, t, i, o, {.ignore_id = 4}));
  }
  BOOST_TEST(support::refusal([&] { embedding(seq, t, i, o); }) ==
             "training::embedding: ids: 5 at 2 for a table of 5 rows; needs numbers of rows, or options.ignore_id");
  BOOST_TEST((table.untouched() && out.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
