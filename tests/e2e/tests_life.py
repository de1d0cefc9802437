# SPDX-License-Identifier: GPL-2.0-only
"""Beginnings and ends: of targets, of their images and children, of the observer."""

import os
import signal

from harness import (Observer, Report, Workload, check_conservation, check_expectations,
                     check_unharmed, observe, observe_together, read_text, require,
                     text_differences, wait_for, workload_path)
from registry import test


@test(over={"exit": None, "killed": signal.SIGKILL})
def target_exits(signal_number):
    """The target ends in mid-watch: the observer ends too, with names and counts."""
    with Workload("leaky_server") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        workload.phase("quiet")
        if signal_number:
            os.kill(workload.pid, signal_number)
            workload.process.wait()
        else:
            workload.end()
        observer.wait_end()
        report = Report(read_text(observer.output))
        check_expectations(report, workload)
        check_conservation(report)


@test()
def target_execs():
    """The target replaces its image: the new one is watched, what the old one had is gone."""
    with Workload("execer") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        workload.start_phase("exec")
        workload.wait_line(rf"ready {workload.pid}")
        observer.wait_report(
            lambda report: report.document["targets"][0]["allocators"] and not
            sum(f["live_count"] for f in report.at("heap", "leak_before_exec", {"execer"})),
            "the new image to be watched")
        workload.phase("go")
        report = observer.finish()
        workload.expectations["heap", "leak_before_exec"].update(count=0, bytes=0)
        check_expectations(report, workload)
        check_conservation(report)
        check_unharmed(workload, observer)
        workload.end()


def fork_child(workload, phase="fork"):
    workload.phase(phase)
    return int(next(line for line in workload.lines if line.startswith("CHILD ")).split()[1])


def wait_watched(observer, child):
    observer.wait_report(
        lambda report: any(target["pid"] == child and target["allocators"]
                           for target in report.document["targets"]), "the child to be watched")


@test(name="fork.ignored")
def fork_ignored():
    """Without --follow a child is not counted and does not go on paying for our breakpoints."""
    with Workload("forker") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        child = fork_child(workload)
        wait_for(lambda: not text_differences(child), "the child's text to be clean")
        workload.phase("child")
        workload.phase("parent")
        require(text_differences(workload.pid), "the parent is no longer watched")
        report = observer.finish()
        require(not report.of(pid=child), "the child was counted")
        del workload.expectations["heap", "leak_in_child"]
        check_expectations(report, workload)
        check_conservation(report)
        check_unharmed(workload, observer)
        workload.phase("reap")
        workload.end()


@test(name="fork.followed")
def fork_followed():
    """With --follow parent and child are counted each for itself."""
    with Workload("forker") as workload, Observer("--follow", pid=workload.pid) as observer:
        observer.wait_ready()
        child = fork_child(workload)
        wait_watched(observer, child)
        workload.phase("child")
        workload.phase("parent")
        report = observer.finish()
        wanted = dict(workload.expectations)
        workload.expectations = {("heap", "leak_in_child"): wanted["heap", "leak_in_child"]}
        check_expectations(report, workload, pid=child)
        workload.expectations = {("heap", "leak_in_parent"): wanted["heap", "leak_in_parent"]}
        check_expectations(report, workload, pid=workload.pid)
        require({t["pid"] for t in report.document["targets"]} == {workload.pid, child},
                "the report does not name both targets")
        check_conservation(report)
        check_unharmed(workload, observer)
        require(not text_differences(child), "breakpoints left in the child")
        workload.phase("reap")
        workload.end()


@test(name="fork.daemon")
def fork_daemon():
    """With --follow a grandchild is watched, too, though it was born before its parent was."""
    with Workload("forker") as workload, Observer("--follow", pid=workload.pid) as observer:
        observer.wait_ready()
        daemon = fork_child(workload, "daemon")
        wait_watched(observer, daemon)
        workload.phase("child")
        report = observer.finish()
        check_expectations(report, workload, pid=daemon)
        check_conservation(report)
        check_unharmed(workload, observer)
        require(not text_differences(daemon), "breakpoints left in the daemon")
        workload.end()


@test(name="fork.storm", over={"ignored": (), "followed": ("--follow",)})
def fork_storm(options):
    """300 children that come and go do no harm to the count of the parent."""
    with Workload("forker") as workload:
        report = observe(workload, "storm 300", "parent", options=options)
        check_expectations(report, workload, pid=workload.pid)
        if not options:
            require(not [f for f in report.findings if f["pid"] != workload.pid],
                    "children were counted")
        workload.end()


