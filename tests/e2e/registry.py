# SPDX-License-Identifier: GPL-2.0-only
"""The table of end-to-end tests, filled by the decorator @test."""

import collections
import functools

Test = collections.namedtuple("Test", "name function timeout alone")

TESTS = {}


def test(name=None, timeout=180, alone=False, over=None):
    """Registers a test. over: {suffix: argument}, one test for each, called with the argument.
    alone: ctest runs nothing else meanwhile."""
    def register(function):
        base = name or function.__name__
        rows = {base: function} if over is None else {
            f"{base}.{suffix}": functools.partial(function, argument)
            for suffix, argument in over.items()}
        for full, call in rows.items():
            assert full not in TESTS, full
            TESTS[full] = Test(full, call, timeout, alone)
        return function
    return register
