#!/usr/bin/env bash
# A stranger's view: install, then build and run the examples with pkg-config, as C and the headers as C++.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make --no-print-directory -s install BUILD="$build" PREFIX="$work/usr"
export PKG_CONFIG_PATH=$work/usr/lib/pkgconfig
flags=$(pkg-config --cflags --libs ringhub)
for example in examples/*.c; do
    cc -std=gnu11 -Wall -Wextra -Werror -o "$work/$(basename "$example" .c)" "$example" $flags -Wl,-rpath,"$work/usr/lib"
done
ldd "$work/send" | grep -q 'libringhub.so.0 => '"$work" || { echo "the examples do not link by the SONAME"; exit 1; }
for header in base value dec enc codec composite message proto transport eventhub emulator; do
    echo "#include <ringhub/$header.h>" > "$work/header.cc"
    c++ -std=c++17 -Wall -Wextra -Werror $(pkg-config --cflags ringhub) -c "$work/header.cc" -o "$work/header.o"
done

# What the README shows is a file that compiles.
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md | diff - examples/send.c || { echo "the README's program is not examples/send.c"; exit 1; }

ringhub=$work/usr/bin/ringhub
. tests/emulator.sh
emulator_start "$work" --hub telemetry
export EVENT_HUB_CONNECTION_STRING="Endpoint=sb://127.0.0.1:$plain_port;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;EntityPath=telemetry"
timeout 20 "$work/send"
timeout 20 "$ringhub" receive --count 1 > "$work/received"
[ -s "$work/received" ] || { echo "what examples/send sent did not come"; exit 1; }
timeout 20 "$work/own_loop" > "$work/own" || { echo "examples/own_loop failed"; cat "$work/own"; exit 1; }
timeout 20 "$work/receive" > "$work/one" || { echo "examples/receive failed"; cat "$work/one"; exit 1; }
[ -s "$work/one" ] || { echo "examples/receive printed nothing"; exit 1; }
emulator_stop "$work"
echo "4 passed, 0 failed"
