#!/usr/bin/env python3
"""Makes the corpus of the safetensors, quantised, gguf and json_config fuzzers: small valid files for the mutations to start from.

    python3 tests/fuzz/make_corpus.py        writes tests/fuzz/corpus/{safetensors,quantised,gguf,json_config}/
"""
import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus"


def put(kind, name, data):
    path = OUT / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


# ---- safetensors
def safetensors(header, n_bytes):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(range(n_bytes))


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


put("safetensors", "one", safetensors({"a": tensor("F32", [2, 2], 0, 16)}, 16))
put("safetensors", "several", safetensors(
    {"__metadata__": {"format": "pt"}, "a": tensor("F32", [2], 0, 8), "s": tensor("BF16", [], 8, 10),
     "e": tensor("I64", [0, 3], 10, 10), "b": tensor("F8_E4M3", [3, 1, 2], 10, 16)}, 16))
put("safetensors", "empty", safetensors({}, 0))
put("safetensors", "index", json.dumps({"metadata": {"total_size": 8}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}))


# ---- quantised folders: a line of quantization_config, then the file
SIZES = {"F32": 4, "I32": 4, "I64": 8, "F16": 2, "BF16": 2, "U8": 1, "I8": 1, "F8_E4M3": 1}


def quantised(name, config, tensors):
    """tensors: name → (dtype, shape, bytes or None: counted)."""
    header, data = {}, b""
    for key, (dtype, shape, raw) in sorted(tensors.items(), key=lambda t: -SIZES[t[1][0]]):
        n = SIZES[dtype]
        for d in shape:
            n *= d
        raw = bytes(i % 100 for i in range(n)) if raw is None else raw
        assert len(raw) == n, (name, key)
        header[key] = tensor(dtype, shape, len(data), len(data) + n)
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    put("quantised", name, json.dumps(config).encode() + b"\n" + struct.pack("<Q", len(text)) + text + data)


def words(*values):
    return struct.pack(f"<{len(values)}i", *values)


quantised("gptq", {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "dynamic": {"-:x": {}}},
          {"a.qweight": ("I32", [8, 8], None), "a.qzeros": ("I32", [2, 1], None), "a.scales": ("F16", [2, 8], None),
           "a.g_idx": ("I32", [64], words(*(i % 2 for i in range(64))))})
quantised("gptq8", {"quant_method": "gptq", "bits": 8, "group_size": -1, "checkpoint_format": "gptq_v2"},
          {"a.qweight": ("I32", [8, 4], None), "a.qzeros": ("I32", [1, 1], None), "a.scales": ("F32", [1, 4], None)})
