#!/usr/bin/env bash
# Library code never prints or exits: no room below apps/ may refer to these symbols (base's check and log are the two doors).
set -euo pipefail
build=$1
bad=0
for lib in $(find "$build/src" -name 'libqw_*.a' ! -name 'libqw_apps.a'); do
  found=$(nm -C --undefined-only -A "$lib" 2>/dev/null |
    grep -E ' U (printf|puts|putchar|fprintf|vprintf|exit|_exit|quick_exit|std::cout|std::cerr|std::exit)(@|$)' |
    grep -vE ':(log|check)\.cc\.o:' || true)
  if [[ -n $found ]]; then echo "$found"; bad=1; fi
done
exit $bad
