#!/usr/bin/env bash
# qw bench and llama-bench on the same GGUF file, in turn, so that both see the same machine; prints the medians and their ratio.
# Use: bench/peer_llama.sh MODEL.gguf [ROUNDS]     QW=program  LLAMA_BENCH=command (it may be a chroot; the path must be valid there:
#      LLAMA_MODEL, where it differs)  THREADS=2
set -euo pipefail
model=${1:?"usage: peer_llama.sh MODEL.gguf [ROUNDS]"}; rounds=${2:-3}
root=$(cd "$(dirname "$0")/.." && pwd)
qw=${QW:-$root/build/release/src/apps/qw}
read -ra llama <<<"${LLAMA_BENCH:-llama-bench}"
threads=${THREADS:-$(nproc)}
ours=() theirs=()
median() { printf '%s\n' "$@" | sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
field() { sed -nE "s/.*\"$1\": ?([0-9.]+).*/\1/p"; }
for test in "-p 256 -n 0" "-p 0 -n 64"; do
  ours=() theirs=()
  for ((i = 0; i < rounds; ++i)); do
    # shellcheck disable=SC2086
    ours+=("$("$qw" bench "$model" $test --threads "$threads" --json --quiet | field tok_s)")
    # shellcheck disable=SC2086
    theirs+=("$("${llama[@]}" -m "${LLAMA_MODEL:-$model}" $test -t "$threads" -r 1 -o jsonl 2>/dev/null | field avg_ts)")
  done
  a=$(median "${ours[@]}") b=$(median "${theirs[@]}")
  awk -v t="$test" -v a="$a" -v b="$b" 'BEGIN {printf "%-12s qw %8.1f tok/s   llama.cpp %8.1f tok/s   ratio %.2f\n", t, a, b, a / b}'
done
