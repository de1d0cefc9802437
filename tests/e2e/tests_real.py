# SPDX-License-Identifier: GPL-2.0-only
"""Real programs and surroundings: redis under load, a target in a container."""

import os
import shutil
import socket as socketlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness import (DEADLINE_S, Observer, Skip, Workload, check_conservation,
                     check_expectations, check_unharmed, describe, read_text, require,
                     text_differences, wait_for, workload_path)
from registry import test

BENCHMARK_S = 60


def redis(socket, *words):
    return subprocess.run(["redis-cli", "-s", socket, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE_S,
                          check=False).stdout.decode().strip()


def load_redis(socket, seconds):
    """Runs redis-benchmark again and again for that long; returns requests per second seen."""
    rates, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = subprocess.run(
            ["redis-benchmark", "-s", socket, "-c", "20", "-n", "40000", "-r", "10000", "-d", "64",
             "-t", "set,get,lpush,lpop", "--csv"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False)
        text = result.stdout.decode(errors="replace")
        require(result.returncode == 0 and "rror" not in text, f"redis-benchmark: {text}")
        rates += [float(line.split('"')[3]) for line in text.splitlines()
                  if line.startswith('"') and line.split('"')[3].replace(".", "").isdigit()]
    return rates


PROMETHEUS_S = 125
PROMETHEUS_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: itself
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def free_port():
    with socketlib.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE_S) as answer:
        return answer.read()


def is_ready(port):
    try:
        return b"eady" in fetch(port, "/-/ready")
    except OSError:
        return False


def query_prometheus(port, seconds):
    """Asks it about itself, over and over; returns how often."""
    asked, deadline = 0, time.monotonic() + seconds
    queries = ("rate(prometheus_http_requests_total[30s])", "go_goroutines",
               "sum+by+(job)(scrape_samples_scraped)", "process_resident_memory_bytes")
    while time.monotonic() < deadline:
        answer = fetch(port, f"/api/v1/query?query={queries[asked % len(queries)]}")
        require(b'"success"' in answer, f"prometheus said: {answer[:200]}")
        fetch(port, "/metrics")
        asked += 1
        time.sleep(0.05)
    return asked


@test(name="prometheus", timeout=400)
def prometheus_server():
    """Two minutes of Debian's prometheus under load, read every second: nothing is leaking."""
    if not shutil.which("prometheus"):
        raise Skip("prometheus is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = os.path.join(directory, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(PROMETHEUS_CONFIG.format(port=port))
        server = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
             f"--storage.tsdb.path={directory}/data"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: is_ready(port), "prometheus to be ready", 60)
            watch_prometheus(server, port)
        finally:
            server.terminate()
            server.wait(DEADLINE_S)


def watch_prometheus(server, port):
    with Observer("-k", "goroutine,thread,timer", pid=server.pid, interval="1") as observer:
        observer.wait_ready()
        asked = query_prometheus(port, PROMETHEUS_S)
        report = observer.finish()
    require(server.poll() is None, "prometheus has ended")
    require(is_ready(port), "prometheus does not answer any more")
    check_conservation(report, in_flight=4)
    growing = report.flagged(("growing",))
    print(f"{asked} queries; {len(report.findings)} sites, {len(growing)} growing")
    for finding in growing:
        print(f"  {describe(finding)}")
    leaking = report.flagged(("leaking",))
    require(not leaking, "\n".join(map(describe, leaking)))


@test(name="redis", timeout=400, alone=True)
def redis_server():
    """A minute of Debian's redis-server under load: counted, unharmed, nothing flagged."""
    for program in ("redis-server", "redis-benchmark", "redis-cli"):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")
    with tempfile.TemporaryDirectory() as directory:
        socket = os.path.join(directory, "socket")
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly",
             "no", "--dir", directory],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: redis(socket, "PING") == "PONG", "redis to answer")
            watch_redis(server, socket)
        finally:
            server.terminate()
            server.wait(DEADLINE_S)


def check_unwinding(report):
    """Every stack complete; tables under 3 MB."""
    unwind = report.document["unwind"]
    print(f"unwinding: {unwind}")
    bad = {name: unwind[name] for name in ("no_mapping", "bad_rule", "read", "no_progress",
                                           "frame_pointer") if unwind[name]}
    require(unwind["complete"] and not bad, f"stacks not complete: {bad}")
    require(unwind["table_bytes"] < 3e6, f"{unwind['table_bytes']} bytes of unwind tables")