@test(over={"own_allocator": "plugin_own.so", "prefixed": "plugin_prefixed.so"})
def late_library(name):
    """A library with an allocator of its own, loaded after we attached."""
    plugin = workload_path(name)
    # jemalloc wants more thread-local storage than a late library gets by default.
    env = {"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=16384"}
    with Workload("dlopener", plugin, env=env) as workload, \
            Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("own")
        workload.phase("load")
        observer.wait_report(
            lambda report: "jemalloc" in report.document["targets"][0]["allocators"],
            "the late library to be probed")
        require(any(name in path for path, _ in text_differences(workload.pid)),
                "no probe in the late library")
        workload.phase("work")
        report = observer.finish()
        check_expectations(report, workload, modules={"dlopener", name})
        check_conservation(report)
        check_unharmed(workload, observer)
        workload.end()


# --- the observer's own end ---


@test(over={"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP})
def final_report(signal_number):
    with Workload("apis") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        observer.interrupt(signal_number)
        observer.wait_end()
        check_expectations(Report(read_text(observer.output)), workload)
        check_unharmed(workload, observer)
        workload.end()


@test()
def duration():
    """-d ends the watch by itself."""
    with Workload("apis") as workload, Observer("-d", "3", pid=workload.pid) as observer:
        observer.wait_ready()
        observer.wait_end()
        report = Report(read_text(observer.output))
        seconds = report.document["duration_s"]
        require(3 <= seconds < 30, f"watched {seconds} s instead of 3")
        check_unharmed(workload, observer)
        workload.end()


@test()
def second_interrupt():
    """A second Ctrl-C quits at once and leaves nothing either."""
    with Workload("stacks") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go 20000")
        observer.interrupt()
        while observer.process.poll() is None:
            observer.interrupt()
            try:
                observer.process.wait(0.05)
            except Exception:  # still on its way
                continue
        require(observer.process.returncode in (0, 3, 130, -signal.SIGINT),
                f"exit status {observer.process.returncode}")
        observer.wait_gone()
        wait_for(lambda: not text_differences(workload.pid), "the target's text to be clean")
        workload.end()


@test(over={mode: mode for mode in ("session", "multi", "perf")})
def observer_killed(mode):
    """SIGKILL of the observer leaves nothing in the kernel nor in the target."""
    with Workload("leaky_server") as workload, \
            Observer("--attach", mode, pid=workload.pid) as observer:
        observer.wait_ready()
        workload.phase("go")
        require(text_differences(workload.pid), "no probe is to be seen in the target")
        observer.interrupt(signal.SIGKILL)
        observer.process.wait()
        observer.wait_gone()
        wait_for(lambda: not text_differences(workload.pid), "the target's text to be clean")
        workload.phase("quiet")
        workload.end()


@test()
def observer_stopped():
    """An observer that sleeps for a while has lost nothing."""
    with Workload("apis") as workload, Observer(pid=workload.pid) as observer:
        observer.wait_ready()
        os.kill(observer.process.pid, signal.SIGSTOP)
        workload.phase("go")
        workload.phase("threads")
        os.kill(observer.process.pid, signal.SIGCONT)
        report = observer.finish()
        check_expectations(report, workload)
        check_conservation(report)
        check_unharmed(workload, observer)
        workload.end()


@test()
def two_observers():
    """Two observers of one target both count everything, and neither the other's."""
    with Workload("apis") as workload, Observer(pid=workload.pid) as first, \
            Observer(pid=workload.pid) as second:
        first.wait_ready()
        second.wait_ready()
        workload.phase("go")
        for observer in (first, second):
            report = observer.finish()
            check_expectations(report, workload)
            check_conservation(report)
        check_unharmed(workload, second)
        workload.end()


def unwind_of(*workloads):
    """What the unwind tables of these processes cost, watched by one observer."""
    report = observe_together(*workloads)
    for workload in workloads:
        check_expectations(report, workload, pid=workload.pid)
    return report.document["unwind"]


@test()
def shared_tables():
    """Two processes that run the same files need the unwind tables once."""
    with Workload("apis") as one:
        alone = unwind_of(one)
    with Workload("apis") as one, Workload("apis") as other:
        both = unwind_of(one, other)
    print(f"alone: {alone}; both: {both}")
    require(alone["tables"] > 1 and both["tables"] == alone["tables"] and
            both["table_bytes"] == alone["table_bytes"], "tables are not shared")


@test()
def two_targets():
    """One observer of two processes keeps them apart."""
    with Workload("apis") as one, Workload("apis_jemalloc") as other, \
            Observer(pid=f"{one.pid},{other.pid}") as observer:
        observer.wait_ready()
        one.phase("go")
        other.phase("go")
        report = observer.finish()
        check_expectations(report, one, pid=one.pid)
        check_expectations(report, other, pid=other.pid)
        check_conservation(report)
        for workload in (one, other):
            check_unharmed(workload, observer)
            workload.end()
