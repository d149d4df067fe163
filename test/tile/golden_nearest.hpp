// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Nearest neighbours by FAISS 1.15.1: tools/golden_nearest.py prints this.
#pragma once

#include <cstdint>

namespace golden {

inline constexpr std::int64_t queries = 5;
inline constexpr std::int64_t keys = 60;
inline constexpr std::int64_t depth = 6;
inline constexpr std::int64_t k = 10;

inline double query(std::uint64_t n) { return static_cast<double>(n * n * 29 % 101) - 50; }
inline double key(std::uint64_t n) { return static_cast<double>(n * n * 37 % 101) - 50; }

inline constexpr double squared_distances[queries][k] = {{1920, 2662, 3107, 3330, 4404, 4639, 4842, 6072, 6559, 6616},
                                                         {2840, 3576, 4174, 4302, 4482, 4689, 4872, 5070, 5129, 5859},
                                                         {2301, 2479, 3065, 3079, 3244, 3465, 3471, 4859, 5469, 5757},
                                                         {3123, 3640, 3675, 4140, 4350, 4948, 6597, 6795, 6931, 6944},
                                                         {1962, 2512, 3390, 3692, 3874, 4196, 4296, 4395, 4497, 5186}};
inline constexpr std::int64_t nearest[queries][k] = {{12, 0, 7, 55, 20, 17, 16, 1, 50, 15},
                                                     {30, 58, 54, 50, 3, 22, 35, 47, 27, 0},
                                                     {47, 30, 26, 35, 37, 52, 3, 13, 5, 10},
                                                     {27, 35, 22, 30, 39, 44, 15, 2, 48, 47},
                                                     {41, 50, 26, 59, 7, 33, 17, 21, 55, 13}};

inline constexpr double products[queries][k] = {{6372, 5167, 4156, 3447, 3066, 2774, 2653, 2470, 2398, 1754},
                                                {3342, 3089, 2946, 2509, 2321, 1988, 1880, 1839, 1748, 1616},
                                                {2960, 2577, 2181, 2151, 1996, 1993, 1911, 1858, 1822, 1718},
                                                {5546, 5462, 4198, 4043, 3902, 3734, 3387, 3288, 2713, 2574},
                                                {3727, 3691, 3262, 3110, 2732, 2587, 2171, 2165, 2003, 1969}};
inline constexpr std::int64_t largest_products[queries][k] = {{12, 55, 0, 7, 16, 8, 20, 38, 17, 51},
                                                              {58, 22, 54, 27, 38, 30, 12, 0, 34, 5},
                                                              {37, 26, 5, 47, 10, 52, 29, 59, 30, 35},
                                                              {22, 27, 39, 46, 44, 35, 2, 30, 54, 15},
                                                              {41, 55, 21, 59, 45, 26, 7, 50, 33, 37}};

}  // namespace golden
