# SPDX-License-Identifier: GPL-2.0-only
"""Timers and threads of the Go runtime."""

from harness import Observer, check_conservation, require
from registry import test
from tests_goroutines import go_workload, versions

ROUNDS = 50
HOW = ("plain", "pie_stripped")

# What every round leaves behind, by the innermost function of the program; all others leave
# nothing.
LEFT = {"tickerNeverStopped": 1, "afterInSelect": 1, "contextForgotten": 1}
OPENED = {**LEFT, "tickerStopped": 1, "timerStopped": 1, "timerReset": 2, "funcFired": 1,
          "contextCancelled": 1, "timerPreempted": 400}

VARIANTS = {f"{version}_{how}": (version, how) for version in versions() for how in HOW}


def by_function(report, kind):
    """{function of the program: [live, opened]} of all sites of the kind."""
    counts = {}
    for finding in report.of(kind):
        names = [frame["function"] or "" for frame in finding["stack"]]
        own = next((name.removeprefix("main.") for name in names if name.startswith("main.")), "?")
        count = counts.setdefault(own, [0, 0])
        count[0] += finding["live_count"]
        count[1] += finding["opened_count"]
    return counts


def watch_timers(version, how, debug=None):
    with go_workload("timers", version, how, env={"GODEBUG": debug} if debug else None) as program:
        with Observer("-k", "timer", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase(f"go {ROUNDS}")
            report = observer.finish()
        program.end()
    check_conservation(report)
    return by_function(report, "timer")


@test("timers", timeout=120, over=VARIANTS)
def timers(variant):
    """Exactly the timers that nobody stops are outstanding, at the functions that made them."""
    counts = watch_timers(*variant)
    for function, opened in OPENED.items():
        require(counts.get(function) == [LEFT.get(function, 0) * ROUNDS, opened * ROUNDS],
                f"{function}: [live, opened] is {counts.get(function)}, not "
                f"[{LEFT.get(function, 0) * ROUNDS}, {opened * ROUNDS}]; all: {counts}")


@test("timers_collected", timeout=120,
      over={version: version for version in versions() if version == "1.23"})
def timers_collected(version):
    """Since Go 1.23 timers with a channel are collected when nobody refers to them: not counted."""
    counts = watch_timers(version, "plain", "asynctimerchan=0")
    require(counts.get("contextForgotten") == [ROUNDS, ROUNDS], f"a context's timer: {counts}")
    for function in ("tickerNeverStopped", "afterInSelect", "timerReset"):
        require(function not in counts, f"{function} is counted: {counts}")


@test("threads", timeout=120, over=VARIANTS)
def threads(variant):
    """Threads that the runtime makes for goroutines that keep them, and their end."""
    with go_workload("timers", *variant) as program:
        with Observer("-k", "thread", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase("threads 20")
            held = observer.report_now().of("thread")
            program.phase("free")
            report = observer.finish()
        program.end()
    live = sum(finding["live_count"] for finding in held)
    require(20 <= live <= 30, f"{live} threads were made for 20 goroutines that keep theirs")
    left = sum(finding["live_count"] for finding in report.of("thread"))
    require(left <= live - 15, f"{left} of {live} threads are left when 20 have ended")
    check_conservation(report)
