# What lines.gp draws. Input: points { who, x, y }, those of one line in order.
#   --arg title T --arg below B --arg x_label X --arg y_label Y --arg x_tics "'50 %' 2, .." (empty: gnuplot's own)
include "rows";

def grouped: reduce .[] as $point ([]; if any(.[]; .who == $point.who) then map(if .who == $point.who then .points += [$point] else . end)
                                      else . + [ { who: $point.who, points: [$point] } ] end);

# Lines that end close together would write over each other: of those that end at the same x each name is pushed up until it is
# free of the one below, and all are pushed down again if the highest left the picture.
def apart($step; $high):
    [ group_by(.x)[] | sort_by(.at)
      | reduce range(1; length) as $i (.; .[$i].at = ([ .[$i].at, .[$i - 1].at * $step ] | max))
      | .[-1].at = ([ .[-1].at, $high ] | min)
      | reduce range(length - 2; -1; -1) as $i (.; .[$i].at = ([ .[$i].at, .[$i + 1].at / $step ] | min))
      | .[] ];

# More of them within a decade when there are few decades.
def tics($low; $high):
    (if $high / $low < 8 then [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8] elif $high / $low < 60 then [1, 1.5, 2, 3, 5, 7] else [1, 2, 5] end) as $steps
    | [ range(-3; 9) as $decade | $steps[] * pow(10; $decade) | select(. >= $low and . <= $high) | tostring ] | join(", ");

map(select(.x and .y)) | grouped as $lines
| if $lines == [] then empty else
  ([ $lines[].points[].y ] | { least: min, most: max }) as $y | ([ $lines[].points[].x ] | { least: min, most: max }) as $x
| ($y.least * 0.8) as $low | ($y.most * 1.3) as $high
| "title = \"\($title)\"", "below = \"\($below)\"", "x_label = \"\($x_label)\"", "y_label = \"\($y_label)\"",
  "set xrange [\($x.least * 0.999) : \($x.most * 1.001)]", "set yrange [\($low) : \($high)]", "set ytics (\(tics($low; $high)))",
  (if $x_tics == "" then empty else "set xtics (\($x_tics))" end),
  "count = \($lines | length)",
  "array class[count] = [\([ $lines[] | { ours: 1, floor: 2, rival: 3 }[class] | tostring ] | join(", "))]",
  "$lines << END", ([ $lines[] | [ .points[] | "\(.x)\t\(.y)" ] | join("\n") ] | join("\n\n\n")), "END",
  "$names << END",
  ([ $lines[] | { who, class: { ours: 1, floor: 2, rival: 3 }[class], x: .points[-1].x, at: .points[-1].y } ]
   | apart(pow($high / $low; 17 / 330); $high * 0.97)[] | [ .x, .at, .class, .who ] | @tsv),
  "END"
  end
