#!/usr/bin/env bash
# qw's tokenizer beside HF tokenizers on the same text: Python source, one thread each, CPU time.
#   bench/tokenizer_peer.sh [TOKENIZER_FOLDER] [MEGABYTES]
# Needs the reference environment (/opt/qw-reference) and build/release/bench/tokenizer_bench (cmake -DQW_BENCH=ON).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
reference=${QW_REFERENCE:-/opt/qw-reference}
folder=${1:-/opt/qw-dev/qwen3-tokenizer}
megabytes=${2:-20}
bench=$here/build/release/bench/tokenizer_bench
[[ -x $bench ]] || { echo "build it first: cmake --preset release -DQW_BENCH=ON && cmake --build build/release --target tokenizer_bench" >&2; exit 1; }
share=$(mktemp -d "$reference/srv/qw/tokenizer_peer.XXXX")
trap 'rm -rf "$share"' EXIT
find "$reference"/usr/lib/python3* -name '*.py' -size +4k -print0 | sort -z | xargs -0 cat 2>/dev/null \
  | head -c $((megabytes * 1000000)) > "$share/text" || true
cp "$folder/tokenizer.json" "$share/"
cat > "$share/peer.py" <<'PY'
import sys, time
from tokenizers import Tokenizer
folder = sys.argv[1]
t0 = time.process_time(); tok = Tokenizer.from_file(folder + "/tokenizer.json"); load = time.process_time() - t0
data = open(folder + "/text", "rb").read()
size = len(data) / 1e6
texts = []
while data:
    newline = data.find(b"\n", min(65536, len(data)) - 1)
    n = len(data) if newline < 0 else newline + 1
    texts.append(data[:n].decode("utf-8", "replace"))
    data = data[n:]
times = []
for _ in range(3):
    t0 = time.process_time(); ids = [i for t in texts for i in tok.encode(t, add_special_tokens=False).ids]; times.append(time.process_time() - t0)
h = 0xCBF29CE484222325
for i in ids:
    for b in i.to_bytes(4, "little"):
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
t0 = time.process_time(); tok.decode(ids, skip_special_tokens=False); decode = time.process_time() - t0
print(f"peer  load {load:.3f} s   encode {size / sorted(times)[1]:.1f} MB/s (first call {size / times[0]:.1f})   "
      f"decode {size / decode:.0f} MB/s   {len(ids)} ids, fnv {h:016x}")
PY
TOKENIZERS_PARALLELISM=false RAYON_NUM_THREADS=1 chroot "$reference" python3 "/srv/qw/$(basename "$share")/peer.py" "/srv/qw/$(basename "$share")"
"$bench" "$folder" "$share/text"
