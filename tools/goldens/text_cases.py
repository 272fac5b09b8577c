"""Checkpoint folders with the logits, hidden states and greedy tokens that transformers computes from them."""
import json
import os
import shutil
import tempfile

import torch
from safetensors.torch import save_file

from dense64 import Dense64
from tiny import N_TEXT, ID, build, dump_json, legacy_config, seed_of

LENGTHS = (1, 7, 33, 130)    # tokens of case0..3
GREEDY = 32                  # greedy tokens after each
LAST = 16                    # of case3 only the last rows of the logits are kept
MIN_GAP = 0.01               # smallest distance of the two best logits at any greedy step
MIN_ROUTER_GAP = 5e-4        # smallest distance of a chosen expert's logit to the best one that was not chosen
MAX_ERROR = 1e-4             # largest difference between f32 and f64 logits of an accepted seed
TAPS = ("embed_tokens", "layernorm", "_proj", "q_norm", "k_norm", ".norm")


def prompts_of(seed):
    rng = torch.Generator().manual_seed(seed + 1)
    return [torch.randint(0, N_TEXT, (n,), generator=rng) for n in LENGTHS]


@torch.no_grad()
def logits_of(model, ids):
    return model(input_ids=ids[None], use_cache=False).logits[0]


@torch.no_grad()
def greedy_of(model, ids):
    """Greedy tokens through the cache, and the smallest gap of the two best logits."""
    out = model(input_ids=ids[None], use_cache=True)
    tokens, gap = [], float("inf")
    for _ in range(GREEDY):
        best = out.logits[0, -1].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        tokens.append(int(best.indices[0]))
        out = model(input_ids=torch.tensor([[tokens[-1]]]), past_key_values=out.past_key_values, use_cache=True)
    return torch.tensor(tokens), gap


def tap_name(module):
    """The name qw gives the output of a module: `embed`, `layers.N`, `norm`, `layers.N.self_attn.q_proj`, …"""
    return module.removeprefix("model.").replace("embed_tokens", "embed")


@torch.no_grad()
def taps_of(model, ids):
    """Outputs of embedding, every projection, norm and layer [T,…], in the order of computing."""
    got, handles = {}, []

    def hook(name):
        def keep(_module, _args, out):
            out = out[0] if isinstance(out, tuple) else out
            got[name] = (out if out.dim() == 2 else out[0]).clone()     # parts of a mixture see [T, …] without a batch
        return keep
    for name, module in model.model.named_modules(prefix="model"):
        is_layer = name.rsplit(".", 1)[0].endswith("layers") and name.rsplit(".", 1)[-1].isdigit()
        if name.endswith(TAPS) or is_layer:
            handles.append(module.register_forward_hook(hook(tap_name(name))))
    logits_of(model, ids)
    for h in handles:
        h.remove()
    return got


def expected_of(model, prompts):
    """All expected tensors, the gap, and the order of the taps."""
    res, gap = {}, float("inf")
    for i, ids in enumerate(prompts):
        greedy, g = greedy_of(model, ids)
        gap = min(gap, g)
        if gap < MIN_GAP or int(greedy.max()) >= N_TEXT:
            return None, gap, []
        logits = logits_of(model, ids)
        again = logits_of(model, torch.cat([ids, greedy]))[len(ids) - 1:-1].argmax(-1)
        assert torch.equal(again, greedy), "the cached and the whole forward pass disagree"
        res[f"case{i}.input_ids"], res[f"case{i}.greedy"] = ids, greedy
        if i == len(prompts) - 1:
            res[f"case{i}.logits_last{LAST}"] = logits[-LAST:].clone()
        else:
            res[f"case{i}.logits"] = logits
    taps = taps_of(model, prompts[1])
    res |= {f"case1.taps.{k}": v for k, v in taps.items()}
    return res, gap, list(taps)


def error_against_f64(model, prompts):
    second = Dense64(model)
    return max(float((second.logits(p) - logits_of(model, p).double()).abs().max()) for p in prompts)


