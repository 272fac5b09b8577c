#!/usr/bin/env python3
"""Goldens of embedding, ranking and scores: scoring/<case>/ with expected.json, and their entries in the manifest.

    python3 scoring.py DATA [--seed N]       # DATA is tests/golden/data; only these cases are written

Tiny bodies of one layer by transformers. Embeddings: the last hidden state of the last token (the tokenizer's own rule ends every
text with <|endoftext|>, as Qwen3-Embedding's does), the mean, and the first 8 numbers, at length 1. Ranking: softmax of
the logits of "no" and "yes" behind the prompt of Qwen3-Reranker's model card. Heads: Qwen2ForSequenceClassification by
transformers, the two of Qwen2.5-Math (score.0, ReLU, score.2; PRM: softmax at every <extra_0>) put together here as their code does.
"""
import os
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, processors
from transformers import (Qwen2Config, Qwen2ForSequenceClassification, Qwen2Model, Qwen3Config, Qwen3ForCausalLM, Qwen3Model)

from tiny import VOCAB, build_tokenizer, dump_json, fill, rewrite_manifest, rope

SEED = 20261122
TEXTS = ["the river runs past the old mill", "What is the answer?", "a", "Der Fluss fließt am alten Haus vorbei. " * 4, "你好，世界。"]
TASK = "Given a web search query, retrieve relevant passages that answer the query"
PREFIX = ('<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. '
          'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n')
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
SIZES = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512, bos_token_id=None, eos_token_id=306, pad_token_id=304)
QWEN3 = dict(head_dim=16, tie_word_embeddings=True, rope_parameters=rope())


def tokenizer_with(extra, ends):
    tok = build_tokenizer()
    tok.add_tokens([AddedToken(t, normalized=False, special=False) for t in extra])
    if ends:
        tok.post_processor = processors.TemplateProcessing(
            single="$A <|endoftext|>", pair="$A $B <|endoftext|>", special_tokens=[("<|endoftext|>", 304)])
    return tok


def write(root, name, model, config, tok, expected, files=()):
    folder = os.path.join(root, "scoring", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(weights, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    dump_json(os.path.join(folder, "config.json"), config, indent=1)
    tok.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    dump_json(os.path.join(folder, "expected.json"), expected, indent=1)
    for path, value in files:
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        dump_json(os.path.join(folder, path), value, indent=1)
    found = sorted(os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(folder) for f in fs)
    return dict(name=name, files=found)


def named(config, architecture):
    return config.to_dict() | dict(architectures=[architecture])


def unit(v):
    return (v / v.norm()).tolist()


def embedding(root, seed):
    config = Qwen3Config(**SIZES, **QWEN3)
    model, tok = fill(Qwen3Model(config).eval(), seed), tokenizer_with([], True)
    prompt = f"Instruct: {TASK}\nQuery:"
    res = dict(task=TASK, texts=TEXTS, last=[], mean=[], dim8=[], query=[])
    for text in TEXTS:
        x = model(torch.tensor([tok.encode(text).ids])).last_hidden_state[0]
        res["last"].append(unit(x[-1]))
        res["mean"].append(unit(x.mean(0)))
        res["dim8"].append(unit(x[-1, :8]))
        res["query"].append(unit(model(torch.tensor([tok.encode(prompt + text).ids])).last_hidden_state[0, -1]))
    module = "sentence_transformers.models."
    files = [("modules.json", [dict(idx=0, name="0", path="", type=module + "Transformer"),
                               dict(idx=1, name="1", path="1_Pooling", type=module + "Pooling"),
                               dict(idx=2, name="2", path="2_Normalize", type=module + "Normalize")]),
             ("1_Pooling/config.json", dict(word_embedding_dimension=32, pooling_mode_cls_token=False, pooling_mode_mean_tokens=False,
                                            pooling_mode_lasttoken=True, include_prompt=True)),
             ("config_sentence_transformers.json", dict(prompts=dict(query=prompt, document=""), default_prompt_name=None,
                                                        similarity_fn_name="cosine"))]
    return write(root, "embedding", model, named(config, "Qwen3ForCausalLM"), tok, res, files)


def reranker(root, seed):
    config = Qwen3Config(**SIZES, **QWEN3)
    model, tok = fill(Qwen3ForCausalLM(config).eval(), seed), tokenizer_with(["yes", "no"], False)
    res = dict(query="which river?", documents=TEXTS, scores=[])
    ids = lambda text: tok.encode(text, add_special_tokens=False).ids
    for text in TEXTS:
        body = f"<Instruct>: {TASK}\n<Query>: {res['query']}\n<Document>: {text}"
        logits = model(torch.tensor([ids(PREFIX) + ids(body) + ids(SUFFIX)])).logits[0, -1]
        res["scores"].append(float(torch.stack([logits[tok.token_to_id("no")], logits[tok.token_to_id("yes")]]).softmax(0)[1]))
    return write(root, "reranker", model, named(config, "Qwen3ForCausalLM"), tok, res)


def classifier(root, seed):
    config = Qwen2Config(**SIZES, rope_parameters=rope(), num_labels=3, tie_word_embeddings=False)
    model, tok = fill(Qwen2ForSequenceClassification(config).eval(), seed), tokenizer_with([], False)
    scores = [model(torch.tensor([tok.encode(t).ids])).logits[0].tolist() for t in TEXTS]
    return write(root, "classifier", model, named(config, "Qwen2ForSequenceClassification"), tok, dict(texts=TEXTS, scores=scores))


class Reward(torch.nn.Module):
    """Qwen2ForRewardModel and Qwen2ForProcessRewardModel: the body, and two layers."""

    def __init__(self, config, labels):
        super().__init__()
        self.config = config
        self.model = Qwen2Model(config)
        self.score = torch.nn.Sequential(torch.nn.Linear(config.hidden_size, config.hidden_size), torch.nn.ReLU(),
                                         torch.nn.Linear(config.hidden_size, labels))

    def forward(self, ids):
        return self.score(self.model(torch.tensor([ids])).last_hidden_state)[0]


def reward(root, seed, name, architecture, labels, texts, rows_of, shown):
    config = Qwen2Config(**SIZES, rope_parameters=rope(), tie_word_embeddings=False)
    model, tok = fill(Reward(config, labels).eval(), seed), tokenizer_with(["<extra_0>"], False)
    scores = []
    for text in texts:
        ids = tok.encode(text).ids
        scores.append(shown(model(ids)[rows_of(ids, tok.token_to_id("<extra_0>"))]))
    return write(root, name, model, named(config, architecture), tok, dict(texts=texts, scores=scores))


@torch.no_grad()
def write_cases(root, seed):
    steps = [t + "<extra_0>" + t[:3] + "<extra_0>" for t in TEXTS]
    return [
        embedding(root, seed), reranker(root, seed + 1), classifier(root, seed + 2),
        reward(root, seed + 3, "reward", "Qwen2ForRewardModel", 1, TEXTS, lambda ids, _: -1, lambda x: x.tolist()),
        reward(root, seed + 4, "process_reward", "Qwen2ForProcessRewardModel", 2, steps,
               lambda ids, step: torch.tensor([i == step for i in ids]), lambda x: x.softmax(-1)[:, 1].tolist())]


if __name__ == "__main__":
    rewrite_manifest(__doc__, lambda manifest, a: dict(scoring=write_cases(a.data, a.seed)), SEED)
