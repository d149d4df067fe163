// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Tessera and its peers on the same data in one process, taking turns.
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
#include <ctime>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peers/peers.hpp"
#include "support/array.hpp"
#include "support/machine.hpp"
#include "support/memory.hpp"
#include "support/report.hpp"
#include "tessera/exec/exec.hpp"

namespace bench {

/// What is measured: its name in the table, the flops that its result needs or the bytes that it reads and writes, and what limits that.
struct work {
  std::string name;
  double amount;
  machine::resource limit = machine::resource::float32;
  double items = 0;  ///< numbers made, where their rate is what people compare
};

/// One case on one number of threads: its body makes the data, names the sides and calls `run`.
class contest {
 public:
  contest(benchmark::State& state, const work& what, int n, report& to)
      : par(tessera::par.threads(n).scratch(&scratch_)), threads(n), state_(state), work_(what), report_(to) {}

 private:
  counted_memory scratch_;

 public:
  const tessera::basic_par<> par;
  const int threads;

  /// Where every side writes, and the scale-free error against float64 of what stands there. It is emptied before each side's
  /// first turn, so that nobody is credited with the result of another.
  /// Beyond `worst` a side is wrong; the default allows two roundings to bfloat16 and then some.
  template <class T, std::size_t Rank>
  void result(array<T, Rank>& out, std::function<double()> error, double worst = 0.005) {
    clear_ = [&out] {
      using limits = std::numeric_limits<T>;
      std::fill_n(out.data_handle(), out.size(), limits::has_quiet_NaN ? limits::quiet_NaN() : static_cast<T>(-1));
    };
    error_ = std::move(error);
    worst_ = worst;
  }

  template <std::invocable F>
  void tessera(const F& f) {
    sides_.insert(sides_.begin(), {"Tessera", peers::timed(f)});
  }
  void peer(std::string name, peers::side what) { sides_.push_back({std::move(name), std::move(what)}); }

  /// Lets the sides take turns, once per iteration of the benchmark, and adds a row for each peer. The limit is taken right before
  /// and right after each of our turns: a shared machine's clock moves by a tenth within seconds.
  void run() {
    for (entry& side : sides_) prepare(side);
    machine::meter meter(work_.limit, work_.amount);
    std::vector<double> limits;
    std::vector<double> fractions;
    for ([[maybe_unused]] auto round : state_) {
      for (entry& side : sides_) {
        if (!side.what.seconds) continue;
        const bool ours = &side == &sides_[0];
        settle();
        const double before = ours ? meter.rate(par) : 0;
        if (side.quick)
          side.what.seconds(1);  // finds threads, caches and pages as a program at work does; long calls see to it themselves
        side.times.push_back(side.what.seconds(side.calls));
        if (!ours) continue;
        limits.push_back((before + meter.rate(par)) / 2);
        fractions.push_back(work_.amount / side.times.back() / limits.back());
      }
      state_.SetIterationTime(sides_[0].times.back());
    }
    const double ours = median(sides_[0].times);
    for (std::size_t i = 1; i < sides_.size(); ++i) {
      const entry& side = sides_[i];
      report_.add({.name = work_.name,
                   .threads = threads,
                   .tessera_ms = 1e3 * ours,
                   .peer = side.name,
                   .peer_ms = 1e3 * median(side.times),
                   .absence = side.what.seconds ? "" : side.what.absence,
                   .limit = median(limits),
                   .unit = machine::unit(work_.limit),
                   .limit_fraction = median(fractions),
                   .max_error = sides_[0].error,
                   .peer_error = side.error,
                   .amount = work_.amount,
                   .items = work_.items,
                   .scratch = scratch_.most()});
    }
  }

 private:
  struct entry {
    std::string name;
    peers::side what;
    int calls = 1;
    bool quick = false;
    double error = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> times{};
  };

  /// The first call does not count and its result is checked: a ratio to a side that computes something else says nothing. What is
  /// quick is called several times a turn.
  void prepare(entry& side) {
    constexpr double shortest_turn = 0.02;
    if (!side.what.seconds) return;
    clear_();
    double seconds = side.what.seconds(1);
    side.error = error_();
    if (!(side.error <= worst_)) throw std::runtime_error(side.name + " is wrong: error " + std::to_string(side.error));
    if (seconds < shortest_turn) seconds = side.what.seconds(1);  // caches and threads are warm now
    side.calls = static_cast<int>(std::ceil(shortest_turn / seconds));
    side.quick = seconds < 0.25;
  }

  /// The threads of the side before go on spinning for a while in wait of more work (0.1 s in OpenBLAS), on the cores of the side
  /// that is measured next: first they are given the time to fall asleep.
  static void settle() {
    constexpr std::clock_t busy = CLOCKS_PER_SEC / 2000;  // processor time of the whole process
    std::clock_t before = 0;
    do {
      before = std::clock();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    } while (std::clock() - before > busy);
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
  double worst_ = 0;
};

/// The cases of a family. Quick cases, easily disturbed, take `quick_rounds`: fewer where there are many of them.
class family {
 public:
  explicit family(const std::string& name, int quick_rounds = 15) : report_(name), quick_rounds_(quick_rounds) {}

  /// body(contest&) is called once per number of threads, when the case is due.
  template <std::invocable<contest&> Body>
  void add(const work& what, const Body& body, std::initializer_list<int> teams = {1, 2}) {
    for (const int threads : teams) {
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
          ->Iterations(what.amount > (machine::is_memory(what.limit) ? 1e8 : 2e10) ? 9 : quick_rounds_);
    }
  }

  /// The exit status.
  int run(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks(&report_);
    return report_.failed() ? 1 : 0;
  }

 private:
  report report_;
  int quick_rounds_;
};

}  // namespace bench
