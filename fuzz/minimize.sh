#!/usr/bin/env bash
# minimize.sh TARGET ...: adds to the corpus of the tree what of BUILD/corpus is needed to reach every edge that they reach together. Inputs
# with names stay; what campaigns found is named by its content, is at most 4 KiB long, and goes when it is not needed any more.
# MIN='FOLDER ...' takes inputs from FOLDER/TARGET too.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${MIN:=}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '%-20s %8s %8s %9s %8s\n' target before after bytes edges
for target in "$@"; do
    corpus=fuzz/corpus/$target more=()
    for folder in "$BUILD/corpus/$target" ${MIN:+$(printf "%s/$target " $MIN)}; do [ -d "$folder" ] && more+=("$folder"); done
    before=$(find "$corpus" -type f | wc -l)
    # Edges alone, for counts of them are without end.
    known=$work/$target.new
    mkdir -p "$known"
    timeout 900 "$BUILD/fuzz/$target" -merge=1 -use_counters=0 -max_len=4096 -rss_limit_mb=2048 "$known" "$corpus" "${more[@]}" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
    # By content: what is already there under a name is not added again.
    (cd "$corpus" && sha1sum -- *) | cut -c1-40 | sort >"$work/have"
    for file in "$known"/*; do
        [ -e "$file" ] || continue
        sum=$(sha1sum <"$file" | cut -c1-40)
        grep -q "^$sum" "$work/have" || cp "$file" "$corpus/$(cut -c1-12 <<<"$sum")"
    done
    # Those that campaigns brought before and that are not needed any more go.
    for file in "$corpus"/*; do
        [[ $(basename "$file") =~ ^[0-9a-f]{12}$ ]] || continue
        cmp -s "$file" "$known/$(sha1sum <"$file" | cut -c1-40)" || rm "$file"
    done
    "$BUILD/fuzz/$target" -runs=0 -max_len=1048576 "$corpus" >"$work/log" 2>&1
    printf '%-20s %8d %8d %9d %8s\n' "$target" "$before" "$(find "$corpus" -type f | wc -l)" "$(cat "$corpus"/* | wc -c)" "$(sed -nE 's/.*DONE +cov: ([0-9]+).*/\1/p' "$work/log")"
done
