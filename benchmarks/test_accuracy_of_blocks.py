"""What the rotation "block" costs: runs that come back whole, and the error of least squares beside that of "skew"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from figure import QUICK, Figure, at_most, note, share
from runs import MIXED, ragged
from unrolled import same

import recsketch as rs

OBJECTS = {2: 10, 3: 24}  # about as many as a tree of that depth has, to choose the attributes' lengths by
UNKNOWNS = [a + 1 for a in MIXED.values()]


def tree(rng: np.random.Generator, modules: dict[str, int], depth: int) -> rs.Trace:
    """A ragged tree of fan 2 to 4; below the first level seven in ten objects have inputs."""
    trace, names = rs.Trace(), list(modules)

    def grow(level: int) -> int:
        inner = level < depth and (level == 1 or rng.random() < 0.7)
        inputs = [grow(level + 1) for _ in range(rng.integers(2, 5))] if inner else []
        name = names[int(rng.integers(len(names)))]
        x = rng.standard_normal(modules[name])
        return trace.add(name, x / np.linalg.norm(x), inputs)

    trace.outputs([grow(1) for _ in range(rng.integers(2, 5))])
    return trace


def whole(dim: int, depth: int, load: float, runs: int, column: int) -> tuple[int, float]:
    """How many of the runs, of 0.6 to 1 times that load, come back whole, and their mean load."""
    good, loads = 0, []
    for seed in range(runs):
        rng = np.random.default_rng([seed, dim, depth, round(100 * load)])
        mean = max(3.0, load * dim / OBJECTS[depth] - 2.0)
        modules = {f"m{i}": max(3, int(mean * rng.uniform(0.6, 1.2))) for i in range(rng.integers(2, 5))}
        spec = rs.SketchSpec(dim, modules, seed, max_inputs=8, rotation="block", blocks_per_column=column)
        sk = rs.Sketcher(spec, threads=1)
        trace = tree(rng, modules, depth)
        while not 0.6 * load <= sk.load(trace) <= load:
            trace = tree(rng, modules, depth)
        loads.append(sk.load(trace))
        found = sk.unroll(sk.sketch(trace))
        good += found.complete and same(found, trace)
    return good, float(np.mean(loads))


def exact(effort: int) -> Iterator[Figure]:
    """Every object, module, position, weight and attribute, of trees of 2 to 4 modules."""
    runs = (1, 10, 50)[effort]
    for dim, column, limit in ((4096, 2, 0.97), (2048, 2, 0.97), (1024, 8, 0.97), (1024, 2, None)):
        parts = [whole(dim, depth, load, runs, column) for depth in (2, 3) for load in (0.25, 0.5)]
        good, load = sum(p[0] for p in parts), np.mean([p[1] for p in parts])
        how = f"trees of depth 2 and 3, fan 2 to 4, 2 to 4 modules, load up to 0.25 and 0.5, mean {load:.2f}; 75°"
        name = f"unrolled exactly from blocks, d = {dim}, {column} blocks a number"
        if limit is None:
            yield Figure(name, "", f"{good / (4 * runs):.1%} ({good}/{4 * runs})", how)
        else:
            yield share(name, limit, good, 4 * runs, how)


def error(spec: rs.SketchSpec, trace: rs.Trace) -> float:
    """Root mean square error of an attribute's elements."""
    sk = rs.Sketcher(spec, threads=1)
    found = sk.recover(sk.sketch(trace), trace).attributes
    return float(
        np.sqrt(np.mean(np.concatenate([x - o.attribute for x, o in zip(found, trace.objects, strict=True)]) ** 2))
    )


def errors(effort: int) -> Iterator[Figure]:
    """Least squares of the same runs, structure known."""
    for dim in (1024, 4096):
        if effort < QUICK and dim > 1024:
            continue
        runs = (2, 20, 100)[effort]
        ratios = []
        for seed in range(runs):
            rng = np.random.default_rng([seed, dim])
            trace = ragged(rng, UNKNOWNS, unknowns=0.64 * dim).trace(rng, MIXED)
            plain = rs.SketchSpec(dim, MIXED, seed, max_inputs=8)
            ratios.append(error(plain.replace(rotation="block"), trace) / error(plain, trace))
        how = f'error over that of "skew", median of {runs} ragged runs at a load of 0.64; 2 blocks a number, 75°'
        yield at_most(f"least squares from blocks, d = {dim}", 1.3, float(np.median(ratios)), how, ".2f")


FIGURES = (exact, errors)


@pytest.mark.parametrize("measure", FIGURES)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    modules = {"a": 20, "b": 30}
    sk = rs.Sketcher(rs.SketchSpec(4096, modules, max_inputs=8, rotation="block"), threads=1)
    s = sk.sketch(tree(np.random.default_rng(0), modules, 2))
    assert benchmark(sk.unroll, s).complete
