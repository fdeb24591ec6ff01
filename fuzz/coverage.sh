#!/usr/bin/env bash
# coverage.sh [TARGET ...]: what the corpora of the tree reach of codec/ and proto/, by themselves: a table, HTML in
# BUILD/coverage/html, and failure below the floors, which are those of all of them. SUSPECT=proto/sasl.c prints the lines of a file that nothing reaches.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${SUSPECT:=}"
out=$BUILD/coverage
floors='codec 98 95
proto 95 90'
[ $# = 0 ] || floors=
# Not those that are made of more than the two layers: they would reach much of them by chance.
targets=${*:-$(cd fuzz/corpus && ls | grep -vxE 'emulator|rival|schedule')}

command -v llvm-cov >/dev/null || PATH=$PATH:$(ls -d /usr/lib/llvm-*/bin | tail -1)
CC=clang CFLAGS='-O1 -g -fprofile-instr-generate -fcoverage-mapping' OUT=$out LIB_FUZZING_ENGINE=fuzz/replay.c fuzz/build.sh $targets
rm -f "$out"/*.profraw
objects=()
for target in $targets; do
    LLVM_PROFILE_FILE=$out/$target.profraw "$out/$target" "fuzz/corpus/$target" >/dev/null
    objects+=(-object "$out/$target")
done
llvm-profdata merge -sparse -o "$out/all.profdata" "$out"/*.profraw
# "N functions have mismatched data" (all of hash 0: llvm-cov show --dump) are inline functions of headers that one of two files of the
# same name, codec/value.c and fuzz/value.c, does not use. Only the copy without counters is left out, so nothing is hidden by it.
cov() { llvm-cov "$1" -instr-profile="$out/all.profdata" "${objects[@]:1}" "${@:2}" 2> >(grep -v 'mismatched data' >&2); }

if [ -n "$SUSPECT" ]; then
    cov show "$SUSPECT" | grep -E '^ *[0-9]+\| *0\|' || echo "every line of $SUSPECT is reached"
    exit
fi
cov show -format=html -output-dir="$out/html" -show-branches=count codec proto
cov report codec proto | awk -v floors="$floors" '
    function row(name, l, lm, b, bm) {
        printf "%-22s %7d %7d %7.2f %% %7d %7d %7.2f %%\n", name, l, lm, l ? 100 * (l - lm) / l : 100, b, bm, b ? 100 * (b - bm) / b : 100
    }
    BEGIN { printf "%-22s %7s %7s %9s %8s %7s %9s\n", "file", "lines", "missed", "", "branches", "missed", "" }
    $1 ~ /\.[ch]$/ && NF >= 13 {
        file = $1; layer = file ~ /^(codec\/)?(base|codec|constructor|dec|enc|print|skip|status|text|utf8|value|walk)\.[ch]$/ || file ~ /^codec\// ? "codec" : "proto"
        row(file, $8, $9, $11, $12)
        lines[layer] += $8; missed[layer] += $9; branches[layer] += $11; unmet[layer] += $12
    }
    END {
        row("all of codec", lines["codec"], missed["codec"], branches["codec"], unmet["codec"])
        row("all of proto", lines["proto"], missed["proto"], branches["proto"], unmet["proto"])
        count = split(floors, floor, "\n")
        for (i = 1; i <= count; i++) {
            split(floor[i], f, " ")
            if (100 * (lines[f[1]] - missed[f[1]]) < f[2] * lines[f[1]] || 100 * (branches[f[1]] - unmet[f[1]]) < f[3] * branches[f[1]]) {
                printf "%s is below its floor: %s %% of lines, %s %% of branches\n", f[1], f[2], f[3]
                bad = 1
            }
        }
        exit bad
    }'
echo "line by line: $out/html/index.html"
