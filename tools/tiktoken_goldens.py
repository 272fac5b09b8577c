#!/usr/bin/env python3
"""Goldens of qwen.tiktoken: a small rank file of the same form, and what PyPI's tiktoken makes of texts with it.

    python3 tiktoken_goldens.py CORPUS TEXTS OUT      # tiktoken 0.14; TEXTS: lines {"text": …} (tests/text/data/qwen3_cases.jsonl)

OUT (tests/text/data/tiktoken) gets qwen.tiktoken, trained here on CORPUS, and cases.jsonl. With a real qwen.tiktoken in the place
of CORPUS nothing is trained, and the cases of all texts are printed: what `qw tokenize` is held against by hand.
"""
import base64
import json
import os
import sys
import unicodedata
from collections import Counter

import regex
import tiktoken

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")     # PAT_STR of tokenization_qwen.py
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)]
EXTRA = ["<|im_start|>user\nHi<|im_end|>\n", "<|extra_0|><|extra_204|><|extra_205|>", "<|im_end|>\u0338 <|endoftext|>x", "caf\u0065\u0301"]
N_TOKENS = 640


def train(text):
    """Byte pair encoding: the most frequent pair is joined, the smaller one where two are."""
    words = {w: [bytes([b]) for b in w.encode()] for w in regex.findall(PATTERN, text)}
    count = Counter(regex.findall(PATTERN, text))
    tokens = [bytes([b]) for b in sorted(range(256), key=lambda b: (not 33 <= b <= 126, b))]
    while len(tokens) < N_TOKENS:
        pairs = Counter()
        for w, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += count[w]
        best = max(pairs, key=lambda p: (pairs[p], p))
        if best[0] + best[1] not in tokens:
            tokens.append(best[0] + best[1])
        for w, parts in words.items():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = [best[0] + best[1]]
                i += 1
    return tokens


def main():
    corpus, texts, out = sys.argv[1:4]
    content = open(corpus, "rb").read()
    real = corpus.endswith(".tiktoken")
    tokens = [base64.b64decode(line.split()[0]) for line in content.splitlines() if line] if real else train(content.decode())
    encoding = tiktoken.Encoding("qwen", pat_str=PATTERN, mergeable_ranks={t: i for i, t in enumerate(tokens)},
                                 special_tokens={s: len(tokens) + i for i, s in enumerate(SPECIAL)})
    lines = [case["text"] for case in map(json.loads, open(texts, encoding="utf-8")) if "text" in case]
    chosen = (lines if real else lines[::7]) + EXTRA
    cases = [dict(text=t, ids=encoding.encode(unicodedata.normalize("NFC", t), allowed_special="all")) for t in chosen]
    if real:
        print("\n".join(json.dumps(c) for c in cases))
        return
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "qwen.tiktoken"), "wb") as f:
        f.write(b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in enumerate(tokens)))
    with open(os.path.join(out, "cases.jsonl"), "w", encoding="utf-8", newline="\n") as f:
        for c in cases:
            if len(c["text"]) < 400:
                f.write(json.dumps(c) + "\n")


if __name__ == "__main__":
    main()
