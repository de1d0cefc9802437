# SPDX-License-Identifier: GPL-2.0-only
"""A small terminal: what leakbpf writes to it, as a grid of characters. It knows the sequences that
user/cmd/terminal.c uses, and fails on any other."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unicodedata

from harness import DEADLINE_S, LEAKBPF, Failure, require

CONTROL = re.compile(r"\x1b\[([?]?)([\d;]*)([A-Za-z])")
BEGINNING = re.compile(r"\x1b(\[[?]?[\d;]*)?$")  # of a sequence
CANCELLED = re.compile(r"(\x1b(\[[?]?[\d;]*)?)?\x18")


def columns_of(character):
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Terminal:
    """The grid. Rows and columns count from 0."""

    def __init__(self, rows, columns):
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.rest = ""  # of a sequence that has not come whole
        self.normal = ""  # all that was written while not on the alternate screen
        self.modes = {"1049": False, "25": True, "7": True, "2026": False}
        self.used = set()  # modes that were set or reset
        self.colours = set()
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.grid = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.too_wide = False  # something was written beyond the last column

    def is_in_frame(self):
        """Has a frame begun that is not there to its end?"""
        return self.is_alternate() and self.modes["2026"]

    def is_alternate(self):
        return self.modes["1049"]

    def lines(self):
        return ["".join(line).rstrip() for line in self.grid]

    def text(self):
        return "\n".join(self.lines())

    def feed(self, data):
        text = self.rest + self.decoder.decode(data)
        self.rest = ""
        at = 0
        while at < len(text):
            match = CONTROL.match(text, at)
            cancelled = CANCELLED.match(text, at)
            if cancelled:
                at = cancelled.end()
            elif match:
                self.control(*match.groups())
                at = match.end()
            elif BEGINNING.match(text, at):
                self.rest = text[at:]
                return
            else:
                self.write(text[at])
                at += 1

    def write(self, character):
        if not self.is_alternate():
            self.normal += character
            return
        require(character.isprintable(), f"{character!r} reached the terminal")
        if self.column + columns_of(character) > self.columns or self.row >= self.rows:
            self.too_wide = True
            return
        self.grid[self.row][self.column] = character
        self.column += columns_of(character)

    def control(self, private, numbers, final):
        if private:
            require(final in "hl", f"unknown sequence ?{numbers}{final}")
            self.modes[numbers] = final == "h"
            self.used.add(numbers)
        elif final == "m":
            self.colours.add(numbers)
        elif final == "H":
            place = [int(number) - 1 for number in numbers.split(";") if number] or [0, 0]
            self.row, self.column = place
        elif final == "K" and self.is_alternate() and self.row < self.rows:
            self.grid[self.row][self.column:] = [" "] * (self.columns - self.column)
        elif final == "J" and numbers == "2":
            self.resize(self.rows, self.columns)
        elif final != "K":
            raise Failure(f"unknown sequence [{numbers}{final}")


# A shell with job control has the terminal, as at home: it waits for a line before it lets a stopped
# leakbpf go on (148: SIGTSTP), and at the end.
SHELL = """ulimit -c 0; set -m; "$@"; status=$?
if [ $status -eq 148 ]; then echo stopped; read -r _; fg >/dev/null; status=$?; fi
echo "status=$status"; read -r _"""


class Screen:
    """leakbpf in a terminal."""

    def __init__(self, *options, rows=40, columns=120, env=None, stdin=None):
        self.master, self.slave = pty.openpty()
        self.terminal = Terminal(rows, columns)
        self.set_size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        shell = SHELL.replace('"$@"', f'"$@" <{stdin}') if stdin else SHELL
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", LEAKBPF, *options], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, start_new_session=True, preexec_fn=self.take_terminal,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})})

    @staticmethod
    def take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["pkill", "-KILL", "-s", str(self.process.pid)], check=False)
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def set_size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.read(0)
        self.terminal.resize(rows, columns)
        self.set_size(rows, columns)

    def read(self, timeout):
        """Takes over what comes within that time."""
        while select.select([self.master], [], [], timeout)[0]:
            self.terminal.feed(os.read(self.master, 65536))
            timeout = 0

    def press(self, keys):
        os.write(self.master, keys.encode())

    def modes(self):
        return termios.tcgetattr(self.slave)

    def wait(self, condition, what, timeout=DEADLINE_S):
        """Waits until condition() is true and returns its value."""
        deadline = time.monotonic() + timeout
        while True:
            self.read(0.01)
            value = not self.terminal.is_in_frame() and condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise Failure(f"waited {timeout} s in vain for: {what}; the screen is\n"
                              f"{self.terminal.text()}\nand before that\n{self.terminal.normal}")

    def wait_text(self, pattern, timeout=DEADLINE_S):
        """Waits until something on the alternate screen matches."""
        return self.wait(lambda: self.terminal.is_alternate() and
                         re.search(pattern, self.terminal.text(), re.MULTILINE), pattern, timeout)

    def wait_normal(self, pattern):
        """Waits until something on the normal screen matches."""
        return self.wait(lambda: re.search(pattern, self.terminal.normal, re.MULTILINE), pattern)

    def require_given_back(self):
        """The terminal is as it was before."""
        require(not self.terminal.is_alternate(), "the alternate screen was not left")
        require(self.terminal.modes["25"], "the cursor stays hidden")
        require(self.terminal.modes["7"], "lines do not go on any more")
        require(self.modes() == self.before, f"modes {self.modes()}, before {self.before}")

    def wait_end(self, status=0):
        """Waits until it has ended, and checks that all is as before. Returns what it wrote to the
        normal screen."""
        self.wait_normal(r"^status=\d+\r$")
        self.require_given_back()
        ended = re.search(r"^status=(\d+)\r$", self.terminal.normal, re.MULTILINE)
        require(int(ended[1]) == status, f"exit status {ended[1]}: {self.terminal.normal}")
        return self.terminal.normal
