#!/usr/bin/env python3
"""Makes src/text/unicode_tables.inc and tests/text/data/unicode_reference.txt by asking HF `tokenizers` about every code
point, so that our tables are what the reference does and not what some Unicode version says:
  L N M P  general categories as its regex engine (Oniguruma 6.9.10: Unicode 16) has them
  S        \\s of that engine, and of the Rust regex crate that lstrip and rstrip use (the same 25 code points)
  W        \\w of the Rust regex crate (single_word flag of added tokens)
  D        char::is_numeric of Rust's library (pre-tokenizer Digits): newer than N
  NFC      the normalizer NFC, whose data are those of Unicode 8
Run in the reference environment (tokenizers 0.23.1, Python's unicodedata 16.0.0):
  python3 tools/unicode_tables.py src/text/unicode_tables.inc tests/text/data/unicode_reference.txt
"""
import random
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

CHARS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
ALL = "".join(CHARS)
NFC, NFD = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
BITS = {"L": 1, "N": 2, "M": 4, "S": 8, "P": 16, "W": 32, "D": 64}
NFC_BIT = 128
BLOCK = 128


def by_regex(regex):
    rest = set("".join(s for s, _ in pre_tokenizers.Split(Regex(regex), behavior="removed").pre_tokenize_str(ALL)))
    return {c for c in CHARS if c not in rest}


def with_added_token(**flags):
    t = Tokenizer(models.WordLevel({"u": 0}, unk_token="u"))
    t.add_tokens([AddedToken("<X>", normalized=False, **flags)])
    return t


def classes():
    out = {name: by_regex(rf"\p{{{name}}}") for name in "LNMP"}
    for name, chars in out.items():
        assert chars == {c for c in CHARS if unicodedata.category(c)[0] == name}, name
    out["S"] = by_regex(r"\s")
    strip = with_added_token(rstrip=True)
    assert out["S"] == {c for c in CHARS if strip.encode("<X>" + c + "a").offsets[0] != (0, 3)}
    word = with_added_token(single_word=True)
    out["W"] = {c for c in CHARS if 1 not in word.encode("<X>" + c).ids}
    assert out["W"] == {c for c in CHARS if 1 not in word.encode(c + "<X>").ids}
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str("a".join(["", *CHARS, ""]))
    out["D"] = {s for s, _ in pieces if len(s) == 1 and s != "a"}
    return out


def combining_classes():
    """The class of every mark, found from the order in which the reference sorts it among marks of known class."""
    known = {}
    for c in CHARS:
        k = unicodedata.combining(c)
        if k and unicodedata.ucd_3_2_0.combining(c) == k and NFD(c) == c:
            known.setdefault(k, c)
    out = {}
    for c in CHARS:
        k = unicodedata.combining(c)
        if not k or NFD(c) != c:
            continue
        moved = [v for v, p in known.items() if NFD("a" + p + c) != "a" + p + c or NFD("a" + c + p) != "a" + c + p]
        if not moved:
            continue
        assert all((NFD("a" + p + c) != "a" + p + c) == (k < v) for v, p in known.items()), hex(ord(c))
        out[c] = k
    return out


def is_hangul(c):
    return 0xAC00 <= ord(c) < 0xAC00 + 11172


def normal_forms(ccc):
    decomposed = {c: NFD(c) for c in CHARS if NFD(c) != c and not is_hangul(c)}
    pairs = {}
    for c in decomposed:
        parts = unicodedata.decomposition(c).split()
        assert parts and not parts[0].startswith("<")
        if len(parts) == 2:
            a, b = (chr(int(p, 16)) for p in parts)
            if NFC(a + b) == c and NFC(c) == c:
                pairs[a, b] = c
    second = {b for _, b in pairs} | {chr(c) for c in [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]}
    touchy = {c for c in CHARS if c in ccc or c in second or NFC(c) != c}
    return decomposed, pairs, touchy


def runs(chars):
    out = []
    for c in sorted(map(ord, chars)):
        if out and out[-1][0] + out[-1][1] == c:
            out[-1][1] += 1
        else:
            out.append([c, 1])
    return out


def two_stage(values):
    blocks, index = {}, []
    for i in range(0, 0x110000, BLOCK):
        block = tuple(values.get(chr(c), 0) if not 0xD800 <= c <= 0xDFFF else 0 for c in range(i, i + BLOCK))
        index.append(blocks.setdefault(block, len(blocks)))
    return list(blocks), index


def c_array(kind, name, values, per_line=24):
    lines = [",".join(map(str, values[i:i + per_line])) for i in range(0, len(values), per_line)]
    return f"inline constexpr {kind} {name}[] = {{\n" + ",\n".join(lines) + "};\n"


