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
    : "${CFLAGS:=-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined}"
    LIB_FUZZING_ENGINE=-fsanitize=fuzzer
    CXX=$CC CXXFLAGS=$CFLAGS
fi
: "${CC:=cc}"
: "${CFLAGS:=-O1 -g}"
case $LIB_FUZZING_ENGINE in *.c) CXX=$CC CXXFLAGS=$CFLAGS ;; esac

# What targets are made of: the pure layers, and two readers of text from the others.
sources="$(echo codec/*.c proto/*.c) eventhub/connection_string.c emulator/filter.c"
targets=${*:-$(ls fuzz/*.c | grep -v /replay.c | xargs -n1 basename -s .c)}

mkdir -p "$OUT" "$WORK"
export CC CFLAGS WORK
compile() { $CC $CFLAGS -I. -std=c11 -c "$1" -o "$WORK/$(tr / _ <<<"${1%.c}").o"; }
export -f compile
{ printf '%s\n' $sources; for target in $targets; do echo "fuzz/$target.c"; done; } |
    xargs -P "${JOBS:-2}" -I{} bash -c 'compile {}'
rm -f "$WORK/pure.a"
ar rcs "$WORK/pure.a" $(for source in $sources; do echo "$WORK/$(tr / _ <<<"${source%.c}").o"; done)

fuzz/dictionary.sh >"$OUT/amqp.dict"
for target in $targets; do
    ${CXX:-$CC} ${CXXFLAGS:-$CFLAGS} -o "$OUT/$target" "$WORK/fuzz_$target.o" "$WORK/pure.a" $LIB_FUZZING_ENGINE
    cp "$OUT/amqp.dict" "$OUT/$target.dict"
    ! command -v zip >/dev/null || zip -qjr "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"
done
