// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Latent attention (MLA): values are the first columns of the keys, and all query heads share the one key head.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "oracle.hpp"
#include "sequence_set.hpp"
#include "tessera/numeric/bfloat16.hpp"

namespace {

using support::array;
using tessera::par;
using tessera::view;
namespace attention = tessera::attention;

constexpr std::int64_t latent = 512;
constexpr std::int64_t depth = 576;

template <class K>
struct call {
  oracle::inputs<float, K> in;  // values copied apart
  view<const K, 4> columns;     // the same, where they are

  call(std::int64_t batch, std::int64_t heads, std::int64_t len_q, std::int64_t len_k, std::uint64_t seed)
      : in(batch, heads, 1, len_q, len_k, depth, latent) {
    in.q.fill([=](std::uint64_t n) { return support::normal(seed, n); });
    in.k.fill([=](std::uint64_t n) { return support::normal(seed + 1, n); });
    in.v.fill([&](std::uint64_t n) {
      const auto column = static_cast<std::int64_t>(n) % latent;
      const std::int64_t row = static_cast<std::int64_t>(n) / latent;
      return static_cast<double>(in.k(row / len_k, 0, row % len_k, column));
    });
    const auto k = std::as_const(in.k).view();
    columns = view<const K, 4>(k.data_handle(), {batch, 1, len_k, latent}, {k.stride(0), k.stride(1), k.stride(2), 1});
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_latent)

BOOST_AUTO_TEST_CASE(bits_are_those_of_values_apart) {
  const attention::options<> options{.scale = 1 / 13.856,
                                     .mask = attention::causal};  // of the dimensions before they were absorbed
  std::uint64_t seed = 1;
  for (const std::int64_t heads : {16, 128}) {
    for (const std::int64_t len_q : {1, 2, 130}) {
      if (heads == 128 && len_q > 2) continue;  // the same path as 16 heads
      const call<tessera::bfloat16> x(2, heads, len_q, 400, seed++);
      array<float, 4> want(x.in.out_extents());
      array<float, 3> want_lse(x.in.lse_extents());
      attention::forward(par.threads(2), x.in.q.view(), x.in.k.view(), x.in.v.view(), want.view(), want_lse.view(), options);
      array<float, 4> out(x.in.out_extents());
      array<float, 3> lse(x.in.lse_extents());
      attention::forward(par.threads(2), x.in.q.view(), x.in.k.view(), x.columns, out.view(), lse.view(), options);
      BOOST_TEST_INFO("heads " << heads << " len_q " << len_q);
      BOOST_TEST((out.same_elements(want) && lse.same_elements(want_lse)));
      // The same in pages of 32.
      const std::vector<int> table{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25};
      const std::vector<int> lengths{400, 400};
      array<tessera::bfloat16, 4> pages({26, 1, 32, depth});
      for (std::int64_t b = 0; b < 2; ++b) {
        for (std::int64_t j = 0; j < 400; ++j) {
          const std::int64_t page = table[static_cast<std::size_t>(b * 13 + j / 32)];
          for (std::int64_t c = 0; c < depth; ++c) pages(page, 0, j % 32, c) = x.in.k(b, 0, j, c);
        }
      }
      const auto keys = pages.view();
      const attention::paged cache{
          keys, view<tessera::bfloat16, 4>(keys.data_handle(), {26, 1, 32, latent}, {32 * depth, 32 * depth, depth, 1}),
          view<const int, 2>(table.data(), 2, 13), view<const int, 1>(lengths.data(), 2)};
      array<float, 4> paged_out(x.in.out_extents());
      attention::forward(par.threads(2), x.in.q.view(), cache, paged_out.view(), options);
      BOOST_TEST(paged_out.same_elements(want));
    }
  }
}

BOOST_AUTO_TEST_CASE(results_are_within_the_bound) {
  support::worst out_errors;
  support::worst lse_errors;
  const attention::options<> options{.scale = 1 / 13.856, .mask = attention::causal};
  for (const auto& [heads, len_q] : {std::pair<std::int64_t, std::int64_t>{16, 1}, {128, 1}, {16, 130}}) {
    const call<tessera::bfloat16> x(1, heads, len_q, 200, 7);
    array<float, 4> out(x.in.out_extents());
    array<float, 3> lse(x.in.lse_extents());
    attention::forward(par.threads(2), x.in.q.view(), x.in.k.view(), x.columns, out.view(), lse.view(), options);
    oracle::compare(out_errors, lse_errors, x.in, out, lse, options);
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
}

BOOST_AUTO_TEST_SUITE_END()
