#!/usr/bin/env python3
"""Proves of the written data: no evaluation prompt stands in the training (conversation up to the answer, compared without case, spaces,
marks and openers), no lone question has two different answers in one stage, but for those that depend on the tools on offer
(later stages work comparisons out), and no slot of a wording was left open. Exits 1 otherwise."""
import json
import re
import sys

from synth.common import WORK
from synth.wording import OPENERS

OPENING = re.compile("^(?:" + "|".join(sorted((re.escape(o.strip().rstrip(",，:：!")) for o in OPENERS["en"] + OPENERS["zh"]), key=len, reverse=True)) + r")[,，:：! ]*(?=.{4})", re.I)


SLOT = re.compile(r"\{\w+\}")


def plain(text):
    text = re.sub(r"(, please| please|\? Thanks|\? Thank you|？谢谢|？请回答)[?.。]*$", "", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", "", OPENING.sub("", text))
    return re.sub(r"[\s?？。!！,，;；“”\"'’]+", "", text).lower()


def key(messages):
    """What stands before an answer: calls and results count with their content, system messages do not."""
    parts = []
    for m in messages:
        if m["role"] != "system":
            parts.append(plain(m["content"]) + "".join(json.dumps(c["function"]["arguments"], sort_keys=True) for c in m.get("tool_calls", [])))
    return "|".join(parts)


def main():
    prompts = {}
    for path in sorted((WORK / "eval").glob("*.jsonl")):
        for number, line in enumerate(path.open(), 1):
            task = json.loads(line)
            if task["kind"] != "settings":
                prompts.setdefault(key(task["messages"]), f"{path.name}:{number}")
    leaks, answers, contradictions, unfilled, lines = {}, {}, {}, [], 0
    for path in sorted((WORK / "data").glob("*.jsonl")):
        stage = path.name.split("-")[0]
        for line in path.open():
            chat, lines = json.loads(line), lines + 1
            messages = [m for m in chat["messages"] if m["role"] != "system"]
            unfilled += [m["content"] for m in messages if m["role"] == "user" and SLOT.search(m["content"])]
            for i, m in enumerate(messages):
                if m["role"] != "assistant":
                    continue
                start = i - 1 if messages[i - 1]["role"] == "user" else i - 3
                question = key(messages[max(start, 0):i])
                for k in (question, key(messages[:i])):
                    if k in prompts:
                        leaks[prompts[k]] = k
                if messages[i - 1]["role"] == "user":
                    question = question if i == 1 else key(messages[:i])
                    names = {t["function"]["name"] for t in chat.get("tools", [])}
                    shown = "calculator" in names, chat["tools"] if names - {"calculator", "clock"} else []
                    answer = m["content"] or json.dumps(m["tool_calls"])
                    other = answers.setdefault((stage, question, str(shown)), answer)
                    if other != answer:
                        contradictions[question] = (other, answer)
    print(f"{lines} chats, {len(prompts)} evaluation prompts, {len(leaks)} of them in the training, {len(contradictions)} contradictions, {len(unfilled)} unfilled")
    for name, text in list(leaks.items())[:20]:
        print(f"leak: {name}: {text}")
    for question, (a, b) in list(contradictions.items())[:40]:
        print(f"contradiction: {question}: {a} / {b}")
    for text in unfilled[:20]:
        print(f"unfilled: {text}")
    sys.exit(bool(leaks or contradictions or unfilled))


if __name__ == "__main__":
    main()
