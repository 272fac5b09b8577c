"""Tool conversations: hundreds of synthetic tools in English and Chinese, one to four on offer, arguments as the user said them,
an answer from the result; requests no tool fits; held out: tools (whole families, nouns, attributes, verbs) and values."""
import copy
from functools import cache

from . import stage, values
from .common import BUILTIN, UNKNOWN, Example, Task, assistant, call, held_out, load, rng_for, tool_result, upper_first, user
from .wording import call_on, trained

OPTIONAL = [("limit", "integer"), ("verbose", "boolean"), ("format", "string"), ("language", "string"), ("unit", "string"), ("page", "integer")]
DESCRIBE_EN = ["Get the {a} of a {n}", "Look up the {a} of a {n}", "{a} of a {n}", "Find out the {a} of a {n}", "Returns the {a} of the given {n}"]
DESCRIBE_ZH = ["查询{n}的{a}", "获取{n}的{a}", "查找某个{n}的{a}", "返回{n}的{a}"]
ASK_EN = ["What is the {a} of the {n} {0}?", "Tell me the {a} of {n} {0}.", "I need the {a} of the {n} {0}.", "{n} {0}: what is the {a}?",
          "Find the {a} for {n} {0}.", "Can you look up the {a} of the {n} {0}?", "Please check the {a} of the {n} {0}.", "Do you know the {a} of {n} {0}?"]
ASK_ZH = ["{n}{0}的{a}是什么？", "查一下{n}{0}的{a}。", "告诉我{n}{0}的{a}。", "我想知道{n}{0}的{a}。", "{n}{0}的{a}？", "请查询{n}{0}的{a}。", "帮我看看{n}{0}的{a}。"]
SAY_EN, SAY_ZH = "The {a} of the {n} {0} is {{{k}}}.", "{n}{0}的{a}是{{{k}}}。"
DO_DESCRIBE_EN = ["{v} a {n}", "{v} the given {n}", "Use this to {v} a {n}"]
DO_DESCRIBE_ZH = ["{v}{n}", "{v}指定的{n}", "用于{v}{n}"]
DO_EN = ["{v} the {n} {0}.", "Please {v} the {n} {0}.", "Can you {v} {n} {0}?", "I want to {v} the {n} {0}.", "{v} {n} {0}, please.", "You should {v} the {n} {0} now."]
DO_ZH = ["{v}{n}{0}。", "请{v}{n}{0}。", "帮我{v}{n}{0}。", "能{v}{n}{0}吗？", "我要{v}{n}{0}。", "把{n}{0}{v}一下。"]
SET_DESCRIBE_EN = ["Set the {a} of a {n}", "Change the {a} of a {n}", "Update the {a} of a {n}"]
SET_DESCRIBE_ZH = ["设置{n}的{a}", "修改{n}的{a}", "更新{n}的{a}"]
SET_EN = ["Set the {a} of the {n} {0} to {1}.", "Change the {a} of {n} {0} to {1}.", "The {a} of the {n} {0} is now {1}, please update it.", "Make {1} the {a} of {n} {0}."]
SET_ZH = ["把{n}{0}的{a}设为{1}。", "将{n}{0}的{a}改成{1}。", "{n}{0}的{a}现在是{1}，请更新。", "修改{n}{0}的{a}为{1}。"]
ERRORS = {"en": ["not found", "no permission", "service not available", "time is out", "invalid value"],
          "zh": ["未找到", "没有权限", "服务不可用", "超时", "值无效"]}
FAILED = {"en": "That did not work: {error}.", "zh": "没有成功：{error}。"}
CANNOT = {"en": "I can't do that; I have no tool for it.", "zh": "我做不到，我没有这样的工具。"}  # for deeds; what is only asked is not known

NO_TOOL = {False: 0.12, True: 0.18}  # share of requests that no tool on offer fits

JSON_TYPES = {"integer": "integer", "small": "integer", "year": "integer", "percent": "integer", "degrees": "integer", "large": "integer", "decimal": "number"}
IDS = {"title": ("name", "title"), "code": ("id", "code", "number"), "person": ("name", "person"), "given": ("name",), "host": ("host", "name"),
       "room": ("room", "place"), "file": ("file", "path"), "flight": ("flight", "number", "id")}


@cache
def parts():
    return load("tools.toml")


@cache
def more_parts():
    """Nouns, attributes, verbs and families that `many_tools` adds; never evaluated."""
    return load("more_tools.toml")


