#!/usr/bin/env bash
# Installs what the lock file names, once for each lock file. The rivals of bench/ live on the same packages.
cd "$(dirname "$0")" || exit 1
cmp -s package-lock.json node_modules/.installed && exit 0
# Debian's Node trusts only the authorities it was built with; the machine's own count too.
: "${NODE_EXTRA_CA_CERTS:=/etc/ssl/certs/ca-certificates.crt}"
export NODE_EXTRA_CA_CERTS
npm ci --ignore-scripts && cp package-lock.json node_modules/.installed
