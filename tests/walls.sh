#!/usr/bin/env bash
# The walls between the layers: includes, undefined symbols, exported symbols. Prints each forbidden arrow; exits 1 if
# there is one. `walls.sh` checks this tree, then plants forbidden arrows into a copy and expects to be told of each.
set -u
export LC_ALL=C
root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build}
case $build in /*) ;; *) build=$root/$build ;; esac

declare -A may=(
    [codec]="codec"
    [proto]="proto codec"
    [transport]="transport"
    [eventhub]="eventhub proto codec transport"
    [emulator]="emulator proto codec transport"
    [cli]="cli" [examples]="examples" [bench]="bench"
)
# Signatures, key hashes and connection strings exist once; the emulator takes them from the client.
lent_to_emulator="eventhub/sas.h eventhub/partition_key.h eventhub/connection_string.h"
lent_symbols='^rh_(sas|partition|connection_string|percent)_'

layer_may_include() { # layer header
    local folder=${2%%/*}
    [ "$2" = codec/base.h ] && return 0
    case " ${may[$1]} " in *" $folder "*) return 0 ;; esac
    [ "$1" = emulator ] && case " $lent_to_emulator " in *" $2 "*) return 0 ;; esac
    return 1
}

check_includes() { # tree
    local bad=0 layer file header
    for layer in "${!may[@]}"; do
        for file in "$1/$layer"/*.[ch]; do
            [ -e "$file" ] || continue
            while read -r header; do
                case $header in
                */*) ;;
                *) echo "wall: ${file#"$1"/} includes \"$header\" without its folder"; bad=1; continue ;;
                esac
                layer_may_include "$layer" "$header" || { echo "wall: ${file#"$1"/} includes \"$header\""; bad=1; }
            done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"([^"]+)".*/\1/p' "$file")
        done
    done
    return $bad
}

# What a pure layer may ask of the C library; the sanitizers' and the compiler's own names are not its choice.
pure='^(mem(cpy|set|cmp|move|chr)|str(len|cmp|ncmp|chr|nlen|rchr)|__stack_chk_fail|__assert_fail|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|lsan|sanitizer|gcov|llvm).*|__mem(cpy|set|move)_chk)$'
world='^(clock_gettime|time|gettimeofday|clock|nanosleep|usleep|sleep|getrandom|getentropy|rand|srand|random|srandom|rand_r|drand48|arc4random|RAND_.*|socket|connect|bind|listen|accept4?|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|poll|ppoll|select|epoll_.*|io_uring_.*|getaddrinfo|ares_.*|SSL_.*|eventfd|timerfd_.*)$'

undefined_of() { nm -u "$1" | awk '{print $NF}' | sort -u; }

# One line for each symbol: object, D (defines) or U (needs), name.
symbols_of() { # build
    nm -A -g "$1"/{codec,proto,transport,eventhub,emulator}/*.o |
        awk -v root="$1/" '{ object = $1; sub(/:.*/, "", object); sub(root, "", object); print object, $(NF - 1) == "U" ? "U" : "D", $NF }'
}

check_symbols() { # build
    symbols_of "$1" | awk -v pure="$pure" -v world="$world" -v lent="$lent_symbols" '
        function layer_of(object) { return substr(object, 1, index(object, "/") - 1) }
        function tell(object, words) { print "wall: " object " needs " words; bad = 1 }
        function may(from, to, symbol) {
            if (from == to) return 1
            if (from == "proto") return to == "codec"
            if (from == "transport") return to == "codec" && symbol ~ /^rh_(status|error)_/
            if (from == "eventhub") return to != "emulator"
            if (from == "emulator") return to != "eventhub" || symbol ~ lent
            return 0
        }
        $2 == "D" { owner[$3] = layer_of($1); next }
        { object[++n] = $1; needed[n] = $3 }
        END {
            for (i = 1; i <= n; i++) {
                from = layer_of(object[i]); symbol = needed[i]
                if ((from == "codec" || from == "proto") && symbol !~ /^rh_/ && symbol !~ pure) tell(object[i], symbol)
                if ((from == "eventhub" || from == "emulator") && symbol ~ world) tell(object[i], symbol)
                if (symbol !~ /^rh_/) continue
                if (!(symbol in owner)) tell(object[i], symbol ", which nobody defines")
                else if (!may(from, owner[symbol], symbol)) tell(object[i], symbol " of " owner[symbol])
            }
            exit bad
        }'
}

