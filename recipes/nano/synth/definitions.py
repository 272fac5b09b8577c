"""Closed definitions: 1,000 English words from WordNet, some Chinese ones by hand; other words are not known; held out: wordings."""
from functools import cache

from .common import HERE, Example, Task, chat, rng_for, table, upper_first, user, vary
from .wordnet import definition

FORMS = {"en": (["What is {a}?", "Define {w}.", "What does {w} mean?", "Explain the word {w}.", "Meaning of {w}?", "What is the meaning of \"{w}\"?", "Give me a definition of {w}.", "{w}: what is that?"],
                ["How would you define {w}?", "Please explain what \"{w}\" means."]),
         "zh": (["{w}是什么？", "什么是{w}？", "解释“{w}”。", "{w}是什么意思？", "“{w}”的意思是什么？", "给{w}下个定义。", "说明一下{w}这个词。"], ["怎么给“{w}”下定义？", "请解释{w}指的是什么。"])}


@cache
def known():
    """language → {word: definition}."""
    text = (HERE / "data/words.txt").read_text()
    words = " ".join(line for line in text.splitlines() if not line.startswith("#")).split()
    return {"en": {w: definition(w) for w in words}, "zh": dict(table("definitions_zh.tsv"))}


def with_article(word):
    return word if word.endswith("s") else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def question(form, word, language):
    return upper_first(form.format(w=word, a=with_article(word) if language == "en" else word))


def answer(word, language):
    meaning = known()[language][word]
    return f"{upper_first(word)}: {meaning}." if language == "en" else f"{word}：{meaning}。"


def train(shard, exposures):
    rng = rng_for("definitions", shard)
    for language, words in known().items():
        for word in words:
            for _ in range(int(exposures) + (rng.random() < exposures % 1)):
                text = question(rng.choice(FORMS[language][0]), word, language)
                yield Example("definitions", language, chat(vary(rng, text, language), answer(word, language)))


def tasks():
    for language, words in known().items():
        rng = rng_for("definitions", "eval", language)
        for i, word in enumerate(rng.sample(sorted(words), min(200, len(words)))):
            yield Task("definitions", language, [user(question(FORMS[language][1][i % 2], word, language))], [answer(word, language)], "equal")
