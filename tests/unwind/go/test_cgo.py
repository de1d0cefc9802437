#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""C leaks of a Go program: every stack is complete, from malloc over the C functions and
runtime.asmcgocall to runtime.goexit, and over callbacks of C into Go; every count is exact.

test_cgo.py VERSION dynamic|pie|static|stress. Exit status: 0 passed, 1 failed, 77 skipped.
LEAKBPF_STRESS_S: how long the stress lasts.
"""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e"))

from harness import (LEAKBPF, Failure, Observer, Skip, Workload, check_conservation,  # noqa: E402
                     check_unharmed, describe, require, total)

SKIPPED = 77
STRESS_S = int(os.environ.get("LEAKBPF_STRESS_S", "15"))
BUILD = {
    "dynamic": [],
    "pie": ["-buildmode=pie"],
    "static": ["-ldflags", "-linkmode external -extldflags -static", "-tags", "netgo,osusergo"],
    "stress": [],
}


def release(version):
    """(1, 23) for "1.23"."""
    return tuple(map(int, version.split(".")))


# --- what the program calls, innermost first; see main.go and leak.c ---

INNER = ["c_inner", "c_middle"]
CROSS = ["runtime.asmcgocall", "runtime.cgocall"]
LEAK = INNER + ["c_leak"] + CROSS + ["main._Cfunc_c_leak", "main.leak"]
CALLS_BACK = ["c_call_back"] + CROSS + ["main._Cfunc_c_call_back", "main.callBack"]
BACK = ["main.goBack", "_cgoexp_*_goBack", "runtime.cgocallbackg1", "runtime.cgocallbackg"]
WRAPPER = ["runtime.cgocallbackg"]
ENTRY = ["runtime.cgocallback", "crosscall2", "goBack"]
OUTER = ["main.run.func1", "main.inGoroutine.func1", "runtime.goexit"]
FOREIGN = ["c_call_back", "c_run", "*", "*"]  # the C library's start of a thread
ALLOCATE = ["_cgo_*_Cfunc__Cmalloc"] + CROSS + ["main._cgo_cmalloc", "main._Cfunc_CString"]


def callback(version):
    """From the function that C calls back to what C calls. Up to Go 1.26 assembler calls
    cgocallbackg over a wrapper of the same name; Go 1.27 runtime/asm_amd64.s and asm_arm64.s,
    cgocallback(), call cgocallbackg<ABIInternal> itself."""
    return BACK + (WRAPPER if release(version) < (1, 27) else []) + ENTRY


def levels(back, outermost, level):
    """The stack from the callback at that level on, when C was first called as told."""
    return (back + CALLS_BACK) * (level - 1) + back + outermost


def expected_leaks(version):
    """[(phase, stack, how often, bytes of each)]"""
    leaks, back = [], callback(version)
    for count, depth, size in ((7, 0, 1000), (5, 3, 1001), (3, 60, 1002)):
        leaks.append((f"descend {count} {depth} {size}",
                      LEAK + ["main.descend"] * (depth + 1) + OUTER, count, size))
    for what, outermost, count, level, size in (
            ("back", CALLS_BACK + OUTER, 4, 1, 2000), ("back", CALLS_BACK + OUTER, 3, 3, 2001),
            ("thread", FOREIGN, 5, 1, 3000), ("thread", FOREIGN, 2, 2, 3001)):
        phase = f"{what} {count} {level} {size}"
        leaks.append((phase, LEAK + levels(back, outermost, level), count, size))
        leaks.append((phase, INNER + outermost, count, size))
        for above in range(1, level):
            leaks.append((phase, INNER + CALLS_BACK + levels(back, outermost, above), count, size))
    leaks.append(("string 6 3999", ALLOCATE + OUTER, 6, 4000))
    return leaks


# --- building ---


def go_binary(version):
    for path in (f"/usr/lib/go-{version}/bin/go", shutil.which("go")):
        if path and os.access(path, os.X_OK):
            found = subprocess.run([path, "version"], stdout=subprocess.PIPE, check=True,
                                   env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.decode()
            if f" go{version}." in found or f" go{version} " in found:
                return path
    raise Skip(f"Go {version} is not installed")


def build(version, variant, directory):
    go = go_binary(version)
    if not shutil.which("gcc"):
        raise Skip("gcc is not installed")
    if variant == "static":
        probe = subprocess.run(["gcc", "-static", "-x", "c", "-o", "/dev/null", "-"],
                               input=b"int main(void) { return 0; }", stderr=subprocess.PIPE,
                               check=False)
        if probe.returncode:
            raise Skip("the C library can not be linked statically")
    path = os.path.join(directory, "cgoleak")
    cache = os.environ.get("LEAKBPF_GO_CACHE", os.path.join(directory, "cache"))
    result = subprocess.run(
        [go, "build", *BUILD[variant], "-o", path, "."], cwd=HERE, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod",
             "GOCACHE": cache, "CGO_ENABLED": "1"})
    require(result.returncode == 0, f"go build: {result.stdout.decode()}")
    return path


def strip(path):
    stripped = f"{path}-stripped"
    subprocess.run(["strip", "-s", "-o", stripped, path], check=True)
    return stripped


# --- comparing ---


def names_of(finding):
    """The functions of the stack, without the C stubs that gcc may leave out."""
    names = [frame["function"] for frame in finding["stack"] if not frame["inlined"]]
    return [name for name in names if not fnmatch.fnmatch(name or "", "_cgo_*_Cfunc_c_*")]


def is_stack(names, wanted):
    """Names of C functions are not known after stripping."""
    return len(names) == len(wanted) and all(
        fnmatch.fnmatchcase(name, pattern) if name else pattern[0] in "c_*"
        for name, pattern in zip(names, wanted))


def check_complete(report):
    for finding in report.findings:
        require(not finding["stack_incomplete"] and not finding["stack_truncated"],
                f"a stack is not complete: {describe(finding)}")


def check_leaks(report, leaks):
    sums = {}  # stack -> [count, bytes]
    for _, stack, count, size in leaks:
        counted = sums.setdefault(tuple(stack), [0, 0])
        counted[0] += count
        counted[1] += count * size
    for stack, wanted in sums.items():
        found = [f for f in report.of("heap") if is_stack(names_of(f), stack)]
        if list(total(found)) != wanted:
            listing = "\n  ".join(f"{f['live_count']}, {f['live_bytes']} bytes: " +
                                  " < ".join(name or "?" for name in names_of(f))
                                  for f in report.of("heap"))
            raise Failure(f"{total(found)} live and bytes, not {wanted}, at {' < '.join(stack)}\n"
                          f"found:\n  {listing}")


def watch(path, phases, check, kinds="heap"):
    with Workload("cgoleak", path=path) as workload:
        with Observer("-k", kinds, pid=workload.pid) as observer:
            observer.wait_ready()
            for phase in phases:
                workload.phase(phase, timeout=300)
            report = observer.finish()
            check(report, workload)
            check_complete(report)
            check_unharmed(workload, observer)
        workload.end()
        require(not workload.stderr(), f"the program complained: {workload.stderr()}")


def check_stacks(path, version):
    leaks = expected_leaks(version)
    watch(path, list(dict.fromkeys(leak[0] for leak in leaks)),
          lambda report, _: check_leaks(report, leaks))


def check_nothing_seen(path):
    """Without symbols the malloc in the program can not be found: that is said."""
    with Workload("cgoleak", path=path) as workload:
        result = subprocess.run([LEAKBPF, "-p", str(workload.pid), "-k", "heap", "-d", "1"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = result.stdout.decode(errors="replace")
        require("no allocator found" in text, f"nothing is said of the C heap: {text}")
        workload.end()


def check_stress(path):
    """Probes on the returns of malloc and mmap while the Go runtime does all that it can do to
    stacks: nothing breaks and nothing is lost."""
    def check(report, workload):
        words = next(line for line in workload.lines if line.startswith("stressed"))
        rounds, threads, gcs = (int(n) for n in re.findall(r"=(\d+)", words))
        require(rounds > 100 and threads > 10 and gcs > 10, f"too little happened: {words}")
        found = [f for f in report.of("heap") if names_of(f)[:3] == INNER + ["c_call_back"]]
        require(total(found) == (rounds + threads, 8 * (rounds + threads)),
                f"{total(found)} live and bytes, not {rounds + threads} of 8 ({words})")
        check_conservation(report)
        print(words, report.document["overhead"])
    watch(path, [f"stress 1 {STRESS_S}"], check, "heap,mmap")


def run(version, variant):
    if os.geteuid() != 0:
        raise Skip("needs root")
    with tempfile.TemporaryDirectory(prefix="leakbpf-cgo-") as directory:
        path = build(version, variant, directory)
        if variant == "stress":
            check_stress(path)
            return
        check_stacks(path, version)
        if not shutil.which("strip"):
            print("note: strip is not installed: no stripped program tried")
        elif variant == "static":
            check_nothing_seen(strip(path))
        else:
            check_stacks(strip(path), version)


def main(arguments):
    if len(arguments) != 2 or arguments[1] not in BUILD:
        print(f"usage: test_cgo.py VERSION {'|'.join(BUILD)}", file=sys.stderr)
        return 2
    name = "go {} {}".format(*arguments)
    try:
        run(*arguments)
    except Skip as skip:
        print(f"SKIPPED {name}: {skip}")
        return SKIPPED
    except Failure as failure:
        print(f"FAILED {name}: {failure}")
        return 1
    print(f"passed {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
