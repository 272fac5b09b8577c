"""Arithmetic beyond the small sums goes through the calculator; held out: operands. Without it the answer is that it is needed.
The results are those of qw's own calculator (src/apps/tools)."""
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from . import stage
from .common import BUILTIN, CALCULATOR, CLOCK, Example, Task, assistant, call, held_out, rng_for, tool_result, user
from .sums import forms, is_direct
from .wording import trained, vary

DIVIDE = {"en": (["{a} / {b}", "What is {a} divided by {b}?", "{a} divided by {b}", "Divide {a} by {b}.", "How much is {a} / {b}?", "{a} ÷ {b}", "{a}/{b}=?"],
                 ["Could you share {a} among {b}?", "How much does {a} over {b} make?"]),
          "zh": (["{a}/{b}", "{a}除以{b}等于多少？", "{a}除以{b}是多少？", "{a}÷{b}", "计算{a}÷{b}。", "{a}÷{b}等于几？", "算一下{a}除以{b}。"],
                 ["{a}被{b}除得多少？", "请算出{a}除以{b}的结果。"])}
STORIES = [  # expression, English, Chinese; the last of each list is evaluated only
    ("{a}*{b}", ["I buy {a} books at {b} euros each. What do I pay?", "One box holds {b} eggs. How many eggs are in {a} boxes?", "{a} people pay {b} dollars each. How much is that?",
                 "A worker earns {b} a day. How much in {a} days?", "There are {a} rows of {b} seats. How many seats?"],
     ["我买{a}本书，每本{b}元，一共多少钱？", "一箱有{b}个鸡蛋，{a}箱有多少个？", "{a}个人每人付{b}元，总共多少？", "每天挣{b}元，{a}天挣多少？", "有{a}排座位，每排{b}个，共多少个？"]),
    ("{a}+{b}", ["I had {a} coins and found {b} more. How many now?", "A shop sold {a} cups and then {b} cups. How many in all?", "{a} men and {b} women came. How many people?",
                 "The bill is {a} plus {b} for the service. What is the total?"],
     ["我有{a}枚硬币，又捡到{b}枚，现在有几枚？", "商店先卖了{a}个杯子，又卖了{b}个，共卖多少？", "来了{a}个男人和{b}个女人，一共多少人？", "饭钱{a}元，服务费{b}元，共多少元？"]),
    ("{a}-{b}", ["I have {a} euros and spend {b}. What is left?", "Of {a} pages I have read {b}. How many remain?", "A tank holds {a} litres and {b} are used. How much is left?",
                 "The train has {a} seats and {b} are taken. How many are free?"],
     ["我有{a}元，花了{b}元，还剩多少？", "一本书{a}页，读了{b}页，还剩几页？", "水箱有{a}升水，用了{b}升，剩多少？", "火车有{a}个座位，坐了{b}个，空几个？"]),
    ("{a}/{b}", ["{a} sweets are shared by {b} children. How many each?", "A rope of {a} metres is cut into {b} parts. How long is each?", "The rent of {a} is split among {b} friends. How much each?",
                 "{a} pages in {b} days: how many a day?"],
     ["{a}颗糖分给{b}个孩子，每人几颗？", "{a}米的绳子剪成{b}段，每段多长？", "房租{a}元由{b}个朋友平分，每人多少？", "{a}页书{b}天读完，每天读几页？"]),
    ("{a}*{p}/100", ["What is {p}% of {a}?", "{p} percent of {a}", "How much is {p}% of {a}?", "A tax of {p}% on {a}: how much?", "Take {p} percent of {a}."],
     ["{a}的{p}%是多少？", "{a}的百分之{p}是多少？", "计算{a}的{p}%。", "{a}元的{p}%税是多少？", "百分之{p}的{a}等于多少？"]),
    ("{c}*{c}", ["What is {c} squared?", "{c} squared", "Square {c}.", "What is the square of {c}?", "How much is {c} to the power of two?"],
     ["{c}的平方是多少？", "{c}的平方", "计算{c}的平方。", "{c}平方等于几？", "{c}的二次方是多少？"]),
    ("({a}+{b})/2", ["What is the average of {a} and {b}?", "Average of {a} and {b}?", "The mean of {a} and {b}, please.", "What number is in the middle between {a} and {b}?"],
     ["{a}和{b}的平均数是多少？", "求{a}和{b}的平均值。", "{a}与{b}的平均是多少？", "{a}和{b}正中间的数是几？"]),
    ("{a}+{b}+{c}", ["{a} + {b} + {c}", "Add {a}, {b} and {c}.", "What is the sum of {a}, {b} and {c}?", "What is {a} plus {b} plus {c}?", "The total of {a}, {b} and {c}?"],
     ["{a}+{b}+{c}", "{a}加{b}加{c}等于多少？", "{a}、{b}、{c}的和是多少？", "把{a}、{b}和{c}加起来。", "{a}、{b}、{c}一共是多少？"]),
    ("({a}+{b})*{c}", ["({a} + {b}) * {c}", "({a}+{b})*{c}", "What is ({a} + {b}) × {c}?", "Work out ({a} + {b}) times {c}."],
     ["({a}+{b})*{c}", "({a}+{b})×{c}等于多少？", "计算({a}+{b})×{c}。", "({a}+{b})乘以{c}是多少？"]),
    ("{a}*{b}+{c}", ["{a} * {b} + {c}", "{a}*{b}+{c}", "What is {a} × {b} + {c}?", "Work out {a} times {b} plus {c}."],
     ["{a}*{b}+{c}", "{a}×{b}+{c}等于多少？", "计算{a}×{b}+{c}。", "{a}乘以{b}再加{c}是多少？"]),
    ("{a}-{b}-{c}", ["{a} - {b} - {c}", "What is {a} minus {b} minus {c}?", "{a}-{b}-{c}=?", "Take {b} and {c} away from {a}."],
     ["{a}-{b}-{c}", "{a}减{b}再减{c}等于多少？", "计算{a}-{b}-{c}。", "从{a}里减去{b}和{c}。"]),
]
CONVERT = [  # factor as written in the expression, units in English and Chinese; divided where the first is ""
    ("*1.609344", "miles", "kilometres", "英里", "公里"), ("/1.609344", "kilometres", "miles", "公里", "英里"), ("*0.3048", "feet", "metres", "英尺", "米"),
    ("/0.3048", "metres", "feet", "米", "英尺"), ("*2.54", "inches", "centimetres", "英寸", "厘米"), ("/2.54", "centimetres", "inches", "厘米", "英寸"),
    ("*0.45359237", "pounds", "kilograms", "磅", "千克"), ("/0.45359237", "kilograms", "pounds", "千克", "磅"),
    ("*9/5+32", "degrees Celsius", "degrees Fahrenheit", "摄氏度", "华氏度"), ("-32)*5/9", "degrees Fahrenheit", "degrees Celsius", "华氏度", "摄氏度")]
