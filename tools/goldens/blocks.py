#!/usr/bin/env python3
"""gguf/blocks.safetensors: raw blocks of every type of GGUF and the values that ggml itself gives them. Also run alone:

    python3 blocks.py DATA [--seed N]      # rewrites that file and its entry of the manifest
"""
import ctypes
import os

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType
from safetensors.torch import save_file

from tiny import rewrite_manifest

SEED = 20261122
LIBRARY = "libggml-base.so.0"
PACKAGE_ONLY = {"Q8_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2)}      # 48 blocks each
# Where the f16 scales of a block are. IQ1_M has its own in four nibbles, MXFP4 and NVFP4 have none.
SCALES = {"Q5_0": (0,), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
          "IQ1_S": (0,), "IQ1_M": (), "IQ2_XXS": (0,), "IQ2_XS": (0,), "IQ2_S": (0,), "IQ3_XXS": (0,), "IQ3_S": (0,),
          "IQ4_NL": (0,), "IQ4_XS": (0,), "MXFP4": (), "NVFP4": (), "TQ1_0": (52,), "TQ2_0": (64,), "Q1_0": (0,), "Q2_0": (0,)}
# Elements in all; the formats of lattices name each of their points once.
ELEMENTS = {"IQ1_S": 16384, "IQ2_XXS": 2048, "IQ2_XS": 4096, "IQ2_S": 8192, "IQ3_XXS": 2048, "IQ3_S": 2048}
DEFAULT_ELEMENTS = 2048


def with_every_point(kind, raw, rng):
    """Writes a permutation of all the lattice's points over the indices of the blocks."""
    n = len(raw)
    if kind == "IQ1_S":
        p = rng.permutation(2048).reshape(n, 8, 4)
        raw[:, 2:34] = (p & 255).reshape(n, 32)
        bits = raw[:, 34:50].copy().view(np.uint16) & 0xf000
        for l in range(4):
            bits |= (p[:, :, l] >> 8 << (3 * l)).astype(np.uint16)
        raw[:, 34:50] = bits.view(np.uint8)
    elif kind == "IQ2_XXS":
        q = raw[:, 2:66].reshape(n, 8, 8)
        q[:, :, :4] = rng.permutation(256).reshape(n, 8, 4)
        raw[:, 2:66] = q.reshape(n, 64)
    elif kind == "IQ2_XS":
        q = raw[:, 2:66].copy().view(np.uint16) & 0xfe00
        raw[:, 2:66] = (q | rng.permutation(512).reshape(n, 32).astype(np.uint16)).view(np.uint8)
    elif kind == "IQ2_S":
        p = rng.permutation(1024).reshape(n, 8, 4)
        raw[:, 2:34] = (p & 255).reshape(n, 32)
        raw[:, 66:74] = sum((p[:, :, l] >> 8) << (2 * l) for l in range(4))
    elif kind == "IQ3_XXS":
        raw[:, 2:66] = np.concatenate([rng.permutation(256), rng.permutation(256)]).reshape(n, 64)
    elif kind == "IQ3_S":
        p = rng.permutation(512).reshape(n, 8, 8)
        raw[:, 2:66] = (p & 255).reshape(n, 64)
        raw[:, 66:74] = sum((p[:, :, l] >> 8) << l for l in range(8))


def random_blocks(kind, n, rng):
    raw = rng.integers(0, 256, (n, gguf.GGML_QUANT_SIZES[GGMLQuantizationType[kind]][1]), dtype=np.uint8)
    for at in SCALES[kind]:
        raw[:, at:at + 2] = rng.normal(0, 0.05, n).astype(np.float16).view(np.uint8).reshape(n, 2)
    if SCALES[kind]:
        raw[0, SCALES[kind][0]:SCALES[kind][0] + 2] = np.array([3], np.uint16).view(np.uint8)      # a subnormal scale
    if kind == "IQ1_M":
        d = rng.normal(0, 0.05, n).astype(np.float16).view(np.uint16)
        for i in range(4):
            raw[:, 49 + 2 * i] = (raw[:, 49 + 2 * i] & 15) | ((d >> (4 * i) & 15) << 4)
    if kind == "MXFP4":
        raw[:, 0] = rng.integers(0, 250, n)
        raw[:3, 0] = (0, 1, 2)
    if kind == "NVFP4":
        raw[:8, :4] = np.array([0, 1, 7, 8, 0x7e, 0x7f, 0x38, 0xff] * 4, np.uint8).reshape(8, 4)
    return raw


def decoded(kind, raw, elements):
    """By ggml's C code; where the gguf package knows the type, its values are the same bits."""
    code = getattr(ctypes.CDLL(LIBRARY), "dequantize_row_" + kind.lower().replace("_k", "_K"))
    values = np.empty(elements, np.float32)
    code(np.ascontiguousarray(raw).ctypes.data_as(ctypes.c_void_p), values.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(elements))
    try:
        package = gguf.quants.dequantize(raw.reshape(1, -1), GGMLQuantizationType[kind]).reshape(-1).astype(np.float32)
        assert np.array_equal(package, values), kind
    except NotImplementedError:
        print(f"{kind}: ggml alone")
    assert np.isfinite(values).all(), kind
    return values


def write_blocks(root, seed):
    """Blocks of random bits with finite scales, and a spread of 16-bit floats of every exponent."""
    rng, res = np.random.default_rng(seed), {}
    for kind, scales in PACKAGE_ONLY.items():
        type_ = GGMLQuantizationType[kind]
        raw = rng.integers(0, 256, (48, gguf.GGML_QUANT_SIZES[type_][1]), dtype=np.uint8)
        for at in scales:
            raw[:, at:at + 2] = rng.normal(0, 0.05, 48).astype(np.float16).view(np.uint8).reshape(48, 2)
        raw[0, :2] = np.array([3], np.uint16).view(np.uint8)      # a subnormal scale
        res[f"{kind}.raw"], res[f"{kind}.expected"] = raw, gguf.quants.dequantize(raw.reshape(1, -1), type_).reshape(48, 32)
    bits = np.arange(0, 65536, 31, dtype=np.uint16)
    for kind, values in {"F16": bits.view(np.float16).astype(np.float32),
                         "BF16": (bits.astype(np.uint32) << 16).view(np.float32)}.items():
        keep = np.isfinite(values)
        res[f"{kind}.raw"], res[f"{kind}.expected"] = bits[keep].view(np.uint8).reshape(-1, 2), values[keep]
    for kind in SCALES:
        elements = ELEMENTS.get(kind, DEFAULT_ELEMENTS)
        raw = random_blocks(kind, elements // gguf.GGML_QUANT_SIZES[GGMLQuantizationType[kind]][0], rng)
        with_every_point(kind, raw, rng)
        res[f"{kind}.raw"], res[f"{kind}.expected"] = raw, decoded(kind, raw, elements)
    save_file({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in res.items()}, os.path.join(root, "gguf", "blocks.safetensors"))
    return dict(file="gguf/blocks.safetensors", types=[*PACKAGE_ONLY, "F16", "BF16", *SCALES])


if __name__ == "__main__":
    rewrite_manifest(__doc__, lambda manifest, a: dict(blocks=write_blocks(a.data, a.seed)), SEED)
