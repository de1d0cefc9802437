# SPDX-License-Identifier: GPL-2.0-only
"""tools/demo on a machine that has everything: builds, shows the leaks, leaves nothing."""

import os
import re
import shutil
import subprocess
import tempfile

from harness import SOURCES, Skip, read_text, require, wait_for
from registry import test

WATCH_S = 25
SITES = ("leak_site_a", "leak_site_b", "leak_site_c")


def processes_of(folder):
    """PIDs of programs that lie in the folder."""
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            path = os.readlink(f"/proc/{pid}/exe")
        except OSError:  # ended meanwhile, or a kernel thread
            continue
        if path.startswith(folder + "/"):
            pids.append(pid)
    return pids


def set_trap(folder):
    """Makes an apt-get that fails and notes that it was called. Returns (PATH, the note)."""
    trap, note = os.path.join(folder, "apt-get"), os.path.join(folder, "called")
    with open(trap, "w", encoding="ascii") as script:
        script.write(f'#!/bin/sh\necho "$@" >>{note}\nexit 100\n')
    os.chmod(trap, 0o755)
    return f"{folder}:{os.environ['PATH']}", note


@test(timeout=300)
def demo():
    if not shutil.which("apt-get") or not shutil.which("dpkg-query"):
        raise Skip("tools/deps is for Debian and Ubuntu")
    with tempfile.TemporaryDirectory(prefix="leakbpf-e2e-") as folder:
        paths = {name: os.path.join(folder, name) for name in ("build", "trap", "temporary")}
        for name in ("trap", "temporary"):
            os.mkdir(paths[name])
        path, note = set_trap(paths["trap"])
        done = subprocess.run(
            [os.path.join(SOURCES, "tools", "demo"), str(WATCH_S)], check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**os.environ, "PATH": path, "TMPDIR": paths["temporary"],
                 "LEAKBPF_BUILD": paths["build"]})
        called = read_text(note) if os.path.exists(note) else ""
        require(not called, f"apt-get was called although all is there: {called}{done.stderr}")
        require(done.returncode == 0, f"exit status {done.returncode}: {done.stdout}{done.stderr}")
        for site in SITES:
            require(re.search(rf"^ *at {site} leaky_server\.c:\d+", done.stdout, re.MULTILINE),
                    f"{site} is not shown: {done.stdout}")
        require("tools/" not in done.stderr, f"it is not quiet: {done.stderr}")
        require(not os.listdir(paths["temporary"]), f"left: {os.listdir(paths['temporary'])}")
        wait_for(lambda: not processes_of(folder), "the programs of the demo to end", 10)