CONVERT_FORMS = {"en": (["How many {v} are {a} {u}?", "Convert {a} {u} to {v}.", "{a} {u} in {v}?", "What is {a} {u} in {v}?", "Change {a} {u} into {v}."],
                        ["Please express {a} {u} in {v}.", "{a} {u} make how many {v}?"]),
                 "zh": (["{a}{u}是多少{v}？", "把{a}{u}换算成{v}。", "{a}{u}等于多少{v}？", "{a}{u}合多少{v}？", "{a}{u}换成{v}是多少？"],
                        ["请用{v}表示{a}{u}。", "{a}{u}相当于几{v}？"])}
NEEDED = {"en": "I don't know; for that I need the calculator.", "zh": "我不知道，这要用计算器来算。"}


def compute(expression):
    """The calculator's answer as text: exact for whole numbers and up to 15 digits, else 10 digits; None where there is none."""
    wrapped = "".join(f"F('{t}')" if t[0].isdigit() else t for t in tokens(expression))
    try:
        value = eval(wrapped, {"__builtins__": {}}, {"F": Fraction})  # own expressions only: digits and + - * / ( )
    except ZeroDivisionError:
        return None
    for digits in (15, 10):
        with localcontext() as context:
            context.prec, context.rounding = digits, ROUND_HALF_UP
            shown = Decimal(value.numerator) / Decimal(value.denominator) if value.denominator > 1 else value.numerator
        if Fraction(shown) == value or digits == 10:
            text = format(shown.normalize(), "f") if value.denominator > 1 else str(shown)
            return text if abs(value) >= Fraction(1, 1000) or value == 0 else None


def tokens(expression):
    out = []
    for c in expression:
        if (c.isdigit() or c == ".") and out and (out[-1][-1].isdigit() or out[-1][-1] == "."):
            out[-1] += c
        else:
            out.append(c)
    return out


def big(rng):
    digits = rng.choice((2, 2, 3, 3, 3, 4, 4, 5, 6))
    return rng.randint(10 ** (digits - 1), 10**digits - 1)


def operands(rng):
    a, b, c = big(rng), big(rng), big(rng)
    if rng.random() < 0.12:
        a = round(rng.uniform(0.1, 500), rng.choice((1, 2)))
    if rng.random() < 0.2:
        b = rng.randint(2, 99)
    if rng.random() < 0.5:
        c = rng.randint(2, 99)
    return a, b, c


