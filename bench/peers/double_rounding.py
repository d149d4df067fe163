# Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""The rows of double_rounding.cpp's table of types for the Python libraries that can be imported; names those that cannot."""

import importlib

import numpy as np


def midpoints(exponent_bits, mantissa_bits):
    """The middle above every finite magnitude of a format, exact in float64."""
    bias = 2 ** (exponent_bits - 1) - 1
    code = np.arange((2**exponent_bits - 1) << mantissa_bits)
    exponent = code >> mantissa_bits
    significand = np.where(exponent == 0, code, code % 2**mantissa_bits + 2**mantissa_bits)
    return np.ldexp(significand + 0.5, np.maximum(exponent, 1) - bias - mantissa_bits)


def wrong(code, x, rest, middle):
    """How many codes are not x + rest (x >= 0) to nearest, ties to even."""
    code = code.astype(np.int64)
    ends = np.concatenate([[-1.0], middle, [np.inf]])
    inside = np.minimum(code, len(middle))
    low = x - ends[inside]
    high = x - ends[inside + 1]
    low = np.where(low == 0, rest, low)
    high = np.where(high == 0, rest, high)
    even = code % 2 == 0
    right = (code <= len(middle)) & ((low > 0) | (even & (low == 0))) & ((high < 0) | (even & (high == 0)))
    return np.count_nonzero(~right)


def row(name, format_name, middle, convert, limits, zeros):
    """convert(array) gives the codes as uint16."""
    inner = middle[:-1]
    doubles = np.concatenate([inner * (1 - 2.0**-40), inner * (1 + 2.0**-40)])
    from_double = wrong(convert(doubles), doubles, 0.0, middle)

    near = middle[(middle >= 2.0**24) & (middle < 2.0**31)].astype(np.int64)
    ints = np.concatenate([np.arange(2**16), (near[:, None] + np.arange(-200, 201)).ravel()])
    ints = ints[ints < 2**31].astype(np.int32)
    from_int = wrong(convert(ints), ints.astype(np.float64), 0.0, middle)

    far = middle[(middle >= 2.0**54) & (middle < 2.0**63)]
    steps = np.arange(-3, 4)
    longs = (far.astype(np.int64)[:, None] + steps).ravel()
    from_long = wrong(convert(longs), np.repeat(far, 7), np.tile(steps.astype(np.float64), len(far)), middle) if len(far) else 0

    payload = np.arange(1, 2**23, dtype=np.uint32)
    lost = turned = 0
    for sign in (0, 1):
        code = convert((payload | np.uint32(0x7F800000 | sign << 31)).view(np.float32))
        nan = (code & 0x7FFF) > len(middle)
        lost += np.count_nonzero(~nan)
        turned += np.count_nonzero(nan & (code >> 15 != sign))
    print(f"| {name} | {format_name} | {from_double:,} | {from_int:,} | {from_long:,} | lost {lost:,}, sign of {turned:,} | {zeros} | {limits} |")


def limits_of(info, digits, min_exponent):
    names = {"eps": 2.0 ** (1 - digits), "smallest_normal": 2.0**min_exponent}
    bad = [name for name, value in names.items() if float(getattr(info, name)) != value]
    return "wrong: " + ", ".join(bad) if bad else "right"


def alike(scalar):
    return "alike" if hash(scalar(0.0)) == hash(scalar(-0.0)) else "apart"


def main():
    missing = []
    half, brain = midpoints(5, 10), midpoints(8, 7)
    np.seterr(all="ignore")
    row(f"`numpy.float16` {np.__version__}", "float16", half, lambda x: x.astype(np.float16).view(np.uint16),
        limits_of(np.finfo(np.float16), 11, -14), alike(np.float16))
    try:
        ml = importlib.import_module("ml_dtypes")
        row(f"`ml_dtypes.bfloat16` {ml.__version__}", "bfloat16", brain, lambda x: x.astype(ml.bfloat16).view(np.uint16),
            limits_of(ml.finfo(ml.bfloat16), 8, -126), alike(ml.bfloat16))
    except ImportError:
        missing.append("ml_dtypes")
    try:
        torch = importlib.import_module("torch")
        for name, kind, middle, digits, least in (("float16", torch.float16, half, 11, -14), ("bfloat16", torch.bfloat16, brain, 8, -126)):
            row(f"`torch.{name}` {torch.__version__}", name, middle,
                lambda x, kind=kind: torch.from_numpy(x).to(kind).view(torch.int16).numpy().view(np.uint16),
                limits_of(torch.finfo(kind), digits, least), "none")
    except ImportError:
        missing.append("torch")
    print("\nMissing here:", ", ".join(missing) if missing else "nothing")


if __name__ == "__main__":
    main()
