# SPDX-License-Identifier: GPL-2.0-only
"""What leakbpf prints: the formats, help, version, manual page."""

import glob
import os
import pty
import re
import select
import subprocess
import time

from harness import (DEADLINE_S, LEAKBPF, SOURCES, Observer, Report, Workload, check_conservation,
                     check_unharmed, read_text, require, wait_for)
from registry import test


def text_of(workload, form, phases=("go",), options=()):
    with Observer(*options, pid=workload.pid, form=form) as observer:
        observer.wait_ready()
        for phase in phases:
            workload.phase(phase)
        observer.interrupt()
        observer.wait_end()
        check_unharmed(workload, observer)
        return read_text(observer.output)


@test(name="format.text")
def format_text():
    with Workload("apis") as workload:
        text = text_of(workload, "text")
        for (kind, site), wanted in workload.expectations.items():
            if wanted["count"] and wanted["via"] == "-" and wanted["bytes"]:
                require(site in text, f"{site} is not in the report:\n{text}")
        require(re.search(r"apis\.c:\d+", text), f"no file and line:\n{text}")
        require("\x1b" not in text, "escape sequences in a file")
        workload.end()


@test(name="format.folded")
def format_folded():
    with Workload("apis") as workload:
        text = text_of(workload, "folded")
        for line in text.splitlines():
            require(re.fullmatch(r"[^;\s][^;]*(;[^;]+)* \d+", line), f"not folded: {line!r}")
        wanted = workload.expectations["heap", "leak_malloc"]
        lines = [line for line in text.splitlines() if re.search(r"leak_malloc \d+$", line)]
        require(len(lines) == 1 and lines[0].endswith(f" {wanted['bytes']}"),
                f"leak_malloc: {lines}")
        require(";phase_go;leak_malloc " in lines[0], f"not root first: {lines[0]}")
        workload.end()


@test(name="format.json")
def format_json():
    """Every field of the contract is there and of its type."""
    with Workload("apis") as workload:
        report = Report(text_of(workload, "json"))
        check_conservation(report)
        document = report.document
        require(isinstance(document["duration_s"], (int, float)), "duration_s")
        target = document["targets"][0]
        require(target["pid"] == workload.pid and target["comm"] == "apis" and
                target["exe"] == workload.path and target["runtime"] == "native" and
                target["go_version"] is None, f"target: {target}")
        numbers = ("confidence pid live_count live_bytes opened_count closed_count opened_bytes "
                   "closed_bytes").split()
        for finding in report.findings:
            for name in numbers:
                require(isinstance(finding[name], (int, float)), f"{name}: {finding[name]!r}")
            for name in ("first_alert_s", "oldest_s", "growth_count_per_s", "growth_bytes_per_s"):
                require(finding[name] is None or finding[name] >= 0, name)
            require(finding["state"] is None, "state of a heap block")
            require(finding["verdict"] in ("leaking", "growing", "suspect", "stable"), "verdict")
            require(0 <= finding["confidence"] <= 1, "confidence")
            require(finding["live_count"] ==
                    finding["opened_count"] - finding["closed_count"], "live_count")
            for frame in finding["stack"]:
                require(set(frame) >= {"function", "file", "line", "module", "address", "inlined"},
                        f"frame: {frame}")
        require("live_full" in str(document["losses"]), "losses do not name every counter")
        require(document["overhead"]["probe_hits"] > 0, "overhead")
        workload.end()


@test(name="format.plain_lines")
def format_plain_lines():
    """Not on a terminal: plain lines while it runs, without escape sequences."""
    with Workload("leaky_server") as workload, \
            Observer(pid=workload.pid, form="text", output=False) as observer:
        observer.wait_ready()
        workload.phase("go")
        wait_for(lambda: observer.stdout().count("\n") >= 3, "lines while it runs")
        workload.phase("quiet")
        observer.interrupt()
        observer.wait_end()
        text = observer.stdout()
        require("\x1b" not in text and "\r" not in text, "escape sequences in a pipe")
        require("leak_site_a" in text, f"the final report does not name the leak:\n{text}")
        workload.end()


@test(name="format.terminal")
def format_terminal():
    """On a terminal: a live table that names the leak while it grows, then the final report."""
    with Workload("leaky_server") as workload:
        master, slave = pty.openpty()
        process = subprocess.Popen([LEAKBPF, "-p", str(workload.pid), "-i", "1"], stdin=slave,
                                   stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        workload.phase("go")
        shown, interrupted, deadline = b"", False, time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.5)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # the other end is closed
                    break
                shown += piece
            if not interrupted and shown.count(b"leak_site_c") >= 2:
                process.send_signal(2)
                interrupted = True
        require(interrupted, f"the live table did not name the leak: {shown[-2000:]!r}")
        require(process.wait(DEADLINE_S) == 0, f"exit status {process.returncode}")
        os.close(master)
        require(b"\x1b[" in shown, "no live table")
        workload.phase("quiet")
        workload.end()


def output_of(*options):
    result = subprocess.run([LEAKBPF, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            timeout=60, check=False)
    require(result.returncode == 0, f"{options}: exit status {result.returncode}")
    require(not result.stderr, f"{options}: {result.stderr!r}")
    return result.stdout.decode()


@test(name="help")
def help_text():
    text = output_of("--help")
    for option in ("-p", "-d", "-i", "-k", "-f", "-o", "-n", "-q", "-v", "--all-sites", "--follow",
                   "--attach", "--help", "--version"):
        require(option in text, f"{option} is not in --help:\n{text}")


@test()
def version():
    require(re.fullmatch(r"leakbpf \d+\.\d+\.\d+\S*\n", output_of("--version")), "--version")


@test()
def manual_page():
    """The manual pages name every option that the help of any command has, and no other."""
    pages = glob.glob(os.path.join(SOURCES, "tools", "package", "*.8"))
    require(pages, "there is no manual page")
    text = " ".join(read_text(page).replace("\\-", "-") for page in pages)
    text = re.sub(r"Fl ([a-zA-Z] , )?-", "--", text)  # mdoc: Fl adds a dash
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    commands = re.findall(r"^  ([a-z]+) +[a-z]", output_of("--help"), re.M)
    require({"run", "check", "goroutines"} < set(commands), f"commands: {commands}")
    options = set()
    for command in [[], *([command] for command in commands)]:
        options |= set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", output_of(*command, "--help")))
    always = {"--help", "--usage", "--version", "--port"}  # the last is of a program to be run
    require(not options - named - always, f"not in the manual: {sorted(options - named - always)}")
    require(not named - options, f"no such option: {sorted(named - options)}")
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], check=False,
                          capture_output=True, text=True, timeout=60)
    require(lint.returncode == 0, f"mandoc: {lint.stdout}")
