"""What sums of sketches give back: counts, means, covariances, paths nobody told of, and whether intervals hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from figure import Figure, at_most, note, share
from scipy import stats

import recsketch as rs
from recsketch.datasets import PageNetwork, make_pages

GROUPS = 32
Path = tuple[str, ...]


def counted(batch: rs.TraceBatch) -> rs.TraceBatch:
    """The runs with all weights one, so that sums count objects."""
    columns = {name: getattr(batch, name) for name in rs.TraceBatch.__slots__}
    return rs.TraceBatch(**{k: np.ones_like(v) if "weights" in k else v for k, v in columns.items()})


def exact(effort: int) -> Iterator[Figure]:
    """Pages of digits: counts, means, and covariances of pages' attributes."""
    runs, network = (40, 400, 4000)[effort], PageNetwork()
    batch = counted(rs.TraceBatch.from_traces(network(page.image) for page in make_pages(runs, seed=1)))
    lengths = np.diff(batch.attribute_ends)
    modules = {name: int(lengths[batch.module == m][0]) for m, name in enumerate(batch.names)}
    spec = rs.SketchSpec.additive(2048, modules, seed=1)
    population = rs.Population(spec)
    population.update(rs.Sketcher(spec).sketch(batch))
    found, count, mean = population.read(), 0.0, 0.0
    for p in found:
        of = np.flatnonzero(batch.module == batch.names.index(p.path[-1]))
        x = batch.attributes[batch.attribute_ends[of][:, None] + np.arange(modules[p.path[-1]])].astype(np.float64)
        count = max(count, abs(p.count - len(x)))
        deviation = x.std(axis=0)
        there = deviation > 1e-3 * deviation.max()
        mean = max(mean, float((np.abs(p.mean - x.mean(axis=0))[there] / deviation[there]).max()))
    how = f"{runs} pages, d = 2048, {len(found)} paths found, complete: {found.complete}"
    yield at_most("populations: counts of objects, worst error", 0.5, count, how)
    yield at_most("populations: means, worst error over an element's deviation", 1e-6, mean, how)


def covariances(effort: int) -> Iterator[Figure]:
    """Of 4,000 objects of 16 numbers that depend on each other."""
    runs, rng = (50, 500, 1000)[effort], np.random.default_rng(0)
    spec = rs.SketchSpec.additive(8192, {"m": 16, "n": 16}, second_moment=["m"])
    mix, population = rng.standard_normal((16, 16)) / 4, rs.Population(spec)
    x = (rng.standard_normal((4 * runs, 16)) @ mix).astype(np.float32)
    batch = []
    for i in range(runs):
        run = rs.Trace()
        members = [run.add("m", row) for row in x[4 * i : 4 * i + 4]]
        run.outputs([run.add("n", rng.standard_normal(16), inputs=members)])
        batch.append(run)
    population.update(rs.Sketcher(spec).sketch(batch))
    found: Any = population.read().at("n", "m").covariance
    true = np.cov(x.T.astype(np.float64))
    off = float(np.linalg.norm(found - true) / np.linalg.norm(true))
    how = f"{4 * runs} objects, a = 16, d = 8192"
    yield at_most("populations: covariance, relative Frobenius error", 1e-5, off, how)


def random_paths(rng: np.random.Generator, names: list[str], n: int, depth: int = 4) -> list[Path]:
    paths: set[Path] = {()}
    while len(paths) <= n:
        above = sorted(paths)[rng.integers(len(paths))]
        if len(above) < depth:
            paths.add((*above, names[rng.integers(len(names))]))
    return sorted(paths - {()})


def grown(rng: np.random.Generator, paths: list[Path], a: int) -> rs.Trace:
    """A run with one to three objects at every path, below every object that may have them."""
    run = rs.Trace()

    def below(p: Path) -> list[int]:
        return [
            i for q in paths if q[:-1] == p and len(q) == len(p) + 1 for _ in range(rng.integers(1, 4)) for i in made(q)
        ]

    def made(p: Path) -> list[int]:
        return [run.add(p[-1], rng.standard_normal(a) + 1, inputs=below(p))]

    run.outputs(below(()))
    return run


def discovery(effort: int) -> Iterator[Figure]:
    """Paths that no wiring tells of."""
    seeds = (2, 20, 100)[effort]
    for a, load in ((8, 0.09), (40, 0.4), (49, 0.49), (80, 0.79)):
        right = 0
        for seed in range(seeds):
            rng, names = np.random.default_rng(seed), [f"m{i}" for i in range(6)]
            spec = rs.SketchSpec.additive(1024, dict.fromkeys(names, a), seed=seed)
            paths, population = random_paths(rng, names, 10), rs.Population(spec)
            population.update(rs.Sketcher(spec).sketch([grown(rng, paths, a) for _ in range(100)]))
            found = population.read()
            right += found.complete and sorted(p.path for p in found) == paths
        how = f"{seeds} specifications of six modules, d = 1024, ten random paths up to 4 deep, 100 runs each"
        yield share(f"populations: ten unknown paths at load {load}, all found and no other", 1.0, right, seeds, how)


def intervals(effort: int) -> Iterator[Figure]:
    """95% intervals of what further runs would give, by Student's t of 31 degrees."""
    draws, rng, t = (4, 100, 400)[effort], np.random.default_rng(0), stats.t.ppf(0.975, GROUPS - 1)
    spec = rs.SketchSpec.additive(1024, {"page": 4, "line": 6}, seed=2, second_moment=["line"])
    sk, held = rs.Sketcher(spec), {"counts a run": [0, 0], "means": [0, 0], "covariances": [0, 0]}
    mix = rng.standard_normal((6, 6)) / 2
    mean, covariance = np.arange(6.0), mix.T @ mix
    for _ in range(draws):
        batch = []
        for _ in range(640):
            run = rs.Trace()
            lines = [run.add("line", mean + rng.standard_normal(6) @ mix) for _ in range(rng.poisson(3))]
            run.outputs([run.add("page", rng.standard_normal(4), inputs=lines)])
            batch.append(run)
        population = rs.Population(spec)
        population.update(sk.sketch(batch), np.arange(640) // 20)
        p = population.read().at("page", "line")
        upper = np.triu_indices(6)
        for name, off, error in (
            ("counts a run", p.per_run - 3.0, p.per_run_error),
            ("means", p.mean - mean, p.mean_error),
            ("covariances", (p.covariance - covariance)[upper], p.covariance_error[upper]),
        ):
            held[name][0] += int(np.count_nonzero(np.abs(off) <= t * error))
            held[name][1] += np.size(off)
    for name, (inside, all_of) in held.items():
        how = f"{draws} populations of 640 runs in 32 groups"
        met = 0.93 <= inside / all_of <= 0.97
        yield Figure(f"populations: 95% intervals of {name} hold", "93% to 97%", f"{inside / all_of:.1%}", how, met)


FIGURES = (exact, covariances, discovery, intervals)


@pytest.mark.parametrize("measure", FIGURES)
def test_populations(benchmark: Any, measure: Any) -> None:
    benchmark.pedantic(lambda: note(benchmark, measure), rounds=1)
