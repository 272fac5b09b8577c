"""Goldens of the mixtures of experts (qwen2_moe, qwen3_moe): checkpoints, GGUF files, learning, LoRA of experts.

    python3 moe.py DATA WORK      # rewrites these cases and their entries of the manifest, and nothing else

generate.py runs it too. transformers 5 keeps the experts of a layer in two tensors, gate_up_proj [E, 2F, D] and down_proj
[E, D, F]; checkpoints on the hub have one tensor an expert and projection, and so have the names here.
"""
import argparse
import json
import os
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

import adapters
import gguf_files
import learning
from dense64 import Dense64
from text_cases import build_copy, write_case
from tiny import ID, N_TEXT, VOCAB, Case, dump_json, rope, seed_of

GGUF_OF = ("qwen2_moe", "qwen3_moe")
LEARNING_OF = ("qwen3_moe", "qwen2_moe_step2")
LORA_OF = "qwen3_moe"
RANK, ALPHA, TARGETS = 2, 4, ("q_proj", "v_proj", "mlp.gate", "gate_proj", "up_proj", "down_proj")


def cases():
    common = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None, eos_token_id=ID["<|im_end|>"],
                  pad_token_id=ID["<|endoftext|>"], tie_word_embeddings=True, rope_parameters=rope())

    def case(name, covers, extra=(), **own):
        two = name.startswith("qwen2")
        model, config = (Qwen2MoeForCausalLM, Qwen2MoeConfig) if two else (Qwen3MoeForCausalLM, Qwen3MoeConfig)
        settings = {**common, **(dict(shared_expert_intermediate_size=24) if two else dict(head_dim=16)), **own}
        return Case(name, model, config(**settings), covers, **dict(extra))

    return [
        case("qwen2_moe", "6 experts, 2 a token, weights not normalised; shared expert under its gate; untied head",
             num_experts=6, num_experts_per_tok=2, moe_intermediate_size=12, norm_topk_prob=False, tie_word_embeddings=False),
        case("qwen2_moe_step2", "weights normalised; experts in layer 1 alone (decoder_sparse_step 2, mlp_only_layers [3]); "
             "a window of 16 in layers 0 and 2", num_hidden_layers=4, num_experts=5, num_experts_per_tok=3,
             moe_intermediate_size=8, norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[3],
             use_sliding_window=True, sliding_window=16, max_window_layers=3),
        case("qwen3_moe", "8 experts, 3 a token, weights normalised; the hub config has max_window_layers",
             dict(legacy={"max_window_layers": 2, "sliding_window": None}, attempt=11), num_experts=8, num_experts_per_tok=3,
             moe_intermediate_size=12, norm_topk_prob=True),
        case("qwen3_moe_stacked", "weights not normalised; the file keeps experts stacked, as transformers 5 does in memory",
             dict(attempt=245), num_experts=6, num_experts_per_tok=2, moe_intermediate_size=8, norm_topk_prob=False),
        case("qwen3_moe_mlponly", "experts in layer 1 alone (mlp_only_layers [0]); attention_bias; a window of 24 in all layers",
             dict(attempt=6), num_experts=4, num_experts_per_tok=4, moe_intermediate_size=12, norm_topk_prob=False, mlp_only_layers=[0],
             attention_bias=True, use_sliding_window=True, sliding_window=24),
    ]


def split(name, value):
    """The tensors that the hub has for one parameter of transformers 5."""
    if name.endswith("experts.gate_up_proj"):
        stem = name.removesuffix("gate_up_proj")
        for e, both in enumerate(value):
            gate, up = both.chunk(2)
            yield f"{stem}{e}.gate_proj.weight", gate
            yield f"{stem}{e}.up_proj.weight", up
    elif name.endswith("experts.down_proj"):
        stem = name.removesuffix("down_proj")
        for e, down in enumerate(value):
            yield f"{stem}{e}.down_proj.weight", down
    else:
        yield name, value


def write_stacked(case, model, folder):
    """The checkpoint again, with the tensors as transformers 5 holds them."""
    state = {k: v.contiguous() for k, v in build_copy(case, model).state_dict().items() if k != "lm_head.weight"}
    save_file(state, os.path.join(folder, "model.safetensors"), {"format": "pt"})


