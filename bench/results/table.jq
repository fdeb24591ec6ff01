# The goal table for a terminal.
include "rows";
include "goals";

rows_of | goals
| . as $goals
| ( range(length) as $i | $goals[$i]
    | (if $i > 0 and $goals[$i - 1].path == .path then empty else .path end),
      "  \(.verdict | if . == "missed" then "MISSED" else . end | left(13)) \(.measured | left(30)) \(.goal | left(28)) \(.beside)" ),
  "",
  "\(map(select(.verdict == "met")) | length) met, \(map(select(.verdict == "missed")) | length) missed, \(map(select(.verdict == "not measured")) | length) not measured"
