#!/usr/bin/env python3
"""The peer of train_bench: a Qwen3 of the same shape in PyTorch, forward, cross entropy, backward and AdamW.

  train_peer.py [--shape peer|nano] [--precision f32|bf16|autocast] [--steps N] [--threads N]

Prints one JSON line: tok/s (median of the steps after two of warm-up), the same by processor time (as if all threads
had a core to themselves; fair with one thread only, since waiting threads spin), and peak memory. bf16: weights, moments and
activations in bf16; autocast: f32 weights, products in bf16.
"""
import argparse
import json
import os
import resource
import time

os.environ.pop("OPENBLAS_CORETYPE", None)
import torch
import torch.nn as nn
import torch.nn.functional as F

SHAPES = {
    "peer": dict(hidden=384, ffn=1024, layers=8, heads=6, kv_heads=2, vocab=16384),
    "nano": dict(hidden=256, ffn=704, layers=8, heads=4, kv_heads=2, vocab=8192),
}
HEAD_DIM, ROWS, LENGTH = 64, 8, 512


class Layer(nn.Module):
    def __init__(self, hidden, ffn, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads
        self.norm1, self.norm2 = nn.RMSNorm(hidden, 1e-6), nn.RMSNorm(hidden, 1e-6)
        self.q_norm, self.k_norm = nn.RMSNorm(HEAD_DIM, 1e-6), nn.RMSNorm(HEAD_DIM, 1e-6)
        self.q = nn.Linear(hidden, heads * HEAD_DIM, bias=False)
        self.k = nn.Linear(hidden, kv_heads * HEAD_DIM, bias=False)
        self.v = nn.Linear(hidden, kv_heads * HEAD_DIM, bias=False)
        self.o = nn.Linear(heads * HEAD_DIM, hidden, bias=False)
        self.gate = nn.Linear(hidden, ffn, bias=False)
        self.up = nn.Linear(hidden, ffn, bias=False)
        self.down = nn.Linear(ffn, hidden, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        y = self.norm1(x)
        q = self.q_norm(self.q(y).view(b, t, self.heads, HEAD_DIM)).transpose(1, 2)
        k = self.k_norm(self.k(y).view(b, t, self.kv_heads, HEAD_DIM)).transpose(1, 2)
        v = self.v(y).view(b, t, self.kv_heads, HEAD_DIM).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        a = F.scaled_dot_product_attention(q, k.to(v.dtype), v, is_causal=True) if q.dtype == v.dtype else \
            F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, -1))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def rotate(x, cos, sin):
    half = HEAD_DIM // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


class Qwen3(nn.Module):
    def __init__(self, hidden, ffn, layers, heads, kv_heads, vocab):
        super().__init__()
        self.embed = nn.Embedding(vocab, hidden)
        self.layers = nn.ModuleList([Layer(hidden, ffn, heads, kv_heads) for _ in range(layers)])
        self.norm = nn.RMSNorm(hidden, 1e-6)

    def forward(self, ids, cos, sin):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return F.linear(self.norm(x), self.embed.weight)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shape", default="peer", choices=SHAPES)
    p.add_argument("--precision", default="f32", choices=["f32", "bf16", "autocast"])
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    shape = SHAPES[a.shape]
    model = Qwen3(**shape)
    for w in model.parameters():
        if w.dim() > 1:
            nn.init.normal_(w, std=0.02)
    dtype = torch.bfloat16 if a.precision == "bf16" else torch.float32
    model.to(dtype)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
    angle = torch.outer(torch.arange(LENGTH), 1e6 ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM))
    cos, sin = (f(torch.cat((angle, angle), -1)).to(dtype) for f in (torch.cos, torch.sin))
    times, cpu, loss = [], [], None
    for _ in range(a.steps + 2):
        ids = torch.randint(shape["vocab"], (ROWS, LENGTH + 1))
        start, cpu_start = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.precision == "autocast"):
            logits = model(ids[:, :-1], cos, sin)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    seconds = sorted(times[2:])[a.steps // 2]
    params = sum(w.numel() for w in model.parameters())
    flop = 6 * params + 6 * shape["layers"] * shape["heads"] * HEAD_DIM * LENGTH
    rate = ROWS * LENGTH / seconds
    print(json.dumps({"peer": "torch " + torch.__version__, "shape": a.shape, "precision": a.precision,
                      "tok_s": round(rate),
                      "tok_s_cpu": round(ROWS * LENGTH * a.threads / sorted(cpu[2:])[a.steps // 2]), "gflop_s": round(rate * flop / 1e9, 1), "loss": round(loss.item(), 3),
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
