# SPDX-License-Identifier: GPL-2.0-only
"""Timers and threads of the Go runtime."""

import os
import re
import subprocess
import tempfile

from harness import (Observer, Skip, Workload, check_conservation, require, wait_for,
                     workload_path)
from registry import test
from tests_goroutines import go_workload, goroutines, release, run, versions

ROUNDS = 50
HOW = ("plain", "pie_stripped")

# What every round leaves behind, by the innermost function of the program; all others leave
# nothing.
LEFT = {"tickerNeverStopped": 1, "tickerFired": 1, "afterInSelect": 1, "contextForgotten": 1}
OPENED = {**LEFT, "tickerStopped": 1, "timerStopped": 1, "timerReset": 2, "funcFired": 1,
          "funcReset": 2, "contextCancelled": 1, "timerPreempted": 400}
WITH_CHANNEL = ("tickerNeverStopped", "tickerFired", "afterInSelect", "tickerStopped",
                "timerStopped", "timerReset")
IN_BUBBLE = {"bubbleFired": 1, "bubbleFiredAtOnce": 1, "bubbleStopped": 1, "bubbleReset": 3}

# Since Go 1.23 timers with a channel are collected when nobody refers to them, unless a program asks
# for what was before, as one does that says to be of an older version; since 1.27 always.
COLLECTING = [version for version in versions()
              if version != "none" and release(version) >= (1, 23)]
WITH_BUBBLES = [version for version in COLLECTING if release(version) >= (1, 25)]
VARIANTS = {f"{version}_{how}": (version, how) for version in versions() for how in HOW}


def always_collects(version):
    return version != "none" and release(version) >= (1, 27)


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


def watch_timers(version, how, phase, env=None, arguments=()):
    """The timers of a phase by function."""
    with go_workload("timers", version, how, env, arguments) as program:
        with Observer("-k", "timer", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase(phase)
            report = observer.finish()
        program.end()
    check_conservation(report)
    return by_function(report, "timer")


def require_counts(counts, opened, rounds):
    for function, times in opened.items():
        expected = [LEFT.get(function, 0) * rounds, times * rounds]
        require(counts.get(function) == expected, f"{function}: [live, opened] is "
                f"{counts.get(function)}, not {expected}; all: {counts}")


def require_collected(counts):
    """Those with a channel are not counted, all others are."""
    for function in WITH_CHANNEL:
        require(function not in counts, f"{function} is counted: {counts}")
    require_counts(counts, {function: times for function, times in OPENED.items()
                            if function not in WITH_CHANNEL}, ROUNDS)


@test("timers", timeout=120, over=VARIANTS)
def timers(variant):
    """Exactly the timers that nobody stops are outstanding, at the functions that made them."""
    counts = watch_timers(*variant, f"go {ROUNDS}")
    if always_collects(variant[0]):
        require_collected(counts)
    else:
        require_counts(counts, OPENED, ROUNDS)


@test("timers_collected", timeout=120,
      over={version: version for version in COLLECTING or ["none"]})
def timers_collected(version):
    """Since Go 1.23 timers with a channel are collected when nobody refers to them: not counted."""
    if version == "none":
        raise Skip("no Go 1.23 or newer is installed")
    require_collected(watch_timers(version, "plain", f"go {ROUNDS}",
                                   {"GODEBUG": "asynctimerchan=0"}))


@test("timers_in_bubbles", timeout=120,
      over={f"{version}_{how}": (version, how) for version in WITH_BUBBLES or ["none"]
            for how in HOW})
def timers_in_bubbles(variant):
    """Timers of package synctest, whose time does not pass by itself, some of which run before they
    are back from being made."""
    if variant[0] == "none":
        raise Skip("no Go 1.25 or newer is installed")
    counts = watch_timers(*variant, f"bubble {ROUNDS}", {"GODEBUG": "asynctimerchan=0"}, ["test"])
    require_counts(counts, IN_BUBBLE, ROUNDS)


@test("go_too_new", timeout=120)
def go_too_new():
    """Of a version of Go that leakbpf does not know it is said what is not watched."""
    version = versions()[-1]
    if version == "none":
        raise Skip("no Go is installed")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "newer")
        with open(workload_path(f"timers_{version}_plain"), "rb") as file, open(path, "wb") as newer:
            newer.write(file.read().replace(f"go{version}".encode(), b"go1.99"))
        os.chmod(path, 0o700)
        with Workload("newer", path=path) as program:
            with Observer("-k", "timer,thread,newproc,gopark", pid=program.pid) as observer:
                observer.wait_ready()
                program.phase(f"go {ROUNDS}")
                report = observer.finish()
            program.end()
    (target,) = report.document["targets"]
    for what in ("the timers of", "the threads that the Go runtime makes in",
                 "how goroutines are made and wait in"):
        said = [text for text in target["blind_spots"] if text.startswith(f"{what} {path} ")]
        require(len(said) == 1 and said[0].endswith("is newer than what leakbpf knows of"),
                f"{what}: {target['blind_spots']}")
    require(not report.findings, f"something all the same: {report.findings}")


