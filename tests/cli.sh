#!/usr/bin/env bash
# The program as a user types it: pipes, formats, every failure a clear line with its exit status.
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
ringhub=$build/ringhub
work=$(mktemp -d)
passed=0 failed=0
. tests/emulator.sh

ok()   { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL: $1"; [ -z "${2:-}" ] || echo "$2" | head -12 | sed 's/^/      /'; }
same() { if [ "$2" = "$3" ]; then ok; else fail "$1" "expected: $2"$'\n'"     got: $3"; fi; }

# A failure: exit status, the status name and some words on exactly one line of stderr, nothing on stdout.
refused() { # what exit name words command ...
    local what=$1 exit=$2 name=$3 words=$4 out err status
    shift 4
    out=$(timeout 20 "$@" 2>"$work/err" </dev/null); status=$?
    err=$(cat "$work/err")
    if [ $status = "$exit" ] && [[ $err == *"$name"* && $err == *"$words"* ]] && [ -z "$out" ] &&
       { [ "$exit" = 2 ] || [ "$(wc -l <"$work/err")" = 1 ]; }; then ok
    else fail "$what" "exit $status, expected $exit with $name and '$words'"$'\n'"$err"; fi
}

pipe() { # name connection extra...
    local name=$1 conn=$2
    shift 2
    seq 1 200000 | timeout 60 "$ringhub" send -c "$conn" -e "$name" "$@" 2>"$work/send" || fail "send 200000 to $name" "$(cat "$work/send")"
    if timeout 60 "$ringhub" receive -c "$conn" -e "$name" "$@" --count 200000 2>"$work/receive" | sort -n | diff - <(seq 1 200000) >"$work/diff"; then ok
    else fail "200000 lines through $name" "$(head -5 "$work/diff"; cat "$work/receive")"; fi
}

certificates "$work"
emulator_start "$work" --hub plain --hub tls --hub odd:1 --hub big:1 --hub info:3 --hub order:1 --hub wide:1024 --hub measured:3 \
    --tls 127.0.0.1:0 --cert "$work/server.pem" --key "$work/server.key" || exit 1
rule="SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
plain="Endpoint=sb://127.0.0.1:$plain_port;$rule;UseDevelopmentEmulator=true"
tls="Endpoint=sb://localhost:$tls_port;$rule"

pipe plain "$plain"
pipe tls "$tls" --ca "$work/ca.pem"

# One line of 900 KiB, an empty line, bytes that are no UTF-8: what goes in comes out.
{ head -c 921600 /dev/zero | tr '\0' x; echo; echo; printf '\xff\xfe\x80 raw \xc3\x28\n'; printf 'last without an end'; } > "$work/odd.in"
timeout 20 "$ringhub" send -c "$plain" -e odd "$work/odd.in" 2>"$work/send" || fail "send odd lines" "$(cat "$work/send")"
timeout 20 "$ringhub" receive -c "$plain" -e odd --count 4 > "$work/odd.out" 2>/dev/null
{ cat "$work/odd.in"; echo; } | cmp -s - "$work/odd.out" && ok || fail "odd lines came back changed"
timeout 20 "$ringhub" send -c "$tls" --ca "$work/ca.pem" -e big "$work/odd.in" 2>/dev/null
timeout 20 "$ringhub" receive -c "$tls" --ca "$work/ca.pem" -e big --count 4 > "$work/big.out" 2>/dev/null
cmp -s "$work/odd.out" "$work/big.out" && ok || fail "odd lines came back changed over TLS"

# Keys, partitions, positions, formats.
printf '%s\n' a b c | "$ringhub" send -c "$plain" -e order -p 0 2>"$work/send"
same "the summary of send names events and bytes" 1 "$(grep -cE '^3 events, 3 bytes, [0-9.]+ s' "$work/send")"
same "partition and sequence by format" "0 0 a,0 1 b,0 2 c" "$("$ringhub" receive -c "$plain" -e order -p 0 --count 3 --format '%p %s %b' 2>/dev/null | paste -sd,)"
same "from a sequence number, inclusive" "b,c" "$("$ringhub" receive -c "$plain" -e order --from sequence=1 --count 2 2>/dev/null | paste -sd,)"
offset=$("$ringhub" receive -c "$plain" -e order --count 2 --format '%o' 2>/dev/null | tail -1)
same "from an offset, inclusive" "b" "$("$ringhub" receive -c "$plain" -e order --from "offset=$offset" --count 1 2>/dev/null)"
same "from a time in the past" "a" "$("$ringhub" receive -c "$plain" -e order --from time=2020-01-01T00:00:00Z --count 1 2>/dev/null)"
printf '%s\n' k1 k2 | "$ringhub" send -c "$plain" -e info -k device-42 2>/dev/null
same "a key keeps its events together" 1 "$("$ringhub" receive -c "$plain" -e info --count 2 --format '%p' 2>/dev/null | sort -u | wc -l)"
same "the key comes back" "device-42" "$("$ringhub" receive -c "$plain" -e info --count 1 --format '%k' 2>/dev/null)"
same "info lists the partitions" 3 "$("$ringhub" info -c "$plain" -e info | grep -cE '^ *[012] ')"
same "info as JSON" 3 "$("$ringhub" info -c "$plain" -e info --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["partitions"]))' 2>/dev/null || "$ringhub" info -c "$plain" -e info --json | grep -o '"id"' | wc -l)"
same "the environment names the hub" 3 "$(EVENT_HUB_CONNECTION_STRING="$plain;EntityPath=info" "$ringhub" info | grep -cE '^ *[012] ')"

echo far | "$ringhub" send -c "$plain" -e wide -p 1023 2>/dev/null
same "one receiver reads 1024 partitions" far "$(timeout 20 "$ringhub" receive -c "$plain" -e wide --count 1 2>/dev/null)"

# Measuring: what is counted is what arrives, and what is printed can be read by programs.
bench() { timeout 30 "$ringhub" bench "$@" -c "$plain" -e measured; }
bench send --count 12345 --batch 100 --connections 2 --size 300 --json > "$work/bench.json" 2>"$work/err" || fail "bench send" "$(cat "$work/err")"
same "bench send counts what was accepted" "12345 3703500 124" "$(jq -r '"\(.events) \(.bytes) \(.latency.samples)"' "$work/bench.json")"
same "every sample is in a bucket" 124 "$(jq '[.latency.buckets[].count] | add' "$work/bench.json")"
same "no percentile without 100 samples beyond it" "{}" "$(jq -c .latency.percentiles "$work/bench.json")"
bench receive --count 12345 --connections 2 --json > "$work/bench.json" 2>"$work/err" || fail "bench receive" "$(cat "$work/err")"
same "bench receive counts what was sent" "12345 3703500 null" "$(jq -r '"\(.events) \(.bytes) \(.latency)"' "$work/bench.json")"
same "bench receive got the size asked for" 300 "$("$ringhub" receive -c "$plain" -e measured --count 1 2>/dev/null | head -c -1 | wc -c)"
bench latency --rate 1000 --seconds 1.5 --warm-up 0 --json --histogram "$work/bench.hgrm" > "$work/bench.json" 2>"$work/err" || fail "bench latency" "$(cat "$work/err")"
same "an open loop sends what is due" "1500 1500" "$(jq -r '"\(.events) \(.latency.samples)"' "$work/bench.json")"
same "percentiles rise" true "$(jq '.latency | [.min, .percentiles["50"], .percentiles["75"], .percentiles["90"], .max] | . == sort and .[0] > 0' "$work/bench.json")"
same "the histogram's file ends with all of them" 1500 "$(awk '$2 == "1.000000000000" { print $3 }' "$work/bench.hgrm")"
bench latency --seconds 0.3 > "$work/bench.txt" 2>"$work/err" || fail "bench latency, closed loop" "$(cat "$work/err")"
same "the table has events, rate, CPU and the median" 4 "$(grep -cE '^(events     [1-9]|rate       [1-9]|CPU        [0-9.]+ s per million|  p50 )' "$work/bench.txt")"
timeout -s INT 1 "$ringhub" bench send -c "$plain" -e measured --rate 100 --warm-up 0 --json > "$work/bench.json" 2>/dev/null
same "an interrupt ends it in order" true "$(jq '.events > 20 and .events < 150' "$work/bench.json")"
refused "bench without a task"         2 "" "send, receive or latency" "$ringhub" bench
refused "an option of another task"    2 "" "--rate means nothing to receive" "$ringhub" bench receive --rate 5
refused "a rate that is none"          2 "" "--rate cannot be '0'" "$ringhub" bench send --rate 0
refused "bench on an unknown hub"      1 RH_E_NOT_FOUND nowhere "$ringhub" bench send -c "$plain" -e nowhere --seconds 1
refused "bench of events that fit no message" 1 RH_E_TOO_BIG "" "$ringhub" bench send -c "$plain" -e measured --seconds 1 --size 1200000
bench receive --from latest --seconds 1 > /dev/null 2>"$work/err"
same "a bench that saw no event has failed" "1 ringhub bench: measured: RH_E_TIMEOUT: not one event" "$? $(cat "$work/err")"
bench receive --count 1000000 --seconds 1 > /dev/null 2>"$work/err"
same "a count that was not reached is a failure" "1 1" "$? $(grep -c 'RH_E_TIMEOUT: .* of 1000000 events in time' "$work/err")"

# A time-out before the count is a failure; without a count it is the end of watching.
refused "fewer events than counted" 1 RH_E_TIMEOUT "0 of 5" "$ringhub" receive -c "$plain" -e order --from latest --count 5 --timeout 1
timeout 20 "$ringhub" receive -c "$plain" -e order --from latest --timeout 1 >/dev/null 2>&1 && ok || fail "watching until the time-out ends well"

# Every failure has its own name.
bad="Endpoint=sb://127.0.0.1:$plain_port;SharedAccessKeyName=RootManageSharedAccessKey"
refused "half a key pair"          1 RH_E_CONNECTION_STRING SharedAccessKey "$ringhub" info -c "$bad;UseDevelopmentEmulator=true" -e info
refused "a part without ="         1 RH_E_CONNECTION_STRING "" "$ringhub" info -c "nonsense" -e info
refused "no endpoint"              1 RH_E_CONNECTION_STRING Endpoint "$ringhub" info -c "EntityPath=x" -e x
refused "two different hubs"       1 RH_E_CONFLICT info "$ringhub" info -c "$plain;EntityPath=other" -e info
refused "no hub at all"            1 RH_E_ARGUMENT hub "$ringhub" info -c "$plain"
refused "no connection string"     2 "" EVENT_HUB_CONNECTION_STRING env -u EVENT_HUB_CONNECTION_STRING "$ringhub" info -e info
refused "an unknown option"        2 "" "" "$ringhub" send --no-such-option
refused "an unknown subcommand"    2 "" "nonsense" "$ringhub" nonsense
refused "a count that is no number" 2 "" count "$ringhub" receive -c "$plain" -e order --count many
refused "a position that is none"  2 "" from "$ringhub" receive -c "$plain" -e order --from yesterday
refused "partition and key"        2 "" "" "$ringhub" send -c "$plain" -e order -p 0 -k key
refused "a wrong key"              1 RH_E_UNAUTHORIZED "" "$ringhub" info -c "${plain/SAS_KEY_VALUE/wrong}" -e info
refused "an unknown hub"           1 RH_E_NOT_FOUND nowhere "$ringhub" info -c "$plain" -e nowhere
refused "an unknown partition"     1 RH_E_SERVICE_ARGUMENT partition "$ringhub" receive -c "$plain" -e order -p 9 --count 1
refused "an unknown group"         1 RH_E_NOT_FOUND nobody "$ringhub" receive -c "$plain" -e order -g nobody --count 1
refused "a host that does not resolve" 1 RH_E_NAME no-such-host.invalid "$ringhub" info -c "Endpoint=sb://no-such-host.invalid;SharedAccessKeyName=a;SharedAccessKey=b" -e info
refused "a refused port"           1 RH_E_REFUSED 127.0.0.1 "$ringhub" info -c "${plain/:$plain_port/:1}" -e info
refused "plain speech to a TLS port" 1 RH_E_ "" "$ringhub" info -c "${plain/:$plain_port/:$tls_port}" -e info
refused "an unknown authority"     1 RH_E_TLS_UNKNOWN_CA "" env -u SSL_CERT_FILE "$ringhub" info -c "$tls" -e info
refused "a certificate for another name" 1 RH_E_TLS_NAME "" "$ringhub" info --ca "$work/ca.pem" -c "${tls/localhost/127.0.0.1}" -e info
refused "an authority file that is missing" 1 RH_E_IO missing.pem "$ringhub" info --ca "$work/missing.pem" -c "$tls" -e info
refused "an input file that is missing" 1 RH_E_IO missing.txt "$ringhub" send -c "$plain" -e order "$work/missing.txt"
head -c 1200000 /dev/zero | tr '\0' y > "$work/huge.in"
refused "too large an event"       1 RH_E_TOO_BIG "" "$ringhub" send -c "$plain" -e order "$work/huge.in"
# Faults on purpose.
printf '# three lines\nseed 7\nat send every 10 do throttle for 1s\nevery 300ms senders do reset\n' > "$work/faults"
printf '\nevery now and then do reset\n' > "$work/faults.bad"
refused "a fault script that is not understood" 2 "" "faults.bad: line 2: expected a time such as 500ms, 10s, 2m or 1h behind 'every', not 'now'" \
    "$ringhub" emulator --listen 127.0.0.1:0 --faults "$work/faults.bad"
refused "a fault script that is missing" 1 "" "missing: cannot be read" "$ringhub" emulator --listen 127.0.0.1:0 --faults "$work/missing"
refused "a limit that there is not"  2 "" "--limit cannot be 'patience=1'" "$ringhub" emulator --listen 127.0.0.1:0 --limit patience=1
refused "a limit that is no number"  2 "" "--limit cannot be 'credit=lots'" "$ringhub" emulator --listen 127.0.0.1:0 --limit credit=lots
mkdir -p "$work/faulty"
(
    emulator_start "$work/faulty" --hub hub:1 --faults "$work/faults" --limit credit=20 --limit sender-idle=never --limit idle-time-out=30s || exit 1
    faulty="Endpoint=sb://127.0.0.1:$plain_port;$rule;UseDevelopmentEmulator=true"
    timeout 30 "$ringhub" bench send -c "$faulty" -e hub --batch 1 --rate 20 --count 12 --warm-up 0 --json > "$work/faulty.json" 2>"$work/err"
    emulator_stop "$work/faulty"
) || fail "an emulator with faults starts" "$(cat "$work/faulty/emulator.err")"
same "a fault is told as it is done" 1 "$(grep -cE '^fault: line 3: throttle with com.microsoft:server-busy, .* on hub$' "$work/faulty/emulator.err")"
same "what was done is summed up at the end" 1 "$(grep -cE '^ +[1-9][0-9]*     4  reset' "$work/faulty/emulator.err")"

"$ringhub" info --insecure -c "$tls" -e info >/dev/null 2>&1 && ok || fail "--insecure talks to anyone"
SSL_CERT_FILE="$work/ca.pem" "$ringhub" info -c "$tls" -e info >/dev/null 2>&1 && ok || fail "SSL_CERT_FILE is honoured"

emulator_stop "$work" && ok || fail "the emulator ends well on SIGTERM"
emulator_start "$work" --hub info --tls 127.0.0.1:0 --cert "$work/expired.pem" --key "$work/server.key" || exit 1
refused "an expired certificate"   1 RH_E_TLS_EXPIRED "" "$ringhub" info --ca "$work/ca.pem" -c "Endpoint=sb://localhost:$tls_port;$rule" -e info
emulator_stop "$work"

cat > "$work/config.json" <<'JSON'
{"UserConfig":{"NamespaceConfig":[{"Type":"EventHub","Name":"emulatorNs1","Entities":[{"Name":"eh1","PartitionCount":"2","ConsumerGroups":[{"Name":"cg1"}]}]}],"LoggingConfig":{"Type":"File"}}}
JSON
emulator_start "$work" --config "$work/config.json" || exit 1
conn="Endpoint=sb://127.0.0.1:$plain_port;$rule;UseDevelopmentEmulator=true"
same "the official config names hub and partitions" 2 "$("$ringhub" info -c "$conn" -e eh1 | grep -cE '^ *[01] ')"
echo one | "$ringhub" send -c "$conn" -e eh1 2>/dev/null
same "the official config names the group" one "$("$ringhub" receive -c "$conn" -e eh1 -g cg1 --count 1 2>/dev/null)"
emulator_stop "$work"

# A service that goes and comes back does not end who reads from it.
emulator_start "$work" --hub back:1 || exit 1
conn="Endpoint=sb://127.0.0.1:$plain_port;$rule;UseDevelopmentEmulator=true"
timeout 20 "$ringhub" bench receive -c "$conn" -e back --seconds 6 --json > "$work/back.json" 2>"$work/err" & reader=$!
sleep 1
kill -KILL "$emulator_pid"; wait "$emulator_pid" 2>/dev/null
# A ring lets go of its sockets a moment after its process is gone.
for _ in $(seq 20); do
    "$ringhub" emulator --listen "127.0.0.1:$plain_port" --hub back:1 >"$work/emulator.out" 2>/dev/null & emulator_pid=$!
    sleep 0.2
    grep -q listening "$work/emulator.out" && break
    wait "$emulator_pid"
done
seq 100 | timeout 20 "$ringhub" send -c "$conn" -e back 2>/dev/null
wait $reader
same "a bench reads on when its service is back" "0 100" "$? $(jq .events "$work/back.json")"
same "the outage has left its mark" "true true" "$(jq '.losses > 0, .seconds_away > 0' "$work/back.json" | xargs)"

# Nobody answers: an interrupt, or the time given, ends the opening of whatever it is.
kill -STOP "$emulator_pid"
for command in "send" "receive" "info" "bench receive" "bench send"; do
    started=$SECONDS
    # shellcheck disable=SC2086
    timeout -s INT 0.3 "$ringhub" $command -c "$conn" -e back </dev/null >/dev/null 2>"$work/err"
    same "an interrupt ends the opening of $command" "RH_E_CANCELLED 1" "$(grep -o RH_E_CANCELLED "$work/err" | head -1) $((SECONDS - started < 3))"
done
started=$SECONDS
refused "a time-out bounds the opening, too" 1 RH_E_TIMEOUT "" "$ringhub" receive -c "$conn" -e back --timeout 1
same "the time-out was the time it took" 1 $((SECONDS - started < 5))
kill -CONT "$emulator_pid"
emulator_stop "$work"

# What was accepted outlives the emulator, however it ends.
emulator_start "$work" --hub kept:3 --data "$work/data" || exit 1
conn="Endpoint=sb://127.0.0.1:$plain_port;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
seq 1000 | timeout 20 "$ringhub" send -c "$conn" -e kept 2>"$work/send" || fail "send to a kept hub" "$(cat "$work/send")"
before=$("$ringhub" receive -c "$conn" -e kept --count 1000 --format '%p %s %o %t %b' 2>/dev/null | sort)
refused "a folder that another emulator has" 1 RH_E_CONFLICT "$work/data" "$ringhub" emulator --listen 127.0.0.1:0 --hub kept:3 --data "$work/data"
kill -KILL "$emulator_pid"; wait "$emulator_pid" 2>/dev/null
refused "other partitions than on disk" 1 RH_E_CONFLICT "3 partitions" "$ringhub" emulator --listen 127.0.0.1:0 --hub kept:2 --data "$work/data"
refused "a folder that cannot be made"  1 RH_E_IO /dev/null/data "$ringhub" emulator --listen 127.0.0.1:0 --data /dev/null/data
emulator_start "$work" --hub kept:3 --data "$work/data" || exit 1
conn="Endpoint=sb://127.0.0.1:$plain_port;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
timeout 20 "$ringhub" receive -c "$conn" -e kept --count 1000 2>"$work/receive" | sort -n | diff - <(seq 1000) >"$work/diff" && ok || fail "1000 lines after kill -9" "$(head -5 "$work/diff"; cat "$work/receive")"
same "every event is at its place after kill -9" "$before" "$("$ringhub" receive -c "$conn" -e kept --count 1000 --format '%p %s %o %t %b' 2>/dev/null | sort)"
emulator_stop "$work" && ok || fail "the emulator with --data ends well on SIGTERM"

refused "a config that is no JSON" 1 RH_E_ARGUMENT "line 1" "$ringhub" emulator --listen 127.0.0.1:0 --config tests/cli.sh
refused "a port in use or forbidden" 1 "" 192.0.2.1 "$ringhub" emulator --listen 192.0.2.1:0

rm -rf "$work"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
