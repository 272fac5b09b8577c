"""Random templates with variables, one JSON object a line: {"source": …, "vars": "<JSON object>"}.

    python3 tools/random_templates.py SEED COUNT > cases.jsonl

Pipe the result through tools/template_reference.py (in the reference environment) for what jinja2 makes of them, and set
QW_TEMPLATE_CASES to that file when running test_text: the test RandomTemplates compares.
"""
import json
import random
import sys

NAMES = ["s", "u", "n", "f", "big", "l", "ls", "d", "users", "nest", "t", "none_", "q", "x", "y", "i", "loop", "ns", "m"]
STRINGS = ["", "a", "abc", "Hello World", "a,b,,c", " x\n y ", "é日ß", "1", "-2.50", "0x1f", "it's \"q\"", "<b>&", "%s-%d", "{} {a}", "ΑΣ σ", "ǅx", "a\tb\r\nc", "1_0", "٣", "😀\u200d"]
INTS = ["0", "1", "2", "-1", "-3", "5", "7", "10", "100", "9007199254740993", "9223372036854775807", "123456789012345678901"]
FLOATS = ["0.0", "1.0", "-0.5", "2.5", "3.14159", "1e16", "1e-7", "1e22", "0.1", "123456.789", "1e308"]
TESTS0 = "defined undefined none string number integer float boolean true false mapping sequence iterable callable odd even lower upper escaped".split()
TESTS1 = "divisibleby eq ne lt le gt ge in sameas equalto".split()
METHODS = {
    "upper": 0, "lower": 0, "title": 0, "capitalize": 0, "swapcase": 0, "strip": -1, "lstrip": -1, "rstrip": -1, "split": -2, "rsplit": -2, "splitlines": 0,
    "startswith": 1, "endswith": 1, "replace": 2, "find": 1, "rfind": 1, "index": 1, "count": 1, "join": 1, "format": 2, "isdigit": 0, "isalpha": 0,
    "isalnum": 0, "isspace": 0, "islower": 0, "isupper": 0, "istitle": 0, "removeprefix": 1, "removesuffix": 1, "zfill": 1, "center": 1, "ljust": 1,
    "rjust": 1, "partition": 1, "rpartition": 1, "items": 0, "keys": 0, "values": 0, "get": -2, "copy": 0, "append": 1, "pop": 0, "expandtabs": 0,
}
FILTERS = [
    "abs", "attr", "batch", "capitalize", "center", "count", "default", "d", "dictsort", "escape", "e", "first", "float", "forceescape", "format", "groupby",
    "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "pprint", "reject", "rejectattr", "replace", "reverse", "round",
    "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode",
    "wordcount", "wordwrap", "xmlattr", "filesizeformat",
]
ATTRS = ["a", "b", "name", "age", "tags", "items", "role", "zz", "real", "index", "first", "length", "nextitem"]


