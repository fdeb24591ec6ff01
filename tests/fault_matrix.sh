#!/usr/bin/env bash
# Every test that tests/fault_matrix.md names is there, and every row has one of each kind it says it is tested by. Then plants a name
# that nothing has, and a row without its test, and expects to be told of both.
set -u
cd "$(dirname "$0")/.."

# Whether one thing that the table names exists.
exists() {
    case $1 in
    sim:*) grep -qF "\"${1#sim:}\")" tests/sim/swarm.h ;;
    shape:*) grep -qw "${1#shape:}" tests/sim/shape.h ;;
    long:*) grep -q "{ \"${1#long:}\"," tests/sim/long/rh_long.c ;;
    *:*) grep -qF -- "${1#*:}" "tests/${1%%:*}_main.c" ;;
    */*) grep -qE "^Test\([a-z_]+, ${1#*/}[,)]" "tests/${1%%/*}_test.c" ;;
    *) false ;;
    esac 2>/dev/null
}

# Reads a table; prints what is wrong with it, then how many rows and names it has.
check() {
    local rows=0 names=0 wrong=0 fault truth where tests name kinds
    while IFS='|' read -r _ fault truth where tests _; do
        rows=$((rows + 1)) kinds=
        for name in $(grep -oE '`[^`]+`' <<<"$tests" | tr ' ' '~' | tr -d '`'); do
            name=${name//\~/ } names=$((names + 1))
            exists "$name" || { echo "no such test:$fault: $name"; wrong=1; }
            case $name in sim:* | shape:* | long:*) kinds+=S ;; *) kinds+=T ;; esac
        done
        case $where:$kinds in *S*:*S*) ;; *S*:*) echo "not in the simulated world:$fault"; wrong=1 ;; esac
        case $where:$kinds in *[RU]*:*T*) ;; *[RU]*:*) echo "no test of its own:$fault"; wrong=1 ;; esac
        [ -n "${where// /}" ] || { echo "tested nowhere:$fault"; wrong=1; }
    done < <(grep -E '^\| [^|]+\|[^|]+\| [SRU ]+\|' "$1")
    echo "$rows rows, $names tests"
    [ "$wrong" = 0 ] && [ "$rows" -ge 28 ]
}

check tests/fault_matrix.md || exit 1
planted=$(mktemp)
trap 'rm -f "$planted"' EXIT
sed 's|`manners:a_fork|`manners:a_spoon|; s|`long:wrap`||; s|proto_engine/every_counter|proto_engine/every_penny|' tests/fault_matrix.md > "$planted"
seen=$(check "$planted") && { echo "what was planted is not seen"; exit 1; }
for wanted in 'manners:a_spoon' 'not in the simulated world: serial' 'proto_engine/every_penny'; do
    grep -qF "$wanted" <<<"$seen" || { echo "what was planted is not seen: $wanted"; exit 1; }
done
