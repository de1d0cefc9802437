# SPDX-License-Identifier: GPL-2.0-only
"""Heap blocks: exact counts at the right caller, whatever the allocator."""

import glob
import os
import time

from harness import (WORKLOADS, Observer, Skip, Workload, check_conservation, check_expectations,
                     check_unharmed, describe, observe, require, simple_name, text_differences,
                     total, workload_path)
from registry import test

SERVER_S = 10  # how long the server works: enough polls for a verdict


def watch_server(name, threads, options=()):
    """Lets a server work for a while under observation; returns it and the final report."""
    with Workload(name, str(threads)) as server, Observer(*options, pid=server.pid) as observer:
        observer.wait_ready()
        require(text_differences(server.pid), "no probe is to be seen in the target")
        server.phase("go")
        time.sleep(SERVER_S)
        server.phase("quiet")
        report = observer.finish()
        check_conservation(report)
        check_unharmed(server, observer)
        check_expectations(report, server)
        server.end()
        return report


def flagged_sites(report):
    return {simple_name(f["stack"][0]["function"]) for f in report.flagged()}


def check_three_sites(options=(), threads=2, program="leaky_server"):
    report = watch_server(program, threads, options)
    require(flagged_sites(report) == {"leak_site_a", "leak_site_b", "leak_site_c"},
            "flagged: " + "; ".join(describe(f) for f in report.flagged()))
    for finding in report.flagged():
        frame = finding["stack"][0]
        require(os.path.basename(frame["file"] or "") == "leaky_server.c" and frame["line"],
                f"a flagged frame has no file and line: {frame}")
        callers = [simple_name(f["function"]) for f in finding["stack"][1:3]]
        require(callers == ["handle_request", "worker_main"], f"callers are {callers}")
    require(not report.losses(), f"losses: {report.losses()}")


@test(over={"2_threads": ("leaky_server", 2), "4_threads": ("leaky_server", 4),
            "musl": ("leaky_server_musl", 2)})
def three_sites(row):
    program, threads = row
    check_three_sites(threads=threads, program=program)


@test(over={"2_threads": 2, "4_threads": 4})
def clean_twin(threads):
    report = watch_server("clean_server", threads)
    require(not report.flagged(), "flagged: " + "; ".join(map(describe, report.flagged())))
    left = [f for f in report.of("heap") if f["live_count"] and any(
        simple_name(g["function"]) in ("handle_request", "worker_main") for g in f["stack"])]
    require(not left, "left: " + "; ".join(map(describe, left)))


# --- every function of every allocator ---


def library(pattern):
    if os.path.exists(os.path.join(WORKLOADS, pattern)):
        return workload_path(pattern)
    paths = sorted(glob.glob(f"/usr/lib/*/{pattern}") + glob.glob(f"/usr/lib64/{pattern}"))
    if not paths:
        raise Skip(f"{pattern} is not installed")
    return paths[0]


def check_allocator(report, allocators):
    target = report.document["targets"][0]
    require(target["allocators"] == allocators.split(), f"allocators: {target['allocators']}")
    require(not target["blind_spots"], f"blind spots: {target['blind_spots']}")


def check_program(program, allocators, phases, preload=None, options=()):
    """allocators: the words of the report, in its order. Returns the report."""
    env = {"LD_PRELOAD": library(preload)} if preload else None
    with Workload(program, env=env) as workload:
        report = observe(workload, *phases, options=options)
        check_expectations(report, workload)
        check_allocator(report, allocators)
        require(not report.losses(), f"losses: {report.losses()}")
        workload.end()
        return report


PRELOADS = {"jemalloc": ("jemalloc", "libjemalloc.so.2"),
            "tcmalloc": ("tcmalloc", "libtcmalloc_minimal.so.4"),
            "tcmalloc_full": ("tcmalloc", "libtcmalloc.so.4"),
            "mimalloc": ("mimalloc", "libmimalloc.so.2")}

