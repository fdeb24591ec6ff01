#!/usr/bin/env bash
# Runs the tests and counts them. `run.sh check` is the quick gate; `run.sh test` is everything. Each part is bounded
# in time; the last line names the counts.
set -u
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
job=${1:-check}
passed=0 failed=0
logs=$BUILD/test-logs
mkdir -p "$logs"

tell() { # status name seconds detail
    if [ "$1" = 0 ]; then printf '  ok    %-34s %4ss  %s\n' "$2" "$3" "$4"; else printf '  FAIL  %-34s %4ss  %s\n' "$2" "$3" "$4"; fi
}

# A Criterion program: its own closing line counts its cases.
unit() { # name program [environment ...]
    local name=$1 program=$2 log=$logs/$1.log start=$SECONDS status counts ok bad
    shift 2
    env "$@" timeout -k 5 "${UNIT_SECONDS:-120}" "$program" --jobs 2 >"$log" 2>&1
    status=$?
    counts=$(grep -a 'Synthesis:' "$log" | tail -1 | sed 's/\x1b\[[0-9;]*m//g')
    ok=$(sed -nE 's/.*Passing: ([0-9]+).*/\1/p' <<<"$counts"); bad=$(sed -nE 's/.*Tested: ([0-9]+).*/\1/p' <<<"$counts")
    ok=${ok:-0}; bad=$((${bad:-0} - ok))
    [ "$status" != 0 ] && [ "$bad" = 0 ] && bad=1
    [ "$ok" = 0 ] && [ "$bad" = 0 ] && bad=1
    passed=$((passed + ok)); failed=$((failed + bad))
    tell $((bad > 0)) "$name" $((SECONDS - start)) "$ok passed${bad:+, $bad failed}"
    [ "$bad" = 0 ] || grep -avE '^\[(----|====)\] *$' "$log" | tail -25 | sed 's/^/        /'
}

# A script or plain program: it passes or it does not; a closing line `N passed, N failed` is counted.
part() { # name seconds command ...
    local name=$1 seconds=$2 log=$logs/$1.log start=$SECONDS status counts ok bad
    shift 2
    timeout -k 5 "$seconds" "$@" >"$log" 2>&1
    status=$?
    counts=$(grep -aE '^([a-z]+: )?[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
    if [ -n "$counts" ]; then
        ok=$(sed -E 's/.*\b([0-9]+) passed.*/\1/' <<<"$counts"); bad=$(sed -E 's/.* ([0-9]+) failed.*/\1/' <<<"$counts")
        [ "$status" != 0 ] && [ "$bad" = 0 ] && bad=1
    elif [ "$status" = 0 ]; then ok=1 bad=0; else ok=0 bad=1; fi
    passed=$((passed + ok)); failed=$((failed + bad))
    tell $((bad > 0)) "$name" $((SECONDS - start)) "$ok passed, $bad failed"
    [ "$bad" = 0 ] || tail -25 "$log" | sed 's/^/        /'
}

units() { # suffix pattern [environment ...]
    local suffix=$1 pattern=$2 source name
    shift 2
    for source in tests/*_test.c; do
        name=$(basename "$source" _test.c)
        [[ $name =~ $pattern ]] || continue
        unit "$name$suffix" "$BUILD/tests/$name" "$@"
    done
}

echo "unit tests"
units "" .
for plain in tests/*_main.c; do
    [ -e "$plain" ] || continue
    name=$(basename "$plain" _main.c)
    part "$name" 120 "$BUILD/tests/$name"
done
echo "simulated worlds"
part sim 60 "$BUILD/rh-sim" --seeds 200
part seeds 60 tests/sim/seeds.sh
part long 240 "$BUILD/rh-long" idle service silence suspend waking storm kill wrap dead
echo "inputs of the fuzz targets"
part corpora 60 tests/corpora.sh
echo "the house"
part fault_matrix 30 tests/fault_matrix.sh
part walls 60 tests/walls.sh
part instructions_gate 60 tests/instructions_test.sh
part bench_results 30 tests/bench_results.sh
part bench_tools 60 tests/bench_tools.sh
[ "$job" = check ] || . tests/everything.sh

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
