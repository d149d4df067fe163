// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// numeric/ in bulk: conversions between storage types, in the first and second level caches and in memory; arithmetic and text of the
/// 16-bit types.
#include "tessera/numeric.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/harness.hpp"
#include "tessera/tile/convert.hpp"
#include "tessera/tile/convert_stochastic.hpp"

namespace {

using bench::array;
using bench::contest;
using tessera::bfloat16;
using tessera::float16;
using tessera::float8_e4m3;
using tessera::float8_e5m2;

constexpr std::int64_t sizes[] = {std::int64_t{1} << 12, std::int64_t{1} << 16, std::int64_t{1} << 26};

std::string size_name(std::int64_t n) { return n < 1 << 20 ? std::to_string(n >> 10) + " Ki" : std::to_string(n >> 20) + " Mi"; }

/// The share of elements that are not the one nearest to theirs.
template <class From, class To>
double wrong(const array<From, 1>& in, const array<To, 1>& out) {
  std::int64_t bad = 0;
  for (std::int64_t i = 0; i < in.size(); ++i) {
    const To want = static_cast<To>(in(i));
    bad += std::memcmp(&want, &out(i), sizeof(To)) != 0 ? 1 : 0;
  }
  return static_cast<double>(bad) / static_cast<double>(in.size());
}

template <class T>
std::string type_name() {
  return peers::flat::name<T>();
}

template <class From, class To>
void add_convert(bench::family& numeric) {
  for (const std::int64_t n : sizes) {
    const std::string name = std::string(peers::flat::name<From>()) + " to " + peers::flat::name<To>() + " " + size_name(n);
    const double bytes = static_cast<double>(n) * (sizeof(From) + sizeof(To));
    const auto body = [=](contest& c) {
      const auto in = bench::normal<From>(1, n);
      array<To, 1> out(n);
      c.result(out, [&] { return wrong(in, out); });
      c.tessera([&] { tessera::convert(c.par, in, out); });
      if (c.threads == 1) c.peer("Eigen", peers::eigen_cast(in, out));
      if (n > sizes[0]) {
        if (c.threads == 1) c.peer("numkong", peers::python_cast("numkong", 1, in, out));
        if (c.threads == 1) c.peer("numpy", peers::python_cast("numpy", 1, in, out));
        c.peer("torch", peers::python_cast("torch", c.threads, in, out));
      }
      c.run();
    };
    if (n == sizes[2]) {
      numeric.add({name, bytes, machine::resource::copy}, body);
    } else {
      numeric.add({name, bytes, machine::resource::copy}, body, {1});
    }
  }
}

template <class To>
void add_stochastic(bench::family& numeric) {
  for (const std::int64_t n : sizes) {
    const std::string name = std::string("float32 to ") + peers::flat::name<To>() + " stochastic " + size_name(n);
    numeric.add({name, static_cast<double>(n) * (sizeof(float) + sizeof(To)), machine::resource::copy},
                [=](contest& c) {
                  const auto in = bench::normal<float>(1, n);
                  array<To, 1> out(n);
                  c.result(out, [&] {
                    double sum = 0;  // the mean of the errors in units of the numbers' size: rounding is without bias
                    for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(out(i)) - static_cast<double>(in(i));
                    return std::abs(sum / static_cast<double>(n));
                  });
                  c.tessera([&] { tessera::convert_stochastic(c.par, in, out, 1, 2); });
                  c.peer("nobody", {});
                  c.run();
                },
                {1});
  }
}

/// out[i] = f(in[i]...) as one writes it over arrays without a stride, which is what compilers make SIMD code of.
template <class T, class F, class... In>
void plain_loop(array<T, 1>& out, const F& f, const array<In, 1>&... in) {
  const auto loop = [n = out.size(), &f](T* TESSERA_RESTRICT to, const In*... from) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = f(from[i]...);
  };
  loop(out.data_handle(), in.data_handle()...);
}

