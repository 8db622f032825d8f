"""Concepts in a stream of vectors: the mathematics against plain statements, and what streams of known kinds become."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import recsketch.repository.concepts.emergence as emergence
from recsketch.repository.concepts.emergence import POOR, RATE, RICH, Emergence, Group, Trial
from recsketch.repository.concepts.modes import CHANCE, STEP, Space, chance, close, coins, divided, joined, part, valley

D = 64


SIDES = coins(range(128))


def kinds(count: int, seed: int = 0, far: float = 14.0) -> np.ndarray:
    """Centres `far` from the origin, in random directions. Members scatter by 1 in each coordinate, with norm 8."""
    x = np.random.default_rng([7, seed]).standard_normal((count, D))
    return np.asarray(far * x / np.linalg.norm(x, axis=1, keepdims=True))


class Stream:
    """Vectors of kinds, and what became of each."""

    def __init__(self, seed: int = 0) -> None:
        self.state, self.rng = Emergence(), np.random.default_rng([8, seed])
        self.concept: dict[int, int] = {}
        self.events: list[Any] = []
        self.row = -1

    def add(self, centres: Iterable[Any]) -> None:
        for centre in centres:
            self.row += 1
            self.state.add(self.row, (centre + self.rng.standard_normal(D)).astype(np.float32))
            self.concept.update(self.state.moves)
            self.events += self.state.events
            self.state.moves, self.state.events = [], []

    def drawn(self, centres: np.ndarray, count: int) -> list[int]:
        """Add vectors of random kinds, and say which."""
        labels = self.rng.integers(0, len(centres), count).tolist()
        self.add(centres[k] for k in labels)
        return [int(k) for k in labels]

    def later(self) -> list[tuple[str, int, int | None]]:
        """Events that are no growth, after the cold start."""
        return [e[1:] for e in self.events if e.kind != "grew" and e.placed > emergence.SETTLE]


# ---------------------------------------------------------------- the parts, against plain statements


def test_the_metric_is_a_matrix() -> None:
    """x = M r, r = (s - origin) / unit cut to norm one, M = Σ gain v v' + floor (1 - Σ v v'); rounded to steps, and
    float64's sums of 64 products add 64 eps |x| at most."""
    s = np.random.default_rng(0).standard_normal((300, D)) * np.linspace(0.1, 3, D)
    space = Space.of(s).whitened(s, np.repeat([0, 1], 150))
    v = space.axes
    assert np.abs(v @ v.T - np.eye(len(v))).max() < 1e-10
    matrix = v.T @ np.diag(space.gains) @ v + space.floor * (np.eye(D) - v.T @ v)
    for x in s[:20]:
        r = (x - s.mean(axis=0)) / np.median(np.linalg.norm(s - s.mean(axis=0), axis=1))
        wanted = matrix @ (r / max(1, np.linalg.norm(r)))
        found = space.place(x)
        assert np.abs(found - wanted).max() <= STEP / 2 + 1e-9
        assert np.array_equal(found, np.rint(found / STEP) * STEP)


def test_the_metric_is_round_within_clusters() -> None:
    """Members of both scatter along every axis alike, which floor and rank let be true within a factor of four."""
    rng = np.random.default_rng(1)
    s = rng.standard_normal((400, D)) * np.linspace(0.2, 2, D) + 20 * np.repeat(np.eye(2, D), 200, axis=0)
    labels = np.repeat([0, 1], 200)
    space = Space.of(s).whitened(s, labels)
    x = np.array([space.place(y) for y in s])
    spread = np.concatenate([x[labels == k] - x[labels == k].mean(axis=0) for k in (0, 1)]).std(axis=0)
    assert spread.max() / spread.min() < 4 < 10


def test_chance_is_binomial() -> None:
    stats = pytest.importorskip("scipy.stats")
    for middle, end in ((0, 0), (0, 10), (3, 9), (20, 20), (7, 60)):
        assert chance(middle, end) == pytest.approx(stats.binom.cdf(middle, middle + end, 0.5), rel=1e-12)


def test_valley_counts_windows() -> None:
    x = np.array([-1.2, -1.0, -0.7, -0.3, 0.0, 0.3, 0.6, 0.9, 1.1, 1.3, 1.4])
    assert valley(x, -1.0, 1.0) == (3, 3)  # windows of a third to either side: -1.33 … -0.67, -0.33 … 0.33, 0.67 … 1.33


def test_one_mode_is_seldom_two() -> None:
    """By the test of 1e-3, 100 draws of each of four shapes give 0.4 false ones at most on average; five or more have a
    probability of 6e-5. Ends of a flat line expect as many as its middle, which is the worst case."""
    false = 0
    for seed in range(100):
        rng = np.random.default_rng([1, seed])
        flat = rng.standard_normal((128, D))
        flat[:, 0] = rng.uniform(-6, 6, 128)
        shapes = rng.standard_normal((128, D)), flat, rng.standard_t(3, (128, D)), rng.exponential(1, (128, D))
        false += sum(part(x, SIDES) is not None for x in shapes)
    assert false < 5


