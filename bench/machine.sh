#!/bin/sh
# Where figures come from: the machine, the compiler, the versions.
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || true; }
say() { echo "$1: ${2:-not installed}"; }

say machine "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores"
say kernel "$(uname -sr)"
say compiler "$(${CC:-cc} --version | head -1)"
say flags "${CFLAGS:-none}"
say libc "$(version libc6)"
say openssl "$(version libssl3)"
say qpid-proton "$(version libqpid-proton11)"
say valgrind "$(version valgrind)"
say commit "$(git rev-parse --short HEAD 2>/dev/null)$(test -z "$(git status --porcelain 2>/dev/null)" || echo ' and changes')"
say load "$(cut -d' ' -f1 /proc/loadavg) in the minute before"
say date "$(date -u +%Y-%m-%dT%H:%MZ)"
