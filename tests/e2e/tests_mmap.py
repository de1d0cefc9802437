# SPDX-License-Identifier: GPL-2.0-only
"""Mappings that the program makes itself."""

import re

from harness import (Observer, Workload, check_conservation, check_expectations, check_unharmed,
                     describe, observe, observe_together, read_text, require, simple_name)
from registry import test
from tests_heap import PRELOADS, library

ATTACH = {mode: ("--attach", mode) for mode in ("session", "multi", "perf")}


def check_own(report, workload, pid=None):
    """No mapping is reported but those that the program made itself."""
    strange = [f for f in report.of("mmap", pid) if f["live_bytes"] and simple_name(
        f["stack"][0]["function"] or "?") not in {site for _, site in workload.expectations}]
    require(not strange, "not the program's own: " + "; ".join(map(describe, strange)))


def check_mappings(program, options=(), preload=None):
    with Workload(program, env={"LD_PRELOAD": library(preload)} if preload else None) as workload:
        report = observe(workload, "go", "thread", options=options)
        check_expectations(report, workload, counts=False)
        check_own(report, workload)
        workload.end()


@test(over={"glibc": "mappings", "glibc_static": "mappings_static", "musl": "mappings_musl"})
def mappings(program):
    """mmap, partial munmap, MAP_FIXED over others, mremap, sbrk; no thread stacks, no arenas."""
    check_mappings(program)


@test(name="attach.mappings", over=ATTACH)
def attach_mappings(options):
    check_mappings("mappings", options)


@test(name="mappings.preloaded", over={name: how[1] for name, how in PRELOADS.items()
                                       if how[0] == "tcmalloc"})
def mappings_preloaded(preload):
    """tcmalloc puts functions of its own in the place of mmap, munmap, mremap and sbrk."""
    check_mappings("mappings", preload=preload)


# --- mappings made while a block is released ---


def count_arenas(workload):
    """glibc aligns them to 64 MiB; malloc/arena.c, HEAP_MAX_SIZE."""
    starts = re.findall(r"^([0-9a-f]+)-", read_text(f"/proc/{workload.pid}/maps"), re.MULTILINE)
    return sum(int(start, 16) % (64 << 20) == 0 for start in starts)


def check_freeing(report, workload):
    """What the program mapped is exact, what free() mapped for it is counted and not listed."""
    check_conservation(report)
    check_expectations(report, workload, pid=workload.pid)
    check_own(report, workload, workload.pid)


@test(over={"glibc": "freeing", "glibc_static": "freeing_static"})
def freeing(program):
    """Threads that free() first are given an arena there."""
    with Workload(program) as workload:
        report = observe(workload, "go")
        check_freeing(report, workload)
        arenas, law = count_arenas(workload), report.document["conservation"]["mmap"]
        require(arenas > 3, f"free() made {arenas} arenas")
        require(law["nested"] >= arenas, f"{arenas} arenas: {law}")
        workload.end()


@test(name="freeing.attach", over=ATTACH)
def freeing_attach(options):
    with Workload("freeing") as workload:
        check_freeing(observe(workload, "go", options=options), workload)
        workload.end()


@test(name="freeing.kind")
def freeing_kind():
    """When only mappings are watched, releasing functions are not probed, but known."""
    with Workload("freeing") as workload:
        check_freeing(observe(workload, "go", options=("-k", "mmap")), workload)
        workload.end()


@test(name="freeing.exec", over={"glibc": "freeing", "glibc_static": "freeing_static"})
def freeing_exec(program):
    """Also in the program that a process runs next."""
    with Workload(program) as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        workload.start_phase("exec")
        workload.wait_line(rf"ready {workload.pid}")
        observer.wait_report(
            lambda report: report.document["targets"][0]["allocators"] and not
            sum(f["live_count"] for f in report.of("mmap")), "the new program to be watched")
        workload.phase("go")
        check_freeing(observer.finish(), workload)
        check_unharmed(workload, observer)
        workload.end()


@test(name="freeing.many")
def freeing_many():
    """In several processes, of which some have the same file mapped."""
    with Workload("freeing") as one, Workload("freeing") as two, \
            Workload("freeing_static") as three:
        workloads = one, two, three
        report = observe_together(*workloads)
        for workload in workloads:
            check_freeing(report, workload)
            workload.end()
