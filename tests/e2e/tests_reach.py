# SPDX-License-Identifier: GPL-2.0-only
"""Is a pointer left to what a site keeps? What leaks is told from what is kept."""

import os
import re
import subprocess
import time

from harness import (Observer, Workload, check_conservation, check_unharmed, describe, own_frame,
                     require, workload_path)
from registry import test

LOST = {"lost_single", "lost_chain", "lost_ring", "lost_to_tools"}
KEPT = {"kept_in_data", "kept_inside", "kept_tagged", "kept_in_chain", "kept_in_mapping",
        "kept_on_stack", "kept_in_thread", "kept_by_kernel"}
ONE_IN_EIGHT = {"kept_on_stack", "kept_in_thread"}  # too few to have to be noticed in time
WATCH_S = 12
PROOF = r"no pointer is left to (\d+) of its (\d+) objects older than \d+ s"


def watch_reach(*options):
    """The final report on sites that grow while pointers to their blocks are lost or kept."""
    with Workload("reach") as workload, Observer(*options, pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        time.sleep(WATCH_S)
        workload.phase("rest")
        report = observer.finish()
        check_conservation(report)
        check_unharmed(workload, observer)
        log = observer.stderr()
        workload.phase("quiet")
        workload.end()
        return report, log


def sites(report, names):
    """site -> its findings; every one must be there."""
    found = {name: report.at("heap", name, {"reach"}, sites=LOST | KEPT) for name in names}
    missing = [name for name in names if not found[name]]
    require(not missing, f"no findings at {missing}")
    return found


@test()
def lost_and_kept():
    """Lost blocks are proved lost, each of them; kept ones never are, wherever the pointers are. A
    pointer that is hidden by xor counts as lost, as with LeakSanitizer."""
    report, _ = watch_reach()
    for name, findings in sites(report, LOST).items():
        for finding in findings:
            proof = re.fullmatch(PROOF, finding["proof"] or "")
            require(finding["verdict"] == "leaking" and proof,
                    f"{name}: {describe(finding)}; proof: {finding['proof']}")
            unreachable, checked = (int(number) for number in proof.groups())
            require(unreachable == checked and checked > 100, f"{name}: {finding['proof']}")
    for name, findings in sites(report, KEPT).items():
        for finding in findings:
            require(not finding["proof"], f"{name} has a proof: {finding['proof']}")
            require(name in ONE_IN_EIGHT or "still reachable" in (finding["state"] or ""),
                    f"{name}: {describe(finding)}; state: {finding['state']}")


@test()
def kept_never_leaks():
    """Sites that close nothing but keep their pointers grow, and do not leak."""
    report, _ = watch_reach()
    for name, findings in sites(report, KEPT).items():
        for finding in findings:
            require(finding["verdict"] != "leaking", f"{name}: {describe(finding)}")


@test()
def not_asked_for():
    """--no-confirm: the memory is not read, and nothing is said of pointers."""
    report, log = watch_reach("--no-confirm")
    require("looked for pointers" not in log, log)
    told = [f for f in report.of("heap") if f["proof"] or f["state"]]
    require(not told, "; ".join(map(describe, told)))


@test()
def withdrawn():
    """A proof is withdrawn when pointers are found after all."""
    def hidden(report):
        return report.at("heap", "lost_to_tools", {"reach"}, sites=LOST | KEPT)

    with Workload("reach") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        observer.wait_report(lambda report: any(f["proof"] for f in hidden(report)), "a proof")
        workload.phase("reveal")
        report = observer.finish()
        workload.phase("quiet")
        workload.end()
    for finding in hidden(report):
        require(not finding["proof"] and "still reachable" in finding["state"],
                f"proof: {finding['proof']}; state: {finding['state']}")
        require(finding["verdict"] != "leaking", describe(finding))


@test()
def sampled():
    """Blocks that are not followed count as pointers: leaks may be missed, never invented."""
    report, _ = watch_reach("--max-live", "2048")
    require(report.document["sampled_one_in"] > 1, "all blocks were followed")
    for name, findings in sites(report, KEPT).items():
        for finding in findings:
            require(not finding["proof"], f"{name} has a proof: {finding['proof']}")
    require(any(f["proof"] for f in sites(report, {"lost_single"})["lost_single"]),
            "single lost blocks are not found any more")


@test()
def server():
    """The three sites of the server drop their pointers."""
    with Workload("leaky_server") as target, Observer(pid=target.pid) as observer:
        observer.wait_ready()
        target.phase("go")
        time.sleep(WATCH_S)
        report = observer.finish()
        check_unharmed(target, observer)
        target.phase("quiet")
        target.end()
    names = {"leak_site_a", "leak_site_b", "leak_site_c"}
    proved = {own_frame(f, {"leaky_server"}, names) for f in report.of("heap") if f["proof"]}
    require(proved == names, f"proofs at {proved}")


@test()
def asynchronous():
    """Asynchronous I/O keeps pointers in the kernel: nothing is proved then, and that told."""
    with Workload("reach", "--asynchronous") as workload, \
            Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        time.sleep(WATCH_S)
        report = observer.finish()
        workload.phase("quiet")
        workload.end()
    proved = [f for f in report.of("heap") if f["proof"]]
    require(not proved, "; ".join(map(describe, proved)))
    for name, findings in sites(report, {"lost_single"}).items():
        require("but the kernel may have some" in (findings[0]["state"] or ""),
                f"{name}: state {findings[0]['state']}")


def leaksanitizer_sites():
    """The sites of 1,000 steps at which LeakSanitizer finds leaks."""
    run = subprocess.run([workload_path("reach_lsan"), "--once", "1000"], capture_output=True,
                         text=True, check=False, timeout=60,
                         env={**os.environ, "LSAN_OPTIONS": "exitcode=23"})
    require(run.returncode == 23 and "Direct leak" in run.stderr,
            f"LeakSanitizer: status {run.returncode}: {run.stderr[:500]}")
    return set(re.findall(r" in ((?:lost|kept)_\w+) ", run.stderr))


@test()
def as_leaksanitizer():
    """What LeakSanitizer finds, but for pointers where it does not look: with a tag in the upper
    bits, in mappings of the program's own, kept by epoll, and on the stack at its exit."""
    report, _ = watch_reach()
    proved = {own_frame(f, {"reach"}, LOST | KEPT) for f in report.of("heap") if f["proof"]}
    theirs = leaksanitizer_sites()
    require(theirs - proved <= {"kept_tagged", "kept_by_kernel", "kept_in_mapping",
                               "kept_on_stack"} and not proved - theirs,
            f"LeakSanitizer: {sorted(theirs)}; here: {sorted(proved)}")
