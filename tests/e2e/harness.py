# SPDX-License-Identifier: GPL-2.0-only
"""What the end-to-end tests share: workloads, the observer, reports and what must hold in each.

Nothing here sleeps to be on the safe side: every wait is for a condition, with a deadline.
"""

import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time

LEAKBPF = os.environ.get("LEAKBPF", "build/leakbpf")
WORKLOADS = os.environ.get("LEAKBPF_WORKLOADS", "build/workloads")
SOURCES = os.environ.get("LEAKBPF_SOURCES", ".")
DEADLINE_S = 90  # for anything that should take far less, on a busy machine


class Skip(Exception):
    """The machine lacks what a test needs."""


class Failure(Exception):
    """What was observed is not what must be."""


def require(condition, message):
    if not condition:
        raise Failure(message)


def wait_for(condition, what, timeout=DEADLINE_S):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {timeout} s in vain for: {what}")
        time.sleep(0.02)


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


# --- workloads ---


def workload_path(name):
    path = os.path.join(WORKLOADS, name)
    if not os.path.exists(path):
        raise Skip(f"{name} was not built: its compiler or library is missing")
    return os.path.abspath(path)


class Workload:
    """A program of tests/workloads, driven phase by phase."""

    def __init__(self, name, *arguments, env=None, prefix=(), path=None):
        self.path = path or workload_path(name)
        self.name = os.path.basename(self.path)
        self.expectations = {}  # (kind, site) -> {count, bytes, via}
        self.lines = []
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*prefix, self.path, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env={**os.environ, **(env or {})})
        self.buffer = b""
        self.pid = int(self.wait_line(r"ready (\d+)")[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def read_line(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failure(f"{self.name} did not answer within {timeout} s")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise Failure(f"{self.name} ended (status {self.process.wait()}): {self.stderr()}")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def wait_line(self, pattern, timeout=DEADLINE_S):
        """Reads lines, notes the EXPECTs among them, until one matches."""
        while True:
            line = self.read_line(timeout)
            self.lines.append(line)
            match = re.fullmatch(pattern, line)
            if match:
                return match
            if line.startswith("EXPECT "):
                values = dict(word.split("=", 1) for word in line.split()[1:])
                self.expectations[values["kind"], values["site"]] = {
                    "count": int(values["count"]), "bytes": int(values["bytes"]),
                    "via": values["via"]}
            elif line.startswith("error "):
                raise Failure(f"{self.name} does not know the phase: {line}")

    def start_phase(self, phase):
        self.process.stdin.write(f"{phase}\n".encode())
        self.process.stdin.flush()

    def phase(self, phase, timeout=DEADLINE_S):
        """Runs one phase ("go", "fill 1000") to its end."""
        self.start_phase(phase)
        self.wait_line("done " + re.escape(phase.split()[0]), timeout)

    def is_alive(self):
        return self.process.poll() is None

    def end(self):
        """Ends it in order and checks that it was unharmed to the end."""
        self.start_phase("exit")
        self.wait_line("done exit")
        status = self.process.wait(DEADLINE_S)
        require(status == 0, f"{self.name} ended with status {status}: {self.stderr()}")


# --- what an observer leaves in a target and in the kernel ---


def text_differences(pid):
    """Addresses where executable memory of the process is not what the file says."""
    differences = []
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in read_text(f"/proc/{pid}/maps").splitlines():
            fields = line.split(None, 5)
            if "x" not in fields[1] or fields[4] == "0":
                continue
            start, end = (int(part, 16) for part in fields[0].split("-"))
            with open(f"/proc/{pid}/map_files/{start:x}-{end:x}", "rb") as file:
                file.seek(int(fields[2], 16))
                wanted = file.read(end - start)
            memory.seek(start)
            found = memory.read(len(wanted))
            if found != wanted:
                differences += [(fields[5], start + i) for i, byte in enumerate(found)
                                if byte != wanted[i]]
    return differences


def fd_infos(pid):
    """What the kernel tells of each descriptor of the process."""
    texts = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            try:
                texts.append(read_text(f"/proc/{pid}/fdinfo/{fd}"))
            except FileNotFoundError:  # closed meanwhile
                continue
    except (FileNotFoundError, ProcessLookupError):  # the process ended meanwhile
        pass
    return texts


def bpf_objects(pid):
    """("link", "prog" or "map", id) of all that process pid holds in the kernel."""
    objects = set()
    for text in fd_infos(pid):
        objects |= set(re.findall(r"^(link|prog|map)_id:\s+(\d+)", text, re.MULTILINE))
    return objects


def existing_bpf_objects(objects):
    """Those of objects that still exist."""
    left = set()
    for what in {what for what, _ in objects}:
        listing = subprocess.run(["bpftool", "-j", what, "show"], check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if listing.returncode:  # it fails while others are made (EAGAIN): ask again
            return objects
        left |= {(what, str(entry["id"]))
                 for entry in json.loads(listing.stdout or "[]")} & objects
    return left


# --- the observer ---


class Observer:
    """A running leakbpf."""

    def __init__(self, *options, pid=None, form="json", output=True, interval="0.5", prefix=(),
                 env=None, all_sites=True):
        self.directory = tempfile.TemporaryDirectory(prefix="leakbpf-e2e-")
        self.output = os.path.join(self.directory.name, "report")
        self.stdout_path = os.path.join(self.directory.name, "stdout")
        self.stderr_path = os.path.join(self.directory.name, "stderr")
        command = [*prefix, LEAKBPF]
        if pid is not None:
            command += ["-p", str(pid), "-i", interval, "-f", form, "-v"]
            command += ["-o", self.output] if output else []
            command += ["--all-sites"] if all_sites else []
        command += options
        self.command = command
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err, env={**os.environ, **(env or {})})
        self.objects = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.directory.cleanup()

    def stderr(self):
        return read_text(self.stderr_path)

    def stdout(self):
        return read_text(self.stdout_path)

    def wait_ready(self):
        """Waits until it counts, which is when it takes signals as orders (by a signalfd); notes
        what it holds in the kernel."""
        def ready():
            if self.process.poll() is not None:
                raise Failure(f"{' '.join(self.command)}: ended with status "
                              f"{self.process.returncode}: {self.stderr()}")
            return any("sigmask:" in text for text in fd_infos(self.process.pid))
        wait_for(ready, "the observer to be ready")
        self.objects = bpf_objects(self.process.pid)
        require(any(what == "link" for what, _ in self.objects),
                "the observer is ready but has nothing attached")
        return self

    def report_now(self):
        """Asks for a report in mid-watch."""
        def version():
            status = os.stat(self.output) if os.path.exists(self.output) else None
            return status and (status.st_ino, status.st_mtime_ns)
        before = version()
        self.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: version() not in (None, before), "the report asked for by SIGUSR1")
        return Report(read_text(self.output))

    def wait_report(self, condition, what):
        """Asks for reports until one meets the condition."""
        return wait_for(lambda: condition(self.report_now()), what)

    def wait_end(self, expected_status=0, timeout=DEADLINE_S):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"the observer did not end within {timeout} s: {self.stderr()}") from None
        require(status == expected_status, f"{' '.join(self.command)}: exit status {status}, not "
                f"{expected_status}: {self.stderr()}")
        self.wait_gone()

    def wait_gone(self):
        """Waits until the kernel has freed what the observer held (it does so after a while)."""
        wait_for(lambda: not existing_bpf_objects(self.objects), "the kernel to be clean")

    def interrupt(self, signal_number=signal.SIGINT):
        self.process.send_signal(signal_number)

    def finish(self):
        """Asks for the final report and returns it parsed."""
        self.interrupt()
        self.wait_end()
        return Report(read_text(self.output))


# --- reports ---


def simple_name(function):
    """The bare name of a demangled function: no namespace, arguments or template arguments."""
    if function is None:
        return None
    name = function.replace("(anonymous namespace)::", "")
    if name.startswith("operator"):
        return name.split("(")[0]
    bare, depth = "", 0
    for c in name:
        if c == "(" and depth == 0:
            break
        depth += (c == "<") - (c == ">")
        if depth == 0 and c != ">":
            bare += c
    return bare.split("::")[-1].split(" ")[-1]


class Report:
    def __init__(self, text):
        self.text = text
        try:
            self.document = json.loads(text)
        except ValueError as error:
            raise Failure(f"the report is no JSON ({error}): {text[:400]!r}") from None
        require(self.document.get("schema") == "leakbpf/1", "the report names no schema")
        self.findings = self.document["findings"]

    def of(self, kind=None, pid=None):
        return [f for f in self.findings
                if kind in (None, f["kind"]) and pid in (None, f["pid"])]

    def at(self, kind, site, modules, pid=None, sites=()):
        """Findings whose innermost frame in the modules that is one of the sites is this one."""
        return [f for f in self.of(kind, pid) if own_frame(f, modules, {site, *sites}) == site]

    def flagged(self, verdicts=("leaking", "growing")):
        return [f for f in self.findings if f["verdict"] in verdicts]

    def losses(self):
        return {name: n for name, n in flat(self.document["losses"]).items() if n}


def flat(tree, prefix=""):
    """Numbers in nested objects, by their dotted names."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    numbers = {}
    for key, value in tree.items():
        numbers.update(flat(value, f"{prefix}.{key}" if prefix else key))
    return numbers


def own_frame(finding, modules, sites):
    """The innermost of the functions sites that a stack goes through in one of the modules."""
    for frame in finding["stack"]:
        name = simple_name(frame["function"])
        if name in sites and os.path.basename(frame["module"] or "") in modules:
            return name
    return None


def describe(finding):
    frames = " < ".join(
        (f["function"] or f"{os.path.basename(f['module'] or '?')}+?") for f in finding["stack"][:6])
    return (f"{finding['verdict']} {finding['kind']} live {finding['live_count']} "
            f"({finding['live_bytes']} B) opened {finding['opened_count']} closed "
            f"{finding['closed_count']}: {frames}")


def total(findings):
    return (sum(f["live_count"] for f in findings), sum(f["live_bytes"] for f in findings))


def reached_via(findings, via):
    """Those whose innermost frame lies in the first of the named functions or modules that
    occurs at all."""
    for word in via.replace("_", " ").split("|"):
        found = []
        for finding in findings:
            frame = finding["stack"][0] if finding["stack"] else {"function": "", "module": ""}
            names = (frame["function"] or "", os.path.basename(frame["module"] or ""))
            if any(word in name for name in names):
                found.append(finding)
        if found:
            return found
    return []


def check_expectations(report, workload, modules=None, kinds=("heap", "mmap"), counts=True,
                       pid=None):
    """Every site that the workload told of has exactly the counts and bytes it told, and nothing
    else is flagged as leaking."""
    modules = modules or {workload.name}
    sites = {site for _, site in workload.expectations}
    wrong, groups, known = [], {}, set()
    for (kind, site), wanted in workload.expectations.items():
        if kind not in kinds:
            continue
        findings = report.at(kind, site, modules, pid, sites)
        known |= {id(f) for f in findings}
        if not findings and wanted["count"] and wanted["via"] != "-":
            group = groups.setdefault((kind, wanted["via"]), [0, 0])
            group[0] += wanted["count"]
            group[1] += wanted["bytes"]
            continue
        count, size = total(findings)
        if (counts and count != wanted["count"]) or size != wanted["bytes"]:
            wrong.append(f"{kind} {site}: {count} live, {size} bytes; the workload has left "
                         f"{wanted['count']}, {wanted['bytes']} bytes")
    for (kind, via), wanted in groups.items():
        findings = reached_via([f for f in report.of(kind, pid) if id(f) not in known], via)
        known |= {id(f) for f in findings}
        print(f"note: callers behind {via} are not named")
        if list(total(findings)) != wanted:
            wrong.append(f"{kind} via {via}: {total(findings)} live and bytes; the workload has "
                         f"left {wanted}")
    wrong += [f"flagged: {describe(f)}" for f in report.flagged(("leaking",))
              if id(f) not in known and pid in (None, f["pid"])]
    if wrong:
        listing = "\n  ".join(describe(f) for f in report.findings[:60])
        raise Failure("\n".join(wrong) + f"\nfindings:\n  {listing}\nlosses: {report.losses()}")


def check_conservation(report, in_flight=0):
    """Nothing was lost silently: hits and closes are all accounted for. Of programs that run on,
    so many calls may come while the ledger is read."""
    kinds = report.document["conservation"]
    require({"heap", "mmap"} <= set(kinds), f"the report states the law for {list(kinds)}")
    for kind, law in kinds.items():
        hits = sum(law[name] for name in ("opened", "failed", "nested", "sampled_out", "lost",
                                          "in_flight"))
        require(law["hits"] == hits, f"{kind}: hits do not add up: {law}")
        require(0 <= law["in_flight"] <= in_flight, f"{kind}: calls in flight while quiet: {law}")
        closes = sum(law[name] for name in ("matched", "unmatched", "partial", "closing"))
        require(law["closes"] == closes, f"{kind}: closes do not add up: {law}")
        require(0 <= law["closing"] <= in_flight, f"{kind}: closes under way while quiet: {law}")


def check_unharmed(workload, observer):
    """The observer has ended: nothing of it is left, and the target lives and works."""
    observer.wait_gone()
    require(workload.is_alive(), f"{workload.name} is dead: {workload.stderr()}")
    wait_for(lambda: not text_differences(workload.pid), "the target to have no breakpoints left")


def observe_together(*workloads):
    """Watches several workloads at once through their phase "go"; returns the final report."""
    pids = ",".join(str(workload.pid) for workload in workloads)
    with Observer(pid=pids) as observer:
        observer.wait_ready()
        for workload in workloads:
            workload.phase("go")
        report = observer.finish()
        for workload in workloads:
            check_unharmed(workload, observer)
        return report


def observe(workload, *phases, options=(), **arguments):
    """Watches the workload through the phases; checks what must hold in any watch of a workload
    that ends at rest; returns the final report."""
    with Observer(*options, pid=workload.pid, **arguments) as observer:
        observer.wait_ready()
        for phase in phases:
            workload.phase(phase)
        report = observer.finish()
        check_conservation(report)
        check_unharmed(workload, observer)
        return report
