"""Training goldens: loss curves of 20 steps of what `qw train` does, by PyTorch, transformers and PEFT in f32, and in float64.

    python3 training.py DATA      # rewrites DATA/training and its part of the manifest

Every case: ten documents, two a micro-batch, two micro-batches a step, file order, around again at the end; AdamW with clipping,
three steps of warm-up, then a cosine. Needs PEFT besides what README.md lists. generate.py runs it last.
"""
import json
import math
import os
import shutil

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from dense64 import Dense64
from tiny import N_TEXT, dump_json, rewrite_manifest, seed_of

STEPS, WARMUP, LR, MIN_LR = 20, 3, 2e-3, 2e-4
DECAY, CLIP, BETAS, EPS = 0.1, 1.0, (0.9, 0.95), 1e-8
BATCH, ACCUM, DOCUMENTS = 2, 2, 10
DPO_BETA, SMOOTHING = 0.3, 0.1
# name → model, task, LoraConfig (None: all weights), further facts
CASES = {
    "llama.full": ("llama", "sft", None, {}),
    "qwen2.full": ("qwen2_tied", "sft", None, {}),
    "qwen3.full": ("qwen3_untied", "pretrain", None, {}),
    "llama.lora": ("llama", "sft", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"]), {}),
    "qwen2.lora": ("qwen2_tied", "sft", dict(r=2, lora_alpha=8, target_modules="all-linear"), {}),
    "qwen3.lora": ("qwen3_untied", "pretrain", dict(r=4, lora_alpha=4, use_rslora=True,
                                                    target_modules=["k_proj", "o_proj", "gate_proj", "lm_head"]), {}),
    "llama.dpo": ("llama", "dpo", None, {}),
    "qwen2.dpo": ("qwen2_tied", "dpo", dict(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"]), {}),
    "qwen3.dpo": ("qwen3_untied", "dpo", dict(r=2, lora_alpha=4, target_modules="all-linear"), {}),
    "llama.distill": ("llama", "distill", None, dict(teacher="qwen3_untied", beta=0.0, temperature=1.0)),
    "qwen2.distill": ("qwen2_tied", "distill", None, dict(teacher="llama", beta=1.0, temperature=1.0)),
    "qwen3.distill": ("qwen3_untied", "distill", dict(r=4, lora_alpha=8, target_modules="all-linear"),
                      dict(teacher="llama", beta=0.5, temperature=2.0)),
}


def learning_rate(step):
    """Of step 1 … STEPS, as transformers' cosine with a warm-up that begins above zero and an end at MIN_LR."""
    if step <= WARMUP:
        return LR * step / WARMUP
    done = (step - 1 - WARMUP) / (STEPS - WARMUP)
    return MIN_LR + (LR - MIN_LR) * 0.5 * (1 + math.cos(math.pi * done))


def make_documents(task, seed):
    """ids, and which of them are targets. Pretraining learns all; for DPO two documents that begin alike are a pair."""
    g = torch.Generator().manual_seed(seed)
    n = DOCUMENTS * (2 if task == "dpo" else 1)
    documents = []
    for i in range(n):
        length, begin = int(torch.randint(9, 30, (1,), generator=g)), int(torch.randint(2, 7, (1,), generator=g))
        ids = torch.randint(0, N_TEXT, (length,), generator=g)
        if task == "dpo" and i % 2 == 1:
            begin = documents[-1][1].logical_not().sum().item()
            ids[:begin] = documents[-1][0][:begin]
        target = torch.ones(length, dtype=torch.bool)
        if task != "pretrain":
            target[:begin] = False
        documents.append((ids, target))
    return documents


def log_probs(logits, ids):
    return logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]


def cross_entropy_of(policy, documents):
    sums = [-(log_probs(policy(ids), ids) * target[1:]).sum() for ids, target in documents]
    return sum(sums), sum(int(t[1:].sum()) for _, t in documents)


def dpo_of(policy, reference, documents):
    """TRL's sigmoid loss with label smoothing."""
    total = 0
    for i in range(0, len(documents), 2):
        side = []
        for ids, target in documents[i:i + 2]:
            with torch.no_grad():
                base = (log_probs(reference(ids), ids) * target[1:]).sum()
            side.append((log_probs(policy(ids), ids) * target[1:]).sum() - base)
        x = DPO_BETA * (side[0] - side[1])
        total = total - F.logsigmoid(x) * (1 - SMOOTHING) - F.logsigmoid(-x) * SMOOTHING
    return total, len(documents) // 2


def divergence_of(policy, teacher, beta, temperature, documents):
    """The generalised Jensen-Shannon divergence of TRL's GKDTrainer."""
    total, count = 0, 0
    for ids, target in documents:
        rows = target[1:].nonzero()[:, 0]
        s = (policy(ids)[rows] / temperature).log_softmax(-1)
        with torch.no_grad():
            t = (teacher(ids)[rows] / temperature).log_softmax(-1)
        if beta == 0:
            d = F.kl_div(s, t, reduction="none", log_target=True)
        elif beta == 1:
            d = F.kl_div(t, s, reduction="none", log_target=True)
        else:
            m = torch.logsumexp(torch.stack([t + math.log(beta), s + math.log(1 - beta)]), 0)
            d = beta * F.kl_div(m, t, reduction="none", log_target=True) \
                + (1 - beta) * F.kl_div(m, s, reduction="none", log_target=True)
        total, count = total + d.sum(), count + len(rows)
    return total, count


def train(parameters, loss_of, documents, a_sample):
    groups = [dict(params=[p for p in parameters if p.dim() >= 2], weight_decay=DECAY),
              dict(params=[p for p in parameters if p.dim() < 2], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    losses, norms, at = [], [], 0
    for step in range(1, STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        samples = [(at + i) % DOCUMENTS for i in range(BATCH * ACCUM)]
        at += BATCH * ACCUM
        batch = [documents[a_sample * s + i] for s in samples for i in range(a_sample)]
        optimizer.zero_grad()
        total, count = loss_of(batch)
        (total / count).backward()
        losses.append((total / count).detach())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, CLIP).detach())
        optimizer.step()
    return torch.stack(losses), torch.stack(norms)


def base_of(root, name):
    folder = os.path.join(root, "models", name)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def plain(model):
    return lambda ids: model(input_ids=ids[None], use_cache=False).logits[0]


class Adapted64:
    """Dense64 with LoRA: the weights that a forward sees are W + scale · B A."""

    def __init__(self, dense, factors):
        self.dense, self.base = dense, dict(dense.weights)
        self.factors = factors  # weight name → A, B, scale

    def logits(self, ids):
        self.dense.weights = dict(self.base)
        for name, (a, b, scale) in self.factors.items():
            self.dense.weights[name] = self.base[name] + scale * (b @ a)
        return self.dense.logits(ids)


def adapted(root, folder, base_name, settings, seed):
    """A PEFT model whose B is not zero, saved to `folder`; and its twin in float64."""
    base = base_of(root, base_name)
    dense = Dense64(base)
    torch.manual_seed(seed)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    factors = {}
    with torch.no_grad():
        for key, p in model.named_parameters():
            if ".lora_B." in key:
                p.copy_(0.1 * torch.randn(p.shape))
    for module_name, module in model.named_modules():
        if hasattr(module, "lora_A") and "default" in getattr(module, "lora_A", {}):
            name = module_name.removeprefix("base_model.model.") + ".weight"
            a, b = (m["default"].weight.detach().double().clone().requires_grad_() for m in (module.lora_A, module.lora_B))
            factors[name] = (a, b, module.scaling["default"])
    model.save_pretrained(folder, save_embedding_layers=False)
    for extra in os.listdir(folder):
        if not extra.startswith("adapter_"):
            os.remove(os.path.join(folder, extra))
    config = os.path.join(folder, "adapter_config.json")
    facts = json.load(open(config))
    facts["base_model_name_or_path"] = ""
    dump_json(config, facts, indent=1)
    return model, Adapted64(dense, factors)


def write_case(root, name):
    base_name, task, lora, facts = CASES[name]
    folder = os.path.join(root, "training", name)
    os.makedirs(folder)
    seed = seed_of(0, f"training/{name}", 0)
    documents = make_documents(task, seed)
    if lora is None:
        model = base_of(root, base_name)
        dense = Dense64(model)
        for w in dense.weights.values():
            w.requires_grad_()
        first, second = list(model.parameters()), list(dense.weights.values())
        policies = plain(model), dense.logits
    else:
        model, dense = adapted(root, folder, base_name, lora, seed + 1)
        first = [p for p in model.parameters() if p.requires_grad]
        second = [f for a, b, _ in dense.factors.values() for f in (a, b)]
        policies = plain(model), dense.logits
    curves = []
    for width, parameters, policy in ((32, first, policies[0]), (64, second, policies[1])):
        other = base_of(root, facts.get("teacher", base_name))
        fixed = plain(other) if width == 32 else Dense64(other).logits
        if task == "dpo":
            loss_of = lambda batch: dpo_of(policy, fixed, batch)
        elif task == "distill":
            loss_of = lambda batch: divergence_of(policy, fixed, facts["beta"], facts["temperature"], batch)
        else:
            loss_of = lambda batch: cross_entropy_of(policy, batch)
        curves.append(train(parameters, loss_of, documents, 2 if task == "dpo" else 1))
    (losses, norms), (losses64, norms64) = curves
    res = dict(ids=torch.cat([d for d, _ in documents]), target=torch.cat([t for _, t in documents]).to(torch.int64),
               lengths=torch.tensor([len(d) for d, _ in documents]),
               losses=losses, losses_f64=losses64, grad_norms=norms, grad_norms_f64=norms64)
    save_file({k: v.contiguous() for k, v in res.items()}, os.path.join(folder, "expected.safetensors"))
    drift = float((losses.double() - losses64).abs().max())
    print(f"{name:16s} loss {float(losses[0]):.4f} -> {float(losses[-1]):.4f}  f32 against f64: {drift:.1e}", flush=True)
    entry = dict(name=name, model=f"models/{base_name}", task=task, loss_error_against_f64=float(f"{drift:.2g}"),
                 file=f"training/{name}/expected.safetensors")
    if lora is not None:
        entry["adapter"] = f"training/{name}"
        entry["files"] = [f"training/{name}/adapter_config.json", f"training/{name}/adapter_model.safetensors"]
    if "teacher" in facts:
        entry |= dict(facts, teacher=f"models/{facts['teacher']}")
    return entry


def write_training(root):
    shutil.rmtree(os.path.join(root, "training"), ignore_errors=True)
    return [write_case(root, name) for name in CASES]


if __name__ == "__main__":
    rewrite_manifest(__doc__, lambda manifest, a: dict(training=write_training(a.data)))
