// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Attention for few query rows a key head: decoding, speculative trees, grouped heads. The bits are those of every other path: a row's
/// chunks of keys are folded each on its own, by whichever worker, and joined in rising order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tessera/attention/detail/dropped_pairs.hpp"
#include "tessera/attention/detail/few_rows.hpp"
#include "tessera/attention/detail/sequences.hpp"
#include "tessera/attention/options.hpp"
#include "tessera/core/scratch.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/numeric/traits.hpp"
#include "tessera/online/softmax.hpp"
#include "tessera/tile/mask.hpp"
#include "tessera/tile/score.hpp"

namespace tessera::attention::detail {

/// Rows of one unit of work: their sums fit the second-level cache beside a chunk of keys and values.
inline constexpr std::int64_t most_few_rows = 128;

/// What the options want of each head.
template <class T, class Mask, class Score, class Accumulation>
struct few_heads {
  static constexpr bool keeps_lost = Accumulation::keeps_lost;

  const options<Mask, Score, Accumulation>& wanted;
  double scale;

  [[nodiscard]] auto mask(std::int64_t b, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return head_of(wanted.mask, b, h, len_q, len_k);
  }
  [[nodiscard]] auto score(std::int64_t b, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    return score_of(wanted.score, b, h, len_q, len_k);
  }
  /// What queries are multiplied by while they are packed.
  [[nodiscard]] T query_factor(std::int64_t kv_h) const {
    using head_type = decltype(score_of(wanted.score, 0, 0, 0, 0));
    const double key_scale = wanted.key_scales.data_handle() != nullptr ? static_cast<double>(wanted.key_scales(kv_h)) : 1.0;
    return static_cast<T>(scale * key_scale * (tessera::detail::is_linear<head_type> ? softmax::unit : 1.0));
  }
  [[nodiscard]] bool has_sinks() const { return wanted.sinks.data_handle() != nullptr; }
  /// In base 2.
  [[nodiscard]] T sink(std::int64_t h) const { return static_cast<T>(static_cast<double>(wanted.sinks(h)) * softmax::unit); }
  [[nodiscard]] bool has_value_scales() const { return wanted.value_scales.data_handle() != nullptr || wanted.dropout.active(); }
  [[nodiscard]] T value_scale(std::int64_t kv_h) const { return value_factor<T>(wanted, kv_h); }
  [[nodiscard]] bool has_dropout() const { return wanted.dropout.active(); }
  template <class Sequences>
  [[nodiscard]] dropped_pairs dropped(const Sequences& x, std::int64_t b, std::int64_t h) const {
    return pairs_dropped(wanted, x, b, h);
  }
};

/// Whether keys belong into the lanes: packing them would pay for too few rows, panels of queries would be ill filled, or heads are too few for
/// the workers, who can share keys instead.
template <class P>
bool few(std::int64_t len_q, std::int64_t group, std::int64_t heads, std::int64_t depth, std::int64_t value_dim, int workers) {
  if (len_q > 128) return false;
  const std::int64_t padded = (len_q + P::lanes - 1) / P::lanes * P::lanes;
  const bool filled = 5 * padded <= 6 * len_q;
  const bool reused = 2 * group * len_q >= depth + value_dim;
  const bool shared = workers == 1 || heads >= 4 * workers;
  return !(filled && reused && shared);
}

/// Everything that the workers of a call share. Rows are cut into units of work: some rows of one key head.
template <class T, class Arch, class Q, class K, class V, class Heads>
struct few_call {
  using rows_type = few_rows<T, Arch, Q, K, V, Heads>;
  using layout_type = few_layout<T, Arch>;

  const sequences<Q, K, V>& x;
  const Heads& heads;
  sequence_list list;
  layout_type layout;
  std::int64_t units = 0;
  running_count before{};  ///< units, once they are numbered

  few_call(const sequences<Q, K, V>& all, const sequence_list& some, const Heads& of_heads)
      : x(all),
        heads(of_heads),
        list(some),
        layout{x.head_dim(), x.value_dim(), x.group(), 0, x.in_pages(), heads.wanted.rotary.rotates(), Heads::keeps_lost} {
    for (std::int64_t s = 0; s < list.count; ++s) {
      layout.rows = std::max(layout.rows, std::min(most_few_rows, head_rows(s)));
      units += x.kv_heads() * parts(s);
    }
  }

  void number_units(tessera::detail::bump& memory) {
    before = {memory.take<std::int64_t>(list.count + 1), list.count};
    if (before.before != nullptr) {
      before.count([&](std::int64_t s) { return x.kv_heads() * parts(s); });
    }
  }

