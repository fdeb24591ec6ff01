#!/usr/bin/env bash
# The goal table tells what was measured: figures on both sides of a limit, and figures that are not there.
set -u
cd "$(dirname "$0")/.."
work=$(mktemp -d)
passed=0 failed=0

ok()   { passed=$((passed + 1)); }
same() { if [ "$2" = "$3" ]; then ok; else failed=$((failed + 1)); printf 'FAIL: %s\n  expected: %s\n       got: %s\n' "$1" "$2" "$3"; fi; }

report() { # name rows
    echo "{ \"bench\": \"$1\", \"unit\": \"ns/event\", \"rounds\": 9, \"machine\": [\"machine: a machine\", \"date: today\"], \"results\": [ $2 ] }" > "$work/$1.json"
}
row() { # task who members
    echo "{ \"task\": \"$1\", \"who\": \"$2\"${3:+, $3} }"
}
table() { jq -rs -L bench/results -f bench/results/table.jq "$work"/*.json; }
# The line of a path that has these words, its runs of spaces made one.
line() { table | tr -s ' ' | sed -n "/^$1/,/^[^ ]/p" | grep -F -- "$2" | sed 's/ *$//'; }
ours() { row encode ringhub "\"value\": 50, \"Ir/event\": $1, \"allocs/event\": $2"; }

report codec "$(ours 600 0)"
same "what meets its limit exactly has met it" " met 600 Ir <= 600 Ir" "$(line 'build + encode' '600 Ir')"
same "no allocation" " met 0 allocations no allocations" "$(line 'build + encode' 'no allocations')"
same "nobody to compare with" " not measured - >= 16x qpid-proton" "$(line 'build + encode' '16x')"
report codec "$(ours 600.5 0.01)"
same "what is above by a hair has missed" " MISSED 601 Ir <= 600 Ir" "$(line 'build + encode' '600 Ir')"
same "a hundredth of an allocation is one" " MISSED 0.01 allocations no allocations" "$(line 'build + encode' 'no allocations')"

report codec "$(ours 500 0), $(row encode qpid-proton '"value": 800, "x_ours": 16.0, "x_ours_min": 15, "x_ours_max": 17'), $(row encode rhea '"missing": "not installed"')"
same "a ratio is that of the pairs" " met 16 [15..17]x >= 16x qpid-proton 50 against 800 ns/event" "$(line 'build + encode' '16x')"
same "a missing rival is said to be missing" " not measured missing: not installed >= 200x rhea" "$(line 'build + encode' '200x')"

batch='"value": 19, "x_ours": 0.5, "x_ours_min": 0.25, "x_ours_max": 1'
report codec "$(row batch 'floor: memcpy' "$batch"), $(row batch ringhub '"value": 38')"
same "ours over a floor turns the pairs around" " MISSED 2 [1..4]x <= 1.9x memcpy 38 against 19 ns/event" "$(line 'batch' 'memcpy')"

report stream "$(row 'send plain batch of 200 1024 unsettled' ringhub '"value": 2900000, "x_floor": 0.75')"
same "a stream may reach its share of the pump" " met 2,900,000/s, 75 % of the pump >= 3,000,000/s or >= 75 %" "$(line 'stream, plain, 1 KiB: send' '75 %')"
report stream "$(row 'send plain batch of 200 1024 unsettled' ringhub '"value": 3000000, "x_floor": 0.7')"
same "or its rate" " met 3,000,000/s, 70 % of the pump >= 3,000,000/s or >= 75 %" "$(line 'stream, plain, 1 KiB: send' '75 %')"

same "every line is counted once" "$(table | grep -cE '^  (met|MISSED|not measured|shown) ')" \
    "$(table | tail -1 | awk '{ print $1 + $3 + $5 }')"

figures() { jq -nr -L bench/results "include \"rows\"; [ $1 | figure ] | join(\" \")"; }
same "figures have three digits, or all that are whole" "0 0.0041 0.123 4.73 28.4 932 1,278 1,234,567 - -5" \
    "$(figures '0, 0.0041, 0.1234, 4.7309, 28.43, 931.6, 1278, 1234567, null, -5')"

report connect "$(row 'first event tls' 'a | b' '"value": 7')"
jq -rs -L bench/results --argjson plots '["plots/a.svg"]' --rawfile misses bench/misses.md -f bench/results/markdown.jq "$work"/*.json > "$work/RESULTS.md" || same "RESULTS.md is made" made not
same "a bar in a name does not break a table" 2 "$(grep -cF 'a \| b' "$work/RESULTS.md")"
same "every table row has as many cells as its head" "" "$(awk '/^\|/ { gsub(/\\\|/, ""); cells = gsub(/\|/, ""); if (!head) head = cells; if (cells != head) print; next } { head = 0 }' "$work/RESULTS.md")"

rm -rf "$work"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
