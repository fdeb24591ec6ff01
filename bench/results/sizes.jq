# Points for lines.jq: megabytes a second over the bytes of a body. --arg way send|receive: sends in batches, receives as they come.
include "rows";

[ rows_of[] | select(.bench == "stream" and (is_missing | not)) | . as $row
  | .task | capture("^(?<way>send|receive) plain (?<how>single|batch of [0-9]+) (?<size>[0-9]+) (?<settled>.*)$")
  | select(.way == $way and (.how == "single") == ($way == "receive") and .settled == (if $way == "send" then "unsettled" else "settled" end))
  | { who: $row.who, x: (.size | tonumber), y: $row.MB_per_s } ]
| sort_by(.x)
| if map(.x) | unique | length > 1 then . else [] end
