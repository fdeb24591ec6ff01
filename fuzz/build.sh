#!/usr/bin/env bash
# Builds the fuzz targets (all, or those named) into OUT, each with its dictionary and its corpus as a zip where there is
# `zip`. Everything comes from the environment, as OSS-Fuzz, ClusterFuzzLite and AFL++ have it:
#   CC, CFLAGS            the compiler and its instrumentation
#   LIB_FUZZING_ENGINE    what is linked for a main(); without it libFuzzer's
#   CXX, CXXFLAGS         link, if LIB_FUZZING_ENGINE is given: engines are mostly C++
#   OUT, WORK             where targets and objects go
# LIB_FUZZING_ENGINE=fuzz/replay.c builds targets that replay files, with any compiler.
set -eu
cd "$(dirname "$0")/.."
: "${OUT:=build/fuzz}"
: "${WORK:=$OUT/objects}"
if [ -z "${LIB_FUZZING_ENGINE:-}" ]; then
    : "${CC:=clang}"
    # No trace-cmp: half of what it compares are the sanitizers' own checks, it halves the speed, and what it would find out,
    # the constants of AMQP, the dictionary and the mutator know.
    : "${CFLAGS:=-O2 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-sanitize-coverage=trace-cmp}"
    LIB_FUZZING_ENGINE=-fsanitize=fuzzer
    CXX=$CC CXXFLAGS=$CFLAGS
fi
: "${CC:=cc}"
: "${CFLAGS:=-O1 -g}"
case $LIB_FUZZING_ENGINE in *.c) CXX=$CC CXXFLAGS="$CFLAGS -I." ;; esac

# What targets are made of: the pure layers, two readers of text from the others, and what targets share. In the
# library every edge of the control flow is counted, where the compiler can: fuzz/kit/steps.h.
library="$(echo codec/*.c proto/*.c) eventhub/connection_string.c emulator/filter.c"
sources="$library $(echo fuzz/kit/*.c)"
# What is reached of the targets themselves is nobody's aim.
takes() { $CC $CFLAGS "$1" -Werror -fsyntax-only -xc /dev/null 2>/dev/null && echo "$1"; }
COUNT=$(takes -fsanitize-coverage=trace-pc || true)
BLIND=$(takes -fno-sanitize-coverage=edge,indirect-calls,inline-8bit-counters,pc-table,stack-depth,trace-cmp || true)
targets=${*:-$(ls fuzz/*.c | grep -vE "/(replay|storm).c" | xargs -n1 basename -s .c)}
# The rival is built where there is one.
[ $# != 0 ] || $CC -fsyntax-only -include proton/codec.h -xc /dev/null 2>/dev/null || targets=$(echo $targets | sed 's/\brival\b//')
libraries_of() { case $1 in rival) echo -lqpid-proton ;; esac; }

mkdir -p "$OUT" "$WORK"
export CC CFLAGS COUNT BLIND WORK
compile() {
    local coverage=$COUNT
    case $1 in fuzz/*) coverage=$BLIND ;; esac
    $CC $CFLAGS $coverage -I. -std=c11 -c "$1" -o "$WORK/$(tr / _ <<<"${1%.c}").o"
}
export -f compile
{ printf '%s\n' $sources; for target in $targets; do [ "$target" = schedule ] || echo "fuzz/$target.c"; done; } |
    xargs -P "${JOBS:-2}" -I{} bash -c 'compile {}'
rm -f "$WORK/pure.a"
ar rcs "$WORK/pure.a" $(for source in $sources; do echo "$WORK/$(tr / _ <<<"${source%.c}").o"; done)

# The simulated worlds are made of everything, and of libraries.
world_object() { echo "$WORK/world/$(tr / _ <<<"${1%.c}").o"; }
compile_world() {
    local coverage=$COUNT
    case $1 in fuzz/* | tests/*) coverage=$BLIND ;; esac
    $CC $CFLAGS $coverage -I. -std=gnu11 -D_GNU_SOURCE -c "$1" -o "$(world_object "$1")"
}
export -f world_object compile_world
build_world() { # target
    local source objects=() worlds
    worlds="$(ls {codec,proto,transport,eventhub,emulator}/*.c) fuzz/$1.c $(ls tests/sim/*.c | grep -vE '/(rh_sim|tally|reach|shrink|apart)\.c')"
    mkdir -p "$WORK/world"
    printf '%s\n' $worlds | xargs -P "${JOBS:-2}" -I{} bash -c 'compile_world {}'
    for source in $worlds; do objects+=("$(world_object "$source")"); done
    ${CXX:-$CC} ${CXXFLAGS:-$CFLAGS} ${COUNT:+-Wl,--wrap=__sanitizer_cov_trace_pc} -o "$OUT/$1" "${objects[@]}" "$WORK/pure.a" $LIB_FUZZING_ENGINE -lxxhash -luring -lssl -lcrypto -lcares -ljansson -pthread
}

fuzz/dictionary.sh >"$OUT/amqp.dict"
for target in $targets; do
    case $target in
    schedule | emulator) build_world "$target" ;;
    *) ${CXX:-$CC} ${CXXFLAGS:-$CFLAGS} ${COUNT:+-Wl,--wrap=__sanitizer_cov_trace_pc} -o "$OUT/$target" "$WORK/fuzz_$target.o" "$WORK/pure.a" $LIB_FUZZING_ENGINE $(libraries_of "$target") ;;
    esac
    cp "$OUT/amqp.dict" "$OUT/$target.dict"
    [ "$target" != schedule ] || : >"$OUT/$target.dict" # its input is choices
    ! command -v zip >/dev/null || [ ! -d "fuzz/corpus/$target" ] || zip -qjr "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"
done
