# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Writes test/attention/golden_torch.hpp: python3 torch_golden.py > ../golden_torch.hpp

Results and gradients of PyTorch's scaled_dot_product_attention in float64 on inputs that every storage type holds exactly.
"""
import torch


def ramp(seed, *shape):
    """((37 n + 11 seed) mod 61 - 30) / 32, n in row-major order: exact in bfloat16."""
    n = torch.arange(int(torch.tensor(shape).prod()))
    return ((((37 * n + 11 * seed) % 61) - 30).double() / 32).reshape(shape).requires_grad_()


def numbers(name, tensor):
    print(f"     .{name} = {{" + ", ".join(repr(x) for x in tensor.detach().flatten().tolist()) + "},")


def case(name, batch, heads, kv_heads, len_q, len_k, head_dim, value_dim, causal=False, bias=False, scale=None):
    q, dout = ramp(1, batch, heads, len_q, head_dim), ramp(4, batch, heads, len_q, value_dim).detach()
    k, v = ramp(2, batch, kv_heads, len_k, head_dim), ramp(3, batch, kv_heads, len_k, value_dim)
    mask = ramp(5, 1, heads, len_q, len_k) if bias else None
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=heads != kv_heads)
    out.backward(dout)
    with torch.no_grad():
        factor = head_dim ** -0.5 if scale is None else scale
        scores = factor * q @ k.repeat_interleave(heads // kv_heads, 1).mT + (mask if bias else 0)
        if causal:
            scores = scores.masked_fill(torch.ones(len_q, len_k).tril() == 0, float("-inf"))
        lse = scores.logsumexp(-1)
    print(f'    {{.name = "{name}",')
    sizes = (batch, heads, kv_heads, len_q, len_k, head_dim, value_dim)
    print("     .sizes = {" + ", ".join(map(str, sizes)) + "},")
    print(f"     .causal = {str(causal).lower()}, .bias = {str(bias).lower()}, .scale = {0.0 if scale is None else scale!r},")
    for what, tensor in [("out", out), ("lse", lse), ("dq", q.grad), ("dk", k.grad), ("dv", v.grad)]:
        numbers(what, tensor)
    numbers("dbias", mask.grad if bias else torch.zeros(0))
    print("    },")


print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Written by tools/torch_golden.py with PyTorch {torch.__version__}: results and gradients of scaled_dot_product_attention in float64.
#pragma once

#include <cstdint>
#include <vector>

namespace golden {{

struct attention {{
  const char* name;
  std::int64_t sizes[7];  ///< batch, heads, kv_heads, len_q, len_k, head_dim, value_dim
  bool causal;            ///< top left
  bool bias;              ///< [1, heads, len_q, len_k]
  double scale;           ///< 0: 1 / sqrt(head_dim)
  std::vector<double> out, lse, dq, dk, dv, dbias;
}};

// clang-format off
inline const attention torch[] = {{""")
case("full", 1, 2, 2, 3, 5, 4, 3)
case("causal", 2, 1, 1, 5, 4, 3, 3, causal=True)
case("grouped", 1, 4, 2, 3, 4, 2, 5, scale=0.75)
case("bias", 1, 2, 1, 3, 6, 4, 2, bias=True)
print("""};
// clang-format on

}  // namespace golden""")
