"""How often comparisons and monitors speak where nothing changed, and how soon they do where something did.

Comparisons are of 32 groups of 50 runs with 32, by 100 elements of 10 paths; monitors watch 100 elements of blocks.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from figure import QUICK, SMOKE, Figure, at_most, share

from recsketch.populations.changes.comparison import Comparison
from recsketch.populations.changes.exchangeable import ExchangeabilityWarning
from recsketch.populations.changes.groups import compare_groups
from recsketch.populations.changes.monitor import Monitor

GROUPS, RUNS, ELEMENTS, PATHS = 32, 50, 100, 10
NULLS = (3, 200, 2000)  # pairs and streams in which nothing changes, by effort
POWER = (3, 100, 500)  # in which something does
REFERENCE, BLOCKS = 128, 400
PHI = 0.5  # of autoregressive runs; exp(-1 / 1.44), so that 29 runs are 20 correlation times
Rng = np.random.Generator


def _compared(x: np.ndarray, y: np.ndarray, relabellings: int, runs: tuple[int, int] = (RUNS, RUNS)) -> Comparison:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExchangeabilityWarning)
        return compare_groups(
            x,
            y,
            (np.full(len(x), runs[0]), np.full(len(y), runs[1])),
            paths=[f"path {i}" for i in range(PATHS)],
            path=np.arange(ELEMENTS) * PATHS // ELEMENTS,
            elements=[f"element {i}" for i in range(ELEMENTS)],
            relabellings=relabellings,
            force=True,
        )


# ---------------------------------------------------------------- comparisons


def _normal(rng: Rng, groups: int, runs: int) -> np.ndarray:
    return rng.standard_normal((groups, runs, ELEMENTS)).mean(axis=1)


def _heavy(rng: Rng, groups: int, runs: int) -> np.ndarray:
    return rng.standard_t(2.5, (groups, runs, ELEMENTS)).mean(axis=1)


def _counts(rng: Rng, groups: int, runs: int) -> np.ndarray:
    """Of what occurs 0.1 to 10 times a run, twice as often in one group as in another."""
    rate = np.geomspace(0.1, 10, ELEMENTS) * rng.gamma(4, 0.25, (groups, ELEMENTS))
    return rng.poisson(runs * rate) / runs


def _skew(rng: Rng, groups: int, runs: int) -> np.ndarray:
    return np.exp(1.5 * rng.standard_normal((groups, runs, ELEMENTS))).mean(axis=1)


def _shared(rng: Rng, groups: int, runs: int) -> np.ndarray:
    """With an effect of heavy tails on all elements of a group."""
    return _normal(rng, groups, runs) + rng.standard_t(2.5, (groups, 1)) / math.sqrt(runs)


DRAWN: dict[str, Callable[[Rng, int, int], np.ndarray]] = {
    "normal": _normal,
    "t(2.5)": _heavy,
    "gamma-Poisson": _counts,
    "lognormal": _skew,
    "effects shared by elements, t(2.5)": _shared,
}


class Nulls(NamedTuple):
    """Of comparisons of equal populations: how many called an element, a path, or either changed, and how often an
    interval held."""

    elements: int
    paths: int
    either: int
    cover: float


def _nulls(pairs: Iterator[tuple[np.ndarray, np.ndarray]], runs: tuple[int, int] = (RUNS, RUNS)) -> Nulls:
    counts, cover = np.zeros(3, int), []
    for x, y in pairs:
        c = _compared(x, y, 999, runs)
        counts += [c.adjusted.min() <= 0.05, c.path_adjusted.min() <= 0.05, bool(c.changed())]
        cover.append(np.mean((c.low <= 0) & (c.high >= 0)))
    return Nulls(*counts.tolist(), float(np.mean(cover)))


def false_changes(effort: int) -> Iterator[Figure]:
    n = NULLS[effort]
    for name, draw in DRAWN.items():
        rng = np.random.default_rng([1, *name.encode()])
        found = _nulls((draw(rng, GROUPS, RUNS), draw(rng, GROUPS, RUNS)) for _ in range(n))
        how = f"{n} pairs of {GROUPS} groups of {RUNS} runs, {ELEMENTS} elements, 999 relabellings"
        either = f"`changed`, of both: {found.either / n:.1%}"
        yield at_most(f"an element falsely changed, {name}", 0.06, found.elements / n, f"{how}; {either}", ".3f")
        yield at_most(f"a path falsely changed, {name}", 0.06, found.paths / n, f"{PATHS} paths, the same", ".3f")
        good = 0.94 <= found.cover <= 0.97
        yield Figure(f"95% intervals hold, {name}", "0.94 to 0.97", f"{found.cover:.3f}", "the same", good)


def _runs(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Autoregressive along the first axis, of variance one."""
    x = rng.standard_normal(shape)
    x[1:] *= math.sqrt(1 - PHI**2)
    for t in range(1, len(x)):
        x[t] += PHI * x[t - 1]
    return x


