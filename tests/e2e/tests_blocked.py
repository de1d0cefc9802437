# SPDX-License-Identifier: GPL-2.0-only
"""Goroutines that keep their threads, in C code and in system calls, and the threads made for them."""

import os

from harness import (SOURCES, Observer, Report, check_conservation, read_text, require,
                     wait_for)
from registry import test
from tests_goroutines import (converted, differences, dump, go_workload, goroutines, groups_of,
                              oldest_and_newest, versions)
from tests_timers import made_threads, threads_before, threads_of

SOURCE = "tests/workloads/go/blocked/main.go"
HOW = ("cgo", "cgo_pie_stripped")
IN_C, READING = 7, 9
WATCH_S = 15
PAUSE_MS = 10
STATE = "syscall (one thread each)"

# The innermost function of those that wait in it.
WAITS = {"callC": "main._Cfunc_wait_for_end", "readPipe": "syscall.Syscall"}


def marked_line(function):
    """The line marked "LEAK function" in the program."""
    lines = read_text(os.path.join(SOURCES, SOURCE)).split("\n")
    (number,) = [i for i, line in enumerate(lines, 1) if line.endswith(f"// LEAK {function}")]
    return number


def stack_at(stack, function):
    """Does the stack lead from where they wait, through the marked line of the function?"""
    return stack[0]["function"] == WAITS[function] and any(
        frame["function"] == f"main.{function}" and frame["line"] == marked_line(function) and
        frame["file"].endswith(SOURCE) for frame in stack)


def start(program):
    """Waits until as many as there shall be wait in C code, and as many read."""
    program.phase(f"cgo {IN_C}")
    program.phase(f"read {READING}")

    def counts():
        groups = goroutines(program.pid, "--with", "state=syscall", "--group", "func")["groups"]
        return {group["name"]: group["count"] for group in groups}

    wanted = {WAITS["callC"]: IN_C, "main.readPipe": READING}
    wait_for(lambda: wanted.items() <= counts().items(), f"{wanted} in system calls")


@test("goroutines_blocked", timeout=120, over={f"{version}_{how}": (version, how)
                                               for version in versions() for how in HOW})
def blocked(row):
    """Exactly as many as there are, with the stacks that the program itself tells."""
    with go_workload("blocked", *row) as program:
        start(program)
        dumped = dump(program)
        seen = {g["id"]: converted(g) for g in goroutines(program.pid, "--all")["goroutines"]}
        wrong = differences(dumped, seen)
        require(not wrong, "\n  ".join(["not what the program says:", *wrong]))
        for function, wanted in (("callC", IN_C), ("readPipe", READING)):
            (group,) = groups_of(program.pid, "--with", f"func=main.{function}")
            require(group["count"] == wanted and group["longest"]["state"] == "syscall" and
                    stack_at(group["longest"]["stack"], function), f"{function}: {group}")
            creator = group["longest"]["created_by"]
            require((creator["function"], creator["line"]) == ("main.start", marked_line("start")),
                    f"creator: {creator}")
        program.phase("free")
        for function in WAITS:
            left = groups_of(program.pid, "--with", f"func=main.{function}")
            require(not left, f"{function}: some are left: {left}")
        program.end()


@test("threads_blocked", timeout=120, over={f"{version}_{how}": (version, how)
                                            for version in versions() for how in HOW})
def threads_made(row):
    """Every thread that the program has more than before is told, with the stack it was made on."""
    with go_workload("blocked", *row) as program:
        with Observer("-k", "goroutine,thread", pid=program.pid) as observer:
            observer.wait_ready()
            before = threads_before(program, observer)
            start(program)
            observer.wait_report(lambda told: made_threads(told) == threads_of(program) - before,
                                 "the threads that /proc tells")
            report = observer.finish()
        program.end()
    check_conservation(report)
    require(made_threads(report) > (IN_C + READING) / 2, f"threads: {report.of('thread')}")
    for finding in report.of("thread"):
        names = [frame["function"] for frame in finding["stack"]]
        require(names[:2] == ["runtime.newm", "runtime.startm"] and
                names[-1].startswith(("runtime.mstart", "runtime.goexit")), f"made on: {names}")
    for function, wanted in (("callC", IN_C), ("readPipe", READING)):
        (finding,) = [f for f in report.of("goroutine") if stack_at(f["stack"], function)]
        require(finding["live_count"] == wanted and finding["state"] == STATE, f"{finding}")


def watch_phase(version, phase):
    """What leakbpf says of goroutines and threads after so many seconds in the phase."""
    with go_workload("blocked", version, "cgo") as program:
        with Observer("-k", "goroutine,thread", "-d", str(WATCH_S), pid=program.pid,
                      interval="1") as observer:
            observer.wait_ready()
            program.phase(f"{phase} {PAUSE_MS}")
            observer.wait_end(timeout=WATCH_S + 30)
            report = Report(read_text(observer.output))
        require(program.is_alive(), "the program has ended")
    check_conservation(report, in_flight=1)
    return report


@test("goroutine_blocked_leak", timeout=120, over=oldest_and_newest())
def blocked_leak(version):
    """Growing at the lines that call C and read; so are the threads; the repaired twin is clean."""
    report = watch_phase(version, "leak")
    for function in WAITS:
        (finding,) = [f for f in report.of("goroutine") if stack_at(f["stack"], function)]
        require(finding["verdict"] in ("growing", "leaking") and finding["state"] == STATE and
                finding["live_count"] > 300 and finding["closed_count"] == 0 and
                finding["stack"][-1]["function"] == "created by main.leak", f"{finding}")
    threads = [f for f in report.flagged() if f["kind"] == "thread"]
    require(threads and all("(state syscall) keep their threads" in f["why"] for f in threads),
            f"threads: {report.of('thread')}")
    twin = watch_phase(version, "serve")
    require(not twin.flagged() and twin.of("goroutine"), f"the twin: {twin.flagged()}")