def test_two_modes_are_two() -> None:
    """30% of the members 12 deviations away: all sides right, in every one of 50 draws."""
    for seed in range(50):
        rng = np.random.default_rng([2, seed])
        other = rng.random(128) < 0.3
        smaller = part(rng.standard_normal((128, D)) + 12 * other[:, None] * np.eye(1, D), SIDES)
        assert smaller is not None
        assert np.array_equal(smaller, other)


def test_groups_are_joined_and_divided() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, D)) + 12 * np.repeat(np.eye(3, D), 100, axis=0)
    truth = np.repeat([0, 1, 2], 100)
    halves = 2 * truth + rng.integers(0, 2, 300)
    sides = coins(range(300))
    assert np.array_equal(joined(x, sides, halves), truth)
    assert np.array_equal(divided(x, sides, np.where(truth == 2, 1, truth)), truth)
    a, b, c = x[:100], x[100:200], x[50:100]
    assert not close(a, sides[:100], b, sides[100:200])
    assert close(a[:50], sides[:50], c, sides[50:100])


def test_halves_are_fair_coins() -> None:
    """10,000 rows: half of them within 4.9 deviations, 1e-6; and so do neighbours agree."""
    found = coins(range(10_000))
    for x in (found, found[1:] == found[:-1]):
        assert abs(x.sum() - len(x) / 2) < 4.9 * math.sqrt(len(x)) / 2


def test_a_trial_wins_nothing_on_average_where_there_is_nothing() -> None:
    """Mean wealth after a bet is what it was where POOR of the outliers lie inside, and less where fewer do."""
    for share in (POOR, POOR / 2, 0.0):
        trial = Trial([0], 0.0, [0.3, -0.2, 0.1], 0.0)
        before = sum(map(math.exp, trial.bets)) / len(RICH)
        won, missed = copy.deepcopy(trial), copy.deepcopy(trial)
        after = share * math.exp(won.bet(True)) + (1 - share) * math.exp(missed.bet(False))
        assert after <= before * (1 + 1e-12)
        assert share < POOR or after == pytest.approx(before, rel=1e-12)


def test_balls_with_few_outliers_are_seldom_promoted() -> None:
    """Ville: 1e-3 at most. Of 2,000 trials over 400 outliers each 2 on average; eleven or more have less than 1e-5."""
    rng, promoted = np.random.default_rng(4), 0
    for _ in range(2000):
        trial = Trial([0], 0.0, [0.0] * len(RICH), 0.0)
        promoted += any(trial.bet(inside) >= -math.log(CHANCE) for inside in (rng.random(400) < POOR).tolist())
    assert promoted <= 10


def test_the_sum_of_members_has_no_history() -> None:
    """Coordinates are whole numbers of steps, so that the centre is the mean of the rows, whatever came and went."""
    x = np.rint(np.random.default_rng(5).standard_normal((400, D)) / STEP).astype(np.float32) * np.float32(STEP)
    g = Group(0, 0, 0, 0, 0)
    for row in range(400):
        g.put(row, x[row])
    g.take(17)
    assert len(g.rows) == emergence.RECENT - 1
    assert np.array_equal(g.centre, x[g.rows].astype(np.float64).sum(axis=0) / len(g.rows))


# ---------------------------------------------------------------- streams


def test_kinds_become_concepts() -> None:
    """Four kinds, told apart to the last vector: centres are 20 apart, 14 deviations along the line between them."""
    s = Stream()
    labels = s.drawn(kinds(4), 1500)
    assert [e[1:] for e in s.events if e.kind == "born"] == [("born", k, None) for k in range(4)]
    assert s.later() == []
    pairs = {(labels[row], concept) for row, concept in s.concept.items()}
    assert len(pairs) == 4
    assert len(s.concept) >= 0.99 * 1500  # outliers by chance: 1 in 2,000 of a normal distance, and few
    grown = [e.concept for e in s.events if e.kind == "grew"]
    assert sorted(grown) == [0, 1, 2, 3]


