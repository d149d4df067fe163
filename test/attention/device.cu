// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Masks, scores, dropout and the layouts of attention compile in device code.
#include <cstdint>

#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"

namespace {

using namespace tessera;

template <class Mask>
__device__ std::int64_t ask(const Mask& mask) {
  const auto head = attention::detail::head_of(mask, 0, 0, 8, 8);
  const key_range range = head.keys(0, 8, 8);
  const bool seen = static_cast<bool>(head.visible(std::int32_t{1}, std::int32_t{2}));
  return range.first + range.last + static_cast<std::int64_t>(head.classify(0, 8, 0, 8)) + (seen ? 1 : 0);
}
template <class Score>
__device__ float rate(const Score& score) {
  const auto head = attention::detail::score_of(score, 0, 0, 8, 8);
  float s = head(0.5f, std::int32_t{1}, std::int32_t{2});
  if constexpr (requires { head.derivative(s, 0, 0); }) s += head.derivative(s, std::int32_t{1}, std::int32_t{2});
  return s;
}

struct even_keys {
  TESSERA_HD bool operator()(std::int64_t, std::int64_t, std::int64_t, std::int64_t j) const { return j % 2 == 0; }
};
struct any_lanes {
  template <class I>
  TESSERA_HD auto operator()(std::int64_t, std::int64_t, I i, I j) const {
    return j <= i;
  }
};
struct tilt {
  TESSERA_HD float operator()(float s, std::int64_t, std::int64_t, std::int64_t i, std::int64_t j) const {
    return s + 0.5f * static_cast<float>(i - j);
  }
};
struct one {
  TESSERA_HD float operator()(float, std::int64_t, std::int64_t, std::int64_t, std::int64_t) const { return 1; }
};

}  // namespace

__global__ void masks(std::int64_t* out, view<const int, 2> ids, view<const std::uint64_t, 2> rows, view<const bool, 4> seen) {
  using namespace attention;
  const documents<int> of_documents{ids, ids};
  out[0] = ask(band{.right = 0}) + ask(sliding_window(2, 0)) + ask(of_documents) + ask(tree{rows}) + ask(dense_mask<bool>{seen}) +
           ask(even_keys{}) + ask(any_lanes{}) + ask(band{.right = 0} & of_documents) + ask(band{.right = 0} | tree{rows}) +
           ask(!of_documents);
}

__global__ void scores(float* out, view<const float, 1> slopes, view<const bfloat16, 4> bias) {
  using namespace attention;
  out[0] = rate(plain_score{}) + rate(alibi{slopes}) + rate(softcap{50}) + rate(additive_bias<bfloat16>{bias}) + rate(tilt{}) +
           rate(score_by<tilt, one>{{}, {}}) + rate(softcap{50} >> alibi{slopes});
}

__global__ void layouts(attention::detail::sequences<float16, float16, float16> x, attention::dropout dropout,
                        std::int64_t* out) {
  out[0] = x.len_q(0) + x.len_k(0) + x.keys(0, 0).row(1) - x.values(0, 0).row(0);
  out[1] = x.query(0, 0, 0) - x.queries(0, 0).data_handle();
  out[2] = dropout.keeps(0, 0, 1, 2, 8, 8) ? 1 : 0;
}
