"""A second opinion in float64: the decoder (Llama, Qwen2, Qwen3, dense or with experts) in a few lines of plain torch.

transformers computes norms, softmax and rotary tables in f32 whatever the weights are, so its "f64" is none. This one is
f64 throughout; the f32 goldens are held against it, and the difference is the measured error the tolerances start from.
"""
import math

import torch


def inverse_frequencies(config):
    """Per pair of dimensions the rotary frequency [hd/2], and the factor on cos and sin (YaRN)."""
    p = config.rope_parameters
    hd = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    freq = p["rope_theta"] ** (-torch.arange(0, hd, 2, dtype=torch.float64) / hd)
    kind = p["rope_type"]
    if kind == "linear":
        return freq / p["factor"], 1.0
    if kind == "llama3":
        turns = p["original_max_position_embeddings"] * freq / (2 * math.pi)
        low, high = p["low_freq_factor"], p["high_freq_factor"]
        blend = ((turns - low) / (high - low)).clamp(0, 1)
        return freq * (blend + (1 - blend) / p["factor"]), 1.0
    if kind == "yarn":
        length, base = p["original_max_position_embeddings"], p["rope_theta"]
        at = lambda turns: hd * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(base))
        low, high = max(math.floor(at(32)), 0), min(math.ceil(at(1)), hd - 1)
        ramp = ((torch.arange(hd // 2, dtype=torch.float64) - low) / max(high - low, 1e-3)).clamp(0, 1)
        return freq * ((1 - ramp) + ramp / p["factor"]), 0.1 * math.log(p["factor"]) + 1
    assert kind == "default", kind
    return freq, 1.0


def windows(config):
    n = config.num_hidden_layers
    if not getattr(config, "use_sliding_window", False):
        return [None] * n
    if config.model_type == "qwen3_moe":
        return [config.sliding_window] * n
    if config.model_type == "qwen2_moe":
        return [config.sliding_window if i < config.max_window_layers and i % 2 == 0 else None for i in range(n)]
    return [None if i < config.max_window_layers else config.sliding_window for i in range(n)]


class Dense64:
    """logits(ids) [T,V] from a dict of float64 weights; differentiable."""

    def __init__(self, model):
        self.config = model.config
        self.weights = {k: v.detach().double().clone() for k, v in model.named_parameters()}

    def linear(self, name, x):
        y = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        return y if bias is None else y + bias

    def norm(self, name, x):
        weight = self.weights.get(name + ".weight")
        if weight is None:
            return x
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.config.rms_norm_eps) * weight

    def attention(self, layer, x, cos, sin, window):
        c, t = self.config, x.shape[0]
        hd = 2 * cos.shape[1]
        heads = lambda n: self.linear(layer + n + "_proj", x).view(t, -1, hd)
        turn = lambda v: torch.cat([v[..., :hd // 2] * cos[:, None] - v[..., hd // 2:] * sin[:, None],
                                    v[..., hd // 2:] * cos[:, None] + v[..., :hd // 2] * sin[:, None]], -1)
        q, k, v = turn(self.norm(layer + "q_norm", heads("q"))), turn(self.norm(layer + "k_norm", heads("k"))), heads("v")
        group = c.num_attention_heads // c.num_key_value_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(hd)
        back = torch.arange(t)[:, None] - torch.arange(t)[None]
        hidden = (back < 0) if window is None else (back < 0) | (back >= window)
        out = torch.einsum("hqk,khd->qhd", scores.masked_fill(hidden, -math.inf).softmax(-1), v)
        return self.linear(layer + "o_proj", out.reshape(t, -1))

    def mlp(self, name, h):
        gate = torch.nn.functional.silu(self.linear(name + "gate_proj", h))
        return self.linear(name + "down_proj", gate * self.linear(name + "up_proj", h))

    def experts(self, name, h):
        """Every token by itself: the weighted sum of its experts, and the shared expert under its gate."""
        c, rows = self.config, []
        gate_up, down = self.weights[name + "experts.gate_up_proj"], self.weights[name + "experts.down_proj"]
        for x, p in zip(h, self.linear(name + "gate", h).softmax(-1)):
            chosen = p.topk(c.num_experts_per_tok)
            total = chosen.values.sum() if c.norm_topk_prob else 1.0
            y = 0
            for w, e in zip(chosen.values, chosen.indices):
                g, u = (gate_up[e] @ x).chunk(2)
                y = y + w / total * (down[e] @ (torch.nn.functional.silu(g) * u))
            rows.append(y)
        out = torch.stack(rows)
        if name + "shared_expert.gate_proj.weight" in self.weights:
            out = out + self.linear(name + "shared_expert_gate", h).sigmoid() * self.mlp(name + "shared_expert.", h)
        return out

    def logits(self, ids):
        freq, scale = inverse_frequencies(self.config)
        angle = torch.arange(len(ids), dtype=torch.float64)[:, None] * freq
        cos, sin = angle.cos() * scale, angle.sin() * scale
        x = self.weights["model.embed_tokens.weight"][ids]
        for i, window in enumerate(windows(self.config)):
            layer = f"model.layers.{i}."
            x = x + self.attention(layer + "self_attn.", self.norm(layer + "input_layernorm", x), cos, sin, window)
            h = self.norm(layer + "post_attention_layernorm", x)
            sparse = layer + "mlp.gate.weight" in self.weights
            x = x + (self.experts if sparse else self.mlp)(layer + "mlp.", h)
        x = self.norm("model.norm", x)
        head = "model.embed_tokens" if self.config.tie_word_embeddings else "lm_head"
        return x @ self.weights[head + ".weight"].T
