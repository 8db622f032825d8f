"""Concepts that emerge in a stream of vectors: groups that come to be, grow, split, meet and go, under numbers that stay.

Every vector is known by its row. What is kept of a group beside rows are a few numbers, and its centre is the mean of
its latest rows: whoever has the vectors has all of the state, and a row that is deleted is gone from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recsketch.repository.density import clusters

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]
    Vectors = npt.NDArray[Any]

SETTLE = 512  # runs of the cold start
RECENT = 128  # members that a concept is made of
BUFFER = 256  # outliers that are kept
LEAST, NEAR = 12, 6  # members that a group must have, in all and in either half
CONCEPTS, TRIALS = 64, 8  # most at a time
RANK = 48  # directions in which the metric differs from a sphere's
REVIEW = 50  # admissions between two reviews of a concept
RETIRE = 20_000  # runs after which a concept without any is retired
WIDTH = 3.3  # deviations of the logarithm of a distance up to which it is usual: 1 in 2,000 on one side
RATE = 1 / 300  # of forgetting, where something is averaged over runs
APART = 2.0  # how far concepts are from each other at least, over the sum of their deviations along the line of centres
RICH, POOR, CHANCE = np.array([0.12, 0.3, 0.7]), 0.05, 1e-3  # shares of outliers in a ball that is a concept, or is none
GIVEN_UP = -4.0  # logarithm of a trial's evidence
STEP, LARGEST = 2.0**-12, 2.0**11  # of coordinates: float32 holds these exactly, and float64 their sums


class Event(NamedTuple):
    """What happened to a concept: after how many runs, what, to which, and which other one was in it."""

    placed: int
    kind: str
    concept: int
    other: int | None


@dataclass
class Group:
    """A concept that lives.

    Attributes
    ----------
    id, born, seen : int
        Its number, and after how many placed runs it was born and last admitted one.
    count, shown : int
        Members, and how many there were when their growth was last told.
    mean, variance, weight : float
        Of logarithms of squared distances of new members to the centre; and of how many.
    share, rivals : float, dict of int to float
        Which part of recent runs came here, as of `seen`, and to which part of its latest members another concept would
        have been as open.
    rows : list of int
        Its latest members.
    """

    id: int
    born: int
    seen: int
    count: int
    shown: int
    mean: float
    variance: float
    weight: int
    share: float
    rivals: dict[int, float]
    rows: list[int]
    points: list[Vectors] = field(default_factory=list)
    total: Any = 0.0
    centre: Any = 0.0

    @property
    def deviation(self) -> float:
        return math.sqrt(self.variance)

    def put(self, row: int, x: Vectors) -> None:
        """One more of the latest members."""
        self.rows.append(row)
        self.points.append(x)
        self.total = self.total + x
        if len(self.rows) > RECENT:
            self.take(0)
        self.centre = self.total / len(self.rows)

    def take(self, at: int) -> None:
        """One fewer."""
        self.total = self.total - self.points.pop(at)
        self.rows.pop(at)
        self.centre = self.total / max(len(self.rows), 1)

    def admits(self, log: float, cap: float) -> bool:
        """Whether a run at such a distance is usual here; few members: a t-like allowance."""
        return log <= cap and log <= self.mean + WIDTH * (1 + 4 / self.weight) * self.deviation


@dataclass
class Trial:
    """A ball around the mean of rows that bets on which of the next outliers it holds.

    Attributes
    ----------
    rows : list of int
    cap : float
        Logarithm of its squared radius.
    bets : list of float
        Logarithms of the wealth of each bet of RICH.
    """

    rows: list[int]
    cap: float
    bets: list[float]
    centre: Any = 0.0


@dataclass
class Space:
    """The metric, fixed at the end of the cold start.

    Attributes
    ----------
    origin : (d,) float64
        The mean of the first vectors.
    unit : float
        The median of their distances to it. Longer vectors count as directions.
    axes, gains, floor : (r, d) float64, (r,) float64, float
        Directions of the scatter within concepts, and by what coordinates along and across them are multiplied.
    """

    origin: Vector
    unit: float
    axes: Vectors
    gains: Vector
    floor: float

    def place(self, s: Vectors) -> Vectors:
        """(d,) float32, where a vector lies. One at a time, so that the bits do not depend on others."""
        r = clipped((s - self.origin) / self.unit)
        x = r * self.floor + ((self.axes @ r) * (self.gains - self.floor)) @ self.axes
        return gridded(x)


def clipped(r: Vectors) -> Vectors:
    return r / max(float(np.linalg.norm(r)), 1.0)


def gridded(x: Vectors) -> Vectors:
    return np.asarray(np.clip(np.rint(x / STEP) * STEP, -LARGEST, LARGEST), np.float32)


def squares(points: Vectors, centre: Vectors) -> Vector:
    r = points - centre
    return np.einsum("ij,ij->i", r, r, dtype=np.float64)


def half(row: int) -> bool:
    """A fair coin that a row always throws alike."""
    z = (row + 0x9E3779B97F4A7C15) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return bool((z ^ (z >> 31)) & 1)


def valley(x: Vector, low: float, high: float) -> tuple[int, int]:
    """How many projections of two groups, centred at `low` and `high`, lie in the middle, and at the emptier centre.

    The windows have one width. Under one mode the middle holds no less than the emptier side.
    """
    width = (high - low) / 6
    sides = [int(np.sum(np.abs(x - c) <= width)) for c in (low, (low + high) / 2, high)]
    return sides[1], min(sides[0], sides[2])


def chance(middle: int, side: int) -> float:
    """That so few or fewer are in the middle under one mode: binomial."""
    m = middle + side
    return sum(math.comb(m, i) for i in range(middle + 1)) / 2**m


class Emergence:
    """The state of the algorithm, and what it did since `taken`.

    Parameters
    ----------
    slack : float
        By how much logarithms of distances may exceed what is usual. More finds less tight concepts, and more false ones.

    Attributes
    ----------
    placed : int
        Vectors so far.
    space : Space or None
        None in the cold start.
    live : list of Group
    outliers : list of int
        Rows that no concept admitted, at first all of them.
    """

    def __init__(self, slack: float = 0.25) -> None:
        self.slack = slack
        self.placed = self.next = 0
        self.space: Space | None = None
        self.live: list[Group] = []
        self.outliers: list[int] = []
        self.points: list[Vectors] = []  # of outliers: as they came in the cold start, then placed
        self.trials: list[Trial] = []
        self.events: list[Event] = []
        self.moves: list[tuple[int, int]] = []  # row, concept
        self.touched: set[int] = set()

    def say(self, kind: str, concept: int, other: int | None = None) -> None:
        self.events.append(Event(self.placed, kind, concept, other))

    # ------------------------------------------------------------ one vector

    def add(self, row: int, s: Vectors) -> None:
        """The next vector, of a row beyond all others."""
        self.placed += 1
        if self.space is None:
            self.outliers.append(row)
            self.points.append(np.asarray(s, np.float32))
            if len(self.outliers) == SETTLE:
                self.settle()
            return
        x = self.space.place(s)
        group = self.admit(row, x)
        if group is None:
            self.keep(row, x)
        elif group.count % REVIEW == 0:
            self.review(group)

    def admit(self, row: int, x: Vectors) -> Group | None:
        """The nearest of the concepts that admit it."""
        if not self.live:
            return None
        cap = self.cap()
        logs = np.log(squares(np.array([g.centre for g in self.live]), x) + 1e-30)
        order = [int(i) for i in np.argsort(logs, kind="stable") if self.live[i].admits(float(logs[i]), cap)]
        if not order:
            return None
        g = self.live[order[0]]
        self.moved([row], g)
        rate = max(1 / (g.weight + 1), RATE)
        dev = float(logs[order[0]]) - g.mean  # to the centre before x moves it: held out
        g.mean += rate * dev
        g.variance = max((1 - rate) * (g.variance + rate * dev * dev), 0.01)
        g.weight = min(g.weight + 1, 10**6)
        g.share = g.share * (1 - RATE) ** (self.placed - g.seen) + RATE
        g.seen = self.placed
        g.count += 1
        g.put(row, x)
        also = {self.live[i].id for i in order[1:]}
        for other in {*g.rivals, *also}:
            g.rivals[other] = g.rivals.get(other, 0.0) * (1 - 1 / 16) + (other in also) / 16
        g.rivals = {k: v for k, v in g.rivals.items() if v > 0.01}
        if g.count >= 2 * g.shown:
            g.shown = g.count
            self.say("grew", g.id)
        return g

    def moved(self, rows: Sequence[int], g: Group) -> None:
        self.moves += [(row, g.id) for row in rows]
        self.touched.add(g.id)

    # ------------------------------------------------------------ scales that all concepts share

    def scale(self) -> tuple[float, float]:
        """Medians of the means and of the deviations of logarithms of distances."""
        some = [g for g in self.live if g.weight >= 20] or self.live
        return median(g.mean for g in some), math.sqrt(median(g.variance for g in some))

    def cap(self, slack: float = 1.0) -> float:
        mean, deviation = self.scale()
        return mean + WIDTH * deviation + slack * self.slack

    # ------------------------------------------------------------ outliers

    def keep(self, row: int, x: Vectors) -> None:
        """An outlier: trials bet on it, and where none holds it, it may begin one."""
        self.outliers.append(row)
        self.points.append(x)
        if len(self.outliers) > BUFFER:
            self.outliers.pop(0)
            self.points.pop(0)
        if not self.live:
            return
        if not self.bet(x) and len(self.trials) < TRIALS:
            self.propose(len(self.outliers) - 1)

    def bet(self, x: Vectors) -> bool:
        """Trials bet on fresh outliers only. By Ville's inequality a ball that holds at most POOR of them is promoted
        with probability CHANCE at most, whatever selected it."""
        held = False
        for trial in list(self.trials):
            inside = math.log(float(squares(x[None], trial.centre)[0]) + 1e-30) <= trial.cap
            held |= inside
            trial.bets = [
                b + math.log(p / POOR if inside else (1 - p) / (1 - POOR))
                for b, p in zip(trial.bets, RICH.tolist(), strict=True)
            ]
            evidence = math.log(sum(map(math.exp, trial.bets)) / len(RICH))
            if evidence >= -math.log(CHANCE):
                self.trials.remove(trial)
                points = np.array(self.points)
                inner = np.flatnonzero(np.log(squares(points, trial.centre) + 1e-30) <= trial.cap)
                if len(inner) >= NEAR and self.clear(trial.centre, points[inner]):
                    self.found(inner.tolist())
            elif evidence < GIVEN_UP:
                self.trials.remove(trial)
        return held

    def propose(self, i: int) -> None:
        """A trial around an outlier, if the other half of the outliers is as dense there as concepts are."""
        points, sides = np.array(self.points), np.array([half(row) for row in self.outliers])
        own, other = np.flatnonzero(sides == sides[i]), np.flatnonzero(sides != sides[i])
        if len(own) < NEAR or len(other) < NEAR:
            return
        group = own[np.argsort(squares(points[own], points[i]), kind="stable")[:NEAR]]
        centre = points[group].mean(axis=0, dtype=np.float64)
        all_of_them = squares(points, centre)
        radius = float(np.sort(all_of_them[other])[:NEAR].mean())
        if math.log(radius) > self.scale()[0] + self.slack:
            return
        inner = np.flatnonzero(all_of_them <= 1.7 * radius)
        held = inner[sides[inner] != sides[i]]
        if len(inner) < LEAST or len(held) < NEAR or not self.clear(centre, points[held]):
            return
        self.trials.append(self.trial([self.outliers[j] for j in inner], points[inner]))

    def trial(self, rows: list[int], points: Vectors) -> Trial:
        return Trial(rows, self.cap(0.5), [0.0] * len(RICH), points.mean(axis=0, dtype=np.float64))

    def clear(self, centre: Vectors, points: Vectors) -> bool:
        """Whether points around a centre are apart from the two concepts next to it, which they are no part of."""
        near = sorted(self.live, key=lambda g: float(squares(g.centre[None], centre)[0]))[:2]
        return all(apart(np.array(g.points), g.centre, points, centre) for g in near)

    def found(self, inner: list[int]) -> Group:
        """A concept of outliers at these places."""
        rows, points = [self.outliers[i] for i in inner], [self.points[i] for i in inner]
        gone = set(inner)
        self.outliers = [row for i, row in enumerate(self.outliers) if i not in gone]
        self.points = [x for i, x in enumerate(self.points) if i not in gone]
        self.trials = [t for t in self.trials if not gone_rows(t, rows)]
        g = self.born(rows, points)
        self.say("born", g.id)
        if len(self.live) > CONCEPTS:
            self.drop(min(self.live, key=lambda o: o.seen), "retired")
        return g

    def born(self, rows: list[int], points: list[Vectors]) -> Group:
        g = Group(self.next, self.placed, self.placed, len(rows), len(rows), 0.0, 0.0, 0, 0.0, {}, [])
        self.next += 1
        self.live.append(g)
        self.moved(rows, g)
        for row, x in zip(rows, points, strict=True):
            g.put(row, x)
        measure(g)
        g.share = min(1.0, len(rows) * RATE)
        return g

    # ------------------------------------------------------------ the cold start

    def settle(self) -> None:
        """The first concepts, and the metric in which members of each scatter alike. Numbers are public from here on."""
        s, rows = np.array(self.points, np.float64), self.outliers
        origin = s.mean(axis=0)
        r = s - origin
        unit = max(float(np.median(np.linalg.norm(r, axis=1))), 1e-30)
        r = np.array([clipped(x) for x in r / unit])
        placed, labels = r, clusters(r, LEAST, NEAR)
        for _ in range(2):
            labels = divided(placed, joined(placed, labels))
            rest = residuals(r, labels)
            axes, gains, floor = whitening(rest)
            self.space = Space(origin, unit, axes, gains, floor)
            placed = np.array([self.space.place(x) for x in s])
            labels = clusters(placed, LEAST, NEAR)
        labels = divided(placed, joined(placed, labels))
        if labels.max() < 0:
            labels[:] = 0  # nothing to tell apart: what there is, is one kind
        self.outliers, self.points, self.trials = [], [], []
        for k in range(labels.max() + 1):
            at = np.flatnonzero(labels == k)
            g = self.born([rows[i] for i in at], [placed[i] for i in at])
            self.say("born", g.id)
        for i in np.flatnonzero(labels < 0):
            if self.admit(rows[i], placed[i]) is None:
                self.outliers.append(rows[i])
                self.points.append(placed[i])
        self.outliers, self.points = self.outliers[-BUFFER:], self.points[-BUFFER:]

    # ------------------------------------------------------------ reviews

    def review(self, g: Group) -> None:
        for o in [o for o in self.live if self.placed - o.seen > RETIRE]:
            heir = self.heir(o)
            self.drop(o, "retired") if heir is None else self.merge(heir, o)
        if g not in self.live:
            return
        self.split(g)
        for o in list(self.live):
            if o is not g and len(o.rows) >= 2 * NEAR and one_mode(g, o):
                self.merge(*((g, o) if g.id < o.id else (o, g)))
                return

    def heir(self, g: Group) -> Group | None:
        """Who would have admitted most of its latest members."""
        name = max(g.rivals, key=lambda k: g.rivals[k], default=None)
        if name is None or g.rivals[name] < 0.5:
            return None
        return next((o for o in self.live if o.id == name), None)

    def drop(self, g: Group, kind: str, other: int | None = None) -> None:
        self.live.remove(g)
        self.touched.add(g.id)
        for o in self.live:
            if o.rivals.pop(g.id, None) is not None:
                self.touched.add(o.id)
        self.say(kind, g.id, other)

    def merge(self, g: Group, o: Group) -> None:
        """`o` becomes a part of `g`, whose latest members are now those of both."""
        both = sorted(zip([*g.rows, *o.rows], [*g.points, *o.points], strict=True), key=lambda x: x[0])
        g.rows, g.points, g.total = [], [], 0.0
        for row, x in both[-RECENT:]:
            g.put(row, x)
        g.count += o.count
        g.shown = max(g.shown, g.count)
        g.seen = max(g.seen, o.seen)
        g.share += o.share
        measure(g)
        self.touched.add(g.id)
        self.drop(o, "merged_into", g.id)

    def split(self, g: Group) -> None:
        """Two concepts, if there is a valley between members that did not choose where to look for it."""
        smaller = part(np.array(g.points, np.float64))
        if smaller is None:
            return
        rows, points = list(g.rows), list(g.points)
        gone = np.flatnonzero(smaller).tolist()
        g.rows, g.points, g.total = [], [], 0.0
        for i in np.flatnonzero(~smaller).tolist():
            g.put(rows[i], points[i])
        g.count -= len(gone)
        measure(g)
        g.rivals = {}
        new = self.born([rows[i] for i in gone], [points[i] for i in gone])
        self.say("split_from", new.id, g.id)

    # ------------------------------------------------------------ deletion

    def forget(self, row: int, concept: int | None) -> None:
        """A row is gone, which was a member of a concept, or of none."""
        if row in self.outliers:
            at = self.outliers.index(row)
            self.outliers.pop(at)
            self.points.pop(at)
        self.trials = [t for t in self.trials if row not in t.rows]
        g = next((g for g in self.live if g.id == concept), None)
        if g is not None:
            g.count -= 1
            self.touched.add(g.id)
            if row in g.rows:
                g.take(g.rows.index(row))


def gone_rows(trial: Trial, rows: Sequence[int]) -> bool:
    return bool(set(trial.rows) & set(rows))


def measure(g: Group) -> None:
    """Distances of the latest members, each to the mean of the others."""
    n = len(g.points)
    logs = np.log(squares(np.array(g.points), g.centre) * (n / (n - 1)) ** 2 + 1e-30)
    g.mean, g.variance, g.weight = float(logs.mean()), max(float(logs.var(ddof=1)), 0.01), n


def apart(p: Vectors, p_centre: Vectors, q: Vectors, q_centre: Vectors) -> bool:
    u = q_centre - p_centre
    u = u / max(float(np.linalg.norm(u)), 1e-30)
    a, b = p @ u, q @ u
    gap = (b.mean() - a.mean()) / (a.std() + b.std() + 1e-12)
    return bool(gap >= APART and np.quantile(b, 0.1) > np.quantile(a, 0.97))


def one_mode(g: Group, o: Group) -> bool:
    """Whether two concepts are one: close along the line of the centres of one half, by members of the other."""
    a, b = np.array(g.points, np.float64), np.array(o.points, np.float64)
    return close(a, b)


def close(a: Vectors, b: Vectors) -> bool:
    u = b[::2].mean(axis=0) - a[::2].mean(axis=0)
    p, q = a[1::2] @ u, b[1::2] @ u
    gap = (q.mean() - p.mean()) / (p.std() + q.std() + 1e-12)
    return bool(gap < 1)


def part(x: Vector) -> npt.NDArray[np.bool_] | None:
    """Which are the smaller of two groups, if there is a valley. Either half says where the other looks for it."""
    if len(x) < RECENT // 2:
        return None
    halves, sides, counts = (x[::2], x[1::2]), [], []
    for one, other in (halves, halves[::-1]):
        means = two_means(one)
        if means is None:
            return None
        low, high = means
        u = (high - low) / np.linalg.norm(high - low)
        counts.append(valley(other @ u, float(low @ u), float(high @ u)))
        side = x @ u > float((low + high) @ u) / 2
        sides.append(side if side.sum() < len(side) / 2 else ~side)
    if chance(*np.sum(counts, axis=0).tolist()) > CHANCE or np.mean(sides[0] == sides[1]) < 0.9:
        return None
    return np.asarray(sides[0])


def divided(x: Vector, labels: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Labels once every cluster with a valley is two."""
    labels, k = labels.copy(), 0
    while k <= labels.max():
        at = np.flatnonzero(labels == k)
        smaller = part(x[at])
        if smaller is None or smaller.sum() < LEAST:
            k += 1
        else:
            labels[at[smaller]] = labels.max() + 1
    return labels


