// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Dropout: the mask is the one that its address promises, in every pass and on every path.
#include "tessera/attention/dropout.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "backward_oracle.hpp"
#include "tessera/attention/accumulate.hpp"
#include "tessera/attention/jvp.hpp"
#include "tessera/attention/ragged.hpp"
#include "tessera/random/fill.hpp"
#include "two_paths.hpp"

namespace {

using oracle::backward_call;
using oracle::inputs;
using support::array;
using tessera::par;
using tessera::view;
using two_paths::differences;
using two_paths::fill;
namespace attention = tessera::attention;
const auto seq = par.threads(1);  // one type of executor for all calls: each is half the compiler's work

constexpr attention::dropout third{.rate = 1.0 / 3, .seed = 0x1234567890ABCDEF, .stream = 0xFEDCBA0987654321};

attention::options<> with(const attention::dropout& dropout, const attention::band& mask = attention::everything) {
  attention::options<> options{.mask = mask};
  options.dropout = dropout;
  return options;
}

struct shape {
  std::int64_t batch, heads, kv_heads, len_q, len_k, head_dim, value_dim;
};
constexpr shape shapes[] = {{1, 1, 1, 1, 1, 1, 1},     {2, 2, 1, 3, 2, 2, 5},      {2, 2, 2, 16, 97, 17, 31},
                            {1, 8, 2, 7, 193, 16, 9},  {1, 4, 2, 130, 193, 33, 3}, {1, 1, 1, 201, 391, 9, 10},
                            {2, 1, 1, 129, 31, 8, 40}, {1, 2, 1, 131, 600, 16, 8}};

template <class T>
inputs<T> make(const shape& x, std::uint64_t seed) {
  inputs<T> in(x.batch, x.heads, x.kv_heads, x.len_q, x.len_k, x.head_dim, x.value_dim,
               {static_cast<std::int64_t>(seed % 3), false});
  in.q.fill([=](std::uint64_t n) { return support::normal(seed, n); });
  in.k.fill([=](std::uint64_t n) { return support::normal(seed + 1, n); });
  in.v.fill([=](std::uint64_t n) { return support::normal(seed + 2, n); });
  return in;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_dropout)

// The address is a contract: these words are Random123's, and this hash must never change.
BOOST_AUTO_TEST_CASE(mask_is_the_one_that_is_promised) {
  std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a over the bits in the order of the pairs
  std::int64_t kept = 0;
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t h = 0; h < 3; ++h) {
      for (std::int64_t i = 0; i < 17; ++i) {
        for (std::int64_t j = 0; j < 101; ++j) {
          const bool keeps = third.keeps(b, h, i, j, 3, 17);
          const auto row = static_cast<std::uint64_t>((b * 3 + h) * 17 + i);
          const tessera::random::philox_block block =
              tessera::random::philox(third.seed, third.stream, row << 30 | static_cast<std::uint64_t>(j / 4));
          BOOST_REQUIRE(keeps == (block[static_cast<int>(j % 4)] >= 0x55555555u));
          hash = (hash ^ (keeps ? 1U : 0U)) * 0x100000001B3u;
          kept += keeps ? 1 : 0;
        }
      }
    }
  }
  BOOST_TEST(hash == 10080499032664792829u);
  BOOST_TEST(kept == 6788);
}

BOOST_AUTO_TEST_CASE(threshold_is_rounded_once) {
  const auto threshold = [](double rate) { return attention::dropout{.rate = rate}.threshold(); };
  BOOST_TEST(threshold(0) == 0u);
  BOOST_TEST(threshold(0x1p-34) == 0u);
  BOOST_TEST(threshold(0x1.fffffffffffffp-34) == 0u);  // 0.49999999999999994 2^-32: a sum with 1/2 would round up
  BOOST_TEST(threshold(0x1p-33) == 1u);
  BOOST_TEST(threshold(0.5) == 0x80000000u);
  BOOST_TEST(threshold(0x1.fffffffffffffp-1) == 0xFFFFFFFFu);
  BOOST_TEST(attention::dropout{.rate = 0.75}.factor() == 4.0);
  BOOST_TEST(attention::dropout{.rate = 0x1.fffffffffffffp-1}.kept_share() == 0x1p-32);
  BOOST_TEST(!attention::dropout{.rate = 0x1p-34}.active());
}

