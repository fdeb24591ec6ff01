#!/usr/bin/env bash
# What valgrind sees that a compiler's sanitizer does not: memory read before it was written, OpenSSL's and liburing's included. Unit tests
# of the layers that know no kernel, the inputs of the fuzz targets, and some simulated worlds (SEEDS=20). The ring's own tests are left
# out: valgrind does not see what the kernel writes there.
set -u
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${SEEDS:=20}"
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check() { # name command ...
    local name=$1
    shift
    if timeout 600 valgrind -q --error-exitcode=99 --exit-on-first-error=no "$@" >"$log" 2>&1 && ! grep -q '^==[0-9]*==' "$log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        grep -E '^==|FAIL' "$log" | head -30
    fi
}

for source in tests/codec_*_test.c tests/proto_*_test.c; do
    name=$(basename "$source" _test.c)
    check "$name" "$BUILD/tests/$name" --jobs 1 --timeout 300
done
for target in fuzz/corpus/*/; do
    name=$(basename "$target")
    check "replay $name" "$BUILD/replay/$name" "$target"
done
check "simulated worlds" "$BUILD/rh-sim" --seeds "$SEEDS"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
