#!/usr/bin/env bash
# Each bug of tests/sim/canaries, planted into a copy of the tree, must be noticed by the simulated worlds within 2,000
# seeds. Tells after how many, and what was noticed. `canaries.sh [NAME ...]`: only those.
set -u
cd "$(dirname "$0")/../.."
: "${BUILD:=build}" "${SEEDS:=2000}"
copy=$BUILD/canaries
passed=0 failed=0
mkdir -p "$copy"

# Only what differs is copied, so that what was compiled before is still good.
for part in codec proto transport eventhub emulator tests/sim; do
    mkdir -p "$copy/$part"
    rm -f "$copy/$part"/*.[ch]
    cp -p "$part"/*.[ch] "$copy/$part/"
done
cp -p proto/*.def "$copy/proto/"
cp -p Makefile packages.mk "$copy/"

build() { make --no-print-directory -s -C "$copy" BUILD=build -j2 build/rh-sim >"$copy/build.log" 2>&1; }

try() { # name
    local name=$1 patch=tests/sim/canaries/$1.patch seeds
    patch -s -p1 -d "$copy" <"$patch" >"$copy/patch.log" 2>&1 || { echo "$name: its patch does not apply"; return 1; }
    build || { echo "$name: does not build"; tail -5 "$copy/build.log"; return 1; }
    timeout -k 5 300 "$copy/build/rh-sim" --seeds "$SEEDS" --first >"$copy/$name.log" 2>&1 && { echo "$name: lived for $SEEDS seeds"; return 1; }
    seeds=$(sed -nE 's/^seed ([0-9]+): .*/\1/p' "$copy/$name.log" | head -1)
    [ -n "$seeds" ] || { echo "$name: stopped without a word"; tail -3 "$copy/$name.log"; return 1; }
    keep_most $((seeds + 1))
    printf '%-20s %5d seeds  %s\n' "$name" $((seeds + 1)) "$(sed -nE 's/^seed [0-9]+: (.*)/\1/p' "$copy/$name.log" | head -1 | cut -c1-110)"
}

mend() { # name
    local file
    for file in $(sed -nE 's|^\+\+\+ b/(.*)|\1|p' "tests/sim/canaries/$1.patch"); do
        rm -f "$copy/$file.orig" "$copy/$file.rej"
        cp "$file" "$copy/$file" # with a new date: it is to be compiled again
    done
}

# What is found has to be the bug: without it the same seeds pass.
most=0
keep_most() { [ "$1" -le "$most" ] || most=$1; }

names=${*:-$(basename -s .patch -a tests/sim/canaries/*.patch)}
for name in $names; do
    if try "$name"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    mend "$name"
done
if build && timeout -k 5 300 "$copy/build/rh-sim" --seeds $((most + 1)) --first >"$copy/none.log" 2>&1 || ! grep -q '^seed' "$copy/none.log"; then passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "without any of them: $(grep '^seed' "$copy/none.log")"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
