"""Whether counts and means of what tuples lack hold, of wide tuples at loads 1.2 to 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import Figure, note
from numpy.typing import NDArray
from structures import DEEP, Case, Rng, alike, length_for, vector
from unrolled import paths

import recsketch as rs

DIM, WIDTHS, LOADS = 1024, (20, 60, 200), (1.2, 2.0, 4.0)
COSINES = (0.0, 0.5, 0.9)  # of the inputs of one module with each other
MAX_INPUTS = 256  # more than there are, so that it tells nothing
Lacking = tuple[float, NDArray[np.float64]]


def pool(rng: Rng, width: int, load: float, modules: int, evenness: float | None) -> Case:
    """One object with as many inputs, whose modules take turns and whose weights are even, or Dirichlet."""
    length, cosine = length_for(DIM, width + 1, load), float(rng.choice(COSINES))
    names, trace = [f"token{i}" for i in range(modules)], rs.Trace()
    middles = [vector(rng, length) for _ in names]
    tokens = [trace.add(names[i % modules], alike(rng, middles[i % modules], cosine)) for i in range(width)]
    weights = None if evenness is None else rng.dirichlet(np.full(width, evenness))
    trace.outputs([trace.add("pool", vector(rng, length), tokens, weights)])
    return Case(trace, dict.fromkeys(("pool", *names), length), MAX_INPUTS, DEEP)


def lacking(found: rs.Unrolled, trace: rs.Trace, spread: float) -> Iterator[tuple[tuple[int, str], Lacking]]:
    """Of every tuple whose owner was found and every module: the effective number of members that were not, and their
    mean."""
    number = dict(paths(trace))
    right = [number.get(o.path, -1) for o in found.objects]
    right = [
        i if i >= 0 and trace.objects[i].module == o.module else -1 for i, o in zip(right, found.objects, strict=True)
    ]
    tuples = [(-1, trace.output_ids, trace.output_weights)]
    tuples += [(j, trace.objects[i].inputs, trace.objects[i].weights) for j, i in enumerate(right) if i >= 0]
    for owner, ids, weights in tuples:
        missing: dict[str, list[tuple[float, NDArray[np.float32]]]] = {}
        for i, w in zip(ids, weights, strict=True):
            amplitude = np.sqrt((1.0 - spread) * w / sum(weights) + spread / len(ids))
            if i not in right:
                missing.setdefault(trace.objects[i].module, []).append((amplitude, trace.objects[i].attribute))
        for module, members in missing.items():
            a, x = np.array([m[0] for m in members]), np.array([m[1] for m in members])
            yield (owner, module), (a.sum() ** 2 / (a**2).sum(), a @ x / a.sum())


class Tally:
    """What was told of rests, and what was true."""

    def __init__(self) -> None:
        self.lack = self.told = self.false = self.held = 0
        self.elements = self.elements_held = self.means = 0
        self.errors: list[float] = []  # of counts, as a share of them

    def add(self, found: rs.Unrolled, trace: rs.Trace, spread: float) -> None:
        true = dict(lacking(found, trace, spread))
        self.lack += len(true)
        for rest in found.rests:
            self.told += 1
            if (rest.owner, rest.module) not in true:
                self.false += 1
                continue
            count, mean = true[rest.owner, rest.module]
            self.held += abs(rest.count - count) <= 1.96 * rest.count_error
            self.errors.append(rest.count_error / count)
            if np.isfinite(rest.mean).all():
                self.means += 1
                self.elements += mean.size
                self.elements_held += int((np.abs(rest.mean - mean) <= 1.96 * rest.mean_error).sum())


GROUPS: dict[str, dict[str, Any]] = {
    "one module": {"modules": 1, "evenness": None},
    "two modules": {"modules": 2, "evenness": None},
    "Dirichlet(4) weights": {"modules": 1, "evenness": 4.0},
    "Dirichlet(0.3) weights": {"modules": 1, "evenness": 0.3},
}


def rests(effort: int) -> Iterator[Figure]:
    """Each group has all widths, all loads and inputs of all cosines with each other."""
    runs = (1, 4, 18)[effort]
    for weighting in ("balanced", "energy"):
        for group, how in GROUPS.items():
            t = Tally()
            for seed in range(runs):
                for width in WIDTHS:
                    for load in LOADS:
                        rng = np.random.default_rng([seed, width, round(10 * load), list(GROUPS).index(group)])
                        case = pool(rng, width, load, **how)
                        sk = case.sketcher(DIM, seed, weighting=weighting)
                        t.add(sk.unroll(sk.sketch(case.trace), **case.reading), case.trace, sk.spec.spread)
            yield from _told(t, f"{weighting}, {group}", runs * len(WIDTHS) * len(LOADS))


def _told(t: Tally, group: str, runs: int) -> Iterator[Figure]:
    how = f"{runs} runs, {t.lack} tuples and modules that lack some, {t.told} told of"
    yield Figure(f"{group}: rests where nothing is missing", "0", str(t.false), how, t.false == 0)
    held, error = t.held / max(t.told - t.false, 1), float(np.median(t.errors)) if t.errors else np.nan
    spread = f"standard error {error:.0%} of the count, median"
    yield Figure(f"{group}: 95% intervals of counts hold", "92% to 98%", f"{held:.1%}", spread, 0.92 <= held <= 0.98)
    held = t.elements_held / max(t.elements, 1)
    spread = f"{t.elements} elements of {t.means} means"
    yield Figure(f"{group}: 95% intervals of means hold", "92% to 98%", f"{held:.1%}", spread, 0.92 <= held <= 0.98)


FIGURES = (rests,)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    case = pool(np.random.default_rng(0), 60, 4.0, 1, None)
    sk = case.sketcher(DIM, 0, weighting="energy")
    assert benchmark(sk.unroll, sk.sketch(case.trace), **case.reading).rests
