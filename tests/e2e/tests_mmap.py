# SPDX-License-Identifier: GPL-2.0-only
"""Mappings that the program makes itself."""

from harness import Workload, check_expectations, describe, observe, require, simple_name
from registry import test

ATTACH = {mode: ("--attach", mode) for mode in ("session", "multi", "perf")}


def check_mappings(program, options=()):
    with Workload(program) as workload:
        report = observe(workload, "go", "thread", options=options)
        check_expectations(report, workload, counts=False)
        strange = [f for f in report.of("mmap") if f["live_bytes"] and simple_name(
            f["stack"][0]["function"] or "?") not in
            {site for _, site in workload.expectations}]
        require(not strange, "not the program's own: " + "; ".join(map(describe, strange)))
        workload.end()


@test(over={"glibc": "mappings", "glibc_static": "mappings_static", "musl": "mappings_musl"})
def mappings(program):
    """mmap, partial munmap, MAP_FIXED over others, mremap, sbrk; no thread stacks, no arenas."""
    check_mappings(program)


@test(name="attach.mappings", over=ATTACH)
def attach_mappings(options):
    check_mappings("mappings", options)
