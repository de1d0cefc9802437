# SPDX-License-Identifier: GPL-2.0-only
"""Programs that leak, and others that only look like it: each opens and closes objects of a site
step by step, and yields."""
import math

from site_model import log_uniform, binomial, poisson


# --- leaky ---


def linear(site):
    rng = site.rng
    rate, share = log_uniform(rng, 0.2, 200), log_uniform(rng, 0.05, 1)
    lifetime = log_uniform(rng, 0.05, 10)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate * (1 - share), lifetime)
        site.birth(total, alive, poisson(rng, rate * share * site.step))
        yield


def slow(site):
    """A drip under churn."""
    rng = site.rng
    leak, lifetime = log_uniform(rng, 0.02, 0.3), log_uniform(rng, 0.1, 10)
    level = log_uniform(rng, 20, 2000)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(level / lifetime, lifetime)
        site.birth(total, alive, poisson(rng, leak * site.step))
        yield


def bursty(site):
    rng = site.rng
    interval, size = log_uniform(rng, 10, 120), log_uniform(rng, 5, 500)
    lifetime, rate = log_uniform(rng, 0.1, 10), log_uniform(rng, 1, 200)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate, lifetime)
        site.birth(total, alive, bursts(site, interval, size))
        yield


def bursts(site, interval, size):
    return sum(max(1, int(site.rng.expovariate(1 / size)))
               for _ in range(poisson(site.rng, site.step / interval)))


def square_root(site):
    rng = site.rng
    factor, lifetime = log_uniform(rng, 2, 100), log_uniform(rng, 0.1, 10)
    rate = log_uniform(rng, 1, 100)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate, lifetime)
        grown = math.sqrt(site.now) - math.sqrt(site.now - site.step)
        site.birth(total, alive, poisson(rng, factor * grown))
        yield


def every_nth(site):
    rng = site.rng
    nth, rate = int(log_uniform(rng, 10, 1000)), log_uniform(rng, 20, 2000)
    lifetime, counter = log_uniform(rng, 0.01, 2), 0
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate, lifetime)
        counter += total
        site.birth(total, alive, counter // nth)
        counter %= nth
        yield


def daily_leak(site):
    rng = site.rng
    wave = log_uniform(rng, 300, 7200), rng.uniform(0, 6.28), rng.uniform(.5, .95)
    rate, share = log_uniform(rng, 5, 500), log_uniform(rng, 0.002, 0.1)
    lifetime = log_uniform(rng, 0.1, 20)
    while True:
        load = site.swing(*wave)
        site.decay(lifetime)
        total, alive = site.churn(rate * load, lifetime)
        site.birth(total, alive, poisson(rng, rate * load * share * site.step))
        yield


def steps(site):
    """Many at once, for example at each reload."""
    rng = site.rng
    period, size = log_uniform(rng, 20, 300), int(log_uniform(rng, 5, 2000))
    due, lifetime = rng.uniform(0, period), log_uniform(rng, 0.1, 5)
    rate = log_uniform(rng, 1, 100)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate, lifetime)
        leaked = 0
        while due <= site.now:
            leaked += size
            due += period
        site.birth(total, alive, leaked)
        yield


def hourly(site):
    rng = site.rng
    lifetime, rate = log_uniform(rng, 0.1, 10), log_uniform(rng, 1, 50)
    due = rng.uniform(0, 3600)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate, lifetime)
        leaked = 0
        while due <= site.now:
            leaked += 1
            due += 3600
        site.birth(total, alive, leaked)
        yield


class Collector:
    """Drops all mortal objects now and then."""

    def __init__(self, site, period, wavers):
        self.site, self.period, self.wavers = site, period, wavers
        self.due, self.last = site.rng.uniform(0, period), 0

    def collect(self, born):
        """How many of those born in this step are alive at its end."""
        site, rng = self.site, self.site.rng
        if self.due > site.now:
            return born
        site.drop_all()
        while self.due <= site.now:
            self.last = self.due
            self.due += self.period * (rng.uniform(.7, 1.3) if self.wavers else 1)
        return binomial(rng, born, min(1, (site.now - self.last) / site.step))


def saw_that_leaks(site):
    rng = site.rng
    period, rate = log_uniform(rng, 2, 60), log_uniform(rng, 20, 500)
    share = log_uniform(rng, 0.005, 0.1)
    collector = Collector(site, period, True)
    while True:
        born = poisson(rng, rate * site.step)
        alive = collector.collect(born)
        site.birth(born, alive, poisson(rng, rate * share * site.step))
        yield


def late(site):
    rng = site.rng
    onset, rate = log_uniform(rng, 30, 600), log_uniform(rng, 5, 200)
    share, lifetime = log_uniform(rng, 0.02, 0.5), log_uniform(rng, 0.1, 10)
    while True:
        site.decay(lifetime)
        total, alive = site.churn(rate, lifetime)
        leaked = poisson(rng, rate * share * site.step) if site.now > onset else 0
        site.birth(total, alive, leaked)
        yield


# --- clean ---


def warm_up(site):
    rng = site.rng
    size, time = log_uniform(rng, 20, 5000), log_uniform(rng, 2, 200)
    while True:
        share = math.exp(-(site.now - site.step) / time) - math.exp(-site.now / time)
        site.birth(0, 0, poisson(rng, size * share))
        yield


def interning(site):
    """A finite set of names, some used much more often than others."""
    rng = site.rng
    nr, rate, skew = int(log_uniform(rng, 50, 3000)), log_uniform(rng, 2, 100), rng.uniform(.8, 1.3)
    weights = [1 / (i + 1) ** skew for i in range(nr)]
    total = sum(weights)
    unseen = [math.exp(-(rate * weight / total) * site.step) for weight in weights]
    while True:
        left = [chance for chance in unseen if rng.random() < chance]
        site.birth(0, 0, len(unseen) - len(left))
        unseen = left
        yield


