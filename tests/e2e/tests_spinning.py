# SPDX-License-Identifier: GPL-2.0-only
"""Goroutines that never wait: where they are is known from samples of the threads that run them."""

import re

from harness import require
from registry import test
from tests_goroutines import oldest_and_newest, stuck_line, watch_stuck


@test("goroutine_spinning", timeout=90, over=oldest_and_newest())
def spinning(version):
    """A busy select with default: suspect, at the function that runs, never leaking."""
    report = watch_stuck(version, "spin", seconds=11)
    (finding,) = [f for f in report.of("goroutine") if f["state"] == "spinning"]
    require(finding["verdict"] == "suspect" and finding["stack"][0]["function"] == "main.poll" and
            re.match(r"goroutine \d+ has been running in main.poll for \d+ s", finding["why"]),
            f"{finding}")
    require(not report.flagged(), f"flagged: {report.flagged()}")


@test("goroutine_spinning_nested", timeout=90, over=oldest_and_newest())
def spinning_nested(version):
    """The calls that lead to the loop are shown with their lines, out to the go statement."""
    report = watch_stuck(version, "nested", seconds=11)
    (finding,) = [f for f in report.of("goroutine") if f["state"] == "spinning"]
    stack = [(frame["function"], frame["line"]) for frame in finding["stack"]]
    if stack[0][0] == "main.(*inbox).take":  # most samples are in what the loop calls
        stack.pop(0)
    require(stack[:2] == [("main.(*inbox).drain", stuck_line("drain")),
                          ("main.consume", stuck_line("consume"))] and
            [function for function, _ in stack[2:]] == ["created by main.main"],
            f"stack: {finding['stack']}")
