// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The passes between two matrix products, compiled with all that fast-math allows (exponentials of libmvec, reordered sums), so that
/// no peer is slow for want of a compiler flag. Tessera does not compile under these flags: nothing of it is included here.
#pragma once

#include <cstdint>

namespace peers {

/// The smallest half_squares[j] - dots[j] and its j, kept if smaller than `best`. |x - y_j|^2 = |x|^2 + 2 (|y_j|^2 / 2 - x.y_j).
void keep_smallest(const float* half_squares, const float* dots, std::int64_t count, std::int32_t first, float& best,
                   std::int32_t& where);

/// scores[j] = exp(scores[j] - max); returns 1 / their sum.
float exponentials(float* scores, std::int64_t count);

/// log sum_j exp(z[j])
float log_sum_of_exponentials(const float* z, std::int64_t count);
/// scores[j] = exp(scores[j] - lse)
void weights_of(float* scores, std::int64_t count, float lse);
/// slopes[j] = weights[j] * (slopes[j] - delta)
void slopes_of(float* slopes, const float* weights, std::int64_t count, float delta);
float sum_of_products(const float* x, const float* y, std::int64_t count);

float sum_of_squares(const float* x, std::int64_t count);

/// The loop out[i] = f(x[i]) for a function by its name, or null.
template <class T>
using loop = void (*)(const T* x, T* out, std::int64_t count);
loop<float> loop_of_floats(const char* f);
loop<double> loop_of_doubles(const char* f);

}  // namespace peers
