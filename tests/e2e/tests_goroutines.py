# SPDX-License-Identifier: GPL-2.0-only
"""Goroutines of running programs, against what their own runtime/pprof says of them."""

import glob
import json
import os
import re
import subprocess
import tempfile
import time

from harness import (LEAKBPF, SOURCES, Observer, Report, Skip, Workload,
                     check_conservation, read_text, require, wait_for)
from registry import test

WORKLOADS = os.path.join(SOURCES, "tests", "workloads", "go")
HOW = ("plain", "stripped", "pie", "pie_stripped", "cgo")


def release(version):
    """(1, 23) for "1.23"."""
    return tuple(map(int, version.split(".")))


def versions():
    """Go versions that workloads are built with, the oldest first: LEAKBPF_GO_RELEASES names them
    (1.19,1.23), or else all that are installed."""
    if os.environ.get("LEAKBPF_GO_RELEASES"):
        return os.environ["LEAKBPF_GO_RELEASES"].split(",")
    found = [re.fullmatch(r"/usr/lib/go-([0-9.]+)/bin/go", path)
             for path in glob.glob("/usr/lib/go-1.*/bin/go")]
    return sorted((match[1] for match in found if match), key=release) or ["none"]


def oldest_and_newest():
    """{version: version} of these two: for tests in which those between would show nothing new."""
    return {version: version for version in (versions()[0], versions()[-1])}


def go_workload(name, version, how="plain", env=None, arguments=()):
    if version == "none":
        raise Skip("no Go is installed (Debian: golang-1.19-go; golang-1.23-go of "
                   "bookworm-backports)")
    return Workload(f"{name}_{version}_{how}", *arguments, env=env)


