#!/usr/bin/env bash
# campaign.sh TARGET ...: each target for TIME seconds in JOBS processes that share what they find, from the corpus of
# the tree and of earlier campaigns (BUILD/corpus). Ends with a summary; fails if anything was found.
set -u
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${TIME:=60}" "${JOBS:=1}" "${LENGTH:=1024}"
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null; exit 130' INT TERM
found_in_all=0

sum_of() { # word logs ...
    local word=$1
    shift
    cat "$@" | awk -v word="stat::$word:" '$1 == word { n += $2 } END { print n + 0 }'
}
best_of() { # word logs ...: cov: and ft: of the last lines that tell them
    local word=$1
    shift
    cat "$@" | awk -v word="$word" '{ for (i = 1; i < NF; i++) if ($i == word && $(i + 1) > n) n = $(i + 1) } END { print n + 0 }'
}

# What was found, and where: of a stack the lines in our own folders.
tell_of() { # logs ...
    sed -nE -e 's/^(.*(ERROR: |runtime error: ).*)/    \1/p' -e 's/^.* in ([A-Za-z_0-9]+) .*\/((fuzz|codec|proto|eventhub|emulator)\/[a-z_]+\.[ch]:[0-9]+).*/        \1  \2/p' "$@" | head -12
}

fuzz_one() { # target
    local target=$1 job logs=() corpus=$BUILD/corpus/$1 findings=$BUILD/findings/$1 before
    mkdir -p "$corpus" "$findings"
    before=$(find "$findings" -type f | wc -l)
    jobs=()
    for ((job = 1; job <= JOBS; job++)); do
        logs+=("$BUILD/fuzz/$target.$job.log")
        "$BUILD/fuzz/$target" -max_total_time="$TIME" -max_len="$LENGTH" -timeout=5 -rss_limit_mb=1024 -reload=5 -print_final_stats=1 \
            -dict="$BUILD/fuzz/$target.dict" -artifact_prefix="$findings/" "$corpus" "fuzz/corpus/$target" >"${logs[-1]}" 2>&1 &
        jobs+=($!)
    done
    local failed=0
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    local found=$(($(find "$findings" -type f | wc -l) - before)) runs
    [ $failed = 1 ] && [ "$found" = 0 ] && found=1
    runs=$(sum_of number_of_executed_units "${logs[@]}")
    printf '%-18s %13d %9d %9d %9d %9d %9d\n' "$target" "$runs" "$(sum_of average_exec_per_sec "${logs[@]}")" \
        "$(best_of cov: "${logs[@]}")" "$(best_of ft: "${logs[@]}")" "$(sum_of new_units_added "${logs[@]}")" "$found"
    [ "$found" = 0 ] || tell_of "${logs[@]}"
    found_in_all=$((found_in_all + found))
}

printf '%-18s %13s %9s %9s %9s %9s %9s\n' target executions exec/s edges features "new units" findings
for target in "$@"; do fuzz_one "$target"; done
echo
if [ $found_in_all = 0 ]; then echo "nothing was found; logs and new inputs are in $BUILD/fuzz and $BUILD/corpus"
else echo "$found_in_all found: $BUILD/findings/TARGET/; look at one with $BUILD/replay/TARGET FILE (make $BUILD/replay/TARGET)"; fi
[ $found_in_all = 0 ]
