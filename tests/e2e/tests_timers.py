# SPDX-License-Identifier: GPL-2.0-only
"""Timers and threads of the Go runtime."""

import os
import re

from harness import Observer, Skip, check_conservation, require, wait_for
from registry import test
from tests_goroutines import go_workload, goroutines, release, run, versions

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


HEAPS = (20000, 300, 20)  # timers that call a function, timers and tickers with a channel
HOUR = 3600


def expected_groups(program):
    """{(kind, function): count} that the program says; functions go without saying of most kinds."""
    counts = {}
    for (kind, site), expected in program.expectations.items():
        key = kind, site if kind in ("after_func", "deadline") else None
        counts[key] = counts.get(key, 0) + expected["count"]
    return counts


def groups_of(timers):
    """The same of what leakbpf says, but for the runtime's own."""
    return {(group["kind"], group["function"] and group["function"]["function"]): group["count"]
            for group in timers["groups"] if group["kind"] != "runtime"}


def fill_heaps(program):
    """Makes timers, of which leakbpf knows nothing yet, and returns what it says of them."""
    before = goroutines(program.pid)["timers"]
    require(before["unknown"] is None and not groups_of(before), f"before: {before}")
    require("\ntimers: " in run("-p", program.pid), "they are not told as text")
    program.phase(" ".join(map(str, ("heaps", *HEAPS))))
    timers = goroutines(program.pid)["timers"]
    require(timers["unknown"] is None and timers["unreadable_count"] == 0
            and timers["odd_heap_count"] == 0, f"not all were read: {timers}")
    require(timers["count"] == sum(group["count"] for group in timers["groups"]),
            f"not all are in groups: {timers}")
    return timers


def require_times(timers):
    """When they come next and last, and how often, is told; all but main.postponed as it was said
    first."""
    by_name = {(group["kind"], group["function"] and group["function"]["function"]): group
               for group in timers["groups"]}
    for key, first_s, last_s in ((("after_func", "main.expire"), HOUR, HOUR + HEAPS[0] / 1000),
                                 (("after_func", "main.expireLater.func1"), HOUR / 2, HOUR / 2),
                                 (("after_func", "main.postponed"), 5 * HOUR, 5 * HOUR),
                                 (("deadline", "runtime.netpollWriteDeadline"), 2 * HOUR, 2 * HOUR),
                                 (("timer", None), 2 * HOUR, 3 * HOUR),
                                 (("ticker", None), HOUR, 2 * HOUR),
                                 (("sleep", None), HOUR, HOUR)):
        group = by_name[key]
        require(first_s - 60 < group["next_s"] <= first_s, f"next: {group}")
        require(last_s - 60 < group["last_s"] <= last_s, f"last: {group}")
        periods = (HOUR, 2 * HOUR) if key[0] == "ticker" else (None, None)
        require((group["period_min_s"], group["period_max_s"]) == periods, f"periods: {group}")


@test("timers_in_heaps", over=VARIANTS)
def timers_in_heaps(variant):
    """All timers that wait, also from before leakbpf came, are counted by what they call."""
    for environment in ({}, {"GOMAXPROCS": "1"}, {"GOMAXPROCS": "7"}):
        with go_workload("timers", *variant, env=environment) as program:
            timers = fill_heaps(program)
            program.end()
        require(groups_of(timers) == expected_groups(program),
                f"{groups_of(timers)}, not {expected_groups(program)}")
        require_times(timers)
        wanted = int(environment.get("GOMAXPROCS", len(os.sched_getaffinity(0))))
        require(timers["heap_count"] == wanted, f"{timers['heap_count']} heaps, not {wanted}")


