"""Questions about qw itself and small talk, in English and Chinese; held out: wordings (frames and whole sentences)."""
from functools import cache

from .common import Example, Task, chat, load, rng_for, upper_first, user, vary


@cache
def intents():
    """(skill, id, language, trained wordings, unseen wordings, answer)."""
    spec = load("about.toml")
    out = []
    for intent in spec["intent"]:
        for language in ("en", "zh"):
            trained, unseen = list(intent.get(language, [])), list(intent.get(f"{language}_eval", []))
            for frame in ("do", "what"):
                for x in intent.get(f"{frame}_{language}", []):
                    trained += [upper_first(f.format(x=x)) for f in spec["frames"][frame][language]["train"]]
                    unseen += [upper_first(f.format(x=x)) for f in spec["frames"][frame][language]["eval"]]
            out.append(("about", intent["id"], language, trained, unseen, intent[f"{language}_answer"]))
    for talk in load("smalltalk.toml")["talk"]:
        for language in ("en", "zh"):
            out.append(("smalltalk", talk["id"], language, talk[language], talk[f"{language}_eval"], talk[f"{language}_answer"]))
    return out


def train(shard, exposures):
    """Each intent `exposures` times a shard."""
    rng = rng_for("about", shard)
    for skill, _, language, trained, _, answer in intents():
        for _ in range(int(exposures) + (rng.random() < exposures % 1)):
            text = rng.choice(trained)
            yield Example(skill, language, chat(vary(rng, text, language) if skill == "about" else text, answer))


def tasks():
    rng = rng_for("about", "eval")
    for skill, _, language, _, unseen, answer in intents():
        for text in rng.sample(unseen, min(2, len(unseen))):
            yield Task(skill, language, [user(text)], [answer], "equal")
