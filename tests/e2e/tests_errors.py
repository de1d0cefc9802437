# SPDX-License-Identifier: GPL-2.0-only
"""Bad input: one clear sentence, the right exit status, nothing left attached."""

import os
import re
import shutil
import struct
import subprocess
import tempfile

from harness import (LEAKBPF, Observer, Skip, Workload, check_conservation, check_expectations,
                     check_unharmed, observe, read_text, require, text_differences, wait_for,
                     workload_path)
from registry import test

USAGE, FAILED = 2, 3


def check_refused(status, words, *options, prefix=(), stdout=subprocess.PIPE):
    """leakbpf with these options ends with that status and one line that holds all words."""
    result = subprocess.run([*prefix, LEAKBPF, *options], stdin=subprocess.DEVNULL, stdout=stdout,
                            stderr=subprocess.PIPE, timeout=60, check=False)
    error = result.stderr.decode(errors="replace")
    call = " ".join([*prefix, "leakbpf", *options])
    require(result.returncode == status,
            f"{call}: exit status {result.returncode}, not {status}: {error!r}")
    lines = error.strip().splitlines()
    if status == FAILED:
        require(len(lines) == 1, f"{call}: not one line: {error!r}")
    require(lines, f"{call}: nothing was said")
    missing = [word for word in words if word.lower() not in error.lower()]
    require(not missing, f"{call}: {missing} is not in the message: {error!r}")


USAGE_ERRORS = {
    "unknown_option": (["no-such-option"], ["--no-such-option"]),
    "no_target": (["-p"], []),
    "pid_no_number": (["abc"], ["-p", "abc"]),
    "pid_zero": (["0"], ["-p", "0"]),
    "pid_negative": (["-5"], ["-p", "-5"]),
    "pid_huge": (["99999999999999999999"], ["-p", "99999999999999999999"]),
    "format": (["jsn"], ["-p", "1", "-f", "jsn"]),
    "kind": (["hep"], ["-p", "1", "-k", "heap,hep"]),
    "interval": (["0"], ["-p", "1", "-i", "0"]),
    "duration": (["x"], ["-p", "1", "-d", "x"]),
    "attach": (["magic"], ["-p", "1", "--attach", "magic"]),
    "command": (["wacth"], ["wacth", "-p", "1"]),
}


@test(name="usage", over=USAGE_ERRORS)
def usage(row):
    words, options = row
    check_refused(USAGE, words, *options)


@test()
def no_such_pid():
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        pid = int(file.read()) - 1
    while os.path.exists(f"/proc/{pid}"):
        pid -= 1
    check_refused(FAILED, [str(pid)], "-p", str(pid))


def check_no_target(pid, *words):
    """Every command that takes a process refuses this one, and leaves no file behind."""
    with tempfile.TemporaryDirectory() as directory:
        output = os.path.join(directory, "output")
        for command in ([], ["watch"], ["goroutines"], ["record", "-o", output], ["check"]):
            check_refused(FAILED, [str(pid), *words], *command, "-p", str(pid))
            require(not os.listdir(directory), f"{command} left {os.listdir(directory)}")


@test()
def kernel_thread():
    with open("/proc/2/stat", encoding="ascii") as file:
        if "kthreadd" not in file.read():
            raise Skip("process 2 is no kernel thread: a container")
    check_no_target(2, "kernel")


@test()
def zombie():
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        check_no_target(child, "zombie")
    finally:
        os.waitpid(child, 0)


@test()
def observer_itself():
    """leakbpf survives watching itself: the shell passes its own pid on by exec."""
    result = subprocess.run(["sh", "-c", 'exec "$0" -p $$ -i 0.2 -d 2 -o /dev/null', LEAKBPF],
                            stderr=subprocess.PIPE, timeout=60, check=False)
    require(result.returncode == 0, f"exit status {result.returncode}: {result.stderr!r}")


def unprivileged():
    if not shutil.which("setpriv"):
        raise Skip("setpriv is missing")
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
            "--inh-caps=-all", "--bounding-set=-all", "--"]


