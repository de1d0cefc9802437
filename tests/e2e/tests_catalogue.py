# SPDX-License-Identifier: GPL-2.0-only
"""The ways in which Go programs leak, and the same programs repaired."""

import glob
import os
import re
import subprocess
import tempfile

from harness import LEAKBPF, SOURCES, Observer, Report, check_conservation, read_text, require
from registry import test
from tests_goroutines import go_workload, oldest_and_newest
from tests_timers import always_collects

WATCH_S = 25
SPIN_S = 11
FOLDER = os.path.join(SOURCES, "tests", "workloads", "go", "catalogue")

# What is not the program's own function: the two goroutines of a connection whose body is not
# closed are those of net/http.
LIBRARY = {"bodyNeverClosed": ("net/http.(*persistConn).readLoop",
                               "net/http.(*persistConn).writeLoop")}
TIMERS = ("afterInHotLoop", "tickerNeverStopped")


def marked_lines():
    """{leak: {line, ...}} of the lines marked in the source."""
    lines = {}
    for path in glob.glob(os.path.join(FOLDER, "*.go")):
        for number, line in enumerate(read_text(path).split("\n"), 1):
            match = re.search(r"// LEAK (\w+)$", line)
            if match:
                lines.setdefault(match[1], set()).add(number)
    return lines


def own_lines(finding):
    """The lines of the program's own frames."""
    return {frame["line"] for frame in finding["stack"]
            if (frame["function"] or "").startswith("main.")}


def places(leak, lines):
    """Everything that has to be flagged of the leak: marked lines, or functions of a library."""
    return LIBRARY.get(leak) or sorted(lines[leak])


def is_at(finding, leak, place):
    functions = {frame["function"] for frame in finding["stack"]}
    if leak in LIBRARY:
        return place in functions
    return place in own_lines(finding) and any(
        re.match(rf"main\.({leak}|generator|\(\*errgroup\)\.Go)\b", name or "")
        for name in functions)


def flagged(report, pid):
    return [finding for finding in report.of(pid=pid)
            if finding["verdict"] in ("leaking", "growing")]


def describe(finding):
    frames = " < ".join(f"{frame['function']}:{frame['line']}" for frame in finding["stack"][:4])
    return (f"{finding['verdict']} {finding['kind']} live {finding['live_count']} "
            f"[{finding['state']}] {frames}")


def watch(programs, kinds, seconds):
    """What leakbpf says of these programs after so many seconds; that they run still."""
    others = [word for program in programs[1:] for word in ("-p", str(program.pid))]
    with Observer(*others, "-k", kinds, "-d", str(seconds), pid=programs[0].pid,
                  interval="1") as observer:
        observer.wait_ready()
        observer.wait_end(timeout=seconds + 30)
        report = Report(read_text(observer.output))
    require(all(program.is_alive() for program in programs), "a program has ended")
    check_conservation(report, in_flight=4 * len(programs))
    return report


def find_leak(found, leak, lines):
    """Prints one line of the table; returns the places of the leak that are not flagged."""
    kind, missed = "timer" if leak in TIMERS else "goroutine", []
    for place in places(leak, lines):
        hits = [finding for finding in found if finding["kind"] == kind and
                is_at(finding, leak, place)]
        if not hits:
            missed.append(f"{leak} at {place}")
            continue
        alerts = [hit["first_alert_s"] for hit in hits if hit["first_alert_s"] is not None]
        print(f"{leak:28} {hits[0]['verdict']:8} {kind:9} {min(alerts, default=-1):9.1f} s  "
              f"{hits[0].get('why') or ''}")
    return missed


@test("catalogue", timeout=120, over=oldest_and_newest())
def catalogue(version):
    """Every leak is flagged at its function and line; nothing of the repaired program is."""
    lines = marked_lines()
    names = sorted(set(lines) - {"spin"} | set(LIBRARY))
    with go_workload("catalogue", version, arguments=["leak"]) as leak, \
            go_workload("catalogue", version, arguments=["fixed"]) as fixed:
        report = watch((leak, fixed), "goroutine,timer", WATCH_S)
    if always_collects(version):
        require(not report.of("timer", leak.pid), f"collected: {report.of('timer', leak.pid)}")
        names = [name for name in names if name not in TIMERS]
    found, missed = flagged(report, leak.pid), []
    print(f"{'leak':28} {'verdict':8} {'kind':9} {'first alert':>11}  why")
    for name in names:
        missed += find_leak(found, name, lines)
    listing = "\n  ".join(map(describe, report.of(pid=leak.pid)))
    require(not missed, f"not flagged: {missed}; findings:\n  {listing}")
    wrong = flagged(report, fixed.pid)
    require(not wrong, "flagged in the repaired program:\n  " + "\n  ".join(map(describe, wrong)))


def lines_of_spin():
    """From the "for" before the marked line to the "default" behind it: wherever in the loop it was
    most often."""
    (marked,) = marked_lines()["spin"]
    return range(marked - 1, marked + 4)


@test("catalogue_spin", timeout=90, over=oldest_and_newest())
def catalogue_spin(version):
    """A loop that should wait is suspect, where it runs, not more; one that waits is nothing."""
    with go_workload("catalogue", version, arguments=["spin"]) as spin, \
            go_workload("catalogue", version, arguments=["spinfixed"]) as fixed:
        report = watch((spin, fixed), "goroutine", SPIN_S)
    alarming = [finding for finding in report.findings
                if finding["verdict"] in ("leaking", "growing", "suspect")]
    require(len(alarming) == 1 and alarming[0]["pid"] == spin.pid,
            "not one finding:\n  " + "\n  ".join(map(describe, alarming or report.findings)))
    (finding,) = alarming
    frame = finding["stack"][0]
    require(finding["verdict"] == "suspect" and finding["state"] == "spinning" and
            frame["function"] == "main.spin" and frame["file"].endswith("/leaks.go") and
            frame["line"] in lines_of_spin() and
            re.match(r"goroutine \d+ has been running in main\.spin for \d+ s", finding["why"]),
            f"{finding}")
    require(any("main.spinFixed" in (frame["function"] or "")
                for other in report.of("goroutine", fixed.pid) for frame in other["stack"]),
            "the loop that waits is not shown")


RULES = {"function:main.send\n": 1, "function:main.send\nignore-top:main.receive\n": 0,
         "ignore-created-by:main.startAll\n": 0, "kind:goroutine\n": 0, "kind:timer\n": 1,
         "file:main.go\n": 0, "ignore-created-by:main.main\n": 1}


@test("suppressed_goroutines", timeout=90, over=oldest_and_newest())
def suppressed_goroutines(version):
    """Two goroutines that wait on nil channels fail a check, unless rules match both."""
    with go_workload("kinds", version) as program, tempfile.TemporaryDirectory() as folder:
        for rules, status in RULES.items():
            path = os.path.join(folder, "rules")
            with open(path, "w", encoding="ascii") as file:
                file.write(rules)
            done = subprocess.run([LEAKBPF, "check", "-p", str(program.pid), "-k", "goroutine",
                                   "-i", "0.3", "-d", "2", "--suppress", path], check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=60)
            require(done.returncode == status, f"{rules!r}: exit status {done.returncode}: "
                    f"{done.stdout} {done.stderr}")
