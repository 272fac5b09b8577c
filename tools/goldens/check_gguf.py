"""GGUF files that qw wrote, in the gguf package and in llama.cpp. Run by hand; the result stands in docs/io.md.

    python3 check_gguf.py DATA WRITTEN

WRITTEN holds, by `qw merge`, MODEL.gguf (--type f32), MODEL.q8.gguf (--type q8_0) and ADAPTER.gguf (--to gguf-adapter) for
models and adapters of DATA; what is absent is passed over. Needs PEFT, gguf and llama-server.
"""
import json
import os
import subprocess
import sys
import time
import urllib.request

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader
from peft import PeftModel
from safetensors.numpy import load_file

from adapters import CASES, base_of, logits_of

PORT = 18231
N = 24


class Server:
    def __init__(self, model, *more):
        command = ["llama-server", "-m", model, "--port", str(PORT), "-c", "512", "-ctk", "f32", "-ctv", "f32", "-fa", "off",
                   "--no-warmup", "-t", "1", "-np", "1", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f"llama-server refuses {command[2:]}")
            try:
                if b"ok" in urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=1).read():
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("llama-server does not answer")

    def greedy(self, ids, n):
        body = json.dumps(dict(prompt=[int(i) for i in ids], n_predict=n, temperature=0, top_k=1, return_tokens=True, cache_prompt=False))
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}/completion", body.encode(), {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["tokens"]

    def stop(self):
        self.process.kill()
        self.process.wait()


def equal_prefix(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def check_model(data, written, name):
    expected = load_file(os.path.join(data, "models", name, "expected.safetensors"))
    server = Server(os.path.join(written, f"{name}.gguf"))
    equal = [equal_prefix(server.greedy(expected[f"case{i}.input_ids"], 32), expected[f"case{i}.greedy"].tolist()) for i in range(4)]
    server.stop()
    print(f"{name:16s} greedy tokens of llama.cpp equal to the golden: {equal} of 32", flush=True)


def check_blocks(written, name):
    whole = {t.name: t for t in GGUFReader(os.path.join(written, f"{name}.gguf")).tensors}
    for t in GGUFReader(os.path.join(written, f"{name}.q8.gguf")).tensors:
        if t.tensor_type == GGMLQuantizationType.Q8_0:
            want = gguf.quants.quantize(np.array(whole[t.name].data), GGMLQuantizationType.Q8_0)
            assert np.array_equal(np.array(t.data).reshape(-1), want.reshape(-1)), t.name
    print(f"{name:16s} Q8_0 tensors equal to those of the gguf package", flush=True)


def check_adapter(data, written, name):
    base_name = CASES[name][0]
    ids = torch.from_numpy(load_file(os.path.join(data, "adapters", name, "expected.safetensors"))["input_ids"])
    server = Server(os.path.join(written, f"{base_name}.gguf"), "--lora", os.path.join(written, f"{name}.gguf"))
    got = server.greedy(ids, N)
    server.stop()
    model = PeftModel.from_pretrained(base_of(data, base_name), os.path.join(data, "adapters", name)).eval()
    want = []
    for _ in range(N):
        text = torch.cat([ids, torch.tensor(want, dtype=ids.dtype)])
        want.append(int(logits_of(model, text)[-1].argmax()))
    print(f"{name:16s} greedy tokens of llama.cpp equal to PEFT's: {equal_prefix(got, want)} of {N}", flush=True)


def main():
    data, written = sys.argv[1:]
    there = set(os.listdir(written))
    for name in sorted(os.listdir(os.path.join(data, "models"))):
        if f"{name}.gguf" in there:
            check_model(data, written, name)
        if f"{name}.q8.gguf" in there:
            check_blocks(written, name)
    for name in CASES:
        if f"{name}.gguf" in there:
            check_adapter(data, written, name)


if __name__ == "__main__":
    main()
