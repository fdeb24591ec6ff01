#!/usr/bin/env bash
# No function of codec/ and proto/ comes back to itself, proved from gcc's call graph, so nothing a peer sends can deepen the stack:
# prints the deepest one there is. `recursion.sh` checks this tree, then plants functions that do and
# expects to be told of it.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Who calls through a pointer, and whom: their owner's handlers, which are not of these layers, or what is named here.
owner="rh_connection_take rh_output_borrow rh_output_give_back attach_answered attach_asked begin_answered begin_asked delivered not_delivered
flow_from_receiver flow_from_sender frame_written gather_begin header_done take_init take_open tell_close tell_detach tell_end tell_outcome"
named="proto/draft.c:texts_are:rh_utf8_is proto/draft.c:texts_are:rh_ascii_is"

graph() { # folder option source...: an object's graph each; without optimisation every call is in it
    local out=$1 option=$2 source
    shift 2
    mkdir -p "$out"
    for source in "$@"; do
        gcc "$option" -std=c11 -I. -fcallgraph-info=su -c "$source" -o "$out/$(tr / _ <<<"${source#"$work"/}").o" || return 1
    done
}

edges() { # folder
    sed -nE 's/^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)".*/\1 \2/p' "$1"/*.ci | sort -u
    for call in $named; do echo "${call%:*} ${call##*:}"; done
}

check_pointers() { # folder
    local bad=0 caller
    for caller in $(edges "$1" | awk '$2 == "__indirect_call" { print $1 }'); do
        case " $(echo $owner) " in *" ${caller##*:} "*) continue ;; esac
        case " $named" in *" $caller:"*) continue ;; esac
        echo "recursion: $caller calls through a pointer, and nobody has said whom"
        bad=1
    done
    return $bad
}

check_loops() { # folder
    edges "$1" | awk '$1 == $2 { print "recursion: " $1 " calls itself"; bad = 1 } END { exit bad }' || return 1
    edges "$1" | awk '$1 != $2' | tsort > /dev/null 2> "$work/loops" && return 0
    echo "recursion: functions that come back to themselves:"
    sed 's/^tsort: //' "$work/loops"
    return 1
}

# The longest way down, by what each function needs of the stack. The owner's callbacks and the C library stand on top of it.
deepest() { # folder
    sed -nE 's/^node: \{ title: "([^"]+)" label: "[^"]*\\n([0-9]+) bytes \(([a-z,]+)\).*/node \1 \2 \3/p' "$1"/*.ci > "$work/nodes"
    edges "$1" | sed 's/^/edge /' | cat "$work/nodes" - | awk '
        function depth(f,    i, n, best) {
            if (f in known) return known[f]
            for (i = 1; i <= calls[f]; i++) {
                n = depth(callee[f, i])
                if (n > best) { best = n; below[f] = callee[f, i] }
            }
            return known[f] = bytes[f] + best
        }
        $1 == "node" { bytes[$2] = $3; if ($4 == "dynamic") { print "recursion: the stack of " $2 " has no bound"; bad = 1 } }
        $1 == "edge" { callee[$2, ++calls[$2]] = $3 }
        END {
            for (f in bytes) if (depth(f) > depth(top)) top = f
            way = top
            for (f = top; f in below; f = below[f]) { name = below[f]; sub(/.*:/, "", name); way = way " > " name }
            print "recursion: none; the deepest stack is " depth(top) " bytes: " way
            exit bad
        }'
}

expect_told() { # what source
    mkdir -p "$work/planted"
    printf '%s\n' "$2" > "$work/planted/planted.c"
    graph "$work/planted" -O0 "$work/planted/planted.c" || return 1
    check_pointers "$work/planted" > "$work/told" && check_loops "$work/planted" > "$work/told" || { rm -rf "$work/planted"; return 0; }
    echo "recursion: planted $1 was not noticed"
    return 1
}

status=0
graph "$work/all" -O0 codec/*.c proto/*.c && check_pointers "$work/all" && check_loops "$work/all" || status=1
[ $status = 0 ] && { graph "$work/fast" -O2 codec/*.c proto/*.c && deepest "$work/fast" || status=1; }
expect_told "recursion" 'int rh_planted(int n) { return n ? rh_planted(n - 1) + 1 : 0; }' || status=1
expect_told "mutual recursion" 'int rh_a(int n); int rh_b(int n) { return n ? rh_a(n - 1) + 1 : 0; } int rh_a(int n) { return rh_b(n); }' || status=1
expect_told "call through a pointer" 'int rh_planted(int (*f)(void)) { return f(); }' || status=1
exit $status
