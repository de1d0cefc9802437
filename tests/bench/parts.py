# SPDX-License-Identifier: GPL-2.0-only
"""What tools/bench measures, part by part."""

import contextlib
import os
import platform
import re
import shutil
import statistics
import tempfile
import time

from processes import Child, Leakbpf, Missing, Workload, run, say, wait_for

PARTS = ("pair", "probe", "redis", "poll", "memory")
DEPTHS = (12, 26, 46)
TURN_MS = 15
LIMIT_S, QUICK_LIMIT_S = 240, 70  # what is running is brought to an end, nothing new is begun
LIVE_BLOCKS, SITES = 1000000, 100000
REDIS_COMMANDS = ("SET", "GET", "LPUSH")

GOAL_PAIR, GOAL_REDIS, GOAL_POLL_MS, GOAL_MEMORY_MB, GOAL_WALK_NS = 1.8, 0.5, 100, 64, 250

# Live blocks by address, and what is outstanding by stack; to be filled in: the C library.
BPFTRACE_SCRIPT = """
uprobe:LIBC:malloc { @asked[tid] = arg0; }
uretprobe:LIBC:malloc /@asked[tid]/ {
    @live[retval] = @asked[tid];
    @stack[retval] = ustack;
    @count[ustack] = count();
    @bytes[ustack] = sum(@asked[tid]);
    delete(@asked[tid]);
}
uprobe:LIBC:free /@live[arg0]/ {
    @bytes[@stack[arg0]] = sum(-(int64)@live[arg0]);
    delete(@live[arg0]);
    delete(@stack[arg0]);
}
END { clear(@asked); clear(@live); clear(@stack); clear(@count); clear(@bytes); }
"""


# --- figures ---


def figures(values, digits=1):
    return {"median": round(statistics.median(values), digits), "min": round(min(values), digits),
            "rounds": [round(value, digits) for value in values]}


def ratio(values, others):
    """The median over the rounds of the ratio in each."""
    return round(statistics.median(a / b for a, b in zip(values, others)), 3)


def difference(values, others):
    return round(statistics.median(a - b for a, b in zip(values, others)), 1)


