# SPDX-License-Identifier: GPL-2.0-only
"""The live screen: what stands on it, what its keys do, and that the terminal is given back."""

import os
import re
import signal
import subprocess
import termios
import time

from harness import Workload, require, workload_path
from registry import test
from terminal import Screen

SITES = ("leak_site_a", "leak_site_b", "leak_site_c")


def row_of(screen, function):
    """The words of the table's row that names the function; None: there is none."""
    found = re.search(rf"^[> ](?:leaking|growing|suspect|stable)\b.* {function}\b.*$",
                      screen.terminal.text(), re.MULTILINE)
    return found[0].strip("> ").split() if found else None


def live_count(screen, function):
    """Of the row: the number in front of the size, which is a number and a unit."""
    row = row_of(screen, function)
    if not row:
        return None
    unit = max(i for i, word in enumerate(row[:row.index(function)])
               if word in ("B", "KiB", "MiB"))
    return int(row[unit - 2])


def order(screen):
    """The leaking functions, from the top of the screen down."""
    return re.findall("|".join(SITES), screen.terminal.text())


def observer_pid(screen):
    """The process that the shell waits for."""
    children = subprocess.run(["pgrep", "-P", str(screen.process.pid)], stdout=subprocess.PIPE,
                              check=False).stdout.split()
    require(len(children) == 1, f"children of the shell: {children}")
    return int(children[0])


def pid_words(workload, interval="1"):
    return "-p", str(workload.pid), "-i", interval


@test(name="screen.table")
def screen_table():
    """A table that is updated in place, until it names what leaks with its verdict."""
    with Workload("leaky_server") as workload, \
            Screen(*pid_words(workload), rows=30, columns=110) as screen:
        workload.phase("go")
        screen.wait_text("leak_site_c")
        require(not screen.terminal.modes["25"], "the cursor is shown")
        flags = screen.modes()[3]
        require(not flags & (termios.ICANON | termios.ECHO), "keys are echoed, or wait for Enter")
        require(flags & termios.ISIG, "Ctrl-C is no signal any more")
        line = next(i for i, text in enumerate(screen.terminal.lines()) if "VERDICT" in text)
        screen.wait(lambda: all(live_count(screen, site) for site in SITES), "the three sites")
        before = {site: live_count(screen, site) for site in SITES}
        screen.wait(lambda: all((live_count(screen, site) or 0) > before[site] + 10
                                for site in SITES), "larger numbers in the same rows")
        require(screen.terminal.text().count("VERDICT") == 1 and
                "VERDICT" in screen.terminal.lines()[line], "the table has moved")
        screen.wait(lambda: all((row_of(screen, site) or "?")[0] == "leaking" for site in SITES),
                    "the verdict")
        require(re.search("[▁▂▃▄▅▆▇█]{8}", screen.terminal.text()), "no curve")
        require(not screen.terminal.too_wide, "lines are too wide")
        screen.press("q")
        text = screen.wait_end()
        require("leaking sites in PID" in text and "leak_site_a" in text,
                f"no final report:\n{text}")
        workload.phase("quiet")
        workload.end()


def sort_by(screen, name):
    screen.press("s")
    screen.wait_text(f"by {name}")


@test(name="screen.keys")
def screen_keys():
    """Sorting, kinds, the filter, a stack, help, pausing: each answers long before the next poll."""
    with Workload("leaky_server") as workload:
        workload.phase("go")
        with Screen(*pid_words(workload, "3")) as screen:
            screen.wait(lambda: (live_count(screen, "leak_site_a") or 0) > 200, "enough objects")
            start = time.monotonic()
            sort_by(screen, "count")
            print(f"note: a key was answered in {(time.monotonic() - start) * 1000:.0f} ms")
            require(time.monotonic() - start < 2, "the key waited for a poll")
            require(order(screen) == ["leak_site_a", "leak_site_b", "leak_site_c"],
                    f"by count: {order(screen)}")
            sort_by(screen, "bytes")
            require(order(screen)[0] == "leak_site_c", f"by bytes: {order(screen)}")
            screen.press("\t")
            screen.wait_text("heap only")
            screen.press("t")
            screen.wait(lambda: "heap only" not in screen.terminal.text(), "all kinds again")

            screen.press("/SITE_b")
            screen.wait(lambda: set(order(screen)) == {"leak_site_b"}, "the filter")
            screen.press("\r")
            screen.wait_text("through 'SITE_b'")
            screen.press("\r")
            screen.wait_text(r"\* leak_site_b +\S*leaky_server\.c:\d+\n +handle_request +\S+:\d+\n"
                             r" +worker_main +\S+:\d+")
            screen.press("\r\x1b")
            screen.wait(lambda: set(order(screen)) == set(SITES) and
                        "worker_main" not in screen.terminal.text(), "everything again")

            screen.press("\x1b[B\x1bOB")
            screen.wait(lambda: screen.terminal.lines()[6].startswith(">"), "the third row")
            screen.press("?")
            screen.wait_text("PgUp")
            screen.press("?p")
            screen.wait_text("PAUSED")
            paused = live_count(screen, "leak_site_a")
            time.sleep(4)  # a poll is due meanwhile
            screen.read(0)
            require(live_count(screen, "leak_site_a") == paused, "the pause is none")
            screen.press("p")
            start = time.monotonic()
            screen.wait(lambda: live_count(screen, "leak_site_a") > paused, "what came meanwhile")
            print(f"note: it went on after {(time.monotonic() - start) * 1000:.0f} ms")
            screen.press("q")
            screen.wait_end()
        workload.phase("quiet")
        workload.end()


