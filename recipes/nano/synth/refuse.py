"""Questions that the model must not answer: people, news, opinions, health, code, poems, unknown places and words … The answer is always
"I don't know"; held out: wordings and names."""
from functools import cache

from . import about, definitions, values
from .common import UNKNOWN, Example, Task, chat, held_out, load, rng_for, upper_first, user
from .facts import countries, load_cached
from .wording import trained, vary


@cache
def spec():
    return load("refuse.toml")


def asks(language, split):
    return spec()[language]["ask_eval"] if split else trained(f"refuse.{language}", spec()[language]["ask"])


@cache
def other_words():
    """English nouns that are not among the definitions."""
    known = definitions.known()["en"]
    return [w for w in values.english_words() if w not in known]


@cache
def city_names():
    capitals = {fact[l].get("capital") for fact in countries().values() for l in ("en", "zh")}
    names = {fact[l]["c"] for fact in countries().values() for l in ("en", "zh")}
    return {l: [c for c in values.cities(l) if c not in capitals and c not in names] for l in ("en", "zh")}


def new_word(rng):
    """Invented, and not by chance a word or a country that is known."""
    while (word := values.invented(rng)) in definitions.known()["en"]:
        pass
    return word


def slot(rng, name, language):
    if name == "place":
        if language == "zh":
            return rng.choice(city_names()["zh"]) if rng.random() < 0.4 else "".join(rng.choice("卡萨罗比托维尼多拉莫塔科雷贡佩洛") for _ in range(rng.randint(2, 4))) + rng.choice(("", "国", "尼亚", "斯坦"))
        return rng.choice(city_names()["en"]) if rng.random() < 0.4 else new_word(rng).capitalize() + rng.choice(("", "ia", "stan", "land", "any"))
    if name == "unknown":
        return rng.choice(spec()[language]["unknown_words"]) if language == "zh" else (rng.choice(other_words()) if rng.random() < 0.85 else new_word(rng))
    if name in spec()[language]:
        return rng.choice(spec()[language][name])
    return str(values.draw(rng, name, language))


def fill(rng, form, language):
    while "{" in form:
        name = form[form.index("{") + 1:form.index("}")]
        form = form.replace("{" + name + "}", slot(rng, name, language), 1)
    return upper_first(form)


def gibberish(rng, language):
    if language == "zh":
        return "".join(rng.choice(values.lists("zh")["characters"]) for _ in range(rng.randint(3, 7)))
    return " ".join(values.invented(rng) for _ in range(rng.randint(1, 4)))


def question(rng, language, split):
    """Nonsense at times; else a form of its own, a word that is not defined, a fact of a place that is no country we know."""
    kind = rng.random()
    if kind < 0.03:
        return gibberish(rng, language)
    if kind < 0.62:
        return fill(rng, rng.choice(asks(language, split)), language)
    if kind < 0.84:
        form = rng.choice(definitions.forms(language, split))
        word = slot(rng, "unknown", language)
        return definitions.question(form, word, language)
    relation = rng.choice([r for r in load_cached() if r != "capital_of"])
    plain = load_cached()[relation][language][("train", "eval")[split]]
    form = rng.choice(plain if split else trained(f"{relation}.{language}", plain))
    return upper_first(form.format(c=slot(rng, "place", language)))


def fresh(rng, language, split):
    while True:
        text = question(rng, language, split)
        if text not in about.answered() and (held_out("refuse", text.lower()) or split == 1) == bool(split):
            return text


def train(shard, count):
    rng = rng_for("refuse", shard)
    for _ in range(count):
        language = rng.choice(("en", "zh"))
        text = fresh(rng, language, 0)
        yield Example("refuse", language, chat(vary(rng, text, language), UNKNOWN[language]))


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("refuse", "eval", language)
        seen = set()
        while len(seen) < 150:
            text = fresh(rng, language, 1)
            if text not in seen:
                seen.add(text)
                yield Task("refuse", language, [user(text)], refuse=True)