/// float32 to T in another way than to nearest with ties to even. Wrong is a result that is no neighbour of x, or that it may not be.
template <class T>
void add_rounded(bench::family& numeric, const std::string& how, const auto& job, const auto& may_be) {
  constexpr std::int64_t n = sizes[1];
  numeric.add({"float32 to " + type_name<T>() + " " + how + " " + size_name(n),
               static_cast<double>(n) * (sizeof(float) + sizeof(T)), machine::resource::copy},
              [=](contest& c) {
                const auto in = bench::normal<float>(1, n);
                array<T, 1> out(n);
                c.result(out, [&] {
                  std::int64_t bad = 0;
                  for (std::int64_t i = 0; i < n; ++i) {
                    const auto y = static_cast<float>(out(i));
                    const bool neighbour = static_cast<float>(tessera::next_down(out(i))) < in(i) &&
                                           static_cast<float>(tessera::next_up(out(i))) > in(i);
                    bad += neighbour && may_be(in(i), y) ? 0 : 1;
                  }
                  return static_cast<double>(bad) / static_cast<double>(n);
                });
                c.tessera([&] { job(c.par, in, out); });
                c.peer("nobody", {});
                c.run();
              },
              {1});
}

template <class T>
void add_modes(bench::family& numeric) {
  using tessera::rounding;
  const auto loop = []<rounding Mode>() {
    return [](const auto&, const auto& in, auto& out) {
      plain_loop(out, [](float x) { return tessera::round_to<T, Mode>(x); }, in);
    };
  };
  const auto any = [](float, float) { return true; };
  add_rounded<T>(numeric, "away", loop.template operator()<rounding::nearest_away>(), any);
  add_rounded<T>(numeric, "toward zero", loop.template operator()<rounding::toward_zero>(),
                 [](float x, float y) { return std::abs(y) <= std::abs(x); });
  add_rounded<T>(numeric, "upward", loop.template operator()<rounding::upward>(), [](float x, float y) { return y >= x; });
  add_rounded<T>(numeric, "downward", loop.template operator()<rounding::downward>(), [](float x, float y) { return y <= x; });
  add_rounded<T>(numeric, "to odd", loop.template operator()<rounding::to_odd>(), any);
  add_rounded<T>(
      numeric, "saturating",
      [](const auto& par, const auto& in, auto& out) {
        tessera::convert(par, in, out, {.overflow = tessera::overflow::saturate});
      },
      any);
}

/// out[i] = a[i] * b[i] + c[i] and sqrt(a[i]) in plain loops: ours rounds once, what others do is told by their share of wrong results.
template <class T>
void add_arithmetic(bench::family& numeric) {
  constexpr std::int64_t n = sizes[1];
  constexpr double told = 0.99;
  const auto size = static_cast<double>(n);
  numeric.add({"fma " + type_name<T>() + " " + size_name(n), 4 * size * sizeof(T), machine::resource::copy, size},
              [=](contest& c) {
                const auto x = bench::normal<T>(1, n);
                const auto y = bench::normal<T>(2, n);
                const auto z = bench::normal<T>(3, n);
                array<double, 1> exact(n);
                for (std::int64_t i = 0; i < n; ++i) {
                  exact(i) = static_cast<double>(x(i)) * static_cast<double>(y(i)) + static_cast<double>(z(i));
                }
                array<T, 1> out(n);
                c.result(out, [&] { return wrong(exact, out); }, told);
                c.tessera([&] { plain_loop(out, [](T a, T b, T d) { return tessera::fma(a, b, d); }, x, y, z); });
                c.peer("Eigen", peers::eigen_fma(x, y, z, out));
                c.peer("torch", peers::python_fma("torch", 1, x, y, z, out));
                c.run();
              },
              {1});
  numeric.add({"sqrt " + type_name<T>() + " " + size_name(n), 2 * size * sizeof(T), machine::resource::copy, size},
              [=](contest& c) {
                auto x = bench::normal<T>(1, n);
                array<double, 1> exact(n);
                for (std::int64_t i = 0; i < n; ++i) {
                  x(i) = abs(x(i));
                  exact(i) = std::sqrt(static_cast<double>(x(i)));
                }
                array<T, 1> out(n);
                c.result(out, [&] { return wrong(exact, out); }, told);
                c.tessera([&] { plain_loop(out, [](T a) { return tessera::sqrt(a); }, x); });
                c.peer("Eigen", peers::eigen_map("sqrt", x, out));
                c.peer("numpy", peers::python_map("numpy", 1, "sqrt", x, out));
                c.peer("torch", peers::python_map("torch", 1, "sqrt", x, out));
                c.run();
              },
              {1});
}

