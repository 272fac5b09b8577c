"""How a question is worded. Plain shards take the few wordings beside each skill and change them lightly. The later ones (`many_wordings`) add those of
data/wordings/ (written without sight of the evaluation), put all sorts of words around a question and disturb the words that carry no
meaning, so that the model learns what a question is about and not how it begins."""
import tomllib
from functools import cache

from . import stage
from .common import HERE

OPENERS = {"en": ["Hi, ", "Hello! ", "Please tell me: ", "Quick question: ", "Hey, ", "Tell me, ", "Question: ", "Ok, "],
           "zh": ["你好，", "请问，", "请告诉我，", "问一下，", "请问", "我想问："]}
CLOSERS = {"en": [", please?", " please", "? Thanks", "? Thank you."], "zh": ["？谢谢", "？谢谢。", "？请回答。"]}


@cache
def surroundings():
    return tomllib.loads((HERE / "data/surroundings.toml").read_text())


@cache
def more():
    """key → further wordings, from every file of data/wordings/."""
    out = {}
    for path in sorted((HERE / "data/wordings").glob("*.toml")):
        wordings = tomllib.loads(path.read_text())
        assert not out.keys() & wordings.keys(), f"{path}: keys of another file"
        out |= wordings
    return out


def trained(key, plain, with_more=None):
    """The wordings that a skill is trained with; `key` is that of data/wordings/. with_more: in place of the stage's own rule."""
    return [*plain, *more().get(key, [])] if (stage.now.many_wordings if with_more is None else with_more) else plain


def vary(rng, text, language, keep_case=False):
    """A question as somebody might write it. `keep_case`: it holds a name that is copied, so its letters stay."""
    if stage.now.many_wordings and language in OPENERS:
        return freely(rng, text, language, keep_case)
    return lightly(rng, text, language, keep_case)


def call_on(rng, text, language):
    """A request whose words are copied: with many wordings something before it at times, nothing changed in it."""
    return before(rng, rng.choice(surroundings()[language]["before"]), text, language, keep_case=True) if stage.now.many_wordings and rng.random() < 0.25 else text


def lightly(rng, text, language, keep_case):
    """No final mark, lower case, an opener, a word of politeness behind."""
    r = rng.random()
    if r < 0.12:
        text = text.rstrip("?？.。!！")
    elif keep_case and r < 0.26:
        pass
    elif r < 0.20 and language == "en":
        text = text[:1].lower() + text[1:]
    elif r < 0.26 and language == "en":
        text = text.lower().rstrip("?.!")
    elif r < 0.34 and language in OPENERS:
        opener = rng.choice(OPENERS[language])
        keep = language == "zh" or opener.endswith("! ") or text[1:2].isupper() or text[:2] in ("I ", "I'")
        text = opener + (text if keep else text[:1].lower() + text[1:])
    elif r < 0.38 and language in CLOSERS and text[-1] in "?？":
        text = text[:-1] + rng.choice(CLOSERS[language])
    return text


def freely(rng, text, language, keep_case):
    """Words disturbed in a third of all, something before or behind in a third, marks and case as they come."""
    if rng.random() < 0.34:
        text = disturb_english(rng, text) if language == "en" else disturb_chinese(rng, text)
    spec = surroundings()[language]
    r = rng.random()
    if r < 0.24:
        text = before(rng, rng.choice(spec["before"]), text, language, keep_case)
    if 0.18 < r < 0.34:
        text = behind(rng.choice(spec["behind"]), text)
    r = rng.random()
    if r < 0.16:
        text = text.rstrip("?？.。!！")
    elif r < 0.20:
        text = text.rstrip("?？.。!！") + rng.choice("?!." if language == "en" else "?！。")
    if not keep_case and language == "en" and rng.random() < 0.12:
        text = text.lower() if rng.random() < 0.6 else text[:1].lower() + text[1:]
    return text


def before(rng, opener, text, language, keep_case):
    """An opener that ends a sentence leaves the capital, one that goes on mostly takes it away."""
    if language == "zh" or opener.rstrip()[-1:] in ".!?" or keep_case or text[1:2].isupper() or text[:2] in ("I ", "I'") or rng.random() < 0.3:
        return opener + text
    return opener + text[:1].lower() + text[1:]


def behind(closer, text):
    """A closer that begins with a mark or a space follows the text's own mark, one that begins with a comma replaces it."""
    return text.rstrip("?？.。!！") + closer if closer[0] in ",，" else text + closer


def disturb_english(rng, text):
    """One small word left out, doubled, misspelt or joined by a filler; words that carry the meaning stay."""
    spec = surroundings()["en"]
    small = set(spec["small_words"])
    words = text.split(" ")
    places = [i for i, w in enumerate(words) if w.lower().rstrip("'s") in small or w.lower() in small]
    if not places or len(words) < 3:
        return text
    i, kind = rng.choice(places), rng.random()
    if kind < 0.35:
        del words[i]
    elif kind < 0.80:
        words.insert(i + (rng.random() < 0.7), rng.choice(spec["fillers"]))
    elif kind < 0.93 and len(words[i]) > 2:
        j = rng.randrange(1, len(words[i]) - 1)
        w = words[i]
        words[i] = w[:j] + w[j + 1] + w[j] + w[j + 2:] if rng.random() < 0.6 else w[:j] + w[j + 1:]
    else:
        words[i] = rng.choice(spec["fillers"])
    return " ".join(words)


def disturb_chinese(rng, text):
    """A filler before a word that asks, or a small word left out."""
    spec = surroundings()["zh"]
    if rng.random() < 0.55:
        places = [p for m in spec["filler_before"] for p in [text.find(m)] if p > 0]
        if places:
            at = rng.choice(places)
            return text[:at] + rng.choice(spec["fillers"]) + text[at:]
    found = [m for m in spec["small_words"] if m in text[1:]]
    if not found:
        return text
    word = rng.choice(found)
    at = rng.choice([i for i in range(1, len(text)) if text.startswith(word, i)])
    return text[:at] + text[at + len(word):]