def two_means(x: Vector) -> tuple[Vector, Vector] | None:
    """Means of two parts, from the first principal direction on."""
    v = x - x.mean(axis=0)
    products = v @ v.T
    side = _loudest(products) @ products > 0
    for _ in range(8):
        if min(side.sum(), (~side).sum()) < NEAR:
            return None
        low, high = x[~side].mean(axis=0), x[side].mean(axis=0)
        side = squares(x, high) < squares(x, low)
    return low, high


def _loudest(products: Vector) -> Vector:
    """The first eigenvector of a product of a matrix with its transpose, as far as powers of it tell."""
    u = products[int(np.diagonal(products).argmax())]
    for _ in range(30):
        u = products @ (u / max(float(np.linalg.norm(u)), 1e-300))
    return u


def joined(x: Vectors, labels: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Labels once clusters that are not apart are one."""
    again = True
    while again:
        again = False
        count = labels.max() + 1
        for i in range(count):
            for j in range(i + 1, count):
                if close(x[labels == i], x[labels == j]):
                    labels = np.where(labels == j, i, labels)
                    labels = np.where(labels > j, labels - 1, labels)
                    again = True
                    break
            if again:
                break
    return labels


def residuals(r: Vectors, labels: npt.NDArray[np.intp]) -> Vectors:
    """What members of each cluster deviate from its mean by; of all, if there is none."""
    if labels.max() < 0:
        return r - r.mean(axis=0)
    parts = [r[labels == k] for k in range(labels.max() + 1)]
    return np.concatenate([(p - p.mean(axis=0)) * math.sqrt(len(p) / (len(p) - 1)) for p in parts])


def whitening(rest: Vectors) -> tuple[Vectors, Vector, float]:
    n, d = rest.shape
    power, vectors = np.linalg.eigh(rest @ rest.T)
    power = np.maximum(power[::-1] / n, 0)
    rank = min(RANK, n // 4, d - 1)
    floor = max(float(power[rank:].sum() / min(n, d) + power[rank] * 0.5), 1e-12)
    axes = vectors[:, ::-1][:, :rank].T @ rest
    axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-30)
    return axes, 1 / np.sqrt(power[:rank] + floor), 1 / math.sqrt(floor)
