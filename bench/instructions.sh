#!/bin/sh
# instructions.sh PROGRAM OUT: runs PROGRAM --instructions under callgrind and writes "instructions-per-event name" lines.
# The program prints "events name" for each dump it asks for.
set -eu
program=$1 out=$2
if ! command -v valgrind >/dev/null; then
    echo "valgrind is missing: no instruction counts" >&2
    rm -f "$out"
    exit 0
fi
# Of a `rep movsb` callgrind counts each byte as an instruction, which no processor does: the C library is told to copy in
# loops, as it does on processors that are slow at rep.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-ERMS
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
valgrind --tool=callgrind --callgrind-out-file="$scratch/dump" "$program" --instructions >"$scratch/events" 2>"$scratch/log" ||
    { cat "$scratch/log" >&2; exit 1; }

# Each dump says which it is, and its sum.
while read -r events name; do
    dump=$(grep -lxF "desc: Trigger: Client Request: $name" "$scratch"/dump.*)
    awk -v events="$events" -v name="$name" '$1 == "totals:" || $1 == "summary:" { sum = $2 }
        END { if (sum == "") exit 1; each = sum / events; printf(each < 100 ? "%.2f %s\n" : "%.0f %s\n", each, name) }' "$dump"
done <"$scratch/events" >"$out"
