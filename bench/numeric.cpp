// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// numeric/ in bulk: conversions between storage types, in the first and second level caches and in memory.
#include "tessera/numeric.hpp"

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
  return numeric.run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_numeric: %s\n", error.what());
  return 1;
}
