"""Numbers in words (both ways) and comparisons, English and Chinese; held out: the numbers."""
from num2words import num2words

from . import stage
from .common import Example, Task, chat, held_out, rng_for
from .wording import trained, vary

ZH_DIGITS = "零一二三四五六七八九"

SPELL = {
    "en": (["Write {n} in words.", "Spell out {n}.", "How do you write {n} in words?", "What is {n} in words?",
            "Spell the number {n}.", "{n} in words, please.", "How is {n} spelled out?", "Say {n} in words."],
           ["Can you write the number {n} out in words?", "Please put {n} into words."]),
    "zh": (["{n}用中文怎么写？", "把{n}写成中文数字。", "{n}的中文数字是什么？", "请用汉字写出{n}。", "{n}怎么读？", "数字{n}用汉字怎么写？",
            "用中文读出{n}。", "把数字{n}改成汉字。"],
           ["请把{n}用汉字表示。", "{n}这个数用中文怎么念？"])}
READ = {
    "en": (["Write {w} in digits.", "What is {w} in digits?", "Which number is {w}?", "{w} as a number, please.",
            "Write the number {w} with digits.", "How do you write {w} as digits?"],
           ["Please turn {w} into digits.", "Give me {w} in figures."]),
    "zh": (["{w}用数字怎么写？", "把{w}写成阿拉伯数字。", "{w}是多少？用数字写。", "请用数字写出{w}。", "{w}对应的数字是什么？", "把{w}改写成数字。"],
           ["请把{w}用阿拉伯数字表示。", "{w}写成数字是几？"])}
LARGER = {
    "en": (["Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?", "What is larger, {a} or {b}?",
            "{a} or {b}: which one is greater?", "Compare {a} and {b}.", "Which is greater, {a} or {b}?"],
           ["Tell me which is the bigger one, {a} or {b}.", "Of {a} and {b}, which is larger?"]),
    "zh": (["{a}和{b}哪个大？", "{a}和{b}哪个更大？", "{a}大还是{b}大？", "比较{a}和{b}。", "{a}与{b}，哪个数大？", "哪个更大，{a}还是{b}？"],
           ["在{a}和{b}里，较大的是哪个？", "请说出{a}和{b}中比较大的数。"])}
SMALLER = {
    "en": (["Which is smaller, {a} or {b}?", "Which number is smaller: {a} or {b}?", "{a} or {b}: which one is less?",
            "Which is less, {a} or {b}?", "What is smaller, {a} or {b}?"],
           ["Tell me which is the smaller one, {a} or {b}.", "Of {a} and {b}, which is smaller?"]),
    "zh": (["{a}和{b}哪个小？", "{a}和{b}哪个更小？", "{a}小还是{b}小？", "{a}与{b}，哪个数小？", "哪个更小，{a}还是{b}？"],
           ["在{a}和{b}里，较小的是哪个？", "请说出{a}和{b}中比较小的数。"])}
IS_LARGER = {
    "en": (["Is {a} larger than {b}?", "Is {a} greater than {b}?", "Is {a} more than {b}?", "Is {a} bigger than {b}?", "{a} > {b}?"],
           ["Would you say {a} is larger than {b}?", "Is it true that {a} is more than {b}?"]),
    "zh": (["{a}比{b}大吗？", "{a}大于{b}吗？", "{a}是不是比{b}大？", "{a}比{b}多吗？", "{a}>{b}吗？", "{a}大过{b}吗？"],
           ["你说{a}比{b}大吗？", "{a}大于{b}，对不对？"])}

FORMS = {"SPELL": SPELL, "READ": READ, "LARGER": LARGER, "SMALLER": SMALLER, "IS_LARGER": IS_LARGER}


def forms(kind, language, split):
    return FORMS[kind][language][1] if split else trained(f"{kind}.{language}", FORMS[kind][language][0])


def zh_below_10000(n):
    out, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, n = divmod(n, unit)
        if digit:
            out += ("零" if zero and out else "") + ZH_DIGITS[digit] + name
            zero = False
        else:
            zero = True
    return out


def zh_words(n):
    """Chinese numeral of 0 … 99,999,999 (10–19: 十 without 一)."""
    if n == 0:
        return "零"
    high, low = divmod(n, 10000)
    out = zh_below_10000(high) + "万" if high else ""
    if low:
        if high and low < 1000:
            out += "零"
        out += zh_below_10000(low)
    return out[1:] if out.startswith("一十") else out


def words(n, language):
    return num2words(n, lang="en") if language == "en" else zh_words(n)


