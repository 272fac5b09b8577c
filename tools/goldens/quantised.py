"""Quantised checkpoints as the hub has them, their weights dequantised in f32, and what transformers computes with those.

    python3 quantised.py DATA [--only NAME …]      # rewrites DATA/quantised and its part of the manifest

Needs compressed-tensors and bitsandbytes (PyPI) besides what README.md lists. FP8, compressed-tensors and bitsandbytes tensors
are made and dequantised by those libraries; GPTQ and AWQ by a few lines of formats.py, written from the format (gptqmodel and autoawq
do not install without a GPU), which check_packers.py holds against the sources of those libraries.
All arithmetic of the dequantisation is f32: exact codes times exact scales, one rounding. See docs/io.md.
"""
import argparse
import json
import os
import shutil
from dataclasses import dataclass

import torch
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig,
                          Qwen3MoeForCausalLM)
from transformers.models.qwen3_5_moe import Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig

import formats
import hybrid
from text_cases import logits_of
from tiny import dump_json, fill, rope, seed_of

VOCAB = 96
LENGTHS = (7, 33)
LAST = 8            # rows of the logits kept of the longer prompt
GREEDY = 24
MIN_GAP = 0.01
SIZES = {64: dict(hidden_size=64, intermediate_size=128, num_attention_heads=2, num_key_value_heads=1, head_dim=32),
         128: dict(hidden_size=128, intermediate_size=128, num_attention_heads=1, num_key_value_heads=1, head_dim=64)}
SIZES[256] = SIZES[128] | dict(intermediate_size=256)
SIZES[32] = dict(hidden_size=32, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1, head_dim=16)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32)
FAMILIES = {
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(head_dim=None)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {}),
    "qwen3_moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig, EXPERTS | dict(norm_topk_prob=True)),
    # as Qwen3.5 and 3.6 are released: text_config in an outer config, names under model.language_model, experts one by one
    "qwen3_5_moe": (Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, EXPERTS | dict(
        intermediate_size=None, shared_expert_intermediate_size=32, layer_types=[hybrid.LINEAR, hybrid.FULL], linear_conv_kernel_dim=4,
        linear_key_head_dim=8, linear_value_head_dim=8, linear_num_key_heads=2, linear_num_value_heads=4, rope_parameters=hybrid.MROPE)),
}


@dataclass
class Case:
    name: str
    covers: str
    config: dict                      # quantization_config
    quantise: object                  # (module name, weight f32, config) → ({suffix: tensor}, dequantised f32) or None: as it is
    family: str = "qwen3"
    size: int = 64
    layers: int = 1
    dtype: torch.dtype = torch.bfloat16
    tied: bool = True
    loads: bool = False               # transformers loads the folder on a CPU
    separate_file: bool = False       # the config lies in quantize_config.json


