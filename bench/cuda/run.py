#!/usr/bin/env python3
# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Times the kernels of Tessera beside those of PyTorch, cuBLAS and cuRAND on the GPU of this machine.

run.py LIBRARY RESULTS [--quick] [--only WORDS] [--dry-run]

Ours and the peer's turns alternate in one process; times are medians of CUDA events around several calls, after a warm-up, and the arrays of
attention rotate so that no call finds its inputs in the second-level cache. Limits (matrix products, copies) are measured in the same run. Every
row also compares results. Writes a table, and RESULTS/<date>-<gpu>.json.

A row that fails, breaks the GPU or never ends is named, and the others go on: rows run in a worker, which is started again after such a row. No row
begins after five minutes. --only: rows whose name holds the words. --dry-run: everything but the kernels, on small arrays of the CPU.
"""
import ctypes
import datetime
import functools
import json
import math
import pathlib
import queue
import re
import statistics
import subprocess
import sys
import threading
import time

seconds_of_all = 300
seconds_of_row = 60
dry = "--dry-run" in sys.argv
quick = "--quick" in sys.argv or dry


# ---- The worker ----

def cut(n):
    """A length, of toy size without a GPU."""
    return min(n, 64) if dry else n


def said(kind, **fields):
    print("@" + json.dumps({"kind": kind, **fields}), flush=True)


def call(name, *arguments):
    if not dry and getattr(library, name)(ctypes.c_void_p(stream), *arguments) != 0:
        raise RuntimeError(f"{name}: {library.tessera_error().decode()}")


def pointer(x):
    return ctypes.c_void_p(x.data_ptr())


def integer(n):
    return ctypes.c_int64(n)


def once(f, i, calls):
    """The time in ms of one of so many calls."""
    if dry:
        for c in range(calls):
            f(i + c)
        return 1.0
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for c in range(calls):
        f(i + c)
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / calls


def race(competitors, repeats=11, seconds=4.0):
    """The median time in ms of each of {name: f(i)}, their turns alternating: as many turns as the time allows, three at least."""
    calls = {}
    for name, f in competitors.items():
        once(f, 0, 2)
        calls[name] = 1 if dry else max(1, min(200, math.ceil(2.0 / max(once(f, 0, 3), 1e-3))))
    times = {name: [] for name in competitors}
    end = time.monotonic() + seconds
    for r in range(3 if dry else 5 if quick else repeats):
        if r >= 3 and time.monotonic() > end:
            break
        for name, f in competitors.items():
            times[name].append(once(f, r, calls[name]))
    return {name: statistics.median(t) for name, t in times.items()}


def report(case, times, work, limit_name, error, ours="tessera"):
    """One row a peer: ratio = the peer's time over ours; fraction = our rate of the limit's."""
    fraction = work / times[ours] / limits[limit_name]
    peers = {name: t for name, t in times.items() if name != ours} or {"none": None}
    for peer, t in peers.items():
        said("row", case=case, tessera_ms=times[ours], peer=peer, peer_ms=t, ratio=t / times[ours] if t else None, limit=limit_name,
             limit_fraction=fraction, max_error=error)


def with_peers(case, competitors, peers):
    """Adds the peers that work, and names the others."""
    for peer, f in peers.items():
        try:
            f(0)
            competitors[peer] = f
        except Exception as e:
            said("row", case=case, peer=peer, missing=f"{type(e).__name__}: {e}".splitlines()[0][:200])
    return competitors


def measure_limits():
    def product(dtype):
        n = cut(8192)
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        out = torch.empty(n, n, device=device, dtype=dtype)
        return 2 * n**3 / race({"mm": lambda i: torch.mm(a, b, out=out)}, 7)["mm"]

    def copy():
        a = torch.empty(cut(1 << 30), dtype=torch.uint8, device=device)
        b = torch.empty_like(a)
        return 2 * a.numel() / race({"copy": lambda i: b.copy_(a)})["copy"]

    rates = {"copy": copy()}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float16", torch.float16), ("float32", torch.float32), ("float64", torch.float64)):
        rates[name + " product"] = product(dtype)
    torch.backends.cuda.matmul.allow_tf32 = True
    rates["tf32 product"] = product(torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


class AttentionCall(ctypes.Structure):
    arrays = ("q", "k", "v", "out", "lse", "dout", "dq", "dk", "dv")
    _fields_ = [(name, ctypes.c_void_p) for name in arrays] + [
        (name, ctypes.c_int64) for name in ("batch", "heads", "kv_heads", "len_q", "len_k", "head_dim", "window")
    ] + [(name, ctypes.c_void_p) for name in ("document", "offsets", "table", "lengths")] + [
        (name, ctypes.c_int64) for name in ("pages", "page_size")] + [(name, ctypes.c_int) for name in ("causal", "tf32", "generation")]


def attention_call(arrays, batch, heads, kv_heads, len_q, len_k, head_dim, **more):
    c = AttentionCall(batch=batch, heads=heads, kv_heads=kv_heads, len_q=len_q, len_k=len_k, head_dim=head_dim, window=-1, generation=9)
    for name, x in zip(AttentionCall.arrays, arrays):
        setattr(c, name, x.data_ptr() if x is not None else None)
    for name, x in more.items():
        setattr(c, name, x.data_ptr() if isinstance(x, torch.Tensor) else x)
    return c


def attention_arrays(dtype, batch, heads, kv_heads, len_q, len_k, dim, sets=3):
    make = lambda h, s: torch.randn(batch, h, s, dim, device=device).to(dtype)
    return [(make(heads, len_q), make(kv_heads, len_k), make(kv_heads, len_k)) for _ in range(sets)]


def sdpa(backend, q, k, v, causal=False, mask=None):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    with sdpa_kernel([getattr(SDPBackend, backend)]):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=k.shape[1] != q.shape[1])


backends = {"torch flash": "FLASH_ATTENTION", "torch cuDNN": "CUDNN_ATTENTION", "torch efficient": "EFFICIENT_ATTENTION", "torch math": "MATH"}
of_16_bits = ("torch flash", "torch cuDNN")


def attention_error(out, q, k, v, visible=None):
    """The largest error of the last rows of the first head, in units of the weighted mean of |v|."""
    n = min(64, q.shape[2])
    out, q, k, v = (x[0, 0].double() for x in (out, q, k, v))
    s = q[-n:] @ k.T / math.sqrt(q.shape[-1])
    if visible is not None:
        i = torch.arange(q.shape[0] - n, q.shape[0], device=device)[:, None]
        s = s.masked_fill(~visible(i, torch.arange(k.shape[0], device=device)[None, :]), -math.inf)
    p = torch.softmax(s, -1)
    return ((out[-n:] - p @ v).abs() / (p @ v.abs())).max().item()


def bench_attention(dtype, batch, heads, seq, dim, causal=False, peers=of_16_bits, limit=None, note="", entry="tessera_attention_forward",
                    pairs=None, visible=None, more_peers=None, **options):
    """Forward; pairs: those that a head sees, where it is not all or half of them."""
    seq = cut(seq)
    case = f"attention forward {str(dtype)[6:]} B{batch} H{heads} S{seq} D{dim}{' causal' if causal else ''}{note}"
    sets = attention_arrays(dtype, batch, heads, heads, seq, seq, dim)
    outs = [torch.empty_like(q) for q, _, _ in sets]
    calls = [attention_call((*s, out), batch, heads, heads, seq, seq, dim, causal=int(causal), **options) for s, out in zip(sets, outs)]
    ours = lambda i: call(entry, types[dtype], ctypes.byref(calls[i % 3]))
    ours(0)
    visible = visible or ((lambda i, j: j <= i) if causal else None)
    error = attention_error(outs[0], *sets[0], visible)
    theirs = {peer: lambda i, peer=peer: sdpa(backends[peer], *sets[i % 3], causal) for peer in peers}
    for peer, make in (more_peers or {}).items():
        made = functools.cache(make)
        theirs[peer] = lambda i, made=made: made()(*sets[i % 3])
    pairs = pairs or seq * seq * (0.5 if causal else 1)
    report(case, race(with_peers(case, {"tessera": ours}, theirs)), 4 * batch * heads * pairs * dim,
           limit or f"{str(dtype)[6:]} product", error)


def bench_backward(dtype, batch, heads, seq, dim, causal):
    seq = cut(seq)
    case = f"attention backward {str(dtype)[6:]} B{batch} H{heads} S{seq} D{dim}{' causal' if causal else ''}"
    sets = attention_arrays(dtype, batch, heads, heads, seq, seq, dim)
    outs = [torch.empty_like(q) for q, _, _ in sets]
    lses = [torch.empty(batch, heads, seq, device=device) for _ in sets]
    douts = [torch.randn_like(q) for q, _, _ in sets]
    grads = [tuple(torch.empty_like(x) for x in s) for s in sets]
    calls = [attention_call((*sets[i], outs[i], lses[i], douts[i], *grads[i]), batch, heads, heads, seq, seq, dim, causal=int(causal))
             for i in range(3)]
    for c in calls:
        call("tessera_attention_forward", types[dtype], ctypes.byref(c))
    ours = lambda i: call("tessera_attention_backward", types[dtype], ctypes.byref(calls[i % 3]))

    def their(peer):
        inputs = [tuple(x.detach().clone().requires_grad_() for x in s) for s in sets]
        graphs = []

        def run(i):
            if not graphs:
                graphs.extend(sdpa(backends[peer], *s, causal) for s in inputs)
            return torch.autograd.grad(graphs[i % 3], inputs[i % 3], douts[i % 3], retain_graph=True)
        return run

    competitors = with_peers(case, {"tessera": ours}, {peer: their(peer) for peer in of_16_bits})
    ours(0)
    error = None
    for f in list(competitors.values())[1:2]:
        error = max(((a.double() - b.double()).norm() / b.double().norm()).item() for a, b in zip(grads[0], f(0)))
    report(case, race(competitors), 10 * batch * heads * seq * seq * dim * (0.5 if causal else 1), f"{str(dtype)[6:]} product", error)


def flex(see, batch, seq):
    """FlexAttention of a mask, which PyTorch compiles."""
    if dry:
        raise RuntimeError("not compiled in a dry run")
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    mask = create_block_mask(see, batch, None, seq, seq, device=device)
    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask)


def bench_documents(batch, heads, seq, dim, length):
    seq, length = cut(seq), cut(length)
    of = (torch.arange(seq, device=device, dtype=torch.int32) // length).expand(batch, seq).contiguous()

    see = lambda b, h, i, j: (i >= j) & (of[b, i] == of[b, j])
    bench_attention(torch.bfloat16, batch, heads, seq, dim, True, (), note=f" documents of {length}", entry="tessera_attention_documents",
                    pairs=seq * length / 2, visible=lambda i, j: (j <= i) & (i // length == j // length), more_peers={"torch flex": lambda: flex(see, batch, seq)},
                    document=of)


def bench_window(batch, heads, seq, dim, window):
    seq, window = cut(seq), cut(window)

    see = lambda b, h, i, j: (i >= j) & (i - j <= window)
    bench_attention(torch.bfloat16, batch, heads, seq, dim, True, (), note=f" window {window}", pairs=seq * (window + 1) - window * window / 2,
                    visible=lambda i, j: (j <= i) & (i - j <= window), more_peers={"torch flex": lambda: flex(see, None, seq)},
                    window=window)


def bench_ragged(heads, lengths, dim):
    lengths = [cut(n) for n in lengths]
    total, longest = sum(lengths), max(lengths)
    case = f"attention forward bfloat16 ragged causal {len(lengths)} of {min(lengths)}-{longest} H{heads} D{dim}"
    offsets = torch.tensor([sum(lengths[:i]) for i in range(len(lengths) + 1)], dtype=torch.int32, device=device)
    sets = [tuple(torch.randn(total, heads, dim, device=device).to(torch.bfloat16) for _ in range(3)) for _ in range(3)]
    outs = [torch.empty_like(q) for q, _, _ in sets]
    calls = [attention_call((*s, out), len(lengths), heads, heads, total, total, dim, causal=1, offsets=offsets) for s, out in zip(sets, outs)]
    ours = lambda i: call("tessera_attention_ragged", 1, ctypes.byref(calls[i % 3]))
    ours(0)
    first = [x[:lengths[0]].permute(1, 0, 2)[None] for x in (outs[0], *sets[0])]
    error = attention_error(*first, lambda i, j: j <= i)
    varlen = lambda i: torch.ops.aten._flash_attention_forward(*sets[i % 3], offsets, offsets, longest, longest, 0.0, True, False)
    work = 4 * heads * dim * sum(n * n / 2 for n in lengths)
    report(case, race(with_peers(case, {"tessera": ours}, {"torch flash varlen": varlen})), work, "bfloat16 product", error)


def bench_decode(batch, heads, kv_heads, keys, dim, page_size=None):
    keys = cut(keys)
    page_size = page_size and min(page_size, keys)
    case = f"decode bfloat16 B{batch} H{heads}/{kv_heads} keys {keys} D{dim}" + (f" pages of {page_size}" if page_size else "")
    sets = attention_arrays(torch.bfloat16, batch, heads, kv_heads, 1, keys, dim)
    outs = [torch.empty_like(q) for q, _, _ in sets]
    calls, entry, kept = [], "tessera_attention_forward", []
    for (q, k, v), out in zip(sets, outs):
        more = {}
        if page_size:
            entry = "tessera_attention_paged"
            each = keys // page_size
            pages = batch * each
            order = torch.randperm(pages, device=device)

            def paged(x):
                cache = torch.empty(pages, kv_heads, page_size, dim, device=device, dtype=x.dtype)
                cache[order] = x.view(batch, kv_heads, each, page_size, dim).permute(0, 2, 1, 3, 4).reshape(pages, kv_heads, page_size, dim)
                return cache

            k, v, table = paged(k), paged(v), order.to(torch.int32)
            lengths = torch.full((batch,), keys, dtype=torch.int32, device=device)
            kept.append((k, v, table, lengths))
            more = dict(table=table, lengths=lengths, pages=pages, page_size=page_size)
        calls.append(attention_call((q, k, v, out), batch, heads, kv_heads, 1, keys, dim, **more))
    ours = lambda i: call(entry, 1, ctypes.byref(calls[i % 3]))
    ours(0)
    error = attention_error(outs[0], *sets[0])
    theirs = {peer + (" contiguous" if page_size else ""): lambda i, peer=peer: sdpa(backends[peer], *sets[i % 3]) for peer in of_16_bits}
    work = 4 * batch * kv_heads * keys * dim
    report(case, race(with_peers(case, {"tessera": ours}, theirs)), work, "copy", error)


def by_blocks(n, f):
    """A composition over blocks of rows whose matrix fits."""
    return lambda _: [f(first, min(first + 16384, n)) for first in range(0, n, 16384)]


def points(dtype, n, m, depth):
    n, m = cut(n), cut(m)
    return n, m, torch.randn(n, depth, device=device).to(dtype), torch.randn(m, depth, device=device).to(dtype)


def bench_nearest(dtype, limit, n, m, depth, neighbours=1):
    n, m, q, k = points(dtype, n, m, depth)
    case = f"{'nearest code' if neighbours == 1 else f'{neighbours} nearest'} {str(dtype)[6:]} {n} x {m} d {depth}"
    norms = (k.float() ** 2).sum(1)
    where = torch.empty(n, neighbours, dtype=torch.int64 if neighbours == 1 else torch.int32, device=device)
    distances = torch.empty(n, neighbours, device=device)

    def theirs(first, last):
        d = norms - 2 * torch.mm(q[first:last], k.T).float()
        return torch.argmin(d, 1) if neighbours == 1 else torch.topk(d, neighbours, largest=False)

    def ours(_):
        arguments = (types[dtype], pointer(q), pointer(k), integer(n), integer(m), integer(depth))
        if neighbours == 1:
            call("tessera_nearest", *arguments, pointer(where))
        else:
            call("tessera_neighbours", *arguments, integer(neighbours), pointer(where), pointer(distances))
    ours(0)
    exact = torch.topk(torch.cdist(q[:2048].double(), k.double()), neighbours, largest=False).indices
    error = (where[:2048] != exact).double().mean().item()
    peer = "cuBLAS + " + ("argmin" if neighbours == 1 else "topk")
    report(case, race(with_peers(case, {"tessera": ours}, {peer: by_blocks(n, theirs)})), 2 * n * m * depth, limit, error)


def bench_values(dtype, limit, n, m, depth):
    n, m, q, k = points(dtype, n, m, depth)
    case = f"contraction with values {str(dtype)[6:]} {n} x {m} d {depth}"
    v, out, scale = torch.randn_like(k), torch.empty_like(q), 1 / math.sqrt(depth)
    ours = lambda _: call("tessera_contract_values", types[dtype], pointer(q), pointer(k), pointer(v), pointer(out), integer(n), integer(m),
                          integer(depth), ctypes.c_double(scale))
    ours(0)
    error = attention_error(*(x[None, None] for x in (out, q, k, v)))
    theirs = by_blocks(n, lambda first, last: torch.softmax(torch.mm(q[first:last], k.T).float() * scale, 1).to(dtype) @ v)
    report(case, race(with_peers(case, {"tessera": ours}, {"cuBLAS + softmax": theirs})), 4 * n * m * depth, limit, error)


def bench_denoiser(dtype, limit, n, m, width, sigma):
    n, m, noisy, data = points(dtype, n, m, width)
    noisy = (data[torch.arange(n, device=device) % m].float() + sigma * noisy.float()).to(dtype)
    case = f"exact denoiser {str(dtype)[6:]} {n} x {m} d {width}"
    out, norms = torch.empty_like(noisy), (data.float() ** 2).sum(1)
    ours = lambda _: call("tessera_exact_denoiser", types[dtype], pointer(noisy), pointer(data), pointer(out), integer(n), integer(m),
                          integer(width), ctypes.c_double(sigma))
    ours(0)

    def theirs(first, last):
        s = (torch.mm(noisy[first:last], data.T).float() * 2 - norms) / (2 * sigma**2)
        return torch.softmax(s, 1).to(dtype) @ data

    x, y = noisy[:64].double(), data.double()
    p = torch.softmax(-(torch.cdist(x, y) ** 2) / (2 * sigma**2), 1)
    error = ((out[:64].double() - p @ y).abs() / (p @ y.abs())).max().item()
    report(case, race(with_peers(case, {"tessera": ours}, {"cuBLAS + softmax": by_blocks(n, theirs)})), 4 * n * m * width, limit, error)


def bench_cross_entropy(dtype, limit, tokens, classes, width):
    tokens, classes = cut(tokens), cut(classes)
    case = f"linear cross-entropy {str(dtype)[6:]} {tokens} x {classes} d {width}"
    hidden = torch.randn(tokens, width, device=device).to(dtype)
    weight = (torch.randn(classes, width, device=device) / math.sqrt(width)).to(dtype)
    target = torch.randint(classes, (tokens,), device=device)
    loss, lse = torch.empty(tokens, device=device), torch.empty(tokens, device=device)
    ours = lambda _: call("tessera_cross_entropy", types[dtype], pointer(hidden), pointer(weight), pointer(target), integer(tokens),
                          integer(classes), integer(width), pointer(loss), pointer(lse))
    ours(0)
    cross_entropy = torch.nn.functional.cross_entropy
    theirs = lambda _: cross_entropy(torch.nn.functional.linear(hidden, weight).float(), target, reduction="none")
    exact = cross_entropy(hidden[:256].double() @ weight.double().T, target[:256], reduction="none")
    error = (loss[:256].double() - exact).abs().max().item()
    report(case, race(with_peers(case, {"tessera": ours}, {"torch linear + cross_entropy": theirs})), 2 * tokens * classes * width, limit, error)


def bench_fills():
    n = cut(1 << 28)
    out = torch.empty(n, device=device)
    seed = ctypes.c_uint64(7)
    report("uniform float32", race({"tessera": lambda i: call("tessera_uniform", pointer(out), integer(n), seed),
                                    "torch": lambda i: out.uniform_()}), 4 * n, "copy", None)
    ours = lambda i: call("tessera_normal", pointer(out), integer(n), seed)

    def curand():
        library = ctypes.CDLL("libcurand.so.10")
        generator = ctypes.c_void_p()
        if library.curandCreateGenerator(ctypes.byref(generator), 161) != 0:  # CURAND_RNG_PSEUDO_PHILOX4_32_10
            raise RuntimeError("no generator")
        library.curandSetStream(generator, ctypes.c_void_p(stream))
        return lambda: library.curandGenerateNormal(generator, pointer(out), ctypes.c_size_t(n), ctypes.c_float(0), ctypes.c_float(1))

    made = []

    def by_curand(_):
        made or made.append(curand())
        if made[0]() != 0:
            raise RuntimeError("curandGenerateNormal failed")

    competitors = with_peers("normal float32", {"tessera": ours}, {"torch": lambda i: out.normal_(), "cuRAND Philox": by_curand})
    ours(0)
    error = max(abs(out.double().mean().item()), abs(out.double().var().item() - 1))
    report("normal float32", race(competitors), 4 * n, "copy", error)


def bench_noise():
    n = cut(1 << 28)
    x = torch.randn(n, device=device)
    ours = lambda i: call("tessera_add_noise", pointer(x), integer(n), ctypes.c_double(1e-3), ctypes.c_uint64(7))
    theirs = lambda _: x.add_(torch.randn_like(x), alpha=1e-3)
    report("x += sigma noise float32", race({"tessera": ours, "torch": theirs}), 8 * n, "copy", None)


def bench_unscale(dtype):
    n = cut(1 << 28)
    g = torch.randn(n, device=device).to(dtype)
    scale, found = torch.full((1,), 1.0 + 2**-20, device=device), torch.zeros(1, device=device)
    ours = lambda i: call("tessera_unscale", types[dtype], pointer(g), integer(n), pointer(scale), pointer(found))
    theirs = lambda i: torch._amp_foreach_non_finite_check_and_unscale_([g], found, 1 / scale)
    case = f"unscale and check {str(dtype)[6:]}"
    report(case, race(with_peers(case, {"tessera": ours}, {"torch amp": theirs})), 2 * n * g.element_size(), "copy", found.item())


def bench_streams():
    n = cut(1 << 28)
    x, y, out = (torch.randn(n, device=device) for _ in range(3))
    narrow, total = torch.empty(n, dtype=torch.bfloat16, device=device), torch.empty(1, device=device)
    ours = lambda i: call("tessera_convert", pointer(x), pointer(narrow), integer(n))
    ours(0)
    error = (narrow != x.to(torch.bfloat16)).double().mean().item()
    report("convert float32 to bfloat16", race({"tessera": ours, "torch": lambda i: narrow.copy_(x)}), 6 * n, "copy", error)
    ours = lambda i: call("tessera_transform", pointer(x), pointer(y), pointer(out), integer(n))
    ours(0)
    error = (out - (x + 3 * y)).abs().max().item()
    report("transform x + 3 y float32", race({"tessera": ours, "torch add": lambda i: torch.add(x, y, alpha=3, out=out)}), 12 * n, "copy", error)
    ours = lambda i: call("tessera_sum", pointer(x), integer(n), pointer(total))
    ours(0)
    error = abs(total.item() - x.double().sum().item()) / x.double().abs().sum().item()
    report("sum float32", race({"tessera": ours, "torch sum": lambda i: torch.sum(x)}), 4 * n, "copy", error)


def bench_sampler(heun, steps=4):
    samples, width = cut(4096), cut(1 << 14)
    state = torch.randn(samples, width, device=device)
    start = state.clone()
    sigmas = [1.0 + steps - i for i in range(steps + 1)]
    ours = lambda i: call("tessera_sample", int(heun), pointer(state), integer(samples), integer(width), ctypes.c_int(steps))

    def theirs(_, x=None):
        x = state if x is None else x
        for s, t in zip(sigmas, sigmas[1:]):
            slope = (x - x / 2) / s
            ahead = x + (t - s) * slope
            x = x + (t - s) / 2 * (slope + (ahead - ahead / 2) / t) if heun else ahead
        return x

    ours(0)
    error = ((state - theirs(0, start)).abs().max() / start.abs().max()).item()
    # What must move: the denoiser reads and writes once, a step reads two or three arrays and writes one.
    passes = steps * (12 if heun else 5)
    report(f"{'heun' if heun else 'euler'} {steps} steps float32", race({"tessera": ours, "torch by hand": theirs}),
           passes * 4 * samples * width, "copy", error)


def all_rows():
    b, h, f, d = torch.bfloat16, torch.float16, torch.float32, torch.float64
    rows = {}
    for dim in (128, 64):
        for seq in (4096, 16384):
            for causal in (False, True):
                rows[f"forward {dim} {seq} {causal}"] = lambda dim=dim, s=seq, c=causal: bench_attention(b, 32768 // s, 16, s, dim, c)
    for dim in (128, 64):
        for causal in (False, True):
            rows[f"backward {dim} {causal}"] = lambda dim=dim, c=causal: bench_backward(b, 4, 16, 8192, dim, c)
    rows["decode 16"] = lambda: bench_decode(16, 64, 8, 16384, 128)
    rows["decode 1"] = lambda: bench_decode(1, 64, 8, 65536, 128)
    rows["fills"] = bench_fills
    rows["noise"] = bench_noise
    rows["unscale float32"] = lambda: bench_unscale(f)
    rows["unscale bfloat16"] = lambda: bench_unscale(b)
    rows["nearest bfloat16 64"] = lambda: bench_nearest(b, "bfloat16 product", 1 << 17, 8192, 64)
    rows["nearest bfloat16 128"] = lambda: bench_nearest(b, "bfloat16 product", 1 << 17, 16384, 128)
    rows["nearest float32 64"] = lambda: bench_nearest(f, "tf32 product", 1 << 17, 8192, 64)
    rows["forward before hopper"] = lambda: bench_attention(b, 2, 16, 16384, 128, note=" without Hopper's kernels", generation=8)
    rows["streams"] = bench_streams
    rows["forward float16 128"] = lambda: bench_attention(h, 4, 16, 8192, 128)
    rows["forward float16 64"] = lambda: bench_attention(h, 4, 16, 8192, 64)
    rows["cross-entropy"] = lambda: bench_cross_entropy(b, "bfloat16 product", 8192, 50304, 2048)
    rows["values bfloat16"] = lambda: bench_values(b, "bfloat16 product", 32768, 16384, 128)
    rows["neighbours bfloat16"] = lambda: bench_nearest(b, "bfloat16 product", 1 << 16, 16384, 64, 10)
    rows["neighbours float32"] = lambda: bench_nearest(f, "tf32 product", 1 << 16, 16384, 64, 10)
    rows["denoiser bfloat16"] = lambda: bench_denoiser(b, "bfloat16 product", 16384, 65536, 192, 2.0)
    rows["denoiser float32"] = lambda: bench_denoiser(f, "float32 product", 8192, 32768, 192, 2.0)
    rows["euler"] = lambda: bench_sampler(False)
    rows["heun"] = lambda: bench_sampler(True)
    rows["ragged"] = lambda: bench_ragged(16, [8192, 1000, 4096, 513, 2048, 7000, 300, 6000], 128)
    rows["paged"] = lambda: bench_decode(16, 64, 8, 16384, 128, 64)
    rows["window"] = lambda: bench_window(2, 16, 16384, 128, 1024)
    rows["documents"] = lambda: bench_documents(2, 16, 16384, 128, 2048)
    efficient = ("torch efficient",)
    rows["forward float32"] = lambda: bench_attention(f, 1, 16, 4096, 64, False, efficient)
    rows["forward tf32"] = lambda: bench_attention(f, 1, 16, 4096, 64, False, efficient, "tf32 product", " tf32", tf32=1)
    rows["forward float64"] = lambda: bench_attention(d, 1, 16, 4096, 64, False, ("torch math",))
    return rows


def work(order):
    """Runs the rows that stand in `order`; limits first, where they are not known yet."""
    global torch, device, stream, types, library, limits
    import torch
    device = torch.device("cpu" if dry else "cuda")
    types = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2, torch.float64: 3}
    torch.manual_seed(1)
    if not dry:
        stream = torch.cuda.current_stream().cuda_stream
        library = ctypes.CDLL(sys.argv[1])
        library.tessera_error.restype = ctypes.c_char_p
    limits = order["limits"]
    if not limits:
        limits = measure_limits()
        said("limits", limits=limits, gpu="none" if dry else torch.cuda.get_device_name(), torch=torch.__version__)
    rows = all_rows()
    for name in order["rows"] if order["rows"] is not None else rows:
        if order["only"] in name:
            said("begin", name=name, rest=list(rows)[list(rows).index(name) + 1:])
            try:
                with torch.no_grad() if "backward" not in name else torch.enable_grad():
                    rows[name]()
                    if not dry:
                        torch.cuda.synchronize()
            except Exception as e:  # a broken GPU stays broken in this process
                said("row", case=name, failed=f"{type(e).__name__}: {e}".splitlines()[0][:300])
                if not dry:
                    torch.cuda.synchronize()
            if not dry:
                torch.cuda.empty_cache()
    said("end")


# ---- The supervisor ----

def shown(row):
    if "failed" in row:
        return f"{row['case']:66s} FAILED: {row['failed']}"
    if "missing" in row:
        return f"{row['case']:66s} {row['peer']:28s} missing: {row['missing']}"
    number = lambda x, form: "-" if x is None else format(x, form)
    return (f"{row['case']:66s} {row['peer']:28s} {row['tessera_ms']:9.4f} ms  peer {number(row['peer_ms'], '9.4f'):>9s} ms  ratio {number(row['ratio'], '.2f'):>6s}"
            f"  {row['limit_fraction']:6.1%} of {row['limit']:16s} error {number(row['max_error'], '.1e')}")


def lines_of(process):
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)
    threading.Thread(target=read, daemon=True).start()
    return lines


def main():
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    found = {"gpu": "unknown", "torch": "unknown", "limits": {}, "rows": []}
    end = time.monotonic() + seconds_of_all
    rest = None
    broken = 0

    def add(row):
        found["rows"].append(row)
        print(shown(row), flush=True)

    while rest is None or rest:
        order = json.dumps({"limits": found["limits"], "rows": rest, "only": only})
        process = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--work", order], stdout=subprocess.PIPE, text=True)
        lines = lines_of(process)
        name, why = "the start", None
        while why is None:
            left = end - time.monotonic()
            try:
                line = lines.get(timeout=max(0.1, min(seconds_of_row, left + 5)))
            except queue.Empty:
                why = f"no end in {seconds_of_row} s"
                break
            if line is None:
                why = f"the process ended with {process.wait()}"
            elif not line.startswith("@"):
                print(line, end="", flush=True)
            else:
                said = json.loads(line[1:])
                kind = said.pop("kind")
                if kind == "begin":
                    if left < 0:
                        why = "time"
                        rest = [said["name"], *said["rest"]]
                    else:
                        name, rest = said["name"], said["rest"]
                elif kind == "row":
                    add(said)
                elif kind == "limits":
                    found.update(said)
                    rates = ", ".join(f"{k} {v / 1e9:.4g}" for k, v in said["limits"].items())
                    print(f"{said['gpu']}; torch {said['torch']}; limits in TB/s and TFLOP/s: {rates}", flush=True)
                elif kind == "end":
                    why, rest = "", []
        process.kill()
        process.wait()
        if why == "time":
            for left_out in rest:
                if only in left_out:
                    add({"case": left_out, "failed": "left out: no time"})
            rest = []
        elif why:
            broken += 1
            if not any(row["case"] == name and "failed" in row for row in found["rows"]):
                add({"case": name, "failed": why})
            if rest is None or broken > 5:
                for left_out in rest or []:
                    add({"case": left_out, "failed": "left out: too many broke the process"})
                break
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.date.today()}-{re.sub(r'[^a-z0-9]+', '-', found['gpu'].lower()).strip('-')}.json"
    found["units"] = "limits: bytes, or multiplications and additions, a ms"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"wrote {path}")
    return 1 if any("failed" in row for row in found["rows"]) else 0


if __name__ == "__main__":
    if "--work" in sys.argv:
        work(json.loads(sys.argv[sys.argv.index("--work") + 1]))
    else:
        sys.exit(main())