def run(*arguments, status=0):
    """Runs leakbpf goroutines; returns standard output (or error output when it has to fail)."""
    done = subprocess.run([LEAKBPF, "goroutines", *map(str, arguments)], timeout=60, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    require(done.returncode == status, f"goroutines {arguments}: exit status {done.returncode}, "
            f"not {status}: {done.stderr[:2000]}")
    return done.stderr if status else done.stdout


def goroutines(pid, *options):
    return json.loads(run("-p", pid, "-f", "json", *options))


# --- what runtime/pprof says (debug=2) ---


def plain_name(function):
    """The name of a function without arguments and type arguments, of which there are two lists in a
    generic method of a generic type."""
    function = re.sub(r"\[(?!\.\.\.\]).*\]", "[...]", function)
    return function[:function.rindex("(")] if function.endswith(")") else function


def parse_place(line):
    match = re.fullmatch(r"\t(.*):(\d+)( \+0x[0-9a-f]+)?", line)
    require(match, f"not a place: {line!r}")
    return match[1], int(match[2])


def parse_goroutine(block):
    lines = block.strip().split("\n")
    head = re.fullmatch(r"goroutine (\d+)(?: gp=.*)? \[([^\]]*)\]:", lines[0])
    require(head, f"not the head of a goroutine: {lines[0]!r}")
    dumped = {"id": int(head[1]), "state": head[2].split(", ")[0], "stack": [],
              "creator": None, "parent": None}
    for name, place in zip(lines[1::2], lines[2::2]):
        match = re.fullmatch(r"created by (.*?)(?: in goroutine (\d+))?", name)
        if match:
            dumped["creator"] = (plain_name(match[1] + "()"), *parse_place(place))
            dumped["parent"] = int(match[2]) if match[2] else None
        else:
            dumped["stack"].append((plain_name(name), *parse_place(place)))
    return dumped


def dump(program, phase="dump"):
    """What the program itself says, in the file that the phase names: {id: goroutine}."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "dump")
        program.phase(f"{phase} {path}")
        blocks = read_text(path).strip().split("\n\n")
    return {goroutine["id"]: goroutine for goroutine in map(parse_goroutine, blocks)}


# --- the comparison ---


def frame_of(frame):
    return frame and (frame["function"], frame["file"], frame["line"])


def converted(seen):
    """The form of parse_goroutine() for one of leakbpf's."""
    return {"id": seen["id"], "state": seen["state"],
            "stack": [frame_of(frame) for frame in seen["stack"] or []],
            "creator": frame_of(seen["created_by"]), "parent": seen["parent_id"]}


def as_dumped(goroutine):
    """Dumps do not tell creators that are in the runtime: of what runs finalizers and cleanups."""
    creator = goroutine["creator"]
    if not creator or not creator[0].startswith("runtime."):
        return goroutine
    return {**goroutine, "creator": None, "parent": None}


def differences(dumped, seen):
    """In what goroutines differ from their own dump. Number 1 is the one that dumps."""
    wrong = []
    seen = {number: as_dumped(goroutine) for number, goroutine in seen.items()}
    if set(dumped) != set(seen):
        wrong.append(f"ids only dumped: {set(dumped) - set(seen)}, only seen: "
                     f"{set(seen) - set(dumped)}")
    for number in sorted(set(dumped) & set(seen) - {1}):
        for field, wanted in dumped[number].items():
            if seen[number][field] != wanted:
                wrong.append(f"goroutine {number}: {field}: {seen[number][field]}\n"
                             f"      dumped: {wanted}")
    return wrong


@test(over={f"{version}.{how}": (version, how) for version in versions() for how in HOW})
def kinds_of_goroutines(row):
    """Ids, states, stacks with lines and inlined frames, creators and parents are the same."""
    with go_workload("kinds", *row) as program:
        dumped = dump(program)
        document = goroutines(program.pid, "--all")
        seen = {g["id"]: converted(g) for g in document["goroutines"]}
        wrong = differences(dumped, seen)
        require(not wrong, "\n  ".join(["not what the program says:", *wrong]))
        require(len(seen) >= 37 and document["stackless_count"] == 0, f"too few: {len(seen)}")
        require(document["go_version"] == read_version(program), "another version")
        states = {g["state"] for g in seen.values()}
        require({"chan receive", "chan send", "select", "select (no cases)", "IO wait", "sleep",
                 "chan receive (nil chan)", "chan send (nil chan)", "syscall"} <= states,
                f"states: {states}")
        program.end()


def read_version(program):
    compiler = "/usr/lib/go-" + program.name.split("_")[1] + "/bin/go"
    return subprocess.run([compiler, "version"], check=True, capture_output=True,
                          text=True).stdout.split()[2]


def groups_of(pid, *options):
    return goroutines(pid, *options)["groups"]


@test("goroutine_groups", over={version: version for version in versions()})
def groups_and_filters(version):
    with go_workload("kinds", version) as program:
        waiters = groups_of(program.pid, "--with", "func=main.lockMutex")
        require(len(waiters) == 1 and waiters[0]["count"] == 3 and waiters[0]["waits_on"] and
                waiters[0]["waits_on_count"] == 3, f"waiters of the mutex: {waiters}")
        readers = groups_of(program.pid, "--with", "func=main.lockRead")
        require([g["count"] for g in readers] == [3], f"waiting readers: {readers}")
        children = groups_of(program.pid, "--with", "created-by=main.spawnChildren")
        require([g["count"] for g in children] == [3], f"children: {children}")
        labelled = groups_of(program.pid, "--with", "label=tenant=blue")
        require([g["longest"]["labels"] for g in labelled] == ["request=42, tenant=blue"],
                f"labelled: {labelled}")
        (many,) = groups_of(program.pid, "--with", "func=main.manyLabels")
        require(many["longest"]["labels"] == ", ".join(f"key{i}=value{i}" for i in range(10, 22)),
                f"many labels: {many}")
        everything = goroutines(program.pid)
        select = goroutines(program.pid, "--with", "state=select", "--all")["goroutines"]
        rest = goroutines(program.pid, "--without", "state=select", "--all")["goroutines"]
        require(len(select) == 2 and len(select) + len(rest) == everything["chosen_count"],
                f"{len(select)} + {len(rest)} of {everything['chosen_count']}")
        line = select[0]["stack"][0]["line"]
        at_line = goroutines(program.pid, "--all", "--with", f"file=main.go:{line}")["goroutines"]
        require([g["id"] for g in at_line] == [select[0]["id"]], f"at line {line}: {at_line}")
        total = everything["chosen_count"]
        coroutines = 2 if release(version) >= (1, 23) else 0  # in a file of their own
        for what, name, count in (("state", "chan send (nil chan)", 1),
                                  ("func", "main.lockMutex", 3),
                                  ("file", os.path.join(WORKLOADS, "kinds", "main.go"),
                                   total - coroutines),
                                  ("created-by", "main.spawnChildren", 3),
                                  ("label", "request=42, tenant=blue", 1)):
            groups = {g["name"]: g["count"] for g in groups_of(program.pid, "--group", what)}
            require(groups.get(name) == count and sum(groups.values()) == total,
                    f"by {what}: {groups}")
        system = goroutines(program.pid, "--system")
        require(system["chosen_count"] == system["goroutine_count"] > everything["chosen_count"],
                "the runtime's own are not shown with --system, or without it")
        text = run("-p", program.pid, "-n", "1")
        require(re.search(r"^3 \[.*\] 3 on 0x[0-9a-f]+\n#\t\S+\t/\S+:\d+$", text, re.M),
                f"text: {text}")
        program.end()


@test("goroutines_text", over={version: version for version in versions()})
def text_can_be_parsed(version):
    """--all has the form that tools for Go's own dumps read."""
    with go_workload("kinds", version) as program:
        text = run("-p", program.pid, "--all")
        parsed = [parse_goroutine(block) for block in text.strip().split("\n\n")]
        wanted = [converted(g) for g in goroutines(program.pid, "--all")["goroutines"]]
        require(parsed == wanted, f"text differs from JSON: {parsed[:2]} {wanted[:2]}")
        program.end()


@test("goroutines_age", over={version: version for version in versions()})
def age_before_we_came(version):
    """What the garbage collector finds waiting it notes to wait since its last run."""
    with go_workload("crowd", version) as program:
        program.phase("park 1000")
        program.phase("collect")
        time.sleep(1.2)
        program.phase("collect")
        (group,) = groups_of(program.pid, "--with", "func=main.parked")
        require(group["count"] == 1000 and 1 <= group["longest"]["waiting_s"] < 60,
                f"age of those parked: {group}")
        program.end()


@test("goroutines_crowd", timeout=300, alone=True, over={v: v for v in versions()})
def crowd(version):
    """100,000: all are there, few system calls, and the program's own timers are not late."""
    with go_workload("crowd", version) as program:
        program.phase("park 100000")
        wait_for(lambda: parked(program.pid)["count"] == 100000, "100,000 parked")
        program.start_phase("latency")
        program.wait_line("latency .*")
        program.wait_line("done latency")
        time.sleep(2)
        quiet = latency(program)
        start, rounds = time.monotonic(), 5
        for _ in range(rounds):
            document = goroutines(program.pid)
            require(document["table_calls"] <= 10, f"{document['table_calls']} system calls")
        seconds = (time.monotonic() - start) / rounds
        print(f"a whole run: {seconds:.2f} s, {document['table_calls']} + "
              f"{document['stack_calls']} system calls; timers late by (p50, p99, max us) "
              f"{quiet} before, {latency(program)} meanwhile")
        require(seconds < 10, f"one run took {seconds:.1f} s")
        program.end()


def latency(program):
    program.start_phase("latency")
    match = program.wait_line(r"latency (\d+) (\d+) (\d+)")
    program.wait_line("done latency")
    return tuple(int(group) for group in match.groups())


def parked(pid):
    (group,) = groups_of(pid, "--with", "func=main.parked", "--group", "func")
    return group


@test("goroutines_churn", timeout=900, over={v: v for v in versions()})
def churn(version):
    """While others come and go, those that stay are counted right and nothing odd is shown.

    LEAKBPF_CHURN_S says for how many seconds (10).
    """
    rounds, deadline = 0, time.monotonic() + float(os.environ.get("LEAKBPF_CHURN_S", "10"))
    with go_workload("crowd", version) as program:
        program.phase("park 20000")
        wait_for(lambda: parked(program.pid)["count"] == 20000, "20,000 parked")
        program.phase("churn 8")
        known = re.compile(r"main\.(parked|spawner(\..*)?|shortLived|measureLatency)|runtime\.main")
        while time.monotonic() < deadline or rounds < 5:
            rounds += 1
            require(parked(program.pid)["count"] == 20000, f"parked: {parked(program.pid)}")
            document = goroutines(program.pid, "--all", "--without", "func=main.parked")
            require(document["unreadable_count"] < 50, f"unreadable: {document}"[:300])
            starts = {g["start"]["function"] for g in document["goroutines"]}
            require(all(map(known.fullmatch, starts)), f"started as {starts}")
            odd = [g for g in document["goroutines"]
                   if g["stack"] and not g["stack_complete"]]
            require(not odd, f"incomplete stacks: {odd[:2]}")
        print(f"{rounds} rounds")
        program.end()


@test("goroutines_in_library", over={v: v for v in versions()})
def library(version):
    """Go code in a shared library of a C program."""
    with go_workload("library", version, "host") as program:
        document = goroutines(program.pid, "--group", "func")
        counts = {group["name"]: group["count"] for group in document["groups"]}
        require(counts["main.waitFor"] == 7 and counts["main.CallBack"] == 1, f"{counts}")
        require(document["go_version"].startswith("go" + version), document["go_version"])
        for group in document["groups"]:
            for frame in group["longest"]["stack"]:
                require(frame["module"].endswith(f"liblibrary_{version}.so"), f"{frame}")
        program.end()


@test("goroutines_refused")
def refused():
    """What is no Go program, or no program, gets one sentence."""
    with subprocess.Popen(["sleep", "100"]) as sleeper:
        try:
            wait_for(lambda: os.readlink(f"/proc/{sleeper.pid}/exe").endswith("sleep"), "sleep")
            text = run("-p", sleeper.pid, status=3)
            require(re.fullmatch(r"leakbpf: PID \d+ \(sleep\) is no Go program: .*\n", text), text)
        finally:
            sleeper.kill()
    require(run("-p", 1 << 30, status=3).startswith("leakbpf: no process"), "no such process")
    for arguments in ((), ("-p", "x"), ("-p", "1", "--with", "state"), ("-p", "1", "--group", "y"),
                      ("-p", "1", "-f", "html"), ("-p", "1", "--all", "-f", "pprof"),
                      ("-p", "1", "--group", "state", "-f", "folded"), ("-p", "1", "more")):
        run(*arguments, status=2)


@test("goroutines_closed_pipe")
def closed_pipe():
    """Nothing is said, and nothing has failed, when the reader has seen enough."""
    with go_workload("kinds", versions()[-1]) as program:
        for command in (("goroutines", "-p", str(program.pid)), ("ps",)):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([LEAKBPF, *command], stdout=writer, stderr=subprocess.PIPE,
                                  timeout=60, check=False)
            os.close(writer)
            require((done.returncode, done.stderr) == (0, b""), f"{command}: {done}")
        program.end()


# --- as part of a watch ---

STUCK = "tests/workloads/go/stuck/main.go"


def stuck_line(name):
    """The line marked "LEAK name" in the program."""
    lines = read_text(os.path.join(SOURCES, STUCK)).split("\n")
    (number,) = [i for i, line in enumerate(lines, 1) if line.endswith(f"// LEAK {name}")]
    return number


def watch_stuck(version, *arguments, seconds=12, fewest=0):
    """What leakbpf says of goroutines of the program "stuck" after so many seconds."""
    with go_workload("stuck", version, arguments=arguments) as program:
        with Observer("-k", "goroutine", "-d", str(seconds), pid=program.pid,
                      interval="1") as observer:
            observer.wait_end(timeout=seconds + 30)
            report = Report(read_text(observer.output))
        require(program.is_alive(), "the program has ended")
    check_conservation(report)
    require(len(report.of("goroutine")) >= fewest, f"too few findings: {report.text}"[:600])
    target = report.document["targets"][0]
    require(target["runtime"] == "go" and target["go_version"].startswith(f"go{version}"),
            f"target: {target}")
    return report


def finding_at(report, name, function):
    """The finding whose innermost own frame is at the marked line of the function."""
    line, hits = stuck_line(name), []
    for finding in report.of("goroutine"):
        own = [f for f in finding["stack"] if (f["function"] or "").startswith("main.")]
        if own and own[0]["line"] == line and own[0]["function"] == function:
            hits.append(finding)
    require(len(hits) == 1, f"{name}: {len(hits)} findings at {function}:{line}: "
            f"{report.text}"[:2000])
    return hits[0]


MARKED = oldest_and_newest()


@test("goroutine_leak", timeout=120, over=MARKED)
def leak_in_watch(version):
    """Growing at the line where they stay, with the go statement; the repaired twin is clean."""
    finding = finding_at(watch_stuck(version, "leak"), "abandon", "main.abandon.func1")
    require(finding["verdict"] in ("leaking", "growing") and finding["state"] == "chan send" and
            finding["live_count"] > 500 and finding["closed_count"] == 0, f"{finding}")
    last = finding["stack"][-1]
    require(last["function"] == "created by main.abandon" and last["file"].endswith("main.go"),
            f"creator: {last}")
    for twin in ("fixed", "busy"):
        flagged = watch_stuck(version, twin, fewest=1).flagged()
        require(not flagged, f"{twin}: {flagged}")


@test("goroutine_before", timeout=60, over=MARKED)
def stuck_before(version):
    """What was stuck before we came is there, with the channel that all of them wait for."""
    report = watch_stuck(version, "before", "400", seconds=3)
    finding = finding_at(report, "waitForOne", "main.waitForOne.func1")
    require(finding["live_count"] == finding["opened_count"] == 400, f"{finding}")
    require(re.fullmatch(r"chan receive \(one channel 0x[0-9a-f]+\)", finding["state"]),
            f"state: {finding['state']}")
    require(not report.flagged(), f"flagged: {report.flagged()}")


@test("goroutine_certain", timeout=60, over=MARKED)
def certain(version):
    """Nil channels and several empty selects need no history: a few polls."""
    report = watch_stuck(version, "nil", seconds=4)
    for name, function in (("nilSend", "main.waitForNothing.func1"),
                           ("nilReceive", "main.waitForNothing.func2"),
                           ("emptySelect", "main.waitForNothing.func3")):
        finding = finding_at(report, name, function)
        require(finding["verdict"] == "leaking", f"{name}: {finding}")
    require(len(report.flagged()) == 3, f"flagged: {report.flagged()}")


@test("ps", over=MARKED)
def process_list(version):
    """Go programs with version, path and goroutines; others with their allocator."""
    with go_workload("stuck", version, arguments=["before", "100"]) as program, \
            Workload("threads") as native:
        result = subprocess.run([LEAKBPF, "ps", "-f", "json"], check=True, capture_output=True,
                                text=True, timeout=60)
        document = json.loads(result.stdout)
        rows = {row["pid"]: row for row in document["processes"]}
        sizes = [row["rss_bytes"] for row in document["processes"]]
        require(sizes == sorted(sizes, reverse=True) and sizes, "not sorted by memory")
        go, other = rows[program.pid], rows[native.pid]
        require(go["runtime"] == "go" and go["go_version"] == read_version(program) and
                go["goroutine_count"] == 101 and go["go_path"].endswith("/stuck") and
                go["thread_count"] > 1 and go["fd_count"] > 2, f"Go: {go}")
        require(other["runtime"] == "native" and other["allocators"] == ["glibc"] and
                other["goroutine_count"] is None and other["go_path"] is None, f"C: {other}")
        only = json.loads(subprocess.run([LEAKBPF, "ps", "-g", "-f", "json"], check=True,
                                         capture_output=True, text=True, timeout=60).stdout)
        require({row["runtime"] for row in only["processes"]} == {"go"}, "not only Go")
        text = subprocess.run([LEAKBPF, "ps"], check=True, capture_output=True, text=True,
                              timeout=60).stdout
        require(re.search(rf"^ *{program.pid} .* 101 +go{version}\S* .*stuck", text, re.M), text)


def ring_at(report, *functions):
    """One goroutine in each of the functions, at its marked line, is said to be in a ring."""
    for function in sorted(set(functions)):
        line, wanted = stuck_line(function), functions.count(function)
        found = [f for f in report.of("goroutine") if any(
            frame["function"] == f"main.{function}" and frame["line"] == line
            for frame in f["stack"])]
        require(sum(f["live_count"] for f in found) == wanted,
                f"not {wanted} at {function}:{line}: {report.text}"[:2000])
        for finding in found:
            require(finding["verdict"] == "leaking" and re.match(
                r"likely a deadlock: goroutine \d+ waits for the mutex at 0x",
                finding["why"] or ""), f"{function}: {finding}")


@test("goroutine_deadlock", timeout=240, over=MARKED)
def deadlock(version):
    """Two that hold what the other one wants are told; those that take turns, or wait for one that
    holds a lock for long, or waits for such a one, are not."""
    ring_at(watch_stuck(version, "deadlock", seconds=11), "transfer", "transfer")
    for twin in ("contended", "held", "queued"):
        report = watch_stuck(version, twin, seconds=11, fewest=1)
        alarming = report.flagged(("leaking", "growing", "suspect"))
        require(not alarming, f"{twin}: {alarming}")


@test("goroutine_deadlock_rwmutex", timeout=240, over=MARKED)
def deadlock_rwmutex(version):
    """So are one that writes under a sync.RWMutex and waits for a sync.Mutex, and the one that
    holds this and waits to read, or to write as well; also when the first one has only the address
    of the object that both mutexes are part of."""
    ring_at(watch_stuck(version, "reader", seconds=11), "rewrite", "lookUp")
    ring_at(watch_stuck(version, "writer", seconds=11), "rewrite", "enter")
    ring_at(watch_stuck(version, "object", seconds=11), "(*store).refill", "(*store).inspect")