class Bench:
    def __init__(self, options):
        self.options = options
        self.end = time.monotonic() + (QUICK_LIMIT_S if options.quick else LIMIT_S)
        self.result = {"schema": "leakbpf-bench/1", "machine": machine(), "skipped": {},
                       "goals": []}

    def skip(self, row, reason):
        self.result["skipped"][row] = str(reason)

    def goal(self, name, value, limit, unit="", at_least=False):
        met = value >= limit if at_least else value <= limit
        self.result["goals"].append({"name": name, "value": value, "limit": limit, "unit": unit,
                                     "at_least": at_least, "met": met})

    def watch(self, pid, *options):
        return Leakbpf(self.options.build, pid, "--attach", self.options.attach, *options)

    def attach_bare(self, stack, what, pid):
        """Programs of tests/bench/floor.bpf.c."""
        loader = stack.enter_context(Child(
            os.path.join(self.options.build, "tests/bench/bench_floor"), what,
            self.options.attach, str(pid)))
        self.result["machine"]["attach_mode"] = loader.expect(r"ready (\w+) \d+")[1]

    def rounds(self, part, budget_s):
        """Numbers of the rounds; ends early, but not before the second, when time is up."""
        end = time.monotonic() + budget_s * (0.3 if self.options.quick else 1)
        for number in range(self.options.runs):
            if number >= 2 and time.monotonic() > min(end, self.end):
                return
            say(f"{part}: round {number + 1} of {self.options.runs}")
            yield number

    # --- pair, probe: one measured process for each variant, all idle but the one that is on ---

    def open_floor(self, stack, what, program="bench_pair"):
        workload = stack.enter_context(Workload(self.options.build, program))
        self.attach_bare(stack, what, workload.pid)
        return workload

    def open_leakbpf(self, stack):
        workload = stack.enter_context(Workload(self.options.build, "bench_pair"))
        self.leakbpf = stack.enter_context(self.watch(workload.pid, "--all-sites"))
        self.leakbpf.wait_ready()
        return workload

    def open_bpftrace(self, stack):
        """Its uprobes hit every process that maps the file, so it gets a C library of its own."""
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="leakbpf-bench-"))
        with Workload(self.options.build, "bench_pair") as plain:
            libc = library_of(plain.pid, "libc.so.6")
        shutil.copy(libc, folder)
        workload = stack.enter_context(
            Workload(self.options.build, "bench_pair", env={"LD_LIBRARY_PATH": folder}))
        script = BPFTRACE_SCRIPT.replace("LIBC", library_of(workload.pid, "libc.so.6"))
        tracer = stack.enter_context(Child("bpftrace", "-p", str(workload.pid), "-e", script))
        self.wait_slow(workload, tracer)
        return workload

    def open_heaptrack(self, stack):
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="leakbpf-bench-"))
        return stack.enter_context(
            Workload(self.options.build, "bench_pair", env={"DISPLAY": "", "WAYLAND_DISPLAY": ""},
                     prefix=("heaptrack", "-o", os.path.join(folder, "data"))))

    def wait_slow(self, workload, tracer):
        """A tool that counts costs more than 100 ns."""
        def slow():
            if tracer.process.poll() is not None:
                raise tracer.failure("has ended")
            return workload.measure(DEPTHS[0], 5) > 100
        wait_for(slow, f"{tracer.name} to count", 30)

    def measure_round(self, workloads, depth):
        """variant -> the least cost seen in many short turns, so that noise hits all alike"""
        costs = dict.fromkeys(workloads, float("inf"))
        for turn in range(self.options.turns):
            for name in sorted(workloads, reverse=bool(turn % 2)):
                costs[name] = min(costs[name], workloads[name].measure(depth, TURN_MS))
        return costs

    def measure_variants(self, part, openers, budget_s):
        """variant -> depth -> the figure of each round"""
        values = {name: {depth: [] for depth in DEPTHS} for name in openers}
        with contextlib.ExitStack() as stack:
            workloads = {}
            for name, opener in openers.items():
                say(f"{part}: starting {name}")
                try:
                    workloads[name] = opener(stack)
                except Missing as reason:
                    self.skip(f"{part}: {name}", reason)
                    del values[name]
            for _ in self.rounds(part, budget_s):
                for depth in DEPTHS:
                    for name, cost in self.measure_round(workloads, depth).items():
                        values[name][depth].append(cost)
            if "leakbpf" in workloads:
                try:
                    self.check_leakbpf(values)
                except Missing as reason:
                    self.skip("pair: what leakbpf counted", reason)
        return values

    def check_leakbpf(self, values):
        """Did it count all that was measured, in the same mode as the floor, to the same depth?"""
        report = self.leakbpf.report()
        overhead, law = report["overhead"], report["conservation"]["heap"]
        busiest = sorted(report["findings"], key=lambda f: -f["opened_count"])[:len(DEPTHS)]
        frames = sorted(sum(not frame["inlined"] for frame in f["stack"]) for f in busiest)
        losses = {name: n for name, n in report["losses"].items() if n}
        self.result["leakbpf_check"] = {
            "attach_mode": overhead["attach_mode"], "opened": law["opened"],
            "closed": law["matched"], "frames": frames, "losses": losses}
        if overhead["attach_mode"] != self.result["machine"].get("attach_mode"):
            self.skip("pair: ratio to the floor", f"leakbpf attached by {overhead['attach_mode']}")
            values.pop("floor", None)

    def pair(self):
        openers = {
            "no tool": lambda stack: stack.enter_context(Workload(self.options.build, "bench_pair")),
            "floor": lambda stack: self.open_floor(stack, "floor"),
            "leakbpf": self.open_leakbpf,
            "bpftrace": self.open_bpftrace,
            "heaptrack": self.open_heaptrack,
        }
        values = self.measure_variants("pair", openers, 75)
        rows = self.result["pair"] = []
        for depth in DEPTHS:
            for name in values:
                row = {"depth": depth, "variant": name, **figures(values[name][depth])}
                if "floor" in values:
                    row["to_floor"] = ratio(values[name][depth], values["floor"][depth])
                rows.append(row)
        if "leakbpf" in values and "floor" in values:
            self.goal(f"malloc+free pair at {DEPTHS[0]} frames, leakbpf to floor",
                      ratio(values["leakbpf"][DEPTHS[0]], values["floor"][DEPTHS[0]]), GOAL_PAIR)

    def probe(self):
        openers = {
            "empty": lambda stack: self.open_floor(stack, "entry"),
            "empty, at return": lambda stack: self.open_floor(stack, "exit"),
            "bpf_get_stackid": lambda stack: self.open_floor(stack, "stackid"),
            "leakbpf's walk": lambda stack: self.open_floor(stack, "walk"),
            "walk, no fp": lambda stack: self.open_floor(stack, "walk", "bench_pair_nofp"),
        }
        values = self.measure_variants("probe", openers, 60)
        rows = self.result["probe"] = []
        for depth in DEPTHS:
            for name in values:
                row = {"depth": depth, "variant": name, **figures(values[name][depth])}
                base = "empty, at return" if "walk" in name else "empty"
                if base in values:
                    row["above_empty"] = difference(values[name][depth], values[base][depth])
                rows.append(row)
            if len(values) == len(openers):
                # bpf_get_stackid can only do code with frame pointers; the tables are for the rest.
                walk = values["walk, no fp"][depth]
                self.goal(f"stack walk at {depth} frames, leakbpf to bpf_get_stackid",
                          ratio(walk, values["bpf_get_stackid"][depth]), 1)
                self.goal(f"stack walk at {depth} frames, above the empty probe",
                          difference(walk, values["empty, at return"][depth]), GOAL_WALK_NS,
                          "ns")

    # --- redis: four servers, two under empty programs, one under leakbpf ---

    def open_redis(self, stack, folder, name):
        socket = os.path.join(folder, name)
        server = stack.enter_context(Child(
            "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly",
            "no", "--dir", folder, "--logfile", os.path.join(folder, f"{name}.log")))

        def answers():
            if server.process.poll() is not None:
                raise server.failure("has ended")
            with contextlib.suppress(Missing):
                return "PONG" in run("redis-cli", "-s", socket, "PING")
        wait_for(answers, "redis-server to answer")
        return server.process.pid, socket

    def load_redis(self, socket):
        """command -> requests per second; "cpu" -> us of the server's CPU time per request"""
        run("redis-cli", "-s", socket, "FLUSHALL")
        cpu_s = cpu_of_redis(socket)
        text = run("redis-benchmark", "-s", socket, "-c", "20", "-d", "64", "-n",
                   str(self.options.requests), "-t", ",".join(REDIS_COMMANDS).lower(), "--csv")
        rates = dict(re.findall(r'^"(\w+)[^"]*","([\d.]+)"', text, re.MULTILINE))
        if not all(float(rates.get(command, 0)) > 0 for command in REDIS_COMMANDS):
            raise Missing(f"redis-benchmark said: {text.strip()[:200]}")
        cpu_s = cpu_of_redis(socket) - cpu_s
        return {"cpu": cpu_s * 1e6 / (self.options.requests * len(REDIS_COMMANDS)),
                **{command: float(rates[command]) for command in REDIS_COMMANDS}}

    def redis(self):
        values = {"no tool": [], "entries": [], "floor": [], "leakbpf": []}
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="leakbpf-bench-"))
            pids, sockets = {}, {}
            for name in values:
                pids[name], sockets[name] = self.open_redis(stack, folder, name.replace(" ", "-"))
            for name in ("entries", "floor"):
                self.attach_bare(stack, name, pids[name])
            observer = stack.enter_context(self.watch(pids["leakbpf"])).wait_ready()
            for socket in sockets.values():
                self.load_redis(socket)  # not measured: memory grows, code gets warm
            before = observer.report()
            for number in self.rounds("redis", 90):
                for name in sorted(values, reverse=bool(number % 2)):
                    values[name].append(self.load_redis(sockets[name]))
            after = observer.report()
        hits = after["overhead"]["probe_hits"] - before["overhead"]["probe_hits"]
        if not hits:
            raise Missing("leakbpf counted nothing in redis-server")
        self.result["redis"] = {
            "hits_per_request": round(hits / (len(values["leakbpf"]) * self.options.requests *
                                              len(REDIS_COMMANDS)), 1),
            "rows": [self.redis_row(what, values) for what in (*REDIS_COMMANDS, "cpu")]}
        self.goal("redis requests per second, leakbpf to no tool, worst command",
                  min(row["leakbpf"]["to_no_tool"] for row in self.result["redis"]["rows"]
                      if row["what"] != "cpu"), GOAL_REDIS, at_least=True)

    @staticmethod
    def redis_row(what, values):
        row, plain = {"what": what}, [load[what] for load in values["no tool"]]
        for name, loads in values.items():
            rates = [load[what] for load in loads]
            row[name] = {**figures(rates), "to_no_tool": ratio(rates, plain)}
        return row

    # --- poll, memory ---

    def poll(self):
        with Workload(self.options.build, "overflow") as workload, \
                self.watch(workload.pid, "--max-live", str(2 * LIVE_BLOCKS)) as observer:
            observer.wait_ready()
            say(f"poll: making {LIVE_BLOCKS:,} blocks")
            workload.phase(f"fill {LIVE_BLOCKS}")
            reports = [observer.report() for _ in self.rounds("poll", 20)]
        overhead = [report["overhead"] for report in reports]
        self.result["poll"] = {"live_entries": overhead[-1]["live_entries"],
                               "ms": figures([each["poll_ms"] + each["walk_ms"] for each in overhead])}
        if overhead[-1]["live_entries"] < LIVE_BLOCKS:
            raise Missing(f"only {overhead[-1]['live_entries']} of {LIVE_BLOCKS} blocks are live")
        self.goal(f"poll of {LIVE_BLOCKS:,} live entries", self.result["poll"]["ms"]["median"],
                  GOAL_POLL_MS, "ms")

    def memory(self):
        with Workload(self.options.build, "stacks") as workload, \
                self.watch(workload.pid, "-n", "20") as observer:
            observer.wait_ready()
            say(f"memory: making {SITES:,} sites")
            workload.phase(f"go {SITES}")
            report = observer.report()
            with open(f"/proc/{observer.process.pid}/status", encoding="utf-8") as file:
                peak_kb = int(re.search(r"^VmHWM:\s+(\d+)", file.read(), re.MULTILINE)[1])
        opened = report["conservation"]["heap"]["opened"]
        if opened < SITES:
            raise Missing(f"only {opened} of {SITES} sites were seen")
        self.result["memory"] = {"sites": SITES, "peak_mb": round(peak_kb / 1024, 1)}
        self.goal(f"peak memory with {SITES:,} sites", self.result["memory"]["peak_mb"],
                  GOAL_MEMORY_MB, "MB")

    def run(self):
        start = time.monotonic()
        for part in self.options.only:
            say(f"{part} ...")
            if time.monotonic() > self.end:
                self.skip(part, "the time is up")
                continue
            try:
                getattr(self, part)()
            except Missing as reason:
                self.skip(part, reason)
        say("")
        self.result["seconds"] = round(time.monotonic() - start)


def cpu_of_redis(socket):
    """Seconds of CPU time that the server has used."""
    text = run("redis-cli", "-s", socket, "INFO", "cpu")
    return sum(float(s) for s in re.findall(r"^used_cpu_(?:sys|user):([\d.]+)", text, re.MULTILINE))


def library_of(pid, name):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        for line in file:
            if line.rstrip().endswith("/" + name):
                return line.split(None, 5)[5].strip()
    raise Missing(f"the measured program does not use {name}")


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"kernel": platform.release(), "architecture": platform.machine(), "cpu": model,
            "cpus": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2),
            "c_library": " ".join(platform.libc_ver())}
