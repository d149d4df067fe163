// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tessera and its peers on the same data in one process, taking turns; the table and the CSV of what they took.
///
/// Google Benchmark registers the cases and reads the command line (--benchmark_filter=REGEX, --benchmark_list_tests). What it
/// cannot do is alternate: --benchmark_enable_random_interleaving shuffles the repetitions of all cases together, so that the
/// two sides of a ratio may run minutes apart and the data of every case would have to live, or be made anew, all the time. So a
/// case is one of its benchmarks, one of its iterations is a round in which every side has its turn, and the medians are ours.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peers/peers.hpp"
#include "support/machine.hpp"
#include "tessera/exec/exec.hpp"
#include "tessera/random/fill.hpp"
#include "tessera/tile/view.hpp"

namespace bench {

/// A contiguous view with memory of its own.
template <class T, std::size_t Rank>
class array : public tessera::view<T, Rank> {
 public:
  template <std::convertible_to<std::int64_t>... Extents>
  explicit array(Extents... extents)
      : tessera::view<T, Rank>(new T[static_cast<std::size_t>((std::int64_t{extents} * ...))], extents...),
        owner_(this->data_handle()) {}

 private:
  std::unique_ptr<T[]> owner_;
};

/// An array of normal numbers, the same on every machine.
template <class T, std::convertible_to<std::int64_t>... Extents>
array<T, sizeof...(Extents)> normal(std::uint64_t seed, Extents... extents) {
  array<T, sizeof...(Extents)> result(extents...);
  tessera::random::fill_normal(tessera::par, result, seed, 0);
  return result;
}

/// The printed table and the file out/bench/FAMILY.csv.
class report : public benchmark::BenchmarkReporter {
 public:
  /// One side's time beside Tessera's. Times in ms; `peer_ms` is not used when the peer is absent, and then `absence` says why.
  struct row {
    std::string name;
    int threads;
    double tessera_ms;
    std::string peer;
    double peer_ms;
    std::string absence;
    double limit;           ///< flop/s
    double limit_fraction;  ///< of it, reached by Tessera
    double max_error;
  };

  explicit report(const std::string& family) {
    std::filesystem::create_directories("out/bench");
    path_ = "out/bench/" + family + ".csv";
    csv_.reset(std::fopen(path_.c_str(), "w"));
    if (csv_ == nullptr) throw std::runtime_error("cannot write " + path_);
    std::fprintf(csv_.get(), "case,threads,tessera_ms,peer,peer_ms,ratio,limit,limit_fraction,max_error\n");
  }

  void add(const row& r) {
    const bool absent = !r.absence.empty();
    const std::string peer_ms = absent ? r.absence : number("%.4f", r.peer_ms);
    const std::string ratio = absent ? "" : number("%.3f", r.peer_ms / r.tessera_ms);
    const std::string limit = number("%.1f", r.limit / 1e9) + " GFLOP/s";
    std::fprintf(csv_.get(), "%s,%d,%.4f,%s,%s,%s,%s,%.3f,%.2e\n", r.name.c_str(), r.threads, r.tessera_ms, r.peer.c_str(),
                 peer_ms.c_str(), ratio.c_str(), limit.c_str(), r.limit_fraction, r.max_error);
    std::fflush(csv_.get());
    std::printf("%-41s %7d %11.3f  %-30s %11s %6s %15s %8.3f %9.1e\n", r.name.c_str(), r.threads, r.tessera_ms, r.peer.c_str(),
                peer_ms.c_str(), ratio.c_str(), limit.c_str(), r.limit_fraction, r.max_error);
    std::fflush(stdout);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool failed() const { return failed_; }

  /// Everything that a time depends on, and the heads of the columns.
  bool ReportContext(const Context&) override {
    const std::time_t now = std::time(nullptr);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
    std::printf("%s\n%s, %u threads; Tessera uses %s\n%s %s\n", date, machine::cpu_name().c_str(),
                std::thread::hardware_concurrency(), machine::instruction_set().c_str(), machine::compiler().c_str(),
                BENCH_FLAGS);
    double load = 0;
    if (getloadavg(&load, 1) == 1) std::printf("load average before the start: %.1f%s\n", load, load > 0.5 ? ", others use this machine" : "");
    std::printf("%s\n%s\n", peers::openblas_version().c_str(), peers::onednn_version().c_str());
    for (const std::string& version : peers::python_versions()) std::printf("%s\n", version.c_str());
    std::printf("memory copy: %.1f GB/s on 1 thread, %.1f GB/s on all\n", machine::copy_bandwidth(tessera::par.threads(1)) / 1e9,
                machine::copy_bandwidth(tessera::par) / 1e9);
    std::printf("ratio: time of the peer / time of Tessera. limit: multiply-adds in registers, measured beside each case.\n\n");
    std::printf("%-41s %7s %11s  %-30s %11s %6s %15s %8s %9s\n", "case", "threads", "tessera_ms", "peer", "peer_ms", "ratio",
                "limit", "fraction", "max_error");
    return true;
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (!run.error_occurred) continue;
      failed_ = true;
      std::fprintf(stderr, "%s: %s\n", run.benchmark_name().c_str(), run.error_message.c_str());
    }
  }

