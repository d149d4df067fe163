// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// The gradients of a sharded sequence: within the bound of attention::backward, and the same bits again and again.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "../attention/backward_oracle.hpp"
#include "../attention/rotary_tables.hpp"
#include "tessera/mpi/attention_backward.hpp"
#include "whole.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::seq;
using tessera::view;
using whole::sizes;
using whole::world;
namespace attention = tessera::attention;
namespace mpi = tessera::mpi;
using call = oracle::backward_call<float>;

/// Puts a rank's rows where they belong in the whole, and everybody else's, too.
void gather(array<float, 4>& to, const array<float, 4>& mine, const mpi::zigzag& plan) {
  const view<const float, 4> from = mine.view();
  array<float, 4> sparse = to;
  sparse.fill([](std::uint64_t) { return 0; });
  for (std::int64_t b = 0; b < from.extent(0); ++b) {
    for (std::int64_t h = 0; h < from.extent(1); ++h) {
      for (std::int64_t i = 0; i < from.extent(2); ++i) {
        for (std::int64_t c = 0; c < from.extent(3); ++c) sparse(b, h, plan.row(world().rank(), i), c) = from(b, h, i, c);
      }
    }
  }
  std::vector<float> elements = sparse.elements();
  MPI_Allreduce(MPI_IN_PLACE, elements.data(), static_cast<int>(elements.size()), MPI_FLOAT, MPI_SUM, world().handle());
  to.fill([&](std::uint64_t n) { return elements[n]; });
}

array<float, 4> like(const array<float, 4>& x) {
  const view<const float, 4> v = x.view();
  return array<float, 4>({v.extent(0), v.extent(1), v.extent(2), v.extent(3)}, {1, true});
}

/// The whole call, its gradients computed by all ranks together.
template <class Exec, class Options>
void differentiate(const Exec& exec, call& x, const Options& options) {
  const int rank = world().rank();
  const mpi::shards plan(mpi::zigzag(x.in.q.view().extent(2), world().size()),
                         mpi::zigzag(x.in.k.view().extent(2), world().size()));
  const array<float, 4> q = whole::shard(x.in.q, plan.queries, rank);
  const array<float, 4> k = whole::shard(x.in.k, plan.keys, rank);
  const array<float, 4> v = whole::shard(x.in.v, plan.keys, rank);
  const array<float, 4> dout = whole::shard(x.dout, plan.queries, rank);
  array<float, 4> out = like(dout);
  array<float, 3> lse({q.view().extent(0), q.view().extent(1), q.view().extent(2)});
  mpi::attention_forward(exec, world(), plan, q.view(), k.view(), v.view(), out.view(), lse.view(), options);
  array<float, 4> dq = like(q);
  array<float, 4> dk = like(k);
  array<float, 4> dv = like(v);
  const array<float, 4>& result = out;
  const array<float, 3>& known = lse;
  mpi::attention_backward(exec, world(), plan, q.view(), k.view(), v.view(), result.view(), known.view(), dout.view(), dq.view(),
                          dk.view(), dv.view(), options);
  BOOST_TEST((dq.gaps_untouched() && dk.gaps_untouched() && dv.gaps_untouched() && q.untouched() && k.untouched()));
  gather(x.out, out, plan.queries);
  gather(x.dq, dq, plan.queries);
  gather(x.dk, dk, plan.keys);
  gather(x.dv, dv, plan.keys);
}

call data(const sizes& n) {
  call x(whole::data<float>(n));
  x.dout.fill([](std::uint64_t e) { return support::normal(4, e); });
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mpi_attention_backward)

