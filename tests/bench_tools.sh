#!/usr/bin/env bash
# What the benches count with, tried on what is known: heap.so on programs, the delaying proxy on a server of ours.
set -u
cd "$(dirname "$0")/.."
: "${BUILD:=build}"
passed=0 failed=0
place=$(mktemp -d)
trap 'exec 9>&-; kill $emulator 2>/dev/null; wait 2>/dev/null; rm -rf "$place"' EXIT

check() { # what is true, and whether it is
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL: $1"; fi
}

# process mallocs callocs reallocs frees live
counts() { od -A n -t d8 -w48 "$place/counts"; }

counted() {
    : > "$place/counts"
    RH_HEAP_FILE=$place/counts LD_PRELOAD=$PWD/$BUILD/bench/heap.so timeout 10 "$@" >/dev/null
}

counted ls -l /
read -r process mallocs callocs reallocs frees live < <(counts)
[ "$process" -gt 0 ] && [ $((mallocs + callocs + reallocs)) -gt 0 ] && [ "$frees" -le $((mallocs + callocs + reallocs)) ] && [ "$live" -ge 0 ]
check "a program is counted, and gives back no more than it took: $process $mallocs $callocs $reallocs $frees $live" $?

counted sh -c 'true; exec cat /dev/null'
read -r _ mallocs _ < <(counts)
counted cat /dev/null
read -r _ alone _ < <(counts)
[ "$mallocs" = "$alone" ]
check "what a shell turns into starts over from zero: $mallocs, alone $alone" $?

counted sh -c 'ls / >/dev/null; ls / >/dev/null; :'
read -r _ several _ < <(counts)
counted sh -c ':; :; :'
read -r _ none _ < <(counts)
[ $((several - none)) -lt 100 ]
check "children count nothing: $several with, $none without" $?

"$BUILD/ringhub" emulator --listen 127.0.0.1:0 >"$place/emulator" 2>/dev/null &
emulator=$!
for _ in $(seq 50); do grep -qs listening "$place/emulator" && break; sleep 0.1; done
address=$(sed -n 's/^listening amqp //p' "$place/emulator")
mkfifo "$place/stdin"
timeout 30 "$BUILD/bench/delay" "$address" 0 100 <"$place/stdin" >"$place/delay" 2>/dev/null &
proxy=$!
exec 9>"$place/stdin"
for _ in $(seq 50); do [ "$(grep -cs listening "$place/delay")" = 2 ] && break; sleep 0.1; done

# Protocol header out, protocol header back: with TCP's own two round trips. Milliseconds.
round() { # rtt
    local port since answer
    port=$(sed -n "s/^listening $1 127.0.0.1://p" "$place/delay")
    since=${EPOCHREALTIME/./}
    exec 8<>"/dev/tcp/127.0.0.1/$port"
    printf 'AMQP\3\1\0\0' >&8
    answer=$(head -c 8 <&8 | od -A n -t x1)
    exec 8>&-
    [ "$answer" = " 41 4d 51 50 03 01 00 00" ] || echo -1000
    echo $(((${EPOCHREALTIME/./} - since) / 1000))
}

near=$(round 0) far=$(round 100)
[ "$near" -ge 0 ] && [ "$near" -lt 500 ]
check "without distance the answer is there at once: $near ms" $?
[ "$far" -ge 200 ] && [ "$far" -lt 700 ]
check "100 ms away a connection and an answer are two round trips: $far ms" $?

exec 9>&-
wait $proxy
check "the proxy leaves when its stdin ends" $?
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