def grouping(effort: int) -> Iterator[Figure]:
    """What is refused, or warned of on the page, and why."""
    n, rng = NULLS[effort], np.random.default_rng(2)

    def streams(contiguous: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(n):
            x = _runs(rng, (GROUPS * RUNS, 2, ELEMENTS))
            x = x if contiguous else x[rng.permutation(len(x))]
            means = x.reshape(GROUPS, RUNS, 2, ELEMENTS).mean(axis=1)
            yield means[:, 0], means[:, 1]

    how = f"{n} pairs of streams, neighbouring runs correlate by {PHI}"
    found = _nulls(streams(contiguous=True))
    yield at_most("an element falsely changed, groups contiguous", 0.06, found.elements / n, how, ".3f")
    found = _nulls(streams(contiguous=False))
    yield Figure("an element falsely changed, groups by a hash of the run", "", f"{found.elements / n:.3f}", how)
    for runs in ((300, 200), (300, 75), (300, 30)):
        pairs = ((_skew(rng, GROUPS, runs[0]), _skew(rng, GROUPS, runs[1])) for _ in range(n))
        found = _nulls(pairs, runs)
        name = f"an element falsely changed, lognormal, {runs[0]} runs a group and {runs[1]}"
        yield Figure(name, "", f"{found.elements / n:.3f}", f"{n} pairs")


def scatter(effort: int) -> Iterator[Figure]:
    """Where means are equal and deviations are not: labels are not exchangeable, and Welch's t makes little of it."""
    n = NULLS[effort]
    for ratio, groups in ((2, (GROUPS, GROUPS)), (4, (GROUPS, GROUPS)), (2, (16, GROUPS)), (2, (GROUPS, 16))):
        rng = np.random.default_rng([7, ratio, *groups])
        pairs = ((ratio * _normal(rng, groups[0], RUNS), _normal(rng, groups[1], RUNS)) for _ in range(n))
        found = _nulls(pairs)
        name = f"an element falsely changed, {groups[0]} groups of deviations {ratio} times those of {groups[1]}"
        yield Figure(name, "", f"{found.elements / n:.3f}", f"{n} pairs; `changed`, of both: {found.either / n:.1%}")


def power(effort: int) -> Iterator[Figure]:
    n, rng = POWER[effort], np.random.default_rng(3)

    def found(change: Callable[[np.ndarray], None], limit: float, name: str, path: bool = False) -> Figure:
        hits = np.zeros(3, int)
        for _ in range(n):
            x, y = rng.standard_normal((2, GROUPS, ELEMENTS))
            change(y)
            c = _compared(x, y, 4999)
            hits += [c.adjusted[0] <= 0.05, c.path_adjusted[0] <= 0.05, "path 0" in c.changed()]
        how = f"{n} pairs, by elements {hits[0]}, by paths {hits[1]}, by `changed` {hits[2]}"
        return share(name, limit, int(hits[int(path)]), n, how)

    def shift(elements: int, by: float) -> Callable[[np.ndarray], None]:
        def change(y: np.ndarray) -> None:
            y[:, :elements] += by

        return change

    yield found(shift(1, 1.0), 0.6, "found: one element of 100 changed by 1 deviation of groups")
    yield found(shift(1, 1.5), 0.97, "found: one element of 100 changed by 1.5 deviations of groups")
    yield found(shift(10, 0.5), 0.94, "found: ten elements of a path changed by 0.5 deviations each", path=True)
    hits = 0
    for _ in range(n):
        x, y = _counts(rng, GROUPS, 300), _counts(rng, GROUPS, 300)
        x[:, 0], y[:, 0] = rng.poisson(300 * np.array([[1], [1.25]]), (2, GROUPS)) / 300
        hits += _compared(x, y, 4999, (300, 300)).adjusted[0] <= 0.05
    how = f"{n} pairs of {GROUPS} groups of 300 runs, one a run, Poisson"
    yield share("found: a count a run 1.25 times as large", 0.99, int(hits), n, how)


# ---------------------------------------------------------------- monitors


class Blocks:
    """Means of blocks of autoregressive normal runs, one block after the other, of so many columns.

    A block's sum and its last run, given the run before it, are normal: they are drawn at once.
    """

    def __init__(self, rng: Rng, columns: int, runs: int, phi: float) -> None:
        self._rng, self._runs = rng, runs
        k = np.arange(1, runs + 1)
        self._from = np.array([np.sum(phi**k), phi**runs])
        weights = np.stack([(1 - phi**k) / (1 - phi), phi ** (k - 1.0)]) * math.sqrt(1 - phi**2)  # of innovations
        self._root = np.linalg.cholesky(weights @ weights.T)
        self._last = rng.standard_normal(columns)

    def __call__(self) -> np.ndarray:
        total, self._last = np.outer(self._from, self._last) + self._root @ self._rng.standard_normal(
            (2, len(self._last))
        )
        return total / self._runs


def _monitor(reference: np.ndarray, runs: int, **options: Any) -> Monitor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExchangeabilityWarning)
        return Monitor(reference, runs, [str(i) for i in range(reference.shape[1])], **options)


