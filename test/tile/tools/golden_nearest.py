# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Prints test/tile/golden_nearest.hpp: what FAISS finds among points of small integers, whose distances it computes exactly.

  pip install faiss-cpu==1.15.1 && python3 test/tile/tools/golden_nearest.py > test/tile/golden_nearest.hpp
"""
import faiss
import numpy

QUERIES, KEYS, DEPTH, K = 5, 60, 6, 10


def points(count, step):
    k = numpy.arange(count * DEPTH, dtype=numpy.int64).reshape(count, DEPTH)
    return (k * k * step % 101 - 50).astype("float32")


def table(type, name, values):
    rows = ", ".join("{" + ", ".join(str(int(v)) for v in row) + "}" for row in values)
    return f"inline constexpr {type} {name}[queries][k] = {{{rows}}};\n"


def search(index):
    index.add(points(KEYS, 37))
    distances, indices = index.search(points(QUERIES, 29), K)
    # FAISS leaves the order of equally near keys open.
    order = numpy.lexsort((indices, distances if index.metric_type == faiss.METRIC_L2 else -distances))
    return numpy.take_along_axis(distances, order, 1), numpy.take_along_axis(indices, order, 1)


near, far = search(faiss.IndexFlatL2(DEPTH)), search(faiss.IndexFlatIP(DEPTH))
print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Nearest neighbours by FAISS {faiss.__version__}: tools/golden_nearest.py prints this.
#pragma once

#include <cstdint>

namespace golden {{

inline constexpr std::int64_t queries = {QUERIES};
inline constexpr std::int64_t keys = {KEYS};
inline constexpr std::int64_t depth = {DEPTH};
inline constexpr std::int64_t k = {K};

inline double query(std::uint64_t n) {{ return static_cast<double>(n * n * 29 % 101) - 50; }}
inline double key(std::uint64_t n) {{ return static_cast<double>(n * n * 37 % 101) - 50; }}

{table("double", "squared_distances", near[0])}{table("std::int64_t", "nearest", near[1])}
{table("double", "products", far[0])}{table("std::int64_t", "largest_products", far[1])}
}}  // namespace golden""")