// What is kept, pair by pair, as the kernels see it: weights all equal, values one-hot.
BOOST_AUTO_TEST_CASE(kernels_drop_the_pairs_of_the_mask) {
  for (const std::int64_t len_q : {std::int64_t{9}, std::int64_t{133}}) {
    constexpr std::int64_t len_k = 203;
    inputs<float> in(2, 2, 1, len_q, len_k, 1, len_k);
    in.q.fill([](std::uint64_t) { return 0; });
    in.k.fill([](std::uint64_t) { return 0; });
    in.v.fill([](std::uint64_t n) { return n / len_k % len_k == n % len_k ? 1 : 0; });
    array<float, 4> out(in.out_extents());
    attention::forward(par.threads(3), in.q.view(), in.k.view(), in.v.view(), out.view(), with(third));
    int wrong = 0;
    for (std::int64_t b = 0; b < 2; ++b) {
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t i = 0; i < len_q; ++i) {
          for (std::int64_t j = 0; j < len_k; ++j) wrong += (out(b, h, i, j) > 0) != third.keeps(b, h, i, j, 2, len_q);
        }
      }
    }
    BOOST_TEST(wrong == 0);
  }
}

// The masks of tiles alone: parts begin anywhere, and rows of a block may be any.
BOOST_AUTO_TEST_CASE(tiles_have_the_mask_wherever_they_begin) {
  const auto check = [](auto pack) {
    using P = decltype(pack);
    using T = typename P::value_type;
    int wrong = 0;
    for (const std::int64_t first_key : {std::int64_t{0}, std::int64_t{1}, std::int64_t{6}, std::int64_t{0xFFFFFF00}}) {
      for (const std::int64_t key : {0, 3, 192}) {
        const attention::detail::dropped_pairs dropped{third.seed, third.stream, third.threshold(), 0xFFFFF000,
                                                       static_cast<std::uint64_t>(first_key)};
        const auto keeps = [&](std::uint64_t row, int j) {
          return third.keeps(0, 0, static_cast<std::int64_t>(row), first_key + key + j, 1, 1);
        };
        constexpr int count = 45;
        alignas(P::alignment) T tile[count * 2 * P::lanes];
        std::fill_n(tile, std::size(tile), T(5));
        dropped.strike<P>(tile, 2 * P::lanes, 7, key, count);
        for (int j = 0; j < count; ++j) {
          for (int l = 0; l < 2 * P::lanes; ++l) {
            const bool struck = l < P::lanes && !keeps(0xFFFFF007 + static_cast<std::uint64_t>(l), j);
            wrong += tile[j * 2 * P::lanes + l] != (struck ? 0 : 5);
          }
        }
        dropped.factors<P>(tile, 2 * P::lanes, 7, key, count);
        for (int j = 0; j < count; ++j) {
          for (int l = 0; l < P::lanes; ++l) {
            wrong += tile[j * 2 * P::lanes + l] != (keeps(0xFFFFF007 + static_cast<std::uint64_t>(l), j) ? 1 : 0);
          }
        }
        for (const int n : {1, 2, 4, 8}) {
          const std::uint64_t rows[] = {5, 0xFFFFFFFF, 0, 7, 7, 0x80000001, 3, 4};
          alignas(P::alignment) T weights[2 + count * 8];
          std::fill_n(weights, std::size(weights), T(5));
          dropped.strike_rows<P>(weights, n, rows, key, count);
          for (int e = 0; e < count * n; ++e) wrong += weights[e] != (keeps(rows[e % n], e / n) ? 5 : 0);
          wrong += weights[count * n] != 5;
        }
      }
    }
    BOOST_TEST(wrong == 0);
  };
  using arch = decltype(seq)::arch;
  check(tessera::simd::pack<float, arch>(0.0f));
  check(tessera::simd::pack<double, arch>(0.0));
}

