# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Writes test/attention/golden_rotary.hpp: python3 rotary_golden.py > ../golden_rotary.hpp

Rotary position embedding by equations 15 and 34 of arXiv:2104.09864 in 60 digits: cosines and sines, and whole rows, which are
multiplied with a matrix of rotations as equation 15 writes it down.
"""
import mpmath

mpmath.mp.dps = 60


def angle(position, m, dims, base, factor):
    return mpmath.mpf(position) / mpmath.mpf(factor) * mpmath.power(mpmath.mpf(base), mpmath.mpf(-2 * m) / dims)


def number(x):
    return float(x).hex()


def table(position, m, dims, base, factor):
    a = angle(position, m, dims, base, factor)
    print(f"    {{{position}, {m}, {dims}, {base!r}, {factor!r}, {number(mpmath.cos(a))}, {number(mpmath.sin(a))}}},")


def ramp(n):
    """((37 n + 11) mod 61 - 30) / 32: exact in bfloat16."""
    return mpmath.mpf((37 * n + 11) % 61 - 30) / 32


def row(name, position, dim, dims, interleaved):
    """R x for the block-diagonal R of equation 15, its rows and columns permuted where pairs are halves."""
    matrix = mpmath.eye(dim)
    for m in range(dims // 2):
        a, b = (2 * m, 2 * m + 1) if interleaved else (m, m + dims // 2)
        theta = angle(position, m, dims, 10000.0, 1.0)
        matrix[a, a] = matrix[b, b] = mpmath.cos(theta)
        matrix[a, b] = -mpmath.sin(theta)
        matrix[b, a] = mpmath.sin(theta)
    x = matrix * mpmath.matrix([ramp(n) for n in range(dim)])
    print(f'    {{"{name}", {position}, {dims}, {str(interleaved).lower()}, {{' + ", ".join(number(v) for v in x) + "}},")


print("""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Written by tools/rotary_golden.py with mpmath: rotary position embedding in 60 digits, rounded to float64.
#pragma once

#include <cstdint>
#include <vector>

namespace golden {

struct rotary_entry {
  std::int64_t position, m, dims;
  double base, factor, cos, sin;
};

struct rotary_row {
  const char* name;
  std::int64_t position, dims;
  bool interleaved;
  std::vector<double> x;  ///< of ((37 n + 11) mod 61 - 30) / 32
};

// clang-format off
inline const rotary_entry rotary_entries[] = {""")
for position in [0, 1, 7, 4095, 131071, 1048575, 16777217, 2147483647]:
    for m in [0, 1, 17, 63]:
        table(position, m, 128, 10000.0, 1.0)
for position in [3, 100003, 2147483646]:
    for m in [0, 2, 11]:
        table(position, m, 24, 500000.0, 8.0)
        table(position, m, 34, 1.5, 2.7)
for position in range(2147483600, 2147483632):  # where what an angle loses when it becomes a float64 is larger than the bound
    table(position, 1, 128, 10000.0, 1.0)
table(710, 0, 2, 10000.0, 2.0)  # 355: near 113 pi, where the sine cancels
table(1146408, 0, 4, 7.0, 3.0)  # 382136: near 121638 pi
print("""};

inline const rotary_row rotary_rows[] = {""")
row("halves", 5, 8, 8, False)
row("interleaved", 5, 8, 8, True)
row("halves, part of an odd row", 1023, 9, 6, False)
row("interleaved, part of an odd row", 1023, 9, 6, True)
row("halves, longer than a register", 77, 70, 68, False)
row("interleaved, longer than a register", 77, 70, 68, True)
print("""};
// clang-format on

}  // namespace golden""")