@torch.no_grad()
def router_gap(model, ids):
    """The smallest distance of a chosen router logit to one that was not, over all layers and tokens; inf: no router."""
    gaps, handles = [float("inf")], []

    def hook(k):
        def keep(_module, _args, out):
            best = out[0].topk(k + 1).values
            gaps.append(float((best[:, k - 1] - best[:, k]).min()))
        return keep
    for name, module in model.named_modules():
        if name.endswith("mlp.gate") and module.top_k < module.num_experts:
            handles.append(module.register_forward_hook(hook(module.top_k)))
    logits_of(model, ids)
    for h in handles:
        h.remove()
    return min(gaps)


def find(case, base_seed):
    """The first seed whose greedy tokens are safe from rounding."""
    for attempt in range(case.attempt, case.attempt + 500):
        seed = seed_of(base_seed, case.name, attempt)
        model, prompts = build(case, seed), prompts_of(seed)
        expected, gap, taps = expected_of(model, prompts)
        if expected is None:
            continue
        whole = [torch.cat([ids, expected[f"case{i}.greedy"]]) for i, ids in enumerate(prompts)]
        if min(router_gap(model, ids) for ids in whole) < MIN_ROUTER_GAP:
            continue
        distinct = sum(len(set(v.tolist())) for k, v in expected.items() if k.endswith("greedy"))
        error = error_against_f64(model, prompts)
        if error <= MAX_ERROR and distinct >= 32:
            facts = dict(seed=seed, attempt=attempt, greedy_gap=round(gap, 5), error_against_f64=float(f"{error:.2g}"))
            return model, prompts, expected, facts, taps
    raise SystemExit(f"{case.name}: no seed with a greedy gap of {MIN_GAP}")


def save_checkpoint(case, model, folder):
    """save_pretrained, plus the config in the hub's spelling."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    stored = build_copy(case, model)
    stored.generation_config.do_sample = True
    stored.generation_config.temperature, stored.generation_config.top_p, stored.generation_config.top_k = 0.6, 0.95, 20
    stored.generation_config.eos_token_id = [ID["<|im_end|>"], ID["<|endoftext|>"]]
    stored.generation_config.pad_token_id = ID["<|endoftext|>"]
    stored.save_pretrained(folder, **({"max_shard_size": case.shard} if case.shard else {}))
    config = json.load(open(os.path.join(folder, "config.json")))
    dump_json(os.path.join(folder, "config.legacy.json"), legacy_config(config, case.legacy), indent=2)


def build_copy(case, model):
    copy = case.model(model.config).eval()
    copy.load_state_dict(model.state_dict())
    return copy.to(case.dtype)


def reload_and_compare(case, folder, prompts, expected):
    """Both configs give the very same logits from disk."""
    for name in ("config.json", "config.legacy.json"):
        with tempfile.TemporaryDirectory() as d:
            for f in os.listdir(folder):
                if f.startswith("model") or f == name:
                    os.symlink(os.path.abspath(os.path.join(folder, f)), os.path.join(d, "config.json" if f == name else f))
            model = case.model.from_pretrained(d, dtype=torch.float32, attn_implementation="eager").eval()
        got = [logits_of(model, p) for p in prompts]
        for i, want in ((i, expected.get(f"case{i}.logits")) for i in range(len(prompts))):
            want = expected[f"case{i}.logits_last{LAST}"] if want is None else want
            assert torch.equal(got[i][-len(want):], want), f"{case.name} {name} case{i}"


def write_case(case, base_seed, root):
    """Writes models/<name> and returns the manifest entry, the model and its prompts."""
    model, prompts, expected, facts, taps = find(case, base_seed)
    if case.keep:
        folder = os.path.join(root, "models", case.name)
        save_checkpoint(case, model, folder)
        for f in ("tokenizer.json", "tokenizer_config.json"):
            os.symlink(f"../../tokenizer/{f}", os.path.join(folder, f))
        reload_and_compare(case, folder, prompts, expected)
        save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    entry = dict(name=case.name, family=model.config.model_type, weights=str(case.dtype).removeprefix("torch."),
                 covers=case.covers, **facts, taps=taps)
    print(f"{case.name:16s} attempt {facts['attempt']:3d} gap {facts['greedy_gap']:.4f} f64 {facts['error_against_f64']:.1e}",
          flush=True)
    return entry, model, prompts, expected
