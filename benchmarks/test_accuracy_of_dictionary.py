"""Matrices that nobody told: how many columns of rotation "block" are learned from sketches alone, and none that is
not there; and runs that are read without the seed.

Runs are random trees of two inputs an object, two modules a level, attributes of 32 numbers of which two are not zero,
with norms of 1/8 to 8, at 75°. A column is right if all signs of all its blocks are; those of elements that no run has
do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from coded import LEVELS, Coded, Score, read_error, score
from figure import Figure, note
from numpy.typing import NDArray

import recsketch as rs

SEEDS = (1, 3, 10)  # by effort


def learned(case: Coded, n: int, seed: int, noise: float = 0.0, **more: Any) -> tuple[Score, rs.Dictionary]:
    spec, runs = case.spec(seed), case.runs(n, seed)
    y, sigma = case.sketches(spec, runs, noise)
    found = rs.learn_dictionary(y, noise=sigma, names=list(spec.modules), **more)
    return score(found, spec, runs), found


def _columns(name: str, limit: float, case: Coded, n: int, seeds: int, noise: float = 0.0) -> Iterator[Figure]:
    scores = [learned(case, n, seed, noise, operators=False)[0] for seed in range(seeds)]
    exact, all_ = sum(s.exact for s in scores), sum(s.exact + s.missing for s in scores)
    false = sum(s.false for s in scores)
    how = f"{n:,} sketches of d = {case.dim:,}, r = {case.blocks}, λ = {case.strings:.1f}, {seeds} seeds"
    worst = min(s.share for s in scores)
    right = f"{exact / all_:.2%}"
    yield Figure(f"{name}: columns right", f"≥ {limit:.1%}", right, f"{how}; worst {worst:.1%}", exact >= limit * all_)
    yield Figure(f"{name}: columns that are not there", "0", str(false), how, false == 0)


def columns(effort: int) -> Iterator[Figure]:
    seeds = SEEDS[effort]
    for r in (1, 2):
        yield from _columns(f"two levels, r = {r}", 1.0, Coded(blocks=r), 600, seeds)
    yield from _columns("three levels, linear, norms of one", 0.99, Coded(LEVELS, linear=True), 600, seeds)
    yield from _columns("three levels", 0.99, Coded(LEVELS), 600, seeds)
    yield from _columns("two levels, noise of 10%", 0.99, Coded(), 600, seeds, 0.1)
    wide = Coded([("a", "b", "c")], length=256, nonzero=3, fan=3, blocks=2)
    yield from _columns("one level, 3 modules of 256", 0.999, wide, (600, 3000, 3000)[effort], (1, 1, 3)[effort])


def _others(rng: np.random.Generator, dim: int, n: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Sketches from which nothing can be learned, five kinds."""
    seed = int(rng.integers(1 << 30))
    dense = Coded(dim=dim, nonzero=32)
    yield "dense", dense.sketches(dense.spec(seed), dense.runs(n, seed))[0]
    few = Coded(dim=dim)
    skew = rs.SketchSpec(dim, {m: 32 for level in few.levels for m in level}, seed=seed)
    yield "skew", few.sketches(skew, few.runs(n, seed))[0]
    yield "Gaussian", rng.standard_normal((n, dim)).astype(np.float32)
    y = few.sketches(few.spec(seed), few.runs(n, seed))[0]
    yield "shuffled", y[:, rng.permutation(dim)]
    wide = Coded(dim=dim, block_size=64)
    yield "blocks of 64", wide.sketches(wide.spec(seed), wide.runs(n, seed))[0]


def nothing(effort: int) -> Iterator[Figure]:
    sets, n = (1, 4, 20)[effort], (100, 300, 300)[effort]
    false: dict[str, int] = {}
    for seed in range(sets):
        for kind, y in _others(np.random.default_rng(seed), 4096, n):
            found = rs.learn_dictionary(y, 32)
            known = kind == "dense" and len(found) > 0  # λ is large; what is learned nevertheless may be right
            false[kind] = false.get(kind, 0) + (len(found) if not known else _wrong(found, seed))
    how = ", ".join(f"{kind} {k}" for kind, k in false.items())
    total = sum(false.values())
    yield Figure(
        f"columns from {5 * sets} data sets of other kinds", "0", str(total), f"{n} sketches each: {how}", total == 0
    )


def _wrong(found: rs.Dictionary, seed: int) -> int:
    spec = Coded(dim=4096, nonzero=32).spec(int(np.random.default_rng(seed).integers(1 << 30)))
    return sum(c.false for c in found.compare(spec).values())


def reading(effort: int) -> Iterator[Figure]:
    seeds = SEEDS[effort]
    one = Coded([("a", "b", "c")])
    for name, case in (("one level", one), ("two levels", Coded()), ("two levels, d = 16,384", Coded(dim=16384))):
        good, worst, placed = 0, 0.0, 0
        if effort < 2 and case.dim > 4096:
            continue
        for seed in range(seeds):
            found = learned(case, 600, seed)[1]
            placed += found.masks is not None and not found.reasons["masks"]
            if found.operators is not None:
                error = read_error(found, case.spec(seed), case.runs(50, seed + 1000))
                good, worst = good + (error < 1e-5), max(worst, error if np.isfinite(error) else 0.0)
        how = f"600 sketches; 50 other runs are read; masks found in {placed} of {seeds}"
        how += f"; worst error of an attribute that is given {worst:.1g}"
        target, met = (f"{seeds} of {seeds}", good == seeds) if case is one else ("", None)
        yield Figure(f"{name}: seeds with all runs read to 1e-5", target, f"{good} of {seeds}", how, met)


FIGURES = (columns, nothing, reading)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    benchmark.pedantic(note, (benchmark, measure), rounds=1)
