#!/usr/bin/env bash
# Every contender through every task it names, a few events each, against the null peer, plain and over TLS. Checks
# what is answered, not how fast. `smoke.sh BUILD`; each contender is bounded in time.
set -u
cd "$(dirname "$0")/../.."
build=${1:-build}
work=$(mktemp -d)
passed=0 failed=0 missing=0
SECONDS_EACH=60

ok()   { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL: $1"; }

hear() { answer=; while read -r -t $SECONDS_EACH -u "${talk[0]}" answer; do case $answer in setting\ *) ;; *) return 0 ;; esac; done; answer="nothing"; return 1; }
tell() { echo "$1" >&"${talk[1]}"; hear; }

number() { sed -nE "s/.* $1=([0-9]+).*/\1/p" <<<"$answer"; }

# What is measured must be there and be a number; of events there may be more than were asked for, never fewer.
run() { # what events body-size samples?
    local what=$1 events=$2 size=$3 samples=${4:+$work/samples}
    rm -f "$work/samples"
    tell "run events=$events${samples:+ samples=$samples}"
    [[ $answer =~ ^done\ events=[0-9]+\ ns=[0-9]+\ cpu_ns=[0-9]+\ bytes=[0-9]+$ ]] || { fail "$what: $answer"; return; }
    [ "$(number events)" -ge "$events" ] && [ "$(number bytes)" = $(($(number events) * size)) ] || { fail "$what: $answer"; return; }
    [ "$events" = 0 ] || { [ "$(number ns)" -gt 0 ] && [ "$(number cpu_ns)" -gt 0 ]; } || { fail "$what: took no time: $answer"; return; }
    [ -z "$samples" ] && { ok; return; }
    [ "$(stat -c %s "$samples" 2>/dev/null)" = $((8 * events)) ] || { fail "$what: another number of samples"; return; }
    od -An -v -t u8 -w8 "$samples" | awk '$1 < 1000 || $1 > 60e9 { exit 1 }' && ok || fail "$what: a sample is no latency"
}

# Opens a task both ways; one that is named must be done one way at least.
task() { # name task more events samples?
    local name=$1 task=$2 more=$3 events=$4 samples=${5:-} done=0 tls port
    local size
    size=$(sed -nE 's/.*size=([0-9]+).*/\1/p' <<<"$more")
    for tls in 0 1; do
        port=${plain_port}; [ $tls = 1 ] && port=$tls_port
        local what="$name: $task $more tls=$tls"
        tell "open task=$task host=127.0.0.1 port=$port tls=$tls ca=$work/ca.pem address=bench-$size $more"
        case $answer in
        opened) done=1; run "$what" "$events" "$size" $samples; run "$what, again" "$events" "$size" $samples ;;
        cannot\ *) echo "  $what: $answer" ;;
        *) fail "$what: $answer" ;;
        esac
        tell close
        [ "$answer" = closed ] && ok || fail "$what: $answer after close"
    done
    [ $done = 1 ] && ok || fail "$name: $task $more is named and cannot be done"
}

all_tasks() { # name, its tasks
    local name=$1 named=" ${2//,/ } "
    has() { [[ $named == *" $1 "* ]]; }
    has encode    && task "$name" encode "size=1024" 20
    has decode    && task "$name" decode "size=1024" 20
    has batch     && task "$name" batch "size=1024" 1500
    has batch-decode && task "$name" batch-decode "size=1024" 1500
    has send      && { task "$name" send "size=1024 settled=0 batch=1" 300; task "$name" send "size=100 settled=0 batch=7" 300
                       task "$name" send "size=65536 settled=0 batch=2" 9; may_refuse "$name" send 1; }
    has receive   && { task "$name" receive "size=1024 settled=1" 300; task "$name" receive "size=65536 settled=1" 9
                       may_refuse "$name" receive 0; }
    has roundtrip && task "$name" roundtrip "size=1024" 50 samples
    has paced     && task "$name" paced "size=1024 rate=500" 50 samples
    has connect   && task "$name" connect "size=1024" 2 samples
    has idle      && task "$name" idle "size=1024 events=3" 0
}

# What a client may refuse whole, for it is not how Event Hubs is used.
may_refuse() { # name task settled
    local what="$1: $2 settled=$3"
    tell "open task=$2 host=127.0.0.1 port=$tls_port tls=1 ca=$work/ca.pem address=bench-1024 size=1024 settled=$3 batch=1"
    case $answer in
    opened) run "$what" 300 1024 ;;
    cannot\ *) echo "  $what: $answer" ;;
    *) fail "$what: $answer" ;;
    esac
    tell close
}

