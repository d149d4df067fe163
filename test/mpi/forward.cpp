// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Attention over the ranks that run this program against one call on each of them: the same bits. What is sent when, and what is refused.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "../attention/rotary_tables.hpp"
#include "tessera/mpi/attention.hpp"
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

/// Pieces that this rank has asked for, and their number at each piece of work.
int pieces_asked = 0;
std::vector<int> asked_at_work;

/// seq, noting what was under way.
struct watched {
  using arch = tessera::basic_seq<>::arch;
  [[nodiscard]] int workers() const { return seq.workers(); }
  [[nodiscard]] auto memory() const { return seq.memory(); }
  template <class F>
  void for_each(std::int64_t items, const F& f) const {
    asked_at_work.push_back(pieces_asked);
    seq.for_each(items, f);
  }
};

/// Whether the rank's rows of out and lse are those of one call.
template <class O, class Exec, class Q, class K, class V, class Options>
bool same_bits(const Exec& exec, const oracle::inputs<Q, K, V>& in, const Options& options) {
  using T = std::common_type_t<tessera::compute_t<Q>, tessera::compute_t<K>, tessera::compute_t<V>>;
  const int rank = world().rank();
  const mpi::shards plan(mpi::zigzag(in.q.view().extent(2), world().size()), mpi::zigzag(in.k.view().extent(2), world().size()));
  array<O, 4> out(in.out_extents());
  array<T, 3> lse(in.lse_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), options);
  const array<O, 4> want = whole::shard(out, plan.queries, rank);
  const array<T, 3> want_lse = whole::shard(lse, plan.queries, rank);
  const array<Q, 4> q = whole::shard(in.q, plan.queries, rank);
  const array<K, 4> k = whole::shard(in.k, plan.keys, rank);
  const array<V, 4> v = whole::shard(in.v, plan.keys, rank);
  array<O, 4> got({want.view().extent(0), want.view().extent(1), want.view().extent(2), want.view().extent(3)}, {1, false});
  array<T, 3> got_lse({want.view().extent(0), want.view().extent(1), want.view().extent(2)});
  mpi::attention_forward(exec, world(), plan, q.view(), k.view(), v.view(), got.view(), got_lse.view(), options);
  return got.same_elements(want) && got_lse.same_elements(want_lse) && got.gaps_untouched() && q.untouched() && k.untouched() &&
         v.untouched();
}

}  // namespace

/// What MPI offers to those who look on: every call may be one's own, which calls MPI's by its other name.
extern "C" int MPI_Irecv(void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request* request) {
  ++pieces_asked;
  return PMPI_Irecv(data, count, type, from, tag, comm, request);
}

BOOST_AUTO_TEST_SUITE(mpi_attention_forward)

BOOST_AUTO_TEST_CASE(bands_have_the_bits_of_one_call) {
  const oracle::inputs<float> in = whole::data<float>({2, 4, 2, 2000, 2000, 8, 5});
  const std::vector<float> sinks{0.5f, 40, -1, 0};
  for (const attention::band& mask : {attention::causal, attention::everything, attention::sliding_window(300, 0),
                                      attention::causal_with_prefix(500), attention::sliding_window(-700, 1000)}) {
    BOOST_TEST(same_bits<float>(seq, in, attention::options<>{.mask = mask, .sinks = view<const float, 1>(sinks.data(), 4)}));
  }
  BOOST_TEST(same_bits<float>(par.threads(2), in, attention::options<>{.mask = attention::causal}));
  BOOST_TEST(same_bits<float>(seq, in, attention::options<>{.mask = attention::causal, .dropout = {.rate = 0.4, .seed = 3}}));
  const rotary_test::tables of(2000, 8);
  BOOST_TEST(
      same_bits<float>(seq, in, attention::options<>{.mask = attention::causal, .rotary = of.with(rotary_test::layouts[0])}));
  // Positions of the whole, which no rank has all of.
  const rotary_test::tables shorter(1999, 8);
  const mpi::zigzag plan(2000, world().size());
  const array<float, 4> q = whole::shard(in.q, plan, world().rank());
  const array<float, 4> k = whole::shard(in.k, plan, world().rank());
  const array<float, 4> v = whole::shard(in.v, plan, world().rank());
  array<float, 4> out({2, 4, q.view().extent(2), 5});
  CHECK_REFUSED("mpi::attention_forward: options.rotary.first_key: ",
                mpi::attention_forward(seq, world(), mpi::shards(plan, plan), q.view(), k.view(), v.view(), out.view(),
                                       attention::options<>{.rotary = shorter.with(rotary_test::layouts[0])}));
  BOOST_TEST(out.untouched());
}

BOOST_AUTO_TEST_CASE(short_and_unequal_lengths_have_the_bits_of_one_call) {
  for (const sizes& n : {sizes{1, 1, 1, 0, 0, 4, 3}, sizes{1, 1, 1, 1, 1, 4, 3}, sizes{1, 2, 1, 193, 193, 4, 3},
                         sizes{1, 1, 1, 1000, 500, 4, 3}, sizes{1, 2, 2, 150, 1700, 3, 0}, sizes{0, 2, 1, 400, 400, 3, 4},
                         sizes{1, 1, 1, 700, 0, 3, 2}, sizes{1, 1, 1, 0, 700, 3, 2}}) {
    const oracle::inputs<float> in = whole::data<float>(n);
    BOOST_TEST(same_bits<float>(seq, in, attention::options<>{.mask = attention::causal}));
    BOOST_TEST(same_bits<float>(seq, in, attention::options<>{}));
  }
}

