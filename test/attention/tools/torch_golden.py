# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Writes test/attention/golden_torch.hpp: python3 torch_golden.py > ../golden_torch.hpp

Results and gradients of PyTorch's scaled_dot_product_attention in float64 on inputs that every storage type holds exactly, and those of
every option, of which scaled_dot_product_attention has only some: there the script holds the formula to it.
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



def visible(mask, len_q, len_k):
    """A mask of the tests as a boolean matrix [len_q, len_k]."""
    i, j = torch.arange(len_q)[:, None], torch.arange(len_k)[None, :]
    at = i + len_k - len_q  # where query i stands
    parent = [0, 0, 0, 1, 1]
    sees = lambda row, node: row == node or (row > 0 and sees(parent[row], node))
    return {
        "everything": lambda: (i >= 0) & (j >= 0),
        "causal_top_left": lambda: j <= i,
        "causal": lambda: j <= at,
        "window": lambda: (j >= at - 2) & (j <= at + 1),
        "prefix": lambda: (j <= at) | (j < 3),
        "documents": lambda: (at // 3 == j // 3) & (j <= at),
        "tree": lambda: torch.tensor([[c < len_k - len_q or sees(r, c - len_k + len_q) for c in range(len_k)] for r in range(len_q)]),
        "dense": lambda: (5 * i + 3 * j) % 4 != 1,
    }[mask]()


def option_case(name, batch, heads, kv_heads, len_q, len_k, head_dim, value_dim, mask="everything", cap=0.0, slopes=(), bias=(), sinks=(), scale=None):
    q, k, v = ramp(1, batch, heads, len_q, head_dim), ramp(2, batch, kv_heads, len_k, head_dim), ramp(3, batch, kv_heads, len_k, value_dim)
    dout = ramp(4, batch, heads, len_q, value_dim).detach()
    along = ramp(6, *q.shape).detach(), ramp(7, *k.shape).detach(), ramp(8, *v.shape).detach()
    added = ramp(5, *(n if has else 1 for n, has in zip((batch, heads, len_q, len_k), bias))) if bias else None
    slope = torch.tensor(slopes, dtype=torch.float64, requires_grad=True) if slopes else None
    sink = torch.tensor(sinks, dtype=torch.float64, requires_grad=True) if sinks else None
    seen = visible(mask, len_q, len_k)
    factor = head_dim ** -0.5 if scale is None else scale
    distance = (torch.arange(len_q)[:, None] + len_k - len_q - torch.arange(len_k)).abs().double()

    def additions():
        total = torch.zeros(1, 1, len_q, len_k, dtype=torch.float64)
        if slopes:
            total = total - slope[None, :, None, None] * distance
        return total + added if bias else total

    def attend(q, k, v):
        scores = factor * q @ k.repeat_interleave(heads // kv_heads, 1).mT
        if cap:
            scores = cap * torch.tanh(scores / cap)
        scores = (scores + additions()).masked_fill(~seen, float("-inf"))
        if sinks:  # a column that has no value
            scores = torch.cat([scores, sink[None, :, None, None].expand(batch, heads, len_q, 1)], -1)
        empty = scores.detach().isneginf().all(-1, keepdim=True)
        weights = scores.masked_fill(empty, 0).softmax(-1).masked_fill(empty, 0)
        return weights[..., :len_k] @ v.repeat_interleave(heads // kv_heads, 1), scores.logsumexp(-1)

    out, lse = attend(q, k, v)
    out.backward(dout)
    with torch.no_grad():
        _, tangent = torch.func.jvp(lambda *x: attend(*x)[0], (q, k, v), along)
        if not cap and not sinks:  # what scaled_dot_product_attention has, too
            total = additions().expand(batch, heads, -1, -1).masked_fill(~seen, float("-inf"))
            other = torch.nn.functional.scaled_dot_product_attention(q, k, v, total, scale=scale, enable_gqa=heads != kv_heads)
            live = seen.any(-1)
            assert (other - out)[:, :, live].abs().max() < 1e-14, name
    sizes = (batch, heads, kv_heads, len_q, len_k, head_dim, value_dim)
    print(f'    {{.name = "{name}",')
    print("     .sizes = {" + ", ".join(map(str, sizes)) + "},")
    print(f'     .mask = "{mask}", .cap = {cap!r}, .scale = {0.0 if scale is None else scale!r},')
    print("     .slopes = {" + ", ".join(map(repr, slopes)) + "}, .sinks = {" + ", ".join(map(repr, sinks)) + "},")
    print("     .bias = {" + ", ".join(str(bool(has)).lower() for has in bias) + "},")
    for what, tensor in [("out", out), ("lse", lse), ("dq", q.grad), ("dk", k.grad), ("dv", v.grad), ("tangent", tangent)]:
        numbers(what, tensor)
    for what, leaf in [("dbias", added), ("dslopes", slope), ("dsinks", sink)]:
        numbers(what, leaf.grad if leaf is not None else torch.zeros(0))
    print("    },")


print(f"""// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \\file
/// Written by tools/torch_golden.py with PyTorch {torch.__version__}: results and gradients of scaled_dot_product_attention, and of
/// every option, in float64.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
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

/// Inputs and gradients as above; tangents are ramps of seeds 6, 7 and 8.
struct every_option {{
  const char* name;
  std::int64_t sizes[7];
  std::string_view mask;
  double cap;    ///< 0: none
  double scale;  ///< 0: 1 / sqrt(head_dim)
  std::vector<float> slopes, sinks;
  std::vector<bool> bias;  ///< which axes the bias has; empty: no bias
  std::vector<double> out, lse, dq, dk, dv, tangent, dbias, dslopes, dsinks;
}};

inline constexpr double inf = std::numeric_limits<double>::infinity();

// clang-format off
inline const attention torch[] = {{""")
case("full", 1, 2, 2, 3, 5, 4, 3)
case("causal", 2, 1, 1, 5, 4, 3, 3, causal=True)
case("grouped", 1, 4, 2, 3, 4, 2, 5, scale=0.75)
case("bias", 1, 2, 1, 3, 6, 4, 2, bias=True)
print("""};

inline const every_option torch_options[] = {""")
option_case("plain", 1, 2, 1, 3, 4, 3, 2)
option_case("causal, more queries than keys", 1, 1, 1, 6, 4, 3, 2, "causal")
option_case("causal, more keys than queries", 2, 1, 1, 3, 5, 2, 3, "causal")
option_case("causal, top left", 1, 1, 1, 4, 6, 3, 2, "causal_top_left")
option_case("window", 1, 2, 2, 6, 6, 2, 3, "window")
option_case("prefix", 1, 1, 1, 6, 6, 3, 2, "prefix")
option_case("documents", 1, 1, 1, 5, 8, 2, 2, "documents")
option_case("tree", 1, 2, 1, 5, 7, 3, 2, "tree")
option_case("dense", 2, 2, 1, 4, 5, 2, 2, "dense")
option_case("alibi", 1, 4, 2, 3, 5, 2, 2, "causal", slopes=(0.5, 0.25, 0.125, 0.0625))
option_case("softcap", 1, 2, 1, 3, 5, 3, 2, cap=0.5, scale=2.0)
option_case("bias of a row", 2, 2, 1, 3, 5, 2, 2, bias=(0, 1, 0, 1))
option_case("bias of a batch", 2, 1, 1, 3, 4, 2, 2, "causal", bias=(1, 0, 1, 1))
option_case("sinks", 1, 2, 2, 3, 4, 2, 3, "causal", sinks=(0.5, -1.0))
option_case("sinks alone where no key is seen", 1, 2, 1, 4, 2, 2, 3, "causal", sinks=(0.25, 1.5))
option_case("all", 1, 4, 2, 4, 6, 3, 5, "window", cap=1.5, slopes=(0.5, 0.25, 0.125, 0.0625), bias=(0, 1, 1, 1), sinks=(0.5, -1.0, 0.25, 2.0), scale=0.75)
print("""};
// clang-format on

}  // namespace golden""")
