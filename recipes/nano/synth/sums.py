"""Sums answered directly: + and − to 99, products to 12; held out: operand pairs. Several sums a chat, so that each token counts."""
from . import stage
from .common import Example, Task, assistant, held_out, rng_for, user
from .wording import trained, vary

FORMS = {
    "+": {"en": (["{a} + {b}", "What is {a} + {b}?", "{a} plus {b}", "What is {a} plus {b}?", "Add {a} and {b}.", "How much is {a} + {b}?",
                  "{a}+{b}=?", "{a} and {b} together?", "What is the sum of {a} and {b}?"],
                 ["Could you add {b} to {a}?", "How much do {a} and {b} make?"]),
          "zh": (["{a}+{b}", "{a}加{b}等于多少？", "{a}加{b}是多少？", "{a}+{b}等于几？", "{a} + {b} = ?", "计算{a}+{b}。", "{a}与{b}的和是多少？", "算一下{a}加{b}。"],
                 ["{a}加上{b}得多少？", "请算出{a}和{b}相加的结果。"])},
    "-": {"en": (["{a} - {b}", "What is {a} - {b}?", "{a} minus {b}", "What is {a} minus {b}?", "Subtract {b} from {a}.", "How much is {a} - {b}?",
                  "{a}-{b}=?", "{a} take away {b}?", "What is the difference of {a} and {b}?"],
                 ["Could you take {b} off {a}?", "What remains of {a} after taking away {b}?"]),
          "zh": (["{a}-{b}", "{a}减{b}等于多少？", "{a}减{b}是多少？", "{a}-{b}等于几？", "{a} - {b} = ?", "计算{a}-{b}。", "{a}减去{b}的差是多少？", "算一下{a}减{b}。"],
                 ["{a}减掉{b}还有多少？", "请算出{a}减去{b}的结果。"])},
    "*": {"en": (["{a} * {b}", "What is {a} times {b}?", "{a} times {b}", "{a} x {b}", "Multiply {a} by {b}.", "How much is {a} × {b}?", "{a}*{b}=?",
                  "What is {a} × {b}?", "What is the product of {a} and {b}?"],
                 ["Could you multiply {a} with {b}?", "How much do {a} times {b} make?"]),
          "zh": (["{a}*{b}", "{a}乘{b}等于多少？", "{a}乘以{b}是多少？", "{a}×{b}等于几？", "{a} × {b} = ?", "计算{a}×{b}。", "{a}与{b}的积是多少？", "算一下{a}乘{b}。"],
                 ["{a}乘上{b}得多少？", "请算出{a}和{b}相乘的结果。"])}}
SIGN = {"+": "+", "-": "-", "*": "×"}


def forms(op, language, split):
    return FORMS[op][language][1] if split else trained(f"{op}.{language}", FORMS[op][language][0])


def is_direct(a, op, b):
    return (op in "+-" and 0 <= a <= 99 and 0 <= b <= 99) or (op == "*" and 0 <= a <= 12 and 0 <= b <= 12)


def result(a, op, b):
    return a + b if op == "+" else a - b if op == "-" else a * b


def answer(a, op, b):
    """The sum is said again in one fixed form: then only this form has to be learnt."""
    return f"{a} {SIGN[op]} {b} = {result(a, op, b)}"


def accepted(a, op, b):
    """The result alone and either order of the operands count, too."""
    both = [answer(a, op, b), str(result(a, op, b))]
    return both if op == "-" or a == b else [*both, answer(b, op, a)]


def draw(rng):
    op = rng.choice("+++---**" if stage.now.more_products else "++++---*")
    if op == "*":
        return rng.randint(0, 12), op, rng.randint(0, 12)
    low = 0 if rng.random() < 0.3 else 10
    a, b = rng.randint(low, 99), rng.randint(0, 99)
    if op == "-" and a < b and rng.random() < 0.7:
        a, b = b, a
    return a, op, b


def is_test(a, op, b):
    """Of a product, one order of the factors is held out: the table itself is too small to hold out facts."""
    if op == "*":
        return a != b and a > 2 and b > 2 and held_out("product", a, b, share=0.15) and not held_out("product", b, a, share=0.15)
    return held_out("sum", a, op, b, share=0.04)


def train(shard, count):
    rng = rng_for("sums", shard)
    for _ in range(count):
        language = rng.choice(("en", "en", "zh"))
        messages = []
        for _ in range(rng.choice((1, 1, 1, 2, 3, 4, 6))):
            a, op, b = draw(rng)
            while is_test(a, op, b):
                a, op, b = draw(rng)
            question = rng.choice(forms(op, language, 0)).format(a=a, b=b)
            messages += [user(vary(rng, question, language)), assistant(answer(a, op, b))]
        yield Example("sums", language, messages, joinable=len(messages) == 2)


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("sums", "eval", language)
        seen = set()
        while len(seen) < 150:
            a, op, b = draw(rng)
            if not is_test(a, op, b) or (a, op, b) in seen:
                continue
            seen.add((a, op, b))
            name = {"+": "add", "-": "subtract", "*": "multiply"}[op]
            question = rng.choice(FORMS[op][language][len(seen) % 2]).format(a=a, b=b)
            yield Task(name, language, [user(question)], accepted(a, op, b), "equal")