def _ever(blocks: Callable[[], np.ndarray], streams: int, runs: int, length: int) -> np.ndarray:
    """(streams,) the largest evidence of any element of each stream, over all its blocks: of one wide monitor, whose
    elements know nothing of each other."""
    monitor = _monitor(np.array([blocks() for _ in range(REFERENCE)]), runs, alpha=1e-11)
    most = np.zeros(streams)
    for _ in range(length):
        assert monitor.update(blocks(), runs) is None
        np.maximum(most, streams * monitor.evidence.reshape(streams, ELEMENTS).max(axis=1), out=most)
    return most


def false_alarms(effort: int) -> Iterator[Figure]:
    n, length, batch = NULLS[effort], (5, BLOCKS, BLOCKS)[effort], 100

    def rates(make: Callable[[Rng, int], Callable[[], np.ndarray]], runs: int) -> tuple[float, float]:
        rng, most = np.random.default_rng([4, runs]), []
        for first in range(0, n, batch):
            streams = min(batch, n - first)
            most.append(_ever(make(rng, streams * ELEMENTS), streams, runs, length))
        found = np.concatenate(most)
        return float(np.mean(found >= 20)), float(np.mean(found >= 100))

    def figures(name: str, rate: tuple[float, float], how: str, aimed: bool = True) -> Iterator[Figure]:
        for alpha, value in zip((0.05, 0.01), rate, strict=True):
            text = f"a monitor of alpha = {alpha} ever alarms, {name}"
            yield at_most(text, alpha, value, how, ".4f") if aimed else Figure(text, "", f"{value:.4f}", how)

    def independent(rng: Rng, columns: int) -> Callable[[], np.ndarray]:
        return lambda: rng.standard_normal(columns)

    def rare(rng: Rng, columns: int) -> Callable[[], np.ndarray]:
        rate = np.tile(np.geomspace(0.001, 1, ELEMENTS), columns // ELEMENTS)
        return lambda: rng.poisson(RUNS * rate * rng.gamma(4, 0.25, columns)) / RUNS

    how = f"{n} streams of {length} blocks after {REFERENCE}, {ELEMENTS} elements"
    yield from figures("independent blocks", rates(independent, RUNS), how)
    yield from figures("counts of 0.001 to 1 a run", rates(rare, RUNS), f"{how}; most values are equal")
    for runs in (30, 20, 5):

        def correlated(rng: Rng, columns: int, runs: int = runs) -> Callable[[], np.ndarray]:
            return Blocks(rng, columns, runs, PHI)

        name = f"runs of correlation {PHI}, blocks of {runs} runs"
        yield from figures(name, rates(correlated, runs), how, aimed=runs == 30)


def delays(effort: int) -> Iterator[Figure]:
    n, rng = POWER[effort] if effort == SMOKE else POWER[effort] // 5 * 2, np.random.default_rng(5)

    def delay(name: str, runs: int, limit: float, change: Callable[[np.ndarray], None], zero: bool = False) -> Figure:
        found = []
        for _ in range(n):
            reference = rng.standard_normal((REFERENCE, ELEMENTS)) / math.sqrt(runs)
            if zero:
                reference[:, 0] = 0
            monitor = _monitor(reference, runs, alpha=0.01, weights={"0": 0.1} if zero else None)
            for _ in range(BLOCKS):
                x = rng.standard_normal(ELEMENTS) / math.sqrt(runs)
                change(x)
                if monitor.update(x, runs):
                    break
            right = monitor.alarm is not None and monitor.alarm.element == "0"
            found.append(monitor.blocks * runs if right else math.inf)
        late = np.quantile(found, 0.9)
        how = (
            f"{n} streams, one element of {ELEMENTS}, alpha = 0.01, {REFERENCE} blocks of {runs}; 90% within {late:.0f}"
        )
        return at_most(f"runs until {name}, median", limit, float(np.median(found)), how, ".0f")

    def shift(by: float) -> Callable[[np.ndarray], None]:
        def change(x: np.ndarray) -> None:
            x[0] += by

        return change

    def new(rate: float) -> Callable[[np.ndarray], None]:
        def change(x: np.ndarray) -> None:
            x[0] = rng.binomial(RUNS, rate) / RUNS

        return change

    yield delay("a mean that moved by 0.5 deviations of a run is told", RUNS, 350, shift(0.5))
    yield delay("a mean that moved by 1 deviation of a run is told", RUNS, 300, shift(1.0))
    yield delay("the same, blocks of 20", 20, 120, shift(1.0))
    for rate, limit in ((0.01, 1750), (0.02, 650), (0.05, 300)):
        yield delay(f"a new path in {rate:.0%} of runs is told, 0.1 of alpha", RUNS, limit, new(rate), zero=True)


def unknown_paths(effort: int) -> Iterator[Figure]:
    """What is watched is how many runs have a path that is on no list; there are ever more of them."""
    n, length, paths = (3, 60, 400)[effort], (5, BLOCKS, BLOCKS)[effort], 100_000
    share_of = np.cumsum(1 / np.arange(1, paths + 1) ** 1.5)
    for name, where in (("earlier runs", slice(0, REFERENCE)), ("the reference", slice(REFERENCE, 2 * REFERENCE))):
        rng, alarms = np.random.default_rng(6), 0
        for _ in range(n):
            drawn = np.searchsorted(share_of, share_of[-1] * rng.random((2 * REFERENCE + length, RUNS)))
            x = (~np.isin(drawn, drawn[where])).mean(axis=1, keepdims=True)
            monitor = _monitor(x[REFERENCE : 2 * REFERENCE], RUNS, alpha=0.05)
            alarms += any(monitor.update(b, RUNS) is not None for b in x[2 * REFERENCE :])
        how = f"{n} streams of {length} blocks of {RUNS} runs, path k of them in a share k^-1.5 of runs"
        text = f"an alarm of unknown paths, alpha = 0.05, the list of paths from {name}"
        yield (
            at_most(text, 0.05, alarms / n, how, ".3f")
            if where.start == 0
            else Figure(text, "", f"{alarms / n:.3f}", how)
        )


FIGURES = (false_changes, grouping, scatter, power, false_alarms, unknown_paths, delays)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_changes(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    found = list(benchmark.pedantic(lambda: list(measure(SMOKE if benchmark.disabled else QUICK)), rounds=1))
    benchmark.extra_info.update({f.name: f.measured for f in found})
    if not benchmark.disabled:  # a smoke test's few pairs decide nothing
        assert not [f.row() for f in found if f.met not in (None, True)]
