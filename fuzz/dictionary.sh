#!/usr/bin/env bash
# Words of AMQP and Event Hubs for a fuzzer, one `"..."` a line: the descriptors of performatives.def, a few compounds and
# numbers at their edges, and the symbols and names that the sources compare with.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."

# 00 53 CODE, and the symbol that may stand for it.
sed -nE 's/^RH_COMPOSITE\([a-z_]+, +[A-Z_]+, +0x([0-9a-f]{2}), +"([a-z-]+)"\).*/\1 \2/p' proto/performatives.def |
    while read -r code words; do printf '"\\x00\\x53\\x%s"\n"amqp:%s:list"\n' "$code" "$words"; done
# [3.2] the sections that are no lists.
for code in 71 72 74 75 76 77 78; do printf '"\\x00\\x53\\x%s"\n' "$code"; done
# [2.2], [5.3.1] the headers of the protocol.
for id in 00 02 03; do printf '"AMQP\\x%s\\x01\\x00\\x00"\n' "$id"; done
# Compounds with their sizes agreeing: empty lists, maps and arrays, narrow and wide.
printf '"%s"\n' '\xc0\x01\x00' '\xc1\x01\x00' '\xe0\x02\x00\x40' '\xd0\x00\x00\x00\x04\x00\x00\x00\x00' '\xd1\x00\x00\x00\x04\x00\x00\x00\x00'
# Numbers at their edges.
printf '"%s"\n' '\x70\xff\xff\xff\xff' '\x70\x80\x00\x00\x00' '\x80\xff\xff\xff\xff\xff\xff\xff\xff' '\x81\x80\x00\x00\x00\x00\x00\x00\x00'

cat codec/*.[ch] proto/*.[ch] eventhub/*.[ch] emulator/*.[ch] |
    grep -oE '"(amqp[:.]|com\.microsoft:|apache\.org:|x-opt-|\$cbs|\$management|Endpoint|SharedAccess|EntityPath|UseDev|x-ms-|@latest|ANONYMOUS|PLAIN|EXTERNAL|MSSBCBS)[A-Za-z0-9:./$*-]*"' | sort -u
