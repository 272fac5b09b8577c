"""Goldens of the hybrids (Qwen3-Next, Qwen3.5): checkpoints, logits, greedy tokens, recurrent states, drafts, and ten AdamW steps.

    python3 hybrid.py DATA      # rewrites DATA/hybrid and its part of the manifest

Logits, greedy tokens, states and learning are transformers' (and PEFT's), in f32; hybrid64.py is the second opinion on all of them, and
the only one on the drafting layer (mtp), which transformers does not have. generate.py runs this last.
"""
import copy
import json
import os
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import Qwen3NextConfig, Qwen3NextForCausalLM
from transformers.models.qwen3_5 import Qwen3_5ForCausalLM, Qwen3_5TextConfig
from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

from hybrid64 import Hybrid64
from learning import documents_of, learn
from text_cases import greedy_of, logits_of
from tiny import ID, N_TEXT, VOCAB, dump_json, rewrite_manifest, seed_of

LENGTHS, ROWS = (1, 7, 70), 16     # the longest crosses a chunk of 64; of its logits only the last rows are kept
MIN_GAP, MAX_ERROR = 0.01, 3e-4
LORA = dict(r=2, lora_alpha=8, target_modules=["in_proj_qkv", "in_proj_b", "out_proj", "q_proj", "o_proj", "down_proj"])
COMMON = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
              linear_conv_kernel_dim=4, linear_key_head_dim=8, linear_value_head_dim=12, linear_num_key_heads=2,
              linear_num_value_heads=4, max_position_embeddings=512, bos_token_id=None, eos_token_id=ID["<|im_end|>"],
              pad_token_id=ID["<|endoftext|>"])
ROPE = dict(rope_type="default", rope_theta=1e6, partial_rotary_factor=0.25)
MROPE = dict(ROPE, mrope_interleaved=True, mrope_section=[1, 1, 0])
EQUAL = COMMON | dict(linear_value_head_dim=8)     # llama.cpp wants key and value heads of one size
EXPERTS = dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=20)
LINEAR, FULL = "linear_attention", "full_attention"
# name → model, config, has a drafting layer, form of the folder, learns
CASES = {
    "qwen3_5": (Qwen3_5ForCausalLM, Qwen3_5TextConfig(**EQUAL, num_hidden_layers=3, layer_types=[LINEAR, FULL, LINEAR],
                rope_parameters=MROPE, tie_word_embeddings=False), True, "nested", False),
    "qwen3_5_tied": (Qwen3_5ForCausalLM, Qwen3_5TextConfig(**COMMON, num_hidden_layers=2, layer_types=[LINEAR, FULL],
                     rope_parameters=MROPE, tie_word_embeddings=True), False, "flat", True),
    "qwen3_next": (Qwen3NextForCausalLM, Qwen3NextConfig(**COMMON, **EXPERTS, num_hidden_layers=4, mlp_only_layers=[2],
                   norm_topk_prob=True, rope_parameters=ROPE, tie_word_embeddings=False), True, "flat", False),
    "qwen3_5_moe": (Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig(
        **{k: v for k, v in EQUAL.items() if k != "intermediate_size"}, **EXPERTS, num_hidden_layers=2, layer_types=[LINEAR, FULL],
        rope_parameters=MROPE, tie_word_embeddings=True), False, "flat", True),
}


def value(name, shape, rng):
    noise = torch.randn(shape, generator=rng)
    if name.endswith("linear_attn.norm.weight"):
        return 1 + 0.2 * noise
    if "norm" in name:
        return 0.2 * noise
    if name.endswith("A_log"):
        return 0.5 * noise
    if name.endswith("dt_bias"):
        return 0.5 * noise - 1
    if "conv1d" in name:
        return 0.6 * noise
    if "embed_tokens" in name:
        return 0.5 * noise
    return (4.0 if "lm_head" in name else 1.4) / shape[-1] ** 0.5 * noise


