"""Each quantisation of Hugging Face checkpoints: a weight [N, K] in f32 → ({suffix of the tensor: tensor}, f32 values).

Round to nearest, no calibration: what is tested is how the files are read. See quantised.py.
"""
import re

import torch


def groups_of(k, group):
    return k if group == -1 else group


def affine(w, g_idx, bits, symmetric, scale_dtype):
    """scale [G, N] as stored, zero [G, N], codes [N, K] of 0 … 2^bits − 1."""
    n, _ = w.shape
    top = 2**bits - 1
    n_groups = int(g_idx.max()) + 1
    scale, zero = torch.empty(n_groups, n), torch.empty(n_groups, n, dtype=torch.int32)
    for g in range(n_groups):
        part = w[:, g_idx == g]
        low, high = part.min(1).values.clamp(max=0), part.max(1).values.clamp(min=0)
        if symmetric:
            s = 2 * torch.maximum(-low, high) / top
            z = torch.full((n,), (top + 1) // 2)
        else:
            s = (high - low) / top
            z = torch.round(-low / s)
        scale[g], zero[g] = s, z.int()
    scale = scale.to(scale_dtype)
    at = g_idx.long()
    codes = (torch.round(w / scale.float()[at].T) + zero[at].T).clamp(0, top).int()
    return scale, zero, codes


def pack(values, bits, order=None):
    """int32 words along the last dimension, the first value in the lowest bits."""
    per = 32 // bits
    v = values.reshape(*values.shape[:-1], -1, per).long()
    if order is not None:
        v = v[..., order]
    words = (v << (bits * torch.arange(per))).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).int()


def gptq_settings(module, config):
    """bits and group size of a module, by `dynamic`; None where it is left out."""
    bits, group = config["bits"], config["group_size"]
    for pattern, own in config.get("dynamic", {}).items():
        if re.match(pattern[2:], module):
            if pattern.startswith("-:"):
                return None
            return own.get("bits", bits), own.get("group_size", group)
    return bits, group


def gptq(module, w, config, dtype):
    settings = gptq_settings(module, config)
    if settings is None:
        return None
    bits, group = settings
    n, k = w.shape
    g_idx = torch.arange(k, dtype=torch.int32) // groups_of(k, group)
    if config["desc_act"]:
        g_idx = g_idx[torch.randperm(k)]
    scale, zero, codes = affine(w, g_idx, bits, config["sym"], torch.float16)
    stored = zero if config["checkpoint_format"] == "gptq_v2" else (zero - 1) % 2**bits
    values = scale.float()[g_idx.long()].T * (codes - zero[g_idx.long()].T)
    return dict(qweight=pack(codes, bits).T, qzeros=pack(stored, bits), scales=scale, g_idx=g_idx), values


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def awq(module, w, config, dtype):
    if any(module.endswith(m) for m in config["modules_to_not_convert"] or []):
        return None
    g_idx = torch.arange(w.shape[1]) // config["group_size"]
    scale, zero, codes = affine(w, g_idx, 4, False, torch.float16)
    values = scale.float()[g_idx].T * (codes - zero[g_idx].T)
    return dict(qweight=pack(codes.T, 4, AWQ_ORDER), qzeros=pack(zero, 4, AWQ_ORDER), scales=scale), values


