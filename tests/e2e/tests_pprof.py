# SPDX-License-Identifier: GPL-2.0-only
"""Profiles and folded stacks, read by the tools they are made for."""

import glob
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
import xml.etree.ElementTree

from harness import (DEADLINE_S, LEAKBPF, SOURCES, WORKLOADS, Observer, Skip, Workload,
                     check_unharmed, require, wait_for, workload_path)
from registry import test

SITES = ("leak_site_a", "leak_site_b", "leak_site_c")
HEAP = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"),
        ("inuse_space", "bytes")]
FLAMEGRAPH = "/usr/share/perl5/Devel/NYTProf/flamegraph.pl"


def go():
    """The newest Go."""
    found = sorted(glob.glob("/usr/lib/go-1.*/bin/go"), key=lambda path: [
        int(number) for number in re.findall(r"\d+", path)])
    path = found[-1] if found else shutil.which("go")
    if not path:
        raise Skip("no Go is installed (Debian: golang-1.23-go of bookworm-backports)")
    return path


def go_pprof():
    """The command of the newest one, which is built with the workloads: since Go 1.25 it does not
    come with Go, and "go tool pprof" would build it, for minutes."""
    path = os.path.abspath(os.path.join(WORKLOADS, "pprof"))
    return (path,) if os.access(path, os.X_OK) else (go(), "tool", "pprof")


def run(*command):
    environment = {**os.environ, "PPROF_NO_BROWSER": "1", "PPROF_TMPDIR": tempfile.gettempdir()}
    done = subprocess.run(command, timeout=DEADLINE_S, check=False, stdin=subprocess.DEVNULL,
                          capture_output=True, env=environment)
    require(done.returncode == 0, f"{command}: exit status {done.returncode}: {done.stderr!r}")
    return done.stdout.decode()


def pprof(*arguments):
    return run(*go_pprof(), *arguments)


def top(*arguments):
    """function -> flat value, in the order of -top."""
    text = pprof("-top", "-nodecount=0", "-nodefraction=0", "-unit=B", *arguments)
    rows = re.findall(r"^ *(-?[\d.]+)B? +\S+% +\S+% +-?[\d.]+B? +\S+% +(.*)$", text, re.M)
    require(rows, f"no rows: {text}")
    return {re.sub(r" \((partial-)?inline\)", "", name): int(float(flat)) for flat, name in rows}


def nonzero(flat):
    return {name: count for name, count in flat.items() if count}


def leaked(workload, what="bytes"):
    """What the server says it has left, by site."""
    return {site: workload.expectations["heap", site][what] for site in SITES}


def work(workload):
    """Lets the server work until it has left something more at every site."""
    before = leaked(workload) if workload.expectations else dict.fromkeys(SITES, 0)

    def has_leaked():
        workload.phase("go")
        workload.phase("quiet")
        return all(size > before[site] for site, size in leaked(workload).items())
    wait_for(has_leaked, "the leaks")


class Profile:
    """Watches the workload at its work, and keeps the report as a file."""

    def __init__(self, workload, do=work, form="pprof"):
        self.file = tempfile.NamedTemporaryFile(prefix="leakbpf-e2e-", suffix=".pb.gz")
        self.path = self.file.name
        with Observer(pid=workload.pid, form=form, all_sites=False) as observer:
            observer.wait_ready()
            do(workload)
            observer.interrupt()
            observer.wait_end()
            check_unharmed(workload, observer)
            shutil.copy(observer.output, self.path)


def go_once(workload):
    workload.phase("go")


def require_equal(found, wanted, what):
    require(found == wanted, f"{what}: {found}, not {wanted}")


@test(name="pprof.top")
def pprof_top():
    """The leaks are on top with the bytes and objects that the program has left there."""
    with Workload("leaky_server") as workload:
        profile = Profile(workload)
        flat = top(profile.path)
        require_equal(next(iter(flat)), max(SITES, key=leaked(workload).get), "top")
        require_equal({site: flat[site] for site in SITES}, leaked(workload), "inuse_space")
        flat = top("-sample_index=inuse_objects", profile.path)
        require_equal({site: flat[site] for site in SITES}, leaked(workload, "count"),
                      "inuse_objects")
        require(top("-sample_index=alloc_space", profile.path)["build_reply"] > 0,
                "what was freed is not in alloc_space")
        require_equal(top("-tagfocus=kind=heap", "-tagfocus=comm=leaky_server", profile.path),
                      top(profile.path), "by label")
        text = pprof("-top", profile.path)
        require("File: leaky_server\n" in text, f"not the program: {text}")
        build_id = re.search(r"Build ID: ([0-9a-f]+)\n", run("readelf", "-n", workload.path))
        require(not build_id or f"Build ID: {build_id[1]}\n" in text, f"build-id: {text}")
        require(f"PID {workload.pid} (leaky_server), watched" in pprof("-comments", profile.path),
                "no comment")
        workload.end()


