# What bars.gp draws: a group for each task with a bar for each contender, longest names and values in words.
#   --arg bench B --arg key K --arg title T --arg unit U --arg below "less is better; .."
include "rows";

def log10_floor: pow(10; log10 | floor);

# A quarter of the width is left for the words behind the longest bar. A log scale when one bar would not be seen.
def scale:
    { most: (map(.max) | max), largest: (map(.value) | max), least: (map(.value) | min) } as { $most, $largest, $least }
    | if $largest > 15 * $least then ($least * 0.7 | log10_floor) as $low | { log: 1, low: $low, high: ($low * pow($most / $low; 1 / 0.74)) }
      else { log: 0, low: 0, high: ($most / 0.74) } end;

def times: if . < 1 then rounded(2) elif . < 100 then rounded(1) else round end;
def size_words: sub(" 1024( |$)"; " x 1 KiB ") | sub(" 65536( |$)"; " x 64 KiB ") | sub(" 100( |$)"; " x 100 B ") | sub("single x "; "singles of ");
def words($unit): "\(.value | figure) \($unit)" + (if is_ours or (.times | not) then "" else "  (\(.times | times)x ours)" end);

rows_of as $all
| ([ $all[] | select(.bench | startswith($bench)) | .task ] | reduce .[] as $task ([]; if index([$task]) then . else . + [$task] end)) as $order
| [ $order[] as $task
    | [ $all[] | select((.bench | startswith($bench)) and .task == $task and .[$key] != null)
        | { task, who, value: .[$key], min: (.[$key + "_min"] // .[$key]), max: (.[$key + "_max"] // .[$key]),
            x_ours: (if $key == "value" then .x_ours else .[$key + "_x_ours"] end) } ] as $group
    | ($group | map(select(is_ours)) | .[0].value) as $ours
    | select($group | length > 1)
    | { task: $task, rows: ($group | map(. + { times: (.x_ours // (if $ours then .value / $ours else null end)) })
        # Floors, then ours, then the others from the nearest to the farthest.
        | sort_by([({ floor: 0, ours: 1, rival: 2 }[class]), .value])) } ] as $groups
| if $groups == [] then empty else
  ([ $groups[].rows[] ] | scale) as $scale
| "title = \"\($title)\"", "below = \"\($below); grey: floors, blue: ringhub, orange: others\(if $scale.log == 1 then "; log scale" else "" end)\"",
  "low = \($scale.low)", "high = \($scale.high)", "logarithmic = \($scale.log)",
  "$bars << END",
  ( foreach ($groups[] | { head: .task }, (.rows[] | { bar: . })) as $line ({ y: 0 };
        { y: (.y + (if $line.head and .y > 0 then 1.5 else 1 end)), line: $line };
        select(.line.bar) | .y as $y | .line.bar
        | [ $y, .value, .min, .max, ({ ours: 1, floor: 2, rival: 3 }[class]), .who, words($unit) ] | @tsv) ),
  "END", "$heads << END",
  ( foreach ($groups[] | { head: .task }, (.rows[] | { bar: . })) as $line ({ y: 0 };
        { y: (.y + (if $line.head and .y > 0 then 1.5 else 1 end)), line: $line };
        select(.line.head) | [ .y, "{/:Bold \(.line.head | size_words)}" ] | @tsv) ),
  "END",
  "lines = \([ $groups[] | .rows | length + 1.5 ] | add)"
  end
