#!/usr/bin/env python3
"""Goldens of the original Qwen: models/qwen1_* and their entries in the manifest.

    python3 qwen1.py DATA [--seed N]        # DATA is tests/golden/data; only these cases are written

The reference library has no such model. `Qwen64` below is the second opinion and the only one: float64, written from
the facts of the published modeling_qwen.py (Qwen-7B, Qwen-72B):
  q, k, v = the three thirds of c_attn's rows (the one layer with a bias); heads of kv_channels, all of it rotated
  half against half; mlp = c_proj(w1(x) * silu(w2(x))) with intermediate_size / 2 columns; RMSNorm; untied head
  LogN: the query at position p (counted from 1) beyond seq_length is multiplied by log(p) / log(seq_length)
  NTK: base * a^(d / (d - 2)) with a = max(2^ceil(log2(n / seq_length) + 1) - 1, 1), n the length of the prompt; steps
  through the cache keep the prompt's a
"""
import json
import math
import os
import shutil

import torch
from safetensors.torch import save_file

from tiny import rewrite_manifest

SEED = 20261122
VOCAB, N_TEXT = 320, 304          # as tiny.py
LENGTHS, GREEDY, LAST, MIN_GAP = (1, 7, 33, 130), 32, 16, 0.01

COMMON = dict(architectures=["QWenLMHeadModel"], model_type="qwen", vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2,
              num_attention_heads=4, kv_channels=8, intermediate_size=128, max_position_embeddings=512, seq_length=512,
              layer_norm_epsilon=1e-6, rotary_emb_base=10000, rotary_pct=1.0, no_bias=True, tie_word_embeddings=False,
              scale_attn_weights=True, use_cache=True, use_flash_attn="auto", bf16=False, fp16=False, fp32=False,
              attn_dropout_prob=0.0, emb_dropout_prob=0.0, initializer_range=0.02, onnx_safe=None,
              tokenizer_type="QWenTokenizer", transformers_version="4.32.0", bos_token_id=None, eos_token_id=306, pad_token_id=304)
CASES = {
    "qwen1_long": ("LogN and dynamic NTK from 64 positions on; 33 tokens of prompt cross them while decoding",
                   dict(seq_length=64, use_dynamic_ntk=True, use_logn_attn=True)),
    "qwen1_plain": ("neither; the first files' spelling of the config", dict(use_dynamic_ntk=False, use_logn_attn=False)),
}
OLD_KEYS = dict(hidden_size="n_embd", num_hidden_layers="n_layer", num_attention_heads="n_head", intermediate_size="ffn_hidden_size",
                max_position_embeddings="n_positions", attn_dropout_prob="attn_pdrop", emb_dropout_prob="embd_pdrop")


def legacy(config):
    old = {OLD_KEYS.get(k, k): v for k, v in config.items()}
    return old | dict(activation="swiglu", apply_residual_connection_post_layernorm=False, bias_dropout_fusion=True,
                      padded_vocab_size=VOCAB, params_dtype="torch.bfloat16", pos_emb="rotary", resid_pdrop=0.1)


