"""Chats whose later turns lean on earlier ones: another country, another language, the result so far, the same tool once more;
held out: the wordings of the later turns (the countries, words and numbers of the evaluation are drawn anew)."""
from . import calculator, facts, languages, sums, tools
from .common import BUILTIN, Example, Task, assistant, call, rng_for, tool_result, upper_first, user
from .wording import trained

OTHER = {"en": (["And {x}?", "What about {x}?", "And of {x}?", "And for {x}?", "And what about {x}?", "Now {x}.", "The same for {x}?", "{x}?"], ["How about {x}?", "And that of {x}?"]),
         "zh": (["{x}呢？", "那{x}呢？", "那么{x}呢？", "还有{x}呢？", "换成{x}呢？", "{x}？"], ["{x}又如何？", "要是{x}呢？"])}
IT = {"capital": {"en": (["What is its capital?", "And its capital?", "Which city is its capital?", "And the capital?"], ["Do you know its capital too?", "Name its capital."]),
                  "zh": (["它的首都是哪里？", "首都呢？", "那它的首都呢？", "它的首都叫什么？"], ["你也知道它的首都吗？", "它以哪里为首都？"])},
      "currency": {"en": (["What is its currency?", "And its currency?", "Which money do they use there?", "And the currency?"], ["Do you know its currency too?", "With what do people pay there?"]),
                   "zh": (["它的货币是什么？", "货币呢？", "那里用什么钱？", "那它的货币呢？"], ["你也知道它的货币吗？", "那儿付钱用什么？"])},
      "continent": {"en": (["Which continent is it on?", "And its continent?", "Where is it?", "And the continent?"], ["Do you know its continent too?", "On what continent does it lie?"]),
                    "zh": (["它在哪个洲？", "在哪个大洲？", "那它在哪里？", "它属于哪个洲？"], ["你也知道它在哪个洲吗？", "它坐落在什么洲？"])},
      "phone": {"en": (["What is its calling code?", "And its phone code?", "How do I call there, which code?", "And the calling code?"], ["Do you know its calling code too?", "Which prefix do I dial for it?"]),
                "zh": (["它的国际区号是多少？", "电话区号呢？", "打电话过去要拨什么区号？", "那它的区号呢？"], ["你也知道它的区号吗？", "往那里打电话加什么？"])}}
STEP = {"+": {"en": (["Add {b}.", "Plus {b}.", "And plus {b}?", "Now add {b} to that."], ["Increase it by {b}."]), "zh": (["再加{b}。", "加上{b}呢？", "然后加{b}。", "再加{b}是多少？"], ["在此基础上加{b}。"])},
        "-": {"en": (["Subtract {b}.", "Minus {b}.", "And minus {b}?", "Now take {b} away."], ["Lower it by {b}."]), "zh": (["再减{b}。", "减去{b}呢？", "然后减{b}。", "再减{b}是多少？"], ["在此基础上减{b}。"])},
        "*": {"en": (["Times {b}.", "Multiply that by {b}.", "And times {b}?", "Now multiply it by {b}."], ["Make it {b} times as much."]), "zh": (["再乘{b}。", "乘以{b}呢？", "然后乘{b}。", "再乘以{b}是多少？"], ["在此基础上乘{b}。"])},
        "/": {"en": (["Divide that by {b}.", "Divided by {b}?", "And divided by {b}?", "Now divide it by {b}."], ["Split it into {b} parts."]), "zh": (["再除以{b}。", "除以{b}呢？", "然后除以{b}。", "再除以{b}是多少？"], ["把它分成{b}份。"])}}


def later(forms, key, language, split):
    return forms[language][1] if split else trained(f"{key}.{language}", forms[language][0])


def other_country(rng, language, split):
    relation = rng.choice([r for r in facts.load_cached() if r != "capital_of"])
    pool = [f for r, l, f in facts.items() if r == relation and l == language]
    messages, picked = [], rng.sample(pool, rng.choice((2, 2, 3)))
    for i, fact in enumerate(picked):
        wordings, answer = facts.questions(relation, language, fact, "train")
        last = i == len(picked) - 1
        text = rng.choice(wordings) if i == 0 else upper_first(rng.choice(later(OTHER, "OTHER", language, split if last else 0)).format(x=fact["c"]))
        messages += [user(text), assistant(answer)]
    return messages, *facts.judged(relation, picked[-1], answer)


def same_country(rng, language, split):
    fact = rng.choice([f[language] for f in facts.countries().values()])
    kinds = rng.sample([r for r in IT if r in fact], min(rng.choice((2, 2, 3)), sum(r in fact for r in IT)))
    messages = []
    for i, relation in enumerate(kinds):
        wordings, answer = facts.questions(relation, language, fact, "train")
        last = i == len(kinds) - 1
        messages += [user(rng.choice(wordings if i == 0 else later(IT[relation], f"IT.{relation}", language, split if last else 0))), assistant(answer)]
    return (messages, *facts.judged(kinds[-1], fact, answer)) if len(kinds) > 1 else same_country(rng, language, split)


