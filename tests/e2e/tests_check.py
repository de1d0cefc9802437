# SPDX-License-Identifier: GPL-2.0-only
"""leakbpf run and leakbpf check: programs watched from their first instruction, exit statuses,
suppressions and baselines, and a manual that knows every option."""

import os
import re
import subprocess
import tempfile

from harness import LEAKBPF, SOURCES, Report, Workload, require, total, workload_path
from registry import test

CONSTRUCTOR = {"leak_in_constructor": (7, 7000), "leak_in_main": (5, 1500)}


def leakbpf(*arguments, status=0, stdin=subprocess.DEVNULL, text=None):
    """Runs leakbpf to its end, which must be with that status."""
    result = subprocess.run([LEAKBPF, *arguments], stdin=None if text is not None else stdin,
                            input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            encoding="utf-8", errors="replace", timeout=120, check=False)
    require(result.returncode == status,
            f"leakbpf {' '.join(arguments)}: exit status {result.returncode}, not {status}: "
            f"{result.stderr!r}")
    return result


def check_constructor(report, module="constructor"):
    for site, wanted in CONSTRUCTOR.items():
        found = total(report.at("heap", site, {module}, sites=CONSTRUCTOR))
        require(found == wanted, f"{site}: {found} counted, not {wanted}")


@test()
def run_from_first_instruction():
    result = leakbpf("run", "-f", "json", "--all-sites", "--", workload_path("constructor"))
    check_constructor(Report(result.stdout))
    require("exited with status 4" in result.stderr, f"no exit status told: {result.stderr!r}")


@test()
def run_short_programs():
    for program in ("/bin/true", "/bin/false"):
        result = leakbpf("run", "-f", "json", "--", program)
        require(Report(result.stdout).document["targets"], f"{program} was not watched")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nexec {workload_path('constructor')}\n")
        os.chmod(path, 0o755)
        result = leakbpf("run", "-q", "-f", "json", "--all-sites", "--", path)
        require(Report(result.stdout).document["targets"], "the script was not watched")


@test()
def run_keeps_stdin():
    result = leakbpf("run", "-o", "/dev/null", "--", "/bin/cat", text="one\ntwo\n")
    require("one\ntwo\n" in result.stdout, f"cat did not get its input: {result.stdout!r}")


@test()
def run_not_found():
    result = leakbpf("run", "--", "/no/such/program", status=3)
    require(len(result.stderr.strip().splitlines()) == 1 and "/no/such/program" in result.stderr,
            f"not one sentence: {result.stderr!r}")
    leakbpf("run", status=2)
    leakbpf("check", status=2)
    leakbpf("check", "-p", "1", "--", "/bin/true", status=2)


@test()
def check_too_short():
    result = leakbpf("check", "--", "/bin/true")
    require("too short for a verdict" in result.stderr, f"no warning: {result.stderr!r}")
    leakbpf("check", "--fail-on-short", "--", "/bin/true", status=1)


@test()
def check_bad_files():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bad")
        with open(path, "w", encoding="ascii") as file:
            file.write("# fine\nleak:fine\nnonsense\n")
        result = leakbpf("check", "--suppress", path, "--", "/bin/true", status=2)
        require(f"{path}:3:" in result.stderr, f"the line is not named: {result.stderr!r}")
        leakbpf("check", "--baseline", path, "--", "/bin/true", status=2)


def leaky(*options, status):
    command = ("check", "-i", "0.5", "-d", "14", "--fail-on", "growing", *options, "--",
               workload_path("leaky_server"), "--forever")
    return leakbpf(*command, status=status)


@test()
def check_leaky():
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "before.json")
        leaky("-f", "json", "--all-sites", "-o", report, status=1)
        rules = os.path.join(folder, "rules")
        with open(rules, "w", encoding="ascii") as file:
            file.write("leak:leak_site_\n")
        result = leaky("--suppress", rules, status=0)
        require("by 1 rule" in result.stdout, f"nothing suppressed: {result.stdout!r}")
        leaky("--baseline", report, status=0)


@test()
def check_clean():
    with Workload("threads") as workload:
        leakbpf("check", "-i", "0.3", "-d", "5", "-p", str(workload.pid))


@test()
def manual_knows_options():
    with open(os.path.join(SOURCES, "tools/package/leakbpf.8"), encoding="utf-8") as file:
        manual = set(re.findall(r"\\-([a-z][a-z-]+)", file.read()))
    listing = leakbpf("--help").stdout.split("Commands:\n")[1]
    commands = re.findall(r"^  ([a-z]+) ", listing, re.MULTILINE)
    require("check" in commands, f"no commands in the help: {listing!r}")
    for command in commands:
        options = re.findall(r"^ +(?:-\S, )?--([a-z][a-z-]+)", leakbpf(command, "--help").stdout,
                             re.MULTILINE)
        require("help" in options, f"no options in the help of {command}")
        missing = [option for option in options if option not in manual]
        require(not missing, f"{command}: leakbpf(8) does not know {missing}")