quantised("awq", {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"},
          {"a.qweight": ("I32", [32, 1], None), "a.qzeros": ("I32", [1, 1], None), "a.scales": ("F16", [1, 8], None)})
quantised("fp8", {"quant_method": "fp8", "weight_block_size": [2, 32]},
          {"a.weight": ("F8_E4M3", [3, 64], None), "a.weight_scale_inv": ("BF16", [2, 2], None)})
WEIGHTS = {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32}
quantised("packed", {"quant_method": "compressed-tensors", "format": "pack-quantized",
                     "config_groups": {"g": {"targets": ["re:a.*(b|c)?$"], "weights": WEIGHTS}}},
          {"a.weight_packed": ("I32", [2, 8], None), "a.weight_scale": ("BF16", [2, 2], None),
           "a.weight_zero_point": ("I32", [1, 2], None), "a.weight_shape": ("I64", [2], struct.pack("<2q", 2, 64)),
           "a.weight_g_idx": ("I32", [64], words(*(i % 2 for i in range(64))))})
quantised("by_rows", {"quant_method": "compressed-tensors", "format": "int-quantized",
                      "config_groups": {"g": {"targets": ["a"], "weights": {"num_bits": 8, "strategy": "channel"}},
                                        "f": {"targets": ["Linear"], "format": "float-quantized",
                                              "weights": {"num_bits": 8, "type": "float", "strategy": "block",
                                                          "block_structure": [2, 32]}}}},
          {"a.weight": ("I8", [2, 32], None), "a.weight_scale": ("F32", [2, 1], None),
           "b.weight": ("F8_E4M3", [2, 32], None), "b.weight_scale": ("F32", [1, 1], None)})
STATE = json.dumps({"shape": [2, 64], "blocksize": 64, "nested_blocksize": 256, "nested_offset": 0.5}).encode()
quantised("nf4", {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
          {"a.weight": ("U8", [64, 1], None), "a.weight.absmax": ("U8", [2], None), "a.weight.quant_map": ("F32", [16], None),
           "a.weight.nested_absmax": ("F32", [1], None), "a.weight.nested_quant_map": ("F32", [256], None),
           "a.weight.quant_state.bitsandbytes__nf4": ("U8", [len(STATE)], STATE)})
quantised("int8", {"quant_method": "bitsandbytes", "load_in_8bit": True},
          {"a.weight": ("I8", [2, 32], None), "a.SCB": ("F32", [2], None), "a.weight_format": ("U8", [], b"\0")})


# ---- GGUF
def string(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def kv(key, kind, value):
    code = {0: "B", 1: "b", 2: "H", 3: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", 10: "Q", 11: "q", 12: "d"}

    def encode(kind, value):
        if kind == STRING:
            return string(value)
        if kind == ARRAY:
            element, items = value
            return struct.pack("<IQ", element, len(items)) + b"".join(encode(element, i) for i in items)
        return struct.pack("<" + code[kind], value)

    return string(key) + struct.pack("<I", kind) + encode(kind, value)


def gguf(pairs, tensors, version=3, alignment=32):
    infos, data = b"", b""
    for name, dims, kind, raw in tensors:
        infos += string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        infos += struct.pack("<IQ", kind, len(data))
        data += raw + bytes(-len(raw) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(kv(*p) for p in pairs) + infos
    return head + (bytes(-len(head) % alignment) + data if tensors else b"")


def model(arch, extra=(), biases=False, norms=False, tied=True, rope_freqs=False, q8=False, experts=0, q8_norm=False):
    """2 heads, 1 kv head, 1 layer, vocabulary 5; small, so that mutations meet the metadata: hidden and ffn 8 (32 for blocks)."""
    d = 32 if q8 or q8_norm else 8
    pairs = [("general.architecture", STRING, arch), (f"{arch}.block_count", U32, 1), (f"{arch}.context_length", U32, 64),
             (f"{arch}.embedding_length", U32, d), (f"{arch}.feed_forward_length", U32, d),
             (f"{arch}.attention.head_count", U32, 2), (f"{arch}.attention.head_count_kv", U32, 1),
             (f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-6), (f"{arch}.rope.freq_base", F32, 10000.0),
             ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "qwen2"),
             ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b", "<|im_end|>", "ab", "<|endoftext|>"])),
             ("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 3, 1, 3])), ("tokenizer.ggml.merges", ARRAY, (STRING, ["a b"])),
             ("tokenizer.ggml.eos_token_id", U32, 2), ("tokenizer.chat_template", STRING, "{{ messages }}"), *extra]
    tensors = []

    def add(name, *dims):
        n = 1
        for d in dims:
            n *= d
        quantised = q8 and len(dims) == 2 or q8_norm and len(dims) == 1 and n % 32 == 0
        tensors.append((name, dims, 8 if quantised else 0, bytes(n // 32 * 34) if quantised else bytes(4 * n)))

    add("token_embd.weight", d, 5)
    add("output_norm.weight", d)
    if not tied:
        add("output.weight", d, 5)
    if rope_freqs:
        tensors.append(("rope_freqs.weight", (d // 4,), 0, struct.pack(f"<{d // 4}f", *range(1, d // 4 + 1))))
    layer = "blk.0."
    add(layer + "attn_norm.weight", d)
    for part, rows in (("q", d), ("k", d // 2), ("v", d // 2)):
        add(f"{layer}attn_{part}.weight", d, rows)
        if biases:
            add(f"{layer}attn_{part}.bias", rows)
    add(layer + "attn_output.weight", d, d)
    if norms:
        add(layer + "attn_q_norm.weight", d // 2)
        add(layer + "attn_k_norm.weight", d // 2)
    add(layer + "ffn_norm.weight", d)
    for part in ("gate", "up", "down"):
        add(f"{layer}ffn_{part}_exps.weight" if experts else f"{layer}ffn_{part}.weight", d, d, *([experts] if experts else []))
        if arch == "qwen2moe":
            add(f"{layer}ffn_{part}_shexp.weight", d, d)
    if experts:
        add(layer + "ffn_gate_inp.weight", d, experts)
    if arch == "qwen2moe":
        add(layer + "ffn_gate_inp_shexp.weight", d)
    return gguf(pairs, tensors)


put("gguf", "values", gguf(
    [("u8", 0, 1), ("i8", 1, -1), ("u16", 2, 2), ("i16", 3, -2), ("u32", U32, 3), ("i32", I32, -3), ("f32", F32, 0.5), ("yes", BOOL, 1),
     ("s", STRING, "text"), ("u64", 10, 4), ("i64", 11, -4), ("f64", 12, 0.25), ("strings", ARRAY, (STRING, ["a", "", "b"])),
     ("nested", ARRAY, (ARRAY, [(U32, [1, 2]), (STRING, ["x"])])), ("general.alignment", U32, 32)],
    [("t", (4,), 0, bytes(16)), ("q", (32, 2), 2, bytes(36))]))
# Every type that has blocks: id, elements and bytes of one.
TYPES = ((2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34), (10, 256, 84), (11, 256, 110), (12, 256, 144), (13, 256, 176),
         (14, 256, 210), (16, 256, 66), (17, 256, 74), (18, 256, 98), (19, 256, 50), (20, 32, 18), (21, 256, 110), (22, 256, 82),
         (23, 256, 136), (29, 256, 56), (34, 256, 54), (35, 256, 66), (39, 32, 17), (40, 64, 36), (41, 128, 18), (42, 64, 18))
put("gguf", "types", gguf([], [(f"blk.0.t{k}.weight", (n, 1), k, bytes((7 * i + k) % 256 for i in range(b))) for k, n, b in TYPES]))
put("gguf", "q8_norm", model("qwen3", norms=True, q8_norm=True, extra=[
    ("qwen3.attention.key_length", U32, 32), ("qwen3.attention.value_length", U32, 32)]))
put("gguf", "version2", gguf([("a", U32, 1)], [("t", (32,), 3, bytes(20))], version=2))
put("gguf", "llama", model("llama", tied=False, q8=True))
put("gguf", "llama_rope", model("llama", rope_freqs=True, biases=True))
put("gguf", "qwen2", model("qwen2", biases=True, extra=[
    ("qwen2.rope.scaling.type", STRING, "yarn"), ("qwen2.rope.scaling.factor", F32, 4.0),
    ("qwen2.rope.scaling.original_context_length", U32, 16), ("general.sampling.temp", F32, 0.7)]))
put("gguf", "qwen3", model("qwen3", norms=True, extra=[
    ("qwen3.attention.key_length", U32, 4), ("qwen3.attention.value_length", U32, 4), ("qwen3.attention.sliding_window", U32, 8),
    ("qwen3.attention.sliding_window_pattern", ARRAY, (BOOL, [1]))]))
for arch in ("qwen2moe", "qwen3moe"):
    put("gguf", arch, model(arch, biases=arch == "qwen2moe", norms=arch == "qwen3moe", experts=3, extra=[
        (f"{arch}.expert_count", U32, 3), (f"{arch}.expert_used_count", U32, 2), (f"{arch}.expert_feed_forward_length", U32, 8)]))

# ---- config.json and generation_config.json
base = dict(hidden_size=64, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=400,
            max_position_embeddings=512, rms_norm_eps=1e-6, hidden_act="silu", tie_word_embeddings=True, eos_token_id=362)
configs = {
    "llama": dict(base, model_type="llama", attention_bias=False, mlp_bias=True, head_dim=24, rope_parameters=dict(
        rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64)),
    "qwen2_hub": dict(base, model_type="qwen2", rope_theta=1e6, rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64),
                      use_sliding_window=True, sliding_window=16, max_window_layers=1, torch_dtype="bfloat16"),
    "qwen3": dict(base, model_type="qwen3", head_dim=32, attention_bias=True, sliding_window=16, use_sliding_window=True,
                  layer_types=["full_attention", "sliding_attention"], rope_parameters=dict(rope_type="default", rope_theta=1e6)),
    "qwen2_moe": dict(base, model_type="qwen2_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, qkv_bias=True,
                      shared_expert_intermediate_size=24, decoder_sparse_step=2, mlp_only_layers=[0], norm_topk_prob=False),
    "qwen3_moe": dict(base, model_type="qwen3_moe", num_local_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                      norm_topk_prob=True, output_router_logits=False, router_aux_loss_coef=0.001),
    "linear": dict(base, model_type="llama", rope_theta=1e4, rope_scaling=dict(rope_type="linear", factor=2.0)),
    "explicit": dict(base, model_type="llama", rope_parameters=dict(rope_type="explicit_factors", rope_theta=1e4, factors=[1.0] * 8)),
    "generation": dict(bos_token_id=1, eos_token_id=[2, 3], do_sample=True, temperature=0.7, top_p=0.8, top_k=20, min_p=0.0,
                       repetition_penalty=1.05),
}
for name, config in configs.items():
    put("json_config", name, json.dumps(config))
