# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Prints test/training/golden_mx.hpp: MX blocks of torchao, its scales rounded down as OCP has them.

  pip install torchao==0.18.0 torch==2.15.0 && python3 test/training/tools/golden_mx.py > test/training/golden_mx.hpp &&
  clang-format -i test/training/golden_mx.hpp
"""
import torch
import torchao
from torchao.prototype.mx_formats.mx_tensor import ScaleCalculationMode, to_mx

ROWS = 10


def numbers():
    state = 7
    rows = []
    for r in range(ROWS):
        row = []
        for _ in range(32):
            state = (state * 1103515245 + 12345) % 2**31
            row.append((state / 2**30 - 1) * 2.0 ** (state // 7 % 12 + 20 * (r - 5)))
        rows.append(row)
    rows[1] = [(-1) ** i * 2.0 ** (i - 24) for i in range(32)]
    rows[2] = [0.0] * 32
    rows[3] = [1.75 + i / 128 for i in range(32)]
    return torch.tensor(rows, dtype=torch.float32)


def table(values, width):
    values = list(values)
    return "{\n    " + ",\n    ".join(", ".join(values[i:i + width]) for i in range(0, len(values), width)) + "};"


x = numbers()
print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// MX blocks of torchao {torchao.__version__.split('+')[0]}, its scales rounded down as OCP has them: tools/golden_mx.py prints this.
#pragma once

namespace golden {{

inline constexpr int mx_rows = {ROWS};
inline constexpr float mx_numbers[] = {table([v.hex() + "F" for v in x.flatten().tolist()], 5)}""")
for name, kind in [("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2), ("e2m1", torch.float4_e2m1fn_x2)]:
    scales, codes = to_mx(x, kind, 32, ScaleCalculationMode.FLOOR)
    codes = codes.view(torch.uint8).flatten().tolist()
    if name == "e2m1":
        codes = [half for byte in codes for half in (byte & 15, byte >> 4)]
    print(f"inline constexpr int mx_{name}_scales[] = {table([str(c) for c in scales.view(torch.uint8).flatten().tolist()], 16)}")
    print(f"inline constexpr int mx_{name}[] = {table([str(c) for c in codes], 16)}")
print("\n}  // namespace golden")
