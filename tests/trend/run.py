#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""run.py REPLAY [FIRST_SEED NR_SEEDS]: how well verdicts tell leaks from what only looks like them.

Series of known kinds go through trend/ (the program REPLAY). The test fails when fewer leaks are
found, or more is flagged that does not leak, than the rule is known to achieve.
"""
import collections
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import series  # noqa: E402  pylint: disable=wrong-import-position

STEPS = (1, 5, 15, 60)  # seconds from poll to poll
MARKS = (10, 20, 50, 100, 200)
FIRST_SEED, NR_SEEDS = 5000, 24
GROWING, LEAKING = 2, 3

# Recall and false-positive rate after so many polls, of the last verdict. One object an hour needs
# hours, and data can not be told from a leak: both are left out.
WANTED = {
    ("growing or leaking", GROWING): {20: (.53, .15), 50: (.73, .10), 100: (.83, .08),
                                      200: (.90, .06)},
    ("leaking", LEAKING): {20: (.51, .00), 50: (.72, .01), 100: (.81, .01), 200: (.87, .01)},
}
JUDGED_LEAKY = [name for name in series.LEAKY if name != "L_hourly"]


def replay(program, first_seed, nr_seeds):
    """(class, step) -> [verdicts after MARKS, highest until then, first growing, first leaking]"""
    results = collections.defaultdict(list)
    with tempfile.TemporaryFile("w+") as output:
        with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=output) as process:
            for name in series.ALL:
                for step in STEPS:
                    for seed in range(first_seed, first_seed + nr_seeds):
                        process.stdin.write(series.encode(name, step, seed, max(MARKS)))
            process.stdin.close()
        if process.returncode:
            raise SystemExit(f"{program} failed")
        output.seek(0)
        at = iter(output.read().splitlines())
    nr = len(MARKS)
    for name in series.ALL:
        for step in STEPS:
            for _ in range(nr_seeds):
                numbers = [int(number) for number in next(at).split()]
                results[name, step].append((numbers[:nr], numbers[nr:2 * nr], *numbers[2 * nr:]))
    return results


def share(results, names, level, mark, ever=False):
    """Of the series of these classes, all weighing the same, how many have that verdict?"""
    hits = total = 0
    for name in names:
        for step in STEPS:
            for run in results[name, step]:
                hits += run[1 if ever else 0][MARKS.index(mark)] >= level
                total += 1
    return hits / total


def print_table(results):
    faults = []
    print("recall/false positives" + "".join(f"{f'N={mark}':>12}" for mark in MARKS))
    for (label, level), wanted in WANTED.items():
        for ever in (False, True):
            row = f"{label + (', ever' if ever else ''):26}"
            for mark in MARKS:
                recall = round(share(results, JUDGED_LEAKY, level, mark, ever), 2)
                false = round(share(results, series.CLEAN, level, mark, ever), 2)
                row += f" {recall:.2f}/{false:.2f}  "
                least, most = wanted.get(mark, (0, 1))
                if not ever and (recall < least or false > most):
                    faults.append(f"{label} after {mark} polls: {recall:.2f}/{false:.2f}, "
                                  f"not {least:.2f}/{most:.2f}")
            print(row)
    return faults


def print_classes(results):
    print(f"\n{'share flagged (leaking)':24}{'N=50':>12}{'N=200':>12}   "
          "median s to first alert at 1/5/15/60 s, of those found")
    for name in series.ALL:
        row = f"{name:24}"
        for mark in (50, 200):
            row += (f" {share(results, [name], GROWING, mark):5.2f}"
                    f" ({share(results, [name], LEAKING, mark):.2f})")
        times = []
        for step in STEPS:
            found = [run[2] * step for run in results[name, step] if run[2]]
            times.append(f"{statistics.median(found):.0f}" if found else "-")
        print(f"{row}   {'/'.join(times)}")


def main():
    first_seed, nr_seeds = (int(text) for text in sys.argv[2:4]) if len(sys.argv) > 3 else (
        FIRST_SEED, NR_SEEDS)
    results = replay(sys.argv[1], first_seed, nr_seeds)
    print(f"{sum(map(len, results.values()))} series")
    faults = print_table(results)
    print_classes(results)
    for fault in faults:
        print(f"WORSE THAN KNOWN: {fault}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
