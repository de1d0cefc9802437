# SPDX-License-Identifier: GPL-2.0-only
"""Recordings: kept, torn, damaged, judged again, compared."""

import json
import os
import random
import re
import signal
import subprocess
import tempfile

from harness import (DEADLINE_S, LEAKBPF, Observer, Report, Skip, Workload, check_conservation,
                     check_unharmed, own_frame, read_text, require, wait_for)
from registry import test
from tests_pprof import go_pprof

SITES = ("leak_site_a", "leak_site_b", "leak_site_c")
LARGE = 5000  # bytes: a recording with several polls


def run(*arguments, status=0):
    """Runs leakbpf; returns standard output and standard error."""
    result = subprocess.run([LEAKBPF, *arguments], stdin=subprocess.DEVNULL, timeout=DEADLINE_S,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    require(result.returncode == status, f"{arguments}: exit status {result.returncode}, not "
            f"{status}: {result.stderr.decode(errors='replace')}")
    return result.stdout, result.stderr.decode()


def report(path, *options):
    out, _ = run("report", path, "-f", "json", "--all-sites", *options)
    return Report(out.decode())


class Recording(Observer):
    """leakbpf record."""

    def __init__(self, path, pid, *options):
        super().__init__("record", "-p", str(pid), "-i", "0.2", "-o", path, *options)
        self.path = path

    def wait_bytes(self, wanted):
        wait_for(lambda: os.path.getsize(self.path) >= wanted, f"{wanted} bytes of recording")


def record_server(path, pauses=1, threads=2):
    """Records a leaky server from start to end; returns what it leaked at each site."""
    with Workload("leaky_server", str(threads)) as workload, \
            Recording(path, workload.pid) as recording:
        recording.wait_ready()
        for _ in range(pauses):
            before = os.path.getsize(path)
            workload.phase("go")
            recording.wait_bytes(before + LARGE // 2)
            workload.phase("quiet")
        recording.interrupt()
        recording.wait_end()
        check_unharmed(workload, recording)
        require("recorded" in recording.stderr(), "it does not say what was recorded")
        workload.end()
        return {site: workload.expectations["heap", site] for site in SITES}


@test(name="record.lost_stdout")
def lost_stdout():
    """A watch whose lines nobody reads any more still ends its recording in order."""
    with tempfile.TemporaryDirectory() as folder, Workload("leaky_server", "1") as workload:
        path = os.path.join(folder, "watch")
        command = [LEAKBPF, "watch", "-p", str(workload.pid), "-i", "0.2", "-d", "4", "--record",
                   path]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as watch:
            watch.stdout.readline()
            watch.stdout.close()
            require(watch.wait(DEADLINE_S) == 0, f"exit status {watch.returncode}")
        workload.end()
        _, told = run("report", path, "-f", "json")
        require("was not ended" not in told, told)


@test(name="record.replay")
def replay():
    """A watch that records and reports: the recording says the same, also without the target."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording")
        with Workload("leaky_server") as workload, \
                Observer("--record", path, pid=workload.pid, interval="0.3") as observer:
            observer.wait_ready()
            workload.phase("go")
            observer.wait_report(lambda r: r.flagged(("leaking",)), "a leak")
            workload.phase("quiet")
            live = observer.finish()
            check_unharmed(workload, observer)
            workload.end()
        again = report(path)
        for part in ("findings", "verdicts", "losses", "conservation", "targets", "polls",
                     "judged", "missed_children"):
            require(live.document[part] == again.document[part],
                    f"{part} differ: {live.document[part]}\n{again.document[part]}")
        check_conservation(again)
        require(again.flagged(("leaking",)), "the recording tells of no leak")
        check_points(path, again)


def check_points(path, whole):
    """Judged as of earlier points, it knows nothing of what came later."""
    first = report(path, "--at", "poll1").document
    require(first["polls"] == 1 and not first["judged"], "--at poll1")
    early = report(path, "--at", str(whole.document["duration_s"] / 2)).document
    require(1 < early["polls"] < whole.document["polls"], "--at half of the time")
    require(early["duration_s"] <= whole.document["duration_s"] / 2, "a later poll was read")
    late = report(path, "--at", "99999s").document
    require(late["findings"] == whole.document["findings"], "--at behind the end")


@test(name="record.killed")
def killed():
    """A recording that is killed keeps its polls, with names, and says that it did not end."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording")
        with Workload("leaky_server") as workload, Recording(path, workload.pid) as recording:
            recording.wait_ready()
            workload.phase("go")
            recording.wait_bytes(LARGE)
            recording.interrupt(signal.SIGKILL)
            recording.process.wait()
            workload.phase("quiet")
            check_unharmed(workload, recording)
            modules = {workload.name}
            workload.end()
        out, err = run("report", path, "-f", "json", "--all-sites")
        found = Report(out.decode())
        require(found.document["polls"] >= 5, f"{found.document['polls']} polls")
        require(err.count("\n") == 1 and "not ended in order" in err, f"stderr: {err!r}")
        named = {own_frame(f, modules, SITES) for f in found.findings}
        require(set(SITES) <= named, f"sites without names: {named}")
        require(not run("report", path, "-q")[1], "-q is not quiet")


@test(name="record.torn_and_flipped", timeout=400)
def torn_and_flipped():
    """Cut or changed anywhere: one sentence, and what comes before is read; else status 3."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording")
        record_server(path)
        with open(path, "rb") as file:
            whole = file.read()
        total = report(path).document["polls"]
        draw = random.Random(1)
        polls = [check_broken(folder, whole[:size], total)
                 for size in sorted(draw.sample(range(len(whole)), 40)) + [len(whole) - 1]]
        require(polls == sorted(polls) and polls[-1] == total and polls[0] == 0,
                f"polls of ever longer files: {polls}")
        for _ in range(40):
            at = draw.randrange(len(whole))
            broken = bytearray(whole)
            broken[at] ^= 1 << draw.randrange(8)
            check_broken(folder, bytes(broken), total)


def check_broken(folder, content, total):
    """Returns how many polls could be read."""
    path = os.path.join(folder, "broken")
    with open(path, "wb") as file:
        file.write(content)
    result = subprocess.run([LEAKBPF, "report", path, "-f", "json"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)
    err = result.stderr.decode()
    require(result.returncode in (0, 3), f"exit status {result.returncode}: {err}")
    require(re.fullmatch(r"leakbpf: [^\n]+\n", err), f"not one sentence: {err!r}")
    if result.returncode == 3:
        require(not result.stdout, "a report of nothing")
        return 0
    polls = Report(result.stdout.decode()).document["polls"]
    require(0 < polls <= total, f"{polls} polls of {total}")
    told = re.search(r": (\d+) of about (\d+) snapshots could be read", err)
    if told:
        require(int(told[1]) == polls and int(told[2]) > polls, err)
        require(re.search(r"(torn record|damaged) at byte \d+", err), err)
    else:
        require(f"all its {polls} snapshots" in err, err)
    return polls


def growth(path_before, path_after, *options):
    out, _ = run("diff", path_before, path_after, "-f", "json", *options)
    document = json.loads(out)
    require(document["schema"] == "leakbpf-diff/1", "schema")
    return document["changes"]


def at_site(changes, site):
    return [c for c in changes if own_frame(c, {"leaky_server"}, SITES) == site]


@test(name="record.diff_runs", timeout=300)
def diff_runs():
    """Two runs of one program, mapped at other addresses: the difference is what was leaked more."""
    if read_text("/proc/sys/kernel/randomize_va_space").strip() == "0":
        raise Skip("address randomisation is off")
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("before", "after")]
        leaked = [record_server(paths[0]), record_server(paths[1], pauses=2)]
        changes = growth(*paths)
        places = [{frame["address"] for finding in report(path).findings
                   for frame in finding["stack"]} for path in paths]
        require(not places[0] & places[1], "both runs had the same addresses")
        for site in SITES:
            found = at_site(changes, site)
            require(len(found) == 1, f"{site} is not one change: {found}")
            for name in ("count", "bytes"):
                require(found[0]["before_" + name] == leaked[0][site][name] and
                        found[0]["delta_" + name] ==
                        leaked[1][site][name] - leaked[0][site][name], f"{site}: {found}")
        others = [c for c in changes if not any(c in at_site(changes, s) for s in SITES)]
        require(not others, f"these did not change: {others}")
        require([c["delta_bytes"] for c in changes] ==
                sorted((c["delta_bytes"] for c in changes), reverse=True), "not sorted")
        require(not growth(paths[0], paths[0]), "a recording differs from itself")
        check_formats(folder, paths, changes)


def check_formats(folder, paths, changes):
    """The same numbers in every format."""
    grown = sorted(c["delta_bytes"] for c in changes if c["delta_bytes"] > 0)
    folded = run("diff", *paths, "-f", "folded")[0].decode().splitlines()
    require(sorted(int(line.rsplit(" ", 1)[1]) for line in folded) == grown, f"folded: {folded}")
    require(all(line.startswith("leaky_server;") for line in folded), f"not root first: {folded}")
    backwards = run("diff", paths[1], paths[0], "-f", "folded")[0].decode()
    require(not re.search(r" -", backwards), "negative numbers in folded stacks")
    pairs = run("diff", *paths, "--folded-diff")[0].decode().splitlines()
    sums = [[int(n) for n in line.rsplit(" ", 2)[1:]] for line in pairs]
    require(sum(b - a for a, b in sums) == sum(c["delta_bytes"] for c in changes), f"{pairs}")
    text = run("diff", *paths)[0].decode()
    require(all(site in text for site in SITES), f"text: {text}")
    svg = run("diff", *paths, "-f", "svg")[0].decode()
    require("<svg" in svg and "leak_site_c" in svg, "svg")
    profile = os.path.join(folder, "profile.pb.gz")
    run("diff", *paths, "-f", "pprof", "-o", profile)
    try:
        viewer = go_pprof()
    except Skip:
        print("note: there is no go: the profile was not read")
        return
    top = subprocess.run([*viewer, "-top", "-unit=B", profile], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         timeout=DEADLINE_S).stdout.decode()
    shown = sorted(int(n) for n in re.findall(r"^\s*(\d+)B .*leak_site_[abc]$", top, re.MULTILINE))
    require(shown == grown, f"pprof: {top}")


@test(name="record.diff_moments")
def diff_moments():
    """Two moments of one recording; backwards, what grew shrinks."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "recording")
        leaked = record_server(path)
        for site in SITES:
            found = at_site(growth(path + "@poll1", path), site)
            require(sum(c["delta_count"] for c in found) == leaked[site]["count"], f"{site}")
        middle = f"{path}@{report(path).document['duration_s'] / 2}"
        forwards, backwards = growth(middle, path), growth(path, middle + "s")
        require(forwards and sorted(c["delta_bytes"] for c in forwards) ==
                sorted(-c["delta_bytes"] for c in backwards), "backwards")
        for wrong in (path + "@x", path + "@-1", path + "@"):
            run("diff", wrong, path, status=3)


@test(name="record.refuses")
def refuses():
    """What exists is not overwritten, unless told so; what cannot be recorded to is said first."""
    with tempfile.TemporaryDirectory() as folder, Workload("leaky_server") as workload:
        pid = str(workload.pid)
        path = os.path.join(folder, "file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("precious")
        link = os.path.join(folder, "link")
        os.symlink(path, link)
        _, err = run("record", "-p", pid, "-d", "1", "-o", path, status=3)
        require("--force" in err and read_text(path) == "precious", f"overwritten: {err}")
        run("record", "-p", pid, "-d", "1", "-o", link, "--force", status=3)
        run("record", "-p", "999999999", "-o", path, "--force", status=3)
        require(read_text(path) == "precious", "overwritten in vain")
        fresh = os.path.join(folder, "fresh")
        run("record", "-p", "999999999", "-o", fresh, status=3)
        require(not os.path.exists(fresh), "an empty recording is left behind")
        run("record", "-p", pid, status=2)
        run("report", status=2)
        run("diff", path, status=2)
        run("report", path, status=3)
        out, err = run("record", "-p", pid, "-d", "0.5", "-i", "0.2", "-o", path, "--force", "-q")
        require(not out and not err, f"-q: {out!r} {err!r}")
        require(report(path).document["polls"] >= 2, "--force did not record")
        workload.end()
