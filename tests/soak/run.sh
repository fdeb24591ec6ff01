#!/usr/bin/env bash
# Our client and an emulator that errs by a script, two processes over real TLS on loopback: run.sh SECONDS. In the end nothing
# accepted may be lost, nothing may be stuck, and neither process may grow. WORK=DIR keeps what the emulator told; EMULATOR_OPTIONS go to it; SEED is the script's;
# RESTARTS=N kills it so often, and it starts again with what it had on disk.
set -u
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
seconds=${1:-600}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
. tests/emulator.sh
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
certificates "$work" && rm -rf "$work/data" || exit 1

# Enough time between two faults of a kind to get up again, and little enough for every condition to have its turn.
between() { local ms=$((seconds * 1000 / $1)); [ "$ms" -lt "$2" ] && ms=$2; echo "${ms}ms"; } # turns least-milliseconds
cat > "$work/script" <<END
seed ${SEED:-1}
calm after ${seconds}s
every $(between 170 400) do detach with any
every $(between 90 900) do end with any
every $(between 50 1500) do close with any
every $(between 60 1700) do reset
every $(between 45 2100) readers do reset after 5000 bytes
every $(between 45 2300) senders do reset after 20 bytes
every $(between 50 1900) do stall for 700ms
every $(between 12 9000) do stall for 13s
every $(between 40 2900) do withhold for 1s
every $(between 40 3300) cbs do detach with any
every $(between 40 3700) management do detach with any
at send odds 1/80 do refuse with any
at send odds 1/150 do throttle for 1s
at send odds 1/200 do delay for 900ms
at send odds 1/400 do forget
at send odds 1/400 do ignore
at mid-delivery odds 1/40 do detach with any
at mid-delivery odds 1/60 do reset
at attach odds 1/12 do refuse with any
at attach odds 1/40 do ignore
at attach odds 1/40 do withhold for 800ms
at attach odds 1/30 do detach with any
at attach cbs odds 1/25 do refuse with any
at token odds 1/12 do refuse with any
at token odds 1/30 do refuse with 401
at token odds 1/40 do ignore
at token odds 1/25 do delay for 1s
at inquiry odds 1/8 do refuse with any
at inquiry odds 1/20 do forget
at connect odds 1/20 do reset
at connect odds 1/20 do reset after 30 bytes
at open odds 1/15 do close with any
at open odds 1/30 do stall for 2s
at begin odds 1/60 do end with any
END
timeout $((seconds + 150)) "$build/soak" --ringhub "$build/ringhub" --script "$work/script" --work "$work" --seconds "$seconds" --restarts "${RESTARTS:-0}" -- ${EMULATOR_OPTIONS:-}
