# The goal table: which figure of which bench is held against which goal. A figure that is not there is not measured.
include "rows";

# `sign` "" is no goal: the figure is shown.
def goal($path; $measured; $text; $sign; $limit; $words; $beside):
    { path: $path, measured: $text, goal: $words, beside: $beside,
      verdict: (if $measured == null then "not measured" elif $sign == "" then "shown"
                elif ($sign == "<=" and $measured <= $limit) or ($sign == ">=" and $measured >= $limit) then "met" else "missed" end) };

# What the others have of the same figure, and who is missing.
def beside($bench; $task; $key):
    [ of($bench; $task)[] | select(is_ours | not) ]
    | [ .[] | select(.[$key] != null) | "\(.who) \(.[$key] | figure)" ] + [ map(select(is_missing) | .who) | select(length > 0) | "missing: " + join(", ") ]
    | join("; ");

def text($value; $unit): if $value == null then "-" else ($value | figure) + $unit end;

# A count or time of ours that is to stay below a limit.
def at_most($path; $bench; $task; $key; $unit; $limit):
    ours($bench; $task)[$key] as $value
    | goal($path; $value; text($value; $unit); "<="; $limit;
           (if $limit == 0 then "no\($unit)" else "<= \($limit | figure)\($unit)" end); beside($bench; $task; $key));

# A rival, in multiples of ours: how far behind it is. `also` names the figure when it is not the bench's first.
def ahead($path; $bench; $task; $rival; $also; $limit):
    by($bench; $task; $rival) as $row
    | (if $also == "" then "x_ours" else $also + "_x_ours" end) as $key | (if $also == "" then "value" else $also end) as $figure
    | (if $row == null then "-" elif $row | is_missing then "missing: \($row.missing)" else ($row | spread($key)) + "x" end) as $text
    | goal($path; $row[$key]; $text; ">="; $limit; ">= \($limit)x \($rival)";
           if $row[$figure] == null then "" else "\(ours($bench; $task)[$figure] | figure) against \($row[$figure] | figure) " + (if $also == "" then $row.unit else $also end) end);

# Ours in multiples of a floor.
def over_floor($path; $bench; $task; $floor; $limit; $key):
    by($bench; $task; $floor) as $row
    | (if $row[$key] == null then null else 1 / $row[$key] end) as $ratio
    | (if $ratio == null then "-" else "\($ratio | figure) [\(1 / $row[$key + "_max"] | figure)..\(1 / $row[$key + "_min"] | figure)]x" end) as $text
    | goal($path; $ratio; $text; "<="; $limit; "<= \($limit)x \($floor | ltrimstr("floor: "))";
           if $ratio == null then "" else "\(ours($bench; $task).value | figure) against \($row.value | figure) \($row.unit)" end);

def codec_goals:
    "build + encode one event" as $encode | "decode, every field read" as $decode
    | "lazy decode (sections and body)" as $lazy | "batch of 1,000 built" as $batch
    | at_most($encode; "codec"; "encode"; "Ir_per_event"; " Ir"; 600),
      at_most($encode; "codec"; "encode"; "allocs_per_event"; " allocations"; 0),
      ahead($encode; "codec"; "encode"; "qpid-proton"; ""; 16),
      ahead($encode; "codec"; "encode"; "rhea"; ""; 200),
      at_most($decode; "codec"; "decode"; "Ir_per_event"; " Ir"; 1100),
      at_most($decode; "codec"; "decode"; "allocs_per_event"; " allocations"; 0),
      ahead($decode; "codec"; "decode"; "qpid-proton"; ""; 12),
      at_most($lazy; "codec"; "lazy decode"; "Ir_per_event"; " Ir"; 200),
      over_floor($lazy; "codec"; "lazy decode"; "floor: by hand"; 1.5; "x_ours"),
      over_floor($batch; "codec"; "batch"; "floor: memcpy"; 1.9; "x_ours"),
      ahead($batch; "codec"; "batch"; "qpid-proton"; ""; 5.5);

def engine_goals:
    "engine, per event with framing and settlement" as $path
    | at_most($path + ": send"; "engine"; "send"; "Ir_per_event"; " Ir"; 800),
      at_most($path + ": send"; "engine"; "send"; "allocs_per_event"; " allocations"; 0),
      at_most($path + ": receive"; "engine"; "receive"; "Ir_per_event"; " Ir"; 1000),
      at_most($path + ": receive"; "engine"; "receive"; "allocs_per_event"; " allocations"; 0);

# The first task of a bench whose name begins so: sizes and batches stand behind it.
def task($bench; $words): [ .[] | select((.bench | startswith($bench)) and (.task | startswith($words))) | .task ][0] // $words;

# Either so many events a second or so much of what the pump moves.
def rate_goal($path; $task):
    ours("stream"; $task) as $row
    | goal($path; (if $row == null then null elif $row.value >= 3e6 then 1 else $row.x_floor end);
           (if $row == null then "-" else "\($row.value | figure)/s, \($row.x_floor * 100 | figure) % of the pump" end);
           ">="; 0.75; ">= 3,000,000/s or >= 75 %"; beside("stream"; $task; "value"));