def pool(kind, split):
    return [*parts()[kind], *more_parts()[kind]] if stage.now.many_tools and split == "train" else parts()[kind]


@cache
def trained_only():
    return {p[0] for kind in ("noun", "attribute", "verb") for p in more_parts()[kind]} | {f["names"][0] for f in more_parts()["family"]}


def wordings(key, language, split, plain):
    """The evaluation asks in the plain wordings of its tools, which are unseen tools."""
    return plain if split == "eval" else trained(f"{key}.{language}", plain)


def slug(text):
    return text.replace(" ", "_")


def fits(kind, split, *names):
    """The evaluation takes tools with at least one unseen part, training takes tools of seen parts only."""
    return any(held_out(kind, n, share=0.14) for n in names if n not in trained_only()) == (split == "eval")


def shape_name(rng, words):
    """snake_case mostly, camelCase, kebab-case or a namespace at times."""
    words = [w for part in words for w in part.split(" ")]
    r = rng.random()
    if r < 0.7:
        return "_".join(words)
    if r < 0.85:
        return words[0] + "".join(w.capitalize() for w in words[1:])
    return "-".join(words) if r < 0.93 or len(words) < 2 else words[0] + "." + "_".join(words[1:])


class Tool:
    """A tool and how users ask for it: schema, parameter kinds, requests, result keys, answer."""

    def __init__(self, meaning, name, description, params, asks, result, say, acts=True):
        self.meaning, self.name, self.description, self.params = meaning, name, description, params
        self.asks, self.result, self.say, self.acts = asks, result, say, acts

    def schema(self, rng):
        properties = {}
        for name, kind, json_type in self.params:
            properties[name] = {"type": json_type}
            if rng.random() < 0.06:
                properties[name]["description"] = upper_first(kind)
        required = [p[0] for p in self.params]
        if rng.random() < 0.1:
            name, json_type = rng.choice(OPTIONAL)
            properties.setdefault(name, {"type": json_type})
        return {"type": "function", "function": {"name": self.name, "description": self.description,
                                                 "parameters": {"type": "object", "properties": properties, "required": required}}}


def noun_for(rng, groups, column, split):
    """A noun and a second part (attribute or verb) that share a group."""
    nouns, others = pool("noun", split), pool(groups, split)
    while True:
        noun = rng.choice(nouns)
        other = rng.choice(others)
        if set(noun[2].split()) & set(other[column].split()):
            return noun, other


def lookup_tool(rng, language, split):
    while True:
        noun, attribute = noun_for(rng, "attribute", 2, split)
        if fits("part", split, noun[0], attribute[0]):
            break
    n_en, n_zh, _, id_kind = noun
    a_en, a_zh, _, kind = attribute
    words = rng.choice((["get", n_en, a_en], [n_en, a_en], ["lookup", n_en, a_en], ["find", a_en], ["get", a_en], ["check", n_en, a_en], [a_en, "of", n_en], ["fetch", n_en, a_en],
                        ["query", n_en, a_en], ["show", a_en]))
    id_name = rng.choice((*IDS[id_kind], slug(n_en), f"{slug(n_en)}_{IDS[id_kind][0]}"))
    key = rng.choice((slug(a_en), slug(a_en), "value", "result"))
    n, a = (n_en, a_en) if language == "en" else (n_zh, a_zh)
    fill = {"n": n, "a": a, "k": key}
    describe, ask, say = (DESCRIBE_EN, ASK_EN, SAY_EN) if language == "en" else (DESCRIBE_ZH, ASK_ZH, SAY_ZH)
    ask = wordings("ASK", language, split, ask)
    return Tool(("get", n_en, a_en), shape_name(rng, words), upper_first(rng.choice(describe).format(**fill)), [(id_name, id_kind, "string")],
                [partial(f, fill) for f in ask], [(key, kind)], say.format("{0}", **fill), acts=False)


def partial(form, fill):
    """Fills the named slots and leaves {0}, {1}."""
    return form.format("{0}", "{1}", "{2}", **fill)


