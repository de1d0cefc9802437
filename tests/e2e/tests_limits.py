# SPDX-License-Identifier: GPL-2.0-only
"""More of everything than fits: found all the same, and never more shown than there was."""

import os
import re

from harness import Failure, Observer, Report, Workload, check_expectations, observe, read_text, \
    require, simple_name, total
from registry import test

FILL = 1200000
LATE = 5000


def check_not_more(report, site, count):
    findings = report.at("heap", site, {"overflow"})
    live, _ = total(findings)
    opened = sum(f["opened_count"] for f in findings)
    require(live <= count and opened <= count, f"{site}: {live} live, {opened} opened of {count}")
    return live


@test(timeout=300, alone=True)
def overflow():
    """1,200,000 live blocks, then a late leak of 5,000: found, and nothing invented."""
    with Workload("overflow") as workload:
        report = observe(workload, f"fill {FILL}", "late")
        require(check_not_more(report, "fill_one", FILL) > 0.9 * FILL, "the fill was not seen")
        require(check_not_more(report, "leak_late", LATE) == LATE, "the late leak was not seen")
        workload.end()


@test(timeout=300, alone=True)
def overflow_freed():
    """After everything else is freed only the late leak remains."""
    with Workload("overflow") as workload:
        report = observe(workload, f"fill {FILL}", "late", "free")
        require(check_not_more(report, "fill_one", FILL) == 0, "freed blocks are still shown")
        require(check_not_more(report, "leak_late", LATE) == LATE, "the late leak was not seen")
        workload.end()


@test(timeout=300, alone=True)
def overflow_meanwhile():
    """No report shows more than was allocated, while the ledger fills up and empties, either."""
    with Workload("overflow") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        shown = []
        for phase in (f"fill {FILL}", "late", "free"):
            workload.start_phase(phase)
            for _ in range(4):
                report = observer.report_now()
                shown.append(check_not_more(report, "fill_one", FILL))
                check_not_more(report, "leak_late", LATE)
            workload.wait_line("done " + phase.split()[0])
        print(f"shown of {FILL}: {shown}")
        require(max(shown) > FILL / 2, f"the fill was not seen: {shown}")
        workload.end()


@test(timeout=300, alone=True)
def overflow_told():
    """The first line of the report says that not every block was followed."""
    with Workload("overflow") as workload, Observer(pid=workload.pid, form="text") as observer:
        observer.wait_ready()
        workload.phase(f"fill {FILL}")
        observer.interrupt()
        observer.wait_end()
        first = read_text(observer.output).splitlines()[0]
        require(re.search(r"sampl|1 of \d+|lost|estimate", first, re.IGNORECASE),
                f"the first line does not tell of the sampling: {first!r}")


@test(timeout=300)
def distinct_stacks():
    """16,384 stacks that differ in one frame each: none lost, none merged."""
    with Workload("stacks") as workload:
        report = observe(workload, "go 16384")
        check_expectations(report, workload)
        findings = report.at("heap", "leak_leaf", {"stacks"})
        paths = {tuple(f["address"] for f in finding["stack"]) for finding in findings}
        require(len(findings) == 16384 and len(paths) == 16384,
                f"{len(findings)} findings, {len(paths)} stacks instead of 16384")
        require(all(f["live_count"] == 1 for f in findings), "a stack was counted twice")
        require(not report.losses(), f"losses: {report.losses()}")
        workload.end()


@test()
def deep_stacks():
    """A stack of 200 frames is cut at 127, and the report says so."""
    with Workload("stacks") as workload:
        report = observe(workload, "deep 200")
        check_expectations(report, workload)
        finding = report.at("heap", "leak_deep", {"stacks"})[0]
        frames = [f for f in finding["stack"] if simple_name(f["function"]) == "leak_deep"]
        require(len(frames) == 127, f"{len(frames)} frames instead of 127")
        require(finding["stack_truncated"], "not marked as truncated")
        workload.end()


MILLION = 1000000


def reading_costs_ms(workload, number):
    """What it takes to fetch so many nodes from this machine's memory, one after the other."""
    workload.start_phase(f"pace {number}")
    pace_ms = float(workload.wait_line(r"pace ([\d.]+) ms").group(1))
    workload.wait_line("done pace")
    return pace_ms


def million_costs_ms():
    """What a poll of a million live entries took, the walk over them included; and what it takes
    to fetch a million nodes of the same size from this machine's memory, one after the other."""
    with Workload("overflow") as workload:
        report = observe(workload, f"fill {MILLION}", options=("--max-live", "2000000"))
        check_not_more(report, "fill_one", MILLION)
        overhead = report.document["overhead"]
        require(overhead["live_entries"] >= MILLION, f"not all are followed: {overhead}")
        pace_ms = reading_costs_ms(workload, MILLION)
        print(f"poll of {overhead['live_entries']} live entries: {overhead['poll_ms']} ms, and "
              f"{overhead['walk_ms']} ms to walk over them; a million reads: {pace_ms} ms",
              flush=True)
        workload.end()
        return overhead["poll_ms"] + overhead["walk_ms"], pace_ms


@test(timeout=300, alone=True)
def poll_of_a_million():
    """Reading the ledger with 1,000,000 live entries takes less than 100 ms.

    The walk waits for memory. Other machines on the same host slow that down to half its speed
    for minutes; they never speed it up, so the best of up to ten watches counts. On a machine
    that takes longer than 100 ms to fetch a million nodes from its memory one after the other,
    the walk must be faster than that.
    """
    costs_ms = []
    while len(costs_ms) < 10:
        costs_ms.append(million_costs_ms())
        poll_ms, pace_ms = costs_ms[-1]
        if 0 < poll_ms < max(100, pace_ms):
            return
    raise Failure(f"a poll took, and a million reads took: {costs_ms} ms")


@test(timeout=400, alone=True)
def memory_of_many_sites():
    """The observer stays below 64 MB with 100,000 sites."""
    with Workload("stacks") as workload, \
            Observer("-n", "20", pid=workload.pid, all_sites=False) as observer:
        observer.wait_ready()
        workload.phase("go 100000", timeout=200)
        observer.interrupt()
        pid, status, usage = os.wait4(observer.process.pid, 0)
        observer.process.returncode = os.waitstatus_to_exitcode(status)
        require(pid and status == 0, f"the observer ended with {status}: {observer.stderr()}")
        report = Report(read_text(observer.output))
        law = report.document["conservation"]["heap"]
        print(f"peak memory: {usage.ru_maxrss} kB; {law}")
        print(f"losses and defects: {report.losses()}")
        require(law["opened"] >= 100000 and law["lost"] == 0, f"not all were seen: {law}")
        require(usage.ru_maxrss < 64 * 1024, f"peak memory of {usage.ru_maxrss} kB")
        workload.end()
