// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "functions.hpp"

namespace accuracy {
namespace {

template <class T, class Arch>
void apply_packs(int function, const T* x, T* out, std::int64_t n) {
  using P = tessera::simd::pack<T, Arch>;
  with_function(function, [=](auto f) {
    for (std::int64_t i = 0; i < n; i += P::lanes) f(P::load(x + i)).store(out + i);
  });
}

}  // namespace

template <class Arch>
void on_arrays<Arch>::apply(int function, const float* x, float* out, std::int64_t n) {
  apply_packs<float, Arch>(function, x, out, n);
}
template <class Arch>
void on_arrays<Arch>::apply(int function, const double* x, double* out, std::int64_t n) {
  apply_packs<double, Arch>(function, x, out, n);
}

template struct on_arrays<tessera::default_arch>;

}  // namespace accuracy
