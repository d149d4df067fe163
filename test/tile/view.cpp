// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/tile/view.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "../support/random.hpp"

namespace {

using tessera::view;

/// 0, 1, 2 … so that an element tells its offset.
std::vector<int> iota(int n) {
  std::vector<int> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

/// Shaped like std::mdspan with layout_left and 32-bit extents: nothing of it is ours.
template <class T>
class column_major {
 public:
  using element_type = T;
  using index_type = int;

  column_major(T* data, int rows, int columns) : data_(data), extents_{rows, columns} {}
  static constexpr std::size_t rank() { return 2; }
  T* data_handle() const { return data_; }
  index_type extent(std::size_t r) const { return extents_[r]; }
  index_type stride(std::size_t r) const { return r == 0 ? 1 : extents_[0]; }

 private:
  T* data_;
  std::array<index_type, 2> extents_;
};

/// Like an mdspan whose accessor gives a proxy, as packed bits do: no pointer, so no view.
struct packed_bits {
  using element_type = bool;
  struct handle {
    bool operator*() const { return true; }
  };
  static constexpr std::size_t rank() { return 1; }
  handle data_handle() const { return {}; }
  std::int64_t extent(std::size_t) const { return 1; }
  std::int64_t stride(std::size_t) const { return 1; }
};

static_assert(tessera::mdspan_like<column_major<float>> && tessera::mdspan_like<view<const float, 3>>);
static_assert(!tessera::mdspan_like<packed_bits> && !tessera::mdspan_like<float*> && !tessera::mdspan_like<std::vector<float>>);
static_assert(std::is_convertible_v<view<float, 2>, view<const float, 2>>);
static_assert(!std::is_convertible_v<view<const float, 2>, view<float, 2>>, "constness is kept");
static_assert(!std::is_convertible_v<view<float, 2>, view<const double, 2>>, "no element type becomes another");
static_assert(!std::is_convertible_v<view<float, 2>, view<float, 3>>, "no rank becomes another");
static_assert(!std::is_constructible_v<view<float, 2>, float*, int>, "one extent an axis");
static_assert(std::is_trivially_copyable_v<view<float, 4>>, "views are passed to kernels by value");
static_assert(std::is_same_v<tessera::value_type_of<view<const float, 2>>, float>);

/// The text of the argument_error that f throws; empty if it throws none.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const tessera::argument_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tile_view)

BOOST_AUTO_TEST_CASE(contiguous_is_row_major) {
  const auto numbers = iota(2 * 3 * 4);
  const view v(numbers.data(), 2, 3, std::int64_t{4});
  static_assert(std::is_same_v<decltype(v), const view<const int, 3>>);
  BOOST_TEST(v.size() == 24);
  BOOST_TEST(v.stride(0) == 12);
  BOOST_TEST(v.stride(1) == 4);
  BOOST_TEST(v.stride(2) == 1);
  BOOST_TEST(v(1, 2, 3) == 23);
  BOOST_TEST(v(1, 0, 2) == 14);
}

BOOST_AUTO_TEST_CASE(brackets_fix_the_first_axis) {
  const auto numbers = iota(2 * 3 * 4);
  const view v(numbers.data(), 2, 3, 4);
  const view<const int, 2> matrix = v[1];
  const view<const int, 1> row = v[1][2];
  BOOST_TEST(matrix.extent(0) == 3);
  BOOST_TEST(matrix.extent(1) == 4);
  BOOST_TEST(matrix(2, 1) == 21);
  BOOST_TEST(row.extent(0) == 4);
  BOOST_TEST(row(3) == 23);
}

BOOST_AUTO_TEST_CASE(strides_may_be_anything) {
  const auto numbers = iota(24);
  const view<const int, 2> padded(numbers.data(), {3, 4}, {8, 1});
  BOOST_TEST(padded(2, 3) == 19);
  const view<const int, 2> transposed(numbers.data(), {4, 6}, {1, 4});
  BOOST_TEST(transposed(3, 5) == 23);
  const view<const int, 2> upside_down(numbers.data() + 20, {6, 4}, {-4, 1});
  BOOST_TEST(upside_down(0, 0) == 20);
  BOOST_TEST(upside_down(5, 3) == 3);
  BOOST_TEST(upside_down[4](1) == 5);
  const view<const int, 2> broadcast(numbers.data(), {5, 4}, {0, 1});
  BOOST_TEST(broadcast(4, 2) == 2);
}

BOOST_AUTO_TEST_CASE(extents_and_offsets_are_64_bit) {
  char byte = 0;
  const view<char, 2> huge(&byte, std::int64_t{1} << 20, std::int64_t{1} << 20);
  BOOST_TEST(huge.size() == std::int64_t{1} << 40);
  BOOST_TEST((huge[(1 << 20) - 1].data_handle() - &byte) == ((std::int64_t{1} << 20) - 1) << 20);
}

BOOST_AUTO_TEST_CASE(a_default_view_is_empty) {
  const view<int, 2> v;
  BOOST_TEST(v.size() == 0);
  BOOST_TEST(v.data_handle() == nullptr);
}

BOOST_AUTO_TEST_CASE(works_in_constant_expressions) {
  static constexpr int numbers[] = {1, 2, 3, 4, 5, 6};
  constexpr view<const int, 2> v(numbers, 2, 3);
  static_assert(v(1, 1) == 5 && v[1](2) == 6 && v.size() == 6);
  BOOST_TEST(v(1, 2) == 6);
}

BOOST_AUTO_TEST_CASE(adopts_what_is_shaped_like_mdspan) {
  auto numbers = iota(6);
  const column_major<int> theirs(numbers.data(), 2, 3);
  const view<const int, 2> ours = theirs;
  BOOST_TEST(ours.extent(0) == 2);
  BOOST_TEST(ours.extent(1) == 3);
  BOOST_TEST(ours(1, 2) == 5);
  BOOST_TEST(ours(0, 1) == 2);
  static_assert(!std::is_convertible_v<column_major<const int>, view<int, 2>>);
  static_assert(!std::is_convertible_v<column_major<int>, view<int, 3>>);
}

BOOST_AUTO_TEST_CASE(elements_can_be_written) {
  auto numbers = iota(6);
  const view<int, 2> v(numbers.data(), 2, 3);
  v(1, 0) = 50;
  BOOST_TEST(numbers[3] == 50);
}

BOOST_AUTO_TEST_CASE(overlap_is_of_elements) {
  auto numbers = iota(100);
  int* const p = numbers.data();
  using tessera::detail::overlap;
  BOOST_TEST(overlap(view<int, 1>(p, 10), view<int, 1>(p + 9, 10)));
  BOOST_TEST(!overlap(view<int, 1>(p, 10), view<int, 1>(p + 10, 10)));
  BOOST_TEST(!overlap(view<int, 1>(p + 10, 10), view<int, 1>(p, 10)));
  // Backwards, from p[20] to p[11] and from p[29] or p[30] on.
  BOOST_TEST(!overlap(view<int, 1>(p + 20, {10}, {-1}), view<int, 1>(p + 1, 10)));
  BOOST_TEST(overlap(view<int, 1>(p + 20, {10}, {-1}), view<int, 1>(p + 2, 10)));
  BOOST_TEST(overlap(view<int, 1>(p + 29, {10}, {-1}), view<int, 2>(p, 3, 7)));
  BOOST_TEST(!overlap(view<int, 1>(p + 30, {10}, {-1}), view<int, 2>(p, 3, 7)));
  // Between one another: columns of one matrix; queries, keys and values in rows of all three.
  BOOST_TEST(!overlap(view<int, 2>(p, {10, 5}, {10, 1}), view<int, 2>(p + 5, {10, 5}, {10, 1})));
  BOOST_TEST(!overlap(view<int, 2>(p + 5, {10, 5}, {10, 1}), view<int, 2>(p, {10, 5}, {10, 1})));
  BOOST_TEST(overlap(view<int, 2>(p, {10, 6}, {10, 1}), view<int, 2>(p + 5, {10, 5}, {10, 1})));
  BOOST_TEST(overlap(view<int, 2>(p, {10, 5}, {10, 1}), view<int, 2>(p + 5, {10, 5}, {9, 1})));
  const auto part = [&](int which) { return view<int, 4>(p + 8 * which, {2, 2, 2, 4}, {48, 4, 24, 1}); };
  BOOST_TEST(!overlap(part(0), part(1)));
  BOOST_TEST(!overlap(part(2), part(1)));
  BOOST_TEST(overlap(part(1), part(1)));
  // Other element types and ranks.
  char* const bytes = reinterpret_cast<char*>(p);
  BOOST_TEST(overlap(view<char, 1>(bytes + 39, 1), view<int, 1>(p, 10)));
  BOOST_TEST(!overlap(view<char, 1>(bytes + 40, 1), view<int, 1>(p, 10)));
  // Nothing overlaps an empty view, wherever it lies.
  BOOST_TEST(!overlap(view<int, 2>(p + 5, 0, 4), view<int, 1>(p, 10)));
  BOOST_TEST(!overlap(view<int, 1>(p, 10), view<int, 2>(p + 5, 4, 0)));
}

// Against the elements themselves: whoever is said to lie apart does. The other way it may be wrong, but not for blocks of one period.
BOOST_AUTO_TEST_CASE(what_lies_apart_shares_no_byte) {
  using tessera::detail::overlap;
  std::vector<unsigned char> memory(40000);
  std::int64_t apart = 0;
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    const auto pick = [&](std::uint64_t k, std::int64_t n) { return support::below(seed, k, n); };
    const auto make = [&](auto* base, std::uint64_t k) {
      std::int64_t extents[3];
      std::int64_t strides[3];
      const std::int64_t step = 1 + pick(k, 3);
      for (int r = 0; r < 3; ++r) {
        const auto salt = k + 10 + static_cast<std::uint64_t>(r);
        extents[r] = 1 + pick(salt, 4);
        strides[r] = (r == 2 ? pick(salt + 20, 3) : step * pick(salt + 20, 9)) * (pick(salt + 30, 4) == 0 ? -1 : 1);
      }
      using T = std::remove_pointer_t<decltype(base)>;
      return view<T, 3>(base + 2000 + pick(k + 5, 24), {extents[0], extents[1], extents[2]},
                        {strides[0], strides[1], strides[2]});
    };
    const auto compare = [&](const auto& a, const auto& b) {
      std::set<const unsigned char*> bytes;
      const auto each = [](const auto& v, auto f) {
        for (std::int64_t i = 0; i < v.extent(0); ++i) {
          for (std::int64_t j = 0; j < v.extent(1); ++j) {
            for (std::int64_t k = 0; k < v.extent(2); ++k) {
              const auto* const first = reinterpret_cast<const unsigned char*>(&v(i, j, k));
              for (std::size_t byte = 0; byte < sizeof(v(i, j, k)); ++byte) f(first + byte);
            }
          }
        }
      };
      each(a, [&](const unsigned char* x) { bytes.insert(x); });
      bool shared = false;
      each(b, [&](const unsigned char* x) { shared = shared || bytes.count(x) > 0; });
      BOOST_REQUIRE(!shared || overlap(a, b));
      BOOST_REQUIRE_EQUAL(overlap(a, b), overlap(b, a));
      apart += overlap(a, b) ? 0 : 1;
    };
    auto* const ints = reinterpret_cast<int*>(memory.data());
    auto* const shorts = reinterpret_cast<short*>(memory.data());
    compare(make(ints, 0), make(ints, 100));
    compare(make(ints, 200), make(shorts, 300));
  }
  BOOST_TEST(apart > 1000);
}

BOOST_AUTO_TEST_CASE(errors_say_what_was_got_and_what_is_needed) {
  using tessera::detail::check_disjoint;
  using tessera::detail::check_operand;
  auto numbers = iota(24);
  int* const p = numbers.data();
  const auto check = [](const auto& v) { return error_of([&] { check_operand(v, "matmul", "a"); }); };

  BOOST_TEST(check(view<int, 2>(p, 4, 6)) == "");
  BOOST_TEST(check(view<int, 2>(p + 18, {4, 6}, {-6, 1})) == "", "rows may run backwards");
  BOOST_TEST(check(view<int, 2>(p, {4, 6}, {0, 1})) == "", "rows may be one and the same");
  BOOST_TEST(check(view<int, 2>()) == "", "nothing to read needs no data");
  BOOST_TEST(check(view<int, 2>(p, {6, 1}, {4, 4})) == "", "a single column is contiguous whatever its stride");
  BOOST_TEST(check(view<int, 2>(p, 3, -1)) == "matmul: a: shape [3, -1]; needs extents of at least 0");
  BOOST_TEST(check(view<int, 3>(nullptr, 2, 3, 4)) == "matmul: a: null data of shape [2, 3, 4]; needs a pointer to its elements");
  BOOST_TEST(check(view<int, 2>(p, {4, 3}, {6, 2})) ==
             "matmul: a: innermost stride 2; needs contiguous rows (innermost stride 1)");

  const view<const int, 1> in(p, 10);
  BOOST_TEST(error_of([&] { check_disjoint(view<int, 1>(p + 9, 5), in, "matmul", "c", "a"); }) ==
             "matmul: c: overlaps a; needs memory of its own");
  BOOST_TEST(error_of([&] { check_disjoint(view<int, 1>(p + 10, 5), in, "matmul", "c", "a"); }) == "");
}

BOOST_AUTO_TEST_SUITE_END()