def write_learning(case, model, seed, root):
    entry = learning.write_learning(case, model, seed, root)
    path = os.path.join(root, entry["file"])
    res = {}
    for k, v in load_file(path).items():
        parts = split(k.removeprefix("grad."), v) if k.startswith("grad.") else [(k, v)]
        res |= {("grad." if k.startswith("grad.") else "") + n: t.contiguous() for n, t in parts}
    save_file(res, path)
    return entry


# ---- LoRA of experts ---------------------------------------------------------------------------------------------------
class Factors:
    """A and B of every target, by hub name; the parameters of transformers 5 with them added are `applied()`."""

    def __init__(self, weights, seed, dtype):
        self.base = {k: v.detach().to(dtype) for k, v in weights.items()}
        self.factors, g = {}, torch.Generator().manual_seed(seed)
        for name, value in self.base.items():
            for hub, w in split(name, value):
                module = hub.removesuffix(".weight")
                if w.dim() == 2 and any(module == t or module.endswith("." + t) for t in TARGETS):
                    a = torch.randn(RANK, w.shape[1], generator=g) / w.shape[1] ** 0.5
                    b = 0.1 * torch.randn(w.shape[0], RANK, generator=g)
                    self.factors[module] = (a.to(dtype).requires_grad_(), b.to(dtype).requires_grad_())

    def delta(self, hub):
        f = self.factors.get(hub.removesuffix(".weight"))
        return None if f is None else ALPHA / RANK * (f[1] @ f[0])

    def applied(self):
        out = {}
        for name, value in self.base.items():
            parts = []
            for hub, w in split(name, value):
                d = self.delta(hub)
                parts.append(w if d is None else w + d)
            if len(parts) == 1:
                out[name] = parts[0]
            elif name.endswith("gate_up_proj"):
                out[name] = torch.stack([torch.cat(parts[i:i + 2]) for i in range(0, len(parts), 2)])
            else:
                out[name] = torch.stack(parts)
        return out

    def parameters(self):
        return {f"{m}.lora_{x}.weight": t for m, (a, b) in self.factors.items() for x, t in (("A", a), ("B", b))}

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        save_file({f"base_model.model.{k}": v.detach().contiguous() for k, v in self.parameters().items()},
                  os.path.join(folder, "adapter_model.safetensors"), {"format": "pt"})
        dump_json(os.path.join(folder, "adapter_config.json"),
                  dict(peft_type="LORA", task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none",
                       base_model_name_or_path="", target_modules=sorted(TARGETS)), indent=1)


def write_lora_learning(case, model, seed, root):
    """Ten AdamW steps on the factors alone, with transformers' own forward over W + scale · B A."""
    folder = os.path.join(root, "learning", f"{case.name}.lora")
    shutil.rmtree(folder, ignore_errors=True)
    documents = learning.documents_of(seed)
    tied = dict(model.named_parameters())
    single, double = Factors(tied, seed + 3, torch.float32), Factors(tied, seed + 3, torch.float64)
    single.save(folder)
    twin = build_copy(case, model)
    twin.config._attn_implementation = "eager"
    forward = lambda ids: torch.func.functional_call(twin, single.applied(), kwargs=dict(input_ids=ids[None], use_cache=False)).logits[0]
    dense = Dense64(model)

    def forward64(ids):
        dense.weights = double.applied()
        return dense.logits(ids)
    grads, losses, norms = learning.learn(single.parameters(), forward, documents)
    grads64, losses64, norms64 = learning.learn(double.parameters(), forward64, documents)
    res = {f"document{i}": d for i, d in enumerate(documents)} | {f"grad.{k}": g for k, g in grads.items()}
    res |= dict(losses=losses, losses_f64=losses64, grad_norms=norms, grad_norms_f64=norms64)
    path = f"learning/{case.name}.lora/expected.safetensors"
    save_file({k: v.contiguous() for k, v in res.items()}, os.path.join(root, path))
    error = max(float((grads[k].double() - grads64[k]).abs().max()) for k in grads)
    drift = float((losses.double() - losses64).abs().max())
    print(f"{case.name}.lora   loss {float(losses[0]):.4f} -> {float(losses[-1]):.4f}  gradients {error:.1e}, losses {drift:.1e}", flush=True)
    return dict(name=f"{case.name}.lora", model=f"models/{case.name}", adapter=f"learning/{case.name}.lora", file=path,
                files=[f"learning/{case.name}.lora/adapter_{f}" for f in ("config.json", "model.safetensors")],
                gradient_error_against_f64=float(f"{error:.2g}"), loss_error_against_f64=float(f"{drift:.2g}"))


