// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// One type for every mask, chosen at run time: a call is compiled once for all of them.
#pragma once

#include <cstdint>
#include <variant>

#include "tessera/attention/mask.hpp"

namespace any {

/// What becomes of two masks; `first` is the first alone.
enum class join : std::uint8_t { first, both, either, inverted };

namespace detail {

namespace attention = tessera::attention::detail;

/// One of the library's masks of a head.
struct one_head {
  std::variant<tessera::band_mask, attention::document_mask<int>, attention::tree_mask, attention::dense_pairs<std::uint8_t>> is;

  [[nodiscard]] tessera::key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    return std::visit([&](const auto& mask) { return mask.keys(i0, i1, n_keys); }, is);
  }
  [[nodiscard]] tessera::tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    return std::visit([&](const auto& mask) { return mask.classify(i0, i1, j0, j1); }, is);
  }
  template <class I>
  [[nodiscard]] auto visible(I i, I j) const {
    return std::visit([&](const auto& mask) { return mask.visible(i, j); }, is);
  }
};

/// Two of them, joined by the library's rules.
struct head {
  one_head a;
  one_head b;
  join how;

  template <class F>
  auto joined(const F& f) const {
    namespace library = tessera::attention::detail;
    switch (how) {
      case join::both:
        return f(library::joined_mask<library::join::both, const one_head&, const one_head&>{a, b});
      case join::either:
        return f(library::joined_mask<library::join::either, const one_head&, const one_head&>{a, b});
      case join::inverted:
        return f(library::inverted_mask<const one_head&>{a});
      default:
        return f(a);
    }
  }
  [[nodiscard]] tessera::key_range keys(std::int64_t i0, std::int64_t i1, std::int64_t n_keys) const {
    return joined([&](const auto& mask) { return mask.keys(i0, i1, n_keys); });
  }
  [[nodiscard]] tessera::tile_class classify(std::int64_t i0, std::int64_t i1, std::int64_t j0, std::int64_t j1) const {
    return joined([&](const auto& mask) { return mask.classify(i0, i1, j0, j1); });
  }
  /// Out of line: what a mask makes of packs is not asked for by the tiles' code again and again.
  template <class I>
  [[nodiscard]] [[gnu::noinline]] auto visible(I i, I j) const {
    return joined([&](const auto& mask) { return mask.visible(i, j); });
  }
};

}  // namespace detail

using one_mask = std::variant<tessera::attention::band, tessera::attention::documents<int>, tessera::attention::tree,
                              tessera::attention::dense_mask<std::uint8_t>>;

struct mask {
  one_mask a = tessera::attention::everything;
  one_mask b = tessera::attention::everything;
  join how = join::first;

  [[nodiscard]] detail::head head(std::int64_t batch, std::int64_t h, std::int64_t len_q, std::int64_t len_k) const {
    const auto of = [&](const one_mask& m) {
      return std::visit([&](const auto& one) { return detail::one_head{one.head(batch, h, len_q, len_k)}; }, m);
    };
    return {of(a), of(b), how};
  }
  void check(const char* function, const tessera::attention::sizes& s) const {
    std::visit([&](const auto& one) { one.check(function, s); }, a);
    if (how == join::both || how == join::either) std::visit([&](const auto& one) { one.check(function, s); }, b);
  }
};

}  // namespace any