class Qwen64:
    def __init__(self, config, weights):
        self.c, self.w = config, {k: v.double() for k, v in weights.items()}
        self.taps = {}

    def tap(self, name, x):
        self.taps[name] = x
        return x

    def linear(self, name, x):
        y = x @ self.w[name + ".weight"].T
        return self.tap(name, y + self.w[name + ".bias"] if name + ".bias" in self.w else y)

    def norm(self, name, x):
        scaled = x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.c["layer_norm_epsilon"])
        return self.tap(name, scaled * self.w[name + ".weight"])

    def angles(self, length, n_prompt):
        d, alpha = self.c["kv_channels"], 1
        if self.c["use_dynamic_ntk"]:
            alpha = max(2 ** math.ceil(math.log2(n_prompt / self.c["seq_length"]) + 1) - 1, 1)
        base = self.c["rotary_emb_base"] * alpha ** (d / (d - 2))
        return torch.arange(length, dtype=torch.float64)[:, None] * base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)

    def attention(self, layer, x, angles):
        t, d = len(x), self.c["kv_channels"]
        q, k, v = (part.reshape(t, -1, d) for part in self.linear(layer + "c_attn", x).split(self.c["hidden_size"], 1))
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        turn = lambda a: torch.cat([a[..., :d // 2] * cos - a[..., d // 2:] * sin, a[..., d // 2:] * cos + a[..., :d // 2] * sin], -1)
        q, k = turn(q), turn(k)
        if self.c["use_logn_attn"]:
            size = self.c["seq_length"]
            q = q * torch.tensor([math.log(p) / math.log(size) if p > size else 1.0 for p in range(1, t + 1)],
                                 dtype=torch.float64)[:, None, None]
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(d)
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
        return self.linear(layer + "c_proj", torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(t, -1))

    def logits(self, ids, n_prompt=None):
        """[T, V]; n_prompt: the length that decides NTK, all of the ids where it is not given."""
        self.taps = {}
        angles = self.angles(len(ids), n_prompt or len(ids))
        x = self.tap("embed", self.w["transformer.wte.weight"][ids])
        for i in range(self.c["num_hidden_layers"]):
            layer = f"transformer.h.{i}."
            x = x + self.attention(layer + "attn.", self.norm(layer + "ln_1", x), angles)
            h = self.norm(layer + "ln_2", x)
            up, gate = self.linear(layer + "mlp.w1", h), self.linear(layer + "mlp.w2", h)
            x = self.tap(f"layers.{i}", x + self.linear(layer + "mlp.c_proj", up * gate * torch.sigmoid(gate)))
        return self.norm("transformer.ln_f", x) @ self.w["lm_head.weight"].T

    def greedy(self, ids):
        tokens, gap = [], float("inf")
        for _ in range(GREEDY):
            best = self.logits(torch.cat([ids, torch.tensor(tokens, dtype=torch.int64)]), len(ids))[-1].topk(2)
            gap = min(gap, float(best.values[0] - best.values[1]))
            tokens.append(int(best.indices[0]))
        return torch.tensor(tokens), gap


def weights_of(config, seed):
    rng = torch.Generator().manual_seed(seed)
    d, f = config["hidden_size"], config["intermediate_size"] // 2
    noise = lambda *shape: torch.randn(shape, generator=rng)
    matrix = lambda n, k, gain=1.4: gain / math.sqrt(k) * noise(n, k)
    w = {"transformer.wte.weight": 0.5 * noise(VOCAB, d)}
    for i in range(config["num_hidden_layers"]):
        layer = f"transformer.h.{i}."
        w |= {layer + "ln_1.weight": 1 + 0.2 * noise(d), layer + "attn.c_attn.weight": matrix(3 * d, d),
              layer + "attn.c_attn.bias": 0.15 * noise(3 * d), layer + "attn.c_proj.weight": matrix(d, d),
              layer + "ln_2.weight": 1 + 0.2 * noise(d), layer + "mlp.w1.weight": matrix(f, d),
              layer + "mlp.w2.weight": matrix(f, d), layer + "mlp.c_proj.weight": matrix(d, f)}
    w |= {"transformer.ln_f.weight": 1 + 0.2 * noise(d), "lm_head.weight": matrix(VOCAB, d, 4.0)}
    w["lm_head.weight"][N_TEXT:] *= 0.25
    return w


def expected_of(model, prompts):
    res, taps = {}, {}
    for i, ids in enumerate(prompts):
        greedy, gap = model.greedy(ids)
        if gap < MIN_GAP or int(greedy.max()) >= N_TEXT or len(set(greedy.tolist())) < 6:
            return None
        logits = model.logits(ids)
        if i == 1:
            taps = dict(model.taps)
        res |= {f"case{i}.input_ids": ids, f"case{i}.greedy": greedy, f"case{i}.gap": gap}
        last = i == len(prompts) - 1
        res[f"case{i}.logits_last{LAST}" if last else f"case{i}.logits"] = logits[-LAST:] if last else logits
    gap = min(res.pop(f"case{i}.gap") for i in range(len(prompts)))
    return res, taps, gap


def write_case(name, covers, changes, seed, root):
    config = {**COMMON, **changes}
    for attempt in range(500):
        weights = weights_of(config, seed + attempt)
        rng = torch.Generator().manual_seed(seed + attempt + 1)
        found = expected_of(Qwen64(config, weights), [torch.randint(0, N_TEXT, (n,), generator=rng) for n in LENGTHS])
        if found:
            break
    res, taps, gap = found
    folder = os.path.join(root, "models", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    save_file(weights, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    res |= {f"case1.taps.{k}": v for k, v in taps.items()}
    save_file({k: (v if v.dtype == torch.int64 else v.float()).contiguous() for k, v in res.items()},
              os.path.join(folder, "expected.safetensors"))
    for file, value in (("config.json", config), ("config.legacy.json", legacy(config))):
        with open(os.path.join(folder, file), "w") as f:
            json.dump(dict(sorted(value.items())), f, indent=2)
            f.write("\n")
    shutil.copy(os.path.join(root, "models", "qwen3_tied", "generation_config.json"), folder)
    for f in ("tokenizer.json", "tokenizer_config.json"):
        os.symlink(f"../../tokenizer/{f}", os.path.join(folder, f))
    print(f"{name:16s} attempt {attempt} gap {gap:.4f}")
    return dict(name=name, family="qwen", weights="float32", covers=covers, seed=seed + attempt, attempt=attempt,
                greedy_gap=round(gap, 5), taps=list(taps), files=sorted(f"models/{name}/{f}" for f in os.listdir(folder)))


def write_cases(root, seed):
    return [write_case(n, covers, changes, seed, root) for n, (covers, changes) in CASES.items()]


if __name__ == "__main__":
    rewrite_manifest(__doc__, lambda manifest, a: dict(
        models=[m for m in manifest["models"] if m["name"] not in CASES] + write_cases(a.data, a.seed)), SEED)
