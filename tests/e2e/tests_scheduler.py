# SPDX-License-Identifier: GPL-2.0-only
"""Goroutines by their go statements, and what they wait for: against what the program has done, and
its own block profile."""

import os
import re
import tempfile

from harness import (Failure, Observer, Report, Workload, check_conservation, read_text, require,
                     wait_for)
from registry import test
from tests_goroutines import go_workload, parked, release, versions
from tests_limits import reading_costs_ms
from tests_pprof import pprof
from tests_timers import VARIANTS, by_function

CREATED = 50
WAITS = 20
PAUSE_NS = 10e6
LONG_PAUSE_S = 0.1
TURNS = 20000


@test("newproc", timeout=120, over=VARIANTS)
def go_statements(variant):
    """How many goroutines each go statement has made, and how many of them live."""
    with go_workload("scheduler", *variant) as program:
        with Observer("-k", "newproc", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase(f"create {CREATED}")
            wanted = {"startShort": [0, CREATED], "startKept": [CREATED, CREATED]}
            observer.wait_report(lambda told: by_function(told, "newproc") == wanted,
                                 f"[live, opened] by go statement: {wanted}")
            program.phase("free")
            wanted["startKept"] = [0, CREATED]
            observer.wait_report(lambda told: by_function(told, "newproc") == wanted,
                                 "all of them to end")
            report = observer.finish()
        program.end()
    check_conservation(report)
    for finding in report.of("newproc"):
        names = [frame["function"] for frame in finding["stack"]]
        require("main.create" in names and "main.main" in names and
                not finding["stack_incomplete"], f"not the stack of a go statement: {names}")


def waited_at(path, functions):
    """function -> (waits, nanoseconds) below it, of a block profile."""
    values = {function: [] for function in functions}
    for index, unit in (("contentions", "count"), ("delay", "ns")):
        text = pprof("-top", "-cum", "-nodecount=0", "-nodefraction=0", f"-sample_index={index}",
                     f"-unit={unit}", path)
        for function in functions:
            row = re.search(r"^ *\S+ +\S+% +\S+% +([\d.]+)(?:ns)? +\S+% +"
                            + re.escape(f"main.{function}") + r"\b", text, re.M)
            require(row, f"{function} is not in the profile of {index}: {text}")
            values[function].append(float(row[1]))
    return values


def profiles_of_waits(variant, functions):
    """What leakbpf and the program itself say of the same waits."""
    with go_workload("scheduler", *variant) as program, tempfile.TemporaryDirectory() as folder:
        own = os.path.join(folder, "block.pb.gz")
        with Observer("-k", "gopark", pid=program.pid, form="pprof", all_sites=False) as observer:
            observer.wait_ready()
            program.phase(f"wait {WAITS}")
            observer.interrupt()
            observer.wait_end()
            program.phase(f"profile {own}")
            program.end()
            return waited_at(observer.output, functions), waited_at(own, functions)


@test("gopark", timeout=240, over=VARIANTS)
def waits(variant):
    """The block profile that leakbpf makes from outside is that of the program itself. On a busy
    machine the program may come late, and not have to wait every time; and what was woken waits
    for a CPU, which only the program's own clock leaves out: one of three runs has to agree."""
    functions = ("receiveLate", "lockLate")
    wrong = ["none was measured"]
    for _ in range(3):
        seen, wanted = profiles_of_waits(variant, functions)
        print(f"seen: {seen}; the program's own: {wanted}")
        for function in functions:
            (count, delay), (own_count, _) = seen[function], wanted[function]
            require(count == own_count and WAITS / 2 <= count <= WAITS,
                    f"{function}: {count} waits, not {own_count} of {WAITS}")
            require(delay > count * PAUSE_NS / 2, f"{function}: {delay} ns of {count} waits")
        wrong = [function for function in functions
                 if not 0.9 < seen[function][1] / wanted[function][1] < 1.1]
        if not wrong:
            return
    raise Failure(f"other times than the program's own, three times: {wrong}")


def reasons(version):
    """What the runtime of this version calls the waits of each function."""
    return {"receiveLate": "chan receive",
            "lockLate": "sync.Mutex.Lock" if release(version) >= (1, 20) else "semacquire"}


@test("gopark_longest", timeout=120, over=VARIANTS)
def longest_waits(variant):
    """Each site says what is waited for there, in the runtime's words, and the longest wait."""
    with go_workload("scheduler", *variant) as program:
        with Observer("-k", "gopark", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase(f"wait {WAITS}")
            report = observer.finish()
        program.end()
    longest = {words[1]: int(words[2]) / 1e9 for words in map(str.split, program.lines)
               if words[0] == "longest"}
    for function, reason in reasons(variant[0]).items():
        (finding,) = [f for f in report.of("gopark")
                      if any(frame["function"] == f"main.{function}" for frame in f["stack"])]
        wait = finding["longest_wait_s"]
        print(f"{function}: [{finding['state']}] longest {wait} s, took {longest[function]} s")
        require(finding["state"] == reason, f"{function} waits for {finding['state']}: {finding}")
        require(0.9 * LONG_PAUSE_S < wait <= longest[function] < finding["waited_s"],
                f"{function}: longest {wait} s, took {longest[function]} s: {finding}")
    states = {finding["state"] for finding in report.of("gopark")}
    require("sleep" in states and None not in states, f"states: {states}")


@test("gopark_cost", timeout=120, over={version: version for version in versions()[-1:]})
def cost_of_waits(version):
    """What a wait and its end cost the program, told, and nothing lost at full speed."""
    with go_workload("scheduler", version) as program:
        program.phase(f"switch {TURNS}")
        with Observer("-k", "gopark", pid=program.pid) as observer:
            observer.wait_ready()
            program.phase(f"switch {TURNS}")
            report = observer.finish()
        program.phase(f"switch {TURNS}")
        turns = [int(line.split()[1]) for line in program.lines if line.startswith("turn ")]
        program.end()
    check_conservation(report)
    waits_seen = sum(finding["opened_count"] for finding in report.of("gopark"))
    require(waits_seen > TURNS, f"{waits_seen} waits seen of {2 * TURNS}")
    print(f"a turn takes {turns[0]} ns, watched {turns[1]} ns, afterwards {turns[2]} ns: "
          f"{turns[1] / turns[0]:.1f} times")


POLL_MS = 50


@test("goroutines_poll", timeout=200, alone=True, over={v: v for v in versions()})
def poll_of_many(version):
    """A poll of a watch with 100,000 goroutines takes at most 50 ms: the best of some, for the
    machine may be busy. Others on the same host slow its memory down to half its speed for
    minutes: where it takes longer than that to fetch half a million nodes from memory one after
    the other, a poll must be faster than they are."""
    with go_workload("crowd", version) as program:
        program.phase("park 100000")
        wait_for(lambda: parked(program.pid)["count"] == 100000, "100,000 parked")
        with Observer("-k", "goroutine", pid=program.pid) as observer, \
                Workload("overflow") as reader:
            observer.wait_ready()
            costs, bounds = [], [POLL_MS]
            while len(costs) < 8 or (min(costs) > max(bounds) and len(costs) < 60):
                costs.append(observer.report_now().document["overhead"]["poll_ms"])
                if len(costs) >= 8 and min(costs) > POLL_MS:
                    bounds.append(reading_costs_ms(reader, 500000))
            report = observer.finish()
            reader.end()
        program.end()
    live = sum(finding["live_count"] for finding in report.of("goroutine"))
    require(live >= 100000, f"{live} goroutines seen")
    print(f"polls of {live} goroutines: {min(costs):.1f} to {max(costs):.1f} ms")
    require(min(costs) <= max(bounds), f"every poll took more than {bounds} ms: {costs}")


@test("kinds_without_go")
def kinds_without_go():
    """Whoever asks for goroutines of a program that has none is told."""
    with Workload("threads") as workload:
        for kinds in ("goroutine,timer", "heap,newproc", "gopark"):
            with Observer("-k", kinds, "-d", "1", pid=workload.pid) as observer:
                observer.wait_end()
                report = Report(read_text(observer.output))
            spots = report.document["targets"][0]["blind_spots"]
            require(any("no Go program" in spot for spot in spots), f"-k {kinds}: {spots}")
        workload.end()