BOOST_AUTO_TEST_CASE(forward_and_backward_are_within_their_bounds) {
  support::worst out_errors;
  support::worst lse_errors;
  oracle::gradient_errors errors;
  std::uint64_t n = 0;
  for (const shape& x : shapes) {
    for (const double rate : {0.1, 0.9}) {
      for (const auto& mask : {attention::everything, attention::causal}) {
        const auto options = with({.rate = rate, .seed = n, .stream = 3 * n}, mask);
        backward_call<float> call(make<float>(x, ++n));
        call.dout.fill([=](std::uint64_t e) { return support::normal(n + 99, e); });
        oracle::check<float>(out_errors, lse_errors, par.threads(2), call.in, options);
        call.run(par.threads(2), options);
        oracle::compare(errors, call, options);
      }
    }
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

// float64, where a word has a lane of its own; with factors of values and sinks.
BOOST_AUTO_TEST_CASE(float64_is_within_its_bounds) {
  support::worst out_errors;
  support::worst lse_errors;
  oracle::gradient_errors errors;
  const std::vector<float> sinks{0.5f, -1, 2, 0};
  const std::vector<float> scales{0.7f, 3};
  for (const shape& x : {shape{1, 4, 2, 7, 201, 5, 3}, shape{1, 4, 2, 131, 201, 5, 3}}) {
    auto options = with(third, attention::causal);
    options.sinks = view<const float, 1>(sinks.data(), 4);
    options.value_scales = view<const float, 1>(scales.data(), 2);
    backward_call<double> call(make<double>(x, 5));
    call.dout.fill([](std::uint64_t e) { return support::normal(77, e); });
    oracle::check<double>(out_errors, lse_errors, par.threads(2), call.in, options);
    call.run(par.threads(2), options);
    oracle::compare(errors, call, options);
    BOOST_TEST(differences<double>(par.threads(3), call.in, 0.3, options) == 0);
  }
  CHECK_WITHIN_BOUND(out_errors);
  CHECK_WITHIN_BOUND(lse_errors);
  CHECK_GRADIENTS_WITHIN_BOUND(errors);
}

BOOST_AUTO_TEST_CASE(bits_are_the_same_on_every_path_and_for_every_thread) {
  std::uint64_t n = 0;
  for (const std::int64_t group : {1, 2, 3, 4, 5, 8}) {
    for (const std::int64_t len_q : {1, 2, 5, 17, 70, 140}) {
      for (const std::int64_t len_k : {1, 50, 193, 777}) {
        inputs<float> in(2, 2 * group, 2, len_q, len_k, 9, 20);
        fill(in, ++n);
        const auto options = with({.rate = 0.3, .seed = n}, n % 2 == 0 ? attention::causal : attention::everything);
        BOOST_TEST_INFO("group " << group << " len_q " << len_q << " len_k " << len_k);
        BOOST_TEST(differences<float>(par.threads(static_cast<int>(n % 4) + 1), in, 0.3, options) == 0);
      }
    }
  }
  const shape x{1, 3, 1, 203, 411, 16, 24};
  backward_call<float> one(make<float>(x, 1));
  backward_call<float> many(one.in);
  for (backward_call<float>* call : {&one, &many}) call->dout.fill([](std::uint64_t e) { return support::normal(9, e); });
  one.run(seq, with(third));
  many.run(par.threads(4), with(third));
  BOOST_TEST(one.out.same_elements(many.out));
  BOOST_TEST(one.same_gradients(many));
}

// A ragged row is counted where it lies.
BOOST_AUTO_TEST_CASE(ragged_rows_have_addresses_of_their_own) {
  constexpr std::int64_t total = 170;
  constexpr std::int64_t keys = 100;
  constexpr std::int64_t heads = 2;
  array<float, 3> q({heads, total, 1});
  array<float, 3> k({heads, keys, 1});
  array<float, 3> v({heads, keys, keys});
  array<float, 3> out({heads, total, keys});
  q.fill([](std::uint64_t) { return 0; });
  k.fill([](std::uint64_t) { return 0; });
  v.fill([](std::uint64_t n) { return n / keys % keys == n % keys ? 1 : 0; });
  out.fill([](std::uint64_t) { return -1; });
  const std::int32_t query_offsets[] = {3, 8, 8, 148, 170};
  const std::int32_t key_offsets[] = {0, 30, 40, 77, 100};
  const attention::ragged at{view<const std::int32_t, 1>(query_offsets, 5), view<const std::int32_t, 1>(key_offsets, 5)};
  attention::forward(par.threads(3), q.view(), k.view(), v.view(), out.view(), at, with(third));
  int wrong = 0;
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::size_t b = 0; b < 4; ++b) {
      for (std::int64_t row = query_offsets[b]; row < query_offsets[b + 1]; ++row) {
        for (std::int64_t j = key_offsets[b]; j < key_offsets[b + 1]; ++j) {
          wrong += (out(h, row, j) > 0) != third.keeps(0, h, row, j - key_offsets[b], heads, total);
        }
      }
    }
  }
  BOOST_TEST(wrong == 0);
}

