# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Prints test/training/golden_fp8.hpp: codes of narrow formats by ml_dtypes, which PyTorch has to agree with.

  pip install ml_dtypes==0.6.0 numpy torch==2.15.0 && python3 test/training/tools/golden_fp8.py > test/training/golden_fp8.hpp &&
  clang-format -i test/training/golden_fp8.hpp
"""
import ml_dtypes
import numpy as np
import torch

FORMATS = [("e4m3", ml_dtypes.float8_e4m3fn, 448, torch.float8_e4m3fn), ("e5m2", ml_dtypes.float8_e5m2, 57344, torch.float8_e5m2),
           ("e2m1", ml_dtypes.float4_e2m1fn, 6, None)]


def numbers():
    result = [0.0, -0.0, float("inf"), -float("inf"), 1e-45, -1e-38, 3e38]
    for _, kind, largest, _ in FORMATS:
        codes = np.arange(128 if largest > 6 else 8, dtype=np.uint8).view(kind).astype(np.float32)
        codes = codes[np.isfinite(codes)]
        ends = np.concatenate([codes[:4], codes[7:10], codes[-4:]])
        for a, b in zip(ends, ends[1:]):
            result += [float(a), (float(a) + float(b)) / 2]
        step = float(codes[-1] - codes[-2])
        result += [largest + step / 2, float(np.nextafter(np.float32(largest + step / 2), np.float32(0)))]
    state = 1
    for _ in range(60):
        state = (state * 1103515245 + 12345) % 2**31
        result.append((state / 2**30 - 1) * 2.0 ** (state // 7 % 40 - 22))
    return np.array(result, dtype=np.float32)


def row(values, width=12):
    values = list(values)
    return ",\n    ".join(", ".join(values[i:i + width]) for i in range(0, len(values), width))


x = numbers()
print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Codes of narrow formats by ml_dtypes {ml_dtypes.__version__}, of numbers held within their range: tools/golden_fp8.py prints this.
#pragma once

#include <limits>

namespace golden {{

inline constexpr float numbers[] = {{
    {row([float(v).hex() + "F" if np.isfinite(v) else ("-" if v < 0 else "") + "std::numeric_limits<float>::infinity()" for v in x], 5)}}};""")
for name, kind, largest, other in FORMATS:
    held = np.clip(x, -largest, largest)
    codes = held.astype(kind).view(np.uint8)
    if other is not None:
        assert (torch.tensor(held).to(other).view(torch.uint8).numpy() == codes).all(), name
    print(f"inline constexpr int {name}[] = {{\n    {row([str(c) for c in codes], 20)}}};")
print("\n}  // namespace golden")
