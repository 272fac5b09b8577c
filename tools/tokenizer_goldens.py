#!/usr/bin/env python3
"""Goldens of the tokenizer, made by HF `tokenizers` 0.23.1 (the reference environment).

  tokenizer_goldens.py small OUT.json          one small BPE model under many settings, texts, ids, decodings
                                               -> tests/text/data/small_tokenizers.json
  tokenizer_goldens.py qwen3 GOLD OUT.jsonl    the cases of shared/reference/goldens/generate_tokenizer.py (seed 20261122,
                                               folder GOLD), ids and prompts as FNV-1a hashes -> tests/text/data/qwen3_cases.jsonl
"""
import copy
import json
import os
import random
import sys

SEED = 20261122
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+" + TAIL
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+" + TAIL
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+" + TAIL
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
# llama.cpp's "default", in order
DEFAULT = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]

# Trained without a pre-tokenizer, so that merges reach over words: a piece cut at a wrong place changes ids.
CORPUS = [
    "the cat's 12 hats aren't 345 mats; it's the cat, isn't it? the hats, the mats, the 12 cats.\n",
    "def f(x):\n    return x + 12\n\n\nfor i in range(10):\n    print(i, f(i))\n    y = x * 345\n\n",
    "we'll see, they've been, I'm here, you're there, he'd go. WE'LL SEE, THEY'VE, I'M, YOU'RE.\n\n  \n",
    "größer über müßte, déjà vu à l'été, señor mañana. Привет мир, привет! 你好世界,你好。 こんにちは、世界。\n",
    "e\u0301te\u0301 a\u0308 o\u0308 हिन्दी में हिन्दी नमस्ते สวัสดี 안녕 العربية\n",
    "a  b   c    d\t\te \n \n\n f\r\n\r\ng   \n",
    "1234567890 3.14159 1,000,000 x=12;y=345 $12.50 50% (12) [345] {67}\n",
]
NASTY = [
    "", " ", "  ", "   ", "\n", "\r\n", " \n", "\n ", "\t\t", "a", " a", "a ", "  a", "a  b", "a   b ", "\n\na\n\n", " \n \n a",
    "it's", "It'S", "'s", "''s", "'\u017f", "x'\u017ft", "'LL'll'Ll", "'re're", "we'VE'd", "'r", "'", "don't", "\u2019s",
    "12", " 12", "1234567", "a1b22c333", "12 345", "\u00b2\u00b3\u00bd", "\u0661\u0662\u0663", "\u2167", "\U00011de0\U00011de1", "3.14",
    "\u00e9", "e\u0301", "e\u0323\u0301", "\u1e69", "\u212b", "\uac01", "\u1100\u1161\u11a8", "\u0958", "\u0344", "\u2126",
    "a\u0301\u0327b", "\u0301", " \u0301a", "!\u0301b", "\u0928\u093f", "\u200b", "\u200d", "\ufeff", "\u00a0a", "\u3000\u3000a",
    "\u2028", "a\u0085b", "\u180e", "\x00", "\x1c\x1d", "\x7f", "\ufffd", "\U0010ffff", "\ue000", "😀", "👩\u200d💻", "🇩🇪",
    "the cat's 12 hats", " the  cat", "def f(x):\n    return x", "x=12;y=345", "!!!", " !", "! ", "!\n\n", "?!\r\n", "$12.50", "a+b=c^2~|",
    "你好世界", "こんにちは", "안녕", "Привет", "हिन्दी", "สวัสดี", "a\u4e00b", "\u1715\u0eba\u0897", "\U000105c9",
    "<|end|>", "a<|end|>b", " <|end|> ", "<|end|><|end|>", "<|en", "<think>", "<lr>", " <lr> ", "a \n<lr>\t b", "<rs>  x", "x  <ls>",
    "word", "words", " word ", "word.", "aword", "\u00e9word", "word_", "abc", "ab", "abcd", "xabc", "a b c", "É", "E\u0301", "E\u0301x",
    "the", " the ", "then", "<ls><rs> <lr> <ls>", "  <rs>  <ls>  ", "thexyz", " thexyz", "zzz", "z\u00ff", "q<unk>q", "qzq zz",
]
POOLS = ["abcdeht", "ABST", "0123", "   \n", "\t\r ", ".,;:!?'\"", "'sstmd", "()[]<>=+-*/", "éüß", "Приве", "你好世", "こん", "\u0301\u0308\u0327",
         "हिन\u0940", "😀🚀", "²½", "\u2028\u00a0\u3000", "<|end|>", "\u200d\ufe0f"]