@test(name="pprof.base")
def pprof_base():
    """The difference of two profiles is what has grown."""
    with Workload("leaky_server") as workload, \
            Observer(pid=workload.pid, form="pprof", all_sites=False) as observer, \
            tempfile.TemporaryDirectory() as folder:
        before = os.path.join(folder, "before.pb.gz")
        observer.wait_ready()
        work(workload)
        first = leaked(workload)
        observer.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(observer.output), "the report asked for by SIGUSR1")
        shutil.copy(observer.output, before)
        work(workload)
        observer.interrupt()
        observer.wait_end()
        grown = {site: size - first[site] for site, size in leaked(workload).items()}
        for option in ("-base", "-diff_base"):
            flat = top(option, before, observer.output)
            require_equal(next(iter(flat)), max(grown, key=grown.get), option)
            require_equal({site: flat[site] for site in SITES}, grown, option)
        workload.end()


@test(name="pprof.go_heap")
def pprof_go_heap():
    """It can be compared and merged with the heap profile of a Go program."""
    version = re.search(r"go-(1\.\d+)", go())
    program = workload_path(f"heapprofile_{version[1] if version else 'none'}_plain")
    with Workload("leaky_server") as workload, tempfile.TemporaryDirectory() as folder:
        own, merged = os.path.join(folder, "own.pb.gz"), os.path.join(folder, "merged.pb.gz")
        run(program, own)
        profile = Profile(workload)
        for index, what in (("inuse_space", "bytes"), ("inuse_objects", "count")):
            kept = top(f"-sample_index={index}", own)["main.keepBlocks"]
            flat = top(f"-sample_index={index}", "-diff_base", own, profile.path)
            require_equal(flat["main.keepBlocks"], -kept, index)
            require_equal({site: flat[site] for site in SITES}, leaked(workload, what), index)
        pprof("-proto", f"-output={merged}", own, profile.path, profile.path)
        require_equal({site: size // 2 for site, size in top(merged).items() if site in SITES},
                      leaked(workload), "merged")
        workload.end()


@test(name="pprof.goroutines")
def pprof_goroutines():
    """One look at all goroutines, as a profile of goroutines per stack."""
    version = re.search(r"go-(1\.\d+)", go())
    with Workload(f"kinds_{version[1] if version else 'none'}_plain") as workload, \
            tempfile.TemporaryDirectory() as folder:
        path, look = os.path.join(folder, "goroutine.pb.gz"), (LEAKBPF, "goroutines", "-p",
                                                               str(workload.pid))
        run(*look, "-f", "pprof", "-o", path)
        counts, receivers = {}, {}
        for group in json.loads(run(*look, "-f", "json"))["groups"]:
            stack = group["longest"]["stack"]
            name = stack[0]["function"] if stack else "[unknown]"
            counts[name] = counts.get(name, 0) + group["count"]
            if group["longest"]["state"] == "chan receive":
                receivers[name] = receivers.get(name, 0) + group["count"]
        require_equal(nonzero(top(path)), counts, "goroutines by innermost function")
        require_equal(nonzero(top("-tagfocus=state=^chan receive$", path)), receivers, "receivers")
        require("Type: goroutine\n" in pprof("-top", path), "not of goroutines")
        folded = [line.rsplit(" ", 1) for line in run(*look, "-f", "folded").splitlines()]
        require_equal(sum(int(count) for _, count in folded), sum(counts.values()), "folded")
        workload.end()


def fetch(url):
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        return answer.read().decode()


@test(name="pprof.http")
def pprof_http():
    """The viewer shows it."""
    with Workload("leaky_server") as workload:
        profile = Profile(workload)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        command = [*go_pprof(), "-no_browser", f"-http={address}", profile.path]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, start_new_session=True) as viewer:
            def answers():
                require(viewer.poll() is None, "the viewer ended")
                try:
                    return fetch(f"http://{address}/ui/flamegraph")
                except urllib.error.URLError:
                    return None
            try:
                page = wait_for(answers, "the viewer")
                require("leak_site_c" in page and "worker_main" in page, "no flame graph")
                require("leak_site_c" in fetch(f"http://{address}/ui/top?si=inuse_objects"), "top")
                require("leaky_server.c" in fetch(f"http://{address}/ui/peek?f=leak_site_a"),
                        "no file names")
            finally:
                os.killpg(viewer.pid, signal.SIGKILL)
        workload.end()


# --- an independent reader ---


def parse_text(lines):
    """protobuf's text format as {field: [value]}."""
    message = {}
    for line in lines:
        line = line.strip()
        if line == "}":
            break
        if line.endswith("{"):
            name, value = line[:-1].strip(), parse_text(lines)
        else:
            name, value = line.split(": ", 1)
            value = value[1:-1] if value.startswith('"') else value == "true" or (
                0 if value == "false" else int(value))
        message.setdefault(name, []).append(value)
    return message


def decode(profile):
    """The profile as protoc reads it."""
    protoc, folder = shutil.which("protoc"), os.path.join(SOURCES, "user", "report")
    if not protoc:
        raise Skip("no protoc is installed (Debian: protobuf-compiler)")
    packed = subprocess.run(["gzip", "-dc", profile.path], check=True, capture_output=True).stdout
    text = subprocess.run([protoc, f"--proto_path={folder}",
                           "--decode=perftools.profiles.Profile", "profile.proto"], input=packed,
                          check=True, capture_output=True).stdout.decode()
    require(not re.search(r"^\s*\d", text, re.M), f"unknown fields: {text[:2000]}")
    return parse_text(iter(text.splitlines()))


