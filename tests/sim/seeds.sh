#!/usr/bin/env bash
# Stories that found a bug once, from seeds.tsv: each must end well, and must still be the story that it was, or it would test
# nothing: what its second column says (an extended regular expression) has to happen in it.
set -u
cd "$(dirname "$0")/../.."
: "${BUILD:=build}"
passed=0 failed=0
story=$(mktemp)
trap 'rm -f "$story"' EXIT

while IFS=$'\t' read -r name happens arguments; do
    case $name in '' | '#'*) continue ;; esac
    if ! eval "timeout -k 5 60 \"$BUILD/rh-sim\" $arguments" >"$story" 2>&1; then
        echo "$name: $(tail -1 "$story")"
    elif ! grep -qE -- "$happens" "$story"; then
        echo "$name: the story has changed: nothing in it is like '$happens'. Find it again (tests/sim/README.md), or drop it"
    else
        passed=$((passed + 1))
        continue
    fi
    failed=$((failed + 1))
done <tests/sim/seeds.tsv
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