def write_inc(path, cls, ccc, decomposed, pairs, touchy):
    bits = {}
    for name, chars in cls.items():
        for c in chars:
            bits[c] = bits.get(c, 0) | BITS[name]
    for c in touchy:
        bits[c] = bits.get(c, 0) | NFC_BIT
    with open(path, "w", newline="\n") as f:
        f.write("// Made by tools/unicode_tables.py from HF tokenizers " + tokenizers.__version__ + "; do not edit.\n")
        for name, values in (("Class", bits), ("Ccc", ccc)):
            blocks, index = two_stage(values)
            assert len(blocks) <= 256 or name == "Class"
            f.write(c_array("uint16_t" if len(blocks) > 256 else "uint8_t", f"k{name}Index", index, 48))
            f.write(c_array("uint8_t", f"k{name}Blocks", [v for b in blocks for v in b], 48))
        pool, entries = [], []
        for c in sorted(decomposed):
            entries += [ord(c), len(pool) << 3 | len(decomposed[c])]
            pool += map(ord, decomposed[c])
        f.write("// code point, offset in the pool << 3 | length; sorted\n")
        f.write(c_array("uint32_t", "kDecompositions", entries))
        f.write(c_array("uint32_t", "kDecompositionPool", pool))
        f.write("// first, second, composite; sorted\n")
        f.write(c_array("uint32_t", "kCompositions", [ord(x) for (a, b), c in sorted(pairs.items()) for x in (a, b, c)]))


def hexes(s):
    return " ".join(f"{ord(c):X}" for c in s)


def strings(ccc, decomposed):
    """Random strings that reorder, compose, block and decompose."""
    rng = random.Random(20261122)
    marks, bases, starts = sorted(ccc), sorted(decomposed), [chr(c) for c in range(0x1100, 0x1113)]
    vowels, tails = [chr(c) for c in range(0x1161, 0x1176)], [chr(c) for c in range(0x11A7, 0x11C3)]
    for _ in range(300):
        s = ""
        for _ in range(rng.randint(1, 4)):
            kind = rng.randrange(6)
            if kind == 0:
                s += rng.choice(starts) + rng.choice(vowels) + rng.choice(tails)
            elif kind == 1:
                s += chr(rng.randrange(0xAC00, 0xAC00 + 11172)) + rng.choice(tails)
            elif kind == 2:
                s += NFD(rng.choice(bases))
            else:
                s += rng.choice(bases + list("aeiouAEOU") * 40)
            s += "".join(rng.choice(marks if rng.random() < 0.6 else "\u0301\u0323\u0308\u0327\u0345\u0653\u093c")
                         for _ in range(rng.randint(0, 4)))
        yield s


def write_reference(path, cls, ccc, decomposed):
    with open(path, "w", newline="\n") as f:
        f.write("# Made by tools/unicode_tables.py from HF tokenizers " + tokenizers.__version__ + ".\n"
                "# class NAME start+length ... (hexadecimal) | ccc VALUE start+length ... | form c = NFD = NFC | string s = NFC\n")
        for name, chars in cls.items():
            f.write(f"class {name} " + " ".join(f"{a:X}+{n:X}" for a, n in runs(chars)) + "\n")
        for k in sorted(set(ccc.values())):
            f.write(f"ccc {k} " + " ".join(f"{a:X}+{n:X}" for a, n in runs(c for c in ccc if ccc[c] == k)) + "\n")
        for c in sorted(decomposed):
            f.write(f"form {hexes(c)} = {hexes(decomposed[c])} = {hexes(NFC(c))}\n")
        for s in strings(ccc, decomposed):
            f.write(f"string {hexes(s)} = {hexes(NFC(s))}\n")


def main():
    assert unicodedata.unidata_version == "16.0.0" and tokenizers.__version__.startswith("0.23")
    cls = classes()
    ccc = combining_classes()
    decomposed, pairs, touchy = normal_forms(ccc)
    # Hangul is computed by rule in the library: the reference does the same.
    assert all(NFC(c) == c and NFC(NFD(c)) == c for c in CHARS if is_hangul(c))
    assert all(NFC(c) == c for c in CHARS if c not in decomposed)
    write_inc(sys.argv[1], cls, ccc, decomposed, pairs, touchy)
    write_reference(sys.argv[2], cls, ccc, decomposed)
    print({k: len(v) for k, v in cls.items()}, len(ccc), len(decomposed), len(pairs), len(touchy))


if __name__ == "__main__":
    main()
