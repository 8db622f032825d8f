"""Concepts that emerge in a stream of vectors: groups that are born, grow, split, merge and go, under lasting numbers.

Every vector is known by its row. A group is the rows of its latest members and a few numbers, and its centre is the
mean of these rows. Whoever has the vectors has all of the state but the metric, and a row that is deleted is gone from
it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from recsketch.repository.concepts.density import clusters
from recsketch.repository.concepts.modes import (
    CHANCE,
    CUT,
    LEAST,
    NEAR,
    ONE,
    Space,
    Vectors,
    apart,
    close,
    coins,
    divided,
    joined,
    logs,
    part,
    squares,
)

SETTLE = 512  # vectors of the cold start
RECENT = 128  # members that a concept is made of
BUFFER = 256  # outliers that are kept
CONCEPTS, TRIALS = 64, 8  # most at a time
REVIEW = 50  # admissions between two reviews of a concept
RETIRE = 20_000  # vectors after which a concept without any is retired
RATE = 1 / 300  # of forgetting, where something is averaged over vectors
WIDTH = 3.3  # deviations of the logarithm of a distance up to which it is usual: 1 in 2,000 of a normal one is beyond
SLACK = 0.25  # by how much it may exceed what is usual of all. More finds wider concepts, and more false ones
VARIANCE = 0.01  # of logarithms of distances, at least
POOR, RICH = 0.05, (0.12, 0.3, 0.7)  # shares of outliers in a ball: at most of what is no concept; bets on what is one
GIVEN_UP = -4.0  # logarithm of a trial's evidence


class Event(NamedTuple):
    """What happened to a concept: after how many vectors, what, to which, and which other one was in it."""

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
        Its number, and after how many vectors it was born and last admitted one.
    count, shown : int
        Members, and how many there were when their growth was last told.
    mean, variance, weight : float, float, int
        Of logarithms of squared distances of new members to the centre, and of how many.
    first : float
        The mean when the concept was made, which bounds how wide it may become.
    share : float
        Which part of recent vectors came here, as of `seen`.
    rivals : dict of int to float
        To which part of its latest members another concept was as open: admissions that were contested.
    rows : list of int
        Its latest members; `points` are the vectors, placed, `total` their sum and `centre` their mean.
    """

    id: int
    born: int
    seen: int
    count: int
    shown: int
    mean: float = 0.0
    variance: float = VARIANCE
    weight: int = 1
    first: float = 0.0
    share: float = 0.0
    rivals: dict[int, float] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    points: list[Vectors] = field(default_factory=list)
    total: Any = 0.0
    centre: Any = 0.0

    def put(self, row: int, x: Vectors) -> None:
        """One more of the latest members."""
        self.rows.append(row)
        self.points.append(x)
        self.total = self.total + x.astype(np.float64)
        if len(self.rows) > RECENT:
            self.take(0)
        self.centre = self.total / len(self.rows)

    def take(self, at: int) -> None:
        """One fewer."""
        self.rows.pop(at)
        self.total = self.total - self.points.pop(at)
        self.centre = self.total / max(len(self.rows), 1)

    def remake(self, rows: Sequence[int], points: Sequence[Vectors]) -> None:
        """Other latest members, whose distances are measured to the mean of the others."""
        self.rows, self.points, self.total = [], [], 0.0
        for row, x in zip(rows, points, strict=True):
            self.put(row, x)
        n = len(self.rows)
        if n > 1:
            found = logs(np.array(self.points), self.centre) + 2 * math.log(n / (n - 1))
            self.mean, self.variance, self.weight = float(found.mean()), max(float(found.var(ddof=1)), VARIANCE), n
            self.first = self.mean

    def recent(self, placed: int) -> float:
        """`share` as of later."""
        return self.share * (1 - RATE) ** (placed - self.seen)

    def admits(self, log: float, scale: float, room: float) -> bool:
        """Whether a vector at such a distance is usual here; where members are few, their deviation tells less."""
        usual = self.mean + WIDTH * (1 + 4 / self.weight) * math.sqrt(self.variance)
        return log <= usual and log <= max(scale, self.first) + room


