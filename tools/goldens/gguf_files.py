"""GGUF goldens: F32 conversions, quantised models, version 2, parts, and single blocks.

llama.cpp's converter and tools make the files, so that they hold what real ones hold (permuted q and k rows of Llama,
rope_freqs.weight, metadata); the expected values of quantised ones come from the dequantised weights with f32 activations.
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
from safetensors.torch import save_file

from text_cases import GREEDY, build_copy, expected_of, save_checkpoint
from tiny import write_tokenizer

TOOLS = "/usr/share/llama.cpp/llama.cpp-tools"
CONVERT = "/usr/share/doc/llama.cpp-tools/scripts/convert_hf_to_gguf.py"
F32_OF = ("qwen2_tied", "qwen3_untied", "qwen3_yarn", "llama", "llama3_rope")
BLOCK_MODEL = "llama_blocks"
TYPES = ("F16", "BF16", "Q8_0", "Q4_0", "Q4_1")
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "token_embd": "embed_tokens", "output_norm": "norm"}


def run(*command):
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode:
        raise SystemExit(f"{command[0]} failed: {(r.stdout + r.stderr)[-1500:]}")


def convert(folder, out, *more):
    """convert_hf_to_gguf.py, which knows tokenizers by a hash of theirs, told that this one is of the Qwen2 kind."""
    code = (f"import sys, runpy; sys.path.insert(0, {TOOLS!r}); from conversion import base; "
            "base.TextModel.get_vocab_base_pre = lambda self, tok: 'qwen2'; "
            f"sys.argv = ['convert', {folder!r}, '--outfile', {out!r}, '--outtype', 'f32', '--model-name', 'tiny', *{more!r}]; "
            f"runpy.run_path({CONVERT!r}, run_name='__main__')")
    run(sys.executable, "-c", code)


def checkpoint_for_converter(case, model, folder):
    """The converter reads the hub's spelling and wants the tokenizer beside it."""
    save_checkpoint(case, model, folder)
    os.replace(os.path.join(folder, "config.legacy.json"), os.path.join(folder, "config.json"))
    write_tokenizer(folder)


def dequantised(tensor):
    """f32 values with rows first, as in safetensors."""
    shape = [int(n) for n in reversed(tensor.shape)]
    if tensor.tensor_type in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
        return torch.from_numpy(tensor.data.astype(np.float32).reshape(shape))
    return torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape))


