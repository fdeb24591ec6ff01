#!/usr/bin/env bash
# Every input in fuzz/corpus through its target, built without a fuzzer; each file is one test. A target without
# inputs, inputs without a target, and a replay that takes nothing for something are failures.
set -u
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
passed=0 failed=0

for source in fuzz/*.c; do
    target=$(basename "$source" .c)
    case $target in replay | storm) continue ;; esac
    files=$(find "fuzz/corpus/$target" -type f 2>/dev/null | wc -l)
    told=$("$BUILD/replay/$target" -v "fuzz/corpus/$target" 2>"$BUILD/replay/$target.log")
    if [ "$told" = "$files replayed" ] && [ "$files" -gt 0 ]; then
        passed=$((passed + files))
    else
        failed=$((failed + 1))
        echo "$target: ${told:-stopped} of $files, the last:"
        tail -15 "$BUILD/replay/$target.log"
    fi
done

for folder in fuzz/corpus/*/; do
    target=$(basename "$folder")
    [ -e "fuzz/$target.c" ] || { failed=$((failed + 1)); echo "$folder has no target"; }
done

empty=$(mktemp -d)
if "$BUILD/replay/value" "$empty" >/dev/null; then failed=$((failed + 1)); echo "a replay of nothing passes"; else passed=$((passed + 1)); fi
rmdir "$empty"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
