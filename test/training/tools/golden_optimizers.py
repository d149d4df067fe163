# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Prints test/training/golden_optimizers.hpp: steps of PyTorch's optimisers in float64, and scales of its GradScaler.

  pip install torch==2.15.0 && python3 test/training/tools/golden_optimizers.py > test/training/golden_optimizers.hpp
"""
import torch

STEPS, SIZE = 4, 5


def gradient(step):
    return torch.tensor([((step * 7 + i * 5) % 11 - 5) / 8 for i in range(SIZE)], dtype=torch.float64)


def table(values):
    return "{" + ", ".join(v.hex() if isinstance(v, float) else str(v) for v in values) + "}"


def run(name, make):
    weight = torch.tensor([(i - 2) / 4 for i in range(SIZE)], dtype=torch.float64, requires_grad=True)
    optimizer = make([weight])
    print(f"inline constexpr double {name}[steps][size] = {{")
    for step in range(1, STEPS + 1):
        weight.grad = gradient(step)
        optimizer.step()
        print(f"    {table(weight.tolist())},")
    print("};")


def trace(name, overflows, **options):
    scaler = torch.amp.GradScaler("cpu", **options)
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.0)
    scales = []
    for overflow in overflows:
        scaler.scale(weight.sum())
        weight.grad = torch.tensor([float("inf") if overflow else 1.0])
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    print(f"inline constexpr bool {name}_overflows[] = {table([str(bool(o)).lower() for o in overflows])};")
    print(f"inline constexpr double {name}_scales[] = {table(scales)};")


print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Steps of the optimisers of PyTorch {torch.__version__.split('+')[0]} in float64, and scales of its GradScaler: tools/golden_optimizers.py prints this.
#pragma once

namespace golden {{

inline constexpr int steps = {STEPS};
inline constexpr int size = {SIZE};

/// Weight i begins as (i - 2) / 4; its gradient in step k = 1, 2 ... is ((7 k + 5 i) mod 11 - 5) / 8.""")
run("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1))
run("adam", lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1))
run("sgd", lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05))
run("momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.25, weight_decay=0.05))
run("nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True))
print("\n/// Steps that overflow, and the scale after each.")
trace("short", [0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], init_scale=1024.0, growth_factor=3.0, backoff_factor=0.3,
      growth_interval=3)
trace("high", [0] * 8, init_scale=2.0**124, growth_factor=4.0, growth_interval=2)
trace("low", [1] * 12, init_scale=1e-38, backoff_factor=0.1)
print("\n}  // namespace golden")
