#!/usr/bin/env python3
"""Writes the text that the tokenizer is trained on, and counts tokens: per skill of a shard, and the longest chat.

usage: measure.py corpus            data/tokenizer.txt: the rendered chats of the first plain shards without the marks of the template; a space
                                    before a letter is made a line break, so that no token joins the two: then a word has the same
                                    tokens in a sentence and in the JSON of a tool call, and copying it is easy
       measure.py count [TOKENIZER] tokens of every shard by kind of chat
"""
import json
import re
import sys

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from synth.common import HERE, WORK

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]


def renderer():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string((HERE / "chat_template.jinja").read_text())
    return lambda line: template.render(messages=line["messages"], tools=line.get("tools"), add_generation_prompt=False)


def shards(stage="*"):
    return sorted((WORK / "data").glob(f"{stage}-*.jsonl"))


def corpus():
    render, marks = renderer(), re.compile("|".join(map(re.escape, SPECIAL + TAGS)))
    with (WORK / "data/tokenizer.txt").open("w") as out:
        for path in shards("plain")[:2]:
            for line in path.open():
                text = marks.sub("\n", render(json.loads(line)))
                out.write(re.sub(r" (?=[^\W\d_])", "\n", text))


def count(path):
    tokenizer, render = Tokenizer.from_file(path), renderer()
    total = 0
    for shard in shards():
        lines = [json.loads(line) for line in shard.open()]
        lengths = [len(e.ids) for e in tokenizer.encode_batch_fast([render(line) for line in lines], add_special_tokens=False)]
        calls = sum(n for n, line in zip(lengths, lines) if any("tool_calls" in m for m in line["messages"]))
        total += sum(lengths)
        print(f"{shard.name}: {len(lines)} chats, {sum(lengths)} tokens, {100 * calls / sum(lengths):.0f} % in tool conversations, "
              f"mean {sum(lengths) / len(lines):.0f}, longest {max(lengths)}", flush=True)
    print(f"total {total} tokens")


def main():
    match sys.argv[1:]:
        case ["corpus"]:
            corpus()
        case ["count", *rest]:
            count(rest[0] if rest else str(WORK / "base/tokenizer.json"))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