# Adapters saved by PEFT over stacked experts and a router: two wrappers on one module, other ranks for one of them.
ADAPTERS = {"qwen3_moe_parameters": ("qwen3_moe", dict(
    r=2, lora_alpha=4, target_modules=["q_proj"], rank_pattern={"experts.down_proj": 3},
    target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight"]))}


def write_adapters(root):
    for name in ADAPTERS:
        shutil.rmtree(os.path.join(root, "adapters", name), ignore_errors=True)
    return [adapters.write_adapter(root, name, *case) for name, case in ADAPTERS.items()]


def check_peft_reads(root):
    """PEFT itself reads the adapter with the hub's names of experts, and gives the logits of its factors."""
    case = next(c for c in cases() if c.name == LORA_OF)
    base = adapters.base_of(root, case.name)
    factors = Factors(dict(base.named_parameters()), 0, torch.float32)
    stored = load_file(os.path.join(root, "learning", f"{case.name}.lora", "adapter_model.safetensors"))
    for module in factors.factors:
        factors.factors[module] = tuple(stored[f"base_model.model.{module}.lora_{x}.weight"] for x in "AB")
    ids = torch.arange(11) * 17 % N_TEXT
    with torch.no_grad():
        want = torch.func.functional_call(base, factors.applied(), kwargs=dict(input_ids=ids[None], use_cache=False)).logits[0]
    got = adapters.logits_of(adapters.PeftModel.from_pretrained(base, os.path.join(root, "learning", f"{case.name}.lora")).eval(), ids)
    print(f"{case.name}.lora in PEFT: largest difference {float((got - want).abs().max()):.1e}", flush=True)
    assert float((got - want).abs().max()) < 1e-4


def write_moe(root, work, seed, check_llama_cpp=True):
    """The entries of the manifest, by its lists."""
    made, entries = {}, dict(models=[], gguf=[], learning=[])
    for case in cases():
        folder = os.path.join(root, "models", case.name)
        entry, model, prompts, expected = write_case(case, seed, root)
        if case.name.endswith("stacked"):
            write_stacked(case, model, folder)
        made[case.name] = (case, model, prompts, expected)
        files = sorted(f"models/{case.name}/{f}" for f in os.listdir(folder))
        # llama.cpp normalises the weights of qwen3moe and not those of qwen2moe, and wants experts in every layer
        entries["models"].append(entry | dict(gguf=case.name in GGUF_OF, files=files))
    f32_of, gguf_files.F32_OF = gguf_files.F32_OF, GGUF_OF
    entries["gguf"] = gguf_files.write_f32(made, root, work, check_llama_cpp)
    gguf_files.F32_OF = f32_of
    seeds = {m["name"]: m["seed"] for m in entries["models"]}
    for name in LEARNING_OF:
        entries["learning"].append(write_learning(made[name][0], made[name][1], seeds[name], root))
    entries["learning"].append(write_lora_learning(made[LORA_OF][0], made[LORA_OF][1], seeds[LORA_OF], root))
    entries["adapters"] = write_adapters(root)
    check_peft_reads(root)
    return entries


def merged(manifest, entries):
    """The manifest with these entries in the place of those of the same names, new ones at the end."""
    for group, new in entries.items():
        names = {e["name"] for e in new}
        manifest[group] = [e for e in manifest[group] if e["name"] not in names] + new
    return manifest


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("work")
    ap.add_argument("--skip-llama-cpp", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(1)
    os.makedirs(a.work, exist_ok=True)
    path = os.path.join(a.data, "manifest.json")
    manifest = json.load(open(path))
    dump_json(path, merged(manifest, write_moe(a.data, a.work, manifest["seed"], not a.skip_llama_cpp)), indent=1)


if __name__ == "__main__":
    main()
