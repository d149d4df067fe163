// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// Every option of attention's forward at once, float16 on both generations of devices: the kernels of each ask masks and scores in their own way.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "../support/random.hpp"
#include "attention_on_device.hpp"

namespace {

using oracle::inputs;
using oracle::shape;
using support::array;
using tessera::float16;
using tessera::view;
namespace attention = tessera::attention;
using masks = decltype(attention::causal & attention::documents<std::int32_t>());
using scores = decltype(attention::softcap{} >> attention::alibi());

/// What the options' views look at.
struct tables {
  std::vector<std::int32_t> of_query;
  std::vector<std::int32_t> of_key;
  std::vector<float> slopes{0.5F, 0.125F, 0, 0.01F};
  std::vector<float> sinks{1, -3, 2, -std::numeric_limits<float>::infinity()};
  std::vector<float> factors{0.75F, -1.5F};

  explicit tables(const shape& x) {
    for (std::int64_t b = 0; b < x.batch; ++b) {
      for (std::int64_t i = 0; i < x.len_q; ++i)
        of_query.push_back(static_cast<std::int32_t>((i + x.len_k - x.len_q) / (27 + 40 * b)));
      for (std::int64_t j = 0; j < x.len_k; ++j) of_key.push_back(static_cast<std::int32_t>(j / (27 + 40 * b)));
    }
  }
  [[nodiscard]] attention::options<masks, scores> options(const shape& x, bool drops) const {
    return {.mask = attention::causal &
                    attention::documents<std::int32_t>{view<const std::int32_t, 2>(of_query.data(), x.batch, x.len_q),
                                                       view<const std::int32_t, 2>(of_key.data(), x.batch, x.len_k)},
            .score = attention::softcap{20} >> attention::alibi{view<const float, 1>(slopes.data(), x.heads)},
            .sinks = view<const float, 1>(sinks.data(), x.heads),
            .key_scales = view<const float, 1>(factors.data(), x.kv_heads),
            .value_scales = view<const float, 1>(factors.data(), x.kv_heads),
            .dropout = {.rate = drops ? 0.25 : 0, .seed = 11, .stream = 3}};
  }
};

constexpr shape shapes[] = {
    {2, 4, 2, 70, 150, 16, 8}, {1, 2, 2, 140, 140, 72, 64}, {1, 4, 2, 9, 130, 8, 16}, {1, 2, 1, 66, 70, 7, 9}};

template <class In>
void fill(In& in) {
  in.q.fill(support::normals(1, 3));
  in.k.fill(support::normals(2));
  in.v.fill(support::normals(3));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_attention_forward_options)

BOOST_AUTO_TEST_CASE(all_options_are_within_the_bound) {
  for (const int generation : {8, 9}) {
    support::worst out;
    support::worst lse;
    for (const shape& x : shapes) {
      inputs<float16> in(x);
      fill(in);
      const tables of(x);
      on_device::check<float>(out, lse, {.generation = generation}, in, of.options(x, false));
      on_device::check<float>(out, lse, {.generation = generation}, in, of.options(x, true));
    }
    CHECK_WITHIN_BOUND(out);
    CHECK_WITHIN_BOUND(lse);
  }
}

// A document of NaN and infinities is not seen by the others, whose tiles it shares.
BOOST_AUTO_TEST_CASE(documents_do_not_see_what_is_special_in_others) {
  for (const int generation : {8, 9}) {
    for (const shape& x : shapes) {
      inputs<float16> in(x);
      fill(in);
      const tables of(x);
      array<float, 4> clean(in.out_extents());
      array<float, 4> out(in.out_extents());
      array<float, 3> clean_lse(in.lse_extents());
      array<float, 3> lse(in.lse_extents());
      const support::forward_on_device device{.generation = generation};
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), clean.view(), clean_lse.view(), of.options(x, true));
      for (std::int64_t j = 30; j < 50; ++j) {  // document 1 of sequence 0
        in.k(0, 0, j, j % x.head_dim) = float16(std::numeric_limits<float>::quiet_NaN());
        in.v(0, 0, j, j % x.value_dim) =
            float16(j % 2 == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN());
      }
      attention::forward(device, in.q.view(), in.k.view(), in.v.view(), out.view(), lse.view(), of.options(x, true));
      int wrong = 0;
      for (std::int64_t h = 0; h < x.heads; ++h) {
        for (std::int64_t i = 0; i < x.len_q; ++i) {
          const std::int64_t at = i + x.len_k - x.len_q;
          const bool reached = h / (x.heads / x.kv_heads) == 0 && at / 27 == 1 && at >= 30;
          wrong += std::isnan(lse(0, h, i)) != reached;
          for (std::int64_t c = 0; c < x.value_dim; ++c) {
            wrong += reached ? !std::isnan(out(0, h, i, c)) : !(std::fabs(out(0, h, i, c) - clean(0, h, i, c)) <= 1e-3F);
          }
        }
      }
      BOOST_TEST_INFO("generation " << generation << " len_q " << x.len_q);
      BOOST_TEST(wrong == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_cpu_agrees_within_both_bounds) {
  const shape& x = shapes[0];
  inputs<float16> in(x);
  fill(in);
  const tables of(x);
  const auto options = of.options(x, true);
  array<float, 4> here(in.out_extents());
  array<float, 3> lse_here(in.lse_extents());
  attention::forward(tessera::seq, in.q.view(), in.k.view(), in.v.view(), here.view(), lse_here.view(), options);
  const auto of_cpu = oracle::bounds(in, options);
  const auto of_device = on_device::bounds(in, options, false);
  for (const int generation : {8, 9}) {
    support::worst out_errors;
    array<float, 4> out(in.out_extents());
    array<float, 3> lse(in.lse_extents());
    attention::forward(support::forward_on_device{.generation = generation}, in.q.view(), in.k.view(), in.v.view(), out.view(),
                       lse.view(), options);
    std::size_t r = 0;
    for (std::int64_t b = 0; b < x.batch; ++b) {
      for (std::int64_t h = 0; h < x.heads; ++h) {
        for (std::int64_t i = 0; i < x.len_q; ++i, ++r) {
          for (std::int64_t c = 0; c < x.value_dim; ++c) {
            const auto column = static_cast<std::size_t>(c);
            out_errors(static_cast<double>(out(b, h, i, c)), here(b, h, i, c),
                       of_cpu[r].out[column] + of_device[r].out[column] + 2 * support::rounding<float>(here(b, h, i, c)), b, h, i,
                       c);
          }
        }
      }
    }
    CHECK_WITHIN_BOUND(out_errors);
  }
}

BOOST_AUTO_TEST_SUITE_END()