def divide_forms(language, split):
    return DIVIDE[language][1] if split else trained(f"DIVIDE.{language}", DIVIDE[language][0])


def simple(rng, language, split):
    """Two operands and a sign; not one of the sums that are answered directly."""
    while True:
        a, b, _ = operands(rng)
        op = rng.choice("++--**//")
        if op == "-" and b > a and rng.random() < 0.8:
            a, b = b, a
        if not (op != "/" and is_direct(a, op, b) and isinstance(a, int)):
            wordings = divide_forms(language, split) if op == "/" else forms(op, language, split)
            show = (lambda x: f"{x:,}") if stage.now.commas and not split and rng.random() < 0.25 else str
            return rng.choice(wordings).format(a=show(a), b=show(b)), f"{a}{op}{b}"


def story(rng, language, split):
    while True:
        expression, en, zh = rng.choice(STORIES)
        *plain, unseen = en if language == "en" else zh
        a, b, c = operands(rng)
        if expression == "{a}-{b}" and b > a:
            a, b = b, a
        if expression in ("{a}+{b}", "{a}-{b}", "{a}*{b}") and is_direct(a, expression[3], b):
            continue
        fill = {"a": a, "b": b, "c": c, "p": rng.randint(1, 99)}
        return rng.choice([unseen] if split else trained(f"{expression}.{language}", plain)).format(**fill), expression.format(**fill)


def conversion(rng, language, split):
    factor, *units = rng.choice(CONVERT)
    u, v = units[:2] if language == "en" else units[2:]
    a = rng.choice((rng.randint(2, 99), rng.randint(2, 999), round(rng.uniform(1, 99), 1)))
    expression = f"({a}{factor}" if ")" in factor else f"{a}{factor}"
    result = compute(expression)
    answer = f"{a} {u} = {result} {v}." if language == "en" else f"{a}{u} = {result}{v}。"
    return rng.choice(CONVERT_FORMS[language][1] if split else trained(f"CONVERT.{language}", CONVERT_FORMS[language][0])).format(a=a, u=u, v=v), expression, answer


def problem(rng, language, split):
    """(question, expression, answer)."""
    kind = rng.random()
    if kind < 0.15:
        return conversion(rng, language, split)
    question, expression = (simple if kind < 0.6 else story)(rng, language, split)
    return question, expression, f"{expression} = {compute(expression)}"


def fresh(rng, language, wording, unseen):
    """A problem whose operands are in the training or in the evaluation half, and whose result is short enough to be said."""
    while True:
        question, expression, answer = problem(rng, language, wording)
        if held_out("calculator", expression, share=0.05) == unseen and len(answer) < 60 and compute(expression):
            return question, expression, answer


def rounds(rng, language, count):
    messages = []
    for _ in range(count):
        question, expression, answer = fresh(rng, language, 0, False)
        result = {"result": compute(expression)}
        if rng.random() < 0.02:
            a = big(rng)
            question, expression, result = rng.choice(divide_forms(language, 0)).format(a=a, b=0), f"{a}/0", {"error": "division by zero"}
            answer = "That did not work: division by zero." if language == "en" else "没有成功：除数是零。"
        messages += [user(vary(rng, question, language)), call("calculator", {"expression": expression}), tool_result(result), assistant(answer)]
    return messages


def box(rng):
    tools = rng.choice(([CALCULATOR], BUILTIN, BUILTIN, BUILTIN, [CLOCK, CALCULATOR]))
    return list(tools)


def train(shard, count):
    rng = rng_for("calculator", shard)
    for _ in range(count):
        language = rng.choice(("en", "zh"))
        kind = rng.random()
        if kind < 0.06:
            question, _, _ = fresh(rng, language, 0, False)
            yield Example("calculator", language, [user(vary(rng, question, language)), assistant(NEEDED[language])],
                          [CLOCK] if rng.random() < 0.3 else [], joinable=False)
        else:
            yield Example("calculator", language, rounds(rng, language, rng.choice((1, 2, 3))), box(rng), joinable=False)


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("calculator", "eval", language)
        for i in range(120):
            question, expression, answer = fresh(rng, language, i % 2, True)
            yield Task("calculator", language, [user(question)], tools=list(BUILTIN),
                       tool_calls=[{"name": "calculator", "arguments": {"expression": expression}}], plain=True)
            if i < 60:
                messages = [user(question), call("calculator", {"expression": expression}), tool_result({"result": compute(expression)})]
                yield Task("calculator_answer", language, messages, [answer], "equal", tools=list(BUILTIN), plain=True)