/// The shortest texts of numbers, and numbers of their texts. The standard's are those of the number as a float, with the digits that
/// a float needs, and back through a float, which rounds twice.
template <class T>
void add_text(bench::family& numeric) {
  constexpr std::int64_t n = sizes[0];
  constexpr std::int64_t room = 16;
  const auto size = static_cast<double>(n);
  using text = array<char, 1>;
  const auto write = [](const auto& x, text& out) {
    for (std::int64_t i = 0; i < n; ++i) {
      char* const first = out.data_handle() + room * i;
      using std::to_chars;
      *to_chars(first, first + room - 1, x(i)).ptr = 0;
    }
  };
  const auto read = [](const text& in, auto& out) {
    for (std::int64_t i = 0; i < n; ++i) {
      const char* const first = in.data_handle() + room * i;
      using std::from_chars;
      from_chars(first, first + std::strlen(first), out(i));
    }
  };
  numeric.add({"to_chars " + type_name<T>() + " " + size_name(n), size * (sizeof(T) + room), machine::resource::copy, size},
              [=](contest& c) {
                const auto x = bench::normal<T>(1, n);
                array<float, 1> wide(n);
                tessera::convert(c.par, x, wide);
                text out(room * n);
                c.result(out, [&] {
                  array<T, 1> back(n);
                  out(room * n - 1) = 0;
                  read(out, back);
                  return wrong(x, back);
                });
                c.tessera([&] { write(x, out); });
                c.peer("std, of float", peers::timed([&] { write(wide, out); }));
                c.run();
              },
              {1});
  numeric.add({"from_chars " + type_name<T>() + " " + size_name(n), size * (sizeof(T) + room), machine::resource::copy, size},
              [=](contest& c) {
                const auto x = bench::normal<T>(1, n);
                text in(room * n);
                write(x, in);
                array<float, 1> wide(n);
                array<T, 1> out(n);
                c.result(out, [&] { return wrong(x, out); });
                c.tessera([&] { read(in, out); });
                c.peer("std, of float, converted", peers::timed([&] {
                         read(in, wide);
                         tessera::convert(c.par, wide, out);
                       }));
                c.run();
              },
              {1});
}

}  // namespace

int main(int argc, char** argv) try {
  bench::family numeric("numeric");
  add_convert<float, float16>(numeric);
  add_convert<float16, float>(numeric);
  add_convert<float, bfloat16>(numeric);
  add_convert<bfloat16, float>(numeric);
  add_convert<float, float8_e4m3>(numeric);
  add_convert<float8_e4m3, float>(numeric);
  add_convert<float, float8_e5m2>(numeric);
  add_convert<float8_e5m2, float>(numeric);
  add_convert<double, float16>(numeric);
  add_convert<double, bfloat16>(numeric);
  add_stochastic<bfloat16>(numeric);
  add_stochastic<float16>(numeric);
  add_stochastic<float8_e4m3>(numeric);
  add_modes<float16>(numeric);
  add_modes<bfloat16>(numeric);
  add_arithmetic<float16>(numeric);
  add_arithmetic<bfloat16>(numeric);
  add_text<float16>(numeric);
  add_text<bfloat16>(numeric);
  return numeric.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_numeric: %s\n", error.what());
  return 1;
}
