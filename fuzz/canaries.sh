#!/usr/bin/env bash
# canaries.sh [PATCH ...]: plants the bug of each patch in fuzz/canaries into a copy of the sources and has the target that
# the patch names look for it, from the shipped corpus alone, for TIME seconds (300). Fails if one is not found, and if a
# target finds anything in the copy without a patch: then it would not be the bug that is found.
set -u
cd "$(dirname "$0")/.."
root=$PWD
: "${BUILD:=build}" "${TIME:=300}" "${SEED:=1}"
case $BUILD in /*) ;; *) BUILD=$root/$BUILD ;; esac
copy=$BUILD/canaries
job=
trap '[ -z "$job" ] || kill "$job" 2>/dev/null; exit 130' INT TERM
failed=0

fresh_copy() {
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r codec proto emulator eventhub transport tests fuzz "$copy/"
}

# Sets `took` to the seconds until something was found, or to "".
look() { # target
    local start=$SECONDS folder=$copy/found/$1
    mkdir -p "$folder/corpus"
    "$copy/out/$1" -max_total_time="$TIME" -max_len=1024 -timeout=10 -rss_limit_mb=2048 -seed="$SEED" -artifact_prefix="$folder/" -dict="$copy/out/$1.dict" \
        "$folder/corpus" "$copy/fuzz/corpus/$1" >"$folder/log" 2>&1 &
    job=$!
    took=
    wait "$job" || took=$((SECONDS - start))
    job=
}

how() { # target: the line that says what was noticed
    grep -aoE '^fuzz/[a-z_/]+\.[ch]:[0-9]+: .*|SUMMARY: .*|[0-9]+ steps for .*|runtime error: .*|#[0-9]+ 0x[0-9a-f]+ in [a-z_]+ .*/(fuzz|proto|codec)/.*' "$copy/found/$1/log" |
        grep -avE 'LLVMFuzzer|libFuzzer: deadly| in required ' | sed -E "s|$copy/||; s|#[0-9]+ 0x[0-9a-f]+ in ||" | head -1 | cut -c1-90
}

canary() { # patch
    local name target what
    name=$(basename "$1" .patch)
    target=$(sed -n 's/^target: //p' "$1")
    what=$(sed -n 's/^what: //p' "$1")
    fresh_copy
    if ! (cd "$copy" && patch -s -p1 <"$1") || ! (cd "$copy" && OUT=$copy/out fuzz/build.sh "$target" >"$copy/build.log" 2>&1); then
        printf '%-22s %-14s does not apply or build: %s\n' "$name" "$target" "$copy/build.log"
        failed=1
        return
    fi
    look "$target"
    if [ -n "$took" ]; then printf '%-22s %-14s %4ss  %s\n%38s%s\n' "$name" "$target" "$took" "$what" '' "$(how "$target")"
    else printf '%-22s %-14s NOT FOUND in %s s: %s\n' "$name" "$target" "$TIME" "$what"; failed=1; fi
}

if [ $# = 0 ]; then set -- "$root"/fuzz/canaries/*.patch; else set -- $(realpath "$@"); fi
printf '%-22s %-14s %5s  %s\n' canary target found bug
for patch in "$@"; do canary "$patch"; done
[ $failed = 0 ] && echo "every planted bug was found within $TIME seconds"
exit $failed
