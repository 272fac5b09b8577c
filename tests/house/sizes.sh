#!/usr/bin/env bash
# No file above 600 lines, no architecture above 250; generated tables (*.inc) are exempt.
set -euo pipefail
cd "$1"
bad=0
while read -r n file; do
  [[ $file == total ]] && continue
  limit=600; [[ $file == src/models/*.cc ]] && limit=250
  if (( n > limit )); then echo "$file has $n lines, the limit is $limit"; bad=1; fi
done < <(find src tests bench tools -type f \( -name '*.cc' -o -name '*.h' -o -name '*.inl' -o -name '*.py' -o -name '*.sh' \) -print0 2>/dev/null | xargs -0 wc -l)
exit $bad
