#!/usr/bin/env bash
# The walls between the layers: includes, undefined symbols, exported symbols. Prints each forbidden arrow; exits 1 if
# there is one. `walls.sh` checks this tree, then plants forbidden arrows into a copy and expects to be told of each.
set -u
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

check_symbols() { # build
    local bad=0 layer object symbol definer owners
    owners=$(mktemp)
    for layer in codec proto transport eventhub emulator; do
        for object in "$1/$layer"/*.o; do
            nm --defined-only -g "$object" | awk -v l="$layer" '{print $NF, l}'
        done
    done > "$owners"
    for layer in codec proto transport eventhub emulator; do
        for object in "$1/$layer"/*.o; do
            while read -r symbol; do
                case $layer in
                codec|proto)
                    [[ $symbol == rh_* || $symbol =~ $pure ]] || { echo "wall: ${object#"$1"/} needs $symbol"; bad=1; } ;;
                eventhub|emulator)
                    [[ $symbol =~ $world ]] && { echo "wall: ${object#"$1"/} needs $symbol"; bad=1; } ;;
                esac
                [[ $symbol == rh_* ]] || continue
                definer=$(awk -v s="$symbol" '$1 == s {print $2; exit}' "$owners")
                [ -n "$definer" ] || { echo "wall: ${object#"$1"/} needs $symbol, which nobody defines"; bad=1; continue; }
                [ "$definer" = codec ] && [ "$layer" = transport ] && [[ $symbol =~ ^rh_(status|error)_ ]] && continue
                case " ${may[$layer]} " in *" $definer "*) continue ;; esac
                [ "$layer" = emulator ] && [[ $symbol =~ $lent_symbols ]] && continue
                echo "wall: ${object#"$1"/} needs $symbol of $definer"; bad=1
            done < <(undefined_of "$object")
        done
    done
    rm -f "$owners"
    return $bad
}

check_exports() { # build
    local bad=0 symbol headers exported
    headers=$(cat "$1"/include/ringhub/*)
    exported=$(nm -D --defined-only "$1"/libringhub.so | awk '{print $NF}' | sort -u)
    for symbol in $exported; do
        [[ $symbol == rh_* ]] || { echo "wall: the library exports $symbol"; bad=1; continue; }
        grep -qwF "$symbol" <<<"$headers" || { echo "wall: $symbol is exported but in no public header"; bad=1; }
    done
    for symbol in $(nm --defined-only -g "$1"/libringhub.a 2>/dev/null | awk 'NF == 3 {print $3}' | sort -u); do
        [[ $symbol == rh_* || $symbol == __* ]] || { echo "wall: the static library defines $symbol"; bad=1; }
    done
    for object in "$1"/cli/*.o "$1"/examples/*.o; do
        for symbol in $(undefined_of "$object" | grep '^rh_'); do
            grep -qxF "$symbol" <<<"$exported" || nm --defined-only -g "$1"/cli/*.o | grep -qw "$symbol" ||
                { echo "wall: ${object#"$1"/} needs $symbol, which is not public"; bad=1; }
        done
    done
    return $bad
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
