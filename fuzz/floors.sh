#!/usr/bin/env bash
# floors.sh check TARGET ...: what the shipped corpus reaches in each target is not less than its row in fuzz/floors.tsv; every target has a row.
# floors.sh write TARGET ...: writes the rows of these targets, two of a hundred below what is reached: compilers count a little differently.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
table=fuzz/floors.tsv job=$1 passed=0 failed=0
shift
log=$(mktemp) new=$(mktemp)
trap 'rm -f "$log" "$new"' EXIT

for target in "$@"; do
    timeout 300 "$BUILD/fuzz/$target" -runs=0 -max_len=1048576 -rss_limit_mb=4096 "fuzz/corpus/$target" >"$log" 2>&1 || { tail -5 "$log"; echo "$target: its corpus does not pass"; exit 1; }
    read -r edges features < <(sed -nE 's/^#[0-9]+\s+DONE +cov: ([0-9]+) ft: ([0-9]+).*/\1 \2/p' "$log")
    if [ "$job" = write ]; then
        printf '%s\t%d\t%d\n' "$target" $((edges * 98 / 100)) $((features * 98 / 100)) >>"$new"
        continue
    fi
    floor=$(awk -F'\t' -v target="$target" '$1 == target { print $2, $3 }' $table)
    if [ -z "$floor" ]; then failed=$((failed + 1)); echo "$target: no row in $table (make fuzz-floors)"
    elif [ "$edges" -lt "${floor% *}" ] || [ "$features" -lt "${floor#* }" ]; then failed=$((failed + 1)); echo "$target: $edges edges and $features features; the floor is $floor"
    else passed=$((passed + 1)); fi
done

if [ "$job" = write ]; then
    [ ! -e $table ] || awk -F'\t' 'NR == FNR { fresh[$1]; next } $1 != "target" && !($1 in fresh)' "$new" $table >>"$new"
    { printf 'target\tedges\tfeatures\n'; sort "$new"; } >"$table"
    exit
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
