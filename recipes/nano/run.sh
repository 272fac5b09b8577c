#!/usr/bin/env bash
# The whole recipe of nano: fetch, synthesise, check, tokenizer, train (eight stages), average, quantise, evaluate. A stage that is done is skipped;
# called again after an interruption it goes on (training from its newest checkpoint).
#   QW=PROGRAM (build/release/src/apps/qw of this tree)   QW_NANO=FOLDER of all that is made (build/nano)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export QW_NANO=$(realpath -m "${QW_NANO:-$here/../../build/nano}")
qw=$(realpath "${QW:-$here/../../build/release/src/apps/qw}")
python=$QW_NANO/venv/bin/python
mkdir -p "$QW_NANO"
cd "$QW_NANO"

stage() {  # stage FILE COMMAND…: runs the command unless FILE is there, and makes it when the command ends well
  [[ -e $1 ]] && return
  echo "== $2 ${*:3}" >&2
  "${@:2}"
  touch "$1"
}

tokenizer() {
  "$python" "$here/measure.py" corpus
  rm -f base/tokenizer.json base/tokenizer_config.json  # of an interrupted call: qw writes over none
  "$qw" train-tokenizer --vocab 8192 --tags --template "$here/chat_template.jinja" --out base data/tokenizer.txt
  cp "$here/config.json" "$here/generation_config.json" base/
}

train() {
  cp "$here/$1" "$1"
  "$qw" train "$1" --resume
}

evaluate() { "$qw" eval "$1" eval/*.jsonl --out "$2"; }

quantise() { "$qw" merge nano - nano-q8_0.gguf --to gguf --type q8_0; }

card() { "$python" "$here/card.py" "$1" eval "${@:2}" > README.md; }

stage .fetched python3 "$here/fetch.py"
stage .synthesised "$python" "$here/synthesise.py" --out "$QW_NANO"
stage .checked "$python" "$here/check.py"
stage .tokenizer tokenizer
stage .trained-1 train train-1.toml
stage .trained-2 train train-2.toml
stage .trained-3 train train-3.toml
stage .trained-4 train train-4.toml
stage .trained-5 train train-5.toml
stage .trained-6 train train-6.toml
stage .trained-7 train train-7.toml
stage .trained-8 train train-8.toml
stage .averaged python3 "$here/average.py" answers mixed 0.35 nano
stage .quantised quantise
stage .evaluated evaluate nano-q8_0.gguf results.jsonl
stage .card card results.jsonl {plain,worded,full,read,last,cool,answers,mixed}/log.jsonl
