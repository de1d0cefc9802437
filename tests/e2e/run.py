#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs end-to-end tests: run.py NAME... ; run.py --list names them for ctest.

Exit status: 0 passed, 1 failed, 77 skipped.
"""

import os
import sys
import time
import traceback

sys.dont_write_bytecode = True

import registry
from harness import LEAKBPF, Failure, Skip

import tests_blocked  # noqa: F401
import tests_browser  # noqa: F401
import tests_catalogue  # noqa: F401  each registers its tests
import tests_check  # noqa: F401
import tests_demo  # noqa: F401
import tests_errors  # noqa: F401
import tests_goroutines  # noqa: F401
import tests_heap  # noqa: F401
import tests_life  # noqa: F401
import tests_limits  # noqa: F401
import tests_mmap  # noqa: F401
import tests_output  # noqa: F401
import tests_pprof  # noqa: F401
import tests_proved  # noqa: F401
import tests_reach  # noqa: F401
import tests_real  # noqa: F401
import tests_record  # noqa: F401
import tests_scheduler  # noqa: F401
import tests_screen  # noqa: F401
import tests_servers  # noqa: F401
import tests_spinning  # noqa: F401
import tests_timers  # noqa: F401
import tests_traceback  # noqa: F401
import tests_zoo  # noqa: F401

SKIPPED = 77


def check_machine():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        raise Skip("the kernel has no BTF")
    if not os.access(LEAKBPF, os.X_OK):
        raise Failure(f"{LEAKBPF} is missing: build it first, or name it in LEAKBPF")


def set_environment():
    """The same wherever the tests run: no translations, and no proxy between them and themselves."""
    for name in list(os.environ):
        if name.startswith("LC_") or name.lower().endswith("_proxy") or name == "LANG":
            del os.environ[name]
    os.environ["LC_ALL"] = "C.UTF-8"


def run(test):
    start = time.monotonic()
    try:
        check_machine()
        test.function()
    except Skip as skip:
        print(f"SKIPPED {test.name}: {skip}")
        return SKIPPED
    except Failure as failure:
        print(f"FAILED {test.name}: {failure}")
        return 1
    except Exception:  # pylint: disable=broad-except
        print(f"FAILED {test.name}: {traceback.format_exc()}")
        return 1
    print(f"passed {test.name} ({time.monotonic() - start:.1f} s)")
    return 0


def main(names):
    if names == ["--list"]:
        for test in registry.TESTS.values():
            print(f"{test.name} {test.timeout} {int(test.alone)}")
        return 0
    unknown = [name for name in names if name not in registry.TESTS]
    if unknown or not names:
        print(f"usage: run.py --list | NAME...  (unknown: {' '.join(unknown)})", file=sys.stderr)
        return 2
    set_environment()
    results = [run(registry.TESTS[name]) for name in names]
    return 1 if 1 in results else max(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