// Parts are those of the whole: keys cut at multiples of part_keys, queries anywhere.
BOOST_AUTO_TEST_CASE(parts_have_the_bits_of_the_whole) {
  const shape x{2, 2, 1, 150, 500, 8, 8};
  const inputs<float> in = make<float>(x, 4);
  const auto options = with(third, attention::causal);
  array<float, 4> whole(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), whole.view(), options);
  array<float, 4> sums(in.out_extents());
  array<float, 3> max(in.lse_extents());
  array<float, 3> mass(in.lse_extents());
  array<float, 4> out(in.out_extents());
  const auto rows = [](const auto& y, std::int64_t first, std::int64_t last) {
    auto part = y;
    const auto v = part;
    if constexpr (decltype(part)::rank() == 4) {
      return decltype(part){v.data_handle() + first * v.stride(2),
                            {v.extent(0), v.extent(1), last - first, v.extent(3)},
                            {v.stride(0), v.stride(1), v.stride(2), v.stride(3)}};
    } else {
      return decltype(part){v.data_handle() + first * v.stride(2),
                            {v.extent(0), v.extent(1), last - first},
                            {v.stride(0), v.stride(1), v.stride(2)}};
    }
  };
  const attention::states<float> all{max.view(), mass.view(), sums.view()};
  attention::reset(all);
  for (const auto& [i0, i1] : {std::pair<std::int64_t, std::int64_t>{0, 31}, {31, 150}}) {
    for (const auto& [j0, j1] : {std::pair<std::int64_t, std::int64_t>{0, 192}, {192, 500}}) {
      attention::accumulate(par.threads(2), rows(in.q.view(), i0, i1), rows(in.k.view(), j0, j1), rows(in.v.view(), j0, j1),
                            attention::states<float>{rows(all.max, i0, i1), rows(all.mass, i0, i1), rows(all.sums, i0, i1)},
                            {i0, j0, 150, 500}, options);
    }
  }
  attention::finish(seq, all, out.view(), options);
  BOOST_TEST(out.same_elements(whole));
}

BOOST_AUTO_TEST_CASE(forward_mode_drops_the_same_pairs) {
  for (const shape& x : {shape{1, 2, 1, 7, 100, 8, 5}, shape{2, 2, 2, 140, 300, 8, 5}}) {
    const inputs<float> in = make<float>(x, 11);
    const inputs<float> along = make<float>(x, 14);
    const auto options = with(third, attention::causal);
    array<float, 4> out(in.out_extents());
    array<float, 4> dout(in.out_extents());
    array<float, 4> plain(in.out_extents());
    attention::jvp(par.threads(2), in.q.view(), in.k.view(), in.v.view(), along.q.view(), along.k.view(), along.v.view(),
                   out.view(), dout.view(), options);
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), plain.view(), options);
    BOOST_TEST(out.same_elements(plain));
    double worst = 0;
    tessera::reference::attention_jvp(in.q.view(), in.k.view(), in.v.view(), along.q.view(), along.k.view(), along.v.view(),
                                      options,
                                      [&](auto b, auto h, auto i, const std::vector<double>&, const std::vector<double>& want) {
                                        for (std::size_t c = 0; c < want.size(); ++c) {
                                          const double got = static_cast<double>(dout(b, h, i, static_cast<std::int64_t>(c)));
                                          worst = std::fmax(worst, std::fabs(got - want[c]));
                                        }
                                      });
    // The bound of the docs with S <= 20, D <= 60 and |v| <= 4: far above what happens, and far below what a wrong pair does.
    BOOST_TEST(worst < 2 * (12 * 20 + 16 + 230) * 0x1p-24 * 4 * (1 + 2 * 60) * third.factor());
    BOOST_TEST(worst < 1e-4);
  }
}

