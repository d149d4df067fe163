// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// oneDNN: its sgemm, and its matmul primitive for 16-bit storage.
#include "peers/peers.hpp"

#if BENCH_ONEDNN

#include <omp.h>

#include <dnnl.hpp>

namespace peers {
namespace {

template <class T>
side primitive(int threads, dnnl::memory::data_type type, view<const T, 2> a, view<const T, 2> b, view<T, 2> c) try {
  omp_set_num_threads(threads);  // a primitive is compiled for a number of threads
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const auto describe = [&](const auto& x) {
    return dnnl::memory::desc({x.extent(0), x.extent(1)}, type, dnnl::memory::format_tag::ab);
  };
  const auto memory = [&](const auto& x) {
    return dnnl::memory(describe(x), engine, const_cast<T*>(x.data_handle()));  // oneDNN has no constant memory
  };
  const dnnl::matmul product({dnnl::matmul::desc(describe(a), describe(b), describe(c)), engine});
  return timed([=, stream = dnnl::stream(engine),
                arguments = std::unordered_map<int, dnnl::memory>{
                    {DNNL_ARG_SRC, memory(a)}, {DNNL_ARG_WEIGHTS, memory(b)}, {DNNL_ARG_DST, memory(c)}}] {
    omp_set_num_threads(threads);
    auto queue = stream;
    product.execute(queue, arguments);
    queue.wait();
  });
} catch (const dnnl::error&) {
  return {.absence = "unsupported"};
}

template <class Primitive>
side forward_rows(int threads, dnnl::memory::data_type type, const rows& job) try {
  omp_set_num_threads(threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const dnnl::memory::desc shape({job.n, job.length}, type, dnnl::memory::format_tag::ab);
  const Primitive rows({{dnnl::prop_kind::forward_inference, shape, 1}, engine});
  return timed([=, stream = dnnl::stream(engine),
                arguments = std::unordered_map<int, dnnl::memory>{{DNNL_ARG_SRC, dnnl::memory(shape, engine, job.x.data)},
                                                                  {DNNL_ARG_DST, dnnl::memory(shape, engine, job.out.data)}}] {
    omp_set_num_threads(threads);
    auto queue = stream;
    rows.execute(queue, arguments);
    queue.wait();
  });
} catch (const dnnl::error&) {
  return {.absence = "unsupported"};
}

}  // namespace

side onednn_rows(int threads, const rows& job) {
  const std::string type = job.x.type;
  const auto as = type == "float32" ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
  if (type != "float32" && type != "bfloat16") return {.absence = "unsupported"};
  return job.f == "softmax" ? forward_rows<dnnl::softmax_forward>(threads, as, job)
                            : forward_rows<dnnl::logsoftmax_forward>(threads, as, job);
}

std::string onednn_version() {
  const dnnl_version_t& v = *dnnl_version();
  return "oneDNN " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
}

side onednn_matmul(int threads, view<const float, 2> a, view<const float, 2> b, view<float, 2> c) {
  return timed([=] {
    omp_set_num_threads(threads);
    dnnl_sgemm('N', 'N', c.extent(0), c.extent(1), a.extent(1), 1, a.data_handle(), a.extent(1), b.data_handle(), b.extent(1), 0,
               c.data_handle(), c.extent(1));
  });
}

side onednn_matmul(int threads, view<const bfloat16, 2> a, view<const bfloat16, 2> b, view<bfloat16, 2> c) {
  return primitive(threads, dnnl::memory::data_type::bf16, a, b, c);
}

side onednn_matmul(int threads, view<const float16, 2> a, view<const float16, 2> b, view<float16, 2> c) {
  return primitive(threads, dnnl::memory::data_type::f16, a, b, c);
}

}  // namespace peers

#else

namespace peers {

std::string onednn_version() { return "oneDNN: missing"; }
side onednn_rows(int, const rows&) { return {}; }
side onednn_matmul(int, view<const float, 2>, view<const float, 2>, view<float, 2>) { return {}; }
side onednn_matmul(int, view<const bfloat16, 2>, view<const bfloat16, 2>, view<bfloat16, 2>) { return {}; }
side onednn_matmul(int, view<const float16, 2>, view<const float16, 2>, view<float16, 2>) { return {}; }

}  // namespace peers

#endif