def stream_goals:
    task("stream"; "send plain batch of 200 1024 unsettled") as $send | task("stream"; "receive plain single 1024 settled") as $receive
    | "stream, plain, 1 KiB: send" as $out | "stream, plain, 1 KiB: receive" as $in
    | rate_goal($out; $send),
      ahead($out; "stream"; $send; "qpid-proton"; "cpu_s_per_M"; 4.5),
      at_most($out; "stream"; $send; "syscalls_per_event"; " syscalls"; 0.006),
      rate_goal($in; $receive),
      ahead($in; "stream"; $receive; "qpid-proton"; "cpu_s_per_M"; 3),
      at_most($in; "stream"; $receive; "syscalls_per_event"; " syscalls"; 0.01),
      (ours("stream"; $receive).copied_per_body_byte as $copied
       | goal($in; $copied; text($copied; " B copied a byte"); ""; 0; "shown"; beside("stream"; $receive; "copied_per_body_byte")));

# The 99.9th percentile of all rounds together, in multiples of the floor's.
def tail_goal($path; $task; $floor; $limit):
    ours("latency"; $task) as $ours | by("latency"; $task; $floor) as $row
    | (if ($ours.p999_us // 0) == 0 or ($row.p999_us // 0) == 0 then null else $ours.p999_us / $row.p999_us end) as $ratio
    | goal($path; $ratio; (if $ratio then "p99.9: \($ratio | figure)x" elif $ours then "p99.9: too few samples" else "-" end); "<="; $limit; "p99.9 <= \($limit)x \($floor | ltrimstr("floor: "))";
           if $ratio == null then "" else "\($ours.p999_us | figure) against \($row.p999_us | figure) us" end);

def round_trip_goals($place; $floor; $limit):
    "round trip to accepted, p50: \($place)" as $path | "roundtrip \($place)" as $task
    | over_floor($path; "latency"; $task; $floor; $limit; "x_ours"),
      tail_goal($path; $task; $floor; 1.5);

def ahead_of_proton($place; $limit): ahead("round trip to accepted, p50: \($place)"; "latency"; "roundtrip \($place)"; "qpid-proton"; ""; $limit);

# No rival has a busy mode.
def latency_goals:
    round_trip_goals("same core"; "floor: blocking socket"; 1.25), ahead_of_proton("same core"; 1.5),
    round_trip_goals("other core"; "floor: blocking socket"; 1.15), ahead_of_proton("other core"; 1),
    round_trip_goals("busy"; "floor: spinning ring"; 1.15);

def tls_goals:
    "stream over TLS, added CPU" as $bulk | "TLS on top of a round trip" as $trip
    | over_floor($bulk + ": send"; "tls-bulk"; "bulk send"; "floor: AEAD"; 1.4; "x_ours"),
      over_floor($bulk + ": receive"; "tls-bulk"; "bulk receive"; "floor: AEAD"; 1.4; "x_ours"),
      at_most($trip; "tls-roundtrip"; "roundtrip tls same core"; "value"; " us"; 3);

def connect_goals:
    "connect to the first accepted event, TLS 1.3 + CBS" as $path
    | at_most($path; "connect"; "first event tls"; "value"; " round trips"; 7);

# Both count: what malloc gave, and what was touched.
def kib: { heap: (.heap_bytes_per_connection / 1024), pages: (.value / 1024) };
def kib_text: kib | "\(.heap | figure) KiB heap, \(.pages | figure) touched";

def memory_goal($path; $task; $limit):
    ours("memory"; $task) as $row
    | (if $row == null or ($row | is_missing) then null else $row | kib | [.heap, .pages] | max end) as $measured
    | goal($path; $measured; (if $measured == null then "-" else $row | kib_text end); "<="; $limit; "<= \($limit) KiB" + ($task | ltrimstr("idle plain") | ltrimstr("idle tls"));
           [ of("memory"; $task)[] | select(is_ours | not) ]
           | [ .[] | select(is_missing | not) | "\(.who) \(kib_text)" ] + [ map(select(is_missing) | .who) | select(length > 0) | "missing: " + join(", ") ] | join("; "));

def memory_goals:
    "memory of an idle connection, `$cbs` pair and a link" as $path
    | memory_goal($path + ", plain"; "idle plain"; 8),
      memory_goal($path + ", plain"; "idle plain, 2 s after 1 MiB"; 8),
      memory_goal($path + ", TLS"; "idle tls"; 32),
      memory_goal($path + ", TLS"; "idle tls, 2 s after 1 MiB"; 32),
      at_most("idle, beyond heartbeats"; "memory"; "idle plain"; "wakes_per_s_one"; " wake-ups/s"; 0);

def goals: [ codec_goals, engine_goals, stream_goals, latency_goals, tls_goals, connect_goals, memory_goals ];
