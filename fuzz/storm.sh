#!/usr/bin/env bash
# storm.sh TARGET ...: each target for TIME seconds in JOBS processes under unguided changes of its corpus (fuzz/storm.c), of
# the tree's and of what campaigns have kept in BUILD/corpus. Adds the executions to the tally; fails if anything was found.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${TIME:=60}" "${JOBS:=1}" "${LENGTH:=512}" "${TALLY:=$BUILD/tally.tsv}"
. fuzz/tally.sh
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null; exit 130' INT TERM
found_in_all=0 runs_in_all=0 began=$SECONDS

storm_one() { # target
    local target=$1 job start=$SECONDS found=0 runs findings=$BUILD/findings/$1 seed=$RANDOM$RANDOM logs=()
    mkdir -p "$findings" "$BUILD/corpus/$target"
    jobs=()
    for ((job = 1; job <= JOBS; job++)); do
        logs+=("$BUILD/storm/$target.$job.log")
        "$BUILD/storm/$target" -t "$TIME" -l "$LENGTH" -s "$seed$job" -o "$findings/storm-$seed$job" $(shipped "$target") "$BUILD/corpus/$target" >"${logs[-1]}" 2>&1 &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || found=$((found + 1)); done
    jobs=()
    runs=$(awk '/ executions of / { n += $1 } END { print n + 0 }' "${logs[@]}")
    count_up "$target.storm" "$runs" $((JOBS * (SECONDS - start))) "$found"
    printf '%-18s %13d %9d %9d %15s\n' "$target" "$runs" $((runs / (SECONDS - start ? SECONDS - start : 1))) "$found" "$(grouped "$(tallied "$target.storm")")"
    [ "$found" = 0 ] || tail -n 20 "${logs[@]}"
    found_in_all=$((found_in_all + found)) runs_in_all=$((runs_in_all + runs))
}

printf '%-18s %13s %9s %9s %15s\n' target executions exec/s findings "since change"
for target in "$@"; do storm_one "$target"; done
tell_all $runs_in_all $((SECONDS - began))
[ $found_in_all = 0 ] || echo "$found_in_all found: $BUILD/findings/TARGET/"
[ $found_in_all = 0 ]
