#!/usr/bin/env python3
"""Writes every golden of tests/golden/data and the manifest that names them. See README.md.

    python3 generate.py DATA WORK [--seed N] [--skip-llama-cpp]

DATA is emptied first. WORK takes the checkpoints that only feed the GGUF converter.
"""
import argparse
import json
import os
import platform
import shutil
import subprocess

import numpy
import peft
import safetensors
import tokenizers
import torch
import transformers

import adapters
import blocks
import gguf_files
import hybrid
import learning
import moe
import qwen1
import scoring
import training
from text_cases import GREEDY, LAST, LENGTHS, write_case
from tiny import build_tokenizer, cases, dump_json, write_tokenizer

SEED = 20261122
TEXTS = ["", " ", "Hello, world!", "the river runs past the old mill", "It's what they've said: we'll SEE, I'm sure.", "12345 + 67 = 8.9",
         "  two  spaces   three\t\ttab\n\n\nnewlines\r\n", "Straße, café, cafe\u0301, naïve", "你好，世界。河は流れる。", "😀👩‍💻🏳️‍🌈",
         "<|im_start|>user\nHi<|im_end|>\n", "<think>x</think><tool_call>{}</tool_call>", "<|im_start <|im_end|", "\u0000\u0001\ufffd",
         "for (int i = 0; i < n; ++i) { out[i] = in[i]; }", "a" * 70, "русский текст", "مرحبا", "한국어 각", "\u00a0\u2003x\u200b\u3000y "]


def write_tokenizer_cases(root):
    """A few texts through the tiny tokenizer: folder and GGUF form must give these ids."""
    tok = build_tokenizer()
    with open(os.path.join(root, "tokenizer", "cases.jsonl"), "w", encoding="utf-8", newline="\n") as f:
        for text in TEXTS:
            ids = tok.encode(text, add_special_tokens=False).ids
            line = dict(text=text, ids=ids, decoded=tok.decode(ids, skip_special_tokens=False))
            f.write(json.dumps(line) + "\n")
    return dict(file="tokenizer/cases.jsonl", files=["tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"])


def versions():
    llama = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "llama.cpp-tools"], capture_output=True, text=True).stdout
    blas = {os.path.basename(l.split()[-1]) for l in open("/proc/self/maps") if "blas" in l and ".so" in l}
    return dict(transformers=transformers.__version__, torch=torch.__version__, tokenizers=tokenizers.__version__,
                safetensors=safetensors.__version__, peft=peft.__version__, numpy=numpy.__version__, python=platform.python_version(),
                llama_cpp=llama, blas=sorted(blas))


def files_of(root, folder):
    """Every file below a folder, relative to the root."""
    return sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(os.path.join(root, folder)) for f in names)


def write_models(table, seed, root):
    made, entries = {}, []
    for case in table:
        entry, model, prompts, expected = write_case(case, seed, root)
        made[case.name] = (case, model, prompts, expected)
        if case.keep:
            entries.append(entry | dict(files=files_of(root, f"models/{case.name}")))
    return made, entries


def write_gguf(made, table, a):
    entries = gguf_files.write_f32(made, a.data, a.work, not a.skip_llama_cpp)
    block_case = next(c for c in table if c.name == gguf_files.BLOCK_MODEL)
    for attempt in range(200):
        quantised = gguf_files.write_quantised(made, a.data, a.work)
        if quantised is not None:
            print(f"{block_case.name:16s} all types safe in attempt {attempt}", flush=True)
            return entries + quantised
        _, model, prompts, expected = write_case(block_case, a.seed + 1 + attempt, a.data)
        made[block_case.name] = (block_case, model, prompts, expected)
    raise SystemExit("no seed makes the greedy tokens of every quantised type safe")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("work")
    ap.add_argument("--seed", type=int, default=SEED)
    ap.add_argument("--skip-llama-cpp", action="store_true", help="do not ask llama.cpp for its greedy tokens")
    a = ap.parse_args()
    torch.set_num_threads(1)
    for folder in (a.data, a.work):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    os.makedirs(os.path.join(a.data, "gguf"))
    write_tokenizer(os.path.join(a.data, "tokenizer"))
    tokenizer = write_tokenizer_cases(a.data)
    table = cases()
    made, models = write_models(table, a.seed, a.data)
    gguf_entries = write_gguf(made, table, a)
    seeds = {m["name"]: m["seed"] for m in models}
    learned = [learning.write_learning(made[n][0], made[n][1], seeds[n], a.data) for n in learning.MODELS]
    manifest = dict(
        generator="tools/goldens/generate.py", seed=a.seed, versions=versions(),
        prompt_lengths=LENGTHS, greedy_tokens=GREEDY, last_rows_of_longest=LAST,
        adamw=dict(learning.ADAMW, weight_decay=learning.DECAY, clip=learning.CLIP, steps=learning.STEPS),
        tokenizer=tokenizer, models=models + qwen1.write_cases(a.data, a.seed), gguf=gguf_entries,
        blocks=blocks.write_blocks(a.data, a.seed), learning=learned,
        adapters=adapters.write_adapters(a.data),
        training=training.write_training(a.data),
        scoring=scoring.write_cases(a.data, a.seed),
        hybrid=hybrid.write_hybrid(a.data, a.seed))
    moe.merged(manifest, moe.write_moe(a.data, a.work, a.seed, not a.skip_llama_cpp))
    dump_json(os.path.join(a.data, "manifest.json"), manifest, indent=1)


if __name__ == "__main__":
    main()
