"""Writes src/text/jinja/unicode_props.inc: what Python's str methods know about each code point.

Run it with the Python of the reference environment (3.14: Unicode 16), so that upper(), isalpha(), repr() … agree with it:
    python3 tools/make_unicode_props.py src/text/jinja/unicode_props.inc
Property rows are {first code point of the run, flags}; case rows are {code point, lower, upper, title}, 0 for "itself",
and a value above 0x10FFFF is 0x110000 + an index into the list of full mappings (upper case of U+00DF is "SS").
"""
import sys
import unicodedata

assert unicodedata.unidata_version == "16.0.0"

def flags(cp):
    c = chr(cp)
    cat = unicodedata.category(c)
    bits = [
        c.isalpha(), c.isdecimal(), c.isdigit(), c.isnumeric(), c.isspace(), c.isprintable(), c.islower(), c.isupper(),
        c.istitle() and not c.isupper(), is_case_ignorable(c), c.isidentifier(), ("a" + c).isidentifier(),
    ]
    return sum(1 << i for i, b in enumerate(bits) if b)

def is_case_ignorable(c):
    # A final sigma is decided by skipping case-ignorable characters: "A" + c + capital sigma tells which those are,
    # because after a cased letter and an ignorable c the sigma is final, after any other c (not cased) it is not.
    cased = c.lower() != c or c.upper() != c or c.islower() or c.isupper() or c.istitle()
    if cased:
        # cased and ignorable at once (modifier letters): "1" + c + sigma is final only if c counts as cased
        return ("1" + c + "\u03a3").lower()[-1] == "\u03c3"
    return ("A" + c + "\u03a3").lower()[-1] == "\u03c2"

def main(path):
    runs, last = [], None
    for cp in range(0x110000):
        f = 0 if 0xD800 <= cp < 0xE000 else flags(cp) & 0xFFF
        if f != last:
            runs.append((cp, f))
            last = f
    full, rows = [], []
    def code(cp, s):
        if s == chr(cp):
            return 0
        if len(s) == 1:
            return ord(s)
        if s not in full:
            full.append(s)
        return 0x110000 + full.index(s)
    for cp in range(0x110000):
        if 0xD800 <= cp < 0xE000:
            continue
        c = chr(cp)
        row = (code(cp, c.lower()), code(cp, c.upper()), code(cp, c.title()), code(cp, c.casefold()))
        if any(row):
            rows.append((cp,) + row)
    with open(path, "w") as out:
        out.write("// Written by tools/make_unicode_props.py (Unicode 16, Python 3.14). Do not edit.\n")
        write_table(out, "constexpr PropertyRun kPropertyRuns[] = {", runs)
        write_table(out, "constexpr CaseRow kCaseRows[] = {", rows)
        fulls = [tuple(ord(c) for c in (s + "\0\0\0")[:3]) for s in full]
        assert all(len(s) <= 3 for s in full)
        write_table(out, "constexpr FullMapping kFullMappings[] = {", fulls)

def write_table(out, head, rows):
    out.write(head + "\n")
    line = ""
    for row in rows:
        item = "{" + ",".join(hex(v) if v > 9 else str(v) for v in row) + "},"
        if len(line) + len(item) > 118:
            out.write(line + "\n")
            line = ""
        line += item
    out.write(line + "\n};\n")

main(sys.argv[1])
