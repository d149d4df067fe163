// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "peers/passes.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace peers {

void keep_smallest(const float* half_squares, const float* dots, std::int64_t count, std::int32_t first, float& best,
                   std::int32_t& where) {
  // Two loops, because compilers turn a minimum into SIMD code but not a minimum with its place; the second seldom runs.
  float smallest = half_squares[0] - dots[0];
  for (std::int64_t j = 1; j < count; ++j) smallest = std::min(smallest, half_squares[j] - dots[j]);
  if (!(smallest < best)) return;
  best = smallest;
  std::int64_t j = 0;
  while (j + 1 < count && half_squares[j] - dots[j] != smallest) ++j;
  where = first + static_cast<std::int32_t>(j);
}

float exponentials(float* scores, std::int64_t count) {
  float largest = scores[0];
  for (std::int64_t j = 1; j < count; ++j) largest = std::max(largest, scores[j]);
  float sum = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    scores[j] = std::exp(scores[j] - largest);
    sum += scores[j];
  }
  return 1 / sum;
}

float log_sum_of_exponentials(const float* z, std::int64_t count) {
  float largest = z[0];
  for (std::int64_t j = 1; j < count; ++j) largest = std::max(largest, z[j]);
  float sum = 0;
  for (std::int64_t j = 0; j < count; ++j) sum += std::exp(z[j] - largest);
  return largest + std::log(sum);
}

void weights_of(float* scores, std::int64_t count, float lse) {
  for (std::int64_t j = 0; j < count; ++j) scores[j] = std::exp(scores[j] - lse);
}

void slopes_of(float* slopes, const float* weights, std::int64_t count, float delta) {
  for (std::int64_t j = 0; j < count; ++j) slopes[j] = weights[j] * (slopes[j] - delta);
}

float sum_of_products(const float* x, const float* y, std::int64_t count) {
  float sum = 0;
  for (std::int64_t j = 0; j < count; ++j) sum += x[j] * y[j];
  return sum;
}

float sum_of_squares(const float* x, std::int64_t count) {
  float sum = 0;
  for (std::int64_t k = 0; k < count; ++k) sum += x[k] * x[k];
  return sum;
}

namespace {

template <class T, class F>
void apply(const T* __restrict__ x, T* __restrict__ out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = F{}(x[i]);
}

float exp10_of(float x) { return exp10f(x); }  // not in <cmath>
double exp10_of(double x) { return exp10(x); }

template <class T>
loop<T> loop_of(std::string_view f) {
  if (f == "exp") return apply<T, decltype([](T x) { return std::exp(x); })>;
  if (f == "exp2") return apply<T, decltype([](T x) { return std::exp2(x); })>;
  if (f == "expm1") return apply<T, decltype([](T x) { return std::expm1(x); })>;
  if (f == "exp10") return apply<T, decltype([](T x) { return exp10_of(x); })>;
  if (f == "log") return apply<T, decltype([](T x) { return std::log(x); })>;
  if (f == "log2") return apply<T, decltype([](T x) { return std::log2(x); })>;
  if (f == "log10") return apply<T, decltype([](T x) { return std::log10(x); })>;
  if (f == "log1p") return apply<T, decltype([](T x) { return std::log1p(x); })>;
  if (f == "sin") return apply<T, decltype([](T x) { return std::sin(x); })>;
  if (f == "cos") return apply<T, decltype([](T x) { return std::cos(x); })>;
  if (f == "tan") return apply<T, decltype([](T x) { return std::tan(x); })>;
  if (f == "asin") return apply<T, decltype([](T x) { return std::asin(x); })>;
  if (f == "acos") return apply<T, decltype([](T x) { return std::acos(x); })>;
  if (f == "atan") return apply<T, decltype([](T x) { return std::atan(x); })>;
  if (f == "sinh") return apply<T, decltype([](T x) { return std::sinh(x); })>;
  if (f == "cosh") return apply<T, decltype([](T x) { return std::cosh(x); })>;
  if (f == "tanh") return apply<T, decltype([](T x) { return std::tanh(x); })>;
  if (f == "asinh") return apply<T, decltype([](T x) { return std::asinh(x); })>;
  if (f == "acosh") return apply<T, decltype([](T x) { return std::acosh(x); })>;
  if (f == "atanh") return apply<T, decltype([](T x) { return std::atanh(x); })>;
  if (f == "erf") return apply<T, decltype([](T x) { return std::erf(x); })>;
  if (f == "erfc") return apply<T, decltype([](T x) { return std::erfc(x); })>;
  if (f == "cbrt") return apply<T, decltype([](T x) { return std::cbrt(x); })>;
  if (f == "sigmoid") return apply<T, decltype([](T x) { return 1 / (1 + std::exp(-x)); })>;
  if (f == "silu") return apply<T, decltype([](T x) { return x / (1 + std::exp(-x)); })>;
  if (f == "softplus") return apply<T, decltype([](T x) { return std::log1p(std::exp(x)); })>;
  if (f == "log_sigmoid") return apply<T, decltype([](T x) { return -std::log1p(std::exp(-x)); })>;
  if (f == "gelu") return apply<T, decltype([](T x) { return x / 2 * (1 + std::erf(x * T(0.70710678118654752))); })>;
  if (f == "gelu_tanh") {
    return apply<T,
                 decltype([](T x) { return x / 2 * (1 + std::tanh(T(0.79788456080286536) * (x + T(0.044715) * x * x * x))); })>;
  }
  if (f == "rsqrt") return apply<T, decltype([](T x) { return 1 / std::sqrt(x); })>;
  return nullptr;
}

}  // namespace

loop<float> loop_of_floats(const char* f) { return loop_of<float>(f); }
loop<double> loop_of_doubles(const char* f) { return loop_of<double>(f); }

}  // namespace peers