def word(entry, kind, index):
    return entry["words"][kind][index]


def other_language(rng, language, split):
    """The same word in another language, or another word of the same kind."""
    entries = [e for e in languages.languages() if len(e["words"]["days"]) == 7 and all(e["words"]["numbers"]) and e["words"]["numbers"]]
    first, second = rng.sample(entries, 2)
    kind = rng.choice(("days", "months", "numbers"))
    index = rng.randrange(7 if kind == "days" else 12)
    text = languages.question(rng, first, kind, index, language, "train")
    second_name = f"in {second['en']}" if language == "en" else f"用{second['zh']}" if rng.random() < 0.5 else second["zh"]
    again = upper_first(rng.choice(later(OTHER, "OTHER", language, split)).format(x=second_name).replace("of in ", "in ").replace("for in ", "in "))
    answer = word(second, kind, index)
    return [user(text), assistant(word(first, kind, index)), user(again), assistant(answer)], [answer], "equal"


def chain_of_sums(rng, language, split):
    a, op, b = sums.draw(rng)
    while sums.is_test(a, op, b) or not 0 <= sums.result(a, op, b) <= 99:
        a, op, b = sums.draw(rng)
    messages = [user(rng.choice(sums.forms(op, language, 0)).format(a=a, b=b)), assistant(sums.answer(a, op, b))]
    value = sums.result(a, op, b)
    steps = rng.choice((1, 1, 2))
    for i in range(steps):
        options = [(o, n) for o in "+-*" for n in range(1, 31) if sums.is_direct(value, o, n) and 0 <= sums.result(value, o, n) <= 99 and not sums.is_test(value, o, n)]
        op, b = rng.choice(options)
        messages += [user(rng.choice(later(STEP[op], f"STEP.{op}", language, split if i == steps - 1 else 0)).format(b=b)), assistant(sums.answer(value, op, b))]
        expected = sums.accepted(value, op, b)
        value = sums.result(value, op, b)
    return messages, expected, "equal"


def chain_of_calls(rng, language, split):
    """(messages, tools, the last call): the second expression takes the first result."""
    question, expression, answer = calculator.fresh(rng, language, 0, split == 1)
    result = calculator.compute(expression)
    while " " in answer.replace(" = ", "") or len(result) > 8 or float(result) < 100:
        question, expression, answer = calculator.fresh(rng, language, 0, split == 1)
        result = calculator.compute(expression)
    op, b = rng.choice("+-*/"), rng.randint(2, 999)
    second = f"{result}{op}{b}"
    value = calculator.compute(second)
    messages = [user(question), call("calculator", {"expression": expression}), tool_result({"result": result}), assistant(answer),
                user(rng.choice(later(STEP[op], f"STEP.{op}", language, split)).format(b=b)), call("calculator", {"expression": second}), tool_result({"result": value}),
                assistant(f"{second} = {value}")]
    return messages, list(BUILTIN)


def same_tool(rng, language, split):
    """A tool of one argument, asked twice; the second time only the new value is said."""
    half = "eval" if split else "train"
    while True:
        box = tools.toolbox(rng, language, half)
        mine = [t for t in tools.of_language(box, language) if len(t.params) == 1 and t.params[0][1] not in ("sentence", "task")]
        if mine:
            break
    tool = rng.choice(mine)
    text, arguments, result, answer = tools.request(rng, tool, language)
    _, again, second, second_answer = tools.request(rng, tool, language)
    value = next(iter(again.values()))
    if again == arguments:
        return same_tool(rng, language, split)
    request = rng.choice([f for f in later(OTHER, "OTHER", language, split) if " of " not in f]).format(x=value)
    messages = [user(text), call(tool.name, arguments), tool_result(result), assistant(answer),
                user(request), call(tool.name, again), tool_result(second), assistant(second_answer)]
    return messages, tools.offered(rng, box)


PLAIN = (other_country, other_country, same_country, same_country, other_language, chain_of_sums, chain_of_sums)


def train(shard, count):
    rng = rng_for("followup", shard)
    for _ in range(count):
        language = rng.choice(("en", "zh"))
        r = rng.random()
        if r < 0.35:
            messages, offered = (chain_of_calls if r < 0.13 else same_tool)(rng, language, 0)
            yield Example("followup_tools", language, messages, offered, joinable=False)
        else:
            messages, _, _ = rng.choice(PLAIN)(rng, language, 0)
            yield Example("followup", language, messages)


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("followup", "eval", language)
        for maker in (other_country, same_country, other_language, chain_of_sums):
            for _ in range(25):
                messages, answers, match = maker(rng, language, 1)
                yield Task("followup", language, messages[:-1], answers, match)
        for maker in (chain_of_calls, same_tool):
            for _ in range(30):
                messages, offered = maker(rng, language, 1)
                wanted = messages[-3]["tool_calls"][0]["function"]
                yield Task("followup_tools", language, messages[:-3], tools=offered, tool_calls=[wanted], plain=True)
