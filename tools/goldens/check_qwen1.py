#!/usr/bin/env python3
"""Holds the GGUF files that qw writes of the original Qwen against llama.cpp: how many greedy tokens agree.

    python3 check_qwen1.py DATA FOLDER      # FOLDER: qwen1_plain.gguf, qwen1_long.gguf by
                                            # qw merge DATA/models/NAME - FOLDER/NAME.gguf --to gguf --type f32

llama.cpp has neither LogN nor dynamic NTK: the longest prompt of qwen1_long must differ, all others must not.
"""
import os
import sys

from safetensors.torch import load_file

from gguf_files import llama_cpp_agrees

for name, want in (("qwen1_plain", [32, 32, 32, 32]), ("qwen1_long", [32, 32, 32, None])):
    expected = load_file(os.path.join(sys.argv[1], "models", name, "expected.safetensors"))
    got = llama_cpp_agrees(os.path.join(sys.argv[2], f"{name}.gguf"), expected)
    print(name, got)
    assert all(w is None or g == w for g, w in zip(got, want)), name
