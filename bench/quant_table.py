#!/usr/bin/env python3
"""The table of docs/quant.md: what each type costs on a real model, against the model in f32.

    python3 bench/quant_table.py QW MODEL [--commit 74876d5] [--windows 4] [--types q8_0,q4_k_m,…] [--llama COMMAND --folder DIR --seen DIR]

Evaluation text: docs/{engine,train,chat}.md of the commit; calibration text of the importance matrix: its docs/{io,text,backend}.md
and design.md. Prints one line of Markdown a type. Deterministic but for the last digits, which depend on the instruction set.
--llama: llama-perplexity reads the same files and text (f32 cache, no flash attention), as a further column; where it runs in a
root of its own, --folder is where the files go and --seen what it calls that folder.
"""
import argparse
import contextlib
import json
import os
import re
import shlex
import subprocess
import tempfile

TYPES = ("q8_0 q6_k q5_k_m q5_k_s q5_1 q5_0 q4_k_m q4_k_s q4_1 q4_0 iq4_nl iq4_xs mxfp4 q3_k_l q3_k_m q3_k_s q2_k").split()
WEIGHTED = ("q4_k_m q4_0 iq4_xs q3_k_m q2_k").split()
REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def text_of(commit, names):
    return "\n".join(subprocess.run(["git", "-C", REPO, "show", f"{commit}:docs/{n}.md"], capture_output=True, check=True, text=True).stdout
                     for n in names)


def run(*args):
    r = subprocess.run(args, capture_output=True, text=True)
    if r.returncode:
        raise SystemExit(f"{' '.join(args)}: {r.stderr}")
    return json.loads(r.stdout)


def llama_perplexity(command, model, text):
    args = ["-m", model, "-f", text, "-c", "512", "-b", "512", "-ctk", "f32", "-ctv", "f32", "-fa", "off"]
    r = subprocess.run([*shlex.split(command), *args], capture_output=True, text=True)
    found = re.search(r"Final estimate: PPL = ([0-9.]+)", r.stdout + r.stderr)
    return float(found[1]) if found else float("nan")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("qw")
    ap.add_argument("model")
    ap.add_argument("--commit", default="74876d5")
    ap.add_argument("--windows", type=int, default=4, help="windows of 512 tokens, at about 4 bytes a token")
    ap.add_argument("--types", default=",".join(TYPES))
    ap.add_argument("--llama", default="")
    ap.add_argument("--folder", default="")
    ap.add_argument("--seen", default="")
    a = ap.parse_args()
    with contextlib.nullcontext(a.folder) if a.folder else tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        theirs = lambda name: llama_perplexity(a.llama, *(os.path.join(a.seen or folder, n) for n in (name, "eval.txt")))
        for name, docs, size in (("eval.txt", ("engine", "train", "chat"), a.windows * 512 * 4), ("calibration.txt", ("design", "io", "text", "backend"), 32768)):
            with open(path(name), "w") as f:
                f.write(text_of(a.commit, docs)[:size])
        base = path("base.gguf")
        run(a.qw, "convert", a.model, base, "--type", "f32", "--json")
        own = run(a.qw, "perplexity", base, path("eval.txt"), "--json")
        print(f"f32: perplexity {own['perplexity']:.3f} over {own['scored']} tokens" + (f", llama.cpp {theirs('base.gguf'):.3f}" if a.llama else "") + "\n",
              flush=True)
        more = " llama.cpp's perplexity |" if a.llama else ""
        print(f"| type | bits | perplexity | KL (mean) | KL (99 %) | same best token |{more}\n|{' --- |' * (7 if a.llama else 6)}", flush=True)
        for kind in a.types.split(","):
            for weighted in (False, True) if kind in WEIGHTED else (False,):
                out, extra = path("out.gguf"), []
                if weighted:
                    saved = path("imatrix.gguf")
                    extra = ["--imatrix", saved] if os.path.exists(saved) else ["--imatrix-text", path("calibration.txt"), "--save-imatrix", saved]
                made = run(a.qw, "quantize", base, out, "--type", kind, "--json", *extra)
                got = run(a.qw, "perplexity", out, path("eval.txt"), "--against", base, "--json")
                d = got["divergence"]
                print(f"| {kind}{', imatrix' if weighted else ''} | {made['bits_per_weight']:.2f} | {got['perplexity']:.3f} | {d['mean']:.5f} | "
                      f"{d['p99']:.3f} | {100 * d['same_best']:.1f} % |" + (f" {theirs('out.gguf'):.3f} |" if a.llama else ""), flush=True)
                os.remove(out)


if __name__ == "__main__":
    main()