# Makes timers that fire, and nothing else.
PROFILED = """package main

import (
	"bufio"
	"os"
	"strconv"
	"time"
)

func main() {
	os.Stdout.WriteString("ready " + strconv.Itoa(os.Getpid()) + "\\n")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for i := 0; i < 50; i++ {
			time.AfterFunc(time.Millisecond, func() {})
		}
		time.Sleep(50 * time.Millisecond)
		os.Stdout.WriteString("done " + lines.Text() + "\\n")
	}
}
"""
PROFILE_LINES = 100


def field(number, value):
    """One of a protocol buffer: a number, or bytes."""
    def varint(left):
        digits = []
        while left > 127:
            digits.append(left & 127 | 128)
            left >>= 7
        return bytes([*digits, left])
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def profile_of_calls(caller, callee):
    """A CPU profile (pprof's profile.proto) that has seen nothing but @callee, called from every line
    of @caller."""
    def location(number, function, line):
        return field(4, field(1, number) + field(4, field(1, function) + field(2, line)))
    profile = field(1, field(1, 1) + field(2, 2)) + location(1, 1, 1)
    for line in range(1, PROFILE_LINES):
        profile += field(2, field(1, 1) + field(1, line + 1) + field(2, 1000))
        profile += location(line + 1, 2, line)
    for number in (1, 2):
        profile += field(5, field(1, number) + field(2, number + 2) + field(5, 1))
    for text in ("", "samples", "count", callee, caller):
        profile += field(6, text.encode())
    return profile


@test("timers_inlined", timeout=300,
      over={version: version for version in COLLECTING[-1:] or ["none"]})
def timers_inlined(version):
    """A function of the runtime that the compiler has put into others, as a profile of the program
    has it do, does not pass its probe: timers that look as if they never fired are not told."""
    if version == "none":
        raise Skip("no Go 1.23 or newer is installed")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("main.go", PROFILED.encode()), ("go.mod", b"module profiled\n"),
                              ("pprof", profile_of_calls("runtime.(*timers).run",
                                                         "runtime.(*timer).unlockAndRun"))):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        subprocess.run([f"/usr/lib/go-{version}/bin/go", "build", "-pgo=pprof", "-o", "profiled"],
                       cwd=folder, check=True,
                       env={**os.environ, "GOCACHE": os.path.join(folder, "cache"),
                            "GOPATH": os.path.join(folder, "path"), "GOTOOLCHAIN": "local",
                            "GOPROXY": "off", "GOENV": "off", "GOFLAGS": "-buildvcs=false",
                            "GO111MODULE": "on", "CGO_ENABLED": "0"})
        with Workload("profiled", path=os.path.join(folder, "profiled")) as program:
            with Observer("-k", "timer,thread", pid=program.pid) as observer:
                observer.wait_ready()
                program.phase("go")
                report = observer.finish()
    (target,) = report.document["targets"]
    said = [text for text in target["blind_spots"] if text.startswith("the timers of ")]
    require(len(said) == 1 and "are inlined in it" in said[0] and not report.of("timer"),
            f"blind spots: {target['blind_spots']}, findings: {report.of('timer')}")


HEAPS = (20000, 300, 20)  # timers that call a function, timers and tickers with a channel
HOUR = 3600


