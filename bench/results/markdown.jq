# bench/RESULTS.md.
#   --rawfile misses misses.md --argjson plots ["codec.svg", ..]
include "rows";
include "goals";

def cell: tostring | gsub("\\|"; "\\|") | if . == "" then " " else . end;
def line: "| " + (map(cell) | join(" | ")) + " |";
def table($head): ($head | line), ($head | map("---") | line), (.[] | line);

# The reasons are asked for when there is something to explain.
def of_machine: .machine // [] | map(capture("^(?<key>[^:]*): (?<value>.*)$"));
def machine_value($key): of_machine | map(select(.key == $key)) | .[0].value // "-";

def goal_table:
    . as $goals | [ range(length) as $i | $goals[$i]
      | [ (if $i > 0 and $goals[$i - 1].path == .path then "" else "**\(.path)**" end), .measured, .goal,
          (if .verdict == "missed" then "**missed**" else .verdict end), .beside ] ]
    | table(["path", "measured", "goal", "", "beside it"]);

# Columns are what the bench measured: its unit, what else a round showed, counts.
def columns: [ .results[] | keys_unsorted[] ] | unique
    | map(select((test("_(min|max)$|x_floor|x_ours") or IN("task", "who", "value", "of_rounds", "missing", "version", "settings")) | not));

def bench_table:
    columns as $columns | .unit as $unit | .results as $rows
    | [ range($rows | length) as $i | $rows[$i]
        | [ (if $i > 0 and $rows[$i - 1].task == .task then "" else .task end), (if is_ours then "**\(.who)**" else .who end) ]
          + if is_missing then ["missing: \(.missing)"] + [ range(2 + ($columns | length)) | "" ]
            else [ spread("value"), spread("x_floor"), spread("x_ours") ]
                 + [ $columns[] as $key | if has($key + "_min") then spread($key) else .[$key] | figure end ] end ]
    | table(["task", "who", $unit, "x floor", "x ours"] + $columns);

def settings:
    [ .[].results[] | select(has("settings")) ] | group_by(.who)[]
    | "- **\(.[0].who)** \(.[0].version // "")", (map(.settings[]) | reduce .[] as $one ([]; if index([$one]) then . else . + [$one] end) | .[] | "  - \(.)");

. as $reports | (rows_of | goals) as $goals
| "# Results", "",
  "Made by `make bench-results` from the files that the benches left; [README.md](README.md) says what is measured and how to read it.",
  "Ratios decide, for they are taken within a round; absolute times illustrate. Brackets hold the least and the most of the rounds.",
  "", "## Goals", "", ($goals | goal_table), "",
  "\($goals | map(select(.verdict == "met")) | length) met, \($goals | map(select(.verdict == "missed")) | length) missed, \($goals | map(select(.verdict == "not measured")) | length) not measured.",
  "", "## What misses its goal, and why", "", ($misses | rtrimstr("\n")),
  "", "## Plots", "", ($plots[] | "![\(ltrimstr("plots/") | rtrimstr(".svg"))](\(.))", ""),
  "## Machine and versions", "", ([ $reports[0] | of_machine[] | select(IN(.key; "commit", "date", "load") | not) | [ .key, .value ] ] | table(["", ""])),
  "", ([ $reports[] | [ "\(.bench): `make bench-\(.bench | split("-")[0])`", (.rounds | tostring), machine_value("commit"), machine_value("date"), machine_value("load") ] ] | table(["figures and their command", "rounds", "commit", "date", "others' load"])),
  "", "## Settings of every contender", "", ($reports | settings),
  ( $reports[] | "", "## \(.bench)", "", bench_table )