def action_tool(rng, language, split):
    while True:
        noun, verb = noun_for(rng, "verb", 3, split)
        if fits("part", split, noun[0], verb[0]):
            break
    n_en, n_zh, _, id_kind = noun
    v_en, done, v_zh, _ = verb
    words = rng.choice(([v_en, n_en], [v_en, n_en], [n_en, v_en], [v_en], ["do", v_en, n_en]))
    id_name = rng.choice((*IDS[id_kind], slug(n_en), f"{slug(n_en)}_{IDS[id_kind][0]}"))
    fill = {"n": n_en, "v": v_en} if language == "en" else {"n": n_zh, "v": v_zh}
    describe, ask = (DO_DESCRIBE_EN, DO_EN) if language == "en" else (DO_DESCRIBE_ZH, DO_ZH)
    ask = wordings("DO", language, split, ask)
    say = f"The {n_en} {{0}} has been {done}." if language == "en" else f"{n_zh}{{0}}已{v_zh}。"
    result = rng.choice(([("ok", "true")], [("status", "=done")], [("done", "true")], [("success", "true")]))
    return Tool((v_en, n_en), shape_name(rng, words), upper_first(rng.choice(describe).format(**fill)), [(id_name, id_kind, "string")],
                [upper_first(partial(f, fill)) for f in ask], result, say)


def set_tool(rng, language, split):
    while True:
        noun, attribute = noun_for(rng, "attribute", 2, split)
        if fits("part", split, noun[0], attribute[0]):
            break
    n_en, n_zh, _, id_kind = noun
    a_en, a_zh, _, kind = attribute
    words = rng.choice((["set", n_en, a_en], ["change", n_en, a_en], ["update", a_en], ["set", a_en], ["edit", n_en, a_en]))
    id_name = rng.choice((*IDS[id_kind], slug(n_en)))
    value_name = rng.choice((slug(a_en), slug(a_en), "value", f"new_{slug(a_en)}"))
    fill = {"n": n_en, "a": a_en} if language == "en" else {"n": n_zh, "a": a_zh}
    describe, ask = (SET_DESCRIBE_EN, SET_EN) if language == "en" else (SET_DESCRIBE_ZH, SET_ZH)
    ask = wordings("SET", language, split, ask)
    say = f"The {a_en} of the {n_en} {{0}} is now {{1}}." if language == "en" else f"{n_zh}{{0}}的{a_zh}现在是{{1}}。"
    params = [(id_name, id_kind, "string"), (value_name, kind, JSON_TYPES.get(kind, "string"))]
    if id_name == value_name:
        return set_tool(rng, language, split)
    if rng.random() < 0.3:
        params, ask, say = params[::-1], [swap(f) for f in ask], swap(say)
    return Tool(("set", n_en, a_en), shape_name(rng, words), upper_first(rng.choice(describe).format(**fill)), params,
                [upper_first(partial(f, fill)) for f in ask], [("ok", "true")], say)


def swap(form):
    return form.replace("{0}", "{x}").replace("{1}", "{0}").replace("{x}", "{1}")


def family_tool(rng, language, split):
    family = rng.choice([f for f in pool("family", split) if fits("family", split, f["names"][0])])
    params = [(rng.choice(names), kind, json_type) for names, kind, json_type in family["params"]]
    order = list(range(len(params)))
    if len(params) > 1 and rng.random() < 0.3:
        rng.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    asks = [renumber(f, place) for f in wordings(family["names"][0], language, split, family[f"ask_{language}"])]
    result = [(k, f"={place[int(kind[1:])]}" if kind.startswith("=") and kind[1:].isdigit() else kind) for k, kind in family["result"]]
    name = rng.choice(family["names"])
    if rng.random() < 0.2:
        name = shape_name(rng, [name.replace("_", " ")])
    return Tool(family["names"][0], name, rng.choice(family[language]), [params[i] for i in order], asks, result,
                renumber(family[f"say_{language}"], place), family.get("acts", False))


def renumber(form, place):
    for old, new in place.items():
        form = form.replace(f"{{{old}}}", f"{{<{new}>}}")
    return form.replace("{<", "{").replace(">}", "}")


MAKERS = (lookup_tool, lookup_tool, action_tool, set_tool, family_tool, family_tool, family_tool)


def make_tool(rng, language, split):
    return rng.choice(MAKERS)(rng, language, split)


def request(rng, tool, language):
    """(user's text, arguments, result, answer)."""
    arguments = {}
    for name, kind, json_type in tool.params:
        value = values.draw(rng, kind, language)
        arguments[name] = value if json_type in ("integer", "number") else str(value)
    said = list(arguments.values())
    if len(set(map(str, said))) < len(said):
        return request(rng, tool, language)
    text = rng.choice(tool.asks).format(*said)
    if rng.random() < 0.06:
        result = {"error": rng.choice(ERRORS[language])}
        return text, arguments, result, FAILED[language].format(**result)
    result = {}
    for key, kind in tool.result:
        result[key] = (said[int(kind[1:])] if kind[1:].isdigit() else kind[1:]) if kind.startswith("=") else values.draw(rng, kind, language)
    return text, arguments, result, tool.say.format(*said, **result)


