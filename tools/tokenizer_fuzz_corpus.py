#!/usr/bin/env python3
"""Makes the corpus of tests/fuzz/tokenizer_json_fuzz.cc from tests/text/data/small_tokenizers.json: a few small tokenizer.json
with every kind of member that is read.

    python3 tools/tokenizer_fuzz_corpus.py        writes tests/fuzz/corpus/tokenizer_json/
"""
import json
import pathlib

ROOT = pathlib.Path(__file__).parent.parent
OUT = ROOT / "tests/fuzz/corpus/tokenizer_json"
golden = json.load(open(ROOT / "tests/text/data/small_tokenizers.json", encoding="utf-8"))
vocab = {t: i for i, t in enumerate(["a", "b", "c", "Ġ", "ab", "Ġc", "abĠc", "<unk>"])}
merges = [["a", "b"], ["Ġ", "c"], ["ab", "Ġc"]]
OUT.mkdir(parents=True, exist_ok=True)
for v in golden["variants"]:
    if v["name"] not in ("qwen2", "llama3", "smollm", "flags", "fuse_unk"):
        continue
    members = {"added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, **v["members"]}
    settings = {k: x for k, x in v["model"].items() if k not in ("without", "plus")}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, **settings, "vocab": vocab,
             "merges": merges if v["name"] != "smollm" else [" ".join(m) for m in merges]}
    document = {"version": "1.0", **members, "decoder": {"type": "ByteLevel"}, "model": model}
    (OUT / v["name"]).write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
