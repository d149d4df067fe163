// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Peers that are Python packages: each in a process of its own that stays for the whole bench and is asked to run when its turn
/// comes. It measures its own time, so that neither the pipe nor the interpreter's start counts.
#include "peers/peers.hpp"

#if BENCH_PYTHON_PEERS

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>

namespace peers {
namespace {

/// A python_peers.py and the folder through which arrays go to it.
class process {
 public:
  explicit process(const std::string& name) : folder_("out/bench/peers/" + name) {
    std::signal(SIGPIPE, SIG_IGN);  // whoever is not there is missing, and does not end the bench
    std::filesystem::create_directories(folder_);
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (pipe(in.data()) != 0 || pipe(out.data()) != 0) throw std::runtime_error("no pipe to Python");
    // A child that held an end of another's pipe would keep that one from seeing the end of its input.
    for (const int end : {in[0], in[1], out[0], out[1]}) fcntl(end, F_SETFD, FD_CLOEXEC);
    child_ = fork();
    if (child_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      execl(BENCH_PYTHON, BENCH_PYTHON, BENCH_PYTHON_SCRIPT, nullptr);
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = fdopen(in[1], "w");
    from_ = fdopen(out[0], "r");
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    std::fclose(to_);  // the end of its input ends it
    std::fclose(from_);
    waitpid(child_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }

  std::string ask(const std::string& line) {
    std::fprintf(to_, "%s\n", line.c_str());
    std::fflush(to_);
    std::string answer;
    int c = 0;
    while ((c = std::fgetc(from_)) != EOF && c != '\n') answer.push_back(static_cast<char>(c));
    return answer.empty() ? "missing" : answer;
  }

  template <class View>
  void write(const char* name, const View& x) const {
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(x.data_handle()), x.size() * static_cast<std::streamsize>(sizeof(*x.data_handle())));
  }
  void write(const char* name, const flat& x) const {
    std::ofstream(folder_ / name, std::ios::binary).write(static_cast<const char*>(x.data), x.bytes);
  }
  void read_result(const flat& x) const {
    std::ifstream(folder_ / "out", std::ios::binary).read(static_cast<char*>(x.data), x.bytes);
  }
  template <class View>
  void read_result(const View& x) const {
    std::ifstream(folder_ / "out", std::ios::binary)
        .read(reinterpret_cast<char*>(x.data_handle()), x.size() * static_cast<std::streamsize>(sizeof(*x.data_handle())));
  }
  [[nodiscard]] std::string folder() const { return folder_.string(); }

 private:
  std::filesystem::path folder_;
  pid_t child_ = 0;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

process& process_of(const std::string& name) {
  static std::map<std::string, std::unique_ptr<process>> all;
  std::unique_ptr<process>& mine = all[name];
  if (!mine) mine = std::make_unique<process>(name);
  return *mine;
}

/// Peer `name` at its job (a function of python_peers.py) on arrays that have been written; its first result is read back to `out`.
template <class Out>
side prepared(const std::string& name, int threads, const std::string& arguments, const Out& out, const std::string& job = "") {
  process& python = process_of(name);
  const std::string answer = python.ask(name + job + " " + std::to_string(threads) + " " + python.folder() + arguments);
  if (answer != "ok") return {.absence = answer};
  return {[&python, out, read = false](int calls) mutable {
    const double seconds = std::strtod(python.ask("run " + std::to_string(calls)).c_str(), nullptr);
    if (!read) {
      read = python.ask("save") == "ok";
      python.read_result(out);
    }
    if (!(seconds > 0)) throw std::runtime_error("the peer in Python has failed");
    return seconds;
  }};
}

std::string argument(const char* key, std::int64_t value) { return std::string(" ") + key + "=" + std::to_string(value); }

template <class T>
side attention_of(const std::string& name, const char* type, int threads, const attention<T>& job) {
  const process& python = process_of(name);
  python.write("q", job.q);
  python.write("k", job.k);
  python.write("v", job.v);
  return prepared(name, threads,
                  std::string(" type=") + type + argument("batch", job.q.extent(0)) + argument("heads", job.q.extent(1)) +
                      argument("len_q", job.q.extent(2)) + argument("len_k", job.k.extent(2)) + argument("d", job.q.extent(3)) +
                      argument("causal", job.causal ? 1 : 0),
                  job.out);
}

template <class T>
side attention_backward_of(const char* type, int threads, const attention_backward<T>& job) {
  const process& python = process_of("torch");
  python.write("q", job.q);
  python.write("k", job.k);
  python.write("v", job.v);
  python.write("dout", job.dout);
  return prepared("torch", threads,
                  std::string(" type=") + type + argument("batch", job.q.extent(0)) + argument("heads", job.q.extent(1)) +
                      argument("length", job.q.extent(2)) + argument("d", job.q.extent(3)) +
                      argument("causal", job.causal ? 1 : 0),
                  job.gradients, "_attention_backward");
}

template <class T>
side grouped_attention_of(const std::string& name, const char* type, int threads, const grouped_attention<T>& job) {
  const process& python = process_of(name);
  python.write("q", job.q);
  python.write("k", job.k);
  python.write("v", job.v);
  const bool tree = job.tree.data_handle() != nullptr;
  if (tree) python.write("tree", job.tree);
  return prepared(name, threads,
                  std::string(" type=") + type + argument("layers", job.q.extent(0)) + argument("heads", job.q.extent(1)) +
                      argument("kv_heads", job.k.extent(1)) + argument("len_q", job.q.extent(2)) +
                      argument("len_k", job.k.extent(2)) + argument("d", job.q.extent(3)) + argument("tree", tree ? 1 : 0),
                  job.out, "_grouped");
}

}  // namespace

std::vector<std::string> python_versions() {
  std::vector<std::string> lines;
  std::FILE* const answer = popen(BENCH_PYTHON " " BENCH_PYTHON_SCRIPT " versions", "r");
  std::array<char, 100> line{};
  while (answer != nullptr && std::fgets(line.data(), line.size(), answer) != nullptr) {
    lines.emplace_back(line.data());
    lines.back().pop_back();  // the end of the line
  }
  if (answer != nullptr) pclose(answer);
  return lines;
}

side faiss_nearest(int threads, view<const float, 2> x, view<const float, 2> y, view<std::int32_t, 1> where) {
  const process& python = process_of("faiss");
  python.write("x", x);
  python.write("y", y);
  return prepared("faiss", threads, argument("n", x.extent(0)) + argument("m", y.extent(0)) + argument("d", x.extent(1)), where);
}

side faiss_k_nearest(int threads, view<const float, 2> x, view<const float, 2> y, view<std::int32_t, 2> where) {
  const process& python = process_of("faiss");
  python.write("x", x);
  python.write("y", y);
  return prepared(
      "faiss", threads,
      argument("n", x.extent(0)) + argument("m", y.extent(0)) + argument("d", x.extent(1)) + argument("k", where.extent(1)),
      where);
}

namespace {

template <class Out>
side torch_cross_entropy(int threads, const linear_cross_entropy& job, const char* what, const Out& out) {
  const process& python = process_of("torch");
  python.write("hidden", job.hidden);
  python.write("weight", job.weight);
  python.write("target", job.target);
  return prepared("torch", threads,
                  std::string(" what=") + what + argument("n", job.hidden.extent(0)) + argument("depth", job.hidden.extent(1)) +
                      argument("classes", job.weight.extent(0)),
                  out, "_cross_entropy");
}

}  // namespace

side torch_linear_cross_entropy(int threads, const linear_cross_entropy& job) {
  return torch_cross_entropy(threads, job, "forward", job.loss);
}
side torch_linear_cross_entropy_backward(int threads, const linear_cross_entropy& job, bool both) {
  return torch_cross_entropy(threads, job, both ? "both" : "backward", job.grad_hidden);
}

side torch_attention(int threads, const attention<float>& job) { return attention_of("torch", "float32", threads, job); }
side torch_attention(int threads, const attention<bfloat16>& job) { return attention_of("torch", "bfloat16", threads, job); }
side torch_attention(int threads, const attention<float16>& job) { return attention_of("torch", "float16", threads, job); }
side onnxruntime_attention(int threads, const attention<float>& job) {
  return attention_of("onnxruntime", "float32", threads, job);
}

side torch_attention_backward(int threads, const attention_backward<float>& job) {
  return attention_backward_of("float32", threads, job);
}
side torch_attention_backward(int threads, const attention_backward<bfloat16>& job) {
  return attention_backward_of("bfloat16", threads, job);
}
side torch_grouped_attention(int threads, const grouped_attention<float>& job) {
  return grouped_attention_of("torch", "float32", threads, job);
}
side torch_grouped_attention(int threads, const grouped_attention<bfloat16>& job) {
  return grouped_attention_of("torch", "bfloat16", threads, job);
}
side onnxruntime_grouped_attention(int threads, const grouped_attention<float>& job) {
  return grouped_attention_of("onnxruntime", "float32", threads, job);
}

side python_cast(const std::string& package, int threads, flat in, flat out) {
  process_of(package).write("x", in);
  return prepared(package, threads, std::string(" source=") + in.type + " target=" + out.type, out, "_cast");
}

side torch_rows(int threads, const rows& job) {
  const process& python = process_of("torch");
  python.write("x", job.x);
  python.write("g", job.g);
  return prepared("torch", threads, " f=" + job.f + " type=" + job.x.type + argument("n", job.n) + argument("length", job.length),
                  job.out, "_rows");
}

side python_map(const std::string& package, int threads, const std::string& f, flat x, flat out) {
  process_of(package).write("x", x);
  return prepared(package, threads, " f=" + f + " type=" + x.type, out, "_map");
}

side python_fma(const std::string& package, int threads, flat a, flat b, flat c, flat out) {
  const process& python = process_of(package);
  python.write("a", a);
  python.write("b", b);
  python.write("c", c);
  return prepared(package, threads, std::string(" type=") + a.type, out, "_fma");
}

side torch_unscale(int threads, flat x, flat norm) {
  process_of("torch").write("x", x);
  return prepared("torch", threads, std::string(" type=") + x.type + argument("n", x.length), norm, "_unscale");
}

side torch_adamw(int threads, flat x, flat g, flat out) {
  const process& python = process_of("torch");
  python.write("x", x);
  python.write("g", g);
  return prepared("torch", threads, argument("n", x.length), out, "_adamw");
}

side python_categorical(const std::string& package, int threads, flat logits, flat out) {
  process_of(package).write("x", logits);
  return prepared(package, threads, argument("rows", out.length), out, "_categorical");
}

side python_random(const std::string& package, int threads, const std::string& law, flat out) {
  return prepared(package, threads, " law=" + law + " type=" + out.type + argument("n", out.length), out, "_random");
}

}  // namespace peers

#else

namespace peers {

std::vector<std::string> python_versions() { return {"the peers of PyPI: missing (TESSERA_BENCH_PYTHON_PEERS is off)"}; }
side faiss_nearest(int, view<const float, 2>, view<const float, 2>, view<std::int32_t, 1>) { return {}; }
side faiss_k_nearest(int, view<const float, 2>, view<const float, 2>, view<std::int32_t, 2>) { return {}; }
side torch_linear_cross_entropy(int, const linear_cross_entropy&) { return {}; }
side torch_linear_cross_entropy_backward(int, const linear_cross_entropy&, bool) { return {}; }
side torch_attention(int, const attention<float>&) { return {}; }
side torch_attention(int, const attention<bfloat16>&) { return {}; }
side torch_attention(int, const attention<float16>&) { return {}; }
side onnxruntime_attention(int, const attention<float>&) { return {}; }
side torch_attention_backward(int, const attention_backward<float>&) { return {}; }
side torch_attention_backward(int, const attention_backward<bfloat16>&) { return {}; }
side torch_grouped_attention(int, const grouped_attention<float>&) { return {}; }
side torch_grouped_attention(int, const grouped_attention<bfloat16>&) { return {}; }
side onnxruntime_grouped_attention(int, const grouped_attention<float>&) { return {}; }
side python_cast(const std::string&, int, flat, flat) { return {}; }
side torch_rows(int, const rows&) { return {}; }
side python_map(const std::string&, int, const std::string&, flat, flat) { return {}; }
side python_fma(const std::string&, int, flat, flat, flat, flat) { return {}; }
side torch_unscale(int, flat, flat) { return {}; }
side torch_adamw(int, flat, flat, flat) { return {}; }
side python_categorical(const std::string&, int, flat, flat) { return {}; }
side python_random(const std::string&, int, const std::string&, flat) { return {}; }

}  // namespace peers

#endif