def test_share_is_that_of_recent_vectors() -> None:
    """Weights (1 - RATE)^n: a concept that none of the last 300 came to has lost all but 1/e of its share."""
    s, c = Stream(), kinds(2)
    s.drawn(c, 1500)
    before = {g.id: g.recent(s.state.placed) for g in s.state.live}
    assert sum(before.values()) == pytest.approx(1, abs=0.02)
    s.add([c[0]] * 300)
    after = {g.id: g.recent(s.state.placed) for g in s.state.live}
    one = s.concept[s.row]
    assert after[1 - one] == pytest.approx(before[1 - one] * (1 - RATE) ** 300, rel=1e-9)
    assert sum(after.values()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_a_new_kind_is_found_and_named_once(seed: int) -> None:
    """After 5 kinds, a sixth that is one vector in five: within 60 of its vectors, under the next number."""
    s, c = Stream(seed), kinds(6, seed)
    s.drawn(c[:5], 1000)
    assert s.later() == []
    seen = 0
    for _ in range(400):
        s.add([c[5] if s.rng.random() < 0.2 else c[s.rng.integers(0, 5)]])
        if s.later():
            break
        seen = s.state.placed - 1000
    assert s.later() == [("born", 5, None)]
    assert seen / 5 < 75  # some 15 a step of 75; its own count is within three deviations of a fifth
    s.drawn(c, 1000)
    assert s.later() == [("born", 5, None)]


@pytest.mark.parametrize("period", [2, 3, 4])
def test_kinds_that_come_in_turn_are_told_apart(period: int) -> None:
    """Even and odd places of anything are then of other kinds. The last kind is near the first, whose concept takes it
    in at first."""
    s, c = Stream(), kinds(period)
    c[-1] = c[0] + 9 * np.eye(1, D)[0]
    s.add(c[i % (period - 1)] for i in range(800))
    s.add(c[i % period] for i in range(600))
    assert len(s.state.live) == period
    assert len({(i % period, s.concept[i]) for i in range(1200, 1400) if i in s.concept}) == period


@pytest.mark.parametrize("seed", range(5))
def test_one_kind_is_one_concept(seed: int) -> None:
    """Vectors without kinds: one concept, and no other in 2,500."""
    s = Stream(seed)
    s.drawn(np.zeros((1, D)), 2500)
    assert [g.id for g in s.state.live] == [0]
    assert s.later() == []


def test_a_kind_that_parts_is_split() -> None:
    """One concept's vectors move apart from each other in two directions: one of the two keeps the number."""
    s, c = Stream(), kinds(3)
    s.drawn(c, 800)
    u = kinds(1, seed=9)[0]
    for t in range(2000):
        k = int(s.rng.integers(0, 3))
        s.add([c[k] + (k == 0) * s.rng.choice([-1, 1]) * u * min(1.0, t / 1200)])
    assert [kind for kind, _, _ in s.later()] == ["split_from"]
    assert len(s.state.live) == 4


@pytest.mark.parametrize("seed", range(5))
def test_a_kind_that_drifts_into_another_is_merged(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """And not retired: the one that got the vectors of both is its heir."""
    monkeypatch.setattr(emergence, "RETIRE", 2000)
    s, c = Stream(seed), kinds(4, seed)
    s.drawn(c, 800)
    for t in range(9000):
        k, w = int(s.rng.integers(0, 4)), min(1.0, t / 4000)
        s.add([(1 - w) * c[0] + w * c[1] if k == 0 else c[k]])
        if len(s.state.live) < 4:
            break
    kind, gone, other = s.later()[-1]
    assert kind == "merged_into"
    assert other in {g.id for g in s.state.live}
    assert gone not in {g.id for g in s.state.live}
    assert not [e for e in s.later() if e[0] == "retired"]


def test_a_kind_that_ends_is_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emergence, "RETIRE", 500)
    s, c = Stream(), kinds(3)
    s.drawn(c, 800)
    s.drawn(c[1:], 1200)
    (event,) = s.later()
    assert (event[0], event[2]) == ("retired", None)
    assert len(s.state.live) == 2
    s.drawn(c, 600)  # comes back under a new number
    assert s.later()[-1] == ("born", 3, None)


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was seen longest ago goes."""
    monkeypatch.setattr(emergence, "CONCEPTS", 3)
    s, c = Stream(), kinds(5)
    s.drawn(c[:3], 700)
    s.drawn(c[1:4], 600)
    assert len(s.state.live) == 3
    assert [kind for kind, _, _ in s.later()] == ["born", "retired"]


@pytest.mark.parametrize("make", ["equal", "zero", "few numbers", "loud"])
def test_odd_vectors_are_taken(make: str) -> None:
    rng = np.random.default_rng(6)
    x = {
        "equal": np.ones((800, 8)),
        "zero": np.zeros((800, 8)),
        "few numbers": rng.standard_normal((800, 2)),
        "loud": 1e30 * rng.standard_normal((800, 8)),
    }[make]
    state = Emergence()
    with np.errstate(all="raise", under="ignore"):
        for row, s in enumerate(x):
            state.add(row, s.astype(np.float32))
    assert state.live
    assert sum(g.count for g in state.live) > 700
