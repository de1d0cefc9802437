# SPDX-License-Identifier: GPL-2.0-only
"""leakbpf run and leakbpf check: programs watched from their first instruction, exit statuses,
suppressions, baselines and completions."""

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from harness import (DEADLINE_S, LEAKBPF, SOURCES, Report, Skip, Workload, read_text, require,
                     total, wait_for, workload_path)
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


@test(over={"libc_last": "constructor", "libc_first": "constructor_late"})
def run_from_first_instruction(program):
    result = leakbpf("run", "-f", "json", "--all-sites", "--", workload_path(program))
    report = Report(result.stdout)
    check_constructor(report, program)
    (target,) = report.document["targets"]
    require(not target["blind_spots"], f"not seen: {target['blind_spots']}")
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
def check_lost_stdout():
    """Whoever stops reading the lines of the polls still gets the status, and the report."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        command = [LEAKBPF, "check", "-i", "0.5", "-d", "14", "--fail-on", "growing", "-f", "json",
                   "-o", report, "--", workload_path("leaky_server"), "--forever"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as check:
            check.stdout.readline()
            check.stdout.close()
            require(check.wait(DEADLINE_S) == 1, f"exit status {check.returncode}")
        require(Report(read_text(report)).flagged(), "no report, or nothing in it")


NON_BLOCKING = """
import os, sys, time
os.set_blocking(1, False)
time.sleep(9)
print("non-blocking" if not os.get_blocking(1) else "changed", file=sys.stderr, flush=True)
time.sleep(60)
"""
PAGE = 4096


@test()
def run_full_pipe():
    """A program that makes the shared standard output non-blocking, and a reader that is late: all
    is written, and for the program nothing changes."""
    with subprocess.Popen([LEAKBPF, "run", "-i", "0.1", "-d", "11", "--", sys.executable, "-c",
                           NON_BLOCKING], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as run:
        fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, PAGE)
        poll = select.poll()
        poll.register(run.stdout, select.POLLIN)
        require(poll.poll(DEADLINE_S * 1000), "no line of a poll")
        time.sleep(10)
        out, err = run.communicate(timeout=DEADLINE_S)
        require(run.returncode == 0, f"exit status {run.returncode}: {err}")
    require(len(out) > PAGE and "ledger of heap: " in out, f"not all was written: {out}")
    require("non-blocking" in err, f"changed for the program, too: {err}")


@test()
def check_confidence():
    """What is less certain than asked for fails nothing."""
    leaky("--min-confidence", "1", status=0)


@test()
def check_clean():
    """The busy twin of the leaky server, and a program that was there before."""
    leakbpf("check", "-i", "0.5", "-d", "14", "--fail-on", "growing", "--",
            workload_path("clean_server"), "--forever")
    with Workload("threads") as workload:
        leakbpf("check", "-i", "0.3", "-d", "5", "-p", str(workload.pid))


@test()
def check_pipeline():
    """The statuses are those of a shell pipeline that reads the report."""
    for program, status, lines in (("leaky_server", 1, 3), ("clean_server", 0, 0)):
        script = ('"$0" check -i 0.5 -d 15 -- "$1" --forever | '
                  "grep -c '^[0-9]*[.] LEAKING'; exit ${PIPESTATUS[0]}")
        result = subprocess.run(["bash", "-c", script, LEAKBPF, workload_path(program)],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=120, check=False)
        require((result.returncode, result.stdout) == (status, f"{lines}\n"),
                f"{program}: {result}")


@test()
def run_interrupted():
    """Ctrl-C reaches the program, too; the report comes after its end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(LEAKBPF, [LEAKBPF, "run", "-f", "text", "--", "/bin/sleep", "1000"])
    told = ""

    def says(what):
        nonlocal told
        if select.select([terminal], [], [], 0)[0]:
            try:
                told += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the end of a terminal whose last process has ended
                return True
        return what in told

    def sleepers():
        done = subprocess.run(["pgrep", "-s", str(pid), "sleep"], stdout=subprocess.PIPE,
                              check=False, text=True)
        return done.stdout.split()

    wait_for(sleepers, "the program")
    wait_for(lambda: says("learning"), "the first poll")
    os.write(terminal, b"\x03")
    wait_for(lambda: says("signal 2"), "what is said last")
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    require(not sleepers(), "the program still runs")
    require(os.waitstatus_to_exitcode(status) == 0 and "probes:" in told, f"{status}: {told}")


@test()
def check_tidy():
    """What a program frees on its way out has grown all the same, also in a recording."""
    with tempfile.TemporaryDirectory() as folder:
        recording = os.path.join(folder, "tidy.lbr")
        result = leakbpf("check", "-i", "0.5", "--fail-on", "growing", "-f", "json",
                         "--record", recording, "--", workload_path("tidy"), "10", status=1)
        again = leakbpf("report", "-f", "json", recording)
        for text in result.stdout, again.stdout:
            report = Report(text)
            (finding,) = [one for one in report.document["findings"]
                          if one["stack"] and one["stack"][0]["function"] == "remember"]
            require(finding["verdict"] == "growing" and finding["live_count"] > 160,
                    f"not told as it was: {finding}")
            law = report.document["conservation"]["heap"]
            require(law["matched"] >= 200, f"its end was not seen: {law}")


# What completes the last of the words $@, by the file $0; zsh's own functions print what they get.
COMPLETE = {
    "bash": ("leakbpf.bash",
             'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _leakbpf; '
             'echo "${COMPREPLY[@]}"'),
    "zsh": ("_leakbpf",
            "compadd() { shift; print -- $@ }; _describe() { print -- ${${(P)2}%%:*} }; "
            "_files() { }; words=($@); CURRENT=$#; complete_last() { source $ZSH_ARGZERO }; "
            "complete_last"),
}


@test(over={shell: shell for shell in COMPLETE})
def completion(shell):
    """The commands and options that the help has are offered."""
    name, script = COMPLETE[shell]
    if not shutil.which(shell):
        raise Skip(f"{shell} is not installed")

    def offered(*words):
        path = os.path.join(SOURCES, "tools/package", name)
        options = ["-f"] if shell == "zsh" else []
        done = subprocess.run([shell, *options, "-c", script, path, LEAKBPF, *words], check=True,
                              capture_output=True, text=True, timeout=60)
        require(not done.stderr, f"completion of {words}: {done.stderr}")
        return set(done.stdout.split())

    commands = set(re.findall(r"^  ([a-z]+) +[a-z]", leakbpf("--help").stdout, re.MULTILINE))
    require(offered("") == commands and {"check", "goroutines"} < commands,
            f"commands: {offered('')}, not {commands}")
    for command in commands:
        options = set(re.findall(r"^ +(?:-\S, )?(--[a-z][a-z-]+)",
                                 leakbpf(command, "--help").stdout, re.MULTILINE))
        require(offered(command, "--") == options, f"{command}: {offered(command, '--')}")
    formats = {"text", "json", "folded", "pprof", "svg", "html"}
    require(offered("-f", "") == formats, f"formats: {offered('-f', '')}")
    require(offered("check", "--fail-on", "") == {"leaking", "growing"}, "verdicts to fail on")
    if shell == "bash":  # zsh itself chooses what fits the beginning of a word
        require(offered("che") == {"check"}, f"che: {offered('che')}")