def cases():
    gptq = lambda **c: dict(quant_method="gptq", checkpoint_format="gptq", desc_act=False, damp_percent=0.01,
                            true_sequential=True, lm_head=False, **c)
    awq = dict(quant_method="awq", bits=4, zero_point=True, version="gemm", modules_to_not_convert=None)
    fp8 = dict(quant_method="fp8", activation_scheme="dynamic", fmt="e4m3")
    ct = formats.compressed_config
    bnb = formats.bitsandbytes_config
    return [
        Case("gptq4_asym", "4 bits, groups of 32, zero points stored less one, biases beside", gptq(bits=4, group_size=32, sym=False),
             formats.gptq, family="qwen2", dtype=torch.float16),
        Case("gptq4_desc_act", "desc_act: columns in the order of g_idx; config in quantize_config.json",
             gptq(bits=4, group_size=32, sym=True) | dict(desc_act=True), formats.gptq, layers=2, dtype=torch.float16,
             separate_file=True),
        Case("gptq4_v2_channel", "version 2 (zero points as they are), one group a row", gptq(bits=4, group_size=-1, sym=False) |
             dict(checkpoint_format="gptq_v2"), formats.gptq, dtype=torch.float16),
        Case("gptq8_dynamic", "8 bits, groups of 128; by `dynamic` some modules 4 bits, some not at all; quantised head",
             gptq(bits=8, group_size=128, sym=False) | dict(lm_head=True, dynamic={
                 r"+:.*\.(gate|up)_proj$": {"bits": 4, "group_size": 64}, r"-:.*\.k_proj$": {}}),
             formats.gptq, size=128, dtype=torch.float16, tied=False),
        Case("gptq8_sym", "8 bits, groups of 64, symmetric", gptq(bits=8, group_size=64, sym=True), formats.gptq),
        Case("awq_32", "groups of 32", awq | dict(group_size=32), formats.awq, family="qwen2", dtype=torch.float16),
        Case("awq_128", "groups of 128, a module that was not converted", awq | dict(group_size=128, modules_to_not_convert=["o_proj"]),
             formats.awq, size=128, dtype=torch.float16),
        Case("fp8_block", "blocks of 128 × 128, scales in bf16, a module that was not converted",
             fp8 | dict(weight_block_size=[128, 128], modules_to_not_convert=["lm_head", "model.layers.0.self_attn.o_proj"]),
             formats.fp8, size=256, loads=True),
        Case("fp8_experts", "experts one by one, blocks of 16 × 32; the router as it is", fp8 |
             dict(weight_block_size=[16, 32], modules_to_not_convert=["lm_head", "model.layers.0.mlp.gate"]),
             formats.fp8, family="qwen3_moe", size=32),
        Case("fp8_hybrid", "a nested qwen3_5_moe: experts one by one under model.language_model, gates of the delta rule as they are",
             fp8 | dict(weight_block_size=[16, 32], modules_to_not_convert=["lm_head"] + [
                 f"model.language_model.layers.{m}" for m in ("0.linear_attn.in_proj_a", "0.linear_attn.in_proj_b", "0.linear_attn.conv1d",
                 "0.mlp.gate", "0.mlp.shared_expert_gate", "1.mlp.gate", "1.mlp.shared_expert_gate")]),
             formats.fp8, family="qwen3_5_moe", size=32, layers=2),
        Case("gptq4_experts", "experts one by one, groups of 32", gptq(bits=4, group_size=32, sym=True), formats.gptq, family="qwen3_moe",
             size=32, dtype=torch.float16),
        Case("ct_int4_group", "pack-quantized, groups of 32, symmetric", ct("pack-quantized", bits=4, group=32), formats.compressed,
             loads=True),
        Case("ct_int4_asym", "pack-quantized, groups of 64, zero points packed", ct("pack-quantized", bits=4, group=64, symmetric=False),
             formats.compressed, loads=True),
        Case("ct_int4_channel", "pack-quantized, one group a row; f32 scales", ct("pack-quantized", bits=4), formats.compressed,
             dtype=torch.float32, loads=True),
        Case("ct_int8_packed", "pack-quantized, 8 bits, one group a row, asymmetric", ct("pack-quantized", bits=8, symmetric=False),
             formats.compressed, loads=True),
        Case("ct_int8_channel", "int-quantized by rows, activations meant to be int8", ct("int-quantized", bits=8, act=True),
             formats.compressed, family="qwen2"),
        Case("ct_fp8_channel", "float-quantized by rows", ct("float-quantized", bits=8, kind="float", act=True), formats.compressed),
        Case("ct_fp8_mixed", "float-quantized by blocks and by tensors, and packed 4 bits: three groups, found by expression, name and class",
             formats.mixed_config(), formats.compressed, size=256, tied=False, loads=True),
        Case("bnb_nf4", "nf4, blocks of 64, plain statistics", bnb("nf4", double=False), formats.bitsandbytes, loads=True),
        Case("bnb_nf4_double", "nf4 with statistics quantised again", bnb("nf4", double=True), formats.bitsandbytes, loads=True),
        Case("bnb_fp4", "fp4", bnb("fp4", double=False), formats.bitsandbytes, loads=True),
        Case("bnb_int8", "LLM.int8: one scale a row", bnb("int8"), formats.bitsandbytes),
    ]


def build(case, seed):
    """The model with random weights of the case's dtype, in f32."""
    model, config, own = FAMILIES[case.family]
    shape = {k: v for k, v in (dict(rope_parameters=rope()) | SIZES[case.size] | own).items() if v is not None}
    settings = config(vocab_size=VOCAB, num_hidden_layers=case.layers, max_position_embeddings=512, bos_token_id=None, eos_token_id=None,
                      pad_token_id=None, tie_word_embeddings=case.tied, **shape)
    settings._attn_implementation = settings._experts_implementation = "eager"
    made = model(settings).eval()
    if case.family == "qwen3_5_moe":
        hybrid.fill(made, seed)
    else:
        fill(made, seed)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(p.to(case.dtype).float())
    return made


