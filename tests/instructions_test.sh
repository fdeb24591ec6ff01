#!/usr/bin/env bash
# The gate on instruction counts, tried on a made-up repository: its program "toy" costs what the file `costs` says.
set -u
gate=$(cd "$(dirname "$0")" && pwd)/instructions.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BUILD=build COMPILER=./compiler OPTIONS='-O2 -g' COUNTED=toy GIT_CONFIG_NOSYSTEM=1 HOME=$scratch
unset REASON MAKEFLAGS MAKELEVEL
passed=0 failed=0

commit() { git add -A && git -c user.name=toy -c user.email=toy@localhost -c commit.gpgsign=false commit -qm "$1"; }

# A repository whose table holds toy/a at 1000 and toy/b at 500, as they are.
world() {
    rm -rf "$scratch/tree" && mkdir -p "$scratch/tree/tests" "$scratch/tree/bench" && cd "$scratch/tree" || exit 1
    cp "$gate" tests/instructions.sh
    printf 'counted:\n\tmkdir -p $(BUILD)/bench && cp costs $(BUILD)/bench/toy\n' >Makefile
    printf '#!/bin/sh\ncp "$1" "$2"\n' >bench/instructions.sh
    printf '#!/bin/sh\ntest "$1" = --version && echo "toy cc" || echo 1.2.3\n' >compiler
    chmod +x bench/instructions.sh compiler
    echo /build/ >.gitignore
    cost 1000 500
    run write >/dev/null
    git init -q && commit first
}

cost() { # of a, of b
    printf '%s\n' "$1 a/ringhub" "$2 b/ringhub" '77 a/floor' >costs
    make -s counted
}

run() { tests/instructions.sh "$@" >"$scratch/out" 2>&1; }

is() { # what, 0 or 1, words it must say
    local what=$1 wanted=$2 status=0
    run check || status=1
    if [ $status != "$wanted" ]; then bad "$what: answered $status"; return; fi
    grep -qF -- "$3" "$scratch/out" || { bad "$what: did not say '$3'"; return; }
    passed=$((passed + 1))
}

bad() { failed=$((failed + 1)); echo "FAIL: $1"; sed 's/^/    /' "$scratch/out"; }

as_a_stranger() { printf '#!/bin/sh\ntest "$1" = --version && echo "toy cc" || echo 9.9.9\n' >compiler; commit 'another compiler'; }

world
is 'counts as they stand' 0 'toy/a: 1000 instructions, 1000 in the table (+0.0 %)'
cost 1019 500
is 'a rise of 1.9 %' 0 '(+1.9 %)'
cost 1021 500
is 'a rise of 2.1 %' 1 'ROSE toy/a: 1021 instructions, 1000 in the table (+2.1 %)'
is 'a rise tells how to look' 1 'valgrind --tool=callgrind'
cost 1000 400
is 'a fall' 0 'fell toy/b: 400 instructions, 500 in the table (-20.0 %): make instructions lowers the row'
run write
is 'a lowered row' 0 'toy/b: 400 instructions, 400 in the table'
cost 1000 500
is 'a rise to what it was before the row was lowered' 1 'ROSE toy/b: 500 instructions, 400 in the table'

world
cost 1100 500
run write
is 'a risen row is not raised without a reason' 1 'ROSE toy/a'
REASON='a checks more' run write
is 'a row raised with a reason' 0 'toy/a: 1100 instructions, 1100 in the table'
sed -i 's/a checks more/first counted/' tests/instructions.tsv
is 'a raised row with the reason it had before' 1 'RAISED toy/a from 1000 to 1100 without a new reason'
commit raised
is 'the same, committed' 1 'RAISED toy/a from 1000 to 1100 without a new reason'
sed -i 's/first counted/a checks more/' tests/instructions.tsv
commit 'the reason'
is 'a row that is as high as in the parent' 0 'toy/a: 1100'
sed -i 's/\ta checks more$/\t/' tests/instructions.tsv
is 'a row without any reason' 1 'not a row of key, path, count and reason'

world
sed -i '/toy\/b/d' tests/instructions.tsv
is 'a path whose row was taken away' 1 'toy/b: 500 instructions, not in the table'
printf '1000 a/ringhub\n' >costs && make -s counted
git checkout -q tests/instructions.tsv
is 'a row that nobody counts' 1 'toy/b: in the table, but not counted'

world
as_a_stranger
cost 1021 500
is 'an unknown key, changed and not committed' 1 'ROSE toy/a: 1021 instructions, 1000 in the parent (+2.1 %)'
commit slower
is 'an unknown key, committed' 1 'ROSE toy/a: 1021 instructions, 1000 in the parent (+2.1 %)'
cost 1030 500
commit 'slower again'
is 'an unknown key and a rise of 0.9 % over the parent' 0 'toy/a: 1030 instructions, 1021 in the parent'
git clone -q --depth 1 "file://$PWD" ../shallow && rm -rf ../deep && mv "$PWD" ../deep && mv ../shallow "$PWD" && cd "$PWD" && make -s counted
is 'a clone without a parent says so' 0 'there is no parent commit here'
is 'and compares with the rows of others' 0 "toy/a: 1030 instructions, 1000 in the table's highest row"
cost 1260 500
rm -rf .git
is 'and sees a rise of 26 %' 1 'ROSE toy/a: 1260'

world
as_a_stranger
printf 'counted:\n\tfalse\n' >Makefile
commit 'cannot be built'
printf '# once more\n' >>Makefile
is 'a parent that cannot be built' 0 'the parent cannot be built to be counted'

world
rm build/bench/toy
printf '#!/bin/sh\nexit 0\n' >bench/instructions.sh
is 'nothing counted' 1 'toy was not counted'

echo "$passed passed, $failed failed"
[ $failed = 0 ]
