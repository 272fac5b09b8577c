"""Days, months and spelled-out numbers of a locale from the CLDR packages (read as JSON: babel's inheritance of `bho` is broken)."""
import json
import re

from num2words import num2words

from .common import SOURCES

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def calendar(locale):
    """(seven days from Monday, twelve months); an empty list where CLDR has only its root's placeholders."""
    path = SOURCES / "cldr-dates-full/main" / locale.replace("_", "-") / "ca-gregorian.json"
    if locale == "-" or not path.exists():
        return [], []
    gregorian = json.loads(path.read_text())["main"][locale.replace("_", "-")]["dates"]["calendars"]["gregorian"]
    days = [gregorian["days"]["stand-alone"]["wide"][d] for d in DAYS]
    months = [gregorian["months"]["stand-alone"]["wide"][str(m)] for m in range(1, 13)]
    return (days if days[0] != "Mon" else []), (months if not months[0].startswith("M0") else [])


class Spellout:
    """The part of CLDR's rule-based number format that numbers to twenty need."""

    def __init__(self, locale):
        groups = json.loads((SOURCES / "cldr-rbnf/rbnf" / f"{locale.replace('_', '-')}.json").read_text())
        self.sets = groups["rbnf"]["rbnf"]["SpelloutRules"]

    def spell(self, n):
        first = "%spellout-numbering" if "%spellout-numbering" in self.sets else "%spellout-cardinal"
        return self.apply(first, n).replace("\u00ad", "").strip()

    def apply(self, name, n):
        base, radix, text = max(self.numbered(name, n))
        divisor = 1
        while divisor * radix <= base:
            divisor *= radix
        high, low = (n // divisor, n % divisor) if base else (0, n)
        text = text.removesuffix(";").removeprefix("'")
        text = re.sub(r"\[(.*?)\]", lambda m: m[1] if low else "", text)
        text = re.sub(r"→(%*[\w-]*)→", lambda m: self.apply(m[1] or name, low), text)
        text = re.sub(r"←(%*[\w-]*)←", lambda m: self.apply(m[1] or name, high), text)
        text = re.sub(r"=(%+[\w-]+)=", lambda m: self.apply(m[1], n), text)
        if any(c in text for c in "→←=$#[]>"):
            raise ValueError(f"rule not understood: {text}")
        return text

    def numbered(self, name, n):
        for head, text in self.sets[name]:
            base, _, radix = head.partition("/")
            if base.isdigit() and int(base) <= n:
                yield int(base), int(radix or 10), text


def numbers(cldr, other):
    """0 … 20 in words, from CLDR, else num2words; an empty list where neither has them."""
    if cldr != "-" and (SOURCES / "cldr-rbnf/rbnf" / f"{cldr.replace('_', '-')}.json").exists():
        speller = Spellout(cldr)
        return [speller.spell(n) for n in range(21)], "CLDR"
    if other != "-":
        return [num2words(n, lang=other) for n in range(21)], "num2words"
    return [], ""
