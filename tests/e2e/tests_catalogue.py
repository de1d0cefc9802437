# SPDX-License-Identifier: GPL-2.0-only
"""The ways in which Go programs leak, and the same programs repaired."""

import glob
import os
import re

from harness import SOURCES, Observer, Report, check_conservation, read_text, require
from registry import test
from tests_goroutines import go_workload, versions

WATCH_S = 25
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
    return {frame["line"] for frame in finding["stack"] if (frame["function"] or "").startswith("main.")}


def is_at(finding, leak, lines):
    functions = {frame["function"] for frame in finding["stack"]}
    if leak in LIBRARY:
        return bool(functions & set(LIBRARY[leak]))
    return bool(own_lines(finding) & lines) and any(
        re.match(rf"main\.({leak}|generator|\(\*errgroup\)\.Go)\b", name or "")
        for name in functions)


def flagged(report, pid):
    return [finding for finding in report.of(pid=pid)
            if finding["verdict"] in ("leaking", "growing")]


def describe(finding):
    frames = " < ".join(f"{frame['function']}:{frame['line']}" for frame in finding["stack"][:4])
    return (f"{finding['verdict']} {finding['kind']} live {finding['live_count']} "
            f"[{finding['state']}] {frames}")


@test("catalogue", timeout=120, over={version: version for version in versions()
                                      if version in ("1.19", "1.23", "none")})
def catalogue(version):
    """Every leak is flagged at its function and line; nothing of the repaired program is."""
    lines = marked_lines()
    with go_workload("catalogue", version, arguments=["leak"]) as leak, \
            go_workload("catalogue", version, arguments=["fixed"]) as fixed:
        with Observer("-p", str(fixed.pid), "-k", "goroutine,timer", "-d", str(WATCH_S),
                      pid=leak.pid, interval="1") as observer:
            observer.wait_ready()
            observer.wait_end(timeout=WATCH_S + 30)
            report = Report(read_text(observer.output))
        require(leak.is_alive() and fixed.is_alive(), "a program has ended")
    check_conservation(report)
    found, missed = flagged(report, leak.pid), []
    print(f"{'leak':28} {'verdict':8} {'kind':9} {'first alert':>11}  why")
    for name in sorted(set(lines) - {"spin"} | set(LIBRARY)):
        kind = "timer" if name in TIMERS else "goroutine"
        hits = [finding for finding in found
                if finding["kind"] == kind and is_at(finding, name, lines.get(name, set()))]
        if not hits:
            missed.append(name)
            continue
        alerts = [hit["first_alert_s"] for hit in hits if hit["first_alert_s"] is not None]
        print(f"{name:28} {hits[0]['verdict']:8} {kind:9} {min(alerts, default=-1):9.1f} s  "
              f"{hits[0].get('why') or ''}")
    listing = "\n  ".join(map(describe, report.of(pid=leak.pid)))
    require(not missed, f"not flagged: {missed}; findings:\n  {listing}")
    wrong = flagged(report, fixed.pid)
    require(not wrong, "flagged in the repaired program:\n  " + "\n  ".join(map(describe, wrong)))