// The gradients of the specification are those of its output: central differences with the mask held.
BOOST_AUTO_TEST_CASE(reference_gradients_are_finite_differences) {
  const shape x{1, 2, 1, 5, 11, 3, 4};
  const auto options = with(third, attention::causal);
  inputs<double> in = make<double>(x, 3);
  array<double, 4> dout(in.out_extents());
  dout.fill([](std::uint64_t e) { return support::normal(8, e); });
  const auto loss = [&] {
    double sum = 0;
    tessera::reference::attention(in.q.view(), in.k.view(), in.v.view(), options,
                                  [&](auto b, auto h, auto i, const std::vector<double>& row, double) {
                                    for (std::size_t c = 0; c < row.size(); ++c)
                                      sum += row[c] * dout(b, h, i, static_cast<std::int64_t>(c));
                                  });
    return sum;
  };
  const auto want = tessera::reference::attention_backward(in.q.view(), in.k.view(), in.v.view(), dout.view(), options);
  double worst = 0;
  const auto compare = [&](array<double, 4>& of, const std::vector<double>& gradient) {
    const auto v = of.view();
    std::size_t n = 0;
    for (std::int64_t h = 0; h < v.extent(1); ++h) {
      for (std::int64_t i = 0; i < v.extent(2); ++i) {
        for (std::int64_t c = 0; c < v.extent(3); ++c, ++n) {
          const double at = v(0, h, i, c);
          v(0, h, i, c) = at + 1e-5;
          const double above = loss();
          v(0, h, i, c) = at - 1e-5;
          worst = std::fmax(worst, std::fabs((above - loss()) / 2e-5 - gradient[n]));
          v(0, h, i, c) = at;
        }
      }
    }
  };
  compare(in.q, want.dq);
  compare(in.k, want.dk);
  compare(in.v, want.dv);
  BOOST_TEST(worst < 1e-8);
}

BOOST_AUTO_TEST_CASE(share_kept_is_that_of_the_rate) {
  for (const double rate : {0.01, 0.1, 0.5, 0.97}) {
    const attention::dropout drop{.rate = rate, .seed = 42, .stream = 7};
    constexpr std::int64_t rows = 512;
    constexpr std::int64_t keys = 768;
    constexpr auto pairs = static_cast<double>(rows * keys);
    double kept = 0;
    double next_key = 0;  // both of neighbouring pairs
    double next_row = 0;
    double of_key[keys] = {};
    double of_row[rows] = {};
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < keys; ++j) {
        const auto keeps = [&](std::int64_t row, std::int64_t key) {
          return drop.keeps(0, 0, row, key, 1, rows + 1) ? 1.0 : 0.0;
        };
        const double here = keeps(i, j);
        kept += here;
        next_key += here * keeps(i, j + 1);
        next_row += here * keeps(i + 1, j);
        of_key[j] += here;
        of_row[i] += here;
      }
    }
    const double p = 1 - rate;
    const auto within = [&](double sum, double probability) {
      // Neighbouring products share factors: their variance is at most three times that of independent ones.
      return std::fabs(sum - pairs * probability) <= 5 * std::sqrt(3 * pairs * probability * (1 - probability));
    };
    BOOST_TEST(std::fabs(kept - pairs * p) <= 5 * std::sqrt(pairs * p * (1 - p)));
    BOOST_TEST(within(next_key, p * p));
    BOOST_TEST(within(next_row, p * p));
    // Chi-square over positions, near normal for so many degrees of freedom.
    const auto chi_square = [&](const double* counts, std::int64_t n, std::int64_t each) {
      double sum = 0;
      for (std::int64_t e = 0; e < n; ++e) {
        const double off = counts[e] - static_cast<double>(each) * p;
        sum += off * off / (static_cast<double>(each) * p * (1 - p));
      }
      return std::fabs(sum - static_cast<double>(n)) / std::sqrt(2 * static_cast<double>(n));
    };
    BOOST_TEST(chi_square(of_key, keys, rows) < 5);
    BOOST_TEST(chi_square(of_row, rows, keys) < 5);
  }
}

