# SPDX-License-Identifier: GPL-2.0-only
"""Goroutines that the Go runtime itself has found to be leaked (Go 1.26 and later)."""

import contextlib
import os
import re

from harness import Observer, Report, Skip, read_text, require, wait_for
from registry import test
from tests_goroutines import (WORKLOADS, converted, differences, dump, go_workload, goroutines,
                              groups_of, release, run, versions)

PROVING = [version for version in versions() if version != "none" and release(version) >= (1, 26)]
SOURCE = os.path.join(WORKLOADS, "proved", "main.go")


def lines():
    """{"leakOne": line, ...} of the places where goroutines leak."""
    found = {}
    for number, line in enumerate(read_text(SOURCE).splitlines(), 1):
        match = re.search(r"// LEAK (\w+)$", line)
        if match:
            found[match[1]] = number
    return found


@contextlib.contextmanager
def leaking_program(version):
    """13 goroutines that the runtime can prove to be leaked, when asked, and 4 that it can not."""
    if version == "none":
        raise Skip("no Go 1.26 or newer is installed")
    with go_workload("proved", version) as program:
        for phase in ("leak 10", "lock 3", "hold 4"):
            program.phase(phase)
        yield program
        program.end()


def seen_of(program):
    """What leakbpf says, in the words of the runtime."""
    seen = {}
    for goroutine in goroutines(program.pid, "--all")["goroutines"]:
        seen[goroutine["id"]] = converted(goroutine)
        if goroutine["leaked"]:
            seen[goroutine["id"]]["state"] += " (leaked)"
    return seen


def findings(program):
    """What a watch of some seconds says: {line: finding}."""
    with Observer("-k", "goroutine", "-d", "3", interval="1", pid=program.pid) as observer:
        observer.wait_end()
        report = Report(read_text(observer.output))
    return {frame["line"]: finding for finding in report.document["findings"]
            for frame in finding["stack"] if frame["file"] == SOURCE and not frame["inlined"]
            and not (frame["function"] or "").startswith("created by")}


@test(over={version: version for version in PROVING or ["none"]})
def proved_by_the_runtime(version):
    """They are marked, counted and chosen as the runtime's own dump says, at the same site."""
    with leaking_program(version) as program:
        before = seen_of(program)
        require(not any("leaked" in g["state"] for g in before.values()), f"too early: {before}")
        dumped = dump(program, "prove")
        seen = seen_of(program)
        wrong = differences(dumped, seen)
        require(not wrong, "\n  ".join(["not what the program says:", *wrong]))
        leaked = {number for number, g in dumped.items() if g["state"].endswith(" (leaked)")}
        require(len(leaked) == 13, f"the runtime found {len(leaked)}")
        chosen = goroutines(program.pid, "--all", "--with", "state=leaked")["goroutines"]
        require({g["id"] for g in chosen} == leaked, f"chosen: {chosen}")
        program.phase("leak 5")
        wait_for(lambda: {g["count"]: g["leaked_count"] for g in groups_of(program.pid)}.items() >=
                 {15: 10, 3: 3, 4: 0}.items(), "groups of 15, 3 and 4")
        text = run("-p", program.pid)
        require(re.search(r"^15 \[chan send\] 1 on 0x[0-9a-f]+ 10 leaked$", text, re.M), text)


@test(over={version: version for version in PROVING or ["none"]})
def proved_leaks(version):
    """Such a site leaks at once, one that the program may still wake does not."""
    with leaking_program(version) as program:
        dump(program, "prove")
        program.phase("lock 2")
        found = findings(program)
        for place, line in lines().items():
            require(found[line]["verdict"] == "leaking" and
                    "the Go runtime itself has proved" in found[line]["why"],
                    f"{place}: {found.get(line)}")
        require(found[lines()["leakOne"]]["live_count"] == 10, f"leakOne: {found}")
        require("of some" in found[lines()["lock"]]["why"], f"lock: {found}")
        quiet = [f["verdict"] for line, f in found.items() if line not in lines().values()]
        require("leaking" not in quiet, f"others: {found}")
