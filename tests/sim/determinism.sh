#!/usr/bin/env bash
# The same seeds twice by gcc and by clang, at -O0 and at -O3: the hash of all that happened must be the same for every seed. The first that
# differs is named. SEEDS and FROM say which seeds, JOBS in how many processes.
set -u
cd "$(dirname "$0")/../.."
: "${BUILD:=build}" "${SEEDS:=1000}" "${FROM:=0}" "${JOBS:=1}"
passed=0 failed=0
reference='' reference_name=''

hashes() { # program file
    timeout -k 5 900 "$1" --from "$FROM" --seeds "$SEEDS" --jobs "$JOBS" --hashes | grep -E '^[0-9]+ [0-9a-f]{16}$' | sort -n >"$2"
    [ "$(wc -l <"$2")" = "$SEEDS" ]
}

judge() { # name file
    local differs
    [ -n "$reference" ] || { reference=$2 reference_name=$1; }
    differs=$(diff "$reference" "$2" | sed -nE 's/^[<>] ([0-9]+) .*/\1/p' | head -1)
    if [ -z "$differs" ]; then
        passed=$((passed + 1))
        echo "$1: $(sha256sum <"$2" | cut -c1-16) over $SEEDS seeds"
    else
        failed=$((failed + 1))
        echo "$1: seed $differs differs from $reference_name: $(sed -n "s/^$differs //p" "$reference") is $(sed -n "s/^$differs //p" "$2")"
    fi
}

for cc in gcc clang; do
    for level in -O0 -O3; do
        build=$BUILD/determinism-$cc$level
        if ! make --no-print-directory -s CC=$cc CFLAGS="$level -g" BUILD="$build" -j2 "$build/rh-sim" >"$build.log" 2>&1; then
            failed=$((failed + 1))
            echo "$cc $level: does not build"
            tail -5 "$build.log"
            continue
        fi
        for time in first second; do
            if hashes "$build/rh-sim" "$build/hashes.$time"; then judge "$cc $level, $time time" "$build/hashes.$time"
            else
                failed=$((failed + 1))
                echo "$cc $level, $time time: not all seeds were run"
            fi
        done
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