check_exports() { # build
    local bad headers exported own
    headers=$(cat "$1"/include/ringhub/*)
    exported=$(nm -D --defined-only "$1"/libringhub.so | awk '{print $NF}' | sort -u)
    bad=$(grep -v '^rh_' <<<"$exported" | sed 's/^/wall: the library exports /' | tee /dev/stderr | wc -l)
    local declared
    declared=$(grep -oE '\brh_[a-z0-9_]+' <<<"$headers" | sort -u)
    bad=$((bad + $(comm -23 <(grep '^rh_' <<<"$exported") <(echo "$declared") |
        sed 's/^/wall: exported but in no public header: /' | tee /dev/stderr | wc -l)))
    bad=$((bad + $(nm --defined-only -g "$1"/libringhub.a 2>/dev/null | awk 'NF == 3 && $3 !~ /^(rh_|__)/ {print "wall: the static library defines " $3}' |
        tee /dev/stderr | wc -l)))
    own=$(nm --defined-only -g "$1"/cli/*.o | awk 'NF == 3 {print $3}')
    bad=$((bad + $(comm -23 <(nm -u "$1"/cli/*.o "$1"/examples/*.o | awk '$NF ~ /^rh_/ {print $NF}' | sort -u) <(printf '%s\n' "$exported" "$own" | sort -u) |
        sed 's/^/wall: the program or an example needs what is not public: /' | tee /dev/stderr | wc -l)))
    [ "$bad" = 0 ]
}

expect_told() { # what, check, tree
    "$2" "$3" >/dev/null && { echo "wall: a planted $1 was not noticed"; return 1; }
    return 0
}

check_planted() {
    local copy bad=0
    copy=$(mktemp -d)
    for layer in "${!may[@]}"; do
        mkdir -p "$copy/$layer"
        cp "$root/$layer"/*.[ch] "$copy/$layer/" 2>/dev/null
    done
    check_includes "$copy" || bad=1
    local plant
    for plant in codec:proto/proto.h proto:transport/transport.h transport:proto/proto.h transport:codec/codec.h \
                 eventhub:emulator/emulator.h emulator:eventhub/eventhub.h cli:eventhub/client.h; do
        echo "#include \"${plant#*:}\"" > "$copy/${plant%%:*}/planted.c"
        expect_told "include of ${plant#*:} in ${plant%%:*}" check_includes "$copy" || bad=1
        rm "$copy/${plant%%:*}/planted.c"
    done
    mkdir -p "$copy/build"/{codec,proto,transport,eventhub,emulator}
    for plant in 'proto:void *malloc(unsigned long);void *rh_planted(void){return malloc(1);}' \
                 'eventhub:long time(long *);long rh_planted(void){return time(0);}' \
                 'codec:int rh_engine_planted(void);int rh_planted(void){return rh_engine_planted();}'; do
        for layer in codec proto transport eventhub emulator; do cp "$build/$layer"/*.o "$copy/build/$layer/"; done
        echo "${plant#*:}" | ${CC:-cc} -x c -fno-builtin -c - -o "$copy/build/${plant%%:*}/planted.o"
        expect_told "symbol in ${plant%%:*}" check_symbols "$copy/build" || bad=1
        rm "$copy/build/${plant%%:*}/planted.o"
    done
    rm -rf "$copy"
    return $bad
}

status=0
check_includes "$root" || status=1
check_symbols "$build" || status=1
check_exports "$build" || status=1
check_planted || status=1
[ $status = 0 ] && echo "walls: includes, symbols and exports are as drawn; planted arrows were noticed"
exit $status
