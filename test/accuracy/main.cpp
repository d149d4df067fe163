// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The largest error of every elementary function, for each instruction set, in units in the last place.
///
///   accuracy --measure [FUNCTION]   all 2^32 floats, or every seventh (functions.hpp), and 262144 doubles a function; prints the table of
///                                   docs/reference/accuracy.md
///   accuracy --check TABLE          a 1021st of those floats and 16384 doubles a function; fails where the table promises less, or says more than is
///                                   allowed: 1 ulp for exp, exp2 and log, 2 for the others
///
/// A function that is wrong by more than the table says fails the second; a table is only made by the first.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "functions.hpp"

namespace {

using accuracy::on_arrays;

struct instruction_set {
  const char* name;
  bool here;
  void (*floats)(int, const float*, float*, std::int64_t);
  void (*doubles)(int, const double*, double*, std::int64_t);
};

template <class Arch>
instruction_set set_of(const char* name, bool here) {
  return {name, here, on_arrays<Arch>::apply, on_arrays<Arch>::apply};
}

const std::vector<instruction_set>& sets() {
  static const std::vector<instruction_set> all{
      set_of<xsimd::sse2>("x86-64", true),
      set_of<xsimd::fma3<xsimd::avx2>>("x86-64-v3", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")),
      set_of<xsimd::avx512bw>("x86-64-v4", __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")),
  };
  return all;
}

struct worst {
  double error = 0;
  double at = 0;
  void see(double e, double x) {
    if (!(e <= error)) {
      error = e;
      at = x;
    }
  }
  void see(const worst& other) { see(other.error, other.at); }
};

constexpr std::int64_t block = 4096;

struct alignas(64) floats {
  float x[block];
  double want[block];
  float got[block];
};

/// |got - want| / ulp(want) of a float result, infinite where only one of them is NaN or a finite number too large is not infinite.
double error_of(float got, double want) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : HUGE_VAL;
  const auto nearest = static_cast<float>(want);
  if (std::isinf(nearest) || std::isinf(got)) return nearest == got ? 0 : HUGE_VAL;
  const int exponent = std::max(std::ilogb(want), -126);
  return std::fabs(static_cast<double>(got) - want) * std::ldexp(1.0, 23 - exponent);
}

/// The largest of these over a block. Finite blocks take a loop that compilers turn into SIMD code.
worst error_of(const floats& b) {
  double errors[block];
  bool plain = true;
  for (std::int64_t i = 0; i < block; ++i) {
    const auto bits = std::bit_cast<std::uint64_t>(b.want[i]) & 0x7ff0000000000000u;
    const std::uint64_t exponent = bits > 0x3810000000000000u ? bits : 0x3810000000000000u;  // at least that of 2^-126
    const auto to_ulp = std::bit_cast<double>(0x7fe0000000000000u + (std::uint64_t{23} << 52) - exponent);  // 2^(1023 + 23 - e)
    errors[i] = std::fabs(static_cast<double>(b.got[i]) - b.want[i]) * to_ulp;
    plain &= errors[i] < 1e30 && bits < 0x47e0000000000000u;  // below 2^127
  }
  worst w;
  if (plain) {
    const auto largest = std::max_element(errors, errors + block) - errors;
    w.see(errors[largest], static_cast<double>(b.x[largest]));
    return w;
  }
  for (std::int64_t i = 0; i < block; ++i) w.see(error_of(b.got[i], b.want[i]), static_cast<double>(b.x[i]));
  return w;
}

/// Every `stride`-th float on all processors.
std::vector<worst> over_floats(int function, std::uint64_t stride) {
  const std::uint64_t count = ((std::uint64_t{1} << 32) + stride - 1) / stride;
  const std::uint64_t blocks = (count + block - 1) / block;
  const unsigned team = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::vector<worst>> results(team, std::vector<worst>(sets().size()));
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < team; ++t) {
    threads.emplace_back([&, t] {
      const auto b = std::make_unique<floats>();
      for (std::uint64_t k = t; k < blocks; k += team) {
        for (std::int64_t i = 0; i < block; ++i) {
          const std::uint64_t n = std::min(k * block + static_cast<std::uint64_t>(i), count - 1);
          b->x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(n * stride));
        }
        accuracy::with_function(function, [&](auto f) {
          for (std::int64_t i = 0; i < block; ++i) b->want[i] = f.truth(static_cast<double>(b->x[i]));
        });
        for (std::size_t s = 0; s < sets().size(); ++s) {
          if (!sets()[s].here) continue;
          sets()[s].floats(function, b->x, b->got, block);
          results[t][s].see(error_of(*b));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<worst> result(sets().size());
  for (const auto& one : results) {
    for (std::size_t s = 0; s < sets().size(); ++s) result[s].see(one[s]);
  }
  return result;
}

/// The exact value in MPFR, and the distance of a double from it.
class exact {
 public:
  exact() { mpfr_inits2(200, x_, y_, d_, nullptr); }
  ~exact() { mpfr_clears(x_, y_, d_, nullptr); }
  exact(const exact&) = delete;
  exact& operator=(const exact&) = delete;

  double error(int function, double x, double got) {
    mpfr_set_d(x_, x, MPFR_RNDN);
    accuracy::with_function(function, [&](auto f) { f.truth(y_, x_); });
    const double nearest = mpfr_get_d(y_, MPFR_RNDN);
    if (std::isnan(nearest) || std::isnan(got)) return std::isnan(nearest) && std::isnan(got) ? 0 : HUGE_VAL;
    if (std::isinf(nearest) || std::isinf(got)) return nearest == got ? 0 : HUGE_VAL;
    mpfr_sub_d(d_, y_, got, MPFR_RNDN);
    const long exponent = mpfr_zero_p(y_) ? -1022 : std::max<long>(mpfr_get_exp(y_) - 1, -1022);
    mpfr_mul_2si(d_, d_, 52 - exponent, MPFR_RNDN);
    return std::fabs(mpfr_get_d(d_, MPFR_RNDN));
  }

 private:
  mpfr_t x_;
  mpfr_t y_;
  mpfr_t d_;
};

/// n doubles: half of them uniform in the function's interval, a quarter in [-1, 1], the rest of any bits.
std::vector<worst> over_doubles(int function, std::int64_t n) {
  struct alignas(64) arrays {
    double x[block];
    double got[3][block];
  };
  const auto b = std::make_unique<arrays>();
  exact truth;
  std::mt19937_64 engine(1);
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53;
  };
  std::vector<worst> result(sets().size());
  for (std::int64_t done = 0; done < n; done += block) {
    accuracy::with_function(function, [&](auto f) {
      for (std::int64_t i = 0; i < block; ++i) {
        b->x[i] = i % 4 < 2 ? uniform(f.low, f.high) : i % 4 == 2 ? uniform(-1, 1) : std::bit_cast<double>(engine());
      }
    });
    for (std::size_t s = 0; s < sets().size(); ++s) {
      if (sets()[s].here) sets()[s].doubles(function, b->x, b->got[s], block);
    }
    for (std::int64_t i = 0; i < block; ++i) {
      double error = 0;
      for (std::size_t s = 0; s < sets().size(); ++s) {
        if (!sets()[s].here) continue;
        const bool as_before = s > 0 && std::memcmp(&b->got[s][i], &b->got[s - 1][i], sizeof(double)) == 0;
        if (!as_before) error = truth.error(function, b->x[i], b->got[s][i]);
        result[s].see(error, b->x[i]);
      }
    }
  }
  return result;
}

constexpr int function_count = static_cast<int>(std::tuple_size_v<accuracy::functions>);

std::string name_of(int function) {
  std::string name;
  accuracy::with_function(function, [&](auto f) { name = f.name; });
  return name;
}

/// One row of the table: the maxima of the sets for float32, then those for float64.
struct row {
  std::string name;
  std::vector<worst> all;
  bool sampled;  ///< not over all floats
};

/// One float in `sparse` times the function's own stride.
row measured(int function, std::uint64_t sparse, std::int64_t doubles) {
  std::uint64_t stride = 1;
  accuracy::with_function(function, [&](auto f) { stride = static_cast<std::uint64_t>(f.stride); });
  row r{name_of(function), over_floats(function, sparse * stride), stride != 1};
  for (const worst& w : over_doubles(function, doubles)) r.all.push_back(w);
  return r;
}

void print_head() {
  std::printf(
      R"(# Accuracy

The largest error of each elementary function in units in the last place of the exact result (0.5 is the least that rounding allows),
and an argument at which it occurs. float32: over all 2^32 arguments, NaNs and infinities among them, or every seventh (\*), against
float64. float64: over %d arguments a function, half of them uniform where the function is neither constant nor infinite, a quarter
in [-1, 1], a quarter of any bits, against MPFR with 200 bits. x86-64 has no fused multiply-add, which is why its errors are others; the
columns of v3 (AVX2) and v4 (AVX-512) hold for the scalar functions of a machine with FMA, too: the bits are the same.

The functions of float16 and bfloat16 (`numeric/functions.hpp`) are correctly rounded, every one of their 65,536 results on every
instruction set: `test/numeric/functions.cpp`.

This page is written by a program, and every run of the tests holds the library to it on a sample:

```
./dev test accuracy
build/test/test/accuracy/accuracy --measure > docs/reference/accuracy.md   # about 20 minutes
```

)",
      1 << 18);
  std::printf("| function |");
  for (const char* type : {"float32", "float64"}) {
    for (const instruction_set& set : sets()) std::printf(" %s, %s |", type, set.name);
  }
  std::printf("\n|---|");
  for (std::size_t s = 0; s < 2 * sets().size(); ++s) std::printf("---|");
  std::printf("\n");
}

void print(const row& r) {
  std::printf("| %s%s |", r.name.c_str(), r.sampled ? " \\*" : "");
  for (std::size_t s = 0; s < r.all.size(); ++s) {
    if (!sets()[s % sets().size()].here) {
      std::printf(" not measured |");
    } else {
      std::printf(" %.3f at %.9g |", r.all[s].error, r.all[s].at);
    }
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// The rows of a table that `print` wrote: name -> errors, NaN where nothing was measured.
std::map<std::string, std::vector<double>> read_table(const char* path) {
  std::map<std::string, std::vector<double>> table;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    std::vector<std::string> cell;
    for (std::string text; std::getline(cells, text, '|');) cell.push_back(text);
    if (cell.size() != 2 + 2 * sets().size()) continue;
    std::istringstream word(cell[1]);
    std::string name;
    word >> name;
    std::vector<double> errors;
    for (std::size_t i = 2; i < cell.size(); ++i) {
      char* end = nullptr;
      const double error = std::strtod(cell[i].c_str(), &end);
      errors.push_back(end == cell[i].c_str() ? std::nan("") : error);
    }
    table[name] = errors;
  }
  return table;
}

/// The most that a table may say, of any instruction set.
double allowed(const std::string& name) { return name == "exp" || name == "exp2" || name == "log" ? 1 : 2; }

/// Whether a sample of every function keeps what the table says, and the table what is allowed. Rounded to three digits, so half of the
/// last is granted.
bool check(const char* path) {
  const auto table = read_table(path);
  bool good = true;
  for (int f = 0; f < function_count; ++f) {
    const row r = measured(f, 1021, 4 * block);
    const auto promised = table.find(r.name);
    if (promised == table.end()) {
      std::printf("%s is not in the table\n", r.name.c_str());
      good = false;
      continue;
    }
    for (std::size_t s = 0; s < r.all.size(); ++s) {
      if (promised->second[s] > allowed(r.name)) {
        std::printf("%s, %s: the table says %.3f, and %g is allowed\n", r.name.c_str(), sets()[s % sets().size()].name,
                    promised->second[s], allowed(r.name));
        good = false;
      }
      // A million doubles do not find the worst of all: a sample of others may
      // lie a little above.
      const double slack = s < sets().size() ? 0.0005 : 0.02;
      const bool kept = !sets()[s % sets().size()].here || r.all[s].error <= promised->second[s] + slack;
      if (kept) continue;
      std::printf("%s, %s, %s: %.4f ulp at %.17g, the table says %.3f\n", r.name.c_str(),
                  s < sets().size() ? "float32" : "float64", sets()[s % sets().size()].name, r.all[s].error, r.all[s].at,
                  promised->second[s]);
      good = false;
    }
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--check" && argc == 3) return check(argv[2]) ? 0 : 1;
  if (mode == "--measure" && argc <= 3) {
    print_head();
    for (int f = 0; f < function_count; ++f) {
      if (argc == 2 || name_of(f) == argv[2]) print(measured(f, 1, 1 << 18));
    }
    return 0;
  }
  std::fprintf(stderr, "usage: accuracy --measure [FUNCTION] | --check TABLE\n");
  return 2;
}
