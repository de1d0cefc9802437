# SPDX-License-Identifier: GPL-2.0-only
"""The behaviours that verdicts have to tell apart, in real programs and real time."""

import contextlib

from harness import Observer, Report, Workload, check_conservation, read_text, require
from registry import test

WATCH_S = 75
LEAKY = ("linear", "drip", "burst", "every_nth", "late_onset", "saw_tooth")
CLEAN = ("warm_up", "lru_cache", "arena", "pool", "ring", "flush", "ramp")


def own_functions(finding):
    return [frame["function"] for frame in finding["stack"]
            if (frame["module"] or "").endswith("/zoo")]


def line(name, finding):
    alert = finding["first_alert_s"]
    return (f"{name:18} {finding['verdict']:8} {(own_functions(finding) or ['?'])[0]:12} "
            f"{'-' if alert is None else f'{alert:.0f} s':>6}  {finding['why'] or ''}")


@test("zoo", timeout=240)
def zoo():
    """Every leaky one is leaking at its function, no clean one is."""
    wanted = [(name, how) for name in LEAKY for how in ("leak", "clean")]
    wanted += [(name, "clean") for name in CLEAN]
    with contextlib.ExitStack() as stack:
        programs = {row: stack.enter_context(Workload("zoo", *row)) for row in wanted}
        pids = [str(program.pid) for program in programs.values()]
        with Observer("-p", ",".join(pids[1:]), "-k", "heap", "-d", str(WATCH_S), pid=pids[0],
                      interval="1") as observer:
            observer.wait_ready()
            observer.wait_end(timeout=WATCH_S + 60)
            report = Report(read_text(observer.output))
        for row, program in programs.items():
            require(program.is_alive(), f"{row} has ended")
    check_conservation(report, in_flight=len(programs))
    print(f"{'program':18} {'verdict':8} {'function':12} {'alert':>6}  why")
    problems = []
    for (name, how), program in programs.items():
        findings = [finding for finding in report.of("heap", program.pid)
                    if finding["verdict"] in ("leaking", "growing")]
        for finding in findings:
            print(line(f"{name} {how}", finding))
        leaking = [finding for finding in findings if finding["verdict"] == "leaking"]
        if how == "leak" and not any(own_functions(finding)[:1] == [name] for finding in leaking):
            told = [line(name, finding) for finding in report.of("heap", program.pid)]
            problems.append(f"{name} is not found leaking: " + "; ".join(told))
        if how == "clean" and leaking:
            problems.append(f"{name} is clean, but: " + line(name, leaking[0]))
    require(not problems, "\n".join(problems))