def lru(site):
    """A cache that fills, then evicts; some entries are never evicted."""
    rng = site.rng
    size, fill = int(log_uniform(rng, 50, 5000)), log_uniform(rng, 10, 600)
    rate = size / fill * rng.uniform(1, 1.2)
    hot, miss = rng.uniform(0, .3), rng.uniform(.3, 1)
    while True:
        full = site.nr_mortal + site.nr_staying >= size
        born = poisson(rng, rate * site.step * (miss if full else 1))
        kept = binomial(rng, born, hot) if not full else 0
        site.birth(born - kept, born - kept, kept)
        excess = site.nr_mortal + site.nr_staying - size
        if excess > 0:
            if rng.random() < .5:
                site.drop_oldest(excess)
            else:
                site.drop_random(excess)
        yield


def saw(site):
    rng = site.rng
    period, rate = log_uniform(rng, 2, 120), log_uniform(rng, 5, 500)
    collector = Collector(site, period, True)
    base = int(log_uniform(rng, 1, 500))
    while True:
        born = poisson(rng, rate * site.step)
        site.birth(born, collector.collect(born), base)
        base = 0
        yield


def flush(site):
    rng = site.rng
    period, rate = log_uniform(rng, 10, 600), log_uniform(rng, 1, 200)
    collector = Collector(site, period, False)
    while True:
        born = poisson(rng, rate * site.step)
        site.birth(born, collector.collect(born))
        yield


def pool(site):
    """Connections: as many as were ever needed at once, renewed when they are old."""
    rng = site.rng
    most = int(log_uniform(rng, 10, 500))
    use, lifetime = log_uniform(rng, 3, most), log_uniform(rng, 60, 1800)
    idle = rng.random() < .5
    while True:
        site.decay(lifetime)
        if not idle or rng.random() < .7:
            wanted = min(most, poisson(rng, use))
        else:
            wanted = min(most, int(use * rng.uniform(1, 2)))
        missing = max(0, wanted - site.nr_mortal)
        site.birth(missing, missing)
        yield


def arena(site):
    """A table that doubles while finite data come in."""
    rng = site.rng
    capacity, time, total = 4, log_uniform(rng, 5, 300), log_uniform(rng, 100, 1e6)
    while True:
        needed, doubled = total * (1 - math.exp(-site.now / time)), 0
        while needed > capacity:
            capacity *= 2
            doubled += 1
        rng.random()
        site.birth(0, 0, doubled)
        yield


def ring(site):
    rng = site.rng
    size, rate = int(log_uniform(rng, 16, 4096)), log_uniform(rng, 1, 200)
    while True:
        born = poisson(rng, rate * site.step)
        site.birth(born, born)
        site.drop_oldest(max(0, site.nr_mortal - size))
        yield


def daily(site):
    rng = site.rng
    wave = log_uniform(rng, 300, 7200), rng.uniform(0, 6.28), rng.uniform(.5, .95)
    rate, lifetime = log_uniform(rng, 5, 500), log_uniform(rng, 0.1, 30)
    while True:
        site.decay(lifetime)
        site.birth(*site.churn(rate * site.swing(*wave), lifetime))
        yield


def job_bursts(site):
    rng = site.rng
    interval, size = log_uniform(rng, 5, 120), log_uniform(rng, 10, 1000)
    lifetime = log_uniform(rng, 5, 120)
    while True:
        site.decay(lifetime)
        born = bursts(site, interval, size)
        site.birth(born, binomial(rng, born, math.exp(-site.step / 2 / lifetime)))
        yield


def sessions(site):
    """Most are short, some very long."""
    rng = site.rng
    rate, shape = log_uniform(rng, 1, 50), rng.uniform(1.05, 2)
    least, most = log_uniform(rng, .5, 5), log_uniform(rng, 300, 3600)

    def survival(age):
        if age <= least:
            return 1.0
        return max(0.0, (least / age) ** shape) if age < most else 0.0

    while True:
        site.age(survival)
        born = poisson(rng, rate * site.step)
        site.birth(born, binomial(rng, born, survival(site.step * .5)))
        yield


def queue(site):
    """Nearly as much work as can be done."""
    rng = site.rng
    rate, use = log_uniform(rng, 5, 100), rng.uniform(.9, .995)
    served = rate / use
    while True:
        born = poisson(rng, rate * site.step)
        site.birth(born, born)
        site.drop_oldest(poisson(rng, served * site.step))
        yield


def ramp(site):
    """Ever more load, of short lifetimes."""
    rng = site.rng
    slope, lifetime = log_uniform(rng, .01, 2), log_uniform(rng, .1, 20)
    while True:
        site.decay(lifetime)
        site.birth(*site.churn(5 + slope * site.now, lifetime))
        yield


def reload(site):
    """All is replaced now and then, by somewhat more or less."""
    rng = site.rng
    period, size = log_uniform(rng, 20, 600), log_uniform(rng, 50, 5000)
    due, first = rng.uniform(0, period), True
    while True:
        if first or due <= site.now:
            site.drop_all()
            born = int(size * rng.uniform(.9, 1.1))
            site.birth(born, born)
            while due <= site.now:
                due += period
            first = False
        else:
            site.birth(0, 0)
        yield


def dataset(site):
    """Grows by design: no counts can tell it from a leak."""
    rng = site.rng
    rate = log_uniform(rng, 1, 200)
    while True:
        site.birth(0, 0, poisson(rng, rate * site.step))
        yield