@dataclass
class Trial:
    """A ball that bets on which of the next outliers it holds.

    Attributes
    ----------
    rows : list of int
        Outliers whose mean is its `centre`.
    cap : float
        Logarithm of its squared radius.
    bets : list of float
        Logarithms of the wealth of each bet of RICH.
    """

    rows: list[int]
    cap: float
    bets: list[float]
    centre: Any

    def bet(self, inside: bool) -> float:
        """Logarithm of its mean wealth after one more outlier. Where at most POOR of them lie inside, that is at most
        1 on average, whatever was before."""
        odds = [p / POOR if inside else (1 - p) / (1 - POOR) for p in RICH]
        self.bets = [b + math.log(x) for b, x in zip(self.bets, odds, strict=True)]
        return math.log(sum(map(math.exp, self.bets)) / len(self.bets))


class Emergence:
    """The state, which follows from the rows and vectors that came, in their order.

    Attributes
    ----------
    placed, next : int
        Vectors so far, and the next concept's number.
    space : Space or None
        None in the cold start.
    live : list of Group
        In the order of their numbers.
    outliers, points : list of int, list of (d,) float32
        Rows that no concept admitted, and their vectors: in the cold start all rows, and vectors as they came.
    trials : list of Trial
    events : list of Event
    moves : list of (int, int)
        Rows and the concepts that they now belong to; as `events` and `touched`, since the caller last emptied it.
    touched : set of int
        Concepts that changed.

    Notes
    -----
    Cost of a vector: O((RANK + concepts) d), and O(BUFFER d) where no concept admits it. Memory: O(RECENT d) a concept.
    """

    def __init__(self) -> None:
        self.placed = self.next = 0
        self.space: Space | None = None
        self.live: list[Group] = []
        self.outliers: list[int] = []
        self.points: list[Vectors] = []
        self.trials: list[Trial] = []
        self.events: list[Event] = []
        self.moves: list[tuple[int, int]] = []
        self.touched: set[int] = set()

    def _say(self, kind: str, concept: int, other: int | None = None) -> None:
        self.events.append(Event(self.placed, kind, concept, other))

    # ------------------------------------------------------------ one vector

    def add(self, row: int, s: Vectors) -> None:
        """The next vector (d,), of a row beyond all others."""
        self.placed += 1
        if self.space is None:
            self.outliers.append(row)
            self.points.append(np.asarray(s, np.float32))
            if len(self.outliers) >= SETTLE:
                self._settle(self.outliers, np.array(self.points))
            return
        x = self.space.place(s)
        group = self._admit(row, x)
        if group is None:
            self._keep(row, x)
        elif group.count % REVIEW == 0:
            self._review(group)

    def _admit(self, row: int, x: Vectors) -> Group | None:
        """The nearest of the concepts that admit it, which it joins."""
        far = logs(np.array([g.centre for g in self.live]), x)
        scale, deviation = self._scale()
        room = WIDTH * deviation + SLACK
        order = [i for i in map(int, np.argsort(far, kind="stable")) if self.live[i].admits(float(far[i]), scale, room)]
        if not order:
            return None
        g: Group = self.live[order[0]]
        also = {self.live[i].id for i in order[1:]}
        rate = max(1 / (g.weight + 1), RATE)
        off = float(far[order[0]]) - g.mean  # to the centre before x moves it: held out
        g.mean += rate * off
        g.variance = max((1 - rate) * (g.variance + rate * off * off), VARIANCE)
        g.weight += 1
        g.share = g.recent(self.placed) + RATE
        g.seen, g.count = self.placed, g.count + 1
        rivals = {k: g.rivals.get(k, 0.0) * 15 / 16 + (k in also) / 16 for k in sorted({*g.rivals, *also})}
        g.rivals = {k: v for k, v in rivals.items() if v > 0.01}
        g.put(row, x)
        self._moved([row], g)
        if g.count >= 2 * g.shown:
            g.shown = g.count
            self._say("grew", g.id)
        return g

    def _moved(self, rows: Sequence[int], g: Group) -> None:
        self.moves += [(row, g.id) for row in rows]
        self.touched.add(g.id)

    def _scale(self) -> tuple[float, float]:
        """Of all concepts: the median of the logarithm of a distance, and that of its deviation."""
        some = [g for g in self.live if g.weight >= 20] or self.live
        return median(g.mean for g in some), math.sqrt(median(g.variance for g in some))

    # ------------------------------------------------------------ outliers

    def _keep(self, row: int, x: Vectors) -> None:
        """An outlier: trials bet on it, and where none holds it, it may begin one."""
        self.outliers.append(row)
        self.points.append(x)
        if len(self.outliers) > BUFFER:
            self.outliers.pop(0)
            self.points.pop(0)
        if not self._bet(x) and len(self.trials) < TRIALS:
            self._propose()

    def _bet(self, x: Vectors) -> bool:
        """Whether a trial holds an outlier. Trials are judged by outliers that are newer than they are: by Ville's
        inequality a ball that holds at most POOR of these is promoted with probability CHANCE at most."""
        held = False
        for trial in list(self.trials):
            inside = float(logs(x[None], trial.centre)[0]) <= trial.cap
            held |= inside
            evidence = trial.bet(inside)
            if evidence >= -math.log(CHANCE):
                self.trials.remove(trial)
                points = np.array(self.points)
                inner = np.flatnonzero(logs(points, trial.centre) <= trial.cap)
                if len(inner) >= NEAR and self._clear(trial.centre, points[inner]):
                    self._found(inner.tolist())
            elif evidence < GIVEN_UP:
                self.trials.remove(trial)
        return held

    def _propose(self) -> None:
        """A trial around the last outlier, if the other half of them is as dense there as the widest concept."""
        points, sides = np.array(self.points), coins(self.outliers)
        own, other = np.flatnonzero(sides == sides[-1]), np.flatnonzero(sides != sides[-1])
        if len(own) < NEAR or len(other) < NEAR:
            return
        group = own[np.argsort(squares(points[own], points[-1]), kind="stable")[:NEAR]]
        centre = points[group].mean(axis=0, dtype=np.float64)
        far, widest = squares(points, centre), max(g.mean for g in self.live)
        radius = float(np.sort(far[other])[:NEAR].mean())
        if math.log(radius + 1e-30) > widest + SLACK:
            return
        inner = np.flatnonzero(far <= 1.7 * radius)
        held = inner[sides[inner] != sides[-1]]
        if len(inner) < LEAST or len(held) < NEAR or not self._clear(centre, points[held]):
            return
        cap = widest + WIDTH * self._scale()[1] + SLACK / 2
        rows = [self.outliers[i] for i in inner.tolist()]
        self.trials.append(Trial(rows, cap, [0.0] * len(RICH), points[inner].mean(axis=0, dtype=np.float64)))

    def _clear(self, centre: Vectors, points: Vectors) -> bool:
        """Whether points around a centre are no part of the two concepts next to it."""
        near = sorted(self.live, key=lambda g: float(squares(g.centre[None], centre)[0]))[:2]
        return all(apart(np.array(g.points), g.centre, points, centre) for g in near)

    def _found(self, inner: Sequence[int]) -> None:
        """A concept of the outliers at these places."""
        rows, points = [self.outliers[i] for i in inner], [self.points[i] for i in inner]
        left = [i for i in range(len(self.outliers)) if i not in set(inner)]
        self.outliers, self.points = [self.outliers[i] for i in left], [self.points[i] for i in left]
        self.trials = [t for t in self.trials if not set(t.rows) & set(rows)]
        self._say("born", self._born(rows, points, min(1.0, len(rows) * RATE)).id)
        if len(self.live) > CONCEPTS:
            self.drop(min(self.live, key=lambda g: g.seen), "retired")

    def _born(self, rows: Sequence[int], points: Sequence[Vectors], share: float) -> Group:
        g = Group(self.next, self.placed, self.placed, len(rows), len(rows), share=share)
        self.next += 1
        self.live.append(g)
        self._moved(rows, g)
        g.remake(rows, points)
        return g

    # ------------------------------------------------------------ the cold start

    def _settle(self, rows: Sequence[int], s: Vectors) -> None:
        """The first concepts, and the metric in which members of each scatter alike."""
        space = Space.of(s)
        placed = np.array([space.place(x) for x in s])
        labels, sides = clusters(placed, LEAST, NEAR), coins(rows)
        for _ in range(2):
            labels = divided(placed, sides, joined(placed, sides, labels))
            space = space.whitened(s, labels)
            placed = np.array([space.place(x) for x in s])
        self.space, labels = space, divided(placed, sides, joined(placed, sides, labels))
        if labels.max() < 0:
            labels[:] = 0  # nothing to tell apart: what there is, is one kind
        self.outliers, self.points = [], []
        for k in range(labels.max() + 1):
            at = np.flatnonzero(labels == k).tolist()
            self._say("born", self._born([rows[i] for i in at], [placed[i] for i in at], 0.0).id)
        for i in np.flatnonzero(labels < 0).tolist():
            if self._admit(rows[i], placed[i]) is None:
                self.outliers.append(rows[i])
                self.points.append(placed[i])
        self.outliers, self.points = self.outliers[-BUFFER:], self.points[-BUFFER:]
        for g in self.live:
            g.share = g.count / len(rows)

    # ------------------------------------------------------------ reviews

    def _review(self, g: Group) -> None:
        for o in [o for o in self.live if self.placed - o.seen > RETIRE]:
            heir = self._heir(o)
            if heir is None:
                self.drop(o, "retired")
            else:
                self._merge(heir, o)
        self._split(g)
        for o in self.live:
            if o is not g and len(o.rows) >= LEAST and self._one(g, o):
                self._merge(*((g, o) if g.id < o.id else (o, g)))
                return

    def _one(self, g: Group, o: Group) -> bool:
        """Whether two concepts are one: halves of one, or one that gets next to nothing of what both are open to."""
        contested = min(g.rivals.get(o.id, 0.0), o.rivals.get(g.id, 0.0)) > 0.5
        few, many = sorted(x.recent(self.placed) for x in (g, o))
        if contested and few < POOR * many:
            return True
        p, q = (np.array(x.points) for x in (g, o))
        return close(p, coins(g.rows), q, coins(o.rows), CUT if contested else ONE)

    def _heir(self, g: Group) -> Group | None:
        """The concept that was open to most of its latest members: a kind that drifted there has merged."""
        rival = max(g.rivals, key=lambda k: g.rivals[k], default=None)
        if rival is None or g.rivals[rival] <= 0.5:
            return None
        return next((o for o in self.live if o.id == rival), None)

    def _merge(self, g: Group, o: Group) -> None:
        """`o` becomes a part of `g`, which is made of the latest members of both."""
        both = sorted(zip([*g.rows, *o.rows], [*g.points, *o.points], strict=True), key=lambda pair: pair[0])
        g.remake(*zip(*both[-RECENT:], strict=True))
        g.count += o.count
        g.shown = max(g.shown, g.count)
        g.share = min(1.0, g.recent(self.placed) + o.recent(self.placed))
        g.seen = self.placed
        self.touched.add(g.id)
        self.drop(o, "merged_into", g.id)

    def _split(self, g: Group) -> None:
        """The larger part of two keeps the number."""
        smaller = part(np.array(g.points), coins(g.rows))
        if smaller is None:
            return
        rows, points = g.rows, g.points
        gone, left = np.flatnonzero(smaller).tolist(), np.flatnonzero(~smaller).tolist()
        g.remake([rows[i] for i in left], [points[i] for i in left])
        share = g.share * len(gone) / len(rows)
        g.count, g.rivals, g.share = g.count - len(gone), {}, g.share - share
        new = self._born([rows[i] for i in gone], [points[i] for i in gone], share)
        self._say("split_from", new.id, g.id)

    def drop(self, g: Group, kind: str, other: int | None = None) -> None:
        """A concept goes. After the last one, which deletion alone takes, all begins anew, but for the numbers."""
        self.live.remove(g)
        if not self.live:
            self.space, self.outliers, self.points, self.trials = None, [], [], []
        self.touched.add(g.id)
        for o in self.live:
            if o.rivals.pop(g.id, None) is not None:
                self.touched.add(o.id)
        self._say(kind, g.id, other)

    # ------------------------------------------------------------ deletion

    def forget(self, row: int, concept: int | None) -> None:
        """A row is deleted, which was a member of a concept or of none."""
        if row in self.outliers:
            at = self.outliers.index(row)
            self.outliers.pop(at)
            self.points.pop(at)
        self.trials = [t for t in self.trials if row not in t.rows]
        for g in self.live:
            if g.id == concept:
                g.count -= 1
                self.touched.add(g.id)
                if row in g.rows:
                    g.take(g.rows.index(row))
