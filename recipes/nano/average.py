#!/usr/bin/env python3
"""The mean of two models of one shape, number by number (model soups, Wortsman et al. 2022): what one learnt and the other forgot is in both halves.

    python3 average.py A B SHARE OUT      OUT = (1 − SHARE) · A + SHARE · B, a folder; A's configuration and tokenizer
"""
import json
import shutil
import struct
import sys
from array import array
from pathlib import Path


def read(folder):
    """name → (shape, floats) of model.safetensors in F32 or BF16."""
    data = (folder / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + x for x in entry["data_offsets"])
        raw = data[begin:end]
        if entry["dtype"] == "BF16":
            wide = bytearray(2 * len(raw))
            wide[2::4], wide[3::4] = raw[::2], raw[1::2]
            raw = bytes(wide)
        elif entry["dtype"] != "F32":
            sys.exit(f"{folder}: {name} is {entry['dtype']}; save_dtype = \"f32\" writes what can be averaged")
        out[name] = entry["shape"], array("f", raw)
    return out


def main():
    first, second, share, out = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    a, b = read(first), read(second)
    if {n: s for n, (s, _) in a.items()} != {n: s for n, (s, _) in b.items()}:
        sys.exit(f"{first} and {second} have other tensors")
    out.mkdir(parents=True, exist_ok=True)
    for file in first.glob("*.json"):
        shutil.copy(file, out)
    header, body, offset = {}, [], 0
    for name, (shape, x) in a.items():
        mean = array("f", ((1 - share) * p + share * q for p, q in zip(x, b[name][1]))).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(mean)]}
        body.append(mean)
        offset += len(mean)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (out / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(body)


if __name__ == "__main__":
    main()
