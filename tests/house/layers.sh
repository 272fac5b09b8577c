#!/usr/bin/env bash
# Holds the arrows between rooms (docs/design.md §1): a file may include its own room and the rooms that room may use,
# transitively; only apps/ and tests name a concrete backend; device_ptr() is for backends and the types they share.
set -euo pipefail
shopt -s nullglob
cd "$1/src"
declare -A uses=(
  [base]="" [hub]="base" [core]="base" [backend/cpu]="core" [ops]="core" [nn]="ops" [models]="nn" [io]="nn" [quant]="nn io" [text]="base"
  [media]="core" [engine]="models text media" [train]="engine models io text" [serve]="engine train"
  [apps]="hub backend/cpu quant serve train engine models io text media")
closure() {  # every room that $1 may use
  local room
  for room in ${uses[$1]}; do echo "$room"; closure "$room"; done | sort -u
}
room_of() {
  case $1 in backend/*) echo "$1" | cut -d/ -f1-2 ;; *) echo "${1%%/*}" ;; esac
}
bad=0
for room in "${!uses[@]}"; do
  [[ -d $room ]] || continue
  allowed=" $room $(closure "$room" | tr '\n' ' ') "
  while IFS=: read -r file line text; do
    target=$(room_of "$(sed -E 's/.*#include "([^"]+)".*/\1/' <<<"$text")")
    [[ -v uses[$target] ]] || continue  # a file beside it, or another library's header
    if [[ $allowed != *" $target "* ]]; then
      echo "src/$file:$line: $room may not include $target"; bad=1
    fi
  done < <(grep -rnE '^#include "' "$room" --include='*.h' --include='*.cc' --include='*.inl')
done
for dir in */ backend/*/; do
  room=$(room_of "${dir%/}")
  [[ $room == backend || -v uses[$room] ]] || { echo "src/$dir is no room of docs/design.md"; bad=1; }
done
if grep -rn 'device_ptr()' . --include='*.h' --include='*.cc' | grep -vE '^\./(backend/|core/(tensor|arena)\.)'; then
  echo "device_ptr() is for backends: host code never touches tensor memory"; bad=1
fi
exit $bad
