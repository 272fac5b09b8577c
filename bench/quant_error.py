#!/usr/bin/env python3
"""The error of qw's quantisers beside that of ggml's, on the same numbers. Runs in the reference environment (gguf, numpy, ggml).

    python3 bench/quant_error.py source SmolLM2.gguf SOURCE.gguf     # one matrix of real weights, as f32
    for t in q4_0 …; do qw quantize SOURCE.gguf DIR/$t.gguf --type $t [--imatrix SOURCE.imatrix.gguf]; done
    python3 bench/quant_error.py compare SOURCE.gguf DIR [--imatrix] # relative rms error of both, a line a type

The source is the ffn_down matrices of layers 3 and 12 (1536 columns), spread by noise of 5 %: the published file is Q4_1 already.
"""
import ctypes
import os
import sys

import gguf
import numpy as np
from gguf import GGUFReader, GGUFWriter, GGMLQuantizationType

NAME = "blk.0.attn_k.weight"    # a name for which every recipe takes its base type


def values(tensor):
    if tensor.tensor_type == GGMLQuantizationType.F32:
        return np.array(tensor.data).reshape(-1)
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(-1)


def tensor_of(path, name=NAME):
    return next(t for t in GGUFReader(path).tensors if t.name == name)


def importance(columns):
    return np.exp(np.random.default_rng(2).normal(0, 1.5, columns)).astype(np.float32)


def source(model, out):
    rng, parts = np.random.default_rng(1), []
    for name in ("blk.3.ffn_down.weight", "blk.12.ffn_down.weight"):
        w = values(tensor_of(model, name)).reshape(-1, 1536)
        parts.append(w + rng.normal(0, w.std() * 0.05, w.shape).astype(np.float32))
    matrix = np.concatenate(parts).astype(np.float32)
    for path, tensors, kind in ((out, {NAME: matrix, "output.weight": matrix[:1]}, "llama"),
                                (out.removesuffix(".gguf") + ".imatrix.gguf",
                                 {NAME + ".in_sum2": importance(1536).reshape(1, -1), NAME + ".counts": np.ones((1, 1), np.float32)}, None)):
        w = GGUFWriter(path, kind or "llama")
        if kind is None:
            w.add_type("imatrix")
        for name, data in tensors.items():
            w.add_tensor(name, data)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()


def by_ggml(x, kind, weights):
    lib = ctypes.CDLL("libggml-base.so.0")
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.empty(x.size // block * size, np.uint8)
    pointer = lambda a: None if a is None else a.ctypes.data_as(ctypes.c_void_p)
    rows, columns = x.shape
    lib.ggml_quantize_chunk(int(kind), pointer(x), pointer(out), ctypes.c_int64(0), ctypes.c_int64(rows), ctypes.c_int64(columns), pointer(weights))
    return gguf.quants.dequantize(out.reshape(rows, -1), kind).astype(np.float32).reshape(x.shape)


def compare(path, folder, weighted):
    x = values(tensor_of(path)).reshape(-1, 1536).astype(np.float32)
    weights = importance(1536) if weighted else None
    w = weights if weighted else 1.0
    error = lambda y: float(np.sqrt((w * (y - x) ** 2).sum() / (w * x ** 2).sum()))
    print("| type | qw | ggml | ratio |\n| --- | --- | --- | --- |")
    for file in sorted(os.listdir(folder)):
        t = tensor_of(os.path.join(folder, file))
        own = error(values(t).reshape(x.shape))
        theirs = error(by_ggml(x, t.tensor_type, weights))
        print(f"| {t.tensor_type.name.lower()} | {own:.5f} | {theirs:.5f} | {own / theirs:.3f} |")


if __name__ == "__main__":
    if sys.argv[1] == "source":
        source(*sys.argv[2:4])
    else:
        compare(sys.argv[2], sys.argv[3], "--imatrix" in sys.argv)
