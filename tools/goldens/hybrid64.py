"""A second opinion in float64: the hybrids (Qwen3-Next, Qwen3.5) with their drafting layer, in a few lines of plain torch.

Written from the papers (Gated DeltaNet: Yang et al. 2024) and from vLLM's description of the drafting layer: norm of the next token's
embedding beside the norm of the hidden state, fc, one layer of full attention, norm; embedding and head are the model's. The delta rule
runs row by row, as defined; transformers runs it in chunks. There is no drafting layer in transformers: what it must give is this.
"""
import math

import torch
import torch.nn.functional as F


class Hybrid64:
    """features(ids), head(x) and mtp_features(hidden, next_ids) from a dict of float64 weights by hub name; differentiable."""

    def __init__(self, config, weights):
        self.config, self.weights = config, {k: v.detach().double().clone() for k, v in weights.items()}

    def linear(self, name, x):
        return x @ self.weights[name + ".weight"].T

    def norm(self, name, x, centre=1.0):
        x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.config.rms_norm_eps)
        return x * (centre + self.weights[name + ".weight"])

    def rotary(self, n):
        c = self.config
        dim = int(c.head_dim * c.rope_parameters["partial_rotary_factor"])
        freq = c.rope_parameters["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angle = torch.arange(n, dtype=torch.float64)[:, None] * freq
        return angle.cos()[:, None], angle.sin()[:, None]

    def turn(self, x, cos, sin):
        half = cos.shape[-1]
        a, b, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)

    def attention(self, name, x):
        c, t = self.config, x.shape[0]
        both = self.linear(name + "q_proj", x).view(t, c.num_attention_heads, 2 * c.head_dim)
        q, gate = both[..., :c.head_dim], both[..., c.head_dim:]
        k = self.linear(name + "k_proj", x).view(t, -1, c.head_dim)
        v = self.linear(name + "v_proj", x).view(t, -1, c.head_dim)
        cos, sin = self.rotary(t)
        q, k = self.turn(self.norm(name + "q_norm", q), cos, sin), self.turn(self.norm(name + "k_norm", k), cos, sin)
        group = c.num_attention_heads // c.num_key_value_heads
        scores = torch.einsum("qhd,khd->hqk", q, k.repeat_interleave(group, 1)) / math.sqrt(c.head_dim)
        scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -math.inf)
        out = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v.repeat_interleave(group, 1)) * gate.sigmoid()
        return self.linear(name + "o_proj", out.reshape(t, -1))

    def delta_inputs(self, name, x):
        """q, k [T,Hk,dk], v, z [T,Hv,dv] before the convolution, b and a [T,Hv]."""
        c, t = self.config, x.shape[0]
        hk, hv, dk, dv = c.linear_num_key_heads, c.linear_num_value_heads, c.linear_key_head_dim, c.linear_value_head_dim
        if name + "in_proj_qkv.weight" in self.weights:
            q, k, v = self.linear(name + "in_proj_qkv", x).split([hk * dk, hk * dk, hv * dv], -1)
            z, b, a = (self.linear(name + "in_proj_" + n, x) for n in "zba")
        else:
            group = hv // hk
            q, k, v, z = self.linear(name + "in_proj_qkvz", x).view(t, hk, -1).split([dk, dk, group * dv, group * dv], -1)
            b, a = self.linear(name + "in_proj_ba", x).view(t, hk, -1).split([group, group], -1)
        flat = lambda y: y.reshape(t, -1)
        return torch.cat([flat(q), flat(k), flat(v)], -1), flat(z).view(t, hv, dv), flat(b), flat(a)

    def delta(self, name, x):
        c, t = self.config, x.shape[0]
        hk, hv, dk, dv = c.linear_num_key_heads, c.linear_num_value_heads, c.linear_key_head_dim, c.linear_value_head_dim
        qkv, z, b, a = self.delta_inputs(name, x)
        w = self.weights[name + "conv1d.weight"][:, 0]
        taps = w.shape[1]
        padded = F.pad(qkv, (0, 0, taps - 1, 0))
        qkv = F.silu(sum(padded[j:j + t] * w[:, j] for j in range(taps)))
        q, k, v = qkv.split([hk * dk, hk * dk, hv * dv], -1)
        unit = lambda y: y * torch.rsqrt((y * y).sum(-1, keepdim=True) + 1e-6)
        q = unit(q.reshape(t, hk, dk)).repeat_interleave(hv // hk, 1) / math.sqrt(dk)
        k = unit(k.reshape(t, hk, dk)).repeat_interleave(hv // hk, 1)
        v = v.reshape(t, hv, dv)
        decay = (-self.weights[name + "A_log"].exp() * F.softplus(a + self.weights[name + "dt_bias"])).exp()
        beta, state, rows = b.sigmoid(), torch.zeros(hv, dk, dv, dtype=x.dtype), []
        for i in range(t):
            state = state * decay[i, :, None, None]
            change = beta[i, :, None] * (v[i] - torch.einsum("hkv,hk->hv", state, k[i]))
            state = state + k[i, :, :, None] * change[:, None]
            rows.append(torch.einsum("hkv,hk->hv", state, q[i]))
        out = self.norm(name + "norm", torch.stack(rows), centre=0.0) * F.silu(z)
        return self.linear(name + "out_proj", out.reshape(t, -1))

    def mlp(self, name, x):
        if name + "gate.weight" not in self.weights:
            return self.linear(name + "down_proj", F.silu(self.linear(name + "gate_proj", x)) * self.linear(name + "up_proj", x))
        c = self.config
        probabilities, experts = self.linear(name + "gate", x).softmax(-1).topk(c.num_experts_per_tok, -1)
        if getattr(c, "norm_topk_prob", True):
            probabilities = probabilities / probabilities.sum(-1, keepdim=True)
        rows = []
        for i in range(x.shape[0]):
            rows.append(sum(p * self.mlp(f"{name}experts.{int(e)}.", x[i:i + 1])[0] for p, e in zip(probabilities[i], experts[i])))
        shared = self.mlp(name + "shared_expert.", x)
        return torch.stack(rows) + self.linear(name + "shared_expert_gate", x).sigmoid() * shared

    def layer(self, name, x):
        h = self.norm(name + "input_layernorm", x)
        full = name + "self_attn.q_proj.weight" in self.weights
        x = x + (self.attention(name + "self_attn.", h) if full else self.delta(name + "linear_attn.", h))
        return x + self.mlp(name + "mlp.", self.norm(name + "post_attention_layernorm", x))

    def features(self, ids):
        x = self.weights["model.embed_tokens.weight"][ids]
        for i in range(self.config.num_hidden_layers):
            x = self.layer(f"model.layers.{i}.", x)
        return self.norm("model.norm", x)

    def head(self, x):
        return x @ self.weights["model.embed_tokens.weight" if self.config.tie_word_embeddings else "lm_head.weight"].T

    def logits(self, ids):
        return self.head(self.features(ids))

    def mtp_features(self, hidden, next_ids):
        """hidden [T,D] of positions 0 … T−1, next_ids [T] the tokens at 1 … T: what the head makes logits of T+1 of."""
        e = self.norm("mtp.pre_fc_norm_embedding", self.weights["model.embed_tokens.weight"][next_ids])
        x = self.linear("mtp.fc", torch.cat([e, self.norm("mtp.pre_fc_norm_hidden", hidden)], -1))
        return self.norm("mtp.norm", self.layer("mtp.layers.0.", x))
