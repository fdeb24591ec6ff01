# tally.sh: sourced by what runs campaigns. Executions of all campaigns are added up in TALLY, a line a target, until the
# library changes.
grouped() { # 1234567 -> 1,234,567
    sed -E ':a; s/([0-9])([0-9]{3})(,|$)/\1,\2\3/; ta' <<<"$1"
}
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# A new target has no inputs yet.
shipped() { [ ! -d "fuzz/corpus/$1" ] || echo "fuzz/corpus/$1"; }

print_of_library() { cat codec/*.[ch] proto/*.[ch] proto/*.def | sha256sum | cut -c1-16; }
count_up() { # target executions seconds findings
    local print
    print=$(print_of_library)
    (
        flock 9
        [ "$(sed -n 's/^# library //p' "$TALLY" 2>/dev/null)" = "$print" ] ||
            printf '# library %s\n# commit %s\ntarget\texecutions\tseconds\tfindings\n' "$print" "$(git log -1 --format=%h -- codec proto 2>/dev/null || echo unknown)" >"$TALLY"
        awk -F'\t' -v OFS='\t' -v target="$1" -v runs="$2" -v seconds="$3" -v found="$4" '
            $1 == target { $2 += runs; $3 += seconds; $4 += found; known = 1 } { print }
            END { if (!known) print target, runs, seconds, found }' "$TALLY" >"$TALLY.new" && mv "$TALLY.new" "$TALLY"
    ) 9>"$TALLY.lock"
}
tallied() { awk -F'\t' -v target="$1" '$1 == target { print $2 }' "$TALLY"; }

tell_all() { # executions seconds
    echo "$(grouped "$1") executions in $(clock "$2"); $(grouped "$(awk -F'\t' '$2 + 0 > 0 { n += $2 } END { print n + 0 }' "$TALLY")") since codec/ and proto/ last changed ($(sed -n 's/^# commit //p' "$TALLY")), in $TALLY"
}