 private:
  static std::string number(const char* format, double x) {
    char text[32];
    std::snprintf(text, sizeof text, format, x);
    return text;
  }

  struct close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, close> csv_;
  bool failed_ = false;
};

/// What is measured: its name in the table, the flops that its result needs, and whether they are done in float64.
struct work {
  std::string name;
  double flops;
  bool float64 = false;
};

/// One case on one number of threads: its body makes the data, names the sides and calls `run`.
class contest {
 public:
  contest(benchmark::State& state, const work& what, int n, report& to)
      : par(tessera::par.threads(n)), threads(n), state_(state), work_(what), report_(to) {}

  const tessera::basic_par<> par;
  const int threads;

  /// Where every side writes, and the scale-free error against float64 of what stands there. It is emptied before each side's
  /// first turn, so that nobody is credited with the result of another.
  template <class T, std::size_t Rank>
  void result(array<T, Rank>& out, std::function<double()> error) {
    clear_ = [&out] {
      using limits = std::numeric_limits<T>;
      std::fill_n(out.data_handle(), out.size(), limits::has_quiet_NaN ? limits::quiet_NaN() : T(-1));
    };
    error_ = std::move(error);
  }

  template <std::invocable F>
  void tessera(const F& f) {
    sides_.insert(sides_.begin(), {"Tessera", peers::timed(f)});
  }
  void peer(std::string name, peers::side what) { sides_.push_back({std::move(name), std::move(what)}); }

  /// Lets the sides take turns, once per iteration of the benchmark, and adds a row for each peer.
  void run() {
    double limit = peak();
    for (entry& side : sides_) prepare(side);
    for ([[maybe_unused]] auto round : state_) {
      for (entry& side : sides_) {
        if (side.what.seconds) side.times.push_back(turn(side));
      }
      state_.SetIterationTime(sides_[0].times.back());
    }
    limit = std::max(limit, peak());
    const double ours = median(sides_[0].times);
    for (std::size_t i = 1; i < sides_.size(); ++i) {
      const entry& side = sides_[i];
      report_.add({.name = work_.name,
                   .threads = threads,
                   .tessera_ms = 1e3 * ours,
                   .peer = side.name,
                   .peer_ms = 1e3 * median(side.times),
                   .absence = side.what.seconds ? "" : side.what.absence,
                   .limit = limit,
                   .limit_fraction = work_.flops / ours / limit,
                   .max_error = error_of_ours_});
    }
  }

 private:
  struct entry {
    std::string name;
    peers::side what;
    int calls = 1;
    std::vector<double> times{};
  };

  [[nodiscard]] double peak() const { return work_.float64 ? machine::fma_peak<double>(par) : machine::fma_peak<float>(par); }

  /// The first call is not timed and its result is checked: a ratio to a side that computes something else says nothing.
  void prepare(entry& side) {
    constexpr double shortest_turn = 0.02;
    constexpr double worst_error = 0.02;  // two roundings to bfloat16 and then some
    if (!side.what.seconds) return;
    clear_();
    side.what.seconds(1);
    const double error = error_();
    if (!(error <= worst_error)) throw std::runtime_error(side.name + " is wrong: error " + std::to_string(error));
    if (&side == &sides_[0]) error_of_ours_ = error;
    side.calls = static_cast<int>(std::ceil(shortest_turn / side.what.seconds(1)));
  }

  /// Seconds a call. Threads of the side before go on spinning for a while in wait of more work (OpenBLAS: 2^26 cycles), on
  /// the cores of the side that is measured: they are given the time to fall asleep.
  double turn(entry& side) const {
    if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return side.what.seconds(side.calls);
  }

  static double median(std::vector<double> times) {
    if (times.empty()) return std::numeric_limits<double>::quiet_NaN();
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }

  benchmark::State& state_;
  const work& work_;
  report& report_;
  std::vector<entry> sides_;
  std::function<void()> clear_;
  std::function<double()> error_;
  double error_of_ours_ = 0;
};

/// The cases of a family, each run on 1 and on 2 threads.
class family {
 public:
  explicit family(const std::string& name) : report_(name) {}

  /// body(contest&) is called once per number of threads, when the case is due.
  template <std::invocable<contest&> Body>
  void add(const work& what, const Body& body) {
    for (const int threads : {1, 2}) {
      const std::string name = what.name + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [this, what, threads, body](benchmark::State& state) {
                                     try {
                                       contest c(state, what, threads, report_);
                                       body(c);
                                     } catch (const std::exception& error) {
                                       state.SkipWithError(error.what());
                                     }
                                   })
          ->UseManualTime()
          ->Iterations(what.flops > 2e10 ? 9 : 15);  // rounds: what is quick is also more easily disturbed
    }
  }

  /// The exit status.
  int run(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks(&report_);
    std::printf("\n%s\n", report_.path().c_str());
    return report_.failed() ? 1 : 0;
  }

 private:
  report report_;
};

}  // namespace bench