def differs(other, tools):
    return other.name not in {t.name for t in tools} and other.meaning not in {t.meaning for t in tools}


def toolbox(rng, language, split, most=4):
    """One to `most` synthetic tools of different names; some are close relatives; at times the built-in ones beside them."""
    tools = [make_tool(rng, language, split)]
    while len(tools) < rng.choice((1, 2, 2, 3, 3, 4)) and len(tools) < most:
        other = make_tool(rng, language if rng.random() < 0.9 else ("en" if language == "zh" else "zh"), split)
        if differs(other, tools):
            tools.append(other)
    return tools


def offered(rng, tools):
    schemas = [t.schema(rng) for t in tools]
    if len(schemas) <= 2 and rng.random() < 0.3:
        schemas += copy.deepcopy(BUILTIN)
    rng.shuffle(schemas)
    return schemas


def of_language(tools, language):
    """Tools whose requests are in the conversation's language (a relative may be in the other one)."""
    chinese = [t for t in tools if any("\u4e00" <= c <= "\u9fff" for c in t.asks[0])]
    return [t for t in tools if (t in chinese) == (language == "zh")]


def conversation(rng, language, split="train"):
    tools = toolbox(rng, language, split)
    schemas = offered(rng, tools)
    mine = of_language(tools, language)
    messages = []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        tool = rng.choice(mine)
        text, arguments, result, answer = request(rng, tool, language)
        messages += [user(call_on(rng, text, language)), call(tool.name, arguments), tool_result(result), assistant(answer)]
    return messages, schemas


def without_tool(rng, language, split):
    """(request, refusal, tools on offer): nothing, the built-in tools or other synthetic ones are at hand."""
    wanted = make_tool(rng, language, split)
    text, *_ = request(rng, wanted, language)
    others = [t for t in toolbox(rng, language, split, 3) if differs(t, [wanted])]
    r = rng.random()
    schemas = [] if r < 0.2 else copy.deepcopy(BUILTIN) if r < 0.45 or not others else offered(rng, others)
    return text, CANNOT[language] if wanted.acts else UNKNOWN[language], schemas


def train(shard, count):
    rng = rng_for("tools", shard)
    for _ in range(count):
        language = rng.choice(("en", "zh"))
        if rng.random() < NO_TOOL[stage.now.many_tools]:
            text, answer, schemas = without_tool(rng, language, "train")
            yield Example("no_tool", language, [user(call_on(rng, text, language)), assistant(answer)], schemas, joinable=False)
            continue
        messages, schemas = conversation(rng, language)
        yield Example("tools", language, messages, schemas, joinable=False)


def answer_task(rng, language):
    """An answer is right that has the value from the result: how a tool that was never seen puts it cannot be known."""
    while True:
        tools = toolbox(rng, language, "eval")
        schemas = offered(rng, tools)
        tool = rng.choice(of_language(tools, language))
        text, arguments, result, _ = request(rng, tool, language)
        values_said = [str(v) for k, v in result.items() if k == "error" or not dict(tool.result)[k].startswith("=") and not isinstance(v, bool)]
        if len(values_said) == 1 and len(values_said[0]) > 1 and values_said[0] not in text:
            return Task("tool_answer", language, [user(text), call(tool.name, arguments), tool_result(result)], values_said, "contains", tools=schemas, plain=True)


def tasks():
    for language in ("en", "zh"):
        rng = rng_for("tools", "eval", language)
        for i in range(150):
            tools = toolbox(rng, language, "eval")
            schemas = offered(rng, tools)
            tool = rng.choice(of_language(tools, language))
            text, arguments, result, answer = request(rng, tool, language)
            calls = [{"name": tool.name, "arguments": arguments}]
            yield Task("tool_call", language, [user(text)], tools=schemas, tool_calls=calls, plain=True)
        for _ in range(100):
            yield answer_task(rng, language)
        for _ in range(60):
            text, _, schemas = without_tool(rng, language, "eval")
            yield Task("no_tool", language, [user(text)], tools=schemas, refuse=True, plain=True)
