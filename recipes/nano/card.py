#!/usr/bin/env python3
"""The model card of nano, from what was measured: figures by skill and language, and failures as they are.

    python3 card.py RESULTS EVAL LOG… > ../../models/nano/README.md

RESULTS: of `qw eval`; EVAL: the folder of its tasks; LOG…: log.jsonl of each stage of the training.
"""
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
SKILLS = {
    "spell": "write a number in words, to 999,999", "read": "read a number in words", "compare": "which of two numbers is larger",
    "add": "sums to 99", "subtract": "differences to 99", "multiply": "products to 12 × 12",
    "calculator": "call the calculator with the right expression", "calculator_answer": "answer from its result",
    "clock": "call the clock", "clock_answer": "answer from its result",
    "tool_call": "call the right one of one to four unseen tools, arguments copied", "tool_answer": "answer from a tool's result",
    "no_tool": "decline where no tool fits", "followup": "a later turn that leans on an earlier one", "followup_tools": "the same, with a call",
    "mixed": "a question after a call", "mixed_tools": "a call after a question",
    "capital": "capital of a country", "capital_of": "country of a capital", "currency": "its currency", "continent": "its continent",
    "phone": "its calling code", "domain": "its internet domain", "definitions": "define a word of a list (1,000 English, 216 Chinese)",
    "dates": "days, months, leap years, units", "about": "about qw and itself", "smalltalk": "greetings and thanks",
    "refuse": "decline what it cannot know", "answerable": "not decline what it knows",
}
PER_SKILL, CUT = 2, 160


def load(results, tasks):
    files = sorted(Path(tasks).glob("*.jsonl"))
    asked = {}
    for f in files:
        for line in open(f, encoding="utf-8"):
            t = json.loads(line)
            if t["kind"] != "settings":
                asked[(f.name, t["id"])] = t
    lines = [json.loads(x) for x in open(results, encoding="utf-8")]
    names = [t["file"] for t in lines[0]["tasks"]]
    last = {(names[r["task"]], r["id"]): r for r in lines[1:]}  # an item that was tried again has several lines
    return lines[0], [(r, asked[key]) for key, r in last.items()]


def percent(rows):
    return 100 * sum(r["pass"] for r, _ in rows) / len(rows)


def skills_table(cells):
    print("| skill | English | 中文 |\n| --- | --- | --- |")
    for skill, says in SKILLS.items():
        show = [f"{percent(cells[skill, l]):.0f} % of {len(cells[skill, l])}" if (skill, l) in cells else "" for l in ("en", "zh")]
        print(f"| {says} | {show[0]} | {show[1]} |")


def languages_table(cells):
    rows = sorted(((percent(v), l, len(v)) for (s, l), v in cells.items() if s == "languages"), key=lambda x: (-x[0], x[1]))
    by = defaultdict(list)
    for p, l, _ in rows:
        by[f"{p:.0f} %"].append(l)
    print("| right | languages |\n| --- | --- |")
    for p, ls in by.items():
        print(f"| {p} | {' '.join(ls)} |")


def words_of(r, task):
    if task["kind"] == "tool_call":
        want = "; ".join(f"{c['name']} {json.dumps(c['arguments'], ensure_ascii=False)}" for c in task["tool_calls"]) or "no call"
    elif task["kind"] == "refusal":
        want = "to decline" if task["refuse"] else "an answer"
    else:
        want = task["answers"][0]
    calls = "; ".join(f"{c['name']} {json.dumps(c['arguments'], ensure_ascii=False)}" for c in r.get("calls", []))
    cut = lambda s: " ".join(s.split())[:CUT].replace("|", "\\|")
    return cut(task["messages"][-1]["content"]), cut(" ".join(filter(None, [r.get("answer", ""), calls]))) or "(nothing)", cut(want)


def failures_table(rows):
    print("| asked | said | wanted |\n| --- | --- | --- |")
    seen = defaultdict(int)
    for r, task in rows:
        if r["pass"] or seen[task["skill"]] >= PER_SKILL:
            continue
        seen[task["skill"]] += 1
        print("| " + " | ".join(words_of(r, task)) + " |")


def main():
    head, rows = load(sys.argv[1], sys.argv[2])
    log = [json.loads(x) for name in sys.argv[3:] for x in open(name)]
    cells = defaultdict(list)
    for r, task in rows:
        cells[task["skill"], task["language"]].append((r, task))
    below = sum(percent(v) < (95 if skill == "answerable" else 90) for (skill, _), v in cells.items())
    tokens = sum(x["tokens"] for x in log)
    hours = sum(x["tokens"] / x["tok_s"] for x in log if x["tok_s"] > 0) / 3600
    text = (HERE / "card.md").read_text(encoding="utf-8")
    parts = dict(TOKENS=f"{tokens / 1e6:.1f} million", STEPS=f"{len(log):,}", HOURS=f"{hours:.1f}", LOSS=f"{sum(x['loss'] for x in log[-100:]) / 100:.3f}",
                 TASKS=f"{len(rows):,}", CELLS=str(len(cells)), ABOVE=str(len(cells) - below), VERSION=head["qw"])
    tables = dict(SKILLS=lambda: skills_table(cells), LANGUAGES=lambda: languages_table(cells), FAILURES=lambda: failures_table(rows))
    for line in text.splitlines():
        name = line.strip("{}")
        if line.startswith("{{") and name in tables:
            tables[name]()
            continue
        for key, value in parts.items():
            line = line.replace("{{" + key + "}}", value)
        print(line)


if __name__ == "__main__":
    main()
