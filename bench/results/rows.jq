# What the benches left, as one list of rows, and how figures are written. Input everywhere: that list.

# Keys are spelled alike whoever wrote them: "Ir/event" is Ir_per_event.
def rows_of: [ .[] | . as $report | .results[] | with_entries(.key |= gsub("/"; "_per_")) | . + { bench: $report.bench, unit: $report.unit } ];

def is_ours:   .who | startswith("ringhub");
def is_floor:  .who | startswith("floor");
def is_missing: has("missing");
def class: if is_ours then "ours" elif is_floor then "floor" else "rival" end;

# All rows of a task; the one of somebody whose name begins so. The bench's name is the beginning of its file's.
def of($bench; $task): [ .[] | select((.bench | startswith($bench)) and .task == $task) ];
def by($bench; $task; $who): of($bench; $task) | (map(select(.who == $who)) + map(select(.who | startswith($who))))[0];
def ours($bench; $task): by($bench; $task; "ringhub");

# -- text ------------------------------------------------------------------------------------------------

def with_commas: tostring | [ while(length > 0; .[:-3]) | .[-3:] ] | reverse | join(",");
def rounded($digits): . * pow(10; $digits) | round / pow(10; $digits);

# Three digits or all that are whole: 0.0041, 4.73, 28.4, 932, 1,278.
def figure:
    if . == null then "-" elif . < 0 then "-" + (-. | figure)
    elif . == 0 then "0" elif . >= 100 then round | with_commas
    elif . >= 10 then rounded(1) | tostring elif . >= 1 then rounded(2) | tostring
    elif . >= 0.1 then rounded(3) | tostring else rounded(4) | tostring end;

def spread($key): if .[$key] == null then "-" else "\(.[$key] | figure) [\(.[$key + "_min"] | figure)..\(.[$key + "_max"] | figure)]" end;

# (A text times 0 is null, and null added changes nothing.)
def left($n): . + " " * ([$n - length, 0] | max);
