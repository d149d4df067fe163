# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""The peers that are Python packages. One process of this serves one package, for as long as the bench runs.

Each line on stdin gets a line on stdout:
  NAME THREADS FOLDER KEY=VALUE...   prepares peer NAME on the arrays in FOLDER: "ok", or why not
  run CALLS                          does the job: seconds a call
  save                               writes the result to FOLDER/out: "ok"
"""
import importlib.metadata
import sys
import time


def load(folder, name, dtype, shape):
    import numpy

    return numpy.fromfile(f"{folder}/{name}", dtype).reshape(shape)


def faiss(threads, folder, n, m, d, k=1):
    """x [n, d], y [m, d] -> the indices of the k nearest y"""
    import faiss

    faiss.omp_set_num_threads(threads)
    x, y = load(folder, "x", "float32", (n, d)), load(folder, "y", "float32", (m, d))
    return lambda: faiss.knn(x, y, k)[1], lambda indices: indices.astype("int32")


def torch(threads, folder, type, batch, heads, len_q, len_k, d, causal):
    """q, out [batch, heads, len_q, d], k, v [batch, heads, len_k, d]"""
    import torch

    torch.set_num_threads(threads)
    bits, dtype = ("float32", torch.float32) if type == "float32" else ("int16", getattr(torch, type))
    tensor = lambda name, length: torch.from_numpy(load(folder, name, bits, (batch, heads, length, d))).view(dtype)
    q, k, v = tensor("q", len_q), tensor("k", len_k), tensor("v", len_k)

    @torch.inference_mode()
    def run():
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=bool(causal))

    return run, lambda out: out.contiguous().view(getattr(torch, bits)).numpy()


def torch_cross_entropy(threads, folder, what, n, depth, classes):
    """hidden [n, depth], weight [classes, depth], target [n]: the loss, or the gradients of hidden and weight"""
    import torch

    torch.set_num_threads(threads)
    hidden, weight = (torch.from_numpy(load(folder, name, "float32", (rows, depth))).requires_grad_(what != "forward")
                      for name, rows in [("hidden", n), ("weight", classes)])
    target = torch.from_numpy(load(folder, "target", "int64", (n,)))
    forward = lambda: torch.nn.functional.cross_entropy(hidden @ weight.T, target)
    if what == "forward":
        return forward, lambda loss: loss.reshape(1).numpy()
    stored = forward() if what == "backward" else None
    run = lambda: torch.autograd.grad(forward() if stored is None else stored, [hidden, weight], retain_graph=stored is not None)
    return run, lambda gradients: gradients[0].numpy()


def torch_attention_backward(threads, folder, type, batch, heads, length, d, causal):
    """The kernel that autograd calls on a CPU, on what its forward pass gave: gradients of q, k and v, one after another."""
    import torch

    torch.set_num_threads(threads)
    bits, dtype = ("float32", torch.float32) if type == "float32" else ("int16", getattr(torch, type))
    tensor = lambda name: torch.from_numpy(load(folder, name, bits, (batch, heads, length, d))).view(dtype)
    q, k, v, dout = tensor("q"), tensor("k"), tensor("v"), tensor("dout")
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, bool(causal))

    @torch.inference_mode()
    def run():
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(dout, q, k, v, out, lse, 0.0, bool(causal))

    return run, lambda gradients: torch.stack([x.contiguous() for x in gradients]).view(getattr(torch, bits)).numpy()


def onnxruntime(threads, folder, type, batch, heads, len_q, len_k, d, causal):
    """The same in one MultiHeadAttention node, whose arrays are [batch, length, heads d]."""
    import numpy
    import onnx
    import onnxruntime

    def packed(name, length):
        return numpy.ascontiguousarray(load(folder, name, type, (batch, heads, length, d)).swapaxes(1, 2).reshape(batch, length, heads * d))

    arrays = {"q": packed("q", len_q), "k": packed("k", len_k), "v": packed("v", len_k)}
    describe = lambda name, shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    node = onnx.helper.make_node("MultiHeadAttention", list(arrays), ["out"], domain="com.microsoft", num_heads=heads, unidirectional=causal)
    graph = onnx.helper.make_graph([node], "attention", [describe(name, array.shape) for name, array in arrays.items()],
                                   [describe("out", arrays["q"].shape)])
    versions = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between its turns, not within them
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in arrays.items():
        binding.bind_cpu_input(name, array)
    out = numpy.empty_like(arrays["q"])
    binding.bind_output("out", "cpu", 0, numpy.float32, out.shape, out.ctypes.data)

    def run():
        session.run_with_iobinding(binding)
        return out

    return run, lambda out: out.reshape(batch, len_q, heads, d).swapaxes(1, 2)


def tree_mask(folder, len_q, len_k):
    """[len_q, len_k] of bool: all of the past, and of the last len_q keys those whose bit is set"""
    import numpy

    rows = load(folder, "tree", "uint64", (len_q, 1))
    nodes = (rows >> numpy.arange(len_q, dtype="uint64")) & numpy.uint64(1)
    return numpy.concatenate([numpy.ones((len_q, len_k - len_q), bool), nodes.astype(bool)], axis=1)


def torch_grouped(threads, folder, type, layers, heads, kv_heads, len_q, len_k, d, tree):
    """q, out [layers, heads, len_q, d], k, v [layers, kv_heads, len_k, d]: one call a layer"""
    import torch

    torch.set_num_threads(threads)
    bits, dtype = ("float32", torch.float32) if type == "float32" else ("int16", getattr(torch, type))
    tensor = lambda name, count, length: torch.from_numpy(load(folder, name, bits, (layers, 1, count, length, d))).view(dtype)
    q, k, v = tensor("q", heads, len_q), tensor("k", kv_heads, len_k), tensor("v", kv_heads, len_k)
    mask = torch.from_numpy(tree_mask(folder, len_q, len_k)) if tree else None

    @torch.inference_mode()
    def run():
        attention = torch.nn.functional.scaled_dot_product_attention
        return [attention(q[l], k[l], v[l], attn_mask=mask, enable_gqa=heads != kv_heads) for l in range(layers)]

    return run, lambda outs: torch.cat(outs).contiguous().view(getattr(torch, bits)).numpy()


def onnxruntime_grouped(threads, folder, type, layers, heads, kv_heads, len_q, len_k, d, tree):
    """The same in one GroupQueryAttention node, called for each layer: the last len_q keys are new, those before stand in the cache, where the
    node puts the new ones."""
    import numpy
    import onnx
    import onnxruntime

    q = load(folder, "q", type, (layers, heads, len_q, d))
    k = load(folder, "k", type, (layers, kv_heads, len_k, d)).copy()
    v = load(folder, "v", type, (layers, kv_heads, len_k, d)).copy()
    packed = lambda x: numpy.ascontiguousarray(x.swapaxes(1, 2).reshape(layers, len_q, -1))
    arrays = {"q": packed(q), "k": packed(k[:, :, -len_q:]), "v": packed(v[:, :, -len_q:])}
    describe = lambda name, kind, shape: onnx.helper.make_tensor_value_info(name, kind, shape)
    FLOAT, INT32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    inputs = [describe(name, FLOAT, (1, *array.shape[1:])) for name, array in arrays.items()]
    inputs += [describe(name, FLOAT, (1, kv_heads, len_k, d)) for name in ("past_k", "past_v")]
    inputs += [describe("seqlens", INT32, (1,)), describe("total", INT32, ())]
    names = [x.name for x in inputs]
    if tree:
        inputs.append(describe("bias", FLOAT, (1, 1, len_q, len_k)))
        names += ["", "", "", "bias"]
    outputs = [describe("out", FLOAT, (1, len_q, heads * d))]
    outputs += [describe(name, FLOAT, (1, kv_heads, len_k, d)) for name in ("present_k", "present_v")]
    node = onnx.helper.make_node("GroupQueryAttention", names, [x.name for x in outputs], domain="com.microsoft", num_heads=heads,
                                 kv_num_heads=kv_heads)
    versions = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "attention", inputs, outputs), opset_imports=versions, ir_version=8)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between its turns, not within them
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    out = numpy.empty_like(arrays["q"])
    shared = {"seqlens": numpy.array([len_k - 1], "int32"), "total": numpy.array(len_k, "int32")}
    if tree:
        shared["bias"] = numpy.where(tree_mask(folder, len_q, len_k), 0, -numpy.inf).astype(type)[None, None]
    bindings = []
    for l in range(layers):
        binding = session.io_binding()
        for name, array in {**{name: array[l : l + 1] for name, array in arrays.items()}, **shared}.items():
            binding.bind_cpu_input(name, array)
        for name, array in {"k": k, "v": v}.items():
            shape, pointer = (1, kv_heads, len_k, d), array[l].ctypes.data
            binding.bind_input(f"past_{name}", "cpu", 0, array.dtype, shape, pointer)
            binding.bind_output(f"present_{name}", "cpu", 0, array.dtype, shape, pointer)
        binding.bind_output("out", "cpu", 0, out.dtype, (1, *out.shape[1:]), out[l].ctypes.data)
        bindings.append(binding)

    def run(bound=(arrays, shared, k, v)):  # bindings hold addresses only
        for binding in bindings:
            session.run_with_iobinding(binding)
        return out

    return run, lambda out: out.reshape(layers, len_q, heads, d).swapaxes(1, 2)


def bits_of(type):
    """The NumPy type that holds the codes of a type which NumPy may not have."""
    return {"bfloat16": "uint16", "float8_e4m3": "uint8", "float8_e5m2": "uint8"}.get(type, type)


def torch_type(type):
    import torch

    return {"float8_e4m3": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}.get(type) or getattr(torch, type)


def torch_tensor(folder, name, type):
    import torch

    return torch.from_numpy(load(folder, name, bits_of(type), -1)).view(torch_type(type))


def torch_bits(out, type):
    import torch

    return out.view({"bfloat16": torch.uint16, "float8_e4m3": torch.uint8, "float8_e5m2": torch.uint8}.get(type, out.dtype)).numpy()


def torch_cast(threads, folder, source, target):
    import torch

    torch.set_num_threads(threads)
    x, dtype = torch_tensor(folder, "x", source), torch_type(target)
    out = torch.empty_like(x, dtype=dtype)
    return lambda: out.copy_(x), lambda out: torch_bits(out, target)


def torch_rows(threads, folder, f, type, n, length):
    """x, g, out [n, length]"""
    import torch

    torch.set_num_threads(threads)
    x, g = (torch_tensor(folder, name, type).view(n, length) for name in "xg")
    out = torch.empty_like(x)
    aten = torch.ops.aten
    run = {
        "softmax": lambda: aten._softmax.out(x, 1, False, out=out),
        "log_softmax": lambda: aten._log_softmax.out(x, 1, False, out=out),
        "softmax_backward": lambda: aten._softmax_backward_data.out(g, x, 1, x.dtype, grad_input=out),
        "log_softmax_backward": lambda: aten._log_softmax_backward_data.out(g, x, 1, x.dtype, out=out),
    }[f]
    return run, lambda out: torch_bits(out, type)


def numpy_cast(threads, folder, source, target):
    import numpy

    if bits_of(source) != source or bits_of(target) != target:
        raise ModuleNotFoundError
    x = load(folder, "x", source, -1)
    out = numpy.empty_like(x, target)

    def run():
        numpy.copyto(out, x, casting="unsafe")
        return out

    return run, lambda out: out


def numkong_cast(threads, folder, source, target):
    import numkong

    plain = numkong.Tensor(load(folder, "x", bits_of(source), -1)) if bits_of(source) == source else None
    if plain is None:
        raise ModuleNotFoundError  # its tensors of narrow types cannot be made of codes without a copy through others
    out = plain.astype(target)
    pointer, count, item = out.data_ptr, out.shape[0], {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}.get(target, 1)

    def codes(out):
        import ctypes
        import numpy

        return numpy.frombuffer((ctypes.c_char * (count * item)).from_address(pointer), "uint8").copy()

    return lambda: numkong.astype(plain, target, out=out), codes


def torch_map(threads, folder, f, type):
    import functools
    import torch

    torch.set_num_threads(threads)
    x = torch_tensor(folder, "x", type)
    out = torch.empty_like(x)
    functional = {"silu": torch.nn.functional.silu, "gelu": torch.nn.functional.gelu, "softplus": torch.nn.functional.softplus,
                  "log_sigmoid": torch.nn.functional.logsigmoid, "gelu_tanh": functools.partial(torch.nn.functional.gelu, approximate="tanh")}
    if f in functional:  # these have no `out`
        return lambda: functional[f](x), lambda out: torch_bits(out, type)
    function = getattr(torch, f, None)
    if function is None:
        raise ModuleNotFoundError
    return lambda: function(x, out=out), lambda out: torch_bits(out, type)


def numpy_map(threads, folder, f, type):
    import numpy

    function = getattr(numpy, f, None)
    if function is None or bits_of(type) != type:
        raise ModuleNotFoundError
    x = load(folder, "x", type, -1)
    out = numpy.empty_like(x)
    return lambda: function(x, out=out), lambda out: out


def torch_fma(threads, folder, type):
    import torch

    torch.set_num_threads(threads)
    a, b, c = (torch_tensor(folder, name, type) for name in "abc")
    out = torch.empty_like(a)
    return lambda: torch.addcmul(c, a, b, out=out), lambda out: torch_bits(out, type)


def torch_unscale(threads, folder, type, n):
    """x [n] unscaled by 1 in place, checked, and its norm: PyTorch's two passes"""
    import torch

    torch.set_num_threads(threads)
    x = torch_tensor(folder, "x", type)
    found, inverse = torch.zeros(1), torch.ones(1)

    def run():
        torch._amp_foreach_non_finite_check_and_unscale_([x], found, inverse)
        return torch.linalg.vector_norm(x).reshape(1), found

    return run, lambda result: result[0].float().numpy()