BOOST_AUTO_TEST_CASE(mean_over_seeds_is_the_result_without_dropout) {
  const inputs<float> in = make<float>({1, 1, 1, 6, 40, 4, 3}, 2);
  array<float, 4> plain(in.out_extents());
  attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), plain.view());
  constexpr int seeds = 2000;
  std::vector<double> sum(18);
  std::vector<double> squares(18);
  array<float, 4> out(in.out_extents());
  for (int s = 0; s < seeds; ++s) {
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(),
                       with({.rate = 0.4, .stream = static_cast<std::uint64_t>(s)}));
    const auto elements = out.elements();
    for (std::size_t n = 0; n < 18; ++n) {
      const auto x = static_cast<double>(elements[n]);
      sum[n] += x;
      squares[n] += x * x;
    }
  }
  const auto want = plain.elements();
  for (std::size_t n = 0; n < 18; ++n) {
    const double mean = sum[n] / seeds;
    const double deviation = std::sqrt((squares[n] / seeds - mean * mean) / seeds);
    BOOST_TEST(std::fabs(mean - static_cast<double>(want[n])) < 5 * deviation);
  }
}

// A rate of 0 changes no bit; lse never changes; NaN is multiplied by 0, not struck out.
BOOST_AUTO_TEST_CASE(special_values) {
  for (const std::int64_t len_q : {std::int64_t{5}, std::int64_t{140}}) {
    inputs<float> in = make<float>({1, 2, 1, len_q, 30, 4, 3}, 2);
    array<float, 4> plain(in.out_extents());
    array<float, 3> plain_lse(in.lse_extents());
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), plain.view(), plain_lse.view(), with({}));
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), with({.rate = 0x1p-34, .seed = 5}));
    BOOST_TEST((out.same_elements(plain) && lse.same_elements(plain_lse)));
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), with(third));
    BOOST_TEST(!out.same_elements(plain));
    BOOST_TEST(lse.same_elements(plain_lse));

    const attention::options<> causal = with({.rate = 0.999999}, attention::causal);  // of everything, but few pairs
    in.v.view()(0, 0, 29, 0) = std::numeric_limits<float>::quiet_NaN();
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), causal);
    BOOST_TEST(std::isnan(out(0, 0, len_q - 1, 0)));   // sees the key, dropped or not
    BOOST_TEST(!std::isnan(out(0, 0, len_q - 2, 0)));  // does not see it
    BOOST_TEST(out(0, 1, len_q - 1, 1) == 0.0f);
  }
}

BOOST_AUTO_TEST_CASE(misuse_is_refused) {
  const inputs<float> in = make<float>({1, 1, 1, 3, 3, 2, 2}, 1);
  array<float, 4> out(in.out_extents());
  const auto run = [&](double rate) {
    attention::forward(seq, in.q.view(), in.k.view(), in.v.view(), out.view(), with({.rate = rate}));
  };
  for (const double rate : {1.0, -0.1, 1.5, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    BOOST_CHECK_EXCEPTION(run(rate), tessera::argument_error, [](const tessera::argument_error& e) {
      return std::string(e.what()).find("attention::forward: options.dropout.rate") == 0;
    });
  }
  // Rows past 2^32: strides of 0 need no memory.
  const float number = 1;
  const view<const float, 4> many(&number, {1, std::int64_t{1} << 33, 1, 1}, {0, 0, 0, 0});
  const view<const float, 4> one(&number, {1, 1, 1, 1}, {0, 0, 0, 0});
  BOOST_CHECK_THROW(attention::detail::check_options<float>("attention::forward", many, one, with(third)),
                    tessera::argument_error);
  BOOST_CHECK_NO_THROW(attention::detail::check_options<float>("attention::forward", many, one, with({})));
  BOOST_TEST(out.untouched());
}

BOOST_AUTO_TEST_SUITE_END()
