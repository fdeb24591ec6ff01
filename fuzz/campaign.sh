#!/usr/bin/env bash
# campaign.sh TARGET ...: each target for TIME seconds in JOBS processes that share what they find, from the corpus of
# the tree and of earlier campaigns (BUILD/corpus). Tells how it goes, ends with a summary, and adds the executions to the tally:
# those of all campaigns since codec/ and proto/ last changed. Fails if anything was found.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${TIME:=60}" "${JOBS:=1}" "${LENGTH:=1024}" "${TALLY:=$BUILD/tally.tsv}"
. fuzz/tally.sh
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null; printf "\n"; exit 130' INT TERM
found_in_all=0 runs_in_all=0 began=$SECONDS
wide=18
for target in "$@"; do [ ${#target} -gt $wide ] && wide=${#target}; done

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
    sed -nE -e 's/^(.*(ERROR: |runtime error: ).*)/    \1/p' -e 's/^([0-9]+ steps for .*)/    \1/p' -e 's/^(fuzz\/[a-z_\/]+\.[ch]:[0-9]+: .*)/    \1/p' \
        -e 's/^ *#[0-9]+ 0x.* in ([A-Za-z_0-9]+) .*\/((fuzz|codec|proto|eventhub|emulator)\/([a-z]+\/)?[a-z_]+\.[ch]:[0-9]+).*/        \1  \2/p' "$@" | head -12
}

# One line that is written over while somebody looks, one line in five minutes into a log.
progress() { # target seconds logs ...
    local target=$1 seconds=$2 line
    shift 2
    [ -t 1 ] || [ $((seconds % 300)) = 0 ] || return
    [ "$seconds" -lt "$TIME" ] || return
    line=$(tail -qn1 "$@" 2>/dev/null | awk -v target="$target" -v wide=$wide '/^#/ { split($1, at, /[#\t]/); runs += at[2]; for (i = 2; i < NF; i++) {
            if ($i == "cov:" && $(i+1) > cov) cov = $(i+1); if ($i == "ft:" && $(i+1) > ft) ft = $(i+1)
            if ($i == "corp:") { split($(i+1), c, "/"); if (c[1] > corp) corp = c[1] } if ($i == "exec/s:") speed += $(i+1) } }
        END { printf "%-*s %13d %9d %9d %9d %9d", wide, target, runs, speed, cov, ft, corp }')
    if [ -t 1 ]; then printf '\r%s  %s of %s ' "$line" "$(clock "$seconds")" "$(clock "$TIME")"; else printf '%s  %s of %s\n' "$line" "$(clock "$seconds")" "$(clock "$TIME")"; fi
}

fuzz_one() { # target
    local target=$1 job logs=() corpus=$BUILD/corpus/$1 findings=$BUILD/findings/$1 before start=$SECONDS
    mkdir -p "$corpus" "$findings"
    before=$(find "$findings" -type f | wc -l)
    jobs=()
    for ((job = 1; job <= JOBS; job++)); do
        logs+=("$BUILD/fuzz/$target.$job.log")
        # Without -entropic=0 libFuzzer spends up to half of the time on counting which features are rare, and reaches no more.
        "$BUILD/fuzz/$target" -entropic=0 -max_total_time="$TIME" -max_len="$LENGTH" -timeout=10 -rss_limit_mb=2048 -reload=5 -print_final_stats=1 \
            -dict="$BUILD/fuzz/$target.dict" -artifact_prefix="$findings/" "$corpus" $(shipped "$target") >"${logs[-1]}" 2>&1 &
        jobs+=($!)
    done
    while sleep 1 && kill -0 "${jobs[@]}" 2>/dev/null; do progress "$target" $((SECONDS - start)) "${logs[@]}"; done
    local failed=0
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    jobs=()
    local found=$(($(find "$findings" -type f | wc -l) - before)) runs
    [ $failed = 1 ] && [ "$found" = 0 ] && found=1
    runs=$(sum_of number_of_executed_units "${logs[@]}")
    [ ! -t 1 ] || printf '\r%80s\r' ''
    count_up "$target" "$runs" $((JOBS * (SECONDS - start))) "$found"
    printf '%-*s %13d %9d %9d %9d %9d %9d %15s\n' $wide "$target" "$runs" "$(sum_of average_exec_per_sec "${logs[@]}")" \
        "$(best_of cov: "${logs[@]}")" "$(best_of ft: "${logs[@]}")" "$(sum_of new_units_added "${logs[@]}")" "$found" "$(grouped "$(tallied "$target")")"
    [ "$found" = 0 ] || tell_of "${logs[@]}"
    found_in_all=$((found_in_all + found)) runs_in_all=$((runs_in_all + runs))
}

printf '%d target%s, %s each in %d process%s\n' $# "$([ $# = 1 ] || echo s)" "$(clock "$TIME")" "$JOBS" "$([ "$JOBS" = 1 ] || echo es)"
printf '%-*s %13s %9s %9s %9s %9s %9s %15s\n' $wide target executions exec/s edges features "new units" findings "since change"
for target in "$@"; do fuzz_one "$target"; done
echo
tell_all $runs_in_all $((SECONDS - began))
if [ $found_in_all = 0 ]; then echo "nothing was found; logs and new inputs are in $BUILD/fuzz and $BUILD/corpus"
else echo "$found_in_all found: $BUILD/findings/TARGET/; look at one with $BUILD/replay/TARGET FILE (make $BUILD/replay/TARGET)"; fi
[ $found_in_all = 0 ]
