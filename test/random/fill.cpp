// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/fill.hpp"

#include <algorithm>
#include <array>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tessera/exec/exec.hpp"
#include "tessera/numeric/bfloat16.hpp"
#include "tessera/numeric/float16.hpp"
#include "tessera/random.hpp"

using tessera::bfloat16;
using tessera::float16;
using tessera::par;
using tessera::seq;
using tessera::view;
namespace random_numbers = tessera::random;

using types = boost::mpl::list<float, double, float16, bfloat16>;

namespace {

/// Runs the items last to first, as threads may.
struct backwards {
  template <class F>
  void for_each(std::int64_t items, F f) const {
    for (std::int64_t item = items; item-- > 0;) f(0, item);
  }
};

// The fills and the single values that they must repeat.
struct uniform {
  template <class Exec, class Out>
  static void fill(const Exec& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first) {
    random_numbers::fill_uniform(exec, out, seed, stream, first);
  }
  template <class T>
  static T one(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return random_numbers::uniform<T>(seed, stream, index);
  }
};

struct uniform_open {
  template <class Exec, class Out>
  static void fill(const Exec& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first) {
    random_numbers::fill_uniform_open(exec, out, seed, stream, first);
  }
  template <class T>
  static T one(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return random_numbers::uniform_open<T>(seed, stream, index);
  }
};

struct normal {
  template <class Exec, class Out>
  static void fill(const Exec& exec, const Out& out, std::uint64_t seed, std::uint64_t stream, std::uint64_t first) {
    random_numbers::fill_normal(exec, out, seed, stream, first);
  }
  template <class T>
  static T one(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
    return random_numbers::normal<T>(seed, stream, index);
  }
};

template <class T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Elements around a view that must stay as they are.
template <class T>
T untouched() {
  return static_cast<T>(-77.0f);
}

template <class Numbers, class T>
std::vector<T> filled(std::size_t n, std::uint64_t seed, std::uint64_t stream, std::uint64_t first) {
  std::vector<T> x(n);
  Numbers::fill(seq, view(x.data(), n), seed, stream, first);
  return x;
}

/// Compares all of a view, in row-major order, with single values; and what lies between and around its elements with the filling.
template <class Numbers, class T, std::size_t Rank, class Exec>
void check_view(const Exec& exec, std::vector<T>& memory, const view<T, Rank>& out, std::uint64_t first) {
  std::fill(memory.begin(), memory.end(), untouched<T>());
  Numbers::fill(exec, out, 5, 6, first);
  std::vector<T> want(memory.size(), untouched<T>());
  for (std::int64_t i = 0; i < out.size(); ++i) {
    std::int64_t rest = i;
    std::int64_t offset = out.data_handle() - memory.data();
    for (std::size_t r = Rank; r-- > 0;) {
      offset += rest % out.extent(r) * out.stride(r);
      rest /= out.extent(r);
    }
    want[static_cast<std::size_t>(offset)] = Numbers::template one<T>(5, 6, first + static_cast<std::uint64_t>(i));
  }
  BOOST_TEST(same_bits(memory, want));
}

/// The text of the error that a call throws.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const tessera::argument_error& error) {
    return error.what();
  }
  return "no error";
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

}  // namespace

BOOST_AUTO_TEST_SUITE(random_fill)

template <class Numbers, class T>
void check_bulk_is_single() {
  // Sizes and starts around the group (256 or 128 elements) and the chunk (8192), and a start from which the index wraps.
  constexpr std::size_t sizes[] = {1, 2, 3, 5, 127, 128, 129, 255, 256, 257, 600, 8191, 8192, 8193, 17000};
  for (const std::size_t n : sizes) {
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{8190},
                                      (std::uint64_t{1} << 34) - 70, ~std::uint64_t{0} - 100}) {
      const std::vector<T> x = filled<Numbers, T>(n, 11, 22, first);
      std::size_t differing = 0;
      const std::size_t step = n > 700 ? 7 : 1;
      for (std::size_t i = 0; i < n; i += step) differing += !same_bits(x[i], Numbers::template one<T>(11, 22, first + i));
      BOOST_TEST(differing == 0u, "n " << n << ", first " << first << ": " << differing << " differ");
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single_uniform, T, types) { check_bulk_is_single<uniform, T>(); }
BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single_uniform_open, T, types) { check_bulk_is_single<uniform_open, T>(); }
BOOST_AUTO_TEST_CASE_TEMPLATE(bulk_is_single_normal, T, types) { check_bulk_is_single<normal, T>(); }

BOOST_AUTO_TEST_CASE_TEMPLATE(any_number_of_threads, T, types) {
  for (const std::size_t n : {std::size_t{100}, std::size_t{70001}}) {
    const std::vector<T> want = filled<normal, T>(n, 1, 2, 3);
    const auto check = [&](const auto& exec) {
      std::vector<T> x(n);
      normal::fill(exec, view(x.data(), n), 1, 2, 3);
      BOOST_TEST(same_bits(x, want));
    };
    for (const int threads : {1, 2, 3, 7}) check(par.threads(threads));
    check(par);
    check(backwards{});
  }
}

