#!/bin/sh
# results.sh FROM TO: the goal table on stdout; TO/RESULTS.md and TO/plots/*.svg and *.png from what the benches left in FROM.
set -eu
from=$1 to=$2
here=$(dirname "$0")/results
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/plots"

ls "$from"/*.json >/dev/null 2>&1 || { echo "nothing was measured yet: $from has no results" >&2; exit 1; }

ask() { # program.jq option... : asks it of every report
    program=$1
    shift
    jq -rs -L "$here" "$@" -f "$here/$program" "$from"/*.json
}

# Twice the same picture. Nothing is drawn, and nobody minds, when the figures are not there.
draw() { # bars|lines name
    test -s "$work/$2.gp" || return 0
    for kind in svg png; do
        case $kind in
        svg) terminal=svg font=sans-serif small=13 middle=14 large=19 ;;
        png) terminal=pngcairo font='DejaVu Sans' small=10 middle=11 large=17 ;;
        esac
        gnuplot -e "load '$work/$2.gp'; height = '$1' eq 'bars' ? 92 + 24 * lines : 480;
            font_title = '$font,$large'; font_small = '$font,$small';
            set terminal $terminal size 1000, height font '$font,$middle' background '#ffffff'; set output '$work/plots/$2.$kind'" "$here/$1.gp"
    done
}

bars() { # name bench key title unit below
    ask bars.jq --arg bench "$2" --arg key "$3" --arg title "$4" --arg unit "$5" --arg below "$6" > "$work/$1.gp"
    draw bars "$1"
}

lines() { # name title below x-label y-label x-tics, points on stdin
    jq -r -L "$here" --arg title "$2" --arg below "$3" --arg x_label "$4" --arg y_label "$5" --arg x_tics "$6" -f "$here/lines.jq" > "$work/$1.gp"
    draw lines "$1"
}

timed='median of the rounds, thin line from least to most' counted='counted by callgrind'
bars codec codec value 'Codec: time an event' ns "less is better; $timed"
bars codec-instructions codec Ir_per_event 'Codec: instructions an event' Ir "less is better; $counted"
bars engine engine Ir_per_event 'Engine: instructions an event, with framing and settlement' Ir "less is better; $counted"
bars stream-cpu stream cpu_s_per_M 'Stream over loopback: CPU seconds of the client for a million events' s "less is better; $timed"
bars stream-rate stream value 'Stream over loopback, one connection: events a second' /s "more is better; $timed"
bars latency latency value 'Round trip to accepted, one event at a time, and at fixed rates: p50' us "less is better; $timed"
bars tls-bulk tls-bulk value 'TLS, a stream over loopback: CPU seconds that it adds to a gigabyte' s "less is better; $timed"
bars tls-roundtrip tls-roundtrip value 'TLS, a round trip on one core: microseconds that it adds' us "less is better; $timed"
bars tls-handshake tls-handshake value 'TLS, a connection: CPU microseconds of the client that it adds' us "less is better; $timed"
bars connect connect value 'From nothing to the first accepted event: round trips, TCP included' '' "less is better; $timed"
bars memory memory value 'An idle connection with session, $cbs pair and link: bytes of pages touched' B 'less is better; slope from 1 to 1,001 connections'

for way in send receive; do
    ask sizes.jq --arg way $way | lines "size-$way" "Stream over loopback, $way: throughput over event size" 'megabytes of bodies a second, plain TCP, one connection; more is better' \
        'bytes of body' 'MB/s' "'100 B' 100, '1 KiB' 1024, '64 KiB' 65536"
done

# A line of the curves' file, its heading apart, is an array of JSON but for the brackets.
curve=$from/latency-curve.csv
curves() { jq -Rnr "$@" '[ inputs | select(startswith("\"")) | "[\(.)]" | fromjson ]'" | $program" "$curve"; }
program='map(.[0]) | unique[]'
test ! -s "$curve" || curves | while read -r task; do
    program='map(select(.[0] == $task and .[2] >= 50) | { who: .[1], x: (100 / (100 - .[2])), y: .[3] })'
    curves --arg task "$task" |
        lines "latency-$(echo "$task" | tr -cs 'a-zA-Z0-9\n' -)" "Latency by percentile: $task" 'microseconds; less is better; every point has at least 100 samples beyond it' \
            percentile us "'p50' 2, 'p75' 4, 'p90' 10, 'p95' 20, 'p99' 100, 'p99.9' 1000, 'p99.99' 10000, 'p99.999' 100000"
done

red='' green='' plain=''
if test -t 1; then red=$(printf '\033[31m') green=$(printf '\033[32m') plain=$(printf '\033[0m'); fi
ask table.jq | sed -e "s/^  MISSED/  ${red}MISSED$plain/" -e "s/^  met/  ${green}met$plain/"
ask markdown.jq --rawfile misses "$here/../misses.md" --argjson plots "$(cd "$work" && ls plots/*.svg 2>/dev/null | jq -R . | jq -s .)" > "$work/RESULTS.md"

# Only now, when nothing can fail any more, what was there before goes.
mkdir -p "$to/plots"
rm -f "$to"/plots/*.svg "$to"/plots/*.png
cp "$work"/plots/* "$to/plots/"
cp "$work/RESULTS.md" "$to/"