def unprivileged_observer():
    """What to start leakbpf with, to have it run without privileges."""
    prefix = unprivileged()
    if subprocess.run([*prefix, "test", "-x", LEAKBPF], check=False).returncode != 0:
        raise Skip(f"an unprivileged user cannot reach {LEAKBPF}")
    return prefix


@test()
def no_privileges():
    prefix = unprivileged_observer()
    with Workload("apis", prefix=prefix) as workload:
        check_refused(FAILED, ["sudo"], "-p", str(workload.pid), prefix=prefix)
        require(not text_differences(workload.pid), "something was attached")
        workload.end()


def run_doctor(*prefix):
    """The exit status of leakbpf doctor, and what it says of each thing: {name: (mark, text)}."""
    result = subprocess.run([*prefix, LEAKBPF, "doctor"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    said = result.stdout.decode()
    require(not result.stderr, f"doctor complains: {result.stderr!r}")
    rows = re.findall(r"^(\S.*?) +(ok|LIMITED|MISSING) +(\S.*)$", said, re.MULTILINE)
    require(rows and len(rows) == len(said.splitlines()), f"not all are diagnoses: {said!r}")
    return result.returncode, {name: (mark, text) for name, mark, text in rows}


@test()
def doctor_well():
    """Where the other tests run, leakbpf can run."""
    status, rows = run_doctor()
    require(status == 0, f"exit status {status}: {rows}")
    mark, text = rows["in all"]
    require(mark == "ok" and text.startswith("leakbpf can run, with "), f"in all: {mark} {text}")
    for name in ("BTF", "capabilities"):
        require(rows[name][0] == "ok", f"{name}: {rows[name]}")


@test()
def doctor_without_privileges():
    """It says what is missing, what for, and what to do."""
    status, rows = run_doctor(*unprivileged_observer())
    require(status == FAILED, f"exit status {status}, not {FAILED}: {rows}")
    mark, text = rows["capabilities"]
    require(mark == "MISSING" and "CAP_BPF (to load BPF programs)" in text
            and text.endswith("run leakbpf with sudo"), f"capabilities: {mark} {text}")
    mark, text = rows["in all"]
    require(mark == "MISSING" and "can not run" in text and "sudo" in text,
            f"in all: {mark} {text}")


@test()
def doctor_without_btf():
    """One thing is missing: that is named, with what to do, and the rest is well."""
    with tempfile.TemporaryDirectory() as empty:
        hide = 'mount --bind "$0" /sys/kernel/btf && exec "$@"'
        status, rows = run_doctor("unshare", "-m", "sh", "-c", hide, empty)
    require(status == FAILED, f"exit status {status}, not {FAILED}: {rows}")
    mark, text = rows["BTF"]
    require(mark == "MISSING" and "CONFIG_DEBUG_INFO_BTF=y" in text, f"BTF: {mark} {text}")
    require(rows["capabilities"][0] == "ok", f"capabilities: {rows['capabilities']}")
    require(rows["in all"][0] == "MISSING", f"in all: {rows['in all']}")


@test()
def no_btf():
    with tempfile.TemporaryDirectory() as empty, Workload("apis") as workload:
        hide = 'mount --bind "$0" /sys/kernel/btf && exec "$@"'
        check_refused(FAILED, ["BTF"], "-p", str(workload.pid),
                      prefix=["unshare", "-m", "sh", "-c", hide, empty])
        require(not text_differences(workload.pid), "something was attached")
        workload.end()


@test(over={"directory_missing": ("/nonexistent/report", ["/nonexistent/report"]),
            "is_directory": ("/tmp", ["/tmp"])})
def unwritable_output(row):
    """Refused before anything is attached, not when the work is done."""
    path, words = row
    with Workload("apis") as workload:
        check_refused(FAILED, words, "-p", str(workload.pid), "-o", path)
        require(not text_differences(workload.pid), "something was left attached")
        workload.end()


@test()
def full_disk():
    """What cannot be written is said, with the exit status to match."""
    with Workload("apis") as workload:
        check_refused(FAILED, ["/dev/full"], "-p", str(workload.pid), "-d", "1", "-f", "json",
                      "-o", "/dev/full")
        check_refused(FAILED, ["output"], "-p", str(workload.pid), "-d", "1", "-f", "json",
                      stdout=os.open("/dev/full", os.O_WRONLY))
        require(not text_differences(workload.pid), "something was left attached")
        workload.end()


@test()
def closed_pipe():
    """A reader that goes away ends the watch; it does not go on for nobody, nor die of SIGPIPE."""
    with Workload("leaky_server") as workload:
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([LEAKBPF, "-p", str(workload.pid), "-i", "1"], stdout=writer,
                                stderr=subprocess.PIPE, timeout=60, check=False)
        os.close(writer)
        require(result.returncode in (0, FAILED), f"exit status {result.returncode}")
        require(not text_differences(workload.pid), "something was left attached")
        workload.end()


# --- hostile files in a target ---


def write_copies(directory):
    """Files that claim to be libraries, cut or spoilt at many places; returns their paths."""
    with open("/proc/self/exe", "rb") as file:
        whole = file.read(400000)
    with open(workload_path("apis"), "rb") as file:
        program = file.read()
    pieces = {f"cut_{n}": program[:n] for n in (1, 16, 63, 64, 100, 500, 4096, 8192, 20000)}
    pieces["cut_large"] = whole
    pieces["text"] = b"#!/bin/sh\n" * 500
    pieces["zeros"] = b"\x7fELF" + bytes(5000)
    pieces["many_sections"] = program[:60] + b"\xff\xff" + program[62:]
    pieces["no_sections"] = program[:40] + b"\xff" * 8 + program[48:]
    pieces["programs_beyond"] = program[:32] + b"\xf0" * 8 + program[40:]
    for step in range(20):
        spoilt = bytearray(program)
        for at in range(step, len(spoilt), 97 + step):
            if at > 6:
                spoilt[at] ^= 0x5a
        pieces[f"spoilt_{step}"] = bytes(spoilt)
    paths = []
    for name, content in pieces.items():
        paths.append(os.path.join(directory, f"libmalloc_{name}.so"))
        with open(paths[-1], "wb") as file:
            file.write(content)
    return paths


@test()
def truncated_elf():
    """Cut and spoilt ELF files among a target's mappings: the rest is still seen."""
    with tempfile.TemporaryDirectory() as directory:
        with Workload("hostile", *write_copies(directory)) as workload:
            report = observe(workload, "go")
            check_expectations(report, workload)
            workload.end()


@test()
def truncated_program():
    """A target whose own file is cut after it was started, as a botched upgrade leaves it."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "upgraded")
        shutil.copy(workload_path("apis"), path)
        with Workload("apis", path=path) as workload:
            os.rename(path, path + ".old")
            with open(workload_path("apis"), "rb") as file, open(path, "wb") as cut:
                cut.write(file.read(3000))
            report = observe(workload, "go")
            check_expectations(report, workload, modules={"upgraded", "upgraded.old"})
            workload.end()


def loaded_bytes(path):
    """Where the last PT_LOAD segment of a 64-bit program ends in its file."""
    with open(path, "rb") as file:
        program = file.read()
    start, = struct.unpack_from("<Q", program, 32)
    size, number = struct.unpack_from("<HH", program, 54)
    ends = []
    for at in range(start, start + number * size, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", program, at)
        if kind == 1:
            ends.append(offset + length)
    return max(ends)


def overlaid(directory, program):
    """A running program can not be cut in place ("text file busy"), but it can be below an overlay
    that it was started from. Returns what to start it with, its path there and its real path."""
    for name in ("below", "empty", "mounted"):
        os.mkdir(os.path.join(directory, name))
    real = os.path.join(directory, "below", "cut")
    shutil.copy(workload_path(program), real)
    mount = (f"cd {directory} && mount -t overlay overlay -o lowerdir=below:empty mounted && "
             f"exec \"$@\"")
    prefix = ["unshare", "-m", "sh", "-c", mount, "sh"]
    if subprocess.run([*prefix, "true"], check=False).returncode != 0:
        raise Skip("overlays can not be mounted")
    return prefix, os.path.join(directory, "mounted", "cut"), real


def observed_text(workload):
    """The final text report of one more watch through the phase "parent"."""
    with Observer(pid=workload.pid, form="text") as observer:
        observer.wait_ready()
        workload.phase("parent")
        observer.interrupt()
        observer.wait_end()
        check_unharmed(workload, observer)
        return read_text(observer.output)


@test()
def program_cut_behind_segments():
    """The very file that runs loses its symbols and section headers: counts stay exact, frames
    become module+0xoffset, and the program runs on."""
    with tempfile.TemporaryDirectory() as directory:
        prefix, path, real = overlaid(directory, "forker")
        with Workload("forker", prefix=prefix, path=path) as workload:
            whole = os.path.getsize(real)
            os.truncate(real, loaded_bytes(real))
            left = os.stat(f"/proc/{workload.pid}/exe").st_size
            require(0 < left < whole, f"the program has {left} of {whole} bytes: it was not cut")
            report = observe(workload, "parent")
            found = [f for f in report.of("heap") if f["live_count"] == 100]
            require(len(found) == 1 and found[0]["live_bytes"] == 11000,
                    f"{len(found)} sites of 100 blocks, 11000 bytes")
            frames = [f for f in found[0]["stack"] if f["module"] == path]
            require(frames and frames[0] == found[0]["stack"][0],
                    f"the caller is not in {path}: {found[0]['stack']}")
            require(all(f["function"] is None for f in frames), f"names out of nowhere: {frames}")
            text = observed_text(workload)
            require(re.search(r"\bcut\+0x[0-9a-f]+", text), f"no cut+0x...: {text!r}")
            workload.end()


@test()
def deleted_program():
    """A target whose file is gone: watched and named all the same."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "gone")
        shutil.copy(workload_path("apis_static"), path)
        with Workload("apis", path=path) as workload:
            os.unlink(path)
            report = observe(workload, "go")
            check_expectations(report, workload, modules={"gone", "gone (deleted)"})
            workload.end()


@test()
def stripped_program():
    """Without symbols of its own the program's frames are module+offset; counts are the same."""
    if not shutil.which("strip"):
        raise Skip("strip is missing")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "stripped")
        subprocess.run(["strip", "-o", path, workload_path("forker")], check=True)
        with Workload("forker", path=path) as workload, Observer(pid=workload.pid) as observer:
            observer.wait_ready()
            workload.phase("parent")
            report = observer.finish()
            found = [f for f in report.of("heap") if f["live_count"] == 100
                     and f["live_bytes"] == 11000]
            require(len(found) == 1, f"{len(found)} sites of 100 blocks, 11000 bytes")
            frame = found[0]["stack"][0]
            require(frame["function"] is None and frame["module"].endswith("/stripped"),
                    f"a frame without symbols is shown as {frame}")
            check_conservation(report)
            check_unharmed(workload, observer)
            workload.end()


@test()
def no_allocator_symbols():
    """A stripped static program whose allocator cannot be found: the report says so."""
    if not shutil.which("strip"):
        raise Skip("strip is missing")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "blind")
        subprocess.run(["strip", "-o", path, workload_path("apis_static")], check=True)
        with Workload("apis", path=path) as workload:
            with Observer("-d", "2", pid=workload.pid, form="text") as observer:
                wait_for(lambda: observer.process.poll() is not None, "the observer to end")
                said = observer.stderr()
                if os.path.exists(observer.output):
                    with open(observer.output, encoding="utf-8") as file:
                        said += file.read()
            require("allocator" in said and ("blind" in said or "not" in said),
                    f"nothing is said of the allocator that was not found: {said!r}")
            require(observer.process.returncode in (0, FAILED),
                    f"exit status {observer.process.returncode}")
            workload.end()


@test()
def stripped_allocator():
    """An allocator without its symbols is named, and that its blocks are not seen."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stripped")
        subprocess.run(["strip", "-s", "-o", path, workload_path("apis_prefixed")], check=True)
        with Workload("stripped", path=path) as workload:
            report = observe(workload, "go")
            (target,) = report.document["targets"]
            require(target["allocators"] == ["glibc"] and
                    any(spot.startswith(f"{path} seems to hold jemalloc without its symbols")
                        for spot in target["blind_spots"]), f"told: {target}")
            workload.end()
