"""A contender's end of the line protocol (README.md), for those written in Python: commands from stdin one after the other,
clocks read around each run, samples written, answers on stdout."""

import array
import re
import signal
import sys
import time
from types import SimpleNamespace

COMMAND_SECONDS = 60


class Cannot(Exception):
    """What a contender raises that does not do a task at all."""


def order_of(line):
    """task, host, port, tls, ..: a value ends where the next key begins."""
    said = dict(re.findall(r" ([a-z_]+)=(.*?)(?= [a-z_]+=|$)", line))
    number = lambda key, otherwise: int(said.get(key) or otherwise)
    return SimpleNamespace(
        task=said.get("task", ""), host=said.get("host", ""), port=number("port", 0), tls=said.get("tls") == "1", ca=said.get("ca", ""),
        address=said.get("address", ""), size=number("size", 1024), settled=said.get("settled") == "1", batch=number("batch", 1),
        events=number("events", 0), rate=float(said.get("rate") or 1000), samples=said.get("samples"))


def say(line):
    print(re.sub(r"[\r\n]+", " ", line), flush=True)


def timed(contender, order):
    """One run. Samples are a list of the nanoseconds of each event, or None; run answers how many were done, and the bytes of bodies."""
    samples = [0] * order.events if order.samples else None
    cpu, since = time.process_time_ns(), time.monotonic_ns()
    events, size = contender.run(order.events, samples)
    ns, cpu_ns = time.monotonic_ns() - since, time.process_time_ns() - cpu
    if samples is not None:
        numbers = array.array("Q", samples)
        if sys.byteorder == "big":
            numbers.byteswap()
        with open(order.samples, "wb") as file:
            numbers.tofile(file)
    return f"done events={events} ns={ns} cpu_ns={cpu_ns} bytes={size}"


def answer(contender, line, state):
    word = line.split(" ", 1)[0]
    if word == "open":
        if state.is_open:
            raise RuntimeError("close comes first")
        contender.open(order_of(line))
        state.is_open = True
        return "opened"
    if word == "run":
        if not state.is_open:
            raise RuntimeError("nothing is open")
        return timed(contender, order_of(line))
    if word == "close":
        if state.is_open:
            contender.close()
        state.is_open = False
        return "closed"
    raise RuntimeError(f"what is meant by: {line[:60]}")


def too_late(_signal, _frame):
    raise TimeoutError(f"no answer within {COMMAND_SECONDS} seconds")


def serve(contender):
    """Serves an object with name, version, tasks, settings, open(order), run(events, samples), close()."""
    say(f"contender name={contender.name} version={contender.version} tasks={','.join(contender.tasks)}")
    for setting in contender.settings:
        say(f"setting {setting}")
    say("ready")
    state = SimpleNamespace(is_open=False)
    signal.signal(signal.SIGALRM, too_late)
    for line in sys.stdin:
        line = line.rstrip("\n")
        if line.split(" ", 1)[0] == "quit":
            break
        signal.alarm(COMMAND_SECONDS)
        try:
            say(answer(contender, line, state))
        except Cannot as reason:
            say(f"cannot {reason}")
        except Exception as reason:  # whatever the library raises is the answer
            say(f"failed {type(reason).__name__}: {reason}")
        signal.alarm(0)
