#!/usr/bin/env bash
# The gate on instruction counts, run by make, which names the programs of bench/ that answer --instructions.
#
#   instructions.sh check    counts our paths under callgrind and compares them with tests/instructions.tsv
#   instructions.sh write    brings the table's rows of this key up to date: `make instructions [REASON='why it rose']`
#   instructions.sh key      what the table calls this machine
#
# A count follows from compiler, options, C library and processor. valgrind plays one fixed processor of the newest kind
# it knows that the machine can stand in for, so of the processor only the kind belongs in the key. A machine that
# the table does not know compares with the parent commit instead, built and counted beside the tree.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${COMPILER:?is set by make: make test, make instructions}" "${OPTIONS?}" "${COUNTED:?}"
table=tests/instructions.tsv
work=$BUILD/instructions
limit=2         # percent; counting the same program twice gives the same number, so this is for changes, not for noise
other_limit=25  # percent, between compilers, when there is nothing better to compare with

key() {
    local compiler kind
    if "$COMPILER" --version | grep -q clang; then compiler=clang-$("$COMPILER" -dumpversion)
    else compiler=gcc-$("$COMPILER" -dumpfullversion -dumpversion); fi
    kind=$(uname -m)
    for flag in avx2 avx; do
        grep -qw "$flag" /proc/cpuinfo && { kind=$kind-$flag; break; }
    done
    echo "$compiler" "$(getconf GNU_LIBC_VERSION | tr ' ' -)" "$kind" $(printf '%s\n' $OPTIONS | grep -v '^-g')
}

# Lines of "path <tab> count"; floors and strangers in the same programs are not ours to hold.
count() { # build out
    local program
    : >"$2"
    for program in $COUNTED; do
        rm -f "$work/$program.ir"
        bench/instructions.sh "$1/bench/$program" "$work/$program.ir" || return 1
        [ -s "$work/$program.ir" ] || { echo "$program was not counted: is valgrind there?"; return 1; }
        sed -nE "s|^([0-9.]+) (.*)/ringhub\$|$program/\2\t\1|p" "$work/$program.ir" >>"$2"
    done
}

rows_of() { awk -F'\t' -v key="$1" 'NR > 1 && $1 == key { print $2 "\t" $3 }' "$table"; }

# Tells what rose beyond the limit, and how to look at it. A path that only one side has is a fault where `whole` says that
# the sides must have the same.
compare() { # counts rows limit with whole
    awk -F'\t' -v limit="$3" -v with="$4" -v whole="$5" -v build="$BUILD" '
        function look(path,  program, name) {
            program = path; sub(/\/.*/, "", program); name = substr(path, length(program) + 2) "/ringhub"
            print "    look: GLIBC_TUNABLES=glibc.cpu.hwcaps=-ERMS valgrind --tool=callgrind --dump-instr=yes --callgrind-out-file=" build "/instructions/dump " build "/bench/" program " --instructions"
            print "          callgrind_annotate $(grep -lxF \"desc: Trigger: Client Request: " name "\" " build "/instructions/dump.*)"
        }
        FILENAME == ARGV[1] { now[$1] = $2; order[++n] = $1; next }
        { was[$1] = $2 }
        END {
            for (i = 1; i <= n; i++) {
                path = order[i]
                if (!(path in was)) { print path ": " now[path] " instructions, not in " with (whole ? ": make instructions" : ""); bad += whole; continue }
                change = 100 * (now[path] - was[path]) / was[path]
                said = sprintf("%s: %s instructions, %s in %s (%+.1f %%)", path, now[path], was[path], with, change)
                if (change > limit) { print "ROSE " said; look(path); bad++ }
                else if (change < -limit && whole) print "fell " said ": make instructions lowers the row"
                else print "     " said
            }
            for (path in was) if (!(path in now)) { print path ": in " with ", but not counted" (whole ? ": make instructions" : ""); bad += whole }
            exit bad > 0
        }' "$1" "$2"
}