def fp8(module, w, config, dtype):
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    if module in config["modules_to_not_convert"]:
        return None
    rows, cols = (-(-d // b) for d, b in zip(w.shape, config["weight_block_size"]))
    block = [-(-d // g) for d, g in zip(w.shape, (rows, cols))]
    tiles = w.reshape(rows, block[0], cols, block[1])
    scale = (tiles.abs().amax((1, 3)) / 448).to(torch.bfloat16)
    codes = (tiles / scale.float()[:, None, :, None]).clamp(-448, 448).reshape(w.shape).to(torch.float8_e4m3fn)
    return dict(weight=codes, weight_scale_inv=scale), Fp8Dequantize(None)._dequantize_one(codes, scale, torch.float32)


def weights_args(bits=8, group=None, symmetric=True, kind="int", strategy=None, block=None):
    args = dict(num_bits=bits, type=kind, symmetric=symmetric, strategy=strategy or ("group" if group else "channel"), dynamic=False,
                group_size=group, actorder=None, observer="minmax", observer_kwargs={})
    return args | (dict(block_structure=block) if block else {})


def compressed_config(form, act=False, **weights):
    w = weights_args(**weights)
    activations = dict(num_bits=8, type=w["type"], symmetric=True, strategy="token", dynamic=True) if act else None
    group = dict(targets=["Linear"], weights=w, input_activations=activations, output_activations=None)
    return dict(quant_method="compressed-tensors", format=form, quantization_status="compressed", global_compression_ratio=None,
                kv_cache_scheme=None, ignore=["lm_head"], config_groups=dict(group_0=group))


def mixed_config():
    config = compressed_config("mixed-precision", bits=8, kind="float", strategy="block", block=[128, 128])
    config["config_groups"]["group_0"] |= dict(targets=["re:.*self_attn\\.(q|k)_proj$", "re:.*down_proj$"], format="float-quantized")
    config["config_groups"]["group_1"] = dict(targets=["model.layers.0.self_attn.v_proj"], format="float-quantized",
                                              weights=weights_args(kind="float", strategy="tensor"))
    config["config_groups"]["group_2"] = dict(targets=["Linear"], format="pack-quantized", weights=weights_args(bits=4, group=128))
    config["ignore"] = ["lm_head", "re:.*o_proj"]
    return config


def scheme_of(module, config):
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.utils.match import match_targets
    if any(match_targets(module, torch.nn.Linear(1, 1), [i]) for i in config["ignore"]):
        return None
    schemes = [QuantizationScheme(**{"format": config["format"]} | g) for g in config["config_groups"].values()]
    targets = [t for s in schemes for t in s.targets]
    best = match_targets(module, torch.nn.Linear(1, 1), targets)[0]
    return next(s for s in schemes if best in s.targets)


def compressed(module, w, config, dtype):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization.utils import calculate_qparams
    scheme = scheme_of(module, config)
    if scheme is None:
        return None
    args = scheme.weights
    n, k = w.shape
    if args.strategy == "group":
        parts = w.reshape(n, k // args.group_size, args.group_size)
        low, high = parts.amin(-1), parts.amax(-1)
    elif args.strategy == "block":
        rows, cols = (-(-d // b) for d, b in zip(w.shape, args.block_structure))
        parts = w.reshape(rows, n // rows, cols, k // cols)
        low, high = parts.amin((1, 3)), parts.amax((1, 3))
    else:
        whole = w if args.strategy == "channel" else w.reshape(1, -1)
        low, high = whole.amin(1, keepdim=True), whole.amax(1, keepdim=True)
    scale, zero = calculate_qparams(low, high, args)
    if args.strategy == "tensor":
        scale, zero = scale.reshape(1), zero.reshape(1)
    scale = scale.to(dtype)
    compressor = BaseCompressor.get_value_from_registry(scheme.format)
    state = compressor.compress(dict(weight=w, weight_scale=scale, weight_zero_point=zero), scheme)
    again = compressor.decompress(dict(state, weight_scale=scale.float()), scheme)["weight"]
    assert again.dtype == torch.float32
    return state, again


def bitsandbytes_config(kind, double=False):
    four = kind != "int8"
    return dict(quant_method="bitsandbytes", load_in_4bit=four, load_in_8bit=not four, bnb_4bit_quant_type=kind if four else "fp4",
                bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype="float32", bnb_4bit_quant_storage="uint8",
                llm_int8_threshold=6.0, llm_int8_has_fp16_weight=False, llm_int8_skip_modules=None,
                llm_int8_enable_fp32_cpu_offload=False)


def bitsandbytes(module, w, config, dtype):
    from bitsandbytes import functional as F
    if config["load_in_8bit"]:
        codes, stats, _ = F.int8_vectorwise_quant(w.half())
        return dict(weight=codes, SCB=stats, weight_format=torch.tensor(0, dtype=torch.uint8)), F.int8_vectorwise_dequant(codes, stats)
    codes, state = F.quantize_4bit(w.to(dtype), blocksize=64, quant_type=config["bnb_4bit_quant_type"],
                                   compress_statistics=config["bnb_4bit_use_double_quant"])
    parts = {f"weight.{k}": v for k, v in state.as_dict(packed=True).items()}
    state.dtype = torch.float32
    return dict(parts, weight=codes), F.dequantize_4bit(codes, state)