contender() { # name command...
    local name=$1 banner
    shift
    coproc talk { exec timeout -k 5 $((4 * SECONDS_EACH)) "$@" 2> "$work/err"; }
    local pid=$talk_PID
    hear; banner=$answer
    case $banner in
    missing\ *) echo "  $name: $banner"; missing=$((missing + 1)); wait "$pid"; return ;;
    contender\ name=*\ version=*\ tasks=*) ;;
    *) fail "$name begins with: $banner"; kill "$pid" 2>/dev/null; wait "$pid"; head -3 "$work/err"; return ;;
    esac
    hear; [ "$answer" = ready ] && ok || fail "$name: $answer for ready"
    tell "open task=nonsense host=127.0.0.1 port=$plain_port"; [[ $answer == cannot\ * ]] && ok || fail "$name: a task nobody knows: $answer"
    tell "run events=1"; [[ $answer == failed\ * ]] && ok || fail "$name: run before open: $answer"
    all_tasks "$name" "${banner##*tasks=}"
    echo quit >&"${talk[1]}"
    wait "$pid" && ok || fail "$name: quit ends it with $?"
    echo "  $name: through"
}

# A contender ends with its stdin.
ends() { # name command...
    local name=$1
    shift
    timeout 20 "$@" < /dev/null > /dev/null 2>&1 && ok || fail "$name: the end of stdin does not end it"
}

exec {hold}> >(exec timeout 600 "$build/bench/null" --ca "$work/ca.pem" > "$work/null" 2> "$work/null.err")
for _ in $(seq 50); do
    plain_port=$(sed -nE 's/^listening amqp .*:([0-9]+)$/\1/p' "$work/null")
    tls_port=$(sed -nE 's/^listening amqps .*:([0-9]+)$/\1/p' "$work/null")
    [ -n "$plain_port" ] && [ -n "$tls_port" ] && break
    sleep 0.1
done
[ -n "$tls_port" ] || { echo "the null peer did not start:"; cat "$work/null.err"; exit 1; }

# What a rival sends must be the reference event, as the emulator gives it back: partition key, message id, content type, body.
same_event() { # name command...
    local name=$1 hub=hub-$((++hubs)) tls=0 got
    shift
    [ "$name" = uamqp ] && tls=1
    printf '%s\n' "open task=send host=127.0.0.1 port=$([ $tls = 1 ] && echo "$tls_port" || echo "$plain_port") tls=$tls ca=$work/ca.pem address=$hub size=1024 batch=1" \
        "run events=3" close quit | timeout $SECONDS_EACH "$@" > "$work/said" 2> "$work/err"
    grep -q '^missing' "$work/said" && return
    got=$("$build/ringhub" receive -c "$connection" -e $hub --count 3 --timeout 10 --format '%k %m %c %b' 2> /dev/null | md5sum)
    [ "${got%% *}" = "$(reference_events | md5sum | cut -d' ' -f1)" ] && ok || fail "$name sends another event: $(grep -E 'failed|cannot' "$work/said" | head -1)"
}

reference_events() {
    local i
    for i in 0 1 2; do
        printf 'building-7/floor-3 %08x-3c41-4f6e-9d2b-%012x application/json ' $((0x5f3a0000 + i)) $((0x7c52e19b0000 + 17 * i))
        printf "$(awk -v i=$i 'BEGIN { for (at = 0; at < 1024; at++) printf "\\x%02x", (31 * i + 7 * at + int(at / 32)) % 256 }')"
        echo
    done
}

each() { # how: contender, ends or same_event
    "$1" qpid-proton "$build/bench/rivals/proton"
    "$1" rhea bench/rivals/node.sh bench/rivals/rhea.js
    "$1" @azure/event-hubs bench/rivals/node.sh bench/rivals/event_hubs.js
    "$1" uamqp /usr/bin/python3 bench/rivals/azure_uamqp.py
}
contender ringhub "$build/bench/ours"
each contender
ends ringhub "$build/bench/ours"
each ends
exec {hold}>&-

ringhub=$build/ringhub
. tests/emulator.sh
certificates "$work" && emulator_start "$work" --hub hub-1:1 --hub hub-2:1 --hub hub-3:1 --hub hub-4:1 \
    --tls 127.0.0.1:0 --cert "$work/address.pem" --key "$work/server.key" || exit 1
connection="Endpoint=sb://127.0.0.1:$plain_port;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
hubs=0
each same_event
emulator_stop "$work" || fail "the emulator ends with $?"
rm -rf "$work"
echo "$passed passed, $failed failed${missing:+, $missing missing}"
[ $failed = 0 ]