BOOST_AUTO_TEST_CASE(gradients_are_within_the_bound_and_the_same_in_every_run) {
  oracle::gradient_errors errors;
  const std::vector<float> sinks{0.5f, 3};
  const rotary_test::tables of(1600, 2);
  const attention::options<> options[] = {{.mask = attention::causal},
                                          {.sinks = view<const float, 1>(sinks.data(), 2)},
                                          {.mask = attention::sliding_window(-400, 700)},
                                          {.mask = attention::causal, .dropout = {.rate = 0.4, .seed = 3}},
                                          {.mask = attention::causal, .rotary = of.with(rotary_test::layouts[1])}};
  for (const sizes& n : {sizes{1, 2, 1, 1600, 1600, 5, 4}, sizes{2, 2, 2, 193, 500, 3, 6}}) {
    for (const auto& o : options) {
      call x = data(n);
      differentiate(seq, x, o);
      oracle::compare(errors, x, o);
      call again = data(n);
      differentiate(par.threads(2), again, o);
      BOOST_TEST(again.same_gradients(x));
    }
  }
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(scores_are_differentiated_where_they_stand_in_the_whole) {
  oracle::gradient_errors errors;
  const std::vector<float> slopes{0.5f, 0.01f};
  const attention::options options{.mask = attention::causal,
                                   .score = attention::alibi{view<const float, 1>(slopes.data(), 2)} >> attention::softcap{3}};
  call x = data({1, 2, 1, 900, 900, 5, 4});
  differentiate(seq, x, options);
  oracle::compare(errors, x, options);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(keys_that_nobody_sees_get_zero_and_empty_shards_nothing) {
  oracle::gradient_errors errors;
  const attention::options<> diagonal{.mask = {.left = 0, .right = 0, .alignment = attention::alignment::top_left}};
  call x = data({1, 1, 1, 300, 1000, 3, 2});
  differentiate(seq, x, diagonal);
  oracle::compare(errors, x, diagonal);
  int wrong = 0;
  for (std::int64_t j = 0; j < 1000; ++j) wrong += (x.dv(0, 0, j, 1) == 0) != (j >= 300) || x.dk(0, 0, j, 1) != 0;
  BOOST_TEST(wrong == 0);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
  for (const sizes& n : {sizes{1, 1, 1, 0, 700, 3, 2}, sizes{1, 1, 1, 700, 0, 3, 2}, sizes{0, 1, 1, 700, 700, 3, 2}}) {
    call empty = data(n);
    differentiate(seq, empty, attention::options<>{});
    for (const float g : empty.dq.elements()) BOOST_TEST(g == 0);
    for (const float g : empty.dv.elements()) BOOST_TEST(g == 0);
  }
}

BOOST_AUTO_TEST_CASE(what_one_rank_refuses_all_refuse) {
  const mpi::zigzag plan(1600, world().size());  // every one of 4 ranks has rows
  const std::int64_t rows = plan.rows(world().rank());
  const int last = world().size() - 1;
  array<float, 4> x({1, 1, rows, 2});
  array<float, 4> dq({1, 1, rows, 2});
  array<float, 4> dk({1, 1, rows, 2});
  array<float, 4> dv({1, 1, rows, 2});
  array<float, 3> lse({1, 1, rows});
  x.fill([](std::uint64_t) { return 1; });
  lse.fill([](std::uint64_t) { return 1; });
  const auto text = [&](const view<float, 4>& to, const attention::options<>& options) {
    return support::refusal([&] {
      mpi::attention_backward(seq, world(), plan, x.view(), x.view(), x.view(), x.view(), lse.view(), x.view(), to, dk.view(),
                              dv.view(), options);
    });
  };
  const std::string overlapping = text(world().rank() == last ? dk.view() : dq.view(), {});
  BOOST_TEST_INFO(overlapping);
  BOOST_TEST(overlapping.find("mpi::attention_backward: ") == 0U);
  const std::string scale = text(dq.view(), {.scale = world().rank() == 0 ? 1e39 : 1});
  BOOST_TEST_INFO(scale);
  BOOST_TEST(scale.find("mpi::attention_backward: options.scale: ") == 0U);
  BOOST_TEST((dq.untouched() && dk.untouched() && dv.untouched()));
}

BOOST_AUTO_TEST_SUITE_END()