  [[nodiscard]] rows_type rows(std::int64_t unit, const typename rows_type::arrays& memory) const {
    const std::int64_t s = before.find(unit);
    const std::int64_t at = unit - before.before[s];
    const std::int64_t first = at % parts(s) * most_few_rows;
    return rows_type(layout, heads, memory, x, list[s], at / parts(s), first, std::min(most_few_rows, head_rows(s) - first));
  }

 private:
  /// Rows of a key head of the s-th sequence, and its units.
  [[nodiscard]] std::int64_t head_rows(std::int64_t s) const { return layout.group * x.len_q(list[s]); }
  [[nodiscard]] std::int64_t parts(std::int64_t s) const { return (head_rows(s) + most_few_rows - 1) / most_few_rows; }
};

/// All keys of a unit after one another.
template <class T, class Exec, class Call, class Store, class Emit>
void fold_whole_units(const Exec& exec, Call& call, const Store& store, const Emit& emit) {
  using rows_type = typename Call::rows_type;
  struct place {
    typename rows_type::arrays arrays;
    row_states<T> all;
    row_states<T> one[4];  ///< of each chunk at once
    place(tessera::detail::bump& memory, const typename Call::layout_type& layout)
        : arrays(memory, layout), all(layout.take_states(memory)) {
      for (int a = 0; a < layout.at_once(); ++a) one[a] = layout.take_states(memory);
    }
  };
  tessera::detail::bump shared_size;
  call.number_units(shared_size);
  tessera::detail::bump size;
  place(size, call.layout);
  const int workers = exec.workers();
  tessera::detail::scratch memory(exec.memory(), shared_size.bytes() + static_cast<std::size_t>(workers) * size.bytes());
  tessera::detail::bump shared(memory.data());
  call.number_units(shared);
  exec.for_each(call.units, [&](int worker, std::int64_t u) {
    tessera::detail::bump cut(memory.data() + shared_size.bytes() + static_cast<std::size_t>(worker) * size.bytes());
    const place mine(cut, call.layout);
    rows_type rows = call.rows(u, mine.arrays);
    rows.pack();
    clear_states(call.layout, 0, rows.count(), mine.all);
    const key_range range = rows.range();
    const std::int64_t last = (range.last + rows_type::chunk - 1) / rows_type::chunk;
    for (std::int64_t c = range.first / rows_type::chunk; c < last; c += call.layout.at_once()) {
      const int n = static_cast<int>(std::min<std::int64_t>(call.layout.at_once(), last - c));
      const unsigned folded = rows.fold(c, n, [&](int a) { return mine.one[a]; });
      for (int a = 0; a < n; ++a) {
        if ((folded >> a & 1U) != 0) join_states(call.layout, 0, rows.count(), mine.all, mine.one[a]);
      }
    }
    rows.finish(mine.all, 0, rows.count(), store, emit);
  });
}

/// Chunks of keys folded side by side, in waves; what a wave has made is joined in rising order before the next one.
template <class T, class Exec, class Call, class Store, class Emit>
void fold_split_units(const Exec& exec, Call& call, const Store& store, const Emit& emit) {
  using rows_type = typename Call::rows_type;
  using tessera::detail::bump;
  constexpr std::int64_t wave_bytes = std::int64_t{1} << 19;  // of states that a worker makes
  constexpr std::int64_t most_slots = 32;
  constexpr int lanes = rows_type::lanes;
  const auto& layout = call.layout;
  const std::int64_t units = call.units;
  const int workers = exec.workers();
  bump state_size;
  layout.take_states(state_size);
  const auto state_bytes = static_cast<std::int64_t>(state_size.bytes());
  const std::int64_t slots = workers * std::clamp(wave_bytes / (state_bytes + 1), std::int64_t{2}, most_slots);

  struct shared_arrays {
    std::int64_t* ends;        ///< [units + 1] chunks of the units before
    std::int64_t* first;       ///< [units] first chunk
    bool* folded;              ///< [slots] whether some row saw something
    std::byte* states;         ///< [slots]
    row_states<T> carried[2];  ///< of the unit that a wave ended in
  };
  const auto lay_out = [&](bump& memory) {
    return shared_arrays{memory.take<std::int64_t>(units + 1),
                         memory.take<std::int64_t>(units),
                         memory.take<bool>(slots),
                         memory.take<std::byte>(slots * state_bytes),
                         {layout.take_states(memory), layout.take_states(memory)}};
  };
  struct place {
    typename rows_type::arrays arrays;
    row_states<T> all;
    place(bump& memory, const typename Call::layout_type& of) : arrays(memory, of), all(of.take_states(memory)) {}
  };
  bump shared_size;
  call.number_units(shared_size);
  lay_out(shared_size);
  bump worker_size;
  place(worker_size, layout);
  tessera::detail::scratch memory(exec.memory(), shared_size.bytes() + static_cast<std::size_t>(workers) * worker_size.bytes());
  bump cut(memory.data());
  call.number_units(cut);
  const shared_arrays shared = lay_out(cut);
  const auto slot = [&](std::int64_t s) {
    bump at(shared.states + s * state_bytes);
    return layout.take_states(at);
  };
  const auto place_of = [&](int worker) {
    bump at(memory.data() + shared_size.bytes() + static_cast<std::size_t>(worker) * worker_size.bytes());
    return place(at, layout);
  };

  shared.ends[0] = 0;
  for (std::int64_t u = 0; u < units; ++u) {
    const key_range range = call.rows(u, place_of(0).arrays).range();
    shared.first[u] = range.first / rows_type::chunk;
    const std::int64_t last = (range.last + rows_type::chunk - 1) / rows_type::chunk;
    shared.ends[u + 1] = shared.ends[u] + std::max<std::int64_t>(0, last - shared.first[u]);
  }
  for (std::int64_t s = 0; s < slots; ++s) clear_states(layout, 0, layout.rows, slot(s));

  const std::int64_t parts = layout.lane_rows() / lanes;  // rows of a unit that are joined by different workers
  std::int64_t unit = 0;                                  // the first that is not finished
  int carried = 0;                                        // where its states are, if it has begun
  for (std::int64_t begin = 0; unit < units; begin += slots) {
    const std::int64_t end = std::min(begin + slots, shared.ends[units]);
    const std::int64_t run = std::clamp<std::int64_t>((end - begin) / (4 * workers), 1, 8);  // chunks that queries are packed for
    exec.for_each((end - begin + run - 1) / run, [&](int worker, std::int64_t item) {
      const place mine = place_of(worker);
      std::int64_t at = begin + item * run;
      const std::int64_t stop = std::min(at + run, end);
      for (std::int64_t u = unit; at < stop; ++u) {
        if (shared.ends[u + 1] <= at) continue;
        rows_type rows = call.rows(u, mine.arrays);
        rows.pack();
        while (at < std::min(stop, shared.ends[u + 1])) {
          const std::int64_t left = std::min(stop, shared.ends[u + 1]) - at;
          const int n = static_cast<int>(std::min<std::int64_t>(layout.at_once(), left));
          const unsigned folded =
              rows.fold(shared.first[u] + at - shared.ends[u], n, [&](int a) { return slot(at - begin + a); });
          for (int a = 0; a < n; ++a, ++at) shared.folded[at - begin] = (folded >> a & 1U) != 0;
        }
      }
    });
    // The units that end in this wave, and then the one that does not.
    std::int64_t next = unit;
    while (next < units && shared.ends[next + 1] <= end) ++next;
    const bool goes_on = next < units && shared.ends[next] < end;
    const bool begins = goes_on && shared.ends[next] >= begin;
    const double operations = static_cast<double>((end - begin) * layout.rows * layout.row_size());
    tessera::detail::for_each_worth(
        exec, operations, (next - unit + (goes_on ? 1 : 0)) * parts, [&](int worker, std::int64_t item) {
          const std::int64_t u = unit + item / parts;
          const place mine = place_of(worker);
          const rows_type rows = call.rows(u, mine.arrays);
          const std::int64_t first = item % parts * lanes;
          const std::int64_t last = std::min(first + lanes, rows.count());
          if (first >= last) return;
          const bool began = shared.ends[u] < begin;
          const row_states<T>& all = began ? shared.carried[carried] : u == next ? shared.carried[1 - carried] : mine.all;
          if (!began) clear_states(layout, first, last, all);
          for (std::int64_t at = std::max(begin, shared.ends[u]); at < std::min(end, shared.ends[u + 1]); ++at) {
            if (shared.folded[at - begin]) join_states(layout, first, last, all, slot(at - begin));
          }
          if (u < next) rows.finish(all, first, last, store, emit);
        });
    unit = next;
    if (begins) carried = 1 - carried;
  }
}

/// As run_forward, with the same bits.
template <class T, class Exec, class Q, class K, class V, class Mask, class Score, class Accumulation, class Store, class Emit>
void run_few_queries(const Exec& exec, const sequences<Q, K, V>& x, const sequence_list& list, double scale,
                     const options<Mask, Score, Accumulation>& wanted, const Store& store, const Emit& emit) {
  using heads_type = few_heads<T, Mask, Score, Accumulation>;
  const heads_type heads{wanted, scale};
  few_call<T, typename Exec::arch, Q, K, V, heads_type> call(x, list, heads);
  if (call.units == 0) return;
  // Where there are units for everybody, nobody waits for anybody.
  if (exec.workers() == 1 || call.units >= 4 * exec.workers()) {
    fold_whole_units<T>(exec, call, store, emit);
  } else {
    fold_split_units<T>(exec, call, store, emit);
  }
}

}  // namespace tessera::attention::detail
