"""What every skill shares: seeded randomness, the built-in tools, chat messages and the two example types."""
import hashlib
import json
import os
import random
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("QW_NANO", HERE.parent.parent / "build/nano"))
SOURCES = WORK / "sources"

CALCULATOR = {"type": "function", "function": {
    "name": "calculator", "description": "Work out an arithmetic expression",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}}}
CLOCK = {"type": "function", "function": {
    "name": "clock", "description": "Current date and time",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": []}}}
BUILTIN = [CALCULATOR, CLOCK]
UNKNOWN = {"en": "I don't know.", "zh": "我不知道。"}
REFUSALS = ["I don't know", "I can't do that", "我不知道", "我做不到"]


@dataclass
class Example:
    """One training conversation. `joinable`: it may become a turn of a longer one and may be shown with unused tools."""
    skill: str
    language: str
    messages: list
    tools: list = field(default_factory=list)
    joinable: bool = True


@dataclass
class Task:
    """One line of an evaluation file, in the format of `qw eval`."""
    skill: str
    language: str
    messages: list
    answers: list = field(default_factory=list)
    match: str = "contains"
    tools: list = field(default_factory=list)
    tool_calls: list = field(default_factory=list)
    refuse: bool | None = None
    plain: bool = False  # true: never shown with unused tools

    def line(self, index):
        head = {"id": f"{self.skill}-{self.language}-{index:03d}", "skill": self.skill, "language": self.language,
                "messages": self.messages}
        if self.tools:
            head["tools"] = self.tools
        if self.tool_calls:
            return {"kind": "tool_call", **head, "tool_calls": self.tool_calls}
        if self.refuse is not None:
            return {"kind": "refusal", **head, "refuse": self.refuse}
        return {"kind": "exact", **head, "answers": self.answers, "match": self.match}


def rng_for(*names):
    """A generator of its own for each named use, so that changing one skill leaves the others as they are."""
    return random.Random(hashlib.sha256("/".join(map(str, names)).encode()).digest())


def held_out(*key, share=0.05):
    """The same `share` of all keys on every run: those go to the evaluation only."""
    digest = hashlib.sha256(("held out/" + "/".join(map(str, key))).encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def load(name):
    return tomllib.loads((HERE / "data" / name).read_text())


def table(name):
    """Rows of a tab-separated file under data/; lines that start with # are comments."""
    lines = (HERE / "data" / name).read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def call(name, arguments):
    return {"role": "assistant", "content": "",
            "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}]}


def tool_result(value):
    return {"role": "tool", "content": json.dumps(value, ensure_ascii=False)}


def chat(question, answer):
    return [user(question), assistant(answer)]


def upper_first(text):
    return text[:1].upper() + text[1:]


def expand(patterns, values):
    return [upper_first(p.format(**values)) for p in patterns]
