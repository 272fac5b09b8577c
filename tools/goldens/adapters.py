"""Adapter goldens: LoRA adapters that PEFT saved for the tiny models, and the logits that PEFT computes with them.

    python3 adapters.py DATA                       # rewrites DATA/adapters and its part of the manifest
    python3 adapters.py DATA --check-written DIR   # DIR/<case>: adapters that qw wrote; PEFT must compute the same with them

Needs PEFT besides what README.md lists. generate.py runs it last.
"""
import argparse
import json
import os
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tiny import N_TEXT, dump_json, seed_of

TOKENS = 11
# name → base model and LoraConfig; together: short and long target names, all-linear, rsLoRA, patterns, biases, a tied head
CASES = {
    "qwen2_attention": ("qwen2_tied", dict(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj"])),
    "qwen2_head": ("qwen2_tied", dict(r=3, lora_alpha=4, target_modules=["lm_head", "model.layers.1.mlp.down_proj"])),
    "qwen3_rslora": ("qwen3_untied", dict(r=4, lora_alpha=4, use_rslora=True, lora_dropout=0.1, target_modules="all-linear")),
    "qwen3_head": ("qwen3_untied", dict(r=2, lora_alpha=2, target_modules=["lm_head", "k_proj"])),
    "llama_patterns": ("llama", dict(r=2, lora_alpha=8, target_modules=["q_proj", "k_proj", "up_proj", "down_proj"],
                                     rank_pattern={"layers.0.self_attn.q_proj": 5, "down_proj": 1},
                                     alpha_pattern={"^model.layers.1.mlp.down_proj": 3.5})),
    "llama_bf16": ("llama", dict(r=2, lora_alpha=4, target_modules=["gate_proj", "o_proj"])),
}


def base_of(root, name):
    folder = os.path.join(root, "models", name)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def logits_of(model, ids):
    return model(input_ids=ids[None], use_cache=False).logits[0]


def write_adapter(root, name, base_name, settings):
    folder = os.path.join(root, "adapters", name)
    seed = seed_of(0, f"adapters/{name}", 0)
    torch.manual_seed(seed)
    ids = torch.randint(0, N_TEXT, (TOKENS,))
    base = base_of(root, base_name)
    plain = logits_of(base, ids)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if ".lora_B." in key:
                p.copy_(0.3 * torch.randn(p.shape))
            if name.endswith("bf16") and ".lora_" in key:
                p.copy_(p.to(torch.bfloat16))
    logits = logits_of(model, ids)
    if name.endswith("bf16"):
        model.to(torch.bfloat16)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    config = json.load(open(os.path.join(folder, "adapter_config.json")))
    config["base_model_name_or_path"] = f"models/{base_name}"
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()     # PEFT saves a set
    dump_json(os.path.join(folder, "adapter_config.json"), config, indent=1)
    again = logits_of(PeftModel.from_pretrained(base_of(root, base_name), folder).eval(), ids)
    assert torch.equal(again, logits), name
    assert float((plain - logits).abs().max()) > 0.5, name
    expected = dict(input_ids=ids, logits=logits)
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    print(f"{name:16s} on {base_name:14s} changes logits by up to {float((plain - logits).abs().max()):.2f}", flush=True)
    files = [f"adapters/{name}/{f}" for f in ("adapter_config.json", "adapter_model.safetensors", "expected.safetensors")]
    return dict(name=name, model=f"models/{base_name}", adapter=f"adapters/{name}", files=files)


def write_adapters(root):
    shutil.rmtree(os.path.join(root, "adapters"), ignore_errors=True)
    return [write_adapter(root, name, *case) for name, case in CASES.items()]


def check_written(root, written):
    """Adapters that qw wrote load in PEFT and give the logits of the golden."""
    for name, (base_name, _) in CASES.items():
        expected = load_file(os.path.join(root, "adapters", name, "expected.safetensors"))
        model = PeftModel.from_pretrained(base_of(root, base_name), os.path.join(written, name)).eval()
        error = float((logits_of(model, expected["input_ids"]) - expected["logits"]).abs().max())
        print(f"{name:16s} largest difference {error:.1e}", flush=True)
        assert error == 0.0, name


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--check-written", metavar="DIR")
    a = ap.parse_args()
    torch.set_num_threads(1)
    if a.check_written:
        check_written(a.data, a.check_written)
        return
    path = os.path.join(a.data, "manifest.json")
    manifest = json.load(open(path))
    manifest["adapters"] = write_adapters(a.data)
    dump_json(path, manifest, indent=1)


if __name__ == "__main__":
    main()