def draw(rng):
    """Each length of number equally often, zeros inside more often than by chance."""
    digits = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6))
    n = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
    if digits > 2 and rng.random() < 0.35:
        text = list(str(n))
        for _ in range(rng.randint(1, digits - 2)):
            text[rng.randrange(1, digits)] = "0"
        n = int("".join(text))
    return n


def draw_pair(rng):
    """Pairs that are hard on purpose: same length, common prefix, swapped digits, one digit more."""
    a = draw(rng)
    kind = rng.random()
    text = str(a)
    if stage.now.uneven_pairs and rng.random() < 0.45:
        kind = 1.0
    if kind < 0.35:
        b = rng.randrange(10 ** (len(text) - 1) if len(text) > 1 else 0, 10 ** len(text))
    elif kind < 0.6:
        cut = rng.randrange(len(text))
        b = int(text[:cut] + "".join(rng.choice("0123456789") for _ in text[cut:]))
    elif kind < 0.75:
        b = int("".join(rng.sample(text, len(text))))
    else:
        b = draw(rng)
    return (a, b) if a != b else draw_pair(rng)


def aligned(a, b, language):
    """The way to the answer, written out: how many digits each has or, of equally long ones, digit by digit up to the first difference."""
    a, b = str(a), str(b)
    sign = lambda x, y: "<" if x < y else ">" if x > y else "="
    if len(a) != len(b):
        unit = " digits" if language == "en" else "位"
        way = f"{len(a)}{sign(len(a), len(b))}{len(b)}{unit}"
    else:
        differs = next(i for i in range(len(a)) if a[i] != b[i])
        way = " ".join(f"{x}{sign(x, y)}{y}" for x, y in zip(a[:differs + 1], b[:differs + 1]))
    return way + (": " if language == "en" else "：")


def comparison(rng, language, a, b, split):
    """(question, answer, the sentence in it that has to be right)."""
    kind = rng.choice(("LARGER", "LARGER", "SMALLER", "IS_LARGER"))
    question = rng.choice(forms(kind, language, split)).format(a=a, b=b)
    high, low = max(a, b), min(a, b)
    yes = ""
    if kind == "IS_LARGER":
        yes = ("Yes, " if a > b else "No, ") if language == "en" else ("是的，" if a > b else "不，")
    first, second, larger = (a, b, a > b) if yes else (low, high, False) if kind == "SMALLER" else (high, low, True)
    if language == "en":
        sentence = f"{yes}{first} is {'larger' if larger else 'smaller'} than {second}."
    else:
        sentence = f"{yes}{first}比{second}{'大' if larger else '小'}。"
    return question, (aligned(a, b, language) if stage.now.worked_out else "") + sentence, sentence


def problem(rng, language):
    """(question, answer), of numbers that are not evaluated."""
    r = rng.random()
    if r < 0.45:
        n = draw(rng)
        while held_out("spell", n):
            n = draw(rng)
        text = words(n, language)
        shown = f"{n:,}" if language == "en" and n > 999 and rng.random() < 0.2 else str(n)
        return rng.choice(forms("SPELL", language, 0)).format(n=shown), text
    if r < 0.62:
        n = draw(rng)
        while held_out("read", n):
            n = draw(rng)
        return rng.choice(forms("READ", language, 0)).format(w=words(n, language)), str(n)
    a, b = draw_pair(rng)
    while held_out("compare", *sorted((a, b))):
        a, b = draw_pair(rng)
    return comparison(rng, language, a, b, 0)[:2]


def train(shard, count):
    rng = rng_for("numbers", shard)
    for _ in range(count):
        language = rng.choice(("en", "zh"))
        messages = []
        for _ in range(rng.choice((1, 1, 2, 3, 4)) if stage.now.worked_out else 1):
            question, answer = problem(rng, language)
            messages += chat(vary(rng, question, language), answer)
        yield Example("numbers", language, messages, joinable=len(messages) == 2)


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("numbers", "eval", language)
        for i in range(100):
            n = draw(rng)
            while not held_out("spell", n):
                n = draw(rng)
            wordings = forms("SPELL", language, i % 2)
            yield Task("spell", language, [{"role": "user", "content": rng.choice(wordings).format(n=n)}],
                       [words(n, language)], "equal")
        for i in range(60):
            n = draw(rng)
            while not held_out("read", n):
                n = draw(rng)
            yield Task("read", language, [{"role": "user", "content": rng.choice(forms("READ", language, i % 2)).format(w=words(n, language))}],
                       [str(n)], "equal")
        for i in range(100):
            a, b = draw_pair(rng)
            while not held_out("compare", *sorted((a, b))):
                a, b = draw_pair(rng)
            question, _, sentence = comparison(rng, language, a, b, i % 2)
            yield Task("compare", language, [{"role": "user", "content": question}], [sentence], "contains")
