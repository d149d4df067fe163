// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// An executor for tests: calls with arrays of the host, made on the device, so that tests of the CPU run there as they are.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "mirror.hpp"
#include "orders.hpp"
#include "tessera/cuda/exec.cuh"
#include "tessera/cuda/tile/contraction.cuh"
#include "tessera/numeric/traits.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/no_emit.hpp"
#include "tessera/tile/view.hpp"

namespace support {

struct on_device {
  int generation = 9;  ///< whose kernels run, at most
  [[nodiscard]] tessera::cuda::executor executor() const { return on_generation(generation); }
};

/// A score whose bias, where it has one, is on the device.
template <class Score>
Score on_the_device(mirror& memory, Score score) {
  if constexpr (requires { score.bias.extent(0); }) score.bias = memory(score.bias);
  return score;
}

template <class Result>
struct store_result {
  Result* to;
  TESSERA_HD void operator()(std::int64_t i, const Result& result) const { to[i] = result; }
};

template <class T, class Reducer>
using result_of = decltype(std::declval<const Reducer&>().finish(std::declval<const Reducer&>().template identity<T>()));

/// Rows in an order of nobody's choice on the device; here in rising order.
template <class Result, class Emit>
void emit_all(results<Result>& rows, const Emit& emit) {
  std::int64_t i = 0;
  for (const Result& result : rows.bring_back()) emit(i++, result);
}

template <tessera::mdspan_like Queries, tessera::mdspan_like Keys, class Score, class Reducer, class Emit,
          class Mask = tessera::no_mask>
  requires(!tessera::mdspan_like<Score>)
void contract(const on_device& on, const Queries& queries, const Keys& keys, const Score& score, const Reducer& reducer,
              const Emit& emit, const Mask& mask = {}) {
  using namespace tessera;
  using T = std::common_type_t<compute_t<value_type_of<Queries>>, compute_t<value_type_of<Keys>>>;
  using result = result_of<T, Reducer>;
  mirror memory;
  results<result> rows(queries.extent(0));
  tessera::contract(on.executor(), memory(view<const value_type_of<Queries>, 2>(queries)),
                    memory(view<const value_type_of<Keys>, 2>(keys)), on_the_device(memory, score), reducer,
                    store_result<result>{rows.device()}, mask);
  emit_all(rows, emit);
}

template <tessera::mdspan_like Queries, tessera::mdspan_like Keys, tessera::mdspan_like Values, class Score, class Reducer,
          tessera::mdspan_like Out, class Emit = tessera::no_emit, class Mask = tessera::no_mask>
void contract(const on_device& on, const Queries& queries, const Keys& keys, const Values& values, const Score& score,
              const Reducer& reducer, const Out& out, const Emit& emit = {}, const Mask& mask = {}) {
  using namespace tessera;
  using T =
      std::common_type_t<compute_t<value_type_of<Queries>>, compute_t<value_type_of<Keys>>, compute_t<value_type_of<Values>>>;
  using result = result_of<T, Reducer>;
  mirror memory;
  results<result> rows(queries.extent(0));
  tessera::contract(on.executor(), memory(view<const value_type_of<Queries>, 2>(queries)),
                    memory(view<const value_type_of<Keys>, 2>(keys)), memory(view<const value_type_of<Values>, 2>(values)),
                    on_the_device(memory, score), reducer, memory(view<value_type_of<Out>, 2>(out)),
                    store_result<result>{rows.device()}, mask);
  memory.bring_back();
  emit_all(rows, emit);
}

}  // namespace support
