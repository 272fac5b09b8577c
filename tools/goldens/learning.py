"""Learning goldens: loss, every gradient, and ten AdamW steps of a tiny Qwen2, Qwen3 and Llama, by PyTorch in f32 and f64."""
import os

import torch
from safetensors.torch import save_file

from dense64 import Dense64
from text_cases import build_copy
from tiny import N_TEXT

MODELS = ("qwen2_tied", "qwen3_untied", "llama")
DOCUMENTS = (5, 17, 9)    # tokens; each is attended to and scored alone
STEPS = 10
ADAMW = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
DECAY, CLIP = 0.1, 1.0    # decay: tensors of two dimensions and more


def documents_of(seed):
    rng = torch.Generator().manual_seed(seed + 2)
    return [torch.randint(0, N_TEXT, (n,), generator=rng) for n in DOCUMENTS]


def loss_of(logits_of, documents):
    """Mean next-token cross-entropy in nats over all targets of all documents."""
    total = sum(torch.nn.functional.cross_entropy(logits_of(d)[:-1], d[1:], reduction="sum") for d in documents)
    return total / sum(len(d) - 1 for d in documents)


def learn(weights, logits_of, documents):
    """Gradients of the first step, the losses before each step and after the last, and the gradient norms before clipping."""
    groups = [dict(params=[w for w in weights.values() if w.dim() >= 2], weight_decay=DECAY),
              dict(params=[w for w in weights.values() if w.dim() < 2], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, **ADAMW)
    grads, losses, norms = {}, [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(logits_of, documents)
        loss.backward()
        if step == 0:
            grads = {k: w.grad.clone() for k, w in weights.items()}
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(weights.values(), CLIP).detach())
        optimizer.step()
    with torch.no_grad():
        losses.append(loss_of(logits_of, documents))
    return grads, torch.stack(losses), torch.stack(norms)


def write_learning(case, model, seed, root):
    documents = documents_of(seed)
    second = Dense64(model)
    for w in second.weights.values():
        w.requires_grad_()
    grads64, losses64, norms64 = learn(second.weights, second.logits, documents)
    first = build_copy(case, model).train()
    first.config._attn_implementation = "eager"
    grads, losses, norms = learn(dict(first.named_parameters()), lambda d: first(input_ids=d[None], use_cache=False).logits[0],
                                 documents)
    assert all(float(g.abs().max()) > 0 for g in grads.values())
    res = {f"document{i}": d for i, d in enumerate(documents)}
    res |= {f"grad.{k}": g for k, g in grads.items()}
    res |= dict(losses=losses, losses_f64=losses64, grad_norms=norms, grad_norms_f64=norms64)
    folder = os.path.join(root, "learning")
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in res.items()}, os.path.join(folder, f"{case.name}.safetensors"))
    error = max(float((grads[k].double() - grads64[k]).abs().max()) for k in grads)
    top = max(float(g.abs().max()) for g in grads64.values())
    drift = float((losses.double() - losses64).abs().max())
    print(f"{case.name:16s} loss {float(losses[0]):.4f} -> {float(losses[-1]):.4f}  f32 against f64: gradients {error:.1e} "
          f"of {top:.2f}, losses {drift:.1e}", flush=True)
    return dict(name=case.name, model=f"models/{case.name}", file=f"learning/{case.name}.safetensors",
                gradient_error_against_f64=float(f"{error:.2g}"), loss_error_against_f64=float(f"{drift:.2g}"))