def expected_groups(program, collects):
    """{(kind, function): count} that the program says; functions go without saying of most kinds.
    When timers with a channel are collected, they are in no heap unless somebody waits for them."""
    counts = {}
    for (kind, site), expected in program.expectations.items():
        key = kind, site if kind in ("after_func", "deadline") else None
        if not collects or (kind, site) not in (("timer", "abandoned"), ("ticker", "abandoned")):
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


def require_times(timers, collects):
    """When they come next and last, and how often, is told; all but main.postponed as it was said
    first."""
    by_name = {(group["kind"], group["function"] and group["function"]["function"]): group
               for group in timers["groups"]}
    for key, first_s, last_s in ((("after_func", "main.expire"), HOUR, HOUR + HEAPS[0] / 1000),
                                 (("after_func", "main.expireLater.func1"), HOUR / 2, HOUR / 2),
                                 (("after_func", "main.postponed"), 5 * HOUR, 5 * HOUR),
                                 (("deadline", "runtime.netpollWriteDeadline"), 2 * HOUR, 2 * HOUR),
                                 (("timer", None), (3 if collects else 2) * HOUR, 3 * HOUR),
                                 (("ticker", None), HOUR, 2 * HOUR),
                                 (("sleep", None), HOUR, HOUR)):
        if key[0] == "ticker" and collects:
            continue
        group = by_name[key]
        require(first_s - 60 < group["next_s"] <= first_s, f"next: {group}")
        require(last_s - 60 < group["last_s"] <= last_s, f"last: {group}")
        periods = (HOUR, 2 * HOUR) if key[0] == "ticker" else (None, None)
        require((group["period_min_s"], group["period_max_s"]) == periods, f"periods: {group}")


@test("timers_in_heaps", over=VARIANTS)
def timers_in_heaps(variant):
    """All timers that wait, also from before leakbpf came, are counted by what they call."""
    collects = always_collects(variant[0])
    for environment in ({}, {"GOMAXPROCS": "1"}, {"GOMAXPROCS": "7"}):
        with go_workload("timers", *variant, env=environment) as program:
            timers = fill_heaps(program)
            program.end()
        expected = expected_groups(program, collects)
        require(groups_of(timers) == expected, f"{groups_of(timers)}, not {expected}")
        require_times(timers, collects)
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
    expected = expected_groups(program, True)
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
                # the runtime keeps the first thread when it "ends"
                return left in (0, 1) and law["closes"] >= 19

            wait_for(all_told, "as many threads as were made and have not ended")
            report = observer.finish()
        program.end()
    law = report.document["conservation"]["thread"]
    require(10 <= made <= 30, f"{made} threads were made for 20 goroutines that keep theirs")
    require(law["closes"] >= 19, f"{law['closes']} threads have ended of 20, or but the first")
    check_conservation(report)


def named_stacks(version, how):
    """All stacks on which the program itself makes timers and goroutines, with lines and inlined
    calls; but for the collector's own goroutines, which it may make on any of them."""
    with go_workload("timers", version, how) as program, \
            Observer("-k", "timer,newproc", pid=program.pid) as observer:
        observer.wait_ready()
        program.phase("go 20")
        report = observer.finish()
        program.end()
    check_conservation(report)
    stacks = {(finding["kind"],
               *((re.sub(r"[.]abi0$", "", frame["function"]), frame["file"], frame["line"],
                  frame["inlined"]) for frame in finding["stack"])) for finding in report.findings}
    names = {stack: [frame[0] for frame in stack[1:]] for stack in stacks}
    return {stack for stack in stacks
            if "main.main" in names[stack] and "runtime.gcStart" not in names[stack]}


@test("lines_without_symbols", timeout=120, over={version: version for version in versions()})
def lines_without_symbols(version):
    """Stripped Go programs have lines all the same: those that DWARF tells of the whole program."""
    whole, stripped = (named_stacks(version, how) for how in ("plain", "pie_stripped"))
    require(len(whole) >= 6 and
            any(frame[3] for stack in whole for frame in stack[1:]), f"too few stacks: {whole}")
    require(whole == stripped, f"only in the whole program: {whole - stripped}, only in the "
            f"stripped one: {stripped - whole}")