@test(name="pprof.contract")
def pprof_contract():
    """What strict readers want: ids from 1 up without a gap, all references lead somewhere."""
    with Workload("leaky_server") as workload:
        maps = {}
        with open(f"/proc/{workload.pid}/maps", encoding="utf-8") as file:
            for line in file:
                fields = line.split()
                start, end = (int(part, 16) for part in fields[0].split("-"))
                maps[start] = (end, int(fields[2], 16), fields[-1])
        message = decode(Profile(workload))
        strings = message["string_table"]
        require_equal(strings[0], "", "first string")
        require_equal(len(set(strings)), len(strings), "strings that differ")
        types = [(strings[t["type"][0]], strings[t["unit"][0]]) for t in message["sample_type"]]
        require_equal(types, HEAP, "types of samples")
        for table in ("mapping", "location", "function"):
            ids = [entry["id"][0] for entry in message[table]]
            require_equal(ids, list(range(1, len(ids) + 1)), f"ids of {table}")
        for mapping in message["mapping"]:
            start = mapping["memory_start"][0]
            require_equal((mapping["memory_limit"][0], mapping.get("file_offset", [0])[0],
                           strings[mapping["filename"][0]]), maps.get(start), f"{start:x}")
            require(mapping["has_functions"][0], "no functions")
        require(strings[message["mapping"][0]["filename"][0]] == workload.path, "first mapping")
        for location in message["location"]:
            mapping = message["mapping"][location["mapping_id"][0] - 1]
            require(mapping["memory_start"][0] <= location["address"][0] <
                    mapping["memory_limit"][0], f"out of its mapping: {location}")
            for line in location["line"]:
                require(1 <= line["function_id"][0] <= len(message["function"]), f"{line}")
        for sample in message["sample"]:
            require_equal(len(sample["value"]), len(types), "values")
            require(all(1 <= at <= len(message["location"]) for at in sample["location_id"]),
                    f"{sample}")
            labels = {strings[label["key"][0]]: label for label in sample["label"]}
            require_equal(set(labels), {"comm", "kind", "verdict", "pid"}, "labels")
            require_equal(labels["pid"].get("num"), [workload.pid], "pid")
            require_equal(strings[labels["comm"]["str"][0]], "leaky_server", "comm")
        workload.end()


@test(name="pprof.inlined")
def pprof_inlined():
    """Inlined functions are there, and allocators are in no flat value."""
    with Workload("inlined") as workload:
        profile = Profile(workload, go_once)
        wanted = workload.expectations["heap", "fill"]["bytes"]
        name, flat = next(iter(top(profile.path).items()))
        require("take_from_shelf" in name and flat == wanted, f"top: {name} {flat}")
        raw = pprof("-raw", profile.path)
        require(re.search(r"take_from_shelf .*inlined\.cpp:\d+.*\n +\S*basket\S*fill ", raw),
                f"not inlined into fill: {raw}")
        workload.end()
    with Workload("operators") as workload:
        profile = Profile(workload, go_once)
        require("operator new(unsigned long)" in pprof("-raw", profile.path), "not even seen")
        flat = top(profile.path)
        require(not any("operator new" in name for name in flat), f"allocators: {flat}")
        require("leak_new" in str(flat), f"not charged to the caller: {flat}")
        workload.end()


@test(name="pprof.terminal")
def pprof_terminal():
    """Binary data is not thrown at a terminal."""
    master, slave = pty.openpty()
    done = subprocess.run([LEAKBPF, "-p", "1", "-f", "pprof"], stdin=slave, stdout=slave,
                          stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False)
    os.close(slave)
    os.close(master)
    require(done.returncode == 2 and b"-o FILE" in done.stderr, f"{done}")


@test(name="folded.flamegraph")
def folded_flamegraph():
    """An independent maker of flame graphs draws every leak, as wide as it is large."""
    if not os.path.exists(FLAMEGRAPH):
        raise Skip("no flamegraph.pl (Debian: libdevel-nytprof-perl)")
    with Workload("leaky_server") as workload:
        profile = Profile(workload, form="folded")
        done = subprocess.run(["perl", FLAMEGRAPH, "--countname=bytes", profile.path], check=True,
                              capture_output=True)
        require(not done.stderr, f"flamegraph.pl complains: {done.stderr!r}")
        svg = done.stdout.decode()
        xml.etree.ElementTree.fromstring(svg)
        sizes = {name: int(size.replace(",", ""))
                 for name, size in re.findall(r"<title>(\S+) \(([\d,]+) bytes, ", svg)}
        require_equal({site: sizes.get(site) for site in SITES}, leaked(workload), "widths")
        require(sizes["leaky_server"] >= sum(leaked(workload).values()), "no frame of the process")
        workload.end()