@test(name="screen.resized")
def screen_resized():
    """Lines fit from the next frame on, which comes at once."""
    with Workload("leaky_server") as workload:
        workload.phase("go")
        with Screen(*pid_words(workload, "10"), rows=40, columns=150) as screen:
            screen.wait_text("leak_site_a")
            screen.press("\r")
            screen.wait_text("start_thread|clone")
            for rows, columns in ((24, 80), (10, 40), (3, 12), (1, 1), (24, 80)):
                screen.resize(rows, columns)
                screen.wait(lambda: screen.terminal.text().strip(), "a frame", timeout=8)
                screen.read(0.3)
                require(not screen.terminal.too_wide,
                        f"too wide for {rows} x {columns}:\n{screen.terminal.text()}")
            screen.wait(lambda: "help" in screen.terminal.lines()[23], "the line of the keys", 8)
            require(any(site in screen.terminal.text() for site in SITES), "no site is shown")
            screen.press("q")
            screen.wait_end()
        workload.phase("quiet")
        workload.end()


def press_ctrl_c(screen, _):
    screen.press("\x03")


def send_term(screen, _):
    os.kill(observer_pid(screen), signal.SIGTERM)


def end_target(_, workload):
    workload.process.kill()


@test(name="screen.ends", over={"ctrl_c": press_ctrl_c, "sigterm": send_term,
                                "target": end_target})
def screen_ends(end):
    """However it ends, the terminal is as before and the report stands on it."""
    with Workload("leaky_server") as workload, Screen(*pid_words(workload)) as screen:
        workload.phase("go")
        screen.wait_text("leak_site_a")
        end(screen, workload)
        text = screen.wait_end()
        require(re.search(rf"PID {workload.pid}\b", text) and "ledger of heap" in text,
                f"no final report:\n{text}")


@test(name="screen.killed")
def screen_killed():
    """A signal that ends the program there and then: the terminal is given back, and it ends."""
    with Workload("leaky_server") as workload, Screen(*pid_words(workload)) as screen:
        workload.phase("go")
        screen.wait_text("leak_site_a")
        screen.press("\x1c")  # Ctrl-backslash
        screen.wait_end(128 + signal.SIGQUIT)
        require(workload.is_alive(), "the target is dead")


@test(name="screen.suspended")
def screen_suspended():
    """Ctrl-Z gives the terminal back; the screen returns when the job goes on."""
    with Workload("leaky_server") as workload, Screen(*pid_words(workload)) as screen:
        workload.phase("go")
        screen.wait_text("leak_site_a")
        screen.press("\x1a")
        screen.wait_normal("^stopped")
        screen.require_given_back()
        screen.press("\n")
        screen.wait_text("leak_site_a")
        require(not screen.modes()[3] & termios.ICANON, "keys wait for Enter")
        sort_by(screen, "count")
        screen.press("q")
        screen.wait_end()


@test(name="screen.report_now")
def screen_report_now():
    """SIGUSR1: the report is on the normal screen, then the table is back."""
    with Workload("leaky_server") as workload, Screen(*pid_words(workload)) as screen:
        workload.phase("go")
        screen.wait_text("leak_site_a")
        os.kill(observer_pid(screen), signal.SIGUSR1)
        screen.wait_normal("ledger of heap")
        screen.wait_text("leak_site_a")
        screen.press("q")
        screen.wait_end()


@test(name="screen.no_color")
def screen_no_color():
    """NO_COLOR: none, but the cursor is still to be seen."""
    with Workload("leaky_server") as workload, \
            Screen(*pid_words(workload), env={"NO_COLOR": "1"}) as screen:
        workload.phase("go")
        screen.wait_text(r"^>\w+ .*leak_site|^>\w+ .*look_up")
        screen.press("q")
        screen.wait_end()
        require(screen.terminal.colours <= {"0"}, f"colours {screen.terminal.colours}")


@test(name="screen.no_keys")
def screen_no_keys():
    """Standard input is no terminal: the table is there, keys are not, the terminal's input is left
    alone."""
    with Workload("leaky_server") as workload, \
            Screen(*pid_words(workload), stdin="/dev/null") as screen:
        workload.phase("go")
        screen.wait_text("leak_site_a")
        screen.wait_text("Ctrl-C: report")
        require(screen.modes() == screen.before, "the modes of the terminal were changed")
        screen.press("\x03")
        screen.wait_end()


@test(name="screen.dumb")
def screen_dumb():
    """A terminal that can only write lines gets lines."""
    with Workload("leaky_server") as workload, \
            Screen(*pid_words(workload), env={"TERM": "dumb"}) as screen:
        workload.phase("go")
        screen.wait_normal("(?s)learning; .*learning; ")
        screen.press("\x03")
        text = screen.wait_end()
        require("ledger of heap" in text and not screen.terminal.colours, "no plain report")


@test(name="screen.command")
def screen_command():
    """A program that was started has the terminal: lines, and no screen of ours."""
    with Screen("run", "-d", "3", "-i", "1", "--", workload_path("leaky_server"),
                "--forever") as screen:
        screen.wait_normal("ready")
        text = screen.wait_end()
        require("learning; " in text and "no verdict yet" in text, f"neither lines nor a report:\n{text}")
        require("1049" not in screen.terminal.used, "the screen was taken from the program")
