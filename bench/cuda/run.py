#!/usr/bin/env python3
# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Times the kernels of Tessera beside those of PyTorch, cuBLAS and cuRAND on the GPU of this machine.

run.py LIBRARY RESULTS [--quick]

Ours and the peer's turns alternate in one process; times are medians of CUDA events around several calls, after a warm-up, and the arrays rotate so
that no call finds its inputs in the second-level cache unless they are too small to matter. Limits (matrix products, copies) are measured in the same
run. Every row also compares results. Writes a table, and RESULTS/<date>-<gpu>.json.
"""
import ctypes
import datetime
import json
import math
import pathlib
import re
import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

quick = "--quick" in sys.argv
library = ctypes.CDLL(sys.argv[1])
library.tessera_error.restype = ctypes.c_char_p
results_folder = pathlib.Path(sys.argv[2])
device = torch.device("cuda")
stream = torch.cuda.current_stream().cuda_stream
types = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2}


class AttentionCall(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("q", "k", "v", "out", "lse", "dout", "dq", "dk", "dv")] + [
        (name, ctypes.c_int64) for name in ("batch", "heads", "kv_heads", "len_q", "len_k", "head_dim")
    ] + [("causal", ctypes.c_int)]


def call(name, *arguments):
    if getattr(library, name)(ctypes.c_void_p(stream), *arguments) != 0:
        raise RuntimeError(f"{name}: {library.tessera_error().decode()}")


def pointer(x):
    return ctypes.c_void_p(x.data_ptr())


def once(f, i, calls):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for c in range(calls):
        f(i + c)
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / calls


def race(competitors, repeats=11):
    """The median time in ms of each of {name: f(i)}, their turns alternating."""
    calls = {}
    for name, f in competitors.items():
        once(f, 0, 2)
        calls[name] = max(1, min(200, math.ceil(2.0 / max(once(f, 0, 3), 1e-3))))
    times = {name: [] for name in competitors}
    for r in range(5 if quick else repeats):
        for name, f in competitors.items():
            times[name].append(once(f, r, calls[name]))
    return {name: statistics.median(t) for name, t in times.items()}


rows = []


def report(case, times, work, limit, limit_name, error, ours="tessera"):
    """One row a peer: ratio = the peer's time over ours; share = our rate of the limit's."""
    rate = work / times[ours]
    peers = {name: t for name, t in times.items() if name != ours} or {"": float("nan")}
    for peer, t in peers.items():
        row = {
            "case": case, "tessera_ms": times[ours], "peer": peer, "peer_ms": t, "ratio": t / times[ours],
            "limit": limit_name, "limit_fraction": rate / limit, "max_error": error,
        }
        rows.append(row)
        print(f"{case:58s} {times[ours]:9.4f} ms  {rate / limit:6.1%} of {limit_name:16s} {peer:22s} {t:9.4f} ms  ratio {t / times[ours]:5.2f}  error {error:.2e}",
              flush=True)


def missing(case, peer, why):
    rows.append({"case": case, "peer": peer, "missing": why})
    print(f"{case:58s} {peer}: missing: {why}", flush=True)


def product_rate(dtype):
    """FLOP per ms of a large square matrix product through cuBLAS."""
    a = torch.randn(8192, 8192, device=device).to(dtype)
    b = torch.randn(8192, 8192, device=device).to(dtype)
    out = torch.empty(8192, 8192, device=device, dtype=dtype)
    return 2 * 8192**3 / race({"mm": lambda i: torch.mm(a, b, out=out)})["mm"]


def copy_rate():
    """Bytes read and written per ms by a large copy."""
    a = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() / race({"copy": lambda i: b.copy_(a)})["copy"]


def attention_arrays(dtype, batch, heads, kv_heads, len_q, len_k, dim, sets):
    make = lambda h, s: torch.randn(batch, h, s, dim, device=device).to(dtype)
    return [(make(heads, len_q), make(kv_heads, len_k), make(kv_heads, len_k)) for _ in range(sets)]


def attention_call(q, k, v, out, lse, causal, gradients=(None,) * 4):
    c = AttentionCall()
    for name, x in zip(("q", "k", "v", "out", "lse", "dout", "dq", "dk", "dv"), (q, k, v, out, lse, *gradients)):
        setattr(c, name, x.data_ptr() if x is not None else None)
    c.batch, c.heads, c.len_q, c.head_dim = q.shape
    c.kv_heads, c.len_k, c.causal = k.shape[1], k.shape[2], int(causal)
    return c


def sdpa(backend, q, k, v, causal):
    with sdpa_kernel([backend]):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=k.shape[1] != q.shape[1])


backends = {"torch flash": SDPBackend.FLASH_ATTENTION, "torch cuDNN": SDPBackend.CUDNN_ATTENTION}


def attention_oracle(q, k, v, causal):
    """float64 on a slice of the last queries of the first head."""
    n = min(64, q.shape[2])
    q, k, v = (x[0, 0].double() for x in (q[:, :1], k[:, :1], v[:, :1]))
    s = q[-n:] @ k.T / math.sqrt(q.shape[-1])
    if causal:
        i = torch.arange(q.shape[0] - n, q.shape[0], device=device)[:, None] + k.shape[0] - q.shape[0]
        s = s.masked_fill(torch.arange(k.shape[0], device=device)[None, :] > i, -math.inf)
    p = torch.softmax(s, -1)
    return p @ v, p @ v.abs()


def bench_attention(dtype, peak, batch, heads, seq, dim, causal, backward):
    name = f"attention {'backward' if backward else 'forward'} {str(dtype)[6:]} B{batch} H{heads} S{seq} D{dim}{' causal' if causal else ''}"
    sets = attention_arrays(dtype, batch, heads, heads, seq, seq, dim, 3)
    outs = [torch.empty_like(q) for q, _, _ in sets]
    lses = [torch.empty(batch, heads, seq, device=device) for _ in sets]
    douts = [torch.randn_like(q) for q, _, _ in sets]
    grads = [tuple(torch.empty_like(x) for x in s) for s in sets]
    calls = [attention_call(*sets[i], outs[i], lses[i], causal, (douts[i], *grads[i])) for i in range(3)]
    number = types[dtype]
    forward = lambda i: call("tessera_attention_forward", number, ctypes.byref(calls[i % 3]))
    for i in range(3):
        forward(i)
    exact, scale = attention_oracle(*sets[0], causal)
    error = ((outs[0][0, 0, -exact.shape[0]:].double() - exact).abs() / scale).max().item()
    competitors = {"tessera": forward}
    work = 4 * batch * heads * seq * seq * dim * (0.5 if causal else 1)
    if backward:
        competitors["tessera"] = lambda i: call("tessera_attention_backward", number, ctypes.byref(calls[i % 3]))
        work *= 2.5
    for peer, backend in backends.items():
        try:
            if backward:
                inputs = [tuple(x.detach().clone().requires_grad_() for x in s) for s in sets]
                graphs = [sdpa(backend, *s, causal) for s in inputs]
                competitors[peer] = lambda i, inputs=inputs, graphs=graphs: torch.autograd.grad(
                    graphs[i % 3], inputs[i % 3], douts[i % 3], retain_graph=True)
                theirs = competitors[peer](0)
                call("tessera_attention_backward", number, ctypes.byref(calls[0]))
                error = max(((a.double() - b.double()).norm() / b.double().norm()).item() for a, b in zip(grads[0], theirs))
            else:
                competitors[peer] = lambda i, backend=backend: sdpa(backend, *sets[i % 3], causal)
                competitors[peer](0)
        except RuntimeError as e:
            competitors.pop(peer, None)
            missing(name, peer, str(e).splitlines()[0])
    report(name, race(competitors), work, peak, "cuBLAS product", error)


def bench_decode(dtype, copy, batch, heads, kv_heads, keys, dim):
    name = f"decode {str(dtype)[6:]} B{batch} H{heads}/{kv_heads} keys {keys} D{dim}"
    sets = attention_arrays(dtype, batch, heads, kv_heads, 1, keys, dim, 3)
    outs = [torch.empty_like(q) for q, _, _ in sets]
    calls = [attention_call(*sets[i], outs[i], None, False) for i in range(3)]
    number = types[dtype]
    competitors = {"tessera": lambda i: call("tessera_attention_forward", number, ctypes.byref(calls[i % 3]))}
    competitors["tessera"](0)
    exact, scale = attention_oracle(*sets[0], False)
    error = ((outs[0][0, 0].double() - exact).abs() / scale).max().item()
    for peer, backend in backends.items():
        try:
            competitors[peer] = lambda i, backend=backend: sdpa(backend, *sets[i % 3], False)
            competitors[peer](0)
        except RuntimeError as e:
            competitors.pop(peer, None)
            missing(name, peer, str(e).splitlines()[0])
    work = 2 * batch * kv_heads * keys * dim * sets[0][0].element_size()
    report(name, race(competitors), work, copy, "copy", error)


def bench_nearest(dtype, peak, n, m, depth):
    name = f"nearest code {str(dtype)[6:]} {n} x {m} d {depth}"
    q = torch.randn(n, depth, device=device).to(dtype)
    k = torch.randn(m, depth, device=device).to(dtype)
    where = torch.empty(n, dtype=torch.int64, device=device)
    norms = (k.float() ** 2).sum(1)

    def theirs(_):
        best = torch.empty(n, dtype=torch.int64, device=device)
        for first in range(0, n, 16384):
            products = torch.mm(q[first:first + 16384], k.T)
            best[first:first + 16384] = torch.argmin(norms - 2 * products.float(), 1)
        return best

    ours = lambda _: call("tessera_nearest", types[dtype], pointer(q), pointer(k), ctypes.c_int64(n), ctypes.c_int64(m),
                          ctypes.c_int64(depth), pointer(where))
    ours(0)
    some = q[:2048].double()
    exact = torch.cdist(some, k.double()).argmin(1)
    error = (where[:2048] != exact).double().mean().item()
    report(name, race({"tessera": ours, "cuBLAS + argmin": theirs}), 2 * n * m * depth, peak, "cuBLAS product", error)


def bench_elementwise(copy):
    n = 1 << 28
    x, out = torch.randn(n, device=device), torch.empty(n, device=device)
    seed = ctypes.c_uint64(7)
    report("uniform float32", race({"tessera": lambda i: call("tessera_uniform", pointer(out), ctypes.c_int64(n), seed),
                                    "torch": lambda i: out.uniform_()}), 4 * n, copy, "copy", 0.0)
    competitors = {"tessera": lambda i: call("tessera_normal", pointer(out), ctypes.c_int64(n), seed), "torch": lambda i: out.normal_()}
    try:
        curand = ctypes.CDLL("libcurand.so.10")
        generator = ctypes.c_void_p()
        assert curand.curandCreateGenerator(ctypes.byref(generator), 161) == 0  # CURAND_RNG_PSEUDO_PHILOX4_32_10
        curand.curandSetStream(generator, ctypes.c_void_p(stream))
        competitors["cuRAND Philox"] = lambda i: curand.curandGenerateNormal(
            generator, pointer(out), ctypes.c_size_t(n), ctypes.c_float(0), ctypes.c_float(1))
    except (OSError, AssertionError) as e:
        missing("normal float32", "cuRAND Philox", str(e) or "no generator")
    competitors["tessera"](0)
    error = max(abs(out.double().mean().item()), abs(out.double().var().item() - 1))
    report("normal float32", race(competitors), 4 * n, copy, "copy", error)
    noised = lambda _: x.add_(torch.randn_like(x), alpha=1e-3)
    ours = lambda i: call("tessera_add_noise", pointer(x), ctypes.c_int64(n), ctypes.c_double(1e-3), seed)
    report("x += sigma noise float32", race({"tessera": ours, "torch": noised}), 8 * n, copy, "copy", 0.0)
    for dtype in (torch.float32, torch.bfloat16):
        g = torch.randn(n, device=device).to(dtype)
        scale, found = torch.full((1,), 1.0 + 2**-20, device=device), torch.zeros(1, device=device)
        ours = lambda i: call("tessera_unscale", types[dtype], pointer(g), ctypes.c_int64(n), pointer(scale), pointer(found))
        theirs = lambda i: torch._amp_foreach_non_finite_check_and_unscale_([g], found, 1 / scale)
        report(f"unscale and check {str(dtype)[6:]}", race({"tessera": ours, "torch amp": theirs}), 2 * n * g.element_size(), copy, "copy", 0.0)


def main():
    torch.manual_seed(1)
    gpu = torch.cuda.get_device_name()
    copy = copy_rate()
    print(f"{gpu}; torch {torch.__version__}; copy {copy / 1e9:.2f} TB/s", flush=True)
    peaks = {dtype: product_rate(dtype) for dtype in (torch.bfloat16, torch.float16)}
    torch.backends.cuda.matmul.allow_tf32 = True
    peaks["tf32"] = product_rate(torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = False
    print(f"cuBLAS: bfloat16 {peaks[torch.bfloat16] / 1e9:.0f}, float16 {peaks[torch.float16] / 1e9:.0f}, tf32 {peaks['tf32'] / 1e9:.0f} TFLOP/s", flush=True)
    steps = []
    for dim in (128, 64):
        for seq in (4096, 16384):
            for causal in (False, True):
                steps.append(lambda d=dim, s=seq, c=causal: bench_attention(torch.bfloat16, peaks[torch.bfloat16], 32768 // s, 16, s, d, c, False))
    steps += [lambda d=d: bench_attention(torch.float16, peaks[torch.float16], 4, 16, 8192, d, False, False) for d in (128, 64)]
    steps += [lambda d=d, c=c: bench_attention(torch.bfloat16, peaks[torch.bfloat16], 4, 16, 8192, d, c, True) for d in (128, 64) for c in (False, True)]
    steps += [lambda: bench_decode(torch.bfloat16, copy, 16, 64, 8, 16384, 128), lambda: bench_decode(torch.bfloat16, copy, 1, 64, 8, 65536, 128)]
    steps += [lambda: bench_nearest(torch.bfloat16, peaks[torch.bfloat16], 1 << 17, 8192, 64),
              lambda: bench_nearest(torch.bfloat16, peaks[torch.bfloat16], 1 << 17, 16384, 128),
              lambda: bench_nearest(torch.float32, peaks["tf32"], 1 << 17, 8192, 64)]
    steps.append(lambda: bench_elementwise(copy))
    for step in steps:
        try:
            step()
        except Exception as e:  # one broken row hides no other
            print(f"failed: {type(e).__name__}: {e}", flush=True)
            rows.append({"failed": f"{type(e).__name__}: {e}"})
    results_folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.date.today()}-{re.sub(r'[^a-z0-9]+', '-', gpu.lower()).strip('-')}.json"
    limits = {"copy_bytes_per_s": copy * 1e3, **{f"product_{str(k).removeprefix('torch.')}_flop_per_s": v * 1e3 for k, v in peaks.items()}}
    (results_folder / name).write_text(json.dumps({"gpu": gpu, "torch": torch.__version__, "limits": limits, "rows": rows}, indent=1) + "\n")
    print(f"wrote {results_folder / name}")
    return 1 if any("failed" in r for r in rows) else 0


sys.exit(main())
