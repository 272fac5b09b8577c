"""What transformers makes of templates: reads {"source": …, "vars": "<JSON object>"} lines from stdin and writes them with
"rendered" and "spans" (character ranges of generation blocks), or with "error". Run it in the reference environment
(transformers 5.12); strftime_now answers for 2026-01-02 03:04:05.

    python3 tools/random_templates.py 1 1000 | python3 tools/template_reference.py > cases.jsonl
"""
import datetime
import json
import sys
import warnings

import transformers.utils.chat_template_utils as utils


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5)


def render(source, variables):
    try:
        template = utils._compile_jinja_template(source)
        blocks, spans = [], []
        with template.environment.activate_tracker(blocks, spans):  # as utils._render_with_assistant_indices
            for block in template.generate(**variables):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
        return {"rendered": text, "spans": spans}
    except BaseException as error:  # jinja2 lets every error of Python through
        return {"error": f"{type(error).__name__}: {error}"[:120]}


def main():
    warnings.simplefilter("ignore")
    utils.datetime = FixedTime
    for line in sys.stdin:
        case = json.loads(line)
        answer = render(case["source"], json.loads(case["vars"]))
        print(json.dumps({"source": case["source"], "vars": case["vars"], **answer}, ensure_ascii=False))


if __name__ == "__main__":
    main()
