#!/usr/bin/env bash
# Code compiled for a higher instruction set must not win at link time over the baseline's: the objects of
# isa/*.cc define no weak or unique symbol (docs/design.md §4, "Hazards"). Arguments: the object files.
set -euo pipefail
bad=0 seen=0
for object in "$@"; do
  seen=$((seen + 1))
  weak=$(nm -C --defined-only "$object" | grep -E ' [WVu] ' || true)
  if [[ -n $weak ]]; then echo "$object defines:"; echo "$weak"; bad=1; fi
done
(( seen >= 3 )) || { echo "only $seen objects of isa/ were given"; bad=1; }
exit $bad
