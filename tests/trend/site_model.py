# SPDX-License-Identifier: GPL-2.0-only
"""What one allocating stack has outstanding, and the distributions that it follows."""
import math


def poisson(rng, mean):
    if mean <= 0:
        return 0
    if mean > 50:
        return max(0, int(round(rng.gauss(mean, math.sqrt(mean)))))
    limit, count, product = math.exp(-mean), 0, 1.0
    while True:
        product *= rng.random()
        if product <= limit:
            return count
        count += 1


def binomial(rng, count, share):
    if count <= 0 or share <= 0:
        return 0
    if share >= 1:
        return count
    mean = count * share
    if count > 60:
        if mean > 10 and count - mean > 10:
            drawn = int(round(rng.gauss(mean, math.sqrt(mean * (1 - share)))))
            return min(count, max(0, drawn))
        if mean <= 10:
            return min(count, poisson(rng, mean))
        return count - min(count, poisson(rng, count - mean))
    draw = rng.random
    hits = 0
    for _ in range(count):
        if draw() < share:
            hits += 1
    return hits


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class Site:
    """Objects by the poll before which they were born: some may go, others stay."""

    def __init__(self, rng, step):
        self.rng, self.step = rng, step
        self.now = 0.0
        self.mortal = []   # per birth poll
        self.staying = []
        self.living = []   # birth polls that still have mortal objects, in order
        self.nr_mortal = self.nr_staying = 0
        self.opened = self.closed = 0
        self.changed = set()

    def birth(self, total, surviving, staying=0):
        at = len(self.mortal)
        self.mortal.append(surviving)
        self.staying.append(staying)
        if surviving:
            self.living.append(at)
        self.nr_mortal += surviving
        self.nr_staying += staying
        self.opened += total + staying
        self.closed += total - surviving
        self.changed.add(at)

    def take(self, at, count):
        self.mortal[at] -= count
        self.nr_mortal -= count
        self.closed += count
        self.changed.add(at)

    def bury(self):
        self.living = [at for at in self.living if self.mortal[at]]

    def each_dies(self, share):
        rng, mortal = self.rng, self.mortal
        for at in self.living:
            count = binomial(rng, mortal[at], share)
            if count:
                self.take(at, count)
        self.bury()

    def decay(self, lifetime):
        self.each_dies(1 - math.exp(-self.step / lifetime))

    def age(self, survival):
        """Each dies by its age; survival(age) is the share that lives so long."""
        nr, step = len(self.mortal), self.step
        for at in self.living:
            age = (nr - at) * step
            before = age - step * 0.5 if at == nr - 1 else age - step
            share = 1 - survival(age) / max(1e-12, survival(before))
            count = binomial(self.rng, self.mortal[at], share)
            if count:
                self.take(at, count)
        self.bury()

    def drop_all(self):
        for at in self.living:
            self.take(at, self.mortal[at])
        self.living = []

    def drop_oldest(self, count):
        for at in self.living:
            if count <= 0:
                break
            gone = min(count, self.mortal[at])
            self.take(at, gone)
            count -= gone
        self.bury()

    def drop_random(self, count):
        if count >= self.nr_mortal:
            self.drop_all()
        elif self.nr_mortal:
            self.each_dies(count / self.nr_mortal)

    def churn(self, rate, lifetime):
        """Poisson births of exponential lifetimes: (born, alive at the end of the step)."""
        total = poisson(self.rng, rate * self.step)
        share = lifetime / self.step * (1 - math.exp(-self.step / lifetime))
        return total, binomial(self.rng, total, share)

    def swing(self, period, phase, amplitude):
        return 1 + amplitude * math.sin(2 * math.pi * self.now / period + phase)
