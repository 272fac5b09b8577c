"""GGUF files of hybrids that qw wrote, against those of llama.cpp's converter; and llama.cpp against the goldens. Run by hand.

    QW_WRITTEN=WRITTEN test_golden --gtest_filter='*GgufHybridWrite*'
    python3 check_hybrid_gguf.py DATA WRITTEN WORK

Every tensor must be equal but for the last bits of −e^A_log, and every key of the architecture. WORK takes the converter's files.
"""
import json
import os
import shutil
import sys

import numpy as np
from gguf import GGUFReader
from safetensors.torch import load_file

from gguf_files import convert, llama_cpp_agrees
from tiny import write_tokenizer


def values(reader, arch):
    return {k: f.contents() for k, f in reader.fields.items() if k.startswith(arch + ".") or k == "general.architecture"}


def compare(ours, theirs):
    a, b = GGUFReader(ours), GGUFReader(theirs)
    arch = b.fields["general.architecture"].contents()
    keys, want = values(a, arch), values(b, arch)
    assert keys == want, {k: (keys.get(k), want.get(k)) for k in set(keys) | set(want) if keys.get(k) != want.get(k)}
    x, y = ({t.name: t for t in r.tensors} for r in (a, b))
    assert set(x) == set(y), set(x) ^ set(y)
    worst = 0.0
    for name in y:
        assert list(x[name].shape) == list(y[name].shape) and x[name].tensor_type == y[name].tensor_type, name
        if not np.array_equal(x[name].data, y[name].data):
            assert name.endswith("ssm_a"), name
            worst = max(worst, float(np.max(np.abs(x[name].data / y[name].data - 1))))
    assert worst < 2e-7, worst
    return len(y), worst


def main():
    data, written, work = sys.argv[1:4]
    for case in json.load(open(os.path.join(data, "manifest.json")))["hybrid"]:
        folder, file = os.path.join(work, case["name"]), os.path.join(work, case["name"] + ".gguf")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(data, case["model"]), folder)
        write_tokenizer(folder)
        os.replace(os.path.join(folder, "config.legacy.json"), os.path.join(folder, "config.json"))
        config = json.load(open(os.path.join(folder, "config.json")))
        config = config.get("text_config", config)
        if config.get("mlp_only_layers"):
            print(case["name"], "has a dense layer among experts, which the converter has no name for", flush=True)
            continue
        convert(folder, file, *([] if case["mtp"] else ["--no-mtp"]))
        runs = config["linear_key_head_dim"] == config["linear_value_head_dim"]     # llama.cpp wants that
        same = llama_cpp_agrees(file, load_file(os.path.join(folder, "expected.safetensors"))) if runs else "sizes differ"
        ours = os.path.join(written, case["name"] + ".gguf")
        found = compare(ours, file) if os.path.exists(ours) else "not written"
        print(case["name"], "llama.cpp's equal greedy tokens:", same, "tensors, relative error of ssm_a:", found, flush=True)


if __name__ == "__main__":
    main()
