# SPDX-License-Identifier: GPL-2.0-only
"""Series of what one allocating stack has outstanding, poll by poll.

Time constants are drawn log-uniformly in seconds, so every poll interval sees the same processes.
The random numbers are drawn in a fixed order: a class, an interval and a seed name one series.
"""
import random
import struct

import kinds
from site_model import Site

# The names seed the random numbers.
LEAKY = {
    "L_linear": kinds.linear,
    "L_slow": kinds.slow,
    "L_bursty": kinds.bursty,
    "L_sublin": kinds.square_root,
    "L_nth": kinds.every_nth,
    "L_diurnal": kinds.daily_leak,
    "L_step": kinds.steps,
    "L_hourly": kinds.hourly,
    "L_saw": kinds.saw_that_leaks,
    "L_late": kinds.late,
}
CLEAN = {
    "N_warmup": kinds.warm_up,
    "N_coupon": kinds.interning,
    "N_lru": kinds.lru,
    "N_saw": kinds.saw,
    "N_flush": kinds.flush,
    "N_pool": kinds.pool,
    "N_arena": kinds.arena,
    "N_ring": kinds.ring,
    "N_diurnal": kinds.daily,
    "N_gburst": kinds.job_bursts,
    "N_pareto": kinds.sessions,
    "N_queue": kinds.queue,
    "N_ramp": kinds.ramp,
    "N_redeploy": kinds.reload,
}
BY_DESIGN = {"G_dataset": kinds.dataset}
ALL = {**LEAKY, **CLEAN, **BY_DESIGN}


def encode(name, step, seed, nr_polls):
    """The series as replay.c reads it."""
    site = Site(random.Random(f"{name}/{step}/{seed}"), step)
    polls = ALL[name](site)
    parts = [struct.pack("=II", step, nr_polls)]
    for poll in range(nr_polls):
        site.now = (poll + 1) * step
        next(polls)
        numbers = []
        for at in site.changed:
            numbers += (at, site.mortal[at] + site.staying[at])
        parts.append(struct.pack(f"=QQI{len(numbers)}I", site.opened, site.closed,
                                 len(site.changed), *numbers))
        site.changed.clear()
    return b"".join(parts)
