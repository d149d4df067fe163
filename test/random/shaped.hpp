// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What every fill of a distribution with parameters must do: repeat the single value, on any view, with any executor, in any pieces.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tessera/exec/exec.hpp"
#include "tessera/tile/view.hpp"

namespace random_test {

/// Runs the items last to first, as threads may.
struct backwards {
  template <class F>
  void for_each(std::int64_t items, F f) const {
    for (std::int64_t item = items; item-- > 0;) f(0, item);
  }
};

template <class T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// FNV-1a over the bytes in memory order of little-endian machines.
template <class T>
std::uint64_t hash(const std::vector<T>& x) {
  std::uint64_t h = 14695981039346656037u;
  for (std::size_t i = 0; i < x.size() * sizeof(T); ++i) {
    h = (h ^ reinterpret_cast<const unsigned char*>(x.data())[i]) * 1099511628211u;
  }
  return h;
}

/// `fill(exec, out, first)` and `one(index)` give the same bits: for ranges that begin and end inside groups and chunks and wrap, in
/// pieces, backwards, in threads, and on strided views, whose gaps stay as they are.
template <class T, class Fill, class One>
void check_fill(Fill fill, One one, std::size_t most = 9000) {
  using tessera::view;
  for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{257}, most}) {
    for (const std::uint64_t first :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{255}, (std::uint64_t{1} << 34) - 70, ~std::uint64_t{0} - 100}) {
      if (n == most && first != 255) continue;
      std::vector<T> x(n);
      fill(tessera::seq, view(x.data(), n), first);
      std::size_t differing = 0;
      for (std::size_t i = 0; i < n; i += n > 700 ? 7 : 1) differing += !same_bits(x[i], static_cast<T>(one(first + i)));
      BOOST_TEST(differing == 0u, "n " << n << ", first " << first << ": " << differing << " differ");
    }
  }
  std::vector<T> want(most);
  fill(tessera::seq, view(want.data(), most), 5);
  const auto again = [&](const auto& exec) {
    std::vector<T> x(most);
    fill(exec, view(x.data(), most), 5);
    BOOST_TEST(same_bits(x, want));
  };
  again(tessera::par.threads(3));
  again(backwards{});
  std::vector<T> pieces(most);
  for (std::size_t end = most; end > 0;) {
    const std::size_t begin = end > 1999 ? end - 1999 : 0;
    fill(tessera::seq, view(pieces.data() + begin, end - begin), 5 + begin);
    end = begin;
  }
  BOOST_TEST(same_bits(pieces, want));
  // A matrix of 3-element rows in memory of 5, its columns reversed in steps of one.
  const auto rows = static_cast<std::int64_t>(most / 3);
  std::vector<T> memory(static_cast<std::size_t>(rows) * 5, static_cast<T>(77));
  fill(tessera::seq, view<T, 2>(memory.data() + 2, {rows, 3}, {5, -1}), 5);
  std::size_t differing = 0;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const std::size_t column = i % 5;
    differing += !same_bits(memory[i], column < 3 ? want[i / 5 * 3 + 2 - column] : static_cast<T>(77));
  }
  BOOST_TEST(differing == 0u);
}

}  // namespace random_test