def torch_adamw(threads, folder, n):
    """A step of the fused AdamW on weights x [n] and gradients g [n]"""
    import torch

    torch.set_num_threads(threads)
    x = torch.nn.Parameter(torch.from_numpy(load(folder, "x", "float32", (n,))))
    x.grad = torch.from_numpy(load(folder, "g", "float32", (n,)))
    optimizer = torch.optim.AdamW([x], fused=True)

    def run():
        optimizer.step()
        return x

    return run, lambda weights: weights.detach().numpy()


def law_of(law):
    """The name of a law and its parameters."""
    name, _, rest = law.partition("(")
    return name, [float(x) for x in rest.rstrip(")").split(",") if x]


def zipf(n):
    import numpy

    weights = 1 / numpy.arange(1, n + 1)
    return weights / weights.sum()


def torch_random(threads, folder, law, type, n):
    import torch

    torch.set_num_threads(threads)
    name, parameters = law_of(law)
    dtype = torch_type(type)
    out = torch.empty(n, dtype=dtype)
    like = lambda x: torch.tensor(x, dtype=dtype)
    if name == "truncated_normal" and parameters == [-2, 2]:  # its tails are those of erf in float
        return lambda: torch.nn.init.trunc_normal_(out, 0, 1, -2, 2), lambda out: torch_bits(out, type)
    laws = {
        "uniform": lambda: out.uniform_,
        "normal": lambda: out.normal_,
        "exponential": lambda: out.exponential_,
        "gumbel": lambda: lambda: out.exponential_().log_().neg_(),
        "logistic": lambda: lambda: out.uniform_().logit_(),
        "laplace": lambda: lambda: torch.distributions.Laplace(like(0), like(1)).sample((n,)),
        "bernoulli": lambda p: lambda: out.bernoulli_(p),
        "integers": lambda m: lambda: out.random_(0, int(m)),
        "gamma": lambda shape: lambda shapes=torch.full((n,), shape, dtype=dtype): torch._standard_gamma(shapes),
        "beta": lambda a, b: lambda: torch.distributions.Beta(like(a), like(b)).sample((n,)),
        "dirichlet": lambda a, k: lambda: torch.distributions.Dirichlet(torch.full((int(k),), a, dtype=dtype)).sample((n // int(k),)),
        "poisson": lambda rate: lambda rates=torch.full((n,), rate): torch.poisson(rates),
        "zipf": lambda k: lambda p=torch.from_numpy(zipf(k)): torch.multinomial(p, n, replacement=True),
        "permutation": lambda: lambda: torch.randperm(n),
        "shuffle": lambda: lambda: torch.randperm(n),
    }
    if name not in laws:
        raise ModuleNotFoundError
    return laws[name](*parameters), lambda out: torch_bits(out.to(dtype), type)


def numpy_random(threads, folder, law, type, n):
    import numpy

    generator = numpy.random.Generator(numpy.random.SFC64(1))  # the fastest of NumPy's generators
    name, parameters = law_of(law)
    if bits_of(type) != type or type == "float16":
        raise ModuleNotFoundError
    out = numpy.empty(n, type)
    into = {"dtype": type, "out": out}
    laws = {
        "uniform": lambda: lambda: generator.random(**into),
        "normal": lambda: lambda: generator.standard_normal(**into),
        "exponential": lambda: lambda: generator.standard_exponential(**into),
        "gamma": lambda shape: lambda: generator.standard_gamma(shape, **into),
        "bits": lambda: lambda: generator.integers(0, 1 << 32, n, dtype=numpy.uint32),
        "integers": lambda m: lambda: generator.integers(0, int(m), n, dtype=type),
        "gumbel": lambda: lambda: generator.gumbel(size=n),
        "logistic": lambda: lambda: generator.logistic(size=n),
        "laplace": lambda: lambda: generator.laplace(size=n),
        "bernoulli": lambda p: lambda: generator.random(n, numpy.float32) < p,
        "beta": lambda a, b: lambda: generator.beta(a, b, n),
        "dirichlet": lambda a, k: lambda: generator.dirichlet(numpy.full(int(k), a), n // int(k)),
        "poisson": lambda rate: lambda: generator.poisson(rate, n),
        "zipf": lambda k: lambda p=zipf(k): generator.choice(p.size, n, p=p),
        "permutation": lambda: lambda: generator.permutation(n),
        "shuffle": lambda: lambda: generator.permutation(n),
    }
    if name not in laws:
        raise ModuleNotFoundError
    return laws[name](*parameters), lambda out: out.astype(type)


def torch_categorical(threads, folder, rows):
    import torch

    torch.set_num_threads(threads)
    logits = torch.from_numpy(load(folder, "x", "float32", (rows, -1)))
    return lambda: torch.multinomial(torch.softmax(logits, -1), 1), lambda out: out.int().numpy()


def numpy_categorical(threads, folder, rows):
    import numpy

    generator = numpy.random.Generator(numpy.random.SFC64(1))
    logits = load(folder, "x", "float32", (rows, -1))
    return lambda: numpy.argmax(logits + generator.gumbel(size=logits.shape), -1), lambda out: out.astype("int32")


def number(text):
    return int(text) if text.lstrip("-").isdigit() else text


def main():
    folder, run, to_numpy, result = None, None, None, None
    for line in sys.stdin:
        word, *rest = line.split()
        try:
            if word == "run":
                calls = int(rest[0])
                start = time.perf_counter()
                for _ in range(calls):
                    result = run()
                answer = repr((time.perf_counter() - start) / calls)
            elif word == "save":
                to_numpy(result).tofile(f"{folder}/out")
                answer = "ok"
            else:
                run = to_numpy = result = None  # the memory of the case before
                folder = rest[1]
                keywords = dict(pair.split("=") for pair in rest[2:])
                run, to_numpy = globals()[word](int(rest[0]), folder, **{key: number(value) for key, value in keywords.items()})
                answer = "ok"
        except ModuleNotFoundError:
            answer = "missing"
        except Exception as error:
            print(f"{word}: {error}", file=sys.stderr)
            answer = "failed"
        print(answer, flush=True)


if sys.argv[1:] == ["versions"]:
    for name in ["faiss-cpu", "numkong", "numpy", "onnxruntime", "torch"]:
        try:
            print(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            print(f"{name}: missing")
else:
    main()
