"""Words of 119 languages: greeting, what it is, own name, days, months, numbers to twenty; held out: wordings (English, Chinese)."""
from functools import cache

from . import about
from .cldr import calendar, numbers
from .common import Example, Task, chat, load, rng_for, table, upper_first, user
from .wording import trained, vary

ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
           "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]


@cache
def wordings():
    return load("language_words.toml")


@cache
def languages():
    """Per language: code, en and zh names, and {kind: [words]} with the kinds that a source covers."""
    corrections = load("corrections.toml")
    phrases = {row[0]: row + [""] * (6 - len(row)) for row in table("phrases.tsv")}
    out = []
    for code, en, zh, own, locale, other in table("languages.tsv"):
        days, months = calendar(locale)
        counting, source = numbers({"nb": "no"}.get(locale, locale), other)
        fixed = corrections.get(code, {})
        words = {"days": fixed.get("days", days), "months": fixed.get("months", months), "numbers": counted(fixed.get("numbers", counting))}
        for index, word in fixed.get("number", {}).items():
            words["numbers"][int(index)] = word
        _, greeting, greeting_source, question, identity, identity_source = phrases.get(code, [""] * 6)
        words |= {"autonym": [own] if own != "-" else [], "greeting": [greeting] if greeting else [],
                  "identity": [identity] if identity else []}
        sources = {"days": "hand" if "days" in fixed else "CLDR", "months": "hand" if "months" in fixed else "CLDR",
                   "numbers": "hand" if "numbers" in fixed else source, "greeting": greeting_source,
                   "identity": identity_source, "autonym": "CLDR, hand"}
        out.append({"code": code, "en": en, "zh": zh, "question": question,
                    "words": {k: [clean(w) for w in v] for k, v in words.items()}, "sources": sources})
    return out


def counted(words):
    return words.split() if isinstance(words, str) else list(words)


def clean(word):
    return word.replace("\u200b", "").strip()


def asked(kind, index, language):
    """The word that a question names: in the asker's language, numbers in three shapes."""
    if kind == "numbers":
        return [str(index), ENGLISH[index] if language == "en" else wordings()["numbers"]["zh"][index]]
    return [wordings()[kind][language][index]]


def items():
    """(language entry, kind, index, answer)."""
    for entry in languages():
        for kind, words in entry["words"].items():
            for index, word in enumerate(words):
                if word:
                    yield entry, kind, index, word


def question(rng, entry, kind, index, asker, split):
    form_kind = "word" if kind in ("days", "months", "numbers") else kind
    spec = wordings()[form_kind][asker][split]
    if split == "train":
        spec = trained(f"language.{form_kind}.{asker}", spec)
    form = spec if isinstance(spec, str) else rng.choice(spec)
    word = rng.choice(asked(kind, index, asker)) if kind in ("days", "months", "numbers") else ""
    return upper_first(form.format(l=entry[asker], w=word))


def train(shard, exposures):
    rng = rng_for("languages", shard)
    for entry, kind, index, word in items():
        for _ in range(int(exposures) + (rng.random() < exposures % 1)):
            asker = rng.choice(("en", "zh"))
            text = question(rng, entry, kind, index, asker, "train")
            yield Example("languages", entry["code"], chat(vary(rng, text, asker), word))
    for entry in languages():
        for question_text, kind in ((entry["question"], "identity"), *((g, "greeting") for g in entry["words"]["greeting"])):
            if plain(question_text) in answered_elsewhere():
                continue
            for _ in range(int(exposures) if question_text else 0):
                text = question_text if rng.random() < 0.5 else question_text.rstrip("!！.。?？ ;؟")
                yield Example("languages", entry["code"], chat(text, native_answer(entry, kind, question_text)))


@cache
def first_owner():
    """A greeting that several languages share is answered as it came; a question they share, in the first of them."""
    owner = {}
    for entry in languages():
        if entry["question"]:
            owner.setdefault(entry["question"], entry)
    return owner


def plain(text):
    return text.rstrip("!！.。?？ ;؟").lower()


@cache
def answered_elsewhere():
    """What the English and Chinese small talk and the questions about qw answer in their own way."""
    return {plain(w) for w in about.answered()}


def native_answer(entry, kind, text):
    return text if kind == "greeting" else first_owner()[text]["words"]["identity"][0]


def tasks():
    """Per language up to 20 questions in unseen wordings, from all kinds that it has."""
    for entry in languages():
        rng = rng_for("languages", "eval", entry["code"])
        pool = [(k, i, w) for e, k, i, w in items() if e is entry]
        picked = [p for p in pool if p[0] in ("greeting", "identity", "autonym")]
        rest = [p for p in pool if p not in picked]
        picked += rng.sample(rest, min(len(rest), 20 - len(picked)))
        for n, (kind, index, word) in enumerate(picked):
            text = question(rng, entry, kind, index, ("en", "zh")[n % 2], "eval")
            yield Task("languages", entry["code"], [user(text)], [word], "equal")


def coverage():
    """Rows of languages.tsv."""
    yield "\t".join(("code", "English", "Chinese", "own name", "greeting", "what it is", "days", "months", "numbers to twenty"))
    for entry in languages():
        cells = [entry["sources"][k] if entry["words"][k] else "" for k in ("greeting", "identity", "days", "months", "numbers")]
        yield "\t".join([entry["code"], entry["en"], entry["zh"], (entry["words"]["autonym"] or [""])[0], *cells])