def build(case, seed):
    model_class, config, _, _, _ = CASES[case]
    config = copy.deepcopy(config)
    config._attn_implementation = config._experts_implementation = "eager"
    return fill(model_class(config).eval(), seed)


@torch.no_grad()
def fill(model, seed):
    rng = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        p.copy_(value(name, p.shape, rng))
        if "lm_head" in name or (model.config.tie_word_embeddings and "embed_tokens" in name):
            p[N_TEXT:] *= 0.25
    return model


def by_expert(weights):
    """Hub names: an expert is three matrices."""
    out = {}
    for name, w in weights.items():
        if name.endswith("experts.gate_up_proj"):
            for e, pair in enumerate(w):
                gate, up = pair.chunk(2)
                out[name.replace("gate_up_proj", f"{e}.gate_proj.weight")] = gate
                out[name.replace("gate_up_proj", f"{e}.up_proj.weight")] = up
        elif name.endswith("experts.down_proj"):
            for e, down in enumerate(w):
                out[name.replace("down_proj", f"{e}.down_proj.weight")] = down
        else:
            out[name] = w
    return out


def drafting_weights(config, layer_of, seed):
    """mtp.*: a layer of full attention shaped as the model's own, and what stands before and after it."""
    rng = torch.Generator().manual_seed(seed + 7)
    d = config.hidden_size
    shapes = {"mtp.fc.weight": (d, 2 * d)} | {f"mtp.{n}.weight": (d,) for n in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm")}
    shapes |= {name.replace(layer_of, "mtp.layers.0."): tuple(w.shape) for name, w in config.weights.items() if name.startswith(layer_of)}
    return {name: value(name, shape, rng) for name, shape in shapes.items()}


def weights_of(case, model, seed):
    config, mtp = model.config, CASES[case][2]
    weights = by_expert({k: v.detach() for k, v in model.named_parameters()})
    if not mtp:
        return weights
    config = copy.copy(config)
    config.weights = weights
    full = config.layer_types.index(FULL)
    return weights | drafting_weights(config, f"model.layers.{full}.", seed)


def legacy(config):
    """The hub's spelling: rope_theta and partial_rotary_factor at the top, layer types by their distance where they are regular."""
    old = {k: v for k, v in config.items() if k not in ("rope_parameters", "dtype", "layer_types")}
    rope = dict(config["rope_parameters"])
    old |= dict(torch_dtype=config["dtype"], rope_theta=rope.pop("rope_theta"), partial_rotary_factor=rope.pop("partial_rotary_factor"),
                transformers_version="4.57.0")
    old["rope_scaling"] = rope if "mrope_section" in rope else None
    distance = config["layer_types"].index(FULL) + 1
    regular = [FULL if (i + 1) % distance == 0 else LINEAR for i in range(config["num_hidden_layers"])]
    if config["layer_types"] == regular:
        old["full_attention_interval"] = distance
    else:
        old["layer_types"] = config["layer_types"]
    return dict(sorted(old.items()))


def nested(config, name):
    outer = dict(architectures=[name.replace("CausalLM", "ConditionalGeneration")], model_type=config["model_type"].removesuffix("_text"),
                 image_token_id=300, text_config=config, tie_word_embeddings=config["tie_word_embeddings"],
                 vision_config=dict(depth=1, hidden_size=8, model_type="qwen3_5"), transformers_version=config["transformers_version"])
    for key in ("dtype", "torch_dtype"):
        if key in config:
            outer[key] = config.pop(key)
    config.pop("tie_word_embeddings")
    return outer


def nested_name(name):
    """Where a checkpoint of the ForConditionalGeneration kind keeps a weight of the text model."""
    return name.replace("model.", "model.language_model.", 1) if name.startswith("model.") else name


def save_checkpoint(case, model, weights, folder):
    form = CASES[case][3]
    model.config.save_pretrained(folder)
    path = os.path.join(folder, "config.json")
    new = json.load(open(path))
    new = {"architectures": [type(model).__name__]} | new | {"dtype": "float32"}
    if "partial_rotary_factor" in new and form == "nested":
        new.pop("partial_rotary_factor")
    old = legacy(new)
    if CASES[case][2]:
        old["mtp_num_hidden_layers"] = 1    # Qwen3.5 says so, Qwen3-Next does not; transformers drops it
    if form == "nested":
        name = type(model).__name__
        new, old = nested(new, name), nested(old, name)
        weights = {nested_name(k): v for k, v in weights.items()}
        weights |= {"model.visual.patch_embed.proj.weight": torch.zeros(8, 3, 2, 4, 4), "model.visual.merger.norm.bias": torch.zeros(8)}
    dump_json(path, new, indent=2)
    dump_json(os.path.join(folder, "config.legacy.json"), old, indent=2)
    save_file({k: v.contiguous() for k, v in weights.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})


@torch.no_grad()
def states_of(model, ids):
    """conv [C, taps] and recurrent [Hv,dk,dv] of every linear layer after the prompt."""
    cache = model(input_ids=ids[None], use_cache=True).past_key_values
    res = {}
    for i, kind in enumerate(model.config.layer_types):
        if kind == LINEAR:
            res |= {f"state.{i}.conv": cache.layers[i].conv_states[0], f"state.{i}.recurrent": cache.layers[i].recurrent_states[0]}
    return res


@torch.no_grad()
def expected_of(case, model, second, seed):
    rng = torch.Generator().manual_seed(seed + 1)
    res, gap, error = {}, float("inf"), 0.0
    for i, n in enumerate(LENGTHS):
        ids = torch.randint(0, N_TEXT, (n,), generator=rng)
        greedy, g = greedy_of(model, ids)
        gap = min(gap, g)
        if gap < MIN_GAP or int(greedy.max()) >= N_TEXT:
            return None, gap, error
        logits, all_ids = logits_of(model, ids), torch.cat([ids, greedy])
        error = max(error, float((second.logits(all_ids)[:n] - logits.double()).abs().max()))
        error = max(error, float((second.logits(all_ids) - logits_of(model, all_ids).double()).abs().max()))
        res |= {f"case{i}.input_ids": ids, f"case{i}.greedy": greedy, f"case{i}.logits_last{ROWS}": logits[-ROWS:].clone()}
        res |= {f"case{i}.{k}": v.clone() for k, v in states_of(model, ids).items()} if i > 0 else {}
        if CASES[case][2]:
            res |= drafts_of(second, ids, greedy, i)
    return res, gap, error


def drafts_of(second, ids, greedy, i):
    """mtp_logits: of the last rows of prompt and greedy text, each row drafting the token after the next. chain: three drafts in a row
    after the prompt, each from the hidden state of the one before; the layer sees the prompt and its own drafts."""
    whole = torch.cat([ids, greedy])
    hidden, logits = second.features(whole), second.head(second.mtp_features(second.features(whole)[:-1], whole[1:]))
    fed, next_ids, chain = hidden[:len(ids)], whole[1:len(ids) + 1], []
    for _ in range(3):
        out = second.mtp_features(fed, next_ids)
        chain.append(int(second.head(out[-1]).argmax()))
        fed, next_ids = torch.cat([fed, out[-1:]]), torch.cat([next_ids, torch.tensor(chain[-1:])])
    return {f"case{i}.mtp_logits_last{ROWS}": logits[-ROWS:].float(), f"case{i}.chain": torch.tensor(chain)}


def learn_both(first, weights, logits_first, second, logits_second, seed):
    documents = documents_of(seed)
    grads64, losses64, norms64 = learn(second, logits_second, documents)
    grads, losses, norms = learn(weights, logits_first, documents)
    grads = by_expert(grads)
    error = max(float((g.double() - grads64[k]).abs().max()) for k, g in grads.items())
    res = {f"document{i}": d for i, d in enumerate(documents)} | {f"grad.{k}": g for k, g in grads.items()}
    res |= dict(losses=losses, losses_f64=losses64, grad_norms=norms, grad_norms_f64=norms64)
    return {k: v.detach().contiguous() for k, v in res.items()}, float(f"{error:.2g}")


def full_learning(case, model, weights, seed):
    first = copy.deepcopy(model).train()
    second = Hybrid64(model.config, weights)
    for w in second.weights.values():
        w.requires_grad_()
    return learn_both(first, dict(first.named_parameters()), lambda d: first(input_ids=d[None], use_cache=False).logits[0],
                      second.weights, second.logits, seed)


def lora_learning(case, model, weights, seed, folder):
    torch.manual_seed(seed)
    first = get_peft_model(copy.deepcopy(model), LoraConfig(**LORA, init_lora_weights=False, lora_dropout=0.0, bias="none",
                                                            task_type="CAUSAL_LM")).train()
    for m in first.modules():
        if hasattr(m, "lora_B"):
            m.lora_B["default"].weight.data *= 0.2
    first.save_pretrained(folder)
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["target_modules"].sort()     # a set
    dump_json(path, config, indent=2)
    for stray in os.listdir(folder):
        if not stray.startswith("adapter"):
            os.remove(os.path.join(folder, stray))
    scale = LORA["lora_alpha"] / LORA["r"]
    short = lambda n: n.replace("base_model.model.", "").replace(".default", "")
    params = {short(n): p for n, p in first.named_parameters() if p.requires_grad}
    deltas = {n: p.detach().double().clone().requires_grad_() for n, p in params.items()}
    second, base = Hybrid64(model.config, weights), {k: v.double() for k, v in weights.items()}

    def logits_second(ids):
        for n in deltas:
            if ".lora_A." in n:
                name = n.replace(".lora_A", "")
                second.weights[name] = base[name] + scale * deltas[n.replace("lora_A", "lora_B")] @ deltas[n]
        return second.logits(ids)
    return learn_both(first, params, lambda d: first(input_ids=d[None], use_cache=False).logits[0], deltas, logits_second, seed)


def write_case(case, base_seed, root):
    for attempt in range(300):
        seed = seed_of(base_seed, "hybrid." + case, attempt)
        model = build(case, seed)
        weights = weights_of(case, model, seed)
        expected, gap, error = expected_of(case, model, Hybrid64(model.config, weights), seed)
        if expected is not None and error <= MAX_ERROR:
            break
    else:
        raise SystemExit(f"{case}: no seed with a greedy gap of {MIN_GAP}")
    folder = os.path.join(root, "hybrid", case)
    os.makedirs(folder)
    save_checkpoint(case, model, weights, folder)
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    facts = dict(seed=seed, attempt=attempt, greedy_gap=round(gap, 5), error_against_f64=float(f"{error:.2g}"), mtp=CASES[case][2])
    if CASES[case][4]:
        tensors, facts["gradient_error"] = full_learning(case, model, weights, seed)
        save_file(tensors, os.path.join(folder, "learning.safetensors"))
        facts["learning"] = f"hybrid/{case}/learning.safetensors"
        if "moe" not in case:
            lora = os.path.join(folder, "adapter")
            tensors, facts["lora_gradient_error"] = lora_learning(case, model, weights, seed, lora)
            save_file(tensors, os.path.join(folder, "lora.safetensors"))
            facts["lora"] = f"hybrid/{case}/lora.safetensors"
            readme = os.path.join(lora, "README.md")
            if os.path.exists(readme):
                os.remove(readme)
    print(f"{case:16s} attempt {attempt:3d} gap {gap:.4f} f64 {error:.1e}", flush=True)
    files = sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(folder) for f in names)
    return dict(name=case, model=f"hybrid/{case}", **facts, files=files)


def write_hybrid(root, base_seed):
    shutil.rmtree(os.path.join(root, "hybrid"), ignore_errors=True)
    return [write_case(case, base_seed, root) for case in CASES]


if __name__ == "__main__":
    rewrite_manifest(__doc__, lambda manifest, a: dict(hybrid=write_hybrid(a.data, manifest["seed"])))