// A range filled in pieces, in any order, is the range filled at once.
BOOST_AUTO_TEST_CASE_TEMPLATE(any_split, T, types) {
  constexpr std::size_t n = 3000;
  const std::vector<T> whole = filled<normal, T>(n, 9, 8, 100);
  constexpr std::size_t pieces[] = {1, 3, 64, 257, 1999};
  for (const std::size_t piece : pieces) {
    std::vector<T> x(n);
    for (std::size_t begin = (n - 1) / piece * piece;; begin -= piece) {
      const std::size_t length = std::min(piece, n - begin);
      normal::fill(seq, view(x.data() + begin, length), 9, 8, 100 + begin);
      if (begin == 0) break;
    }
    BOOST_TEST(same_bits(x, whole));
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(shapes_and_strides, T, types) {
  std::vector<T> memory(40000, untouched<T>());
  T* const data = memory.data() + 20000;
  const auto check = [&](const auto& out) {
    check_view<normal>(seq, memory, out, 0);
    check_view<normal>(par.threads(3), memory, out, 5);
    check_view<uniform>(backwards{}, memory, out, 300);
  };
  check(view<T, 1>(data, 1000));
  check(view<T, 2>(data, 30, 40));
  check(view<T, 3>(data, 7, 1, 900));
  check(view<T, 5>(data, 3, 4, 5, 6, 7));
  check(view<T, 2>(data, {100, 90}, {91, 1}));              // rows with a gap
  check(view<T, 2>(data, {33, 50}, {1, 33}));               // transposed
  check(view<T, 1>(data, {3000}, {3}));                     // every third element
  check(view<T, 1>(data, {3000}, {-1}));                    // backwards
  check(view<T, 2>(data, {90, 100}, {-100, 1}));            // rows bottom up
  check(view<T, 3>(data, {5, 3, 3}, {-1000, 9, 2}));        // rows shorter than a block
  check(view<T, 4>(data, {4, 3, 5, 200}, {1, 4, 12, 60}));  // all axes reversed
  check(view<T, 3>(data, {1, 70, 1}, {0, 2, 0}));           // strides of axes of length 1 mean nothing
  check(view<T, 2>(data, {2, 9000}, {9001, 1}));            // rows longer than a chunk
  check(view<T, 1>(data, 1));
}

/// What a user's mdspan looks like.
struct foreign_span {
  using element_type = float;
  float* data;
  [[nodiscard]] float* data_handle() const { return data; }
  static constexpr std::size_t rank() { return 2; }
  [[nodiscard]] int extent(std::size_t r) const { return r == 0 ? 3 : 4; }
  [[nodiscard]] int stride(std::size_t r) const { return r == 0 ? 5 : 1; }
};

BOOST_AUTO_TEST_CASE(any_mdspan) {
  std::vector<float> x(15, -77.0f);
  random_numbers::fill_normal(seq, foreign_span{x.data()}, 1, 2);
  for (std::uint64_t i = 0; i < 15; ++i) {
    const float want = i % 5 == 4 ? -77.0f : random_numbers::normal<float>(1, 2, i / 5 * 4 + i % 5);
    BOOST_TEST(x[i] == want);
  }
}

// The bits of whole fills, the same for every compiler, instruction set and machine (of little endian).
BOOST_AUTO_TEST_CASE(golden_hashes) {
  BOOST_TEST((hash(filled<normal, float>(100000, 2024, 7, 3)) == 3943202569735831291u));
  BOOST_TEST((hash(filled<normal, double>(50000, 2024, 7, 3)) == 14973571021976513671u));
  BOOST_TEST((hash(filled<normal, float16>(10000, 2024, 7, 3)) == 12656838341723541147u));
  BOOST_TEST((hash(filled<normal, bfloat16>(10000, 2024, 7, 3)) == 1484216822561951011u));
  BOOST_TEST((hash(filled<uniform, float>(10000, 2024, 7, 3)) == 13864505227564680299u));
  BOOST_TEST((hash(filled<uniform, double>(10000, 2024, 7, 3)) == 16485897768960315413u));
}

BOOST_AUTO_TEST_CASE(nothing_to_fill) {
  float x = 3;
  random_numbers::fill_normal(seq, view<float, 1>(nullptr, 0), 1, 2);
  random_numbers::fill_uniform(par, view<float, 2>(&x, 0, 5), 1, 2);
  random_numbers::fill_uniform_open(par, view<float, 3>(&x, 5, 2, 0), 1, 2);
  random_numbers::fill_normal(seq, view<float, 2>(), 1, 2);
  BOOST_TEST(x == 3);
}

BOOST_AUTO_TEST_CASE(misuse) {
  std::vector<float> x(100, 3);
  const auto fill = [&](const auto& out) { return error_of([&] { random_numbers::fill_normal(par, out, 1, 2); }); };
  BOOST_TEST(fill(view<float, 2>(nullptr, 3, 4)) ==
             "random::fill_normal: out: null data of shape [3, 4]; needs a pointer to its elements");
  BOOST_TEST(fill(view<float, 1>(x.data(), -5)) == "random::fill_normal: out: shape [-5]; needs extents of at least 0");
  BOOST_TEST(fill(view<float, 2>(x.data(), -5, -5)) == "random::fill_normal: out: shape [-5, -5]; needs extents of at least 0");
  BOOST_TEST(fill(view<float, 2>(x.data(), 0, -5)) == "random::fill_normal: out: shape [0, -5]; needs extents of at least 0");
  BOOST_TEST(fill(view<float, 2>(x.data(), {5, 10}, {0, 1})) ==
             "random::fill_normal: out: stride 0 in shape [5, 10]; needs elements that do not lie on one another");
  BOOST_TEST(fill(view<float, 2>(x.data(), {2, 2}, {1, 1})) ==
             "random::fill_normal: out: stride 1 in shape [2, 2]; needs elements that do not lie on one another");
  BOOST_TEST(error_of([] {
               random_numbers::fill_uniform(seq, view<double, 1>(nullptr, 1), 1, 2);
             }).starts_with("random::fill_uniform: "));
  BOOST_TEST(error_of([] {
               random_numbers::fill_uniform_open(seq, view<double, 1>(nullptr, 1), 1, 2);
             }).starts_with("random::fill_uniform_open: "));
  BOOST_TEST((x == std::vector<float>(100, 3)));
}

BOOST_AUTO_TEST_SUITE_END()