def unpermute(w, heads):
    """Undoes the converter's interleaving of the two rotary halves of Llama's q and k rows."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, -1).transpose(1, 2).reshape(w.shape)


def with_weights_of(case, model, path):
    """A copy of the model with the dequantised weights of a Llama GGUF file, and the types found in it."""
    other = build_copy(case, model)
    weights = dict(other.named_parameters())
    types, done = set(), set()
    for t in GGUFReader(path).tensors:
        types.add(t.tensor_type.name)
        name, kind = t.name.rsplit(".", 1)
        head, layer = name.rsplit(".", 1)[-1], name.split(".")[1] if name.startswith("blk.") else None
        key = "model." + (f"layers.{layer}." if layer else "") + NAMES[head] + "." + kind
        value = dequantised(t)
        if head in ("attn_q", "attn_k"):
            value = unpermute(value, model.config.num_attention_heads if head == "attn_q" else model.config.num_key_value_heads)
        weights[key].data.copy_(value)
        done.add(key)
    assert done == set(weights), done ^ set(weights)
    return other, sorted(types)


def llama_cpp_agrees(path, expected, port=18937):
    """How many of the greedy tokens of each prompt llama.cpp itself produces from the file.

    Without flash attention, which rounds to f16 (differences of 1e-3 in the logits instead of 1e-5).
    """
    server = subprocess.Popen(["llama-server", "-m", path, "--host", "127.0.0.1", "--port", str(port), "-c", "512", "-t", "1",
                               "-np", "1", "--no-warmup", "-ngl", "0", "--no-webui", "-fa", "off", "-ctk", "f32", "-ctv", "f32"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    same = []
    try:
        for i in range(sum(k.endswith(".input_ids") for k in expected)):
            body = json.dumps(dict(prompt=expected[f"case{i}.input_ids"].tolist(), n_predict=GREEDY, temperature=0, top_k=1,
                                   return_tokens=True, ignore_eos=True, cache_prompt=False, samplers=["top_k"])).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}/completion", body, {"Content-Type": "application/json"})
            tokens = json.loads(patient(server, request))["tokens"]
            want = expected[f"case{i}.greedy"].tolist()
            same.append(next((n for n, (a, b) in enumerate(zip(tokens, want)) if a != b), len(want)))
    finally:
        server.terminate()
        server.wait()
    return same


def patient(server, request):
    for _ in range(200):
        try:
            return urllib.request.urlopen(request, timeout=60).read()
        except OSError:
            if server.poll() is not None:
                raise SystemExit("llama-server ended")
            time.sleep(0.1)
    raise SystemExit("llama-server does not answer")


def small(expected):
    """Of a quantised model: case1 and the last rows of case3, all inputs and greedy tokens."""
    drop = ("case0.logits", "case2.logits")
    return {k: v.contiguous() for k, v in expected.items() if k not in drop and ".taps." not in k}


def write_f32(made, root, work, check):
    """One F32 file of each model in F32_OF; expected values are those of the folder."""
    entries = []
    for name in F32_OF:
        case, model, _, expected = made[name]
        source, out = os.path.join(work, name), os.path.join(root, "gguf", f"{name}.F32.gguf")
        checkpoint_for_converter(case, model, source)
        convert(source, out)
        entry = dict(name=f"{name}.F32", files=[f"gguf/{name}.F32.gguf"], expected=f"models/{name}/expected.safetensors",
                     types=["F32"], version=3)
        if check:
            entry["llama_cpp_equal_greedy"] = llama_cpp_agrees(out, expected)
            print(f"{entry['name']:16s} llama.cpp: equal greedy tokens {entry['llama_cpp_equal_greedy']}", flush=True)
        entries.append(entry)
    return entries


def write_quantised(made, root, work):
    """The block model in every type; Q4_1 once more as version 2, Q4_0 once more in parts."""
    case, model, prompts, _ = made[BLOCK_MODEL]
    source, base = os.path.join(work, BLOCK_MODEL), os.path.join(work, f"{BLOCK_MODEL}.F32.gguf")
    checkpoint_for_converter(case, model, source)
    convert(source, base)
    folder, entries = os.path.join(root, "gguf"), []
    for kind in TYPES:
        name = f"{BLOCK_MODEL}.{kind}"
        path = os.path.join(folder, f"{name}.gguf")
        run("llama-quantize", "--pure", base, path, kind, "1")
        other, types = with_weights_of(case, model, path)
        expected, gap, _ = expected_of(other, prompts)
        if expected is None:
            return None     # another seed of the block model is needed
        save_file(small(expected), os.path.join(folder, f"{name}.expected.safetensors"))
        entries.append(dict(name=name, files=[f"gguf/{name}.gguf"], expected=f"gguf/{name}.expected.safetensors",
                            types=types, version=3, greedy_gap=round(gap, 5)))
    entries.append(as_version_2(folder, f"{BLOCK_MODEL}.Q4_1"))
    entries.append(in_parts(folder, f"{BLOCK_MODEL}.Q4_0"))
    return entries


def as_version_2(folder, name):
    """Version 2 differs from 3 in the number alone (3 only added big-endian files)."""
    data = bytearray(open(os.path.join(folder, f"{name}.gguf"), "rb").read())
    assert data[:8] == b"GGUF\x03\0\0\0"
    data[4] = 2
    with open(os.path.join(folder, f"{name}.v2.gguf"), "wb") as f:
        f.write(data)
    return dict(name=f"{name}.v2", files=[f"gguf/{name}.v2.gguf"], expected=f"gguf/{name}.expected.safetensors", version=2)


def in_parts(folder, name):
    prefix = os.path.join(folder, f"{name}.split")
    run("llama-gguf-split", "--split", "--split-max-tensors", "8", os.path.join(folder, f"{name}.gguf"), prefix)
    parts = sorted(f for f in os.listdir(folder) if f.startswith(f"{name}.split-"))
    assert len(parts) >= 3
    return dict(name=f"{name}.split", files=[f"gguf/{f}" for f in parts], expected=f"gguf/{name}.expected.safetensors", version=3)