BOOST_AUTO_TEST_CASE(functions_and_narrow_types_have_the_bits_of_one_call) {
  const auto in = whole::data<tessera::bfloat16, tessera::bfloat16, tessera::float16>({1, 2, 1, 1700, 1700, 6, 5});
  const attention::options options{
      .mask = attention::causal &
              attention::visible_if{[](auto, auto h, std::int64_t i, std::int64_t j) { return (i + j + h) % 3 != 0; }},
      .score = attention::score_by{
          [](auto s, auto, auto, std::int64_t i, std::int64_t j) { return s + static_cast<decltype(s)>(i - j) / 512; }}};
  BOOST_TEST(same_bits<tessera::bfloat16>(seq, in, options));
}

// While a rank works with a piece it has asked for the next one; for pieces that none of its queries sees it never asks.
BOOST_AUTO_TEST_CASE(the_next_piece_is_under_way_while_one_is_worked_with) {
  const oracle::inputs<float> in = whole::data<float>({1, 1, 1, 192 * 8, 192 * 8, 4, 3});
  const mpi::zigzag plan(192 * 8, world().size());
  const int rank = world().rank();
  const int late = plan.piece_of(rank, 1);
  std::vector<int> least;  // what must have been asked for at each work: packing and folding, for each piece of queries
  int remote = 0;
  const auto is_remote = [&](int t) { return plan.owner(t) != rank; };
  int remote_in_all = 0;
  for (int t = 0; t <= late; ++t) remote_in_all += is_remote(t);
  for (int t = 0; t <= late; ++t) {
    remote += is_remote(t);
    const int works = t <= rank ? 4 : 2;
    for (int w = 0; w < works; ++w) least.push_back(std::min(remote + 1, remote_in_all));
  }
  pieces_asked = 0;
  asked_at_work.clear();
  BOOST_TEST(same_bits<float>(watched{}, in, attention::options<>{.mask = attention::causal}));
  BOOST_TEST(pieces_asked == remote_in_all);
  BOOST_REQUIRE(asked_at_work.size() == least.size());
  for (std::size_t w = 0; w < least.size(); ++w) BOOST_TEST(asked_at_work[w] >= least[w]);
}

BOOST_AUTO_TEST_CASE(what_one_rank_refuses_all_refuse_before_out_is_touched) {
  const oracle::inputs<float> in = whole::data<float>({1, 2, 1, 900, 900, 4, 3});
  const mpi::zigzag plan(900, world().size());
  const int rank = world().rank();
  const int last = world().size() - 1;
  const array<float, 4> q = whole::shard(in.q, plan, rank);
  const array<float, 4> k = whole::shard(in.k, plan, rank);
  const array<float, 4> v = whole::shard(in.v, plan, rank);
  array<float, 4> out({1, 2, plan.rows(rank), 3});
  const auto text = [&](const mpi::shards& shards, const view<const float, 4>& keys, const view<const float, 4>& values,
                        const attention::options<>& options) {
    return support::refusal([&] { mpi::attention_forward(seq, world(), shards, q.view(), keys, values, out.view(), options); });
  };
  const auto begins = [](const std::string& x, const std::string& with) {
    BOOST_TEST_INFO(x);
    BOOST_TEST(x.substr(0, with.size()) == with);
  };
  const view<const float, 4> short_k(k.view().data_handle(), {1, 1, plan.rows(rank) - 1, 4}, {0, 0, k.view().stride(2), 1});
  const view<const float, 4> short_v(v.view().data_handle(), {1, 1, plan.rows(rank) - 1, 3}, {0, 0, v.view().stride(2), 1});
  const std::string refused = text(plan, rank == last ? short_k : k.view(), rank == last ? short_v : v.view(), {});
  begins(refused, "mpi::attention_forward: k: ");
  BOOST_TEST((refused.find("(on rank " + std::to_string(last) + ")") != std::string::npos) == (rank != last));
  begins(text(plan, k.view(), rank == last ? short_v : v.view(), {}), "mpi::attention_forward: v: ");
  begins(text(plan, k.view(), v.view(), {.mask = {.prefix = rank == 0 ? -1 : 0}}), "mpi::attention_forward: options.mask: ");
  begins(text(mpi::zigzag(900, world().size() + 1), k.view(), v.view(), {}), "mpi::attention_forward: plan: ");
  if (world().size() > 1) {
    // The ranks do not agree about the sequence: nothing of it shows on any one of them.
    const view<const float, 4> other_v(v.view().data_handle(), {1, 1, plan.rows(rank), rank == last ? 2 : 3},
                                       {0, 0, v.view().stride(2), 1});
    const std::int64_t dim = other_v.extent(3);
    array<float, 4> narrow({1, 2, plan.rows(rank), dim});
    begins(support::refusal([&] {
             mpi::attention_forward(seq, world(), plan, q.view(), k.view(), other_v, narrow.view(), attention::options<>{});
           }),
           "mpi::attention_forward: value_dim: 2 on rank " + std::to_string(last) + ", 3 on rank 0; ");
    BOOST_TEST(narrow.untouched());
  }
  BOOST_TEST(out.untouched());
}

BOOST_AUTO_TEST_CASE(failures_of_mpi_are_errors_with_its_text) {
  std::string text;
  int code = 0;
  try {
    mpi::detail::check("f", "MPI_Send", MPI_Send(nullptr, 0, MPI_BYTE, world().size(), 0, world().handle()));
  } catch (const mpi::error& e) {
    text = e.what();
    code = e.code();
  }
  BOOST_TEST_INFO(text);
  BOOST_TEST(text.substr(0, 13) == "f: MPI_Send: ");
  BOOST_TEST(text.size() > 13);
  int kind = 0;
  MPI_Error_class(code, &kind);
  BOOST_TEST(kind == MPI_ERR_RANK);
}

BOOST_AUTO_TEST_SUITE_END()
