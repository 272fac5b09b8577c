"""Closed definitions: 1,000 English words from WordNet, some Chinese ones by hand; other words are not known; held out: wordings."""
from functools import cache

from .common import HERE, Example, Task, chat, rng_for, table, upper_first, user
from .wording import trained, vary
from .wordnet import definition, is_substance

FORMS = {"en": (["What is {a}?", "Define {w}.", "What does {w} mean?", "Explain the word {w}.", "Meaning of {w}?", "What is the meaning of \"{w}\"?", "Give me a definition of {w}.", "{w}: what is that?",
               "What is the definition of {w}?", "Tell me what {a} is.", "What do you mean by {w}?", "What is meant by {w}?", "Can you define {w}?", "What does the word \"{w}\" mean?",
               "I do not know the word {w}.", "Do you know what {a} is?"],
                ["How would you define {w}?", "Please explain what \"{w}\" means."]),
         "zh": (["{w}是什么？", "什么是{w}？", "解释“{w}”。", "{w}是什么意思？", "“{w}”的意思是什么？", "给{w}下个定义。", "说明一下{w}这个词。",
               "“{w}”是指什么？", "告诉我什么是{w}。", "{w}的意思是什么？", "{w}的定义是什么？", "“{w}”这个词是什么意思？", "你知道{w}是什么吗？", "{w}指什么？"], ["怎么给“{w}”下定义？", "请解释{w}指的是什么。"])}


UNCOUNTED = set("grass cheese butter rice chocolate coffee tea beer honey meat hay lightning jewelry jewellery livestock cattle graffiti scissors football chess linen velvet".split())


@cache
def known():
    """language → {word: definition}."""
    text = (HERE / "data/words.txt").read_text()
    words = " ".join(line for line in text.splitlines() if not line.startswith("#")).split()
    return {"en": {w: definition(w) for w in words} | dict(table("definitions_en.tsv")), "zh": dict(table("definitions_zh.tsv"))}


def with_article(word):
    """English: an article before what can be counted, as far as the definition and the kind of noun show it."""
    meaning = known()["en"].get(word, "a ")
    if is_substance(word) or word in UNCOUNTED or not meaning.startswith(("a ", "an ", "any ", "one ", "someone ")):
        return word
    vowel = word[0] in "aeiou" and not word.startswith(("uni", "eu", "us")) or word == "hour"
    return f"{'an' if vowel else 'a'} {word}"


def forms(language, split):
    return FORMS[language][1] if split else trained(f"definition.{language}", FORMS[language][0])


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
                text = question(rng.choice(forms(language, 0)), word, language)
                yield Example("definitions", language, chat(vary(rng, text, language), answer(word, language)))


def tasks():
    for language, words in known().items():
        rng = rng_for("definitions", "eval", language)
        for i, word in enumerate(rng.sample(sorted(words), min(200, len(words)))):
            yield Task("definitions", language, [user(question(FORMS[language][1][i % 2], word, language))], [answer(word, language)], "equal")
