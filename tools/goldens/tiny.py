"""What every golden shares: the tiny tokenizer, the table of cases, random weights, and config.json in the hub's spelling.

Read by generate.py; see README.md. Runs in the reference environment (transformers 5.12, torch 2.14, tokenizers 0.23).
"""
import argparse
import json
import math
import os
import zlib
from dataclasses import dataclass, field

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import (LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)
from transformers.utils import logging

logging.disable_progress_bar()

VOCAB = 320          # rows of embedding and head; ids from 316 up have no token, as in padded real vocabularies
N_TEXT = 304         # 256 bytes and 48 merges
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>",
            "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
PLAIN = SPECIALS[6:]  # added tokens that are not special: kept by skip_special_tokens
ID = {t: N_TEXT + i for i, t in enumerate(SPECIALS)}
# the Split expression of Qwen2, 2.5 and 3
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = """The river runs past the old mill, and the miller's daughter reads there in the evening.
user
assistant
system
What is the answer? The answer is that there are many rivers, and each of them is the same river again.
for (size_t i = 0; i < rows; ++i) out[i] = in[i] * scale + shift;  // return the result
Der Fluss fließt am alten Haus vorbei. La rivière passe devant le moulin. 河は古い水車のそばを流れる。小河流过老磨坊。
"""
CHAT_TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                 "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def build_tokenizer():
    """Byte-level BPE of the Qwen2 kind, trained on CORPUS."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=N_TEXT, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    assert tok.get_vocab_size() == N_TEXT
    tok.add_tokens([AddedToken(t, normalized=False, special=t not in PLAIN) for t in SPECIALS])
    assert all(tok.token_to_id(t) == i for t, i in ID.items())
    return tok


def write_tokenizer(folder):
    os.makedirs(folder, exist_ok=True)
    fast = PreTrainedTokenizerFast(tokenizer_object=build_tokenizer(), eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                   model_max_length=4096, clean_up_tokenization_spaces=False)
    fast.save_pretrained(folder)
    for stray in ("chat_template.jinja", "special_tokens_map.json"):
        if os.path.exists(os.path.join(folder, stray)):
            os.remove(os.path.join(folder, stray))
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None,
              "unk_token": None, "add_bos_token": False, "add_prefix_space": False, "clean_up_tokenization_spaces": False,
              "errors": "replace", "model_max_length": 4096, "split_special_tokens": False, "chat_template": CHAT_TEMPLATE,
              "added_tokens_decoder": {str(i): {"content": t, "lstrip": False, "rstrip": False, "single_word": False,
                                                "normalized": False, "special": t not in PLAIN} for t, i in ID.items()}}
    dump_json(os.path.join(folder, "tokenizer_config.json"), config, indent=1)
    path = os.path.join(folder, "tokenizer.json")
    dump_json(path, json.load(open(path, encoding="utf-8")))


def dump_json(path, value, indent=None):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        json.dump(value, f, indent=indent, ensure_ascii=False, separators=None if indent else (",", ":"))
        f.write("\n")


def rewrite_manifest(doc, change, seed=None):
    """What a script for some of the goldens does when it is run: the lists that change(manifest, arguments) answers go
    into DATA/manifest.json. `seed`: the default of --seed, where the script has one."""
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    if seed is not None:
        ap.add_argument("--seed", type=int, default=seed)
    a = ap.parse_args()
    torch.set_num_threads(1)
    path = os.path.join(a.data, "manifest.json")
    manifest = json.load(open(path))
    manifest.update(change(manifest, a))
    dump_json(path, manifest, indent=1)


# ---- cases ------------------------------------------------------------------------------------------------------------
@dataclass
class Case:
    name: str
    model: type
    config: object
    covers: str
    dtype: torch.dtype = torch.float32
    shard: str | None = None            # max_shard_size of save_pretrained
    legacy: dict = field(default_factory=dict)   # keys of config.legacy.json that differ from the common rule
    attempt: int = 0                    # where the search for a safe seed begins: earlier ones are known not to be
    keep: bool = True                   # False: only made for its GGUF files


def rope(theta=1e6, kind="default", **more):
    return dict(rope_type=kind, rope_theta=theta, **more)


def cases():
    common = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None, eos_token_id=ID["<|im_end|>"],
                  pad_token_id=ID["<|endoftext|>"], tie_word_embeddings=False, rope_parameters=rope())

    def case(name, family, covers, extra=(), **own):
        model, config = {"qwen2": (Qwen2ForCausalLM, Qwen2Config), "qwen3": (Qwen3ForCausalLM, Qwen3Config),
                         "llama": (LlamaForCausalLM, LlamaConfig)}[family]
        settings = {**common, **({"head_dim": 16} if family == "qwen3" else {}), **own}
        return Case(name, model, config(**settings), covers, **dict(extra))

    yarn = lambda theta, original: rope(theta, "yarn", factor=4.0, original_max_position_embeddings=original)
    llama3 = rope(5e5, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
    # hub configs of Qwen2 name a window although use_sliding_window is false: it must not be used
    unused_window = {"sliding_window": 8, "max_window_layers": 1, "use_sliding_window": False}
    return [
        case("qwen2_tied", "qwen2", "tied head, QKV bias; unused sliding_window in the hub config",
             dict(legacy=unused_window), tie_word_embeddings=True),
        case("qwen2_untied", "qwen2", "one KV head, rms_norm_eps 1e-5; two safetensors parts with an index",
             dict(shard="100KB"), num_key_value_heads=1, rms_norm_eps=1e-5),
        case("qwen2_sliding", "qwen2", "layer 0 full, layers 1 and 2 with a window of 16 that counts the query",
             num_hidden_layers=3, use_sliding_window=True, sliding_window=16, max_window_layers=1, tie_word_embeddings=True),
        case("qwen2_yarn", "qwen2", "YaRN factor 4 from 48, at every length", rope_parameters=yarn(1e4, 48),
             max_position_embeddings=192, tie_word_embeddings=True),
        case("qwen2_f16", "qwen2", "weights in f16", dict(dtype=torch.float16), tie_word_embeddings=True),
        case("qwen3_tied", "qwen3", "q and k norm, head_dim 16 where hidden / heads is 8", tie_word_embeddings=True),
        case("qwen3_untied", "qwen3", "untied head"),
        case("qwen3_headdim", "qwen3", "6 heads of 24, hidden 32: q is 144 wide", head_dim=24, num_attention_heads=6,
             tie_word_embeddings=True),
        case("qwen3_bias", "qwen3", "attention_bias on q, k, v and o", attention_bias=True, tie_word_embeddings=True),
        case("qwen3_bf16", "qwen3", "weights in bf16", dict(dtype=torch.bfloat16), tie_word_embeddings=True),
        case("qwen3_yarn", "qwen3", "YaRN factor 4 from 64", rope_parameters=yarn(1e6, 64), max_position_embeddings=256,
             head_dim=32, tie_word_embeddings=True),
        case("qwen3_sliding", "qwen3", "layer 0 full, layers 1 and 2 with a window of 24", num_hidden_layers=3,
             use_sliding_window=True, sliding_window=24, max_window_layers=1, tie_word_embeddings=True),
        case("llama", "llama", "plain", rope_parameters=rope(1e4)),
        case("llama3_rope", "llama", "llama3 rope scaling, factor 8 from 64", rope_parameters=llama3, tie_word_embeddings=True),
        case("llama_linear", "llama", "linear rope scaling, factor 2", rope_parameters=rope(1e4, "linear", factor=2.0),
             tie_word_embeddings=True),
        case("llama_bias", "llama", "attention_bias, mlp_bias, head_dim 12", attention_bias=True, mlp_bias=True, head_dim=12,
             rope_parameters=rope(1e4), tie_word_embeddings=True),
        case("llama_blocks", "llama", "rows of two and three blocks of 32", dict(keep=False), hidden_size=64,
             intermediate_size=96, rope_parameters=rope(1e4), tie_word_embeddings=True),
    ]


# ---- weights ----------------------------------------------------------------------------------------------------------
def seed_of(base, name, attempt):
    return zlib.crc32(f"{base}/{name}/{attempt}".encode()) & 0x7FFFFFFF


def fill(model, seed):
    """Random weights under which every parameter shows in the logits (their standard deviation is about 3).

    Rows of ids without a text are small in the head, so that greedy text never holds a special token.
    """
    rng = torch.Generator().manual_seed(seed)
    tied = model.config.tie_word_embeddings
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=rng)
            if "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                p.copy_(0.15 * noise)
            elif "embed_tokens" in name:
                p.copy_(0.5 * noise)
            else:
                p.copy_((4.0 if "lm_head" in name else 1.4) / math.sqrt(p.shape[-1]) * noise)
            if "lm_head" in name or (tied and "embed_tokens" in name):
                p[N_TEXT:] *= 0.25
    return model


def build(case, seed):
    config = type(case.config).from_dict(case.config.to_dict())
    config._attn_implementation = "eager"
    model = fill(case.model(config).eval(), seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(case.dtype).to(torch.float32))
    return model


# ---- config.json as checkpoints on the hub have it ----------------------------------------------------------------------
def legacy_config(config, changes):
    """The transformers 4 spelling of a transformers 5 config: rope_theta, rope_scaling, torch_dtype, no layer_types."""
    old = {k: v for k, v in config.items() if k not in ("rope_parameters", "dtype", "layer_types")}
    old["torch_dtype"] = config["dtype"]
    scaling = dict(config["rope_parameters"])
    old["rope_theta"] = scaling.pop("rope_theta")
    kind = scaling.pop("rope_type")
    # Llama 3.1 and Qwen3 say rope_type, older checkpoints (linear; YaRN of Qwen2.5) say type
    key = "rope_type" if kind == "llama3" or config["model_type"].startswith("qwen3") else "type"
    old["rope_scaling"] = None if kind == "default" else {key: kind, **scaling}
    if config["model_type"] == "llama":
        old["pretraining_tp"] = 1
        if old["head_dim"] * old["num_attention_heads"] == old["hidden_size"]:
            old.pop("head_dim")     # Llama 3 has none on the hub
    if "num_local_experts" in old:
        old["num_experts"] = old.pop("num_local_experts")
    old.update(changes)
    old["transformers_version"] = "4.51.0"
    return dict(sorted(old.items()))
