// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// What the benches print and write.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "peers/peers.hpp"
#include "support/machine.hpp"
#include "tessera/exec/exec.hpp"

namespace bench {

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
    double limit;           ///< `unit` per second
    std::string unit;       ///< FLOP or B
    double limit_fraction;  ///< of it, reached by Tessera
    double max_error;
    double peer_error;
    double amount;        ///< in `unit`
    double items;         ///< numbers made, or 0
    std::size_t scratch;  ///< bytes that Tessera took beyond inputs and outputs
  };

  explicit report(const std::string& family) : path_("out/bench/" + family + ".csv") {}

  void add(const row& r) {
    const bool absent = !r.absence.empty();
    const std::string peer_ms = absent ? r.absence : number("%.4g", r.peer_ms);
    const std::string ratio = absent ? "" : number("%.3f", r.peer_ms / r.tessera_ms);
    const std::string peer_error = absent ? "" : number("%.1e", r.peer_error);
    const std::string limit = number("%.1f", r.limit / 1e9) + " G" + r.unit + "/s";
    const double seconds = r.tessera_ms / 1e3;
    const std::string rate = r.items > 0 ? number("%.0f", r.items / seconds / 1e6) + " M/s"
                                         : number("%.1f", r.amount / seconds / 1e9) + " G" + r.unit + "/s";
    std::fprintf(csv_.get(), "\"%s\",%d,%.6g,\"%s\",%s,%s,%s,%.3f,%.2e,%s,%s,%zu\n", r.name.c_str(), r.threads, r.tessera_ms,
                 r.peer.c_str(), peer_ms.c_str(), ratio.c_str(), limit.c_str(), r.limit_fraction, r.max_error, peer_error.c_str(),
                 rate.c_str(), r.scratch);
    std::fflush(csv_.get());
    std::printf("%-41s %7d %11.4g  %-30s %11s %6s %15s %8.3f %9.1e %10s %15s %11s\n", r.name.c_str(), r.threads, r.tessera_ms,
                r.peer.c_str(), peer_ms.c_str(), ratio.c_str(), limit.c_str(), r.limit_fraction, r.max_error, peer_error.c_str(),
                rate.c_str(), (number("%.0f", static_cast<double>(r.scratch) / 1024) + " KiB").c_str());
    std::fflush(stdout);
  }

  [[nodiscard]] bool failed() const { return failed_; }

  /// Everything that a time depends on, and the heads of the columns. Called when cases are going to run, not when they are listed.
  bool ReportContext(const Context&) override {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    csv_.reset(std::fopen(path_.c_str(), "w"));
    if (csv_ == nullptr) throw std::runtime_error("cannot write " + path_);
    std::fprintf(csv_.get(),
                 "case,threads,tessera_ms,peer,peer_ms,ratio,limit,limit_fraction,max_error,peer_error,rate,scratch_bytes\n");
    const std::time_t now = std::time(nullptr);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
    std::printf("%s\n%s, %u threads; Tessera uses %s\n%s %s\n", date, machine::cpu_name().c_str(),
                std::thread::hardware_concurrency(), machine::instruction_set().c_str(), machine::compiler().c_str(),
                BENCH_FLAGS);
    double load = 0;
    if (getloadavg(&load, 1) == 1) {
      std::printf("load average before the start: %.1f%s\n", load, load > 0.5 ? ", others use this machine" : "");
    }
    for (const std::string& version :
         {peers::openblas_version(), peers::onednn_version(), peers::eigen_version(), peers::sleef_version()}) {
      std::printf("%s\n", version.c_str());
    }
    for (const std::string& version : peers::python_versions()) std::printf("%s\n", version.c_str());
    machine::copier memory(std::int64_t{256} << 20);
    std::printf("memory copy: %.1f GB/s on 1 thread, %.1f GB/s on all\n", memory.rate(tessera::par.threads(1), 5) / 1e9,
                memory.rate(tessera::par, 5) / 1e9);
    machine::reader reading(std::int64_t{256} << 20);
    std::printf("memory read: %.1f GB/s on 1 thread, %.1f GB/s on all\n", reading.rate(tessera::par.threads(1), 5) / 1e9,
                reading.rate(tessera::par, 5) / 1e9);
    std::printf(
        "ratio: time of the peer / time of Tessera. limit, beside each turn of ours: multiply-adds in registers (FLOP), or a\n");
    std::printf("memcpy that reads and writes as many bytes as the case does, or a reading of memory (B). rate: ours.\n");
    std::printf("scratch: the most that a call of ours takes beyond its inputs and outputs.\n\n");
    std::printf("%-41s %7s %11s  %-30s %11s %6s %15s %8s %9s %10s %15s %11s\n", "case", "threads", "tessera_ms", "peer",
                "peer_ms", "ratio", "limit", "fraction", "max_error", "peer_error", "rate", "scratch");
    return true;
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (!run.error_occurred) continue;
      failed_ = true;
      std::fprintf(stderr, "%s: %s\n", run.benchmark_name().c_str(), run.error_message.c_str());
    }
  }

  void Finalize() override { std::printf("\n%s\n", path_.c_str()); }

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

}  // namespace bench
