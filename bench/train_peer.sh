#!/usr/bin/env bash
# train_bench and PyTorch side by side, in turns, and the ratio of their medians: the machine wanders, so only
# ratios of one run count. Usage: bench/train_peer.sh [ROUNDS] [peer|nano], with
#   THREADS 2; with 1, rates are by processor time, which a busy machine disturbs less
#   BUILD   build folder with -DQW_BENCH=ON (build/release)
#   PYTHON  a Python with PyPI's torch (python3 -m venv V && V/bin/pip install torch)
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3} shape=${2:-peer} threads=${THREADS:-2}
python=${PYTHON:-/opt/qw-dev/torch-venv/bin/python} bench=${BUILD:-build/release}/bench/train_bench
unset OPENBLAS_CORETYPE OPENBLAS_NUM_THREADS OPENBLAS_MAIN_FREE OMP_NUM_THREADS
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for ((r = 0; r < rounds; ++r)); do
  for precision in f32 bf16; do
    "$bench" --json --steps 3 --shape "$shape" --products "$precision" --threads "$threads"
    "$python" -W ignore bench/train_peer.py --steps 3 --shape "$shape" --precision "$precision" --threads "$threads"
  done
done | tee "$log"
"$python" - "$log" "$threads" <<'PY'
import json, statistics, sys
rates, memory = {}, {}
for line in open(sys.argv[1]):
    r = json.loads(line)
    key = ("qw" if "qw" in r else "torch", r["precision"])
    rates.setdefault(key, []).append(r["tok_s_cpu" if sys.argv[2] == "1" else "tok_s"])
    memory[key] = max(memory.get(key, 0), r["rss_mb"])
median = {k: statistics.median(v) for k, v in rates.items()}
for (who, precision), rate in sorted(median.items()):
    print(f"{who:6} {precision:5} {rate:7.0f} tok/s {memory[who, precision]:6} MB")
best = {who: max((v, p) for (w, p), v in median.items() if w == who) for who in ("qw", "torch")}
for precision in ("f32", "bf16"):
    print(f"qw {precision} / best of torch ({best['torch'][1]}): {median['qw', precision] / best['torch'][0]:.2f}")
print(f"memory, qw / torch at their best: {memory['qw', best['qw'][1]] / memory['torch', best['torch'][1]]:.2f}")
PY
