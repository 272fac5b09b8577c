"""Renders every template of tests/text/data/templates/goldens.jsonl anew with transformers and writes the answers back.

    python3 tools/make_template_goldens.py tests/text/data/templates

A row is {"source": …} with "rendered" (and "spans" in characters where there are generation blocks) or "error". All rows
share the variables of vars.json. To add a case, add a row with its source and run this in the reference environment
(transformers 5.12). Rows whose text holds an address of an object are dropped: no two runs agree on those.
"""
import json
import pathlib
import re
import sys

import template_reference


def main(folder):
    template_reference.utils.datetime = template_reference.FixedTime
    variables = (folder / "vars.json").read_text()
    goldens = folder / "goldens.jsonl"
    rows = []
    for line in goldens.read_text().rstrip("\n").split("\n"):
        source = json.loads(line)["source"]
        answer = template_reference.render(source, json.loads(variables))
        if re.search(r" at 0x", answer.get("rendered", "")):
            continue
        if not answer.get("spans"):
            answer.pop("spans", None)
        rows.append(json.dumps({"source": source, **answer}, ensure_ascii=False))
    goldens.write_text("\n".join(rows) + "\n")


main(pathlib.Path(sys.argv[1]))