# The tree that this one came from: what is checked out, if it was changed; its parent otherwise.
repository() { git -c safe.directory="$PWD" "$@"; }
parent() {
    [ "$(repository rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] || return 1
    if repository diff --quiet HEAD -- 2>/dev/null; then repository rev-parse -q --verify 'HEAD^'; else repository rev-parse -q --verify HEAD; fi
}

# Every row has a reason, and a row that is higher than in the parent has another one than there.
check_reasons() {
    local before=$work/parent.tsv commit
    : >"$before"
    if commit=$(parent); then repository show "$commit:$table" >"$before" 2>/dev/null
    else echo "no parent commit here: whether raised rows have a reason of their own was not checked"; fi
    awk -F'\t' -v table="$table" '
        FILENAME == ARGV[1] { if (FNR > 1) { was[$1, $2] = $3; why[$1, $2] = $4 } next }
        FNR == 1 { if ($0 != "key\tpath\tcount\treason") { print table ": its first line is not the heading"; bad = 1 } next }
        NF != 4 || $3 !~ /^[0-9]+(\.[0-9]+)?$/ || $3 + 0 == 0 || $4 !~ /[^ ]/ { print table ":" FNR ": not a row of key, path, count and reason"; bad = 1; next }
        seen[$1, $2]++ { print table ":" FNR ": " $2 " has a row of this key already"; bad = 1 }
        ($1, $2) in was && $3 + 0 > was[$1, $2] + 0 && $4 == why[$1, $2] {
            print "RAISED " $2 " from " was[$1, $2] " to " $3 " without a new reason: make instructions REASON=\"why\" (" $1 ")"; bad = 1
        }
        END { exit bad }' "$before" "$table"
}

against_parent() { # counts
    local commit tree=$work/parent
    commit=$(parent) || { echo "and there is no parent commit here (a shallow clone, or no repository)"; return 2; }
    echo "comparing with commit $(repository rev-parse --short "$commit")"
    rm -rf "$tree" && mkdir -p "$tree" || return 1
    repository archive "$commit" | tar -x -C "$tree" || return 1
    # With the options that make was called with; without, each tree with its own.
    if ! make -C "$tree" -j"$(nproc)" BUILD=build counted >"$work/parent.log" 2>&1; then
        echo "and the parent cannot be built to be counted:"; tail -3 "$work/parent.log"
        return 2
    fi
    count "$tree/build" "$work/parent.counts" >"$work/parent.log" 2>&1 || { echo "and the parent cannot be counted:"; tail -3 "$work/parent.log"; return 2; }
    compare "$1" "$work/parent.counts" "$limit" "the parent" 0
}

# The last resort: what the most wasteful compiler of the table makes of each path.
against_others() { # counts
    echo "comparing with the highest row of any key: only a rise of more than $other_limit % would be seen"
    awk -F'\t' 'NR > 1 && $3 > most[$2] + 0 { most[$2] = $3 } END { for (path in most) print path "\t" most[path] }' "$table" >"$work/others"
    compare "$1" "$work/others" "$other_limit" "the table's highest row" 0
}

check() {
    local key status=0 judged
    key=$(key)
    check_reasons || status=1
    count "$BUILD" "$work/counts" || return 1
    rows_of "$key" >"$work/rows"
    echo "this is $key"
    if [ -s "$work/rows" ]; then
        compare "$work/counts" "$work/rows" "$limit" "the table" 1 || status=1
    else
        echo "the table has no rows of it (make instructions adds them)"
        against_parent "$work/counts"; judged=$?
        [ $judged != 2 ] || { against_others "$work/counts"; judged=$?; }
        [ $judged = 0 ] || status=1
    fi
    return $status
}

# A row that rose stays as it is unless a reason is given: the gate is there to be told why.
write() {
    count "$BUILD" "$work/counts" || return 1
    [ -s "$table" ] || printf 'key\tpath\tcount\treason\n' >"$table"
    awk -F'\t' -v OFS='\t' -v key="$(key)" -v reason="${REASON:-}" '
        FILENAME == ARGV[1] { now[$1] = $2; order[++n] = $1; next }
        FNR == 1 || $1 != key { print; next }
        !($2 in now) { print $2 ": no longer counted, its row is gone" >"/dev/stderr"; next }
        {
            if (now[$2] < $3) { print $2 ": " $3 " -> " now[$2] >"/dev/stderr"; $3 = now[$2] }
            if (now[$2] > $3 && reason != "") { print $2 ": " $3 " -> " now[$2] ", " reason >"/dev/stderr"; $3 = now[$2]; $4 = reason }
            if (now[$2] > $3) print $2 ": " now[$2] " is more than its row of " $3 ", which stays: say REASON=... to raise it" >"/dev/stderr"
            print; delete now[$2]
        }
        END { for (i = 1; i <= n; i++) if (order[i] in now) print key, order[i], now[order[i]], reason == "" ? "first counted" : reason }' "$work/counts" "$table" >"$work/table" &&
        cat "$work/table" >"$table"
}

mkdir -p "$work"
case ${1:-} in
check | write | key) "$1" ;;
*) echo "usage: instructions.sh check | write | key"; exit 2 ;;
esac