def texts():
    rng = random.Random(SEED)
    out = list(NASTY)
    for _ in range(60):
        out.append("".join("".join(rng.choice(pool) for _ in range(rng.randint(1, 4)))
                           for pool in rng.choices(POOLS, k=rng.randint(1, 6))))
    return list(dict.fromkeys(out))


def train():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=620, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  show_progress=False, max_token_length=9, min_frequency=1)
    # Lines, and pieces of lines, so that short merges come before long ones.
    tok.train_from_iterator([c[i:i + n] for c in CORPUS for n in (5, 11, 400) for i in range(0, len(c), n)] * 2, trainer)
    model = json.loads(tok.to_str())["model"]
    model["vocab"]["Ġthexyz"] = len(model["vocab"])   # no merge leads to these two
    model["vocab"]["cats!"] = len(model["vocab"])
    return model


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def byte_level(regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": False, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def added(content, **flags):
    base = dict(id=0, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {**base, **flags}


def template(token):
    return {"type": "Sequence", "processors": [byte_level(), {
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token["content"]: {"id": token["content"], "ids": [token["id"]], "tokens": [token["content"]]}}}]}


def variants(model):
    n = len(model["vocab"])
    plain = [added("<|end|>", special=True, id=n), added("<think>", id=n + 1)]
    flags = plain + [added("<ls>", special=True, lstrip=True), added("<rs>", rstrip=True), added("<lr>", lstrip=True, rstrip=True),
                     added("word", single_word=True), added("abc"), added("ab"), added("the", single_word=True, normalized=True),
                     added("E\u0301", normalized=True), added("  ", rstrip=True, normalized=True), added("é", special=True)]
    bare = copy.deepcopy(model)
    gone = {"z", "q", "Ċ"}
    bare["vocab"] = {k: v for k, v in bare["vocab"].items() if not gone & set(k)}
    bare["vocab"]["<unk>"] = n
    bare["merges"] = [m for m in bare["merges"] if "".join(m) in bare["vocab"] and all(p in bare["vocab"] for p in m)]
    nfc = {"type": "NFC"}
    out = [
        dict(name="qwen2", gguf="qwen2", added_tokens=plain, normalizer=nfc, pre_tokenizer=sequence(split(QWEN2), byte_level())),
        dict(name="qwen2_removed", added_tokens=plain, normalizer={"type": "Sequence", "normalizers": [nfc]},
             pre_tokenizer=sequence(split(QWEN2, "Removed", True), byte_level())),
        dict(name="qwen35", gguf="qwen35", added_tokens=plain, normalizer=nfc, pre_tokenizer=sequence(split(QWEN35), byte_level())),
        dict(name="llama3", gguf="llama-bpe", added_tokens=plain, post_processor=template(plain[0]),
             pre_tokenizer=sequence(split(LLAMA3), byte_level()), model={"ignore_merges": True}),
        dict(name="gpt2", gguf="gpt-2", added_tokens=plain, pre_tokenizer=byte_level(True)),
        dict(name="gpt2_split", added_tokens=plain, pre_tokenizer=sequence(split(GPT2 + r"|\s+"), byte_level(False, True))),
        dict(name="gpt2_prefix", added_tokens=plain, pre_tokenizer=byte_level(True, True)),
        dict(name="smollm", gguf="smollm", added_tokens=plain,
             pre_tokenizer=sequence({"type": "Digits", "individual_digits": True}, byte_level(True))),
        dict(name="digit_runs", added_tokens=plain,
             pre_tokenizer=sequence({"type": "Digits", "individual_digits": False}, byte_level(False))),
        dict(name="flags", added_tokens=flags, normalizer=nfc, pre_tokenizer=sequence(split(QWEN2), byte_level())),
        dict(name="flags_raw", added_tokens=flags, pre_tokenizer=byte_level(True, True)),
        dict(name="no_unk", added_tokens=[], pre_tokenizer=byte_level(True), model=bare),
        dict(name="unk", added_tokens=[], pre_tokenizer=byte_level(True), model={**bare, "unk_token": "<unk>"}),
        dict(name="fuse_unk", added_tokens=[], pre_tokenizer=byte_level(True), model={**bare, "unk_token": "<unk>", "fuse_unk": True}),
        # Only the GGUF form has these rules; the reference gets them as regexes.
        dict(name="default", gguf="default", gguf_only=True, added_tokens=plain,
             pre_tokenizer=sequence(*map(split, DEFAULT), byte_level())),
    ]
    return out


def small(path):
    from tokenizers import Tokenizer
    model = train()
    all_texts = texts()
    rng = random.Random(SEED + 1)
    result = []
    for v in variants(model):
        members = {k: v[k] for k in ("added_tokens", "normalizer", "pre_tokenizer", "post_processor") if k in v}
        full = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                "post_processor": None, **members, "decoder": byte_level(), "model": {**model, **v.get("model", {})}}
        tok = Tokenizer.from_str(json.dumps(full))
        entry = {k: v[k] for k in ("name", "gguf", "gguf_only") if k in v} | {"members": members}
        patch = {k: x for k, x in v.get("model", {}).items() if model.get(k) != x}
        if "vocab" in patch:   # as a difference, to keep the file small
            patch["without"] = sorted(model["vocab"].keys() - patch["vocab"].keys())
            patch["plus"] = {k: x for k, x in patch.pop("vocab").items() if k not in model["vocab"]}
            patch.pop("merges")
        entry["model"] = patch
        entry["ids"] = [tok.encode(t, add_special_tokens=False).ids for t in all_texts]
        entry["bos"] = tok.encode("a").ids != tok.encode("a", add_special_tokens=False).ids
        tok.encode_special_tokens = True
        entry["plain"] = {str(i): ids for i, t in enumerate(all_texts)
                          if (ids := tok.encode(t, add_special_tokens=False).ids) != entry["ids"][i]}
        end = tok.get_vocab_size()
        some = [[rng.randrange(end + 3) if rng.random() < 0.5 else rng.choice([rng.randrange(256), end - 1, end - 2]) for _ in range(rng.randint(1, 9))]
                for _ in range(12)] + [[i] for i in range(len(model["vocab"]), end)]
        entry["decode"] = [[ids, tok.decode(ids, skip_special_tokens=False), tok.decode(ids, skip_special_tokens=True)] for ids in some]
        result.append(entry)
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write('{"model": ' + json.dumps(model, ensure_ascii=False, separators=(",", ":")) + ",\n\"texts\": "
                + json.dumps(all_texts, ensure_ascii=True) + ",\n\"variants\": [\n"
                + ",\n".join(json.dumps(e, ensure_ascii=True, separators=(",", ":")) for e in result) + "]}\n")
    print(len(all_texts), "texts,", len(result), "variants,", os.path.getsize(path), "bytes")


