# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Prints test/training/golden_cross_entropy.hpp: what PyTorch computes in float64, gradients by its autograd.

  pip install torch==2.15.0 && python3 test/training/tools/golden_cross_entropy.py > test/training/golden_cross_entropy.hpp
"""
import torch
from torch.nn.functional import cross_entropy

ROWS, DEPTH, CLASSES = 5, 3, 6
TARGET = torch.tensor([2, -100, 0, 5, 2])


def numbers(*shape, step, modulus, divisor):
    """(k^2 step mod modulus - modulus / 2) / divisor, exact in float16"""
    k = torch.arange(torch.Size(shape).numel(), dtype=torch.int64)
    return ((k * k * step % modulus - modulus // 2).to(torch.float64) / divisor).reshape(shape).requires_grad_()


def table(values):
    if values.dim() == 0:
        return repr(values.item())
    return "{" + ", ".join(table(v) for v in values) + "}"


print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// The cross-entropy of a linear layer and its gradients by PyTorch {torch.__version__.split('+')[0]} in float64: tools/golden_cross_entropy.py prints
/// this.
#pragma once

#include <cstdint>

#include "tessera/training/cross_entropy_options.hpp"

namespace golden {{

inline constexpr std::int64_t rows = {ROWS};
inline constexpr std::int64_t depth = {DEPTH};
inline constexpr std::int64_t classes = {CLASSES};
inline constexpr std::int64_t target[rows] = {table(TARGET)};

inline double hidden(std::uint64_t n) {{ return (static_cast<double>(n * n * 37 % 101) - 50) / 16; }}
inline double weight(std::uint64_t n) {{ return (static_cast<double>(n * n * 29 % 61) - 30) / 16; }}
inline double bias(std::uint64_t n) {{ return (static_cast<double>(n * n * 11 % 31) - 15) / 8; }}

struct outcome {{
  tessera::training::cross_entropy_options options;
  double loss;  ///< of reduction::none the sum
  double row_losses[rows];
  double grad_hidden[rows][depth], grad_weight[classes][depth], grad_bias[classes];
}};

inline constexpr outcome outcomes[] = {{""")
for reduce, smoothing, z_loss in [("none", 0, 0), ("mean", 0, 0), ("sum", 0.1, 0), ("mean", 0.2, 1e-2), ("none", 1, 0.5)]:
    h = numbers(ROWS, DEPTH, step=37, modulus=101, divisor=16)
    w = numbers(CLASSES, DEPTH, step=29, modulus=61, divisor=16)
    b = numbers(CLASSES, step=11, modulus=31, divisor=8)
    z = h @ w.T + b
    counts = TARGET != -100
    losses = cross_entropy(z, TARGET, reduction="none", label_smoothing=smoothing) + z_loss * torch.logsumexp(z, 1) ** 2 * counts.double()
    loss = losses.sum() / (counts.sum() if reduce == "mean" else 1)
    loss.backward()
    print(f"{{{{.reduce = tessera::training::reduction::{reduce}, .label_smoothing = {smoothing}, .z_loss = {z_loss}}}, "
          + ", ".join(table(v.detach()) for v in (loss, losses, h.grad, w.grad, b.grad)) + "},")
print("""};

}  // namespace golden""")
