#!/usr/bin/env python3
"""Writes src/apps/chat/terminal_tables.inc: grapheme break classes and cell widths of code points.

Source: the Unicode 15.0 files of Debian 12 (package unicode-data), the version that its C library and terminals follow.
Use: tools/terminal_tables.py > src/apps/chat/terminal_tables.inc
"""
import re
import sys
from pathlib import Path

UCD = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode")
LAST = 0x110000


def properties(name):
    """(first, last, value) of each line of a property file."""
    for line in (UCD / name).read_text(encoding="utf-8").splitlines():
        match = re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*(\w+)", line)
        if match:
            yield int(match[1], 16), int(match[2] or match[1], 16), match[3]


def ranges(values, skip):
    """Runs of equal values, without those equal to skip."""
    start = 0
    for cp in range(1, LAST + 1):
        if cp == LAST or values[cp] != values[start]:
            if values[start] != skip:
                yield start, cp - 1, values[start]
            start = cp


def break_classes():
    values = ["other"] * LAST
    names = {"CR": "cr", "LF": "lf", "Control": "control", "Extend": "extend", "ZWJ": "zwj", "Prepend": "prepend",
             "Regional_Indicator": "regional", "SpacingMark": "spacing", "L": "l", "V": "v", "T": "t"}
    for first, last, value in properties("auxiliary/GraphemeBreakProperty.txt"):
        if value in names:  # LV and LVT are computed
            for cp in range(first, last + 1):
                values[cp] = names[value]
    for first, last, value in properties("emoji/emoji-data.txt"):
        if value == "Extended_Pictographic":
            for cp in range(first, last + 1):
                assert values[cp] == "other"
                values[cp] = "pictographic"
    return ranges(values, "other")


def widths():
    values = [1] * LAST
    for first, last, value in properties("EastAsianWidth.txt"):
        if value in ("W", "F"):
            for cp in range(first, last + 1):
                values[cp] = 2
    for first, last, value in properties("extracted/DerivedGeneralCategory.txt"):
        if value in ("Mn", "Me", "Cf", "Cc"):
            for cp in range(first, last + 1):
                values[cp] = 0
    for first, last, value in properties("HangulSyllableType.txt"):
        if value in ("V", "T"):
            for cp in range(first, last + 1):
                values[cp] = 0
    values[0xAD] = 1  # the soft hyphen is drawn
    return ranges(values, 1)


print("// Made by tools/terminal_tables.py from Unicode 15.0; do not edit.")
print("inline constexpr BreakRange kBreakRanges[] = {")
for first, last, value in break_classes():
    print(f"{{0x{first:X},0x{last:X},Break::{value}}},")
print("};\ninline constexpr WidthRange kWidthRanges[] = {  // all others are 1")
for first, last, value in widths():
    print(f"{{0x{first:X},0x{last:X},{value}}},")
print("};")