def check_parsing(server, report):
    """The tables are made in less than 300 ms; by the clock, so the machine may be busy once."""
    took = [report.document["unwind"]["parse_ms"]]
    while took[-1] >= 300 and len(took) < 4:
        with Observer(pid=server.pid) as observer:
            observer.wait_ready()
            took.append(observer.finish().document["unwind"]["parse_ms"])
    require(took[-1] < 300, f"unwind tables took {took} ms")


def watch_redis(server, socket):
    with Observer("-i", "5", pid=server.pid) as observer:
        observer.wait_ready()
        rates = load_redis(socket, BENCHMARK_S)
        require(redis(socket, "PING") == "PONG", "redis does not answer")
        report = observer.finish()
        print(f"redis: {len(rates)} figures, {min(rates):.0f} to {max(rates):.0f} requests/s; "
              f"{report.document['conservation']['heap']}")
        allocators = report.document["targets"][0]["allocators"]
        require("jemalloc" in allocators, f"jemalloc was not found: {allocators}")
        require(report.document["conservation"]["heap"]["opened"] > 10000, "hardly counted")
        flagged = report.flagged(("leaking",))
        require(not flagged, "flagged: " + "; ".join(map(describe, flagged)))
        check_conservation(report, in_flight=4)
        check_unwinding(report)
        check_parsing(server, report)
        require(server.poll() is None, f"redis is dead: {server.returncode}")
        require(redis(socket, "SET", "after", "watch") == "OK", "redis does not work any more")
        require(not text_differences(server.pid), "breakpoints left in redis")


# --- Python, whose small objects are not malloc's ---

PYTHON = """
import os, sys
kept = []
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    if line == "leak\\n":
        kept += [bytes(100) for _ in range(5000)]
    print("done", line.strip(), flush=True)
    if line == "exit\\n":
        sys.exit(0)
"""


@test(over={"own_heap": ("pymalloc", False), "malloc": ("malloc", True),
            "malloc_debug": ("malloc_debug", True)})
def python_objects(row):
    """Objects in Python's own heap are not seen, and that is told; without that heap each is."""
    allocator, is_seen = row
    with Workload("python", "-c", PYTHON, path=sys.executable,
                  env={"PYTHONMALLOC": allocator}) as program, \
            Observer(pid=program.pid) as observer:
        observer.wait_ready()
        program.phase("leak")
        report = observer.finish()
        spots = report.document["targets"][0]["blind_spots"]
        told = [spot for spot in spots if spot.startswith("Python's objects of up to 512 bytes")]
        require(len(told) == (not is_seen), f"told: {spots}")
        live = sum(found["live_count"] for found in report.of("heap"))
        require((live >= 5000) == is_seen, f"{live} blocks")
        program.end()


# --- containers ---


def make_root(directory, program):
    """A root directory that holds the program and its libraries, and nothing else."""
    libraries = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True)
    paths = [word for line in libraries.stdout.decode().splitlines() for word in line.split()
             if word.startswith("/")]
    for path in paths:
        place = directory + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy(path, place)
    os.makedirs(os.path.join(directory, "opt"))
    shutil.copy(program, os.path.join(directory, "opt/contained"))


def only_child(pid):
    children = read_text(f"/proc/{pid}/task/{pid}/children").split()
    require(len(children) == 1, f"unshare has {len(children)} children")
    return int(children[0])


class Contained(Workload):
    """A workload in mount and pid namespaces of its own, under another root."""

    def __init__(self, enter):
        super().__init__("contained", path="/opt/contained",
                         prefix=["unshare", "-m", "-p", "--fork", "--kill-child", *enter])
        require(self.pid == 1, f"pid {self.pid} in its own namespace")
        self.pid = only_child(self.process.pid)


ENTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "enter_root.py")

# How the root is entered, the program, and its path as the target's own mount namespace has it.
CONTAINERS = {
    "glibc": ([sys.executable, ENTER], "apis", "/opt/contained"),
    "jemalloc": ([sys.executable, ENTER], "apis_jemalloc", "/opt/contained"),
    "chroot": (["chroot"], "apis", None),
}


@test(over=CONTAINERS)
def container(row):
    """A target with another root and pid namespace: found, counted and named through /proc."""
    enter, program, module = row
    with tempfile.TemporaryDirectory() as root:
        make_root(root, workload_path(program))
        with Contained([*enter, root]) as workload, Observer(pid=workload.pid) as observer:
            observer.wait_ready()
            workload.phase("go")
            report = observer.finish()
            check_expectations(report, workload)
            frame = report.at("heap", "leak_malloc", {"contained"})[0]["stack"][0]
            require(frame["module"] == (module or root + "/opt/contained"),
                    f"module: {frame['module']}")
            check_conservation(report)
            check_unharmed(workload, observer)
            workload.end()
