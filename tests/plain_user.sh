#!/usr/bin/env bash
# The tests that touch the kernel, run by a user without privileges: less locked memory, no forgiveness.
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
case $build in /*) ;; *) build=$PWD/$build ;; esac
as=""
if [ "$(id -u)" = 0 ]; then
    # A copy that anybody may read: the tree may lie where only root can look.
    copy=$(mktemp -d)
    trap 'rm -rf "$copy"' EXIT
    mkdir -p "$copy/build"
    cp -r "$build/ringhub" "$build/tests" "$copy/build/"
    find "$copy/build/tests" -name '*.[od]' -delete
    cp -r tests codec README.md "$copy/" 2>/dev/null
    chmod -R a+rX "$copy" && cd "$copy" && build=$copy/build
    as="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all env HOME=/nonexistent"
fi
passed=0 failed=0
for source in tests/transport_*_test.c tests/tls_*_test.c tests/eventhub_*_test.c tests/emulator_*_test.c; do
    name=$(basename "$source" _test.c)
    [ -x "$build/tests/$name" ] || continue
    out=$(timeout -k 5 120 $as "$build/tests/$name" --jobs 2 2>&1)
    status=$?
    ok=$(sed 's/\x1b\[[0-9;]*m//g' <<<"$out" | sed -nE 's/.*Passing: ([0-9]+).*/\1/p' | tail -1)
    passed=$((passed + ${ok:-0}))
    [ $status = 0 ] || { failed=$((failed + 1)); echo "FAIL: $name"; tail -5 <<<"$out"; }
done
if timeout 60 $as "$build/ringhub" run --rounds 1 . ; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL: the main job"; fi
[ $passed -gt 1 ] || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ $failed = 0 ]
