#!/usr/bin/env python3
"""Writes the training shards and the evaluation from the skills in synth/, the sources and data/; the same bytes on every run.
Plain shards have few wordings, for what is to be known; worded ones many, for how it may be asked; full ones many tools, too; the last ones
have more of what was still weak, and comparisons that are worked out; mixed ones questions and calls in one chat.

usage: synthesise.py [--out DIR] [--stage plain|worded|full|last|mixed] [--shards N]
"""
import argparse
import copy
import json
import tomllib
from pathlib import Path

from synth import about, calculator, clock, dates, definitions, facts, followup, languages, mixed, numbers, refuse, stage, sums, tools
from synth.common import BUILTIN, HERE, REFUSALS, WORK, Example, rng_for

STAGES = ("plain", "worded", "full", "last", "mixed")
LISTED = {"facts": facts, "languages": languages, "definitions": definitions, "about": about}
FRESH = {"tools": tools, "calculator": calculator, "clock": clock, "sums": sums, "numbers": numbers, "dates": dates, "refuse": refuse, "followup": followup}
SYSTEM = ["You are a helpful assistant.", "You are nano, a small model.", "Answer briefly.", "Be polite and short.", "You are an assistant with tools.",
          "你是一个有用的助手。", "请简短回答。", "你是nano。"]


def dress(rng, example, context):
    """The example as a line of JSON: at times with unused tools, at times with a system message."""
    messages, offered = example.messages, example.tools
    if not offered and (example.joinable or example.skill == "sums"):
        r = rng.random()
        if r < context["unused_tools"]:
            offered = BUILTIN
        elif r < context["unused_tools"] + context["other_tools"] and example.language in ("en", "zh"):
            offered = tools.offered(rng, tools.toolbox(rng, rng.choice(("en", "zh")), "train", 2))
    if rng.random() < context["system"]:
        messages = [{"role": "system", "content": rng.choice(SYSTEM)}, *messages]
    line = {"messages": messages}
    if offered:
        line["tools"] = offered
    return line


def join(rng, examples, share):
    """Puts `share` of the single questions into chats of two to four turns, mostly of one language."""
    rng.shuffle(examples)
    single = [e for e in examples if e.joinable]
    rest = [e for e in examples if not e.joinable]
    cut = int(len(single) * share)
    pool, rest = sorted(single[:cut], key=lambda e: e.language == "zh"), rest + single[cut:]
    while pool:
        take = [pool.pop() for _ in range(min(len(pool), rng.choice((2, 2, 3, 4))))]
        if rng.random() < 0.5:
            rng.shuffle(take)
        messages = [m for e in take for m in e.messages]
        rest.append(Example("joined", take[0].language, messages))
    rng.shuffle(rest)
    return rest


def shard(index, amounts, context):
    examples = []
    for name, exposures in amounts["exposures"].items():
        examples += LISTED[name].train(index, exposures)
    for name, count in amounts["count"].items():
        examples += FRESH[name].train(index, count)
    rng = rng_for("mix", index)
    joined = mixed.join if stage.now.mixed_chats else join
    for example in joined(rng, examples, context["joined"]):
        yield example.skill, dress(rng, example, context)


def with_tools(task, index):
    """Every second question of the skills without tools is asked with the two built-in ones on offer, as in `qw chat`."""
    if not task.plain and not task.tools and index % 2:
        task.tools = copy.deepcopy(BUILTIN)
    return task


def evaluation(folder):
    """One file a skill module; the first line holds the settings."""
    counts = {}
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"kind": "settings", "refusal_phrases": REFUSALS, "max_tokens": 96}
    for name, module in {**LISTED, **FRESH, "mixed": mixed}.items():
        with (folder / f"{name}.jsonl").open("w") as out:
            print(json.dumps(settings, ensure_ascii=False), file=out)
            for task in module.tasks():
                cell = (task.skill, task.language)
                counts[cell] = counts.get(cell, 0) + 1
                print(json.dumps(with_tools(task, counts[cell]).line(counts[cell]), ensure_ascii=False), file=out)
    with (folder / "answerable.jsonl").open("w") as out:
        print(json.dumps(settings, ensure_ascii=False), file=out)
        for task in answerable():
            task.skill, task.refuse, task.tool_calls = "answerable", False, []
            counts[task.skill, task.language] = counts.get((task.skill, task.language), 0) + 1
            print(json.dumps(with_tools(task, counts[task.skill, task.language]).line(counts[task.skill, task.language]), ensure_ascii=False), file=out)
    return counts


def answerable():
    """Questions of all skills that must not be declined: 150 a language."""
    for language in ("en", "zh"):
        pool = [t for m in (facts, definitions, about, sums, numbers, dates) for t in m.tasks() if t.language == language]
        yield from rng_for("answerable", language).sample(pool, 150)


def write(path, index, amounts, context):
    skills = {}
    with path.open("w") as out:
        for skill, line in shard(index, amounts, context):
            skills[skill] = skills.get(skill, 0) + 1
            print(json.dumps(line, ensure_ascii=False, separators=(",", ":")), file=out)
    print(f"{path.name}: {sum(skills.values())} chats {skills}", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=WORK)
    arguments.add_argument("--stage", choices=STAGES, help="that stage alone")
    arguments.add_argument("--shards", type=int, help="only so many of a stage")
    options = arguments.parse_args()
    mixture = tomllib.loads((HERE / "mixture.toml").read_text())
    counts = evaluation(options.out / "eval")
    print(f"{sum(counts.values())} evaluation tasks in {len(counts)} cells")
    data = options.out / "data"
    data.mkdir(parents=True, exist_ok=True)
    first = 0
    for name in STAGES:
        shards = mixture[name]["shards"]
        stage.begin(mixture[name].get("has", []))
        for index in range(min(shards, options.shards or shards) if options.stage in (None, name) else 0):
            write(data / f"{name}-{index:02d}.jsonl", first + index, mixture[name], mixture["context"] | mixture[name].get("context", {}))
        first += shards
    (HERE / "languages.tsv").write_text("\n".join(languages.coverage()) + "\n")


if __name__ == "__main__":
    main()
