# SPDX-License-Identifier: GPL-2.0-only
"""Timers and threads of the Go runtime."""

import os

from harness import Observer, Skip, check_conservation, require, wait_for
from registry import test
from tests_goroutines import go_workload, release, versions

ROUNDS = 50
HOW = ("plain", "pie_stripped")

# What every round leaves behind, by the innermost function of the program; all others leave
# nothing.
LEFT = {"tickerNeverStopped": 1, "afterInSelect": 1, "contextForgotten": 1}
OPENED = {**LEFT, "tickerStopped": 1, "timerStopped": 1, "timerReset": 2, "funcFired": 1,
          "contextCancelled": 1, "timerPreempted": 400}

# What leakbpf knows the timers of.
NEWEST_KNOWN = (1, 23)

COLLECTING = [version for version in versions()
              if version != "none" and release(version) >= (1, 23)]
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


def are_timers_known(version):
    return version == "none" or release(version) <= NEWEST_KNOWN


def require_unwatched(report, pid, name):
    """That its timers are not watched is said, of this program, and none is shown."""
    (target,) = [target for target in report.document["targets"] if target["pid"] == pid]
    said = [text for text in target["blind_spots"] if "the timers of" in text]
    require(len(said) == 1 and name in said[0], f"blind spots: {target['blind_spots']}")
    require(not report.of("timer", pid), f"timers all the same: {report.of('timer', pid)}")


def watch_timers(version, how, debug=None):
    """The timers by function; for a version whose timers are not known, None."""
    with go_workload("timers", version, how, env={"GODEBUG": debug} if debug else None) as program:
        with Observer("-k", "timer", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase(f"go {ROUNDS}")
            report = observer.finish()
        program.end()
    check_conservation(report)
    if are_timers_known(version):
        return by_function(report, "timer")
    require_unwatched(report, program.pid, program.name)
    return None


@test("timers", timeout=120, over=VARIANTS)
def timers(variant):
    """Exactly the timers that nobody stops are outstanding, at the functions that made them; of a
    version that is too new it is said that none is watched."""
    counts = watch_timers(*variant)
    if counts is None:
        return
    for function, opened in OPENED.items():
        require(counts.get(function) == [LEFT.get(function, 0) * ROUNDS, opened * ROUNDS],
                f"{function}: [live, opened] is {counts.get(function)}, not "
                f"[{LEFT.get(function, 0) * ROUNDS}, {opened * ROUNDS}]; all: {counts}")


@test("timers_collected", timeout=120,
      over={version: version for version in COLLECTING or ["none"]})
def timers_collected(version):
    """Since Go 1.23 timers with a channel are collected when nobody refers to them: not counted."""
    if version == "none":
        raise Skip("no Go 1.23 or newer is installed")
    counts = watch_timers(version, "plain", "asynctimerchan=0")
    if counts is None:
        return
    require(counts.get("contextForgotten") == [ROUNDS, ROUNDS], f"a context's timer: {counts}")
    for function in ("tickerNeverStopped", "afterInSelect", "timerReset"):
        require(function not in counts, f"{function} is counted: {counts}")


def threads_of(program):
    return len(os.listdir(f"/proc/{program.pid}/task"))


@test("threads", timeout=120, over=VARIANTS)
def threads(variant):
    """Threads that the runtime makes for goroutines that keep them, and their end: as /proc counts
    them. Some of the goroutines keep threads that were there before."""
    with go_workload("timers", *variant) as program:
        with Observer("-k", "thread", pid=program.pid) as observer:
            observer.wait_ready()
            before = threads_of(program)
            program.phase("threads 20")
            held = observer.report_now()
            program.phase("free")

            def all_told():
                law = observer.report_now().document["conservation"]["thread"]
                left = threads_of(program) - (before + law["opened"] - law["closes"])
                return left in (0, 1)  # the runtime keeps the first thread when it "ends"

            wait_for(all_told, "as many threads as were made and have not ended")
            report = observer.finish()
        program.end()
    made = sum(finding["live_count"] for finding in held.of("thread"))
    law = report.document["conservation"]["thread"]
    require(20 <= made <= 30, f"{made} threads were made for 20 goroutines that keep theirs")
    require(law["closes"] >= 20, f"{law['closes']} threads have ended of 20")
    check_conservation(report)