@test("timers_in_heaps_text", over={version: version for version in versions()})
def timers_in_heaps_text(version):
    """They are told under the goroutines in groups, largest first; not in a dump of them all."""
    with go_workload("timers", version) as program:
        count = fill_heaps(program)["count"]
        shown = run("-p", program.pid, "-n", 2).split("\n")
        dumped = run("-p", program.pid, "--all")
        program.end()
    start = [line.startswith("timers: ") for line in shown].index(True)
    require(re.fullmatch(rf"timers: {count} in the heaps? of \d+ Ps?(, besides \d+ stopped)?, "
                         r"the largest 2 of \d+ groups", shown[start]), f"head: {shown[start]}")
    groups = sorted(shown[start + 1:-1])
    require(len(groups) == 2, f"groups: {groups}")
    for line, function in zip(groups, ("main.expire", "main.expireLater.func1")):
        require(re.fullmatch(rf"{HEAPS[0]} time\.AfterFunc {re.escape(function)} /.*/heaps\.go:\d+, "
                             r"next in \d+ min \d+ s, last in (1 h 0|\d+) min( \d+ s)?", line),
                f"group: {line}")
    require("timers" not in dumped.replace("/timers/", ""), f"a dump: {dumped}")


@test("timers_waited_for", over={version: version for version in COLLECTING or ["none"]})
def timers_waited_for(version):
    """Since Go 1.23 timers with a channel are in no heap unless somebody waits for them."""
    if version == "none":
        raise Skip("no Go 1.23 or newer is installed")
    with go_workload("timers", version, env={"GODEBUG": "asynctimerchan=0"}) as program:
        timers = fill_heaps(program)
        program.end()
    expected = expected_groups(program)
    del expected["ticker", None]
    expected["timer", None] = program.expectations["timer", "waited"]["count"]
    require(groups_of(timers) == expected, f"{groups_of(timers)}, not {expected}")


def threads_of(program):
    return len(os.listdir(f"/proc/{program.pid}/task"))


def made_threads(report):
    return sum(finding["live_count"] for finding in report.of("thread"))


def threads_before(program, observer):
    """How many threads it had when the observer came: none is made while they are counted."""
    while True:
        number = threads_of(program)
        law = observer.report_now().document["conservation"]["thread"]
        if number == threads_of(program):
            return number - law["opened"] + law["closes"]


@test("threads", timeout=120, over=VARIANTS)
def threads(variant):
    """Threads that the runtime makes for goroutines that keep them, and their end: as /proc counts
    them. Some of the goroutines keep threads that were there before."""
    with go_workload("timers", *variant) as program:
        with Observer("-k", "thread", pid=program.pid) as observer:
            observer.wait_ready()
            before = threads_before(program, observer)
            program.phase("threads 20")
            made = observer.wait_report(
                lambda told: made_threads(told) == threads_of(program) - before and
                made_threads(told), "as many threads as /proc has more than before")
            program.phase("free")

            def all_told():
                law = observer.report_now().document["conservation"]["thread"]
                left = threads_of(program) - (before + law["opened"] - law["closes"])
                return left in (0, 1)  # the runtime keeps the first thread when it "ends"

            wait_for(all_told, "as many threads as were made and have not ended")
            report = observer.finish()
        program.end()
    law = report.document["conservation"]["thread"]
    require(10 <= made <= 30, f"{made} threads were made for 20 goroutines that keep theirs")
    require(law["closes"] >= 19, f"{law['closes']} threads have ended of 20, or but the first")
    check_conservation(report)


def named_stacks(version, how):
    """All stacks on which the program makes timers and goroutines, with lines and inlined calls."""
    with go_workload("timers", version, how) as program, \
            Observer("-k", "timer,newproc", pid=program.pid) as observer:
        observer.wait_ready()
        program.phase("go 20")
        report = observer.finish()
        program.end()
    check_conservation(report)
    return {(finding["kind"],
             *((re.sub(r"[.]abi0$", "", frame["function"]), frame["file"], frame["line"],
                frame["inlined"]) for frame in finding["stack"]))
            for finding in report.findings if finding["opened_count"] >= 20}


@test("lines_without_symbols", timeout=120, over={version: version for version in versions()})
def lines_without_symbols(version):
    """Stripped Go programs have lines all the same: those that DWARF tells of the whole program."""
    whole, stripped = (named_stacks(version, how) for how in ("plain", "pie_stripped"))
    require(len(whole) >= (6 if are_timers_known(version) else 1) and
            any(frame[3] for stack in whole for frame in stack[1:]), f"too few stacks: {whole}")
    require(whole == stripped, f"only in the whole program: {whole - stripped}, only in the "
            f"stripped one: {stripped - whole}")