APIS = {
    "glibc": ("apis", "glibc"),
    "glibc_static": ("apis_static", "glibc"),
    "musl": ("apis_musl", "musl"),
    "musl_static": ("apis_musl_static", "musl"),
    "jemalloc": ("apis_jemalloc", "jemalloc"),
    "jemalloc_static": ("apis_jemalloc_static", "jemalloc"),
    "prefixed_static": ("apis_prefixed", "jemalloc glibc"),
    "prefixed_all_static": ("apis_prefixed_static", "jemalloc glibc"),
    "tcmalloc": ("apis_tcmalloc_minimal", "tcmalloc"),
    "tcmalloc_static": ("apis_tcmalloc_minimal_static", "tcmalloc"),
    "tcmalloc_full": ("apis_tcmalloc", "tcmalloc"),
    "tcmalloc_full_static": ("apis_tcmalloc_static", "tcmalloc"),
    "mimalloc": ("apis_mimalloc", "mimalloc"),
    **{f"{name}_preloaded": ("apis", *how) for name, how in PRELOADS.items()},
}

OPERATORS = {
    "glibc": ("operators", "glibc"),
    "glibc_static": ("operators_static", "glibc"),
    "jemalloc": ("operators_jemalloc", "jemalloc"),
    "jemalloc_static": ("operators_jemalloc_static", "jemalloc"),
    "tcmalloc": ("operators_tcmalloc_minimal", "tcmalloc"),
    "tcmalloc_full": ("operators_tcmalloc", "tcmalloc"),
    "tcmalloc_full_static": ("operators_tcmalloc_static", "tcmalloc"),
    "mimalloc": ("operators_mimalloc", "mimalloc"),
    **{f"{name}_preloaded": ("operators", *how) for name, how in PRELOADS.items()},
}


@test(over=APIS)
def apis(variant):
    """The C functions, realloc that fails, blocks that are mappings, the block of a new arena."""
    program, allocators, *preload = variant
    check_program(program, allocators, ["go", "threads"], *preload)


@test(over=OPERATORS)
def operators(variant):
    program, allocators, *preload = variant
    check_program(program, allocators, ["go"], *preload)


CFREE = {
    "own": ("cfree_linked", "custom"),
    "own_preloaded": ("cfree", "custom", "libold_malloc.so"),
    "tcmalloc": ("cfree_tcmalloc_minimal", "tcmalloc"),
    "tcmalloc_full": ("cfree_tcmalloc", "tcmalloc"),
    "mimalloc": ("cfree_mimalloc", "mimalloc"),
    **{f"{name}_preloaded": ("cfree", *how) for name, how in PRELOADS.items()
       if name != "jemalloc"},  # has no cfree
}


@test(over=CFREE)
def cfree(variant):
    """What cfree releases is gone, the rest exact; it counts once also where it jumps to free."""
    program, allocators, *preload = variant
    report = check_program(program, allocators, ["go"], *preload)
    law = report.document["conservation"]["heap"]
    require((law["matched"], law["unmatched"]) == (200, 0), f"releases: {law}")


@test(over={"glibc": "abandon", "jemalloc": "abandon_jemalloc",
            "tcmalloc": "abandon_tcmalloc_minimal", "tcmalloc_full": "abandon_tcmalloc"})
def abandon(program):
    """Calls left by exception, longjmp and thread exit do not spoil later ones."""
    with Workload(program) as workload:
        report = observe(workload, "go 50")
        check_expectations(report, workload)
        workload.end()


@test(name="abandon.mappings_only", over={
    "glibc": "abandon", "jemalloc": "abandon_jemalloc",
    "tcmalloc": "abandon_tcmalloc_minimal", "tcmalloc_full": "abandon_tcmalloc"})
def abandon_mappings_only(program):
    """Exceptions pass also while only mappings are watched, and no block is counted."""
    with Workload(program) as workload:
        report = observe(workload, "go 50", options=("-k", "mmap"))
        require(not report.of("heap"), f"blocks: {report.of('heap')[:3]}")
        workload.end()


@test()
def own_operators():
    """An operator new of the program's own throws when it likes: left alone, and that is told."""
    with Workload("thrower") as workload:
        report = observe(workload, "go 30")
        spots = report.document["targets"][0]["blind_spots"]
        require(any("operator new" in spot for spot in spots), f"blind spots: {spots}")
        workload.end()


