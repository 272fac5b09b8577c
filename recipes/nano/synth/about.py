"""Questions about qw itself and small talk, in English and Chinese; held out: wordings (frames and whole sentences)."""
from functools import cache

from . import stage, wording
from .common import Example, Task, chat, load, rng_for, upper_first, user


def intents():
    """(skill, id, language, trained wordings, trained things in frames, unseen wordings, answer)."""
    return intents_of(stage.now.many_wordings)


@cache
def intents_of(varied):
    spec = load("about.toml")
    out = []
    for intent in spec["intent"]:
        for language in ("en", "zh"):
            known = list(wording.trained(f"about.{intent['id']}.{language}", intent.get(language, []), varied))
            framed, unseen = [], list(intent.get(f"{language}_eval", []))
            for frame in ("do", "what"):
                frames = spec["frames"][frame][language]
                for x in intent.get(f"{frame}_{language}", []):
                    framed += [upper_first(f.format(x=x)) for f in wording.trained(f"frame.{frame}.{language}", frames["train"], varied)]
                    unseen += [upper_first(f.format(x=x)) for f in frames["eval"]]
            out.append(("about", intent["id"], language, known, framed, unseen, intent[f"{language}_answer"]))
    for talk in load("smalltalk.toml")["talk"]:
        for language in ("en", "zh"):
            known = wording.trained(f"talk.{talk['id']}.{language}", talk[language], varied)
            out.append(("smalltalk", talk["id"], language, known, [], talk[f"{language}_eval"], talk[f"{language}_answer"]))
    return out


@cache
def answered():
    """Every question that has an answer here, trained or not: asked nowhere else with another answer."""
    return {w for v in (False, True) for _, _, _, known, framed, unseen, _ in intents_of(v) for w in (*known, *framed, *unseen)}


def train(shard, exposures):
    """Each intent `exposures` times a shard; with many wordings, where frames outnumber them, whole wordings in four of ten."""
    rng = rng_for("about", shard)
    for skill, _, language, known, framed, _, answer in intents():
        for _ in range(int(exposures) + (rng.random() < exposures % 1)):
            pool = [*known, *framed]
            if stage.now.many_wordings and known and framed:
                pool = known if rng.random() < 0.4 else framed
            text = rng.choice(pool)
            yield Example(skill, language, chat(wording.vary(rng, text, language) if skill == "about" else text, answer))


def tasks():
    rng = rng_for("about", "eval")
    for skill, _, language, _, _, unseen, answer in intents():
        for text in rng.sample(unseen, min(2, len(unseen))):
            yield Task(skill, language, [user(text)], [answer], "equal")
