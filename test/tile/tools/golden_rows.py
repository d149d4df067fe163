# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Prints test/tile/golden_rows.hpp: what PyTorch computes in float64, gradients by its autograd.

  pip install torch==2.15.0 && python3 test/tile/tools/golden_rows.py > test/tile/golden_rows.hpp
"""
import torch

ROWS, LENGTH = 3, 7


def numbers(step, modulus, divisor):
    """(k^2 step mod modulus - modulus / 2) / divisor, exact in float16"""
    return torch.tensor([[((i * LENGTH + j) ** 2 * step % modulus - modulus // 2) / divisor for j in range(LENGTH)] for i in range(ROWS)],
                        dtype=torch.float64)


def table(name, values):
    rows = ",\n    ".join("{" + ", ".join(repr(float(v)) for v in row) + "}" for row in values)
    return f"inline constexpr double {name}[rows][length] = {{\n    {rows}}};\n"


x = numbers(37, 101, 8).requires_grad_()
g = numbers(29, 61, 16)
p, log_p = torch.softmax(x, 1), torch.log_softmax(x, 1)
grad, = torch.autograd.grad(p, x, g)
log_grad, = torch.autograd.grad(log_p, x, g)
print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Softmax of rows and its gradient by PyTorch {torch.__version__.split('+')[0]} in float64: tools/golden_rows.py prints this.
#pragma once

#include <cstdint>

namespace golden {{

inline constexpr std::int64_t rows = {ROWS};
inline constexpr std::int64_t length = {LENGTH};

/// Number n of the rows, and of the gradients that come back to them.
inline double number(std::uint64_t n) {{ return (static_cast<double>(n * n * 37 % 101) - 50) / 8; }}
inline double gradient(std::uint64_t n) {{ return (static_cast<double>(n * n * 29 % 61) - 30) / 16; }}

{table("softmax", p.detach())}
{table("log_softmax", log_p.detach())}
{table("softmax_gradient", grad)}
{table("log_softmax_gradient", log_grad)}
}}  // namespace golden""")
