#!/usr/bin/env bash
# Which lines of codec/ and proto/ the unit tests and the corpora of the fuzz targets reach, all together: every one, but for those that
# say why nobody comes there, in a comment `never: ...` on the line or the one above. `make coverage` builds for it.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.."
: "${BUILD:=build/coverage}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find "$BUILD" -name '*.gcda' -delete
for source in tests/codec_*_test.c tests/proto_*_test.c; do
    name=$(basename "$source" _test.c)
    timeout -k 5 300 "$BUILD/tests/$name" --jobs 2 > "$work/log" 2>&1 || { echo "coverage: $name fails"; tail -5 "$work/log"; exit 1; }
done
for target in fuzz/corpus/*/; do
    name=$(basename "$target")
    timeout -k 5 300 "$BUILD/replay/$name" "$target" > "$work/log" 2>&1 || { echo "coverage: a replay of $name fails"; exit 1; }
done

# A line is reached when any object that holds it says so: headers are in many. Other layers have copies of their own of
# what stands in a header, and need not use them all.
find "$BUILD" -name '*.gcda' | grep -vE '/(transport|eventhub|emulator)/' | while read -r data; do gcov -t "$data" 2>/dev/null; done | awk -F: '
    /^ *-: *0:Source:/ { file = $4; keep = file ~ /^(codec|proto)\//; next }
    !keep || $1 ~ /^ *-$/ { next }
    { line = file ":" $2 + 0; lines[line]; if ($1 !~ /#####|=====/) reached[line] }
    END { for (line in lines) print (line in reached) ? "reached" : "missed", line }' > "$work/lines"

count() { awk -v what="$1" -v layer="$2/" '$1 == what && index($2, layer) == 1' "$work/lines" | wc -l; }

excused=0 missed=0
while IFS=: read -r file number; do
    if sed -n "$((number > 1 ? number - 1 : 1)),${number}p" "$file" | grep -q 'never: '; then excused=$((excused + 1)); continue; fi
    missed=$((missed + 1))
    echo "not reached: $file:$number: $(sed -n "${number}p" "$file" | sed 's/^ *//')"
done < <(awk '$1 == "missed" { print $2 }' "$work/lines" | sort -t: -k1,1 -k2,2n)

for layer in codec proto; do
    reached=$(count reached $layer)
    echo "$layer: $reached of $((reached + $(count missed $layer))) lines reached"
done
[ "$(count reached codec)" -gt 500 ] && [ "$(count reached proto)" -gt 1000 ] || { echo "coverage: nothing was counted"; exit 1; }
echo "$excused lines say why nobody comes there, $missed are not reached"
[ "$missed" = 0 ]