def quantise(case, model, seed):
    """The tensors of the file, and for each quantised weight its f32 values, which the model holds afterwards."""
    torch.manual_seed(seed)
    tensors, values = {}, {}
    state = hybrid.by_expert(model.state_dict())    # an expert's matrices are views of the model's own
    quantised = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    quantised |= {n.removesuffix(".weight") for n in state if ".experts." in n}
    nested = case.family == "qwen3_5_moe"
    if case.tied or not case.config.get("lm_head"):
        quantised.discard("lm_head")
    for name, p in state.items():
        if case.tied and name == "lm_head.weight":
            continue
        module, stored = name.removesuffix(".weight"), hybrid.nested_name(name) if nested else name
        stored_module = stored.removesuffix(".weight")
        made = case.quantise(stored_module, p, case.config, case.dtype) if module in quantised and name.endswith(".weight") else None
        if made is None:
            tensors[stored] = p.to(case.dtype).contiguous()
            continue
        parts, values[name] = made
        tensors |= {f"{stored_module}.{k}": v.contiguous() for k, v in parts.items()}
        with torch.no_grad():
            p.copy_(values[name])
    return tensors, values


@torch.no_grad()
def greedy_of(model, ids):
    tokens, gap = [], float("inf")
    for _ in range(GREEDY):
        best = logits_of(model, torch.cat([ids, torch.tensor(tokens, dtype=torch.long)]))[-1].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        tokens.append(int(best.indices[0]))
    return torch.tensor(tokens), gap


def expected_of(model, seed):
    rng = torch.Generator().manual_seed(seed + 1)
    res, gap = {}, float("inf")
    for i, n in enumerate(LENGTHS):
        ids = torch.randint(0, VOCAB, (n,), generator=rng)
        res[f"case{i}.input_ids"] = ids
        res[f"case{i}.greedy"], g = greedy_of(model, ids)
        gap = min(gap, g)
        res[f"case{i}.logits_last{LAST}"] = logits_of(model, ids)[-LAST:].clone()
    return res, gap


def find(case):
    for attempt in range(100):
        seed = seed_of(0, f"quantised/{case.name}", attempt)
        model = build(case, seed)
        tensors, values = quantise(case, model, seed)
        expected, gap = expected_of(model, seed)
        distinct = sum(len(set(v.tolist())) for k, v in expected.items() if k.endswith("greedy"))
        if gap >= MIN_GAP and distinct >= 6:
            return model, tensors, values, expected, gap
    raise SystemExit(f"{case.name}: no seed with a greedy gap of {MIN_GAP}")


def digest(values):
    """FNV-1a (64 bits) over the f32 words, negative zero as zero; eight bytes, lowest first."""
    h = 0xCBF29CE484222325
    for word in (values + 0.0).contiguous().view(torch.int32).flatten().tolist():
        h = ((h ^ (word & 0xFFFFFFFF)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return torch.tensor(list(h.to_bytes(8, "little")), dtype=torch.uint8)


def write_config(case, model, folder):
    config = model.config.to_dict()
    config |= dict(dtype=str(case.dtype).removeprefix("torch."), architectures=[type(model).__name__])
    if case.family == "qwen3_5_moe":
        config = hybrid.nested(config, type(model).__name__)
    if case.separate_file:
        dump_json(os.path.join(folder, "quantize_config.json"), case.config, indent=1)
    else:
        config["quantization_config"] = case.config
    dump_json(os.path.join(folder, "config.json"), config, indent=1)


def write_case(case, root):
    model, tensors, values, expected, gap = find(case)
    folder = os.path.join(root, "quantised", case.name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_config(case, model, folder)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    expected |= {f"digest.{k}": digest(v) for k, v in values.items()}
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    note = ""
    if case.loads:      # the library reads the very files
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        error = float((logits_of(loaded, expected["case0.input_ids"]).float() - logits_of(model, expected["case0.input_ids"])).abs().max())
        assert error < 0.5, (case.name, error)
        note = f", loaded by transformers: {error:.2g} off"
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{case.name:18s} gap {gap:.4f} {size // 1024} kB{note}", flush=True)
    files = sorted(f"quantised/{case.name}/{f}" for f in os.listdir(folder))
    return dict(name=case.name, covers=case.covers, greedy_gap=round(gap, 5), files=files)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--only", nargs="+", default=[])
    a = ap.parse_args()
    torch.set_num_threads(1)
    path = os.path.join(a.data, "manifest.json")
    manifest = json.load(open(path))
    old = {e["name"]: e for e in manifest.get("quantised", [])}
    manifest["quantised"] = [write_case(c, a.data) if not a.only or c.name in a.only else old[c.name]
                             for c in cases() if not a.only or c.name in a.only or c.name in old]
    dump_json(path, manifest, indent=1)


if __name__ == "__main__":
    main()