def fnv(ids):
    """FNV-1a, 64 bits, over numbers (ids, bytes) as little-endian int32."""
    h = 0xCBF29CE484222325
    for i in ids:
        for b in int(i).to_bytes(4, "little", signed=True):
            h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def qwen3(gold, path):
    lines = []
    for c in map(json.loads, open(os.path.join(gold, "tokenizer/cases.jsonl"), encoding="utf-8")):
        lines.append(dict(text=c["text"], n=len(c["ids"]), hash=fnv(c["ids"])))
    for c in map(json.loads, open(os.path.join(gold, "tokenizer/decode.jsonl"), encoding="utf-8")):
        lines.append(dict(decode=c["ids"], text=c["text"], skip=c["text_skip_special"]))
    chats = {}   # a conversation once, with its variants
    for c in map(json.loads, open(os.path.join(gold, "templates/cases.jsonl"), encoding="utf-8")):
        chat = chats.setdefault(c["name"], dict(chat=c["name"], messages=c["messages"], tools=c["tools"], variants=[]))
        chat["variants"].append(dict(kwargs=c["kwargs"], rendered=fnv(c["rendered"].encode()), n=len(c["ids"]), hash=fnv(c["ids"])))
    lines += chats.values()
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        for line in lines:
            f.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(len(lines), "lines,", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    {"small": small, "qwen3": qwen3}[sys.argv[1]](*sys.argv[2:])