class Maker:
    def __init__(self, rng):
        self.r = rng
        self.loops = 0

    def pick(self, seq):
        return self.r.choice(seq)

    def string(self):
        text = self.pick(STRINGS)
        body = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        return f"'{body}'" if self.r.random() < 0.7 else json.dumps(text, ensure_ascii=False)

    def atom(self):
        k = self.r.random()
        if k < 0.45:
            return self.pick(NAMES)
        if k < 0.62:
            return self.string()
        if k < 0.76:
            return self.pick(INTS)
        if k < 0.82:
            return self.pick(FLOATS)
        return self.pick(["true", "false", "none", "[]", "{}", "()"])

    def args(self, n, depth):
        return ", ".join(self.expr(depth) for _ in range(n))

    def filter_call(self, depth):
        name = self.pick(FILTERS)
        r = self.r
        attr = self.pick(["'name'", "'age'", "'a'", "'b.c'", "'tags.0'", "0"])
        special = {
            "attr": lambda: f"attr({attr})", "batch": lambda: f"batch({self.pick(['1', '2', '3'])}{self.pick(['', ', 0'])})|list",
            "slice": lambda: f"slice({self.pick(['1', '2', '3'])}{self.pick(['', ', 0'])})|list", "groupby": lambda: f"groupby({attr})",
            "map": lambda: "map(" + self.pick([f"attribute={attr}", f"attribute={attr}, default='D'", f"'{self.pick(FILTERS)}'", "'default', 'x'"]) + ")" + self.pick(["|list", ""]),
            "select": lambda: f"select({self.pick(['', repr(self.pick(TESTS0)), repr(self.pick(TESTS1)) + ', 2'])})|list",
            "reject": lambda: f"reject({self.pick(['', repr(self.pick(TESTS0)), repr(self.pick(TESTS1)) + ', 2'])})|list",
            "selectattr": lambda: f"selectattr({attr}{self.pick(['', ', ' + repr(self.pick(TESTS0)), ', ' + repr(self.pick(TESTS1)) + ', 30'])})|list",
            "rejectattr": lambda: f"rejectattr({attr}{self.pick(['', ', ' + repr(self.pick(TESTS0))])})|list",
            "replace": lambda: f"replace({self.string()}, {self.string()}{self.pick(['', ', 1'])})", "join": lambda: f"join({self.pick(['', repr(', '), repr('-') + ', ' + repr('name')])})",
            "default": lambda: f"default({self.expr(depth)}{self.pick(['', ', true'])})", "sort": lambda: "sort" + self.pick(["", "(true)", f"(attribute={attr})", "(case_sensitive=true)"]),
            "dictsort": lambda: "dictsort" + self.pick(["", "(true)", "(by='value')", "(reverse=true)"]), "round": lambda: "round" + self.pick(["", "(1)", "(2, 'floor')", "(0, 'ceil')", "(-1)"]),
            "int": lambda: "int" + self.pick(["", "(5)", "(0, 16)", "(base=0)"]), "float": lambda: "float" + self.pick(["", "(1.5)"]), "indent": lambda: "indent" + self.pick(["", "(2)", "(2, true)", "('>', true, true)"]),
            "tojson": lambda: "tojson" + self.pick(["", "(indent=2)", "(sort_keys=true)", "(true)", "(separators=(',', ':'))"]), "truncate": lambda: f"truncate({self.pick(['4', '6', '9, true', '5, false, end=' + repr('!'), '3, leeway=0'])})",
            "trim": lambda: "trim" + self.pick(["", f"({self.string()})"]), "wordwrap": lambda: f"wordwrap({self.pick(['3', '5', '8, false', '4, true, ' + repr('|')])})", "sum": lambda: "sum" + self.pick(["", f"({attr})", "(start=1.5)"]),
            "min": lambda: "min" + self.pick(["", f"(attribute={attr})"]), "max": lambda: "max" + self.pick(["", f"(attribute={attr})"]), "unique": lambda: "unique" + self.pick(["", f"(attribute={attr})"]) + "|list",
            "center": lambda: f"center({self.pick(['3', '8', '9'])})", "format": lambda: f"format({self.args(r.randint(0, 2), depth)})", "reverse": lambda: "reverse" + self.pick(["", "|list"]), "items": lambda: "items|list",
        }
        return special.get(name, lambda: name)()

    def expr(self, depth):
        """Mostly of a type that fits what is done with it; every tenth is anything."""
        if depth <= 0:
            return self.atom() if self.r.random() < 0.3 else self.pick(["s", "n", "l", "d", self.string(), self.pick(INTS)])
        if self.r.random() < 0.1:
            return self.wild(depth)
        return getattr(self, self.pick(["text", "text", "number", "sequence", "boolean", "mapping"]))(depth)

    def text(self, depth):
        if depth <= 0:
            return self.pick(["s", "u", "ls[0]", "users[1].name", self.string(), self.string()])
        d = depth - 1
        t = lambda: self.text(d)
        return self.pick([
            lambda: f"({t()} ~ {self.expr(d)})", lambda: f"({t()} + {t()})", lambda: f"({t()} * {self.pick(['0', '2', '-1', '3'])})",
            lambda: f"({t()})|{self.pick(['upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'e', 'urlencode', 'striptags', 'reverse', 'indent(2, true)', 'center(8)', 'truncate(4)', 'truncate(7, true)', 'safe', 'replace(' + t() + ', ' + t() + ')', 'trim(' + t() + ')', 'wordwrap(4)', 'tojson', 'pprint', 'format', 'default(1)', 'first', 'last'])}",
            lambda: f"({t()}).{self.pick(['upper', 'lower', 'title', 'capitalize', 'swapcase', 'strip', 'lstrip', 'rstrip', 'expandtabs', 'casefold'])}()",
            lambda: f"({t()}).{self.pick(['strip', 'lstrip', 'rstrip', 'removeprefix', 'removesuffix'])}({t()})",
            lambda: f"({t()}).replace({t()}, {t()}{self.pick(['', ', 1'])})", lambda: f"({t()}).{self.pick(['zfill', 'center', 'ljust', 'rjust'])}({self.pick(['0', '3', '9'])})",
            lambda: f"({t()})[{self.part()}:{self.part()}{self.pick(['', ':', ':-1', ':2', ':-2'])}]", lambda: f"({t()})[{self.pick(['0', '-1', '1', '20'])}]",
            lambda: f"({self.sequence(d)})|join({t()})", lambda: f"({t()}).join({self.sequence(d)}|map('string'))", lambda: f"({self.expr(d)})|tojson{self.pick(['', '(indent=2)', '(sort_keys=true)', '(true)'])}",
            lambda: f"({self.expr(d)})|string", lambda: f"('%s|%5s|%-4s|%r' % ({t()}, {t()}, {self.expr(d)}, {self.expr(d)}))", lambda: f"'%d %05d %x %.2f %g %e'|format({', '.join(self.number(d) for _ in range(6))})",
            lambda: f"'{{}} {{:>6}} {{!r}} {{:^9}}'.format({t()}, {t()}, {self.expr(d)}, {t()})", lambda: f"'{{:{self.pick(['+', '-', ' ', ''])}{self.pick(['', '08', '12', '<9', '^9', '=9'])}{self.pick(['', ',', '_'])}{self.pick(['', '.3'])}{self.pick(['', 'f', 'e', 'g', 'd', '%', 'n'])}}}'.format({self.number(d)})",
            lambda: f"({t()} if {self.boolean(d)} else {t()})", lambda: f"m({self.expr(d)})", lambda: f"({self.expr(d)})|pprint",
        ])()

    def part(self):
        return self.pick(["", "0", "1", "2", "-1", "-2", "5", "none"])

    def number(self, depth):
        if depth <= 0:
            return self.pick(["n", "f", "big", "t", self.pick(INTS), self.pick(INTS), self.pick(FLOATS)])
        d = depth - 1
        v = lambda: self.number(d)
        return self.pick([
            lambda: f"({v()} {self.pick(['+', '-', '*', '/', '//', '%'])} {v()})", lambda: f"(-{v()})", lambda: f"({v()})|abs", lambda: f"({v()} ** {self.pick(['2', '3', '-1', '0.5'])})",
            lambda: f"({v()})|round({self.pick(['', '1', '2, ' + repr('floor'), '0, ' + repr('ceil'), '-1'])})", lambda: f"({v()})|int", lambda: f"({self.expr(d)})|int({self.pick(['', '7', '0, 16', 'base=0'])})", lambda: f"({self.text(d)})|float",
            lambda: f"({self.sequence(d)})|length", lambda: f"({self.text(d)})|length", lambda: f"({self.text(d)})|wordcount", lambda: f"[{v()}, {v()}, {v()}]|{self.pick(['sum', 'min', 'max', 'first', 'last', 'sum(start=0.5)'])}",
            lambda: f"({self.text(d)}).{self.pick(['find', 'rfind', 'count', 'index'])}({self.text(d)})", lambda: f"users[{self.pick(['0', '1', '-1'])}].age", lambda: f"({v()} if {self.boolean(d)} else {v()})", lambda: "loop.index", lambda: "ns.a",
        ])()

    def sequence(self, depth):
        if depth <= 0:
            return self.pick(["l", "ls", "users", "nest", "[]", "(1, 2)", "range(3)", "[3, 1, 2]", "['b', 'A', 'b']", "d.keys()"])
        d = depth - 1
        q = lambda: self.sequence(d)
        attr = self.pick(["'name'", "'age'", "'tags'", "'tags.0'", "0"])
        test = self.pick(["'defined'", "'string'", "'number'", "'odd'", "'in', ls", "'eq', 1", "'gt', 1", "'mapping'", "'none'"])
        return self.pick([
            lambda: "[" + self.args(self.r.randint(0, 3), d) + "]", lambda: f"({q()})[{self.part()}:{self.part()}{self.pick(['', ':-1', ':2'])}]", lambda: f"(({q()})|list + ({q()})|list)",
            lambda: f"({q()})|{self.pick(['list', 'sort', 'sort(true)', 'unique|list', 'reverse|list', 'batch(2)|list', 'batch(2, 0)|list', 'slice(2)|list', 'slice(3, 9)|list', 'map(' + repr('string') + ')|list', 'select|list'])}",
            lambda: f"users|{self.pick(['map(attribute=' + attr + ')|list', 'selectattr(' + attr + ', ' + test + ')|list', 'rejectattr(' + attr + ')|list', 'sort(attribute=' + attr + ')', 'groupby(' + attr + ')', 'map(attribute=' + repr('zz') + ', default=1)|list'])}",
            lambda: f"({q()})|{self.pick(['select', 'reject'])}({test})|list", lambda: f"({self.text(d)}).{self.pick(['split', 'rsplit'])}({self.pick(['', repr(','), 'none, 1', repr(' ') + ', 1'])})", lambda: f"({self.text(d)}).splitlines({self.pick(['', 'true'])})",
            lambda: f"({self.text(d)})|list", lambda: f"({self.mapping(d)})|{self.pick(['list', 'items|list', 'dictsort', 'dictsort(by=' + repr('value') + ')'])}", lambda: f"({self.mapping(d)}).{self.pick(['items', 'keys', 'values'])}()", lambda: f"({self.text(d)}).partition({self.text(0)})",
        ])()

    def mapping(self, depth):
        if depth <= 0:
            return self.pick(["d", "users[0]", "{}", "{'a': 1}", "nest[1]"])
        d = depth - 1
        return self.pick([
            lambda: "{" + ", ".join(f"{self.pick([self.text(0), self.number(0), 'none', 'true'])}: {self.expr(d)}" for _ in range(self.r.randint(0, 3))) + "}",
            lambda: f"dict({self.mapping(d)}, z={self.expr(d)})", lambda: f"({self.mapping(d)}).copy()", lambda: f"({self.mapping(d)} or {self.mapping(d)})",
        ])()

    def boolean(self, depth):
        if depth <= 0:
            return self.pick(["t", "true", "false", "none", "q is defined", "n > 1", "s", "e"])
        d = depth - 1
        b = lambda: self.boolean(d)
        return self.pick([
            lambda: f"({b()} {self.pick(['and', 'or'])} {b()})", lambda: f"(not {b()})", lambda: f"({self.number(d)} {self.pick(['==', '!=', '<', '<=', '>', '>='])} {self.number(d)})", lambda: f"({self.text(d)} {self.pick(['==', '<', 'in', 'not in'])} {self.text(d)})",
            lambda: f"({self.expr(d)} {self.pick(['in', 'not in'])} {self.sequence(d)})", lambda: f"({self.expr(d)} is {self.pick(['', 'not '])}{self.pick(TESTS0[:-6] + ['escaped', 'lower', 'upper'])})", lambda: f"({self.expr(d)} is {self.pick(['eq', 'sameas', 'ne'])}({self.pick(['none', 'true', self.expr(d)])}))",
            lambda: f"({self.text(d)}).{self.pick(['isdigit', 'isalpha', 'isalnum', 'isspace', 'islower', 'isupper', 'istitle', 'isdecimal', 'isnumeric', 'isidentifier', 'isprintable', 'isascii'])}()", lambda: f"({self.text(d)}).{self.pick(['startswith', 'endswith'])}({self.pick([self.text(d), '(' + self.text(0) + ', ' + self.text(0) + ')'])})",
            lambda: f"({self.expr(d)} == {self.expr(d)})", lambda: f"({self.number(d)} < {self.number(d)} {self.pick(['<', '==', '>='])} {self.number(d)})", lambda: "loop.last", lambda: "loop.first", lambda: f"(q is undefined)",
        ])()

    def wild(self, depth):
        d = depth - 1
        k = self.r.randint(0, 21)
        if k <= 3:
            return self.atom()
        if k <= 6:
            return f"{self.operand(d)}|{self.filter_call(d)}"
        if k == 7:
            name = self.pick(list(METHODS))
            n = METHODS[name]
            return f"{self.operand(d)}.{name}({self.args(n if n >= 0 else self.r.randint(0, -n), d)})"
        if k == 8:
            return f"{self.operand(d)}.{self.pick(ATTRS)}"
        if k == 9:
            return f"{self.operand(d)}[{self.expr(d)}]"
        if k == 10:
            part = lambda: self.pick(["", "0", "1", "2", "-1", "-2", "5", "none"])
            return f"{self.operand(d)}[{part()}:{part()}{self.pick(['', ':', ':-1', ':2', ':-2'])}]"
        if k <= 12:
            return f"({self.expr(d)} {self.pick(['+', '-', '*', '/', '//', '%', '~', '~', '+'])} {self.expr(d)})"
        if k == 13:
            return f"({self.expr(d)} {self.pick(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in', 'and', 'or'])} {self.expr(d)})"
        if k == 14:
            return f"({self.expr(d)} < {self.expr(d)} {self.pick(['<', '==', '>=', 'in'])} {self.expr(d)})"
        if k == 15:
            return self.pick(["not ", "-", "+"]) + self.operand(d)
        if k == 16:
            test = self.pick(TESTS0) if self.r.random() < 0.6 else f"{self.pick(TESTS1)}({self.expr(d)})"
            return f"({self.operand(d)} is {self.pick(['', 'not '])}{test})"
        if k == 17:
            return f"({self.expr(d)} if {self.expr(d)}{self.pick(['', ' else ' + self.expr(d)])})"
        if k == 18:
            return "[" + self.args(self.r.randint(0, 3), d) + "]"
        if k == 19:
            return "{" + ", ".join(f"{self.atom()}: {self.expr(d)}" for _ in range(self.r.randint(0, 3))) + "}"
        if k == 20:
            return self.pick([f"range({self.pick(['3', '1, 4', '5, 0, -2'])})", f"dict(a={self.expr(d)})", f"namespace(a={self.expr(d)}).a", f"m({self.args(self.r.randint(0, 2), d)})", f"({self.expr(d)}, {self.expr(d)})"])
        return f"{self.pick(['loop.index', 'loop.last', 'loop.length', 'loop.previtem', 'loop.cycle(1, 2)', 'loop.changed(i)', 'loop.revindex0', 'ns.a', 'ns.b'])}"

    def operand(self, depth):
        e = self.expr(depth)
        simple = e.replace("_", "").isalnum() or e[0] in "'\"[({"
        return e if simple and not e[0].isdigit() else f"({e})"

    def tag(self, text):
        return "{%" + self.pick(["", "", "", "-", "+"]) + f" {text} " + self.pick(["", "", "", "-"]) + "%}"

    def output(self, depth):
        return "{{" + self.pick(["", "", "-"]) + f" {self.expr(depth)} " + self.pick(["", "", "-"]) + "}}"

    def data(self):
        return self.pick(["", " ", "\n", "  \n  ", "text", "\n\n", "a\n ", "{# c #}", "{#- c -#}\n", "|"])

    def body(self, depth):
        return "".join(self.data() + self.statement(depth) for _ in range(self.r.choice([1, 1, 2, 3]))) + self.data()

    def statement(self, depth):
        if depth <= 0:
            return self.output(2)
        d = depth - 1
        k = self.r.randint(0, 14)
        name = self.pick(["x", "y", "q", "i"])
        if k <= 3:
            return self.output(3)
        if k == 4:
            return self.tag(f"set {name} = {self.expr(2)}")
        if k == 5:
            return self.tag(f"if {self.expr(2)}") + self.body(d) + self.pick(["", self.tag(f"elif {self.expr(1)}") + self.body(d), self.tag("else") + self.body(d)]) + self.tag("endif")
        if k <= 8:
            target = self.pick(["i", "x", "i, x", "y"])
            source = self.pick(["l", "ls", "users", "d", "d.items()", "nest", "range(3)", "'abc'", self.expr(2)])
            cond = self.pick(["", "", f" if {self.expr(1)}"])
            self.loops += 1
            inner = self.body(d) + self.pick(["", "", self.tag(f"if {self.expr(1)}") + self.tag(self.pick(["break", "continue"])) + self.tag("endif")])
            self.loops -= 1
            return self.tag(f"for {target} in {source}{cond}") + inner + self.pick(["", self.tag("else") + self.body(0)]) + self.tag("endfor")
        if k == 9:
            return self.tag(f"macro m({self.pick(['', 'x', 'x, y=1', 'x=q, y=x'])})") + self.body(d) + self.pick(["", "{{ varargs }}{{ kwargs }}", "{{ caller() }}"]) + self.tag("endmacro")
        if k == 10:
            return self.tag(f"set ns.{self.pick(['a', 'b'])} = {self.expr(2)}") if self.r.random() < 0.7 else self.tag(f"set {name} {self.pick(['', '| upper', '| trim'])}") + self.body(d) + self.tag("endset")
        if k == 11:
            return self.tag(f"with {name} = {self.expr(1)}") + self.body(d) + self.tag("endwith")
        if k == 12:
            return self.tag(f"filter {self.pick(['upper', 'trim', 'indent', 'replace(1, 2)', 'title'])}") + self.body(d) + self.tag("endfilter")
        if k == 13:
            return self.tag(f"call{self.pick(['', '(x)'])} m({self.args(self.r.randint(0, 1), 1)})") + self.body(d) + self.tag("endcall")
        return self.tag("generation") + self.body(d) + self.tag("endgeneration")


VARS = {
    "e": "", "s": "Hello World", "u": "héllo Ünï 日本 ß Σς", "n": 5, "f": 2.5, "big": 123456789012345678901234567890, "l": [3, 1, 2], "ls": ["b", "A", "c"],
    "d": {"a": 1, "b": {"c": [1, 2]}, "items": 3}, "t": True, "none_": None, "nest": [[1, [2, 3]], {"k": [{}]}],
    "users": [{"name": "Bob", "age": 30, "tags": ["x"]}, {"name": "alice", "age": 25, "tags": []}, {"name": "Carl", "age": 30.5}],
}


def main():
    rng = random.Random(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        maker = Maker(rng)
        source = maker.pick(["", "{% set ns = namespace(a=1) %}", "{% macro m(x, y=2) %}[{{ x }}{{ y }}]{% endmacro %}"]) + maker.body(rng.choice([0, 0, 1, 1, 2, 3]))
        chosen = {k: v for k, v in VARS.items() if rng.random() < 0.85}
        print(json.dumps({"source": source, "vars": json.dumps(chosen)}))


main()