@test()
def short_threads():
    with Workload("threads") as workload:
        report = observe(workload, "go 50")
        check_expectations(report, workload)
        require(not report.losses(), f"losses: {report.losses()}")
        workload.end()


@test()
def inlined_frames():
    with Workload("inlined") as workload:
        report = observe(workload, "go")
        check_expectations(report, workload)
        frames = report.at("heap", "fill", {"inlined"})[0]["stack"]
        require(frames[0]["function"] == "shop::take_from_shelf(unsigned long)",
                f"the inlined function is shown as {frames[0]['function']}")
        require(frames[0]["inlined"] and not frames[1]["inlined"], "not marked as inlined")
        require(frames[1]["function"] ==
                "shop::basket<unsigned long>::fill(unsigned long const&)",
                f"the method is shown as {frames[1]['function']}")
        with open(frames[0]["file"], encoding="utf-8") as source:
            line = source.read().splitlines()[frames[0]["line"] - 1]
        require("the leaking line" in line, f"line {frames[0]['line']} is {line!r}")
        workload.end()


@test()
def jit():
    """Code that was made at run time has the names that its compiler wrote to /tmp/perf-PID.map."""
    with Workload("jit") as workload:
        report = observe(workload, "go")
        finding, = (f for f in report.of("heap") if f["stack"][0]["module"] == "[jit]")
        names = [frame["function"] for frame in finding["stack"]]
        require(names[:3] == ["script::take", "script::serve request.js:12", "call_the_code"],
                f"the stack is {names}")
        require((finding["live_count"], finding["live_bytes"]) == (100, 2400), describe(finding))
        require(not finding["stack_incomplete"] and names[-1] == "_start", f"cut: {names}")
        workload.end()


CALLERS = {"dynamic": "callers", "static": "callers_static"}


@test(over=CALLERS)
def callers(program):
    """Whoever calls strdup, asprintf, operator new or std::string without frame pointers is found,
    on a complete stack. What asprintf allocates besides the text is its own business."""
    with Workload(program) as workload:
        report = observe(workload, "go")
        check_expectations(report, workload)
        texts = report.at("heap", "leak_asprintf", {program})
        require(total(texts)[0] == 100, f"asprintf: {total(texts)}")
        for finding in report.of("heap"):
            names = [simple_name(frame["function"]) for frame in finding["stack"]]
            require("main" in names and not finding["stack_incomplete"],
                    f"not complete: {names}")
        require(not report.losses(), f"losses: {report.losses()}")
        workload.end()


# --- the ways to attach ---


ATTACH = {mode: ("--attach", mode) for mode in ("session", "multi", "perf")}


@test(name="attach.three_sites", over=ATTACH)
def attach_three_sites(options):
    check_three_sites(options)


@test(name="attach.apis", over=ATTACH)
def attach_apis(options):
    check_program("apis", "glibc", ["go", "threads"], options=options)


THROWING = {("heap", f"leak_new{what}") for what in ("", "_array", "_big")}


@test(name="attach.operators_jemalloc", over=ATTACH)
def attach_operators(options):
    """Only session probes can leave out a call that may throw: the other ways leave out the
    functions that throw, and say so."""
    if options[1] == "session":
        check_program("operators_jemalloc", "jemalloc", ["go"], options=options)
        return
    with Workload("operators_jemalloc") as workload:
        report = observe(workload, "go", options=options)
        for site in THROWING:
            del workload.expectations[site]
        check_expectations(report, workload)
        spots = report.document["targets"][0]["blind_spots"]
        require(any("operator new" in spot for spot in spots), f"blind spots: {spots}")
        require(not report.losses(), f"losses: {report.losses()}")
        workload.end()


@test(name="attach.abandon", over=ATTACH)
def attach_abandon(options):
    with Workload("abandon_jemalloc") as workload:
        report = observe(workload, "go 20", options=options)
        require(report.document["overhead"]["attach_mode"] == options[1], "another way was taken")
        check_expectations(report, workload)
        workload.end()
