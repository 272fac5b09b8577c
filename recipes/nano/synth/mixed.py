"""Chats as people have them: questions, sums and tools in turn. Training takes them from the other skills' examples; the evaluation asks what
follows a call, and what is called after a question."""
from . import about, calculator, clock, definitions, facts, numbers, sums
from .common import BUILTIN, Example, Task, assistant, rng_for

LONGEST = 1200  # characters of a chat, so that it fits into the training's sequences


def usable(example):
    """Those that decline for want of a tool stay alone: beside one they would be wrong."""
    return example.skill not in ("no_tool", "followup", "followup_tools") and (example.skill != "calculator" or len(example.messages) > 2)


def fits(chat, example):
    """One set of tools a chat; what is declined stands beside the built-in ones alone."""
    has = [e for e in (*chat, example) if e.tools]
    return len(has) < 2 and not (any(e.skill == "tools" for e in has) and any(e.skill == "refuse" for e in (*chat, example)))


def join(rng, examples, share):
    """Puts `share` of the examples into chats of two or three, mostly of one language."""
    rng.shuffle(examples)
    pool = [e for e in examples if usable(e)]
    rest = [e for e in examples if not usable(e)]
    cut = int(len(pool) * share)
    rest += pool[cut:]
    pool = sorted(pool[:cut], key=lambda e: e.language == "zh")
    while pool:
        chat, wanted = [pool.pop()], rng.choice((2, 2, 3))
        while pool and len(chat) < wanted and fits(chat, pool[-1]):
            chat.append(pool.pop())
        if len(str([e.messages for e in chat])) > LONGEST:
            rest += chat
            continue
        rng.shuffle(chat)
        messages = [m for e in chat for m in e.messages]
        offered = next((e.tools for e in chat if e.tools), [])
        rest.append(Example("joined", chat[0].language, messages, offered, joinable=not offered))
    rng.shuffle(rest)
    return rest


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("mixed", "eval", language)
        of = lambda *modules: [t for m in modules for t in m.tasks() if t.language == language]
        plain = [t for t in of(facts, definitions, about, numbers, sums) if t.answers]
        called = [t for t in of(calculator, clock) if t.tool_calls]
        answered = [t for t in of(calculator, clock) if t.answers]
        for question, tool in zip(rng.sample(plain, 60), rng.choices(answered, k=60)):
            yield Task("mixed", language, [*tool.messages, assistant(tool.answers[0]), *question.messages], question.answers, question.match,
                       tools=list(BUILTIN), plain=True)
        for question, tool in zip(rng.sample(plain, 60), rng.sample(called, 60)):
            yield Task("mixed_tools", language, [*question.messages, assistant(question.answers[0]), *tool.messages], tools=list(BUILTIN),
                       tool_calls=tool.tool_calls, plain=True)
