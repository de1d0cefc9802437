# SPDX-License-Identifier: GPL-2.0-only
"""The processes that tools/bench runs: none outlives it, every wait has a deadline."""

import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60  # for anything that should take far less
PR_SET_PDEATHSIG = 1


class Missing(Exception):
    """A row cannot be measured here; the text says why."""


def say(text):
    """Progress, on a terminal only: a line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def wait_for(condition, what, timeout=DEADLINE_S):
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Missing(f"{what}: waited {timeout} s in vain")
        time.sleep(0.02)


# --- processes ---


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process in a group of its own, fed and read line by line, that never outlives us."""

    def __init__(self, *command, env=None):
        if not shutil.which(command[0]):
            raise Missing(f"{command[0]} is not installed")
        self.name = os.path.basename(command[0])
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            start_new_session=True, preexec_fn=die_with_parent, env={**os.environ, **(env or {})})
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """In order by the end of its input, else by force."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.3 if number is None else 5)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what it may have left behind
        self.process.stdout.close()

    def stderr(self):
        fd = self.errors.fileno()  # its position is shared with the child: leave it alone
        return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")

    def failure(self, what):
        said = self.stderr().strip().splitlines()
        return Missing(f"{self.name} {what}" + (f": {said[-1]}" if said else ""))

    def send(self, line):
        try:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failure("has ended") from None

    def expect(self, pattern, timeout=DEADLINE_S):
        """Skips lines of its output until one matches."""
        deadline = time.monotonic() + timeout
        while True:
            while b"\n" not in self.buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                    raise self.failure(f"did not answer within {timeout} s")
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    raise self.failure("has ended")
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\n", 1)
            match = re.fullmatch(pattern, line.decode(errors="replace"))
            if match:
                return match


class Workload(Child):
    """A program that runs phases on demand (tests/workloads/workload.h)."""

    def __init__(self, build, name, prefix=(), env=None):
        super().__init__(*prefix, os.path.join(build, "workloads", name), env=env)
        self.pid = int(self.expect(r"ready (\d+)")[1])

    def phase(self, line):
        self.send(line)
        self.expect("done " + line.split()[0])

    def measure(self, depth, milliseconds):
        """The cost of a pair in ns: the least of many batches."""
        self.phase(f"depth {depth}")
        self.send(f"measure {milliseconds}")
        match = self.expect(r"MEASURED depth=(\d+) .* min_ns=([\d.]+) median_ns=[\d.]+")
        if int(match[1]) != depth:
            raise Missing(f"{match[1]} frames instead of {depth}")
        return float(match[2])


class Leakbpf(Child):
    """leakbpf watching one process."""

    def __init__(self, build, pid, *options):
        self.directory = tempfile.TemporaryDirectory(prefix="leakbpf-bench-")
        self.output = os.path.join(self.directory.name, "report")
        super().__init__(os.path.join(build, "leakbpf"), "-p", str(pid), "-f", "json", "-o",
                         self.output, "-v", *options)

    def __exit__(self, *what):
        super().__exit__(*what)
        self.directory.cleanup()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise self.failure("has ended")
            return re.search(r"watching |counting since", self.stderr())
        wait_for(ready, "leakbpf to watch")
        return self

    def report(self):
        """A report, while it goes on."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.output)
        self.process.send_signal(signal.SIGUSR1)

        def written():
            try:
                with open(self.output, encoding="utf-8") as file:
                    return json.load(file)
            except (FileNotFoundError, ValueError):
                if self.process.poll() is not None:
                    raise self.failure("has ended") from None
                return None
        return wait_for(written, "a report of leakbpf")


def run(*command, timeout=DEADLINE_S):
    """The output of a short command."""
    if not shutil.which(command[0]):
        raise Missing(f"{command[0]} is not installed")
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=timeout, check=False,
                                preexec_fn=die_with_parent)
    except subprocess.TimeoutExpired:
        raise Missing(f"{command[0]} took more than {timeout} s") from None
    text = result.stdout.decode(errors="replace")
    if result.returncode:
        raise Missing(f"{command[0]} failed: {text.strip().splitlines()[-1:]}")
    return text
